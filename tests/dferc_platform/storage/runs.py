"""A training that computes nothing: it writes what the real one writes, every attempt in words of its own."""

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from dferc_platform.storage import Claim

ATTEMPTS = itertools.count(1)
KEPT = 2


def put(path: Path, text: str) -> str:
    """Write a file, whole or not at all; its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text)
    temporary.replace(path)
    return hashlib.sha256(text.encode()).hexdigest()


class Attempt:
    """A process that trains a run, from where the folder says that it stopped."""

    def __init__(self, folder: Path, claim: Claim) -> None:
        self.folder, self.claim = folder, claim
        self.name = f"attempt {next(ATTEMPTS)}"
        self.epoch = newest(folder)

    def train(self, wrote: Callable[[int], None] = lambda epoch: None) -> None:
        """One epoch more; every second one is the best so far."""
        self.epoch += 1
        who = f"{self.name}, epoch {self.epoch}"
        if self.epoch % 2:
            digest = put(self.folder / "best" / "model.safetensors", who)
            put(self.folder / "best" / "model.json", json.dumps({"epoch": self.epoch, "sha256": digest}))
        last = self.folder / "last"
        hidden = last / f".epoch-{self.epoch:04d}"
        best = self.epoch - 1 + self.epoch % 2
        digests = {
            "model.safetensors": put(hidden / "model.safetensors", who),
            "state.json": put(hidden / "state.json", json.dumps({"epoch": self.epoch, "best": best})),
        }
        put(hidden / "sha256.json", json.dumps(digests))
        target = last / f"epoch-{self.epoch:04d}"
        shutil.rmtree(target, ignore_errors=True)
        hidden.rename(target)
        for old in sorted(last.glob("epoch-*"))[:-KEPT]:
            shutil.rmtree(old)
        put(self.folder / "history.jsonl", "".join(f'{{"epoch": {n}}}\n' for n in range(1, self.epoch + 1)))
        wrote(self.epoch)

    def finish(self) -> None:
        """Write the result."""
        put(self.folder / "predictions.parquet", self.name)
        put(self.folder / "result.json", json.dumps({"epochs": self.epoch}))


def newest(folder: Path) -> int:
    """The newest epoch to which one can go back."""
    found = [path for path in folder.glob("last/epoch-*") if is_sound(path)]
    return max((int(path.name[-4:]) for path in found), default=0)


def is_sound(checkpoint: Path) -> bool:
    """Whether a checkpoint is whole, and of one attempt."""
    try:
        digests = json.loads((checkpoint / "sha256.json").read_text())
        return all(hashlib.sha256((checkpoint / n).read_bytes()).hexdigest() == d for n, d in digests.items())
    except FileNotFoundError:
        return False


def best_epoch(folder: Path) -> int | None:
    """The epoch of the chosen weights; None where they are damaged, which is noticed when the run ends."""
    try:
        said = json.loads((folder / "best" / "model.json").read_text())
        content = (folder / "best" / "model.safetensors").read_bytes()
    except FileNotFoundError:
        return None
    return said["epoch"] if hashlib.sha256(content).hexdigest() == said["sha256"] else None


def state(folder: Path) -> dict[str, str]:
    """Every file that is a result, with its content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    shown = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in shown}
