"""A sweep whose driver is stopped in the middle, by SIGKILL or SIGTERM, and resumed, equals one that was left alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dferc_platform.config import make_config
from dferc_platform.results import read_history, read_runs
from dferc_platform.spaces import read_space
from dferc_platform.sweep import best, run_sweep
from dferc_platform.tracking import Tracker

pytestmark = pytest.mark.cluster

TRIALS, EPOCHS = 5, 40
SPACE = {
    "model": "df_erc",
    "description": "long enough to be stopped in the middle; TPE learns from the third trial on",
    "sampler": {"name": "tpe", "seed": 3, "startup_trials": 2},
    "budget": {"trials": TRIALS},
    "concurrency": 1,
    "settings": {
        "epochs": EPOCHS,
        "patience": EPOCHS,
        "batch_dialogues": 4,
        "warmup_steps": 2,
        "hidden": 8,
        "align": 8,
    },
    "parameters": {
        "beta": {"kind": "float", "low": 0.01, "high": 1.0, "log": True},
        "learning_rate": {"kind": "float", "low": 1e-4, "high": 1e-2, "log": True},
    },
}
DRIVER = """
import sys
from pathlib import Path
from dferc_platform.config import make_config
from dferc_platform.spaces import read_space
from dferc_platform.sweep import run_sweep
from dferc_platform.tracking import Tracker

space, corpus, folder, uri = sys.argv[1:]
with Tracker("test", uri) as tracker:
    run_sweep(read_space(space), make_config({"corpus": corpus}), Path(folder), tracker)
"""


@pytest.fixture(scope="module")
def space_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("spaces") / "space.yaml"
    path.write_text(yaml.safe_dump(SPACE))
    return path


@pytest.fixture(scope="module")
def undisturbed(ray_cluster, tiny_corpus, space_file, tmp_path_factory):
    """The runs and the ledger of the sweep, left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Tracker("test", f"sqlite:///{folder}/mlflow.db") as tracker:
        rows = run_sweep(read_space(space_file), make_config({"corpus": str(tiny_corpus)}), folder / "s", tracker)
    return rows, events(folder / "s")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, None), (signal.SIGTERM, "KILLED")])
def test_a_stopped_driver_loses_nothing(ray_cluster, tiny_corpus, space_file, undisturbed, tmp_path, number, status):
    folder, uri = tmp_path / "s", f"sqlite:///{tmp_path}/mlflow.db"
    stop_in_the_middle([str(space_file), str(tiny_corpus), str(folder), uri], folder, number, ray_cluster)

    stopped = {row.key: row for row in read_runs(folder)}
    (cut,) = [row for row in stopped.values() if row.status != "FINISHED"]
    before = {key: read_history(row.folder) for key, row in stopped.items()}
    assert (cut.status, cut.number is None) == ("KILLED", status is None)
    assert 0 < cut.epochs < EPOCHS

    space, base = read_space(space_file), make_config({"corpus": str(tiny_corpus)})
    with Tracker("test", uri) as tracker:
        rows = run_sweep(space, base, folder, tracker, resume=True)
        assert tracker.flush()
        children = runs_in_mlflow(tracker)

    alone, ledger = undisturbed
    assert [numbers_of(row) for row in rows] == [numbers_of(row) for row in alone]
    assert best(rows, space).key == best(alone, space).key
    assert proposals(events(folder)) == proposals(ledger)
    for key, lines in before.items():  # with their times: an epoch that was trained again would have taken another
        assert read_history(folder / "runs" / key)[: len(lines)] == lines
    assert sorted(children) == sorted((row.key, "FINISHED") for row in alone)


def stop_in_the_middle(arguments: list[str], folder: Path, number: signal.Signals, cluster: str) -> None:
    """Start a driver, wait until two trials are done and a third has a few epochs behind it, and stop it."""
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments], env={**os.environ, "RAY_ADDRESS": cluster})
    try:
        wait_for(lambda: third_trial_runs(folder) or driver.poll() is not None)
        driver.send_signal(number)
        assert driver.wait(timeout=120) != 0
    finally:
        driver.kill()
        driver.wait()
    assert len([e for e in events(folder) if "told" in e]) < TRIALS


def third_trial_runs(folder: Path) -> bool:
    asked = [event for event in events(folder) if "asked" in event]
    return len(asked) == 3 and len(read_history(folder / "runs" / asked[2]["key"])) >= 3


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def events(folder: Path) -> list[dict]:
    path = folder / "ledger.jsonl"
    whole, _, _ = path.read_text().rpartition("\n") if path.is_file() else ("", "", "")
    return [json.loads(line) for line in whole.splitlines()]


def proposals(ledger: list[dict]) -> list[tuple]:
    return [(event["asked"], event["values"], event["key"]) for event in ledger if "asked" in event]


def numbers_of(row):
    return row.number, row.key, row.status, row.varied, row.metrics, row.best_epoch, row.epochs


def runs_in_mlflow(tracker):
    """Run key and status of every run in the store but the study itself."""
    from mlflow import MlflowClient

    client = MlflowClient(tracker.uri)
    found = client.search_runs([client.get_experiment_by_name(tracker.experiment).experiment_id])
    return [(r.data.tags["run_key"], r.info.status) for r in found if "mlflow.parentRunId" in r.data.tags]
