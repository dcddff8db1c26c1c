"""Ray Train around the loop: several workers equal one, and a worker that dies costs an epoch at most."""

import json
import os
import signal
import threading
import time

import psutil
import pytest
import torch

from dferc.errors import UserError
from dferc_platform.config import make_config
from dferc_platform.fit import fit
from dferc_platform.saved import load_model
from dferc_platform.train import train_run

pytestmark = pytest.mark.cluster

SETTINGS = {
    "model": {"hidden": 8, "align": 6, "dropout": 0, "context_input_dropout": 0, "context_recurrent_dropout": 0},
    "training": {"epochs": 3, "batch_dialogues": 4, "warmup_steps": 2},
}


@pytest.fixture
def config(corpus, tmp_path):
    return make_config(SETTINGS | {"corpus": str(corpus.save(tmp_path / "corpus.parquet"))})


def assert_equal(result, expected):
    assert result.metrics == pytest.approx(expected.metrics, abs=1e-3)
    for line, other in zip(result.history, expected.history, strict=True):
        line, other = (
            {k: v for k, v in h.items() if k.startswith(("train/", "validation/loss"))} for h in (line, other)
        )
        assert line == pytest.approx(other, abs=1e-5, rel=1e-5)
    weights = [load_model(r.folder)[0].state_dict() for r in (result, expected)]
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)


def test_two_workers_equal_this_process(ray_cluster, config, corpus, tmp_path):
    heard = []
    together = fit(config, tmp_path / "together", workers=2, on_epoch=heard.append)
    assert_equal(together, train_run(config, corpus, tmp_path / "alone"))
    assert [line["epoch"] for line in heard] == [1, 2, 3]
    assert json.loads((tmp_path / "together" / "result.json").read_text())["workers"] == 2


def test_a_worker_that_is_killed_is_replaced(ray_cluster, config, corpus, tmp_path):
    """SIGKILL to a training worker after the first epoch: the run ends with the numbers of an undisturbed one."""
    config = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 8, "patience": 8})})
    folder = tmp_path / "disturbed"
    killed = []

    def kill() -> None:
        while not (folder / "history.jsonl").exists():
            time.sleep(0.05)
        for process in psutil.Process().children(recursive=True):
            if "RayTrainWorker" in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
                return

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    result = fit(config, folder, workers=2)
    killer.join(10)
    assert killed
    assert_equal(result, train_run(config, corpus, tmp_path / "alone"))


def test_workers_that_can_never_fit_are_refused(ray_cluster, config, tmp_path):
    with pytest.raises(UserError, match="64 workers do not fit: the cluster has 2 CPUs"):
        fit(config, tmp_path / "run", workers=64)
