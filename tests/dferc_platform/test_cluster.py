"""Where the work runs: defaults, joining, jobs on a real ``ray start --head`` with dferc installed and without."""

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import psutil
import pytest
import requests
from chaos.processes import free_ports

from dferc.corpus.synthetic import TINY, generate
from dferc.errors import UserError
from dferc_platform import cluster
from dferc_platform.results import read_runs, read_study

ROOT = Path(__file__).parents[2]
SECONDS = 240
"""Longest wait for a job on a busy machine; about 20 are usual."""

# -------------------------------------------------------------------------------------------------------- without Ray


def test_defaults_are_set_and_the_users_own_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    for name in cluster.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "7")
    cluster.prepare_environment()
    assert os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] == "7"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.parametrize("before", ["", "import ray; "])
def test_clients_send_the_token_wherever_ray_was_imported(before: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    after = "from dferc_platform.cluster import prepare_environment; prepare_environment(); "
    shown = "from ray._raylet import AuthenticationMode, get_authentication_mode; "
    check = "assert get_authentication_mode() == AuthenticationMode.TOKEN"
    environment = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    environment["RAY_AUTH_TOKEN_PATH"] = str(tmp_path / "token")
    subprocess.run([sys.executable, "-c", before + after + shown + check], env=environment, check=True)


def test_a_token_turns_authentication_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster, "_read_again", lambda: None)  # other tests of this process use Ray, too
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("RAY_AUTH_MODE", "x")
    monkeypatch.delenv("RAY_AUTH_MODE")
    (tmp_path / "token").write_text("secret")
    cluster.prepare_environment()
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_the_jobs_address_cannot_be_joined() -> None:
    with pytest.raises(UserError, match="use `dferc submit`, or give HOST:6379"):
        cluster._join("http://127.0.0.1:8265")


def test_what_ray_makes_of_an_interruption_is_one_again() -> None:
    @cluster.interruptible()
    def as_ray_train_does() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise SystemExit(1)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        as_ray_train_does()
    assert signal.getsignal(signal.SIGINT) is before


def test_results_outlive_a_job_that_names_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "_ray_pkg_0123"
    package.mkdir()
    assert not cluster.in_job_package()
    monkeypatch.chdir(package)
    assert cluster.in_job_package()


def test_the_standard_library_is_not_shadowed_at_the_root() -> None:
    code = "import platform, sys; print(platform.system(), sys.path[0] == '')"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [platform.system(), "True"]


# ----------------------------------------------------------------------------------------------------------- with Ray


TOKEN = "0123456789abcdef" * 4
LOGIN = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class Head:
    """A cluster whose Python has everything that dferc needs, but not dferc."""

    address: str
    environment: dict[str, str]
    folder: Path

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a client of ours against it."""
        words = [sys.executable, "-m", *command]
        return subprocess.run(
            words, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )


def wait_until(what: Callable[[], object], or_else: Callable[[], str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, or_else()
        time.sleep(0.2)


def accepts_jobs(address: str) -> bool:
    """Whether jobs can be submitted: the head says that it runs before its Jobs API and the agent of jobs do."""
    asked = {"entrypoint": "true", "submission_id": "ready"}
    with contextlib.suppress(requests.ConnectionError):
        if requests.get(f"{address}/api/jobs/ready", headers=LOGIN, timeout=30).status_code == 404:
            requests.post(f"{address}/api/jobs/", json=asked, headers=LOGIN, timeout=60)
        found = requests.get(f"{address}/api/jobs/ready", headers=LOGIN, timeout=30)
        return found.ok and found.json()["status"] == "SUCCEEDED"
    return False


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that finds our dependencies, not us: .pth files in a folder that a .pth file adds are not read."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = folder / "bin" / "python"
    found = subprocess.run([python, "-c", "import ray, dferc"], capture_output=True, text=True, cwd=folder, check=False)
    if "No module named 'dferc'" not in found.stderr:
        pytest.skip("dferc is installed beside its dependencies (not editable), so it cannot be hidden from a cluster")
    return python


@pytest.fixture(scope="module")
def head(bare_python: Path, workplace: Path) -> Iterator[Head]:
    """``ray start --head`` on ports of its own, closed by a token."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: socket paths have at most 107 characters
    (folder / "token").write_text(TOKEN)
    gcs, dashboard, agent, client = free_ports(4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}
    environment |= {"RAY_AUTH_TOKEN_PATH": str(folder / "token"), "HOME": str(folder), "RAY_AUTH_MODE": "token"}
    options = {
        "--port": gcs, "--dashboard-port": dashboard, "--dashboard-agent-listen-port": agent, "--num-cpus": "2",
        "--ray-client-server-port": client, "--dashboard-host": "127.0.0.1", "--node-ip-address": "127.0.0.1",
        "--temp-dir": str(folder), "--object-store-memory": "100000000",
    }  # fmt: skip
    words = [str(word) for pair in options.items() for word in pair]
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [bare_python, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats", *words],
            env=environment | {"PATH": f"{bare_python.parent}:{os.environ['PATH']}"},
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{dashboard}"
        wait_until(lambda: process.poll() is not None or accepts_jobs(address), (folder / "out").read_text)
        assert process.poll() is None, (folder / "out").read_text()
        yield Head(address, environment, folder)
    finally:
        process.terminate()  # --block: it takes all that it started with it
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def corpus(workplace: Path) -> Path:
    return generate(TINY).save(workplace / "cluster" / "corpus.parquet")


SWEEP = ("sweep", "smoke", "--trials", "2", "--concurrency", "1")


def finished_runs(study: Path) -> int:
    assert read_study(study).kind == "sweep"
    return [row.status for row in read_runs(study)].count("FINISHED")


def tracked_runs(results: Path) -> list[str]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return sorted(run.info.status for run in client.search_runs(experiments))


@pytest.mark.cluster
def test_a_sweep_is_submitted_where_dferc_is_not_installed(head: Head, corpus: Path, workplace: Path) -> None:
    results = workplace / "bare-results"
    ran = head.call(
        "dferc_platform", "--results", str(results), "submit", "--address", head.address, "--",
        *SWEEP, "--name", "bare", "--corpus", os.path.relpath(corpus, ROOT),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "SUCCEEDED" in ran.stdout
    assert finished_runs(results / "bare") == 2
    assert tracked_runs(results) == ["FINISHED"] * 3  # the study and its two runs


@pytest.mark.cluster
def test_ray_submits_a_sweep_where_dferc_is_installed(head: Head, corpus: Path, workplace: Path) -> None:
    results = workplace / "installed-results"
    installed = {
        "py_executable": sys.executable,
        "env_vars": {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DFERC_RESULTS": str(results)},
    }
    ran = head.call(
        "ray.scripts.scripts", "job", "submit", "--address", head.address, "--working-dir", ".",
        "--runtime-env-json", json.dumps(installed), "--",
        "dferc", *SWEEP, "--name", "installed", "--corpus", str(corpus),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert finished_runs(results / "installed") == 2
    assert tracked_runs(results) == ["FINISHED"] * 3


@pytest.mark.cluster
def test_the_standard_library_is_not_shadowed_inside_a_job(head: Head) -> None:
    ran = head.call(
        "ray.scripts.scripts", "job", "submit", "--address", head.address, "--working-dir", ".", "--",
        "python", "-c", "import platform; print(platform.system(), platform.__file__)",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{platform.system()} {platform.__file__}" in ran.stdout


FOR_LONG = ("--set", "epochs=5000", "--set", "patience=5000")


def submitted(head: Head, results: Path, corpus: Path, name: str, *more: str) -> str:
    """The id of a sweep that has begun to train."""
    ran = head.call(
        "dferc_platform", "--results", str(results), "submit", "--no-follow", "--address", head.address, "--",
        *SWEEP, "--name", name, "--corpus", str(corpus), *more,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    job = ran.stdout.split()[1]
    assert job.startswith("sweep-corpus-")
    wait_until(lambda: list(results.glob(f"{name}/runs/*/history.jsonl")), lambda: printed_by(head, job))
    return job


def printed_by(head: Head, job: str) -> str:
    return head.call("dferc_platform", "job", "logs", "--address", head.address, job).stdout


@pytest.mark.cluster
def test_a_job_that_is_stopped_leaves_nothing_running(head: Head, corpus: Path, workplace: Path) -> None:
    results = workplace / "stopped-results"
    job = submitted(head, results, corpus, "stopped", *FOR_LONG)
    ran = head.call("dferc_platform", "job", "stop", "--wait", "--address", head.address, job)
    assert ran.stdout == f"{job} STOPPED\n"
    assert "goes on in" not in printed_by(head, job)
    assert [row.status for row in read_runs(results / "stopped")] == ["KILLED"]
    assert tracked_runs(results) == ["KILLED", "KILLED"]


@pytest.mark.cluster
def test_a_driver_that_is_killed_goes_on_and_its_job_succeeds(head: Head, corpus: Path, workplace: Path) -> None:
    results = workplace / "killed-results"
    job = submitted(head, results, corpus, "killed", "--set", "epochs=20", "--set", "patience=20")
    [driver] = [process for process in psutil.process_iter() if is_driver(process, str(results), "killed")]
    driver.kill()
    ran = head.call("dferc_platform", "job", "logs", "--follow", "--address", head.address, job)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "was killed by SIGKILL, as happens when memory runs out; it goes on in 5 s, retry 1 of 2" in ran.stdout
    assert f"dferc --results {results} report killed" in ran.stdout
    rows = read_runs(results / "killed")
    assert [(row.number, row.status, row.epochs) for row in rows] == [(0, "FINISHED", 20), (1, "FINISHED", 20)]
    assert tracked_runs(results) == ["FINISHED"] * 3


def is_driver(process: psutil.Process, results: str, name: str) -> bool:
    """Whether a process is the command itself, neither what stands around it nor another job's."""
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        return (
            words[1:3] == ["-m", "dferc_platform"] and name in words and process.environ()["DFERC_RESULTS"] == results
        )
    return False


VARIABLES = ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN")
FILES = (".env", "tls/server.key", ".aws/credentials", "secrets/database", "auth_token", "config-secret.yaml")


@pytest.mark.cluster
def test_a_bad_command_fails_with_its_sentence_and_nothing_of_a_job_holds_a_secret(head: Head, tmp_path: Path) -> None:
    found, *secret = (token_hex(8) for _ in range(2 + len(VARIABLES)))  # not in this file, which other jobs ship
    for source in ("model", "platform"):
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(secret[0])
    (tmp_path / "shipped.yaml").write_text(found)
    planted = Head(head.address, head.environment | dict(zip(VARIABLES, secret[1:], strict=True)), head.folder)
    ran = planted.call(
        "dferc_platform", "submit", "--id", "betta", "--working-dir", str(tmp_path), "--address", head.address,
        "--", "train", "--set", "betta=1",
    )  # fmt: skip
    assert ran.returncode == 2
    assert "did you mean beta?" in ran.stdout
    assert "goes on in" not in ran.stdout  # a retry would only repeat it
    assert "Traceback" not in ran.stdout

    told = requests.get(f"{head.address}/api/jobs/betta", headers=LOGIN, timeout=30).text
    told += printed_by(head, "betta")
    assert "train --set betta=1" in told
    assert files_with(head.folder, found), "the package is not where it is looked for"
    assert not [path for word in secret for path in files_with(head.folder, word)]
    assert not any(word in told for word in (*secret, TOKEN))
    assert {path.name for path in files_with(head.folder, TOKEN)} == {"token"}

    status = head.call("dferc_platform", "job", "status", "--address", head.address, "betta").stdout
    assert status.startswith("FAILED\nits command ended with exit code 2: its command or its data must be mended")
    shown = head.call("dferc_platform", "job", "list", "--address", head.address).stdout
    assert "dferc train --set betta=1" in shown
    assert head.call("dferc_platform", "job", "remove", "--address", head.address, "betta").returncode == 0
    unknown = head.call("dferc_platform", "job", "status", "--address", head.address, "betta")
    assert (unknown.returncode, "knows no job betta" in unknown.stderr) == (2, True)


def files_with(folder: Path, word: str) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if word.encode() in path.read_bytes()]


@pytest.mark.cluster
def test_a_job_that_cannot_start_says_what_it_waits_for(head: Head) -> None:
    words = ("submit", "--id", "large", "--cpus", "3", "--no-follow", "--address", head.address, "--", "train")
    assert head.call("dferc_platform", *words).returncode == 0
    again = head.call("dferc_platform", *words)
    assert (again.returncode, "has a job large already: choose another --id" in again.stderr) == (2, True)
    status = head.call("dferc_platform", "job", "status", "--address", head.address, "large").stdout
    assert status.startswith("PENDING\nits driver waits for 3 CPU on one node")
    assert "of 2 CPU; no node is that large" in status
    ran = head.call("dferc_platform", "job", "stop", "--wait", "--address", head.address, "large")
    assert "Ray stops it as soon as it starts" in ran.stdout
