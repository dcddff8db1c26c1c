"""One stack for all tests of this folder: what docker/compose.yaml starts, as processes."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dferc.corpus.synthetic import TINY, generate

from .compose import FOLDER, Compose
from .processes import CLEAN, POSTGRESQL, SECONDS, Processes, status_of

WORKERS = ("worker1", "worker2")
MACHINES = ("head", *WORKERS, "mlflow", "database", "store", "laptop")

CORPUS = "s3://dferc/corpora/tiny.parquet"
RESULTS = "s3://dferc/results"


@dataclass
class Stack:
    """The stack, and the laptop of somebody who uses it."""

    place: Path
    compose: Compose
    processes: Processes
    secrets: dict[str, str]
    """By file name: what must be seen nowhere."""
    said: list[str] = field(default_factory=list)
    """Everything that the commands on the laptop printed."""

    @property
    def jobs(self) -> str:
        """Ray's dashboard."""
        return self.compose.url("head", 8265)

    @property
    def mlflow(self) -> str:
        """MLflow's address."""
        return self.compose.url("mlflow", 5000)

    def dferc(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command on the laptop, which has Ray's token and what is named here."""
        home = self.place / "laptop" / "home"
        environment = CLEAN | {
            "HOME": str(home), "DFERC_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.compose.secrets / "ray_token"),
            "TMPDIR": str(self.place / "laptop" / "tmp"),
        }  # fmt: skip
        ran = subprocess.run(
            [sys.executable, "-m", "dferc_platform", *words], cwd=home, env=environment | variables,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        self.said.append(ran.stdout + ran.stderr)
        return ran

    def submit(self, name: str, *words: str, follow: str = "--follow") -> subprocess.CompletedProcess[str]:
        """Submit a sweep from the laptop."""
        sweep = ("sweep", "smoke", "--name", name, "--corpus", CORPUS, "--concurrency", "2", *words)
        return self.dferc("--results", RESULTS, "submit", follow, "--address", self.jobs, "--id", name, "--", *sweep)

    def store_keys(self) -> dict[str, str]:
        """What reaches the S3-compatible store, as variables."""
        return {
            "AWS_ACCESS_KEY_ID": self.secrets["store_access_key"],
            "AWS_SECRET_ACCESS_KEY": self.secrets["store_secret_key"],
            "AWS_ENDPOINT_URL": self.compose.url("store", 7070),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def bucket(self) -> Any:
        """A client of the store."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.compose.url("store", 7070), region_name="us-east-1",
            aws_access_key_id=self.secrets["store_access_key"],
            aws_secret_access_key=self.secrets["store_secret_key"],
        )  # fmt: skip

    def mlflow_client(self) -> Any:
        """A client of MLflow with the admin's password."""
        from mlflow import MlflowClient

        password = self.secrets["mlflow_admin_password"]
        return MlflowClient(self.mlflow.replace("://", f"://admin:{password}@"))

    def objects(self, prefix: str) -> list[str]:
        """Names of what lies in the bucket."""
        pages = self.bucket().get_paginator("list_objects_v2").paginate(Bucket="dferc", Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def start_mlflow(self) -> None:
        """Start MLflow's server, or start it again."""
        self.processes.start("mlflow", "mlflow", PGPORT=self.compose.ports["5432"])

    def wait_for_mlflow(self) -> None:
        """Wait until it answers."""
        self.processes.wait("mlflow", lambda: status_of(f"{self.mlflow}/health") == 200)


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The stack, started once; it is closed by the secrets that docker/make_secrets.sh makes."""
    if POSTGRESQL is None:
        pytest.skip("PostgreSQL is not installed: /usr/lib/postgresql has no bin folder")
    place = Path(tempfile.mkdtemp(prefix="dferc-"))  # short: socket paths have at most 107 characters
    place.chmod(0o755)
    number = os.getpid() % 250 + 2
    compose = Compose(place, {machine: f"127.77.{number}.{i}" for i, machine in enumerate(MACHINES, start=2)})
    subprocess.run([FOLDER / "make_secrets.sh", compose.secrets], check=True, stdout=subprocess.DEVNULL)
    secrets = {path.name: path.read_text(encoding="ascii") for path in compose.secrets.iterdir()}
    processes = Processes(place, compose)
    made = Stack(place, compose, processes, secrets)
    try:
        start(made)
        yield made
    finally:
        processes.stop_all()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="package")
def swept(stack: Stack) -> str:
    """The name of a study of two trials, which a job made."""
    ran = stack.submit("newcomer", "--trials", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr + stack.processes.output("mlflow")
    assert "SUCCEEDED" in ran.stdout
    return "newcomer"


def start(stack: Stack) -> None:
    """Start everything; servers that need not wait for each other come up together."""
    processes, compose = stack.processes, stack.compose
    for folder in ("home", "tmp"):
        (stack.place / "laptop" / folder).mkdir(parents=True)
    processes.start_store()
    stack.bucket().create_bucket(Bucket="dferc")
    corpus = generate(TINY).save(stack.place / "tiny.parquet")
    stack.bucket().upload_file(str(corpus), "dferc", "corpora/tiny.parquet")
    processes.start_database()
    compose.service("mlflow", "mlflow")
    compose.script("with_secrets", "mlflow")
    stack.start_mlflow()
    start_ray(stack, "head", "head", f"--ray-client-server-port={next(compose.spare)}")
    processes.wait("head", partial(said_started, processes, "head"))
    for machine in WORKERS:
        start_ray(stack, "worker", machine, "--num-cpus=1")  # in a container, what its limits allow
    for machine in WORKERS:
        processes.wait(machine, partial(said_started, processes, machine))
    stack.wait_for_mlflow()


def start_ray(stack: Stack, service: str, machine: str, *more: str) -> None:
    """A node of Ray, with what several of them on one host must not share."""
    own = [
        f"--node-ip-address={stack.compose.addresses[machine]}",
        f"--temp-dir={stack.place / machine / 'tmp'}",
        f"--dashboard-agent-listen-port={next(stack.compose.spare)}",
    ]
    stack.processes.start(service, machine, *own, *more)


def said_started(processes: Processes, machine: str) -> bool:
    """Whether a node of Ray has come up."""
    return "Ray runtime started" in processes.output(machine)
