"""A run's state on disk: safetensors and JSON, whole or not at all; a crash loses at most the epoch in flight.

Digests beside the files tell sound ones from damaged ones: a flipped bit in weights is still a number.
"""

import hashlib
import json
import logging
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file
from torch import Tensor

from dferc.corpus.store import atomic
from dferc.training import Learner
from dferc_platform.results import write_json
from dferc_platform.sharing import from_first
from dferc_platform.storage import SEAL, digest_of

logger = logging.getLogger(__name__)

WEIGHTS, OPTIMISER, STATE = "model.safetensors", "optimiser.safetensors", "state.json"
DESCRIPTION = "model.json"
KEPT = 2
"""Checkpoints kept: should the newest be damaged, the one before it serves."""


@dataclass
class Progress:
    """How far a run has come. Its randomness needs no state: every epoch draws from (seed, epoch, worker)."""

    epoch: int = 0
    """Epochs finished."""
    best_epoch: int = 0
    best_score: float = -1.0
    """Highest validation score, in percent, and the epoch that reached it."""
    history: list[dict[str, float]] = field(default_factory=list)
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0


def save_checkpoint(folder: Path, learner: Learner, progress: Progress) -> Path:
    """Write ``folder/epoch-NNNN`` and drop all but the newest few before it."""
    target = folder / f"epoch-{progress.epoch:04d}"
    for left_behind in folder.glob(".epoch-*"):  # by a process that was killed here
        shutil.rmtree(left_behind)
    temporary = folder / f".{target.name}"
    temporary.mkdir(parents=True)
    try:
        save_file(_tensors(learner.model.state_dict()), temporary / WEIGHTS)
        optimiser = learner.optimiser.state_dict()
        flat = {f"{i}.{name}": value for i, entry in optimiser["state"].items() for name, value in entry.items()}
        save_file(_tensors(flat), temporary / OPTIMISER)
        state = {
            "progress": asdict(progress),
            "schedule": learner.schedule.last_epoch,
            "scaler": learner.scaler.state_dict(),
        }
        (temporary / STATE).write_text(json.dumps(state), encoding="utf-8")
        digests = {name: digest_of(temporary / name) for name in (WEIGHTS, OPTIMISER, STATE)}
        (temporary / SEAL).write_text(json.dumps(digests), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Every whole checkpoint, oldest first."""
    return sorted(folder.glob("epoch-*"))


def load_newest(folder: Path, learner: Learner) -> Progress:
    """Put the learner where the newest sound checkpoint left it; a fresh progress where there is none.

    Only rank 0 reads: the others may be on machines that do not have the folder, or have an older state of it.
    """
    newest = _newest_sound(folder) if learner.across.rank == 0 else None
    read = [(newest / name).read_bytes() if newest else b"" for name in (STATE, WEIGHTS, OPTIMISER)]
    state, weights, moments = (from_first(content, learner.across, learner.device) for content in read)
    return _restore(learner, json.loads(state), load(weights), load(moments)) if state else Progress()


def _newest_sound(folder: Path) -> Path | None:
    for checkpoint in reversed(checkpoints(folder)):
        if _sound(checkpoint):
            return checkpoint
        logger.warning("the checkpoint %s is damaged: going on from the one before it", checkpoint)
    return None


def _sound(checkpoint: Path) -> bool:
    """Whether every file is as it was written."""
    try:
        digests = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        return all(digest_of(checkpoint / name) == digests[name] for name in (WEIGHTS, OPTIMISER, STATE))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _restore(
    learner: Learner, state: dict[str, Any], weights: dict[str, Tensor], moments: dict[str, Tensor]
) -> Progress:
    progress = Progress(**state["progress"])
    optimiser = learner.optimiser.state_dict()
    optimiser["state"] = {}
    for name, value in moments.items():
        index, leaf = name.split(".", 1)
        optimiser["state"].setdefault(int(index), {})[leaf] = value
    learner.model.load_state_dict(weights)
    learner.optimiser.load_state_dict(optimiser)
    restore_schedule(learner, int(state["schedule"]))
    learner.scaler.load_state_dict(state["scaler"])
    return progress


def restore_schedule(learner: Learner, step: int) -> None:
    """Set the schedule and the learning rates to where they stood after ``step`` steps."""
    learner.schedule.last_epoch = step
    for group, base, factor in zip(
        learner.optimiser.param_groups, learner.schedule.base_lrs, learner.schedule.lr_lambdas, strict=True
    ):
        group["lr"] = base * factor(step)


def keep_best(weights: dict[str, Any], folder: Path, description: dict[str, Any]) -> None:
    """Replace the chosen weights of a run."""
    with atomic(folder / WEIGHTS) as temporary:
        save_file(_tensors(weights), temporary)
    write_json(folder / DESCRIPTION, description | {"sha256": digest_of(folder / WEIGHTS)})


class DamagedError(RuntimeError):
    """The chosen weights of a run are not those that were written."""


def load_best(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The chosen weights of a run, and their description.

    Raises:
        DamagedError: they are not as they were written.
    """
    content, description = _read_best(folder)
    return load(content), description


def _read_best(folder: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        content = (folder / WEIGHTS).read_bytes()
        if hashlib.sha256(content).hexdigest() == description["sha256"]:
            return content, description
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"the trained model in {folder} is damaged") from error
    raise DamagedError(f"the trained model in {folder} is damaged")


def take_best(folder: Path, learner: Learner) -> None:
    """Give the learner's model the chosen weights of the run, which only rank 0 reads.

    Raises:
        DamagedError: they are not as they were written; on every rank.
    """
    content = b""
    if learner.across.rank == 0:
        with suppress(DamagedError):
            content, _ = _read_best(folder)
    content = from_first(content, learner.across, learner.device)
    if not content:
        raise DamagedError(f"the trained model in {folder} is damaged")
    learner.model.load_state_dict(load(content))


def _tensors(state: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.as_tensor(value).detach().contiguous() for name, value in state.items()}
