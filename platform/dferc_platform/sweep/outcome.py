"""How a trial ended, judged from what it left on disk and from what it last said."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dferc.errors import UserError
from dferc.training import DivergedError
from dferc_platform.results import read_result
from dferc_platform.stall import FILE as STALLED
from dferc_platform.stall import VARIABLE, has_hung

Status = Literal["FINISHED", "PRUNED", "FAILED"]

HUNG = (
    f"no epoch ended for too long, so its process was ended: {STALLED} in its run folder says where it hung; "
    f"if an epoch may take so long, set {VARIABLE} to more minutes"
)


@dataclass(frozen=True)
class Outcome:
    """The end of a trial."""

    status: Status
    value: float | None = None
    """The metric: of the best epoch of a finished trial, of the last epoch of a pruned one."""
    epoch: int = 0
    """The last epoch."""
    error: str | None = None
    """One sentence."""
    lasting: bool = False
    """A failure that would come again: resuming does not repeat the trial."""


def judge(folder: Path, said: Mapping[str, Any], metric: str) -> Outcome:
    """The end of the trial that left this run folder and whose last report to Tune was ``said``."""
    result = read_result(folder)
    if result:
        return _finished(result, metric)
    if "error" in said:
        return Outcome("FAILED", error=HUNG if has_hung(folder) else said["error"], lasting=said["lasting"])
    if "epoch" not in said:
        return Outcome("FAILED", error="the trial ended without a word")
    return Outcome("PRUNED", said.get(metric), int(said["epoch"]))


def failure(error: Exception) -> Outcome:
    """The end of a trial that raised this."""
    first = str(error).strip().splitlines()[:1]
    sentence = " ".join(first) or "no more is known"
    if not isinstance(error, UserError | DivergedError):
        sentence = f"{type(error).__name__}: {sentence}"
    return Outcome("FAILED", error=sentence, lasting=isinstance(error, DivergedError))


def _finished(result: Mapping[str, Any], metric: str) -> Outcome:
    value = result["metrics"].get(metric, math.nan)
    if math.isfinite(value):
        return Outcome("FINISHED", value, result["epochs"])
    return Outcome("FAILED", error=f"{metric} is not a number", lasting=True)
