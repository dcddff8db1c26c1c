"""The stack of docker/compose.yaml, used as a newcomer would: a sweep by a job, runs in MLflow, results back."""

import base64
import signal
from typing import Any

import pytest

from .conftest import RESULTS, Stack
from .processes import status_of, wait_until

pytestmark = pytest.mark.cluster


EPOCHS = 30


def runs_in_mlflow(stack: Stack, study: str) -> list[Any]:
    """The runs of a study and of itself, as the server tells them to somebody with a password."""
    client = stack.mlflow_client()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.study = '{study}'"))


def test_nobody_without_a_password_sees_runs(stack: Stack) -> None:
    page = f"{stack.mlflow}/api/2.0/mlflow/experiments/search?max_results=5"
    wrong = base64.b64encode(b"admin:wrong").decode()
    right = base64.b64encode(f"admin:{stack.secrets['mlflow_admin_password']}".encode()).decode()
    assert status_of(page) == 401
    assert status_of(page, Authorization=f"Basic {wrong}") == 401
    assert status_of(page, Authorization=f"Basic {right}") == 200
    assert status_of(page, Authorization=f"Basic {right}", Host="evil.example") == 403


def test_nobody_without_the_token_submits_jobs(stack: Stack) -> None:
    assert status_of(f"{stack.jobs}/api/jobs/") == 401
    assert status_of(f"{stack.jobs}/api/jobs/", Authorization="Bearer wrong" + 26 * "0") in (401, 403)
    assert status_of(f"{stack.jobs}/api/jobs/", Authorization=f"Bearer {stack.secrets['ray_token']}") == 200


def test_a_sweep_is_submitted_followed_and_kept(swept: str, stack: Stack) -> None:
    runs = runs_in_mlflow(stack, swept)
    assert [run.info.status for run in runs] == ["FINISHED"] * 3  # the study and its two runs
    assert all("validation/weighted_f1" in run.data.metrics for run in runs if is_run(run))
    kept = {name.rsplit("/artifacts/")[1] for name in stack.objects("mlflow/") if "/artifacts/" in name}
    assert {"result.json", "predictions.parquet", "confusion.html", "report/report.html"} <= kept
    assert any(name.startswith("best/") for name in kept)


def test_its_results_are_read_on_the_laptop(swept: str, stack: Stack) -> None:
    ran = stack.dferc("--results", RESULTS, "report", swept, **stack.store_keys())
    assert ran.returncode == 0, ran.stderr
    assert "report.html" in ran.stdout


def test_a_lost_worker_and_an_absent_mlflow_lose_nothing(stack: Stack, swept: str) -> None:
    longer = ("--trials", "3", "--set", f"epochs={EPOCHS}", "--set", f"patience={EPOCHS}")
    submitted = stack.submit("faults", *longer, follow="--no-follow")
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr

    def said() -> str:
        return stack.dferc("job", "logs", "--address", stack.jobs, "faults").stdout

    stack.processes.stop("mlflow")
    wait_until(lambda: len(epochs_kept(stack, "faults")) == 2, said)  # one a worker
    stack.start_mlflow()
    stack.processes.stop("worker2", signal.SIGKILL)
    followed = stack.dferc("job", "logs", "--follow", "--address", stack.jobs, "faults")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "3 of 3 runs finished" in followed.stdout
    assert epochs_kept(stack, "faults") == [EPOCHS] * 3
    runs = runs_in_mlflow(stack, "faults")
    assert [run.info.status for run in runs] == ["FINISHED"] * 4, followed.stdout
    client = stack.mlflow_client()
    points = [client.get_metric_history(run.info.run_id, "epochs_trained") for run in runs if is_run(run)]
    assert [sorted(point.step for point in curve) for curve in points] == [list(range(1, EPOCHS + 1))] * 3


def epochs_kept(stack: Stack, study: str) -> list[int]:
    """How many epochs of each run of a study lie in the bucket."""
    names = [name for name in stack.objects(f"results/{study}/runs/") if name.endswith("/history.jsonl")]
    return [stack.bucket().get_object(Bucket="dferc", Key=name)["Body"].read().count(b"\n") for name in names]


def is_run(run: Any) -> bool:
    """Whether a run of MLflow's is one training, not the study above it."""
    return "run_key" in run.data.tags
