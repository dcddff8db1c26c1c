"""One MLflow database a session (making one takes seconds), an experiment a test."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dferc_platform.tracking import Tracker
from dferc_platform.tracking.store import connect, import_mlflow


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> str:
    """A local store; its URI."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    connect(uri, "first")
    return uri


@pytest.fixture
def experiment(request) -> str:
    """A name of the test's own."""
    return request.node.name


@pytest.fixture
def open_tracker(store, experiment) -> Iterator[Callable[..., Tracker]]:
    """Opens trackers of the test's experiment; closes them all."""
    opened: list[Tracker] = []

    def opener(uri: str = store) -> Tracker:
        opened.append(Tracker(experiment, uri))
        return opened[-1]

    yield opener
    for tracker in opened:
        tracker.close()


@pytest.fixture
def look(store, experiment) -> Callable[..., Any]:
    """What MLflow has: ``look()`` all runs by name, ``look(tracker, run_id)`` one run."""
    client = import_mlflow().MlflowClient(store)

    def looker(tracker: Tracker | None = None, run_id: str = "") -> Any:
        if tracker is not None:
            assert tracker.flush(), tracker.problem
            return client.get_run(tracker.mlflow_id(run_id))
        found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
        return {run.info.run_name: run for run in found}

    looker.client = client
    return looker


@pytest.fixture
def study(tmp_path, make_study, experiment) -> Any:
    """A study folder to fill with made-up runs."""
    return make_study(tmp_path / experiment.replace("/", "_"), "beta")


@pytest.fixture
def finished(study, make_scores) -> Path:
    """A finished run of the study, with weights to keep and weights to resume from."""
    run = study.finished({"beta": 0.1, "seed": 0}, make_scores(60.0, 58.0))
    for name in ("best/model.json", "last/state.json"):
        (run / name).parent.mkdir()
        (run / name).write_text("{}")
    return run


@pytest.fixture(autouse=True)
def _away_from_the_users_store(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DFERC_RESULTS", os.fspath(tmp_path / "results"))
