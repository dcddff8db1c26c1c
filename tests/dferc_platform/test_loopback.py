"""Pages that the platform serves are served to this machine alone; docs/security.md speaks of Ray's other ports."""

import os
import socket
from pathlib import Path

import psutil
import pytest

from dferc_platform.cli.serve import start_server, wait_until_healthy
from dferc_platform.results import results_folder
from dferc_platform.tracking import Tracker

pytestmark = pytest.mark.cluster


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Where a process and all that it started listen: address and port."""
    family = [process, *process.children(recursive=True)]
    found = [connection for member in family for connection in member.net_connections("tcp")]
    return {(at.laddr.ip, at.laddr.port) for at in found if at.status == psutil.CONN_LISTEN}


def test_the_pages_of_mlflow_are_served_to_this_machine_alone(workplace: Path, free_port: int) -> None:
    Tracker("loopback").close()
    server = start_server(f"sqlite:///{results_folder() / 'mlflow.db'}", free_port)
    try:
        wait_until_healthy(server, free_port)
        places = listening(psutil.Process(server.pid))
    finally:
        server.terminate()
        server.wait(timeout=60)
    assert places == {("127.0.0.1", free_port)}


def test_rays_dashboard_is_served_to_this_machine_alone(ray_cluster: str) -> None:
    import ray

    address, _, port = ray._private.worker.global_worker.node.webui_url.rpartition(":")
    assert address == "127.0.0.1"
    places = listening(psutil.Process(os.getpid()))
    assert {place for place in places if place[1] == int(port)} == {("127.0.0.1", int(port))}


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
