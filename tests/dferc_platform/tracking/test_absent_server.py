"""A server that is absent, silent, or away for a while stops no training and loses no result."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from dferc_platform.results import read_history
from dferc_platform.tracking import Tracker, sync, writer


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """An MLflow server on loopback that can be killed and started again."""

    def __init__(self, folder) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server",
            "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/server.db",
            "--artifacts-destination", f"{self.folder}/kept",
        ]  # fmt: skip
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=self.folder
            )
        deadline = time.monotonic() + 180
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.3)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as reply:  # noqa: S310
                return reply.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    yield server
    server.kill()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(writer, "GIVE_UP_SECONDS", 1.0)
    monkeypatch.setattr(writer, "HURRIED_PAUSE", 0.2)


@pytest.fixture
def open_run(study):
    def opener(tracker: Tracker, key: str) -> str:
        return tracker.run(key, key, {"beta": 0.1}, {}, tracker.study(study.study, {}))

    return opener


def test_absent_server_costs_nobody_anything(study, finished, open_run, impatient):
    with Tracker("absent", f"http://user:hunter2@127.0.0.1:{free_port()}") as tracker:
        assert "does not answer" in tracker.problem
        assert "dferc sync FOLDER" in tracker.problem
        assert "hunter2" not in tracker.problem + tracker.uri
        run_id = open_run(tracker, "k")
        began = time.monotonic()
        for epoch in range(1, 5001):
            tracker.epoch(run_id, {"epoch": epoch, "validation/weighted_f1": 50.0})
        assert time.monotonic() - began < 2.0
        assert not tracker.flush()
        assert len(tracker._writer.record(run_id).lines) < 5000
        tracker.finish(run_id, "FINISHED", finished)
        assert sync(study.folder, tracker) == 0
        began = time.monotonic()
    assert time.monotonic() - began < 10.0
    assert not tracker.is_sent(run_id)


def test_silent_server_does_not_hang(monkeypatch, impatient):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        began = time.monotonic()
        with Tracker("silent", f"http://127.0.0.1:{silent.getsockname()[1]}") as tracker:
            assert time.monotonic() - began < 8.0
            assert "timed out" in tracker.problem
        assert time.monotonic() - began < 20.0


@pytest.mark.cluster
def test_server_that_comes_back_has_everything(server, finished, open_run, monkeypatch):
    monkeypatch.setattr(writer, "LONGEST_PAUSE", 1.0)
    history = read_history(finished)
    server.start()
    with Tracker("away", server.uri) as tracker:
        run_id = open_run(tracker, finished.name)
        for metrics in history[:3]:
            tracker.epoch(run_id, metrics)
        assert tracker.flush()
        server.kill()
        for metrics in history[3:]:
            tracker.epoch(run_id, metrics)
        later = open_run(tracker, "opened while away")
        deadline = time.monotonic() + 30
        while tracker.problem is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "does not answer" in tracker.problem
        server.start()
        tracker.finish(run_id, "FINISHED", finished)
        tracker.finish(later, "FAILED", None)
        assert tracker.flush()
        assert tracker.problem is None
        client = tracker._writer._calls.client
        points = client.get_metric_history(tracker.mlflow_id(run_id), "while_training/validation/weighted_f1")
        assert [point.step for point in points] == [metrics["epoch"] for metrics in history]
        assert client.get_run(tracker.mlflow_id(run_id)).info.status == "FINISHED"
        assert client.get_run(tracker.mlflow_id(later)).info.status == "FAILED"


@pytest.mark.cluster
def test_what_a_refusing_server_missed_is_synced_once(server, study, finished, make_scores, open_run, impatient):
    study.finished({"beta": 0.2, "seed": 0}, make_scores(62.0, 59.0))
    with Tracker("missed", server.uri) as tracker:
        tracker.finish(open_run(tracker, finished.name), "FINISHED", finished)
    assert tracker.problem
    server.start()
    for _ in range(2):
        with Tracker("missed", server.uri) as tracker:
            assert sync(study.folder, tracker) == 2
            assert tracker.problem is None
            client = tracker._writer._calls.client
            found = client.search_runs([tracker._writer._calls.experiment])
            assert sorted(run.info.status for run in found) == ["FINISHED"] * 3
            best = next(run for run in found if run.info.run_name == "beta=0.2 seed=0")
            points = client.get_metric_history(best.info.run_id, "while_training/validation/weighted_f1")
            assert len(points) == len(read_history(study.folder / "runs" / "run0001"))
            assert "confusion.html" in {item.path for item in client.list_artifacts(best.info.run_id)}
