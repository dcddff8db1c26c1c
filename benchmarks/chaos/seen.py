"""What a study left behind, on disk and in MLflow, and how it differs from the same study left alone."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dferc_platform.results import read_history, read_runs

TIMES = ("epoch_seconds",)
"""Of a history line: what no two runs share."""
FILES = ("predictions.parquet", "confusion.json", "best/model.safetensors")
"""Of a run: what must be the same to the last bit."""


@dataclass(frozen=True)
class Trial:
    """A trial as its folder and MLflow show it."""

    key: str
    number: int | None
    status: str
    varied: Mapping[str, Any]
    metrics: Mapping[str, float]
    best_epoch: int | None
    history: tuple[Mapping[str, float], ...]
    files: Mapping[str, str] = field(default_factory=dict)
    """Digests."""
    tracked: tuple[str, ...] = ("FINISHED",)
    """Status of each of its runs in MLflow."""
    curve: tuple[int, ...] | None = None
    """Epochs that MLflow has of it."""
    asked: int = 1
    """Times that the ledger proposes it."""


@dataclass(frozen=True)
class Differences:
    """Sentences; none is what we hope for."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicated or self.changed)

    def __str__(self) -> str:
        return "; ".join([*self.lost, *self.duplicated, *self.changed])


def compare(trials: Mapping[str, Trial], reference: Mapping[str, Trial]) -> Differences:
    """How trials, by key, differ from those of the same study left alone."""
    found = Differences()
    found.lost.extend(f"trial {reference[key].number} is lost" for key in reference.keys() - trials.keys())
    found.changed.extend(f"trial {trials[key].number} was never asked for" for key in trials.keys() - reference.keys())
    for key in reference.keys() & trials.keys():
        _compare(trials[key], reference[key], found)
    return found


def _compare(trial: Trial, reference: Trial, found: Differences) -> None:
    what = f"trial {reference.number}"
    if not trial.tracked:
        found.lost.append(f"{what} is not in MLflow")
    if len(trial.tracked) > 1:
        found.duplicated.append(f"{what} is in MLflow {len(trial.tracked)} times")
    if trial.asked > 1:
        found.duplicated.append(f"{what} was proposed {trial.asked} times")
    if trial.curve is not None:
        again = sorted(epoch for epoch, times in Counter(trial.curve).items() if times > 1)
        absent = sorted({int(line["epoch"]) for line in reference.history} - set(trial.curve))
        found.duplicated.extend(f"{what}: MLflow has epoch {epoch} twice" for epoch in again)
        found.lost.extend(f"{what}: MLflow lacks epoch {epoch}" for epoch in absent)
    found.changed.extend(f"{what}: {sentence}" for sentence in _changes(trial, reference))


def _changes(trial: Trial, reference: Trial) -> Iterator[str]:
    for name in ("number", "status", "varied", "metrics", "best_epoch"):
        now, before = getattr(trial, name), getattr(reference, name)
        if now != before:
            yield f"{name} is {now}, not {before}"
    if (epochs := len(trial.history)) != (expected := len(reference.history)):
        yield f"{epochs} epochs, not {expected}"
    for line, other in zip(trial.history, reference.history, strict=False):
        if _without_times(line) != _without_times(other):
            yield f"epoch {line['epoch']} has other numbers"
            break
    yield from (
        f"{name} has other bytes" for name, digest in reference.files.items() if trial.files.get(name) != digest
    )
    if trial.tracked and set(trial.tracked) != set(reference.tracked):
        yield f"MLflow says {', '.join(trial.tracked)}, not {', '.join(reference.tracked)}"


def _without_times(line: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name not in TIMES}


def read_trials(folder: Path, uri: str) -> dict[str, Trial]:
    """The trials of a study folder, with what the MLflow store at ``uri`` has of them."""
    asked = Counter(event["key"] for event in ledger(folder) if "asked" in event)
    tracked = _tracked(folder, uri)
    return {
        row.key: Trial(
            key=row.key,
            number=row.number,
            status=row.status,
            varied=row.varied,
            metrics=row.metrics,
            best_epoch=row.best_epoch,
            history=tuple(read_history(row.folder)),
            files={name: _digest(row.folder / name) for name in FILES if (row.folder / name).is_file()},
            tracked=tuple(status for status, _ in tracked.get(row.key, [])),
            curve=tuple(epoch for _, epochs in tracked.get(row.key, []) for epoch in epochs),
            asked=asked[row.key],
        )
        for row in read_runs(folder)
    }


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The events of a study; a last line that is being written is left out."""
    path = folder / "ledger.jsonl"
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n") if path.is_file() else ("", "", "")
    return [json.loads(line) for line in whole.splitlines()]


def _tracked(folder: Path, uri: str) -> dict[str, list[tuple[str, list[int]]]]:
    """Status and epochs of every MLflow run of a study, by run key."""
    from dferc_platform.results import read_study
    from dferc_platform.tracking.records import PROGRESS
    from dferc_platform.tracking.store import import_mlflow

    client = import_mlflow().MlflowClient(uri)
    study = read_study(folder)
    experiment = client.get_experiment_by_name(study.experiment)
    found: dict[str, list[tuple[str, list[int]]]] = {}
    for run in client.search_runs([experiment.experiment_id], f"tags.study = '{study.name}'") if experiment else []:
        key = run.data.tags.get("run_key")
        if key:
            points = client.get_metric_history(run.info.run_id, PROGRESS)
            found.setdefault(key, []).append((run.info.status, [point.step for point in points]))
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
