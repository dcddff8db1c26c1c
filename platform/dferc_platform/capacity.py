"""What the Ray cluster that we are connected to has, who holds it, and whether it grows by itself."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

AUTOSCALES = "DFERC_AUTOSCALES"
"""Environment variable: 1 where nodes are started when they are asked for, 0 where they are not; else Ray is asked."""

COUNTED = ("CPU", "GPU", "memory")
TOLERANCE = 1e-6
MOST_LISTED = 10_000
ANSWER_SECONDS = 5
"""For the dashboard to answer; who holds what is not worth a longer wait."""
OWN_NODE = re.compile(r"node_[0-9a-f]+")
"""The type that Ray invents for a node that no autoscaler has started."""


@dataclass(frozen=True)
class Growth:
    """What an autoscaler is doing."""

    starting: tuple[str, ...] = ()
    """Nodes that are on their way, in words."""
    failed: tuple[str, ...] = ()
    """Nodes that could not be started, in words."""


def nodes() -> list[dict[str, float]]:
    """What each node that is alive has in all."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def fit(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """How many bundles of resources a node can hold; 1 / 0.1 is 10."""
    return min(int(node.get(name, 0) / amount + TOLERANCE) for name, amount in wanted.items() if amount)


def amounts(resources: Mapping[str, float]) -> str:
    """Resources in words: ``8 CPU, 2 GPU and 9 GB memory``."""
    named = [_amount(name, resources[name]) for name in COUNTED if resources.get(name)]
    return " and ".join(filter(None, (", ".join(named[:-1]), *named[-1:]))) or "nothing"


def _amount(name: str, amount: float) -> str:
    return f"{amount / 1e9:.3g} GB memory" if name == "memory" else f"{amount:.4g} {name}"


def grows() -> bool:
    """Whether nodes are started when work waits for them; DFERC_AUTOSCALES outranks what Ray tells."""
    said = os.environ.get(AUTOSCALES, "").strip().lower()
    return said in ("1", "true", "yes") if said else growth() is not None


def growth() -> Growth | None:
    """What the cluster's autoscaler is doing; None where Ray knows of none, or does not tell."""
    import ray

    with suppress(Exception):  # none of this is promised by Ray, and no sweep should end by it
        address = ray.get_runtime_context().gcs_address
        return _growth_of_version_1() or _growth_of_version_2(address)
    return None


def _growth_of_version_1() -> Growth | None:
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.experimental.internal_kv import _internal_kv_get

    report = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or "{}").get("autoscaler_report") or {}
    starting = Counter(dict(report.get("pending_launches") or {}))
    starting.update(kind for _, kind, _ in report.get("pending_nodes") or ())
    failed = Counter(kind for _, kind in report.get("failed_nodes") or ())
    here = (report.get("node_type_mapping") or {}).values()
    if all(OWN_NODE.fullmatch(kind) for kind in (*here, *starting, *failed)):
        return None
    return Growth(_counted(starting), _counted(failed))


def _growth_of_version_2(address: str) -> Growth | None:
    from ray.autoscaler.v2.sdk import get_cluster_status

    status = get_cluster_status(address)
    kinds = [node.ray_node_type_name for node in (*status.active_nodes, *status.idle_nodes)]
    if status.stats.autoscaler_version in (None, "0") or all(OWN_NODE.fullmatch(kind) for kind in kinds):
        return None
    starting = Counter(node.ray_node_type_name for node in status.pending_nodes)
    for launch in status.pending_launches:
        starting[launch.ray_node_type_name] += launch.count
    return Growth(_counted(starting), _counted(Counter(one.ray_node_type_name for one in status.failed_launches)))


def _counted(kinds: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{count} of {kind}" for kind, count in sorted(kinds.items()))


@dataclass(frozen=True)
class Holder:
    """A job that holds resources."""

    name: str
    resources: Mapping[str, float]


def own_job() -> str:
    """Ray's id of the job that we are."""
    import ray

    return str(ray.get_runtime_context().get_job_id())


def groups() -> dict[str, dict[str, Any]]:
    """The placement groups of our own job: every trial and every set of workers has one. Asks no dashboard."""
    import ray

    job = own_job()  # with which the id of a group ends
    return {key: group for key, group in ray.util.placement_group_table().items() if key.endswith(job)}


def holders() -> list[Holder]:
    """Who holds resources, most first, as far as Ray tells; empty where its dashboard does not answer."""
    import ray
    from ray.util import state

    with suppress(Exception):  # an old dashboard, none, or one that is too busy
        asked: dict[str, Any] = {
            "address": ray.get_runtime_context().gcs_address,
            "limit": MOST_LISTED,
            "timeout": ANSWER_SECONDS,
            "raise_on_missing_output": False,
            "detail": True,
        }
        created, alive, running = (("state", "=", name) for name in ("CREATED", "ALIVE", "RUNNING"))
        held: list[tuple[str, Mapping[str, float]]] = [
            (group.creator_job_id, bundle["unit_resources"])
            for group in state.list_placement_groups(filters=[created], **asked)
            for bundle in group.bundles or ()
        ]
        actors = state.list_actors(filters=[alive], **asked)
        tasks = state.list_tasks(filters=[running, ("type", "=", "NORMAL_TASK")], **asked)
        held += [(one.job_id, one.required_resources or {}) for one in (*actors, *tasks) if not one.placement_group_id]
        return _by_job(held, {job.job_id: job for job in state.list_jobs(**asked) if job.job_id})
    return []


def _by_job(held: Iterable[tuple[str, Mapping[str, float]]], jobs: Mapping[str, Any]) -> list[Holder]:
    sums: dict[str, Counter[str]] = {}
    for job, resources in held:
        sums.setdefault(job, Counter()).update({name: resources[name] for name in COUNTED if resources.get(name)})  # type: ignore[arg-type]
    found = [Holder(_job_name(job, jobs.get(job)), dict(total)) for job, total in sums.items() if total]
    return sorted(found, key=lambda holder: [-holder.resources.get(name, 0) for name in ("GPU", "CPU", "memory")])


def _job_name(job: str, known: Any) -> str:
    if job == own_job():
        return "this command"
    submitted = getattr(known, "submission_id", None)
    command = " ".join(str(getattr(known, "entrypoint", "") or "").split())
    shown = f" ({command[:60]}{'...' if len(command) > 60 else ''})" if command else ""
    return f"job {submitted or job}{shown}"
