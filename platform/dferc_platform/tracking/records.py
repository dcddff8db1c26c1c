"""What one MLflow run should hold, and how much of it MLflow has already."""

import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dferc_platform.results import Study, validation_scores
from dferc_platform.secrecy import without_secrets

RUN_KEY, STUDY_KEY = "run_key", "study_key"  # tags that identify a run inside its study, and a study
CURVES = "while_training/"
PROGRESS = "epochs_trained"  # the last point of every epoch: its steps say which epochs MLflow has

MAX_LINES = 1000  # epochs that wait for an absent server; more are read from history.jsonl when the run ends


class Point(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    at: int  # milliseconds since 1970
    step: int


@dataclass(frozen=True)
class Line:
    """The metrics of one epoch, by the names of the history."""

    step: int
    at: int  # milliseconds since 1970
    metrics: dict[str, float]

    def curves(self) -> list[Point]:
        """A point on the curve of each metric."""
        points = [Point(CURVES + name, value, self.at, self.step) for name, value in self.metrics.items()]
        return [*points, Point(PROGRESS, float(self.step), self.at, self.step)]

    def scores(self, first: str) -> dict[str, float]:
        """The validation scores, one of them ahead."""
        return {first: self.metrics[first], **validation_scores(self.metrics)}


@dataclass(frozen=True)
class Ending:
    """How a run or study ended."""

    status: str
    folder: Path | None
    metrics: dict[str, float]


@dataclass
class Record:
    """One MLflow run; only the writer's thread touches it."""

    key: str
    key_tag: str  # RUN_KEY or STUDY_KEY
    name: str
    parameters: dict[str, Any]
    tags: dict[str, str]
    opened: int  # milliseconds since 1970
    study: Study | None = None  # that it is, or is part of
    parent: "Record | None" = None
    mlflow_id: str = ""  # until MLflow has it
    must_open: bool = True
    must_reconcile: bool = False
    refused: bool = False  # MLflow said no: put aside until it is opened again
    live: bool = True  # still training, as far as the driver has said
    status: str = ""  # what MLflow says
    known_metrics: dict[str, float] = field(default_factory=dict)  # latest values that MLflow has
    known_tags: dict[str, str] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)  # epochs that MLflow has
    lines: dict[int, Line] = field(default_factory=dict)  # epochs that it lacks
    ending: Ending | None = None

    @property
    def due(self) -> bool:
        """Whether something waits to be sent."""
        waits = self.must_open or self.must_reconcile or bool(self.lines) or self.ending is not None
        return waits and not self.refused

    @property
    def is_study(self) -> bool:
        """Whether this is the parent of runs."""
        return self.key_tag == STUDY_KEY

    @property
    def selects_on(self) -> str:
        """The validation metric that chooses the epoch."""
        return f"validation/{self.parameters.get('select_on', 'weighted_f1')}"

    def reopen(self) -> None:
        """Make it a live run again."""
        self.must_open = self.live = True
        self.refused = False
        self.ending = None

    def end(self, ending: Ending) -> None:
        """Note how it ended."""
        self.live = False
        self.ending = ending

    def add(self, line: Line) -> None:
        """Keep an epoch to be sent, once."""
        if line.step not in self.sent and len(self.lines) < MAX_LINES:
            self.lines.setdefault(line.step, line)

    def has_already(self, steps: Iterable[int]) -> None:
        """Note that MLflow has these epochs."""
        self.sent.update(steps)
        self.lines = {step: line for step, line in self.lines.items() if step not in self.sent}


def read_line(metrics: Mapping[str, Any], at: int) -> Line | None:
    """A line of the history; None where it names no epoch."""
    numbers = finite(metrics)
    if "epoch" not in numbers:
        return None
    return Line(int(numbers.pop("epoch")), at, numbers)


def finite(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that MLflow can draw, by names that it permits: a NaN or an infinity would spoil the axis."""
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    return {_permitted(name): float(value) for name, value in numbers.items() if math.isfinite(value)}


def texts(values: Mapping[str, Any], longest: int) -> dict[str, str]:
    """Values as MLflow keeps parameters and tags: trimmed text without secrets."""
    return {_permitted(name): _trimmed(without_secrets(str(value)), longest) for name, value in values.items()}


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def _permitted(name: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", name)[:250]


def _trimmed(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
