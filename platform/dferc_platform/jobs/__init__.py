"""Commands of ours as jobs on a Ray cluster: planned, submitted, followed, explained, stopped."""

from dferc_platform.jobs.client import ENDED, info, job_ids, listed, logs, remove, stop, submit, wait_for_end
from dferc_platform.jobs.explanation import explain, state, wait_for_start
from dferc_platform.jobs.following import follow
from dferc_platform.jobs.request import Driver, JobRequest, plan_job

__all__ = [
    "ENDED",
    "Driver",
    "JobRequest",
    "explain",
    "follow",
    "info",
    "job_ids",
    "listed",
    "logs",
    "plan_job",
    "remove",
    "state",
    "stop",
    "submit",
    "wait_for_end",
    "wait_for_start",
]
