"""What a job is made of, and what is said of it; the cluster itself is in test_cluster.py."""

import shlex
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from dferc.errors import UserError
from dferc_platform.cli import app
from dferc_platform.jobs import Driver, explain, plan_job, state
from dferc_platform.jobs import client as jobs_client
from dferc_platform.jobs.disclosure import check_variables
from dferc_platform.jobs.following import PATIENCE, follow_by
from dferc_platform.jobs.package import LARGEST_FILE, pack, staged
from dferc_platform.jobs.request import absolute_paths

# --------------------------------------------------------------------------------------------------------- the request


@pytest.fixture(autouse=True)
def a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFERC_RESULTS", str(tmp_path / "results"))  # the command line sets it, too
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_job_that_has_the_sources_needs_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "platform" / "dferc_platform").mkdir(parents=True)
    monkeypatch.setenv("DFERC_RESULTS", str(tmp_path / "results"))
    request = plan_job(["train", "--name", "a b"], tmp_path)
    assert request.entrypoint == "python -m dferc_platform.supervise --retries 2 -- train --name 'a b'"
    variables = request.runtime_env["env_vars"]
    assert variables["PYTHONPATH"] == "model:platform"
    assert variables["DFERC_RESULTS"] == str(tmp_path / "results")
    assert variables["RAY_JOB_STOP_SIGNAL"] == "SIGINT"


def test_a_job_from_another_folder_uses_what_is_installed(tmp_path: Path) -> None:
    assert "PYTHONPATH" not in plan_job(["train"], tmp_path).runtime_env["env_vars"]


def test_nothing_to_submit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is nothing to submit"):
        plan_job([], tmp_path)


def test_paths_mean_the_same_on_the_cluster_and_uris_do_anyway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["sweep", "s.yaml", "--corpus", "c.parquet", "--results=r", "--corpus", "synthetic"]
    made = ["sweep", "s.yaml", "--corpus", f"{tmp_path}/c.parquet", f"--results={tmp_path}/r", "--corpus", "synthetic"]
    assert absolute_paths(given) == made
    given = ["--results=s3://lab/r", "predict", "--corpus", "file:///nfs/c.parquet", "--out", "s3://lab/x"]
    assert absolute_paths(given) == given


@pytest.mark.parametrize("words", [["train"], ["--results", "s3://lab/results", "train"]])
def test_results_in_a_bucket_stay_a_uri(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFERC_RESULTS", "/elsewhere" if len(words) > 1 else "s3://lab/results")
    request = plan_job(words, tmp_path)
    assert request.results == "s3://lab/results"
    assert request.runtime_env["env_vars"]["DFERC_RESULTS"] == "s3://lab/results"


def test_ids_are_readable_and_differ(tmp_path: Path) -> None:
    ids = {plan_job(["sweep", "df_erc", "--corpus", "s3://lab/MOSI 2.parquet"], tmp_path).id for _ in range(5)}
    assert all(job.startswith("sweep-mosi-2-") for job in ids)
    assert len(ids) > 1
    assert plan_job(["--results", "/r", "study", "beta"], tmp_path).id.startswith("study-")
    assert plan_job(["train"], tmp_path, job="mine.1").id == "mine.1"
    with pytest.raises(UserError, match="--id a/b"):
        plan_job(["train"], tmp_path, job="a/b")


def test_a_driver_takes_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    assert plan_job(["train"], tmp_path).driver == Driver(0, 0, 0, 2)
    asked = plan_job(["train"], tmp_path, driver=Driver(1.5, 1, 2 * 10**9, 0))
    assert "--retries 0" in asked.entrypoint
    assert asked.metadata["CPU"] == "1.5"


def test_a_runtime_environment_of_rays_is_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "env.yaml"
    file.write_text("pip: [emoji]\nenv_vars: {A: 1, B: x}\n")
    described = plan_job(["train"], tmp_path, variables={"B": "y"}, runtime_env=file).runtime_env
    assert described["pip"] == ["emoji"]
    assert described["env_vars"] | {"A": "1", "B": "y"} == described["env_vars"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "cannot be read"),
        ("- pip", "what Ray calls a runtime environment"),
        ("working_dir: .", "leave out working_dir"),
        ("env_vars: {HF_TOKEN: x}", "HF_TOKEN looks like a secret"),
        ("pip: ['--index-url=https://me:pass@host/simple']", "holds a user with a password"),
    ],
)
def test_a_bad_runtime_environment_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "env.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        plan_job(["train"], tmp_path, runtime_env=tmp_path / "env.yaml")


# ---------------------------------------------------------------------------------------------------------- no secrets


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "MLFLOW_TRACKING_PASSWORD", "api_key", "MY_PAT"]
)
def test_variables_that_look_like_secrets_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} looks like a secret.*belong on the nodes"):
        check_variables({name: "x"}, "--env")


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "RAY_AUTH_MODE", "KEYBOARD", "PATH"])
def test_other_variables_are_none(name: str) -> None:
    check_variables({name: "http://host:5000/path@1"}, "--env")


def test_a_password_in_mlflows_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@mlflow:5000")
    with pytest.raises(UserError, match="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD") as refused:
        plan_job(["train"], tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_password_in_the_command_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the command holds a user with a password") as refused:
        plan_job(["--mlflow=https://me:hunter2@mlflow:5000", "train"], tmp_path)
    assert "hunter2" not in str(refused.value)


# ---------------------------------------------------------------------------------------------------------- the package

SECRETS = (
    ".env", ".env.local", "prod.env", "server.pem", "tls/SERVER.KEY", "id_ed25519", ".netrc", ".aws/credentials",
    ".ssh/config", ".ray/auth_token", "auth_token", "secrets/mlflow.txt", "credentials.json", "aws-credentials",
    "kubeconfig.yaml", "my_password.txt", "main.tfstate", "hf_token",
)  # fmt: skip
DATA = ("data/x.parquet", "best/model.safetensors", "corpora/notes.md", "results/a.json", "mlflow.db", "f.pkl", "a.wav")
MADE = (".git/config", ".venv/bin/python", "a/__pycache__/b.pyc", "x.egg-info/PKG-INFO", ".mypy_cache/x.json")
SHIPPED = ("space.yaml", "a/credentials.py", "docs/secrets.md", "a/tokenizer.json", "keys.yaml", "environment.yaml")


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("content")


def test_neither_secrets_nor_data_travel(tmp_path: Path) -> None:
    write(tmp_path, *SECRETS, *DATA, *MADE, *SHIPPED)
    package = pack(tmp_path)
    assert set(package.files) == set(SHIPPED)
    for names, why in ((SECRETS, "may hold a secret"), (DATA, "data"), (MADE, "of no use there, or made anew")):
        assert {package.why_missing(tmp_path / name) for name in names} == {why}


def test_large_files_stay_at_home(tmp_path: Path) -> None:
    write(tmp_path, "data/features.txt", "space.yaml")
    with (tmp_path / "data" / "features.txt").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    package = pack(tmp_path)
    assert list(package.files) == ["space.yaml"]
    assert package.left_out == {"data/features.txt": "larger than 10 MB"}


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.txt", "b.txt")
    monkeypatch.setattr("dferc_platform.jobs.package.LARGEST_PACKAGE", 10)
    with pytest.raises(UserError, match=r"name a smaller --working-dir, or leave folders out by a file \.rayignore"):
        pack(tmp_path)


def test_ignore_files_speak_of_their_own_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.txt", "part/a.txt", "part/c.txt", "part/keep.txt")
    (tmp_path / ".rayignore").write_text("/a.txt\n")
    (tmp_path / "part" / ".gitignore").write_text("*.txt\n!keep.txt\n")
    package = pack(tmp_path)
    assert set(package.files) == {"b.txt", "part/keep.txt"}
    assert package.left_out["a.txt"] == "by .rayignore"
    assert package.left_out["part/c.txt"] == "by part/.gitignore"


def test_no_link_smuggles_anything_in(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write(root, "space.yaml")
    write(outside, ".aws/credentials", "shared.yaml", "large/data.csv")
    (root / "settings.yaml").symlink_to(outside / ".aws" / "credentials")
    (root / "shared.yaml").symlink_to(outside / "shared.yaml")
    (root / "large").symlink_to(outside / "large")
    (root / "loop").symlink_to(root)
    (root / "broken").symlink_to(tmp_path / "nowhere")
    package = pack(root)
    assert set(package.files) == {"space.yaml", "shared.yaml"}
    assert package.left_out["settings.yaml"] == "may hold a secret"
    assert package.left_out["large"] == package.left_out["loop"] == "a link to a folder"
    assert package.left_out["broken"] == "no regular file"


def test_what_is_shipped_is_what_was_listed(tmp_path: Path) -> None:
    write(tmp_path, *SHIPPED, ".env", "results/a")
    package = pack(tmp_path)
    with staged(package) as folder:
        copied = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert copied == set(SHIPPED)
    assert not folder.exists()


def test_results_in_the_working_directory_do_not_travel_whatever_their_name(tmp_path: Path) -> None:
    write(tmp_path, "out/study.json", "space.yaml")
    assert list(plan_job(["--results", str(tmp_path / "out"), "train"], tmp_path).package.files) == ["space.yaml"]


def test_what_the_command_names_and_does_not_travel_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "runs/best.safetensors", "space.yaml", "results/run/config.yaml")
    monkeypatch.chdir(tmp_path)
    words = ["predict", "results/run", "space.yaml", "--set", "backbone=runs/best.safetensors", "--corpus", "s3://a/b"]
    assert plan_job(words, tmp_path).stays == {"results/run": "data", "runs/best.safetensors": "data"}


# ---------------------------------------------------------------------------------------------------- the command line


def run(*words: str, **environment: str) -> Any:
    return CliRunner().invoke(app, list(words), env=environment)


def test_a_dry_run_shows_all_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "space.yaml", ".env", "big.parquet")
    monkeypatch.chdir(tmp_path)
    shown = run(
        "--results", "s3://lab/r", "submit", "--dry-run", "--id", "mine", "--env", "A=b", "--cpus", "1", "--",
        "dferc", "sweep", "space.yaml", "--name", "x", "--corpus", "big.parquet",
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    for part in (
        "Would submit mine", f"-- sweep space.yaml --name x --corpus {tmp_path}/big.parquet", "1 CPUs, 0 GPUs",
        "Results: s3://lab/r", "  A=b", "Ships 1 files", "space.yaml, 7 bytes", ".env: may hold a secret",
        "big.parquet is not shipped (data): the nodes must have it",
    ):  # fmt: skip
        assert part in shown.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("swep df_erc", "No such command 'swep'"),
        ("sweep df_erc --trails 3", "No such option: --trails"),
        ("sweep", "Missing argument 'SPACE'"),
        ("study bta", "No such command 'bta'"),
        ("job list", "makes no sense in a job"),
        ("submit -- train", "makes no sense in a job"),
    ],
)
def test_a_command_that_dferc_does_not_have_is_refused_here(words: str, said: str) -> None:
    refused = run("submit", "--dry-run", "--", *shlex.split(words))
    assert refused.exit_code == 2
    assert said in refused.output


@pytest.mark.parametrize("option", ["--env=HF_TOKEN=x", "--env=A", "--env=1=2", "--folow"])
def test_bad_options_of_submit_are_refused_here(option: str) -> None:
    assert run("submit", "--dry-run", option, "--", "train").exit_code == 2


# ------------------------------------------------------------------------------------------------- what is said of jobs


def job(status: str, **known: Any) -> Any:
    described = {"message": None, "error_type": None, "driver_exit_code": None, "metadata": {}, "submission_id": "j"}
    return SimpleNamespace(status=SimpleNamespace(value=status), **described | known)


def test_a_job_that_waits_says_for_what() -> None:
    waiting = job("PENDING", metadata={"CPU": "4", "memory": "8e9"})
    nodes = [{"CPU": (1.0, 8.0), "memory": (9e9, 16e9)}, {"CPU": (2.0, 2.0), "memory": (4e9, 4e9)}]
    [said] = explain(waiting, nodes)
    assert "waits for 4 CPU and 8 GB memory on one node" in said
    assert "1 CPU and 9 GB memory of 8 CPU and 16 GB memory; 2 CPU and 4 GB memory of 2 CPU and 4 GB memory" in said
    assert "no node is that large" not in said
    assert "no node is that large" in explain(waiting, nodes[1:])[0]
    assert "environment is being set up" in explain(job("PENDING"), nodes)[0]


def test_a_job_that_failed_says_why() -> None:
    said = explain(job("FAILED", driver_exit_code=137, message="Job entrypoint command failed\n\nlast words\n"))
    assert "exit code 137: it was killed, as happens when memory runs out" in said[0]
    assert said[-1] == "last words"
    [lost] = explain(job("FAILED", error_type="JOB_SUPERVISOR_ACTOR_DIED", message="Job supervisor actor died: x"))
    assert "the node of its driver was lost: submit the same command again" in lost
    assert explain(job("FAILED")) == ["Ray gives no reason"]
    assert explain(job("RUNNING")) == []


def test_an_unknown_id_gives_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        raise RuntimeError(f"Request failed with status code 404: Job {name} does not exist.")

    known = [job("RUNNING", submission_id=name, start_time=i) for i, name in enumerate(["sweep-mosi-3f2a", "train-x"])]
    client = SimpleNamespace(get_job_info=unknown, list_jobs=lambda: known)
    monkeypatch.setattr(jobs_client, "connect", lambda address: client)
    with pytest.raises(UserError, match=r"knows no job sweep-mosi-3f2b: did you mean sweep-mosi-3f2a\?"):
        state("sweep-mosi-3f2b", "http://head:8265")
    with pytest.raises(UserError, match="`dferc job list` shows all"):
        state("q", "http://head:8265")


@pytest.mark.parametrize(("status", "code", "ours"), [("FAILED", 2, 2), ("FAILED", None, 1), ("STOPPED", None, 130)])
def test_the_exit_code_of_following_is_that_of_the_command(
    status: str, code: int | None, ours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(monkeypatch, job(status, driver_exit_code=code))
    shown = run("job", "logs", "--follow", "j")
    assert shown.exit_code == ours
    assert f"j {status}" in shown.output


def test_results_are_named_when_a_job_has_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    ended(monkeypatch, job("SUCCEEDED", metadata={"results": "s3://lab/r", "study": "mosi"}))
    shown = run("job", "logs", "--follow", "j")
    assert shown.exit_code == 0
    assert "Results: s3://lab/r   Its report: dferc --results s3://lab/r report mosi" in shown.output


def test_ctrl_c_leaves_the_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any) -> Iterator[str]:
        yield "epoch 1\n"
        raise KeyboardInterrupt

    ended(monkeypatch, job("RUNNING"))
    monkeypatch.setattr("dferc_platform.jobs.follow", interrupted)
    monkeypatch.setattr("dferc_platform.jobs.stop", lambda *given: pytest.fail("it was stopped"))
    shown = run("job", "logs", "--follow", "j")
    assert shown.exit_code == 130
    assert "epoch 1\n\nThe job goes on. Follow it: dferc job logs --follow j" in shown.output


def ended(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    monkeypatch.setattr("dferc_platform.jobs.wait_for_start", lambda *given: None)
    monkeypatch.setattr("dferc_platform.jobs.follow", lambda *given: iter(["printed\n"]))
    monkeypatch.setattr("dferc_platform.jobs.info", lambda *given: found)


# ------------------------------------------------------------------------------------------------------------ following


class FakeClient:
    """A cluster whose connections each bring what is printed by then, and end as they are told to."""

    def __init__(self, *connections: tuple[str, str | Exception]) -> None:
        self.connections: Iterator[tuple[str, str | Exception]] = iter(connections)
        self.ended: str | Exception = "RUNNING"

    async def tail_job_logs(self, job_id: str) -> AsyncGenerator[str, None]:
        printed, self.ended = next(self.connections)
        for i in range(0, len(printed), 4):
            yield printed[i : i + 4]
        if isinstance(self.ended, Exception):
            raise self.ended

    def get_job_info(self, job_id: str) -> Any:
        return job(str(self.ended))


def followed(client: FakeClient, lost: Callable[[str], None], step: float = 0) -> Iterator[str]:
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += step

    return follow_by(client, "j", lost, sleep=sleep, now=lambda: clock[0])


def test_following_shows_everything_once_over_dropped_connections() -> None:
    dropped = RuntimeError("WebSocket connection closed unexpectedly with close code 1006")
    away = ConnectionError("refused")
    client = FakeClient(
        ("one\n", dropped), ("", away), ("", away), ("one\ntwo, fünf\n", "RUNNING"),
        ("one\ntwo, fünf\n", dropped), ("one\ntwo, fünf\nend\n", "SUCCEEDED"), ("one\ntwo, fünf\nend\n", "SUCCEEDED"),
    )  # fmt: skip
    lost: list[str] = []
    assert "".join(followed(client, lost.append)) == "one\ntwo, fünf\nend\n"
    assert len(lost) == 2  # said once for each time that it was away
    assert "close code 1006" in lost[0]


def test_a_head_that_forgot_the_job_ends_the_following() -> None:
    client = FakeClient(("one\n", RuntimeError("Request failed with status code 404: Job j does not exist.")))
    with pytest.raises(UserError, match="was restarted and has forgotten j: submit the same command again"):
        list(followed(client, lambda line: None))


def test_a_cluster_that_stays_away_is_given_up() -> None:
    client = FakeClient(*[("", ConnectionError("refused"))] * 10)
    with pytest.raises(UserError, match=r"does not answer any more \(refused\); j may go on"):
        list(followed(client, lambda line: None, step=PATIENCE / 3))


def test_a_silent_connection_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(FakeClient):
        async def tail_job_logs(self, job_id: str) -> AsyncGenerator[str, None]:
            import asyncio

            async for piece in super().tail_job_logs(job_id):
                yield piece
            if self.ended == "RUNNING":
                await asyncio.Event().wait()

    monkeypatch.setattr("dferc_platform.jobs.following.QUIET", 0.05)
    client = Silent(("one\n", "RUNNING"), ("one\ntwo\n", "SUCCEEDED"), ("one\ntwo\n", "SUCCEEDED"))
    lost: list[str] = []
    assert "".join(followed(client, lost.append)) == "one\ntwo\n"
    assert not lost
