"""After a sweep, what closes the stack stands nowhere but in its secret files: not in results, MLflow, jobs or logs."""

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .conftest import RESULTS, Stack
from .processes import CLEAN, POSTGRESQL

pytestmark = pytest.mark.cluster

WRONG = "not-the-password"
"""What somebody types who is mistaken; it may be right elsewhere."""


@pytest.fixture(scope="module")
def secrets(swept: str, stack: Stack) -> dict[str, bytes]:
    """What must be seen nowhere, once a sweep has run and errors were made, which speak most."""
    address = stack.mlflow.replace("://", f"://admin:{WRONG}@")
    missing = ("train", "--corpus", "s3://dferc/no-such.parquet")
    failed = [
        stack.dferc("submit", "--address", stack.jobs, "--", *missing),
        stack.dferc("submit", "--address", stack.jobs, "--", "sync", swept, MLFLOW_TRACKING_URI=address),
        stack.dferc("submit", "--address", stack.jobs, "--env", f"MLFLOW_TRACKING_PASSWORD={WRONG}", "--", *missing),
        stack.dferc("--results", f"s3://admin:{WRONG}@dferc/results", "report", swept, **stack.store_keys()),
        stack.dferc("--verbose", "--mlflow", address, "--results", RESULTS, "sync", swept, **stack.store_keys()),
    ]
    assert all(ran.returncode for ran in failed), [ran.args for ran in failed if ran.returncode == 0]
    hidden = {name: text for name, text in stack.secrets.items() if not name.endswith("_credentials")}
    return {name: text.encode() for name, text in {**hidden, "a typed password": WRONG}.items()}


def held_by(content: bytes, secrets: dict[str, bytes]) -> list[str]:
    """Names of the secrets in something."""
    return [name for name, secret in secrets.items() if secret in content]


def files(folder: Path) -> Iterator[Path]:
    """Files with content below a folder."""
    for path, _, names in os.walk(folder):
        yield from (Path(path, name) for name in names if Path(path, name).is_file())


def test_no_secret_is_said(secrets: dict[str, bytes], stack: Stack) -> None:
    assert "2 of 2 runs finished" in "".join(stack.said)
    assert not held_by("".join(stack.said).encode(), secrets)


def test_no_secret_lies_in_files(secrets: dict[str, bytes], stack: Stack) -> None:
    """Logs of Ray and of servers, working copies of results, logs of errors."""
    handed_out = [stack.compose.secrets, *stack.place.glob("*/home/.aws"), *stack.place.glob("*/home/.mlflow")]
    read = [path for path in files(stack.place) if not any(path.is_relative_to(given) for given in handed_out)]
    assert {"gcs_server.out", "job-driver-newcomer.log", "study.json"} <= {path.name for path in read}
    assert not {str(path): names for path in read if (names := held_by(path.read_bytes(), secrets))}


def test_no_secret_lies_in_the_bucket(swept: str, secrets: dict[str, bytes], stack: Stack) -> None:
    names = stack.objects("")
    assert {name.split("/")[0] for name in names} >= {"results", "mlflow"}
    content = {name: stack.bucket().get_object(Bucket="dferc", Key=name)["Body"].read() for name in names}
    assert not {name: found for name, body in content.items() if (found := held_by(body, secrets))}


def test_no_secret_lies_in_the_database(swept: str, secrets: dict[str, bytes], stack: Stack) -> None:
    assert POSTGRESQL is not None
    address, port = stack.compose.addresses["database"], stack.compose.ports["5432"]
    dumped = subprocess.run(
        [POSTGRESQL / "pg_dump", "-h", address, "-p", port, "-U", "mlflow", "mlflow"],
        env=CLEAN | {"PGPASSWORD": stack.secrets["database_password"]}, capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert swept.encode() in dumped
    assert not held_by(dumped, secrets)


def test_no_secret_is_in_a_jobs_description(swept: str, secrets: dict[str, bytes], stack: Stack) -> None:
    token = {"Authorization": f"Bearer {stack.secrets['ray_token']}"}
    request = urllib.request.Request(f"{stack.jobs}/api/jobs/", headers=token)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        described = answer.read()
    assert swept.encode() in described
    assert not held_by(described, secrets)


def test_no_secret_is_a_word_of_a_running_command(secrets: dict[str, bytes], stack: Stack) -> None:
    """Every user of a machine sees those."""
    lines = ["\0".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert any(stack.mlflow.rpartition(":")[2] in line for line in lines)  # MLflow's server is among them
    assert not [names for line in lines if (names := held_by(line.encode(), secrets))]
