"""How a trial ended, judged from what it left on disk and from what it last said."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dferc.errors import UserError
from dferc.training import DivergedError
from dferc_platform.away import StoreAwayError
from dferc_platform.disk import disk_full
from dferc_platform.memory import out_of_memory
from dferc_platform.results import is_run, read_result
from dferc_platform.stall import FILE as STALLED
from dferc_platform.stall import VARIABLE, has_hung

Status = Literal["FINISHED", "PRUNED", "FAILED"]

HUNG = (
    f"no epoch ended for too long, so its process was ended: {STALLED} in its run folder says where it hung; "
    f"if an epoch may take so long, set {VARIABLE} to more minutes"
)

UNSEEN = (
    "{node} wrote to {folder}, where the driver sees nothing: give --results a folder that all machines share, "
    "or a URI such as s3://BUCKET/PREFIX"
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
    ends_all: bool = False
    """A failure that no other trial would escape: the sweep ends, and the trial stays open."""


def judge(folder: Path, said: Mapping[str, Any], metric: str) -> Outcome:
    """The end of the trial that left this run folder and whose last report to Tune was ``said``."""
    result = read_result(folder)
    if result:
        return _finished(result, metric)
    if "error" in said:
        sentence = HUNG if has_hung(folder) else said["error"]
        return Outcome("FAILED", error=sentence, lasting=said["lasting"], ends_all=said.get("ends_all", False))
    if "epoch" not in said:
        return Outcome("FAILED", error="the trial ended without a word")
    if not is_run(folder):
        return Outcome("FAILED", error=UNSEEN.format(node=said.get("node", "another machine"), folder=folder))
    return Outcome("PRUNED", said.get(metric), int(said["epoch"]))


def failure(error: Exception, folder: str | Path = "the results folder") -> Outcome:
    """The end of a trial that raised this; its run lies in the folder."""
    full = disk_full(error, folder)
    if full is not None:
        return Outcome("FAILED", error=full, ends_all=True)
    short = out_of_memory(error)
    if short is not None:
        return Outcome("FAILED", error=short)
    first = str(error).strip().splitlines()[:1]
    sentence = " ".join(first) or "no more is known"
    if not isinstance(error, UserError | DivergedError | StoreAwayError):
        sentence = f"{type(error).__name__}: {sentence}"
    return Outcome("FAILED", error=sentence, lasting=isinstance(error, DivergedError))


def _finished(result: Mapping[str, Any], metric: str) -> Outcome:
    value = result["metrics"].get(metric, math.nan)
    if math.isfinite(value):
        return Outcome("FINISHED", value, result["epochs"])
    return Outcome("FAILED", error=f"{metric} is not a number", lasting=True)
