"""How a job is, in words: what it waits for, why it failed, what to do."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dferc_platform.capacity import amounts
from dferc_platform.jobs.client import POLL, answering, connect, info

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

Node = Mapping[str, tuple[float, float]]
PATIENCE = 10.0
"""Seconds that a job may take to start before anybody is told why."""
LAST_LINES = 12
"""Of what a failed job has printed."""
AGAIN = "submit the same command again, it goes on where it stopped"
CAUSES = {
    "JOB_SUPERVISOR_ACTOR_DIED": f"the node of its driver was lost: {AGAIN}",
    "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE": "its driver fits on no node: ask for less with --cpus, --gpus, --memory",
    "JOB_SUPERVISOR_ACTOR_START_TIMEOUT": "what its driver asks for did not become free in time: ask for less with "
    "--cpus, --gpus, --memory, or set RAY_JOB_START_TIMEOUT_SECONDS on the head",
    "JOB_SUPERVISOR_ACTOR_START_FAILURE": "its driver could not be started",
    "RUNTIME_ENV_SETUP_FAILURE": "its environment could not be set up",
}
EXITS = {
    1: "an unexpected error",
    2: "its command or its data must be mended",
    130: "it was interrupted",
    137: "it was killed, as happens when memory runs out",
    143: "it was terminated",
}


def state(job: str, address: str) -> tuple[str, list[str]]:
    """The status of a job, and sentences that explain it."""
    found = info(job, address)
    nodes = _nodes(address) if found.status.value == "PENDING" else []
    return str(found.status.value), explain(found, nodes)


def wait_for_start(job: str, address: str, say: Callable[[str], None]) -> None:
    """Return when the job runs or has ended; ``say`` hears what it waits for when that takes long."""
    begun, told = time.monotonic(), [""]
    while True:
        status, sentences = state(job, address)
        if status != "PENDING":
            return
        if time.monotonic() - begun > PATIENCE and sentences != told:
            say(f"{job} is PENDING: {sentences[0]}")
            told = sentences
        time.sleep(POLL)


def explain(job: "JobDetails", nodes: "Sequence[Node]" = ()) -> list[str]:
    """Sentences on a job that waits or has failed; ``nodes`` say of each resource how much is free of how much."""
    if job.status.value == "PENDING":
        return [_waits(asked_of(job), nodes)]
    return _failed(job) if job.status.value == "FAILED" else []


def asked_of(job: "JobDetails") -> dict[str, float]:
    """What the job's driver asks for, as we noted it when it was submitted: Ray does not tell."""
    noted = job.metadata or {}
    return {name: float(noted[name]) for name in ("CPU", "GPU", "memory") if name in noted}


def _waits(asked: Mapping[str, float], nodes: "Sequence[Node]") -> str:
    def fits(node: "Node", place: int) -> bool:
        return all(node.get(name, (0, 0))[place] >= amount for name, amount in asked.items())

    if not asked or not nodes or any(fits(node, 0) for node in nodes):
        return "its environment is being set up, or a process for it is being started"
    free = "; ".join(f"{_part(asked, node, 0)} of {_part(asked, node, 1)}" for node in nodes)
    largest = "" if any(fits(node, 1) for node in nodes) else "; no node is that large: stop it and ask for less"
    return f"its driver waits for {amounts(asked)} on one node; free are {free}{largest}"


def _part(asked: Mapping[str, float], node: "Node", place: int) -> str:
    """What is free on a node (0), or what it has (1), of what is asked for."""
    return amounts({name: node.get(name, (0, 0))[place] for name in asked})


def _failed(job: "JobDetails") -> list[str]:
    lines = [line for line in (job.message or "").splitlines() if line.strip()]
    code = job.driver_exit_code
    if code is not None:
        said = EXITS.get(code, "see what it printed")
        return [f"its command ended with exit code {code}: {said}", "the last that it printed:", *lines[-LAST_LINES:]]
    reason = lines[0] if lines else "Ray gives no reason"
    cause = CAUSES.get(job.error_type or "")
    return [f"{cause} ({reason})" if cause else reason]


def _nodes(address: str) -> "list[Node]":
    """Of each node, how much is free of how much; none where the cluster does not say."""
    with answering(address):
        answer: Any = connect(address)._do_request("GET", "/api/cluster_status").json()
    for part in ("data", "clusterStatus", "loadMetricsReport", "usageByNode"):
        answer = (answer or {}).get(part)
    return [{name: (total - used, total) for name, (used, total) in node.items()} for node in (answer or {}).values()]
