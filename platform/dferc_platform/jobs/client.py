"""Ray's Jobs API, with sentences where it has tracebacks."""

import difflib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dferc.errors import UserError
from dferc_platform.cluster import first_line, prepare_environment
from dferc_platform.jobs.package import staged
from dferc_platform.jobs.request import JobRequest

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

POLL = 0.5
"""Seconds between looks at a job."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


def connect(address: str) -> "JobSubmissionClient":
    """A client of the Jobs API.

    Raises:
        UserError: nobody answers there, or it asks for a token that we do not have.
    """
    prepare_environment()
    from ray.job_submission import JobSubmissionClient

    for name in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell of every upload
    with answering(address):
        return JobSubmissionClient(address)


@contextmanager
def answering(address: str) -> Iterator[None]:
    """What goes wrong on the way to a cluster, as one sentence."""
    import requests
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError:
        raise UserError(
            f"the Ray cluster at {address} asks for a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"
        ) from None
    except (ConnectionError, requests.RequestException, RuntimeError, ValueError) as error:
        raise UserError(
            f"no Ray cluster answers at {address} ({first_line(error)}): "
            "start one with `ray start --head`, or give --address"
        ) from None


def submit(request: JobRequest, address: str) -> str:
    """Ship the files and start the job; its id.

    Raises:
        UserError: the cluster refuses it, or has a job of that id.
    """
    client = connect(address)
    if request.id in job_ids(address):
        raise UserError(f"the Ray cluster at {address} has a job {request.id} already: choose another --id")
    driver = request.driver
    with answering(address), staged(request.package) as folder:
        return str(
            client.submit_job(
                entrypoint=request.entrypoint,
                submission_id=request.id,
                runtime_env={**request.runtime_env, "working_dir": str(folder)},
                metadata=request.metadata,
                entrypoint_num_cpus=driver.cpus or None,
                entrypoint_num_gpus=driver.gpus or None,
                entrypoint_memory=driver.memory or None,
            )
        )


def listed(address: str) -> "list[JobDetails]":
    """All jobs that were submitted, the newest first."""
    with answering(address):
        jobs = [job for job in connect(address).list_jobs() if job.submission_id]
    return sorted(jobs, key=lambda job: job.start_time or 0, reverse=True)


def job_ids(address: str) -> list[str]:
    """Ids of all jobs, the newest first."""
    return [str(job.submission_id) for job in listed(address)]


def info(job: str, address: str) -> "JobDetails":
    """All that Ray knows of a job.

    Raises:
        UserError: it knows none of that id.
    """
    client = connect(address)
    with answering(address):
        try:
            return client.get_job_info(job)
        except RuntimeError as error:
            if not unknown(error):
                raise
    near = difflib.get_close_matches(job, job_ids(address), n=3, cutoff=0.4)
    meant = f"did you mean {' or '.join(near)}?" if near else "`dferc job list` shows all"
    raise UserError(f"the Ray cluster at {address} knows no job {job}: {meant}")


def unknown(error: Exception) -> bool:
    """Whether Ray says that there is no such job."""
    return "status code 404" in str(error)


def logs(job: str, address: str) -> str:
    """All that the job has printed so far."""
    info(job, address)
    with answering(address):
        return str(connect(address).get_job_logs(job))


def stop(job: str, address: str) -> str:
    """Interrupt the job as Ctrl-C would: it saves, closes its runs in MLflow and can be resumed.

    The status that it had before: what had ended is left alone, and Ray stops what is PENDING once it starts.
    """
    before = str(info(job, address).status.value)
    if before not in ENDED:
        with answering(address):
            connect(address).stop_job(job)
    return before


def wait_for_end(job: str, address: str, sleep: Callable[[float], None] = time.sleep) -> str:
    """SUCCEEDED, FAILED or STOPPED."""
    while (status := str(info(job, address).status.value)) not in ENDED:
        sleep(POLL)
    return status


def remove(job: str, address: str) -> None:
    """Make the cluster forget a job that has ended; its results stay.

    Raises:
        UserError: it has not ended.
    """
    status = info(job, address).status.value
    if status not in ENDED:
        raise UserError(f"{job} is {status}: stop it first, `dferc job stop --wait {job}`")
    with answering(address):
        connect(address).delete_job(job)
