"""A command of ours as a job on a Ray cluster, through Ray's Jobs API."""

import asyncio
import logging
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dferc.errors import UserError
from dferc_platform.cluster import ENVIRONMENT, first_line, prepare_environment

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

SOURCES = "model:platform"
"""The source roots of the repository: on PYTHONPATH they make dferc importable where it is not installed."""
LARGEST_FILE = 10 * 2**20
"""Bytes; what is larger is data, which is read by its path, not shipped."""
EXCLUDED = (
    ".git",
    ".venv",
    "venv",
    "__pycache__",
    "*.pyc",
    "results",
    "corpora",
    "mlruns",
    "mlartifacts",
    "*.db",
    ".*_cache",
    "node_modules",
)
PATH_OPTIONS = ("--corpus", "--results", "--out")
"""Options whose value, when it is a path, must mean the same on the cluster as here."""


@dataclass(frozen=True)
class JobRequest:
    """What the cluster is asked to run."""

    entrypoint: str
    """The shell command."""
    runtime_env: dict[str, Any]
    """Ray's description of what it needs: files, environment variables."""


def plan_job(arguments: Sequence[str], working_dir: Path, results: Path) -> JobRequest:
    """The job that runs ``dferc ARGUMENTS`` on the files of ``working_dir`` and keeps its results in ``results``.

    Raises:
        UserError: there is no such folder, or no command.
    """
    if not arguments:
        raise UserError("there is nothing to submit: write the command after --, as in `dferc submit -- sweep df_erc`")
    if not working_dir.is_dir():
        raise UserError(f"--working-dir {working_dir} is no folder")
    runtime_env = {
        "working_dir": str(working_dir.resolve()),
        "excludes": [*EXCLUDED, *_large_files(working_dir)],
        "env_vars": _environment(working_dir, results),
    }
    words = ["python", "-m", "dferc_platform", *absolute_paths(arguments)]
    return JobRequest(shlex.join(words), runtime_env)


def absolute_paths(arguments: Sequence[str]) -> list[str]:
    """The same arguments with the paths after ``PATH_OPTIONS`` made absolute: a job runs in a folder of Ray's."""
    made: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if equals and option in PATH_OPTIONS:
            made.append(f"{option}={_absolute(value)}")
        elif made and made[-1] in PATH_OPTIONS:
            made.append(_absolute(argument))
        else:
            made.append(argument)
    return made


def _absolute(value: str) -> str:
    return value if value == "synthetic" else str(Path(value).expanduser().resolve())


def submit(request: JobRequest, address: str) -> str:
    """Start the job; its id."""
    return str(client(address).submit_job(entrypoint=request.entrypoint, runtime_env=request.runtime_env))


def status(job: str, address: str) -> str:
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    return str(_known(job, address).get_job_status(job).value)


def logs(job: str, address: str) -> str:
    """All that the job has printed so far."""
    return str(_known(job, address).get_job_logs(job))


def follow(job: str, address: str) -> Iterator[str]:
    """What the job prints, piece by piece, until it ends."""
    pieces = _known(job, address).tail_job_logs(job)

    async def another() -> str | None:
        return await anext(pieces, None)

    with asyncio.Runner() as runner:
        while (piece := runner.run(another())) is not None:
            yield piece


def stop(job: str, address: str) -> None:
    """Interrupt the job as Ctrl-C would: it saves, closes its runs in MLflow and can be resumed."""
    _known(job, address).stop_job(job)


def client(address: str) -> "JobSubmissionClient":
    """A client of the Jobs API.

    Raises:
        UserError: nobody answers there, or it asks for a token that we do not have.
    """
    prepare_environment()
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)  # it tells of every ignored file
    try:
        return JobSubmissionClient(address)
    except AuthenticationError:
        raise UserError(
            f"the Ray cluster at {address} asks for a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"
        ) from None
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"no Ray cluster answers at {address} ({first_line(error)}): "
            "start one with `ray start --head`, or give --address"
        ) from None


def _known(job: str, address: str) -> "JobSubmissionClient":
    found = client(address)
    try:
        found.get_job_info(job)
    except RuntimeError:
        raise UserError(f"the Ray cluster at {address} knows no job {job}") from None
    return found


def _environment(working_dir: Path, results: Path) -> Mapping[str, str]:
    variables = {
        **ENVIRONMENT,
        "DFERC_RESULTS": str(results.resolve()),  # the job's own folder is deleted after it
        "RAY_JOB_STOP_SIGNAL": "SIGINT",  # the default is SIGTERM and, 3 s later, SIGKILL: trials would stay RUNNING
        "RAY_JOB_STOP_WAIT_TIME_S": "30",
    }
    if (working_dir / "platform" / "dferc_platform").is_dir():
        variables["PYTHONPATH"] = SOURCES
    passed = {name: os.environ[name] for name in ("MLFLOW_TRACKING_URI", "RAY_AUTH_MODE") if name in os.environ}
    return variables | passed


def _large_files(working_dir: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(working_dir):
        folders[:] = [name for name in folders if name not in EXCLUDED]
        for path in (Path(folder, name) for name in files):
            if not path.is_symlink() and path.stat().st_size > LARGEST_FILE:
                found.append("/" + path.relative_to(working_dir).as_posix())
    return found
