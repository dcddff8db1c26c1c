"""Where the work runs: defaults, joining, jobs on a real ``ray start --head`` with dferc installed and without."""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dferc.corpus.synthetic import TINY, generate
from dferc.errors import UserError
from dferc_platform import cluster, jobs
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


def test_a_job_that_has_the_sources_needs_no_installation(tmp_path: Path) -> None:
    (tmp_path / "platform" / "dferc_platform").mkdir(parents=True)
    request = jobs.plan_job(["train", "--name", "a b"], tmp_path, tmp_path / "results")
    assert request.entrypoint == "python -m dferc_platform train --name 'a b'"
    variables = request.runtime_env["env_vars"]
    assert variables["PYTHONPATH"] == "model:platform"
    assert variables["DFERC_RESULTS"] == str(tmp_path / "results")
    assert variables["RAY_JOB_STOP_SIGNAL"] == "SIGINT"


def test_a_job_from_another_folder_uses_what_is_installed(tmp_path: Path) -> None:
    assert "PYTHONPATH" not in jobs.plan_job(["train"], tmp_path, tmp_path).runtime_env["env_vars"]


def test_large_files_stay_at_home(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "features.npz").open("wb") as file:
        file.truncate(jobs.LARGEST_FILE + 1)
    (tmp_path / "space.yaml").write_text("small")
    excluded = jobs.plan_job(["train"], tmp_path, tmp_path).runtime_env["excludes"]
    assert "/data/features.npz" in excluded
    assert "/space.yaml" not in excluded
    assert {".git", ".venv", "results", "corpora", "*.db"} <= set(excluded)


def test_paths_mean_the_same_on_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = jobs.absolute_paths(["sweep", "s.yaml", "--corpus", "c.parquet", "--results=r", "--corpus", "synthetic"])
    assert made == [
        "sweep",
        "s.yaml",
        "--corpus",
        f"{tmp_path}/c.parquet",
        f"--results={tmp_path}/r",
        "--corpus",
        "synthetic",
    ]


def test_nothing_to_submit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is nothing to submit"):
        jobs.plan_job([], tmp_path, tmp_path)


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


@dataclass(frozen=True)
class Head:
    """A cluster whose Python has everything that dferc needs, but not dferc."""

    address: str
    environment: dict[str, str]

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a client of ours against it."""
        words = [sys.executable, "-m", *command]
        return subprocess.run(
            words, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )


def free_ports(count: int) -> list[str]:
    """Ports outside the range that Ray gives to its workers."""
    found: list[str] = []
    for port in range(20000 + os.getpid() % 10000, 65535):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.append(str(port))
        if len(found) == count:
            return found
    raise RuntimeError("no free port")


def wait_for(what: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert process.poll() is None, "ray start ended"
        assert time.monotonic() < deadline, "ray start did not come up"
        time.sleep(0.2)


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
    (folder / "token").write_text("0123456789abcdef" * 4)
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
        wait_for(lambda: b"Ray runtime started" in (folder / "out").read_bytes(), process)
        yield Head(f"http://127.0.0.1:{dashboard}", environment)
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


@pytest.mark.cluster
def test_a_job_that_is_stopped_leaves_nothing_running(head: Head, corpus: Path, workplace: Path) -> None:
    results = workplace / "stopped-results"
    words = ["--results", str(results), "submit", "--no-follow", "--address", head.address, "--", *SWEEP]
    ran = head.call(
        "dferc_platform",
        *words,
        "--name",
        "stopped",
        "--corpus",
        str(corpus),
        "--set",
        "epochs=5000",
        "--set",
        "patience=5000",
    )
    job = ran.stdout.split()[1]
    deadline = time.monotonic() + SECONDS
    while not list(results.glob("stopped/runs/*/history.jsonl")):
        assert time.monotonic() < deadline, head.call(
            "dferc_platform", "job", "logs", "--address", head.address, job
        ).stdout
        time.sleep(0.5)
    assert head.call("dferc_platform", "job", "stop", "--address", head.address, job).returncode == 0
    assert wait_for_end(head, job) == "STOPPED"
    assert [row.status for row in read_runs(results / "stopped")] == ["KILLED"]
    assert tracked_runs(results) == ["KILLED", "KILLED"]


def wait_for_end(head: Head, job: str) -> str:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        status = head.call("dferc_platform", "job", "status", "--address", head.address, job).stdout.strip()
        if status not in ("RUNNING", "PENDING"):
            return status
        time.sleep(0.5)
    return "RUNNING"


@pytest.mark.cluster
def test_a_bad_command_fails_in_the_job_with_its_sentence(head: Head) -> None:
    ran = head.call("dferc_platform", "submit", "--address", head.address, "--", "train", "--set", "betta=1")
    assert ran.returncode == 1
    assert "did you mean beta?" in ran.stdout
    assert "Traceback" not in ran.stdout
