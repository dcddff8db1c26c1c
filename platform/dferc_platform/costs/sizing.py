"""How much of a GPU and of a node's memory a trial is given, by measurement."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dferc.errors import UserError
from dferc_platform import capacity
from dferc_platform.config import RunConfig
from dferc_platform.costs.measure import Cost
from dferc_platform.costs.probe import probe
from dferc_platform.memory import MEBIBYTE
from dferc_platform.results import read_run
from dferc_platform.saved import open_corpus
from dferc_platform.sweep.resources import Resources

MARGIN = 1.15
"""On top of what was measured: an allocator falls into pieces over hundreds of steps, a probe runs a dozen."""
CONTEXT_MB = 512.0
"""Of each process on a GPU beside its tensors, where it was not measured: the CUDA context. About 300 MB since CUDA
11.7 loads kernels when they are used (github.com/pytorch/pytorch/issues/107667), up to 1 GB before (issues/28394)."""
PARTS = 10_000
"""In so many parts Ray counts a GPU, so 1/7 is asked for as 0.1428: rounded up, a seventh one would not fit."""


@dataclass(frozen=True)
class Sizes:
    """What a trial is to take, as it was asked for."""

    gpus: float | None = 0.0
    """None: as much of one as its memory needs."""
    memory: float | None = 0.0
    """Bytes; None: what it needs."""

    @property
    def known(self) -> Resources | None:
        """The resources, where nothing has to be measured."""
        return None if self.gpus is None or self.memory is None else Resources(1.0, self.gpus, self.memory)


def size(sizes: Sizes, configs: Sequence[RunConfig], results: Path) -> list[Resources]:
    """What a trial of each config takes on the cluster that we are connected to; the configs are the heaviest ones.

    Raises:
        UserError: a trial needs more than a GPU has, or it cannot be known which GPU there will be.
    """
    known = sizes.known
    if known is not None:
        return [known] * len(configs)
    gpus = _has_gpus() if sizes.gpus is None else bool(sizes.gpus)
    costs = probe(configs, Resources(1.0, 1.0 if gpus else 0.0), on_cluster=True, timed=0)
    return [_sized(sizes, config, cost, gpus, results) for config, cost in zip(configs, costs, strict=True)]


def _sized(sizes: Sizes, config: RunConfig, cost: Cost | UserError, gpus: bool, results: Path) -> Resources:
    if isinstance(cost, UserError):
        return Resources(1.0, float(gpus))  # it fails as its trials will, and there it is written down
    seen = list(finished(results, config, cost.device))
    gpu = sizes.gpus
    if gpu is None:
        gpu = share(max([cost.peak_mb, *(peak + CONTEXT_MB for peak, _ in seen)]), cost.device_mb) if gpus else 0.0
    memory = sizes.memory
    if memory is None:
        memory = MARGIN * MEBIBYTE * max([cost.process_mb, *(process for _, process in seen)])
    return Resources(1.0, gpu, memory)


def share(needed_mb: float, gpu_mb: float) -> float:
    """The part of a GPU whose memory holds such a trial: 1/n, so that n of them share it.

    Raises:
        UserError: it needs more than one GPU has.
    """
    together = math.floor(gpu_mb / (MARGIN * needed_mb))
    if together < 1:
        raise UserError(
            f"a trial needs about {MARGIN * needed_mb / 1024:.1f} GB of GPU memory, and the GPU has "
            f"{gpu_mb / 1024:.1f} GB: lower batch_dialogues and raise accumulate by as much"
        )
    return PARTS // together / PARTS


def finished(results: Path, config: RunConfig, device: str) -> Iterator[tuple[float, float]]:
    """Peak on the device and of the whole process, in MB, of every run that finished and was not larger than this."""
    fingerprint = open_corpus(config.corpus).fingerprint
    for path in (*results.glob("*/runs/*/result.json"), *results.glob("*/*/*/runs/*/result.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            memory = result["memory"]
            same = (result["model"], result["fingerprint"], memory["device"]) == (
                config.model_name,
                fingerprint,
                device,
            )
            if same and _within(read_run(path.parent).parameters, config.parameters()):
                yield float(memory["peak_mb"]), float(memory["process_mb"])
        except (OSError, ValueError, KeyError, TypeError, UserError):
            continue  # a run of other code, or one that is being written


def _within(settings: Mapping[str, Any], heaviest: Mapping[str, Any]) -> bool:
    """Whether no number is larger and nothing else differs; a run with larger batches tells nothing of smaller ones."""
    indifferent = {"corpus", "seed"}
    for name, most in heaviest.items():
        value = settings.get(name)
        if name in indifferent:
            continue
        if isinstance(most, int | float) and isinstance(value, int | float):
            if value > most:
                return False
        elif value != most:
            return False
    return True


def _has_gpus() -> bool:
    if any(node.get("GPU", 0) >= 1 for node in capacity.nodes()):
        return True
    if capacity.grows():
        raise UserError(
            "--gpus-per-trial auto: the cluster has no GPU at the moment but starts nodes when work waits for them, "
            "so it cannot be known whether it will: say how much of a GPU a trial takes, or 0"
        )
    return False
