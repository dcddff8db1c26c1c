"""A sweep on a cluster that has no CPU yet: it waits, says for what, and uses the node that joins."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dferc_platform.results import read_runs

IMPATIENT = """
from dferc_platform import cli, waiting
waiting.PATIENCE = waiting.PAUSE = 0.2
cli.main()
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.cluster
def test_a_sweep_waits_for_a_node_and_uses_it_when_it_joins(tiny_corpus: Path, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "dashboard_port": free_port()})
    words = ["--results", tmp_path, "sweep", "smoke", "--corpus", tiny_corpus, "--trials", "3", "--epochs", "1"]
    environment = os.environ | {"RAY_ADDRESS": cluster.address, "DFERC_AUTOSCALES": "1"}
    try:
        with subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, *map(str, words), "--name", "grown"],
            env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        ) as driver:  # fmt: skip
            assert driver.stderr is not None
            said = next((line for line in driver.stderr if " for 1 CPU" in line), "nothing")
            assert "none placed: the cluster has nothing on 1 node, free: nothing; no node that is here has so" in said
            assert "no node is being started yet" in said
            cluster.add_node(num_cpus=2)
            rest = driver.stderr.read()
        assert driver.returncode == 0, rest
        assert "no trial waits for resources any more" in rest
    finally:
        cluster.shutdown()
    assert [row.status for row in read_runs(tmp_path / "grown")] == ["FINISHED"] * 3
