"""The real training, on one machine and then on another that shares nothing with it but the store."""

import json

import pytest
import torch

from dferc_platform import storage
from dferc_platform.config import make_config
from dferc_platform.saved import load_model
from dferc_platform.train import train_run

SETTINGS = {
    "model": {"hidden": 8, "align": 6, "prototypes": "cumulative"},
    "training": {"epochs": 4, "batch_dialogues": 4, "warmup_steps": 2, "learning_rate": 3e-3},
}


class Reports:
    """Puts every epoch into the store, and is killed after one of them, before it is put or after."""

    def __init__(self, claim, killed_in=None, put=True):
        self.claim, self.killed_in, self.put = claim, killed_in, put

    def report(self, metrics, checkpoint):
        if metrics["epoch"] == self.killed_in and not self.put:
            raise KeyboardInterrupt
        self.claim.epoch_is_done()
        if metrics["epoch"] == self.killed_in:
            raise KeyboardInterrupt


def go_on(folder, config, corpus, **until):
    with storage.claimed(folder) as claim:
        result = train_run(config, corpus, folder, Reports(claim, **until))
        claim.push()
        return result


@pytest.mark.parametrize(("killed_in", "put"), [(2, True), (3, False), (4, True)])
def test_a_run_that_changes_machines_is_the_run_that_does_not(machine, corpus, tmp_path, killed_in, put) -> None:
    config = make_config(SETTINGS)
    alone = train_run(config, corpus, tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        go_on(machine("a") / "s" / "runs" / "k", config, corpus, killed_in=killed_in, put=put)
    moved = go_on(machine("b") / "s" / "runs" / "k", config, corpus)
    storage.pull(machine("c") / "s")
    here = machine("c") / "s" / "runs" / "k"

    assert moved.metrics == alone.metrics
    assert [line["train/loss/total"] for line in moved.history] == [line["train/loss/total"] for line in alone.history]
    weights = [load_model(folder)[0].state_dict() for folder in (alone.folder, here)]
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    kept = json.loads((here / "result.json").read_text())
    assert kept["metrics"] == alone.metrics
    assert sorted(p.name for p in here.iterdir() if p.name[0] != ".") == sorted(
        p.name for p in alone.folder.iterdir() if p.name not in ("last",)
    )
