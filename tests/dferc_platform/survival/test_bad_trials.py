"""A trial that cannot end well, for whatever reason, fails with a sentence and touches no other."""

import os
import signal
from pathlib import Path

import pytest
from chaos.cluster import Cluster
from chaos.processes import send, wait_for
from chaos.seen import read_trials
from chaos.study import SMALL, Question

from dferc_platform.checkpoint import SEAL
from dferc_platform.config import make_config, read_config
from dferc_platform.results import RunRow, read_history, read_runs
from dferc_platform.saved import open_corpus
from dferc_platform.spaces import read_space
from dferc_platform.sweep.job import plan_job
from dferc_platform.train import train_run

pytestmark = pytest.mark.cluster

SECONDS = 400
GOOD, KILLED, HANGS, DIVERGES, TOO_LARGE = 0.1, 0.2, 0.3, 0.5, 0.6
"""Values of beta; the last two bring another setting with them."""
SPACE = {
    "model": "df_erc",
    "description": "one good trial before, between and after bad ones",
    "sampler": {"name": "grid"},
    "concurrency": 2,
    "settings": {name: value for name, value in SMALL.items() if name != "hidden"} | {"epochs": 4, "patience": 4},
    "parameters": {
        "beta": {"kind": "categorical", "choices": [GOOD, KILLED, HANGS, 0.4, DIVERGES, TOO_LARGE, 0.7]},
        "learning_rate": {"kind": "categorical", "choices": [1e30], "when": {"beta": [DIVERGES]}},
        "hidden": {"kind": "categorical", "choices": [10**6], "when": {"beta": [TOO_LARGE]}},
    },
}
SENTENCES = {
    KILLED: "the process of the trial died again and again",
    HANGS: "no epoch ended for too long, so its process was ended: stall.txt in its run folder says where it hung",
    DIVERGES: "lower learning_rate",
    TOO_LARGE: "memory",
}


@pytest.fixture(scope="module")
def rows(cluster: Cluster, ask, tiny_corpus: Path, tmp_path_factory) -> dict[float, RunRow]:
    """The runs of the sweep, by beta."""
    place = tmp_path_factory.mktemp("bad")
    asked = ask(Question.of_space("bad", SPACE, tiny_corpus, place), DFERC_STALL_MINUTES="0.12")
    space = read_space(place / "bad.yaml")
    job = plan_job(space, make_config({"corpus": str(tiny_corpus)}), asked.folder, "dferc")
    keys = {values["beta"]: job.propose(number, values).key for number, values in enumerate(space.points())}

    damaged = asked.folder / "runs" / keys[HANGS] / "last" / "epoch-9999"
    damaged.mkdir(parents=True)
    os.mkfifo(damaged / SEAL)  # whoever reads it waits for ever, as on a file system that does not answer
    asked.driver.start()

    def ended() -> bool:
        if process := asked.training.get(keys[KILLED]):
            send(process, signal.SIGKILL)  # each time, as the kernel does with what takes too much memory
        return not asked.driver.running

    wait_for(ended, "the sweep", SECONDS)
    assert asked.driver.wait(0) == 0, asked.driver.said()
    assert "Traceback" not in asked.driver.said()
    rows = {row.varied["beta"]: row for row in read_runs(asked.folder)}
    tracked = {trial.key: trial.tracked for trial in read_trials(asked.folder, asked.uri).values()}
    assert {row.key: (row.status,) for row in rows.values()} == tracked
    return rows


@pytest.mark.parametrize("beta", SENTENCES)
def test_a_bad_trial_fails_and_says_why(rows: dict[float, RunRow], beta: float) -> None:
    assert rows[beta].status == "FAILED"
    assert SENTENCES[beta] in rows[beta].error
    assert "\n" not in rows[beta].error


def test_where_it_hung_is_written_down(rows: dict[float, RunRow]) -> None:
    assert "load_newest" in (rows[HANGS].folder / "stall.txt").read_text()


def test_all_other_trials_are_as_they_would_be_alone(rows: dict[float, RunRow], tmp_path: Path) -> None:
    others = [row for beta, row in rows.items() if beta not in SENTENCES]
    assert [row.status for row in others] == ["FINISHED"] * 3
    for row in others:
        config = read_config(row.folder / "config.yaml")
        alone = train_run(config, open_corpus(config.corpus), tmp_path / row.key)
        assert row.metrics == alone.metrics
        assert without_times(read_history(row.folder)) == without_times(alone.history)


def without_times(history):
    return [{name: value for name, value in line.items() if name != "epoch_seconds"} for line in history]
