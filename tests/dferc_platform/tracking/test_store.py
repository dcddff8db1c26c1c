"""The local store is made once and safely."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from dferc.errors import UserError
from dferc_platform.tracking.store import sqlite_path, store_uri


def test_default_is_in_the_results_folder(tmp_path, monkeypatch):
    assert store_uri(None) == f"sqlite:///{tmp_path}/results/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert store_uri(None) == "http://tracking:5000"
    assert store_uri("http://other:5000") == "http://other:5000"


def test_relative_database_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_uri("sqlite:///mine.db") == f"sqlite:///{tmp_path}/mine.db"


@pytest.mark.parametrize("uri", ["mlruns", "file:///srv/mlruns", "./mlruns"])
def test_file_store_is_refused(uri):
    with pytest.raises(UserError, match="no longer maintains"):
        store_uri(uri)


def test_deleted_experiment_is_a_problem_and_says_so(open_tracker, experiment, look):
    open_tracker()
    look.client.delete_experiment(look.client.get_experiment_by_name(experiment).experiment_id)
    assert f"the MLflow experiment {experiment!r} is deleted" in open_tracker().problem


def test_database_is_wal_and_artifacts_are_absolute(store, look, open_tracker, experiment):
    open_tracker()
    with closing(sqlite3.connect(sqlite_path(store))) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    place = look.client.get_experiment_by_name(experiment).artifact_location
    assert place == (sqlite_path(store).parent / "mlartifacts").as_uri()


@pytest.mark.cluster
def test_processes_that_make_the_database_together_all_succeed(tmp_path):
    code = (
        "import sys; from dferc_platform.tracking.store import connect; print(connect(sys.argv[1], 'same').experiment)"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/fresh.db"]
    together = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=200)[0].strip() for process in together]
    assert said == ["1", "1", "1"]
