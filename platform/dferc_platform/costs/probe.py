"""Measures in this process or, on a cluster, in a process on a node that has what a trial will have."""

import json
from collections.abc import Sequence

from dferc.errors import UserError
from dferc_platform.config import RunConfig, make_config
from dferc_platform.costs.measure import TIMED, Cost, measure
from dferc_platform.saved import open_corpus
from dferc_platform.sweep.resources import Resources

Measured = Cost | UserError
"""The error is of that config alone, as it would be of its run."""


def probe(configs: Sequence[RunConfig], resources: Resources, on_cluster: bool, timed: int = TIMED) -> list[Measured]:
    """What each run would cost on these resources; on the cluster we are connected to, as many at a time as fit."""
    if not on_cluster:
        return [_measured(config, resources.threads, resources.device, timed) for config in configs]
    import ray

    # A process of its own for each: what one has left in memory, on the GPU above all, is not measured with the next.
    run = ray.remote(max_calls=1, max_retries=1)(_in_task).options(
        num_cpus=resources.cpus, num_gpus=resources.gpus, memory=resources.memory or None
    )
    texts = [config.model_dump_json() for config in configs]
    found = ray.get([run.remote(text, resources.threads, resources.device, timed) for text in texts])
    return [UserError(one) if isinstance(one, str) else one for one in found]


def _in_task(config: str, threads: int, device: str, timed: int) -> Cost | str:
    measured = _measured(make_config(json.loads(config)), threads, device, timed)
    return str(measured) if isinstance(measured, UserError) else measured


def _measured(config: RunConfig, threads: int, device: str, timed: int) -> Measured:
    try:
        return measure(config, open_corpus(config.corpus), threads, device, timed)
    except UserError as error:
        return error
