"""What a report needs from the runs of a study: sorted by how they ended, read once, averaged over seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.fields import FieldInfo

from dferc.errors import UserError
from dferc.models import model_named
from dferc.training import TrainingConfig
from dferc_platform.results import RunRow, Study, read_history, read_runs, read_study

History = list[dict[str, Any]]
METRIC_TITLES = {"weighted_f1": "weighted F1", "macro_f1": "macro F1"}


@dataclass(frozen=True)
class StudyRuns:
    """A study with its runs; only finished ones count, the others are listed."""

    folder: Path
    study: Study
    finished: tuple[RunRow, ...]
    others: tuple[RunRow, ...]

    @property
    def metric(self) -> str:
        """The metric that chooses, on validation: the search space's, or the one that chose the epochs."""
        chooser = (self.study.space or {}).get("metric") or self.study.config.get("training", {}).get(
            "select_on", "weighted_f1"
        )
        return str(chooser).removeprefix("validation/")

    @property
    def scores_test(self) -> bool:
        """Whether every finished run scored test; otherwise the test split stays out of the report."""
        return all(f"test/{self.metric}" in row.metrics for row in self.finished)

    @property
    def shown_split(self) -> str:
        """The split whose classes are shown: test where it was scored, otherwise validation."""
        return "test" if self.scores_test else "validation"


def open_study(folder: Path) -> StudyRuns:
    """The study in a folder.

    Raises:
        UserError: the folder holds no study, or none of its runs has finished with a score.
    """
    study = read_study(folder)
    rows = _with_verdicts(read_runs(folder))
    runs = StudyRuns(folder, study, (), ())
    chooser = f"validation/{runs.metric}"
    done = [row for row in rows if row.status == "FINISHED" and math.isfinite(row.metrics.get(chooser, math.nan))]
    if not done:
        raise UserError(f"study {study.name} in {folder} has no finished run to report on: {_standing(rows)}")
    return StudyRuns(folder, study, tuple(done), tuple(row for row in rows if row not in done))


def _with_verdicts(rows: Sequence[RunRow]) -> list[RunRow]:
    """The rows, those whose driver died before its verdict with what the others vary taken from their own settings."""
    names = {name for row in rows for name in row.varied}
    known = max((row.number for row in rows if row.number is not None), default=-1) + 1
    return [
        replace(
            row,
            number=place,
            varied=row.varied or {n: row.parameters[n] for n in sorted(names & row.parameters.keys())},
        )
        if row.number is None
        else row
        for place, row in enumerate(rows, start=known - sum(row.number is not None for row in rows))
    ]


def _standing(rows: Sequence[RunRow]) -> str:
    if not rows:
        return "none was started; start the study again to train them"
    counts = {status: sum(row.status == status for row in rows) for status in sorted({row.status for row in rows})}
    ended = ", ".join(f"{count} {status.lower()}" for status, count in counts.items())
    errors = [row.error for row in rows if row.error]
    return f"{ended}; " + (f"the first error is: {errors[0]}" if errors else "resume the study to finish them")


def histories(rows: Iterable[RunRow]) -> list[History]:
    """The epochs of each run that left any."""
    return [history for history in (read_history(row.folder) for row in rows) if history]


def mean_by_epoch(curves: Sequence[History], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [E] and the mean of one quantity over runs [E], up to the last epoch that every run reached."""
    columns = [[float(line.get(name, math.nan)) for line in curve] for curve in curves]
    shared = min((len(column) for column in columns), default=0)
    if not shared:
        return np.empty(0), np.empty(0)
    return np.arange(1, shared + 1), np.mean([column[:shared] for column in columns], axis=0)


def default_of(model: str, setting: str) -> float | None:
    """The default of a numeric setting, which is the published value wherever one was published."""
    default = getattr(_field(model, setting), "default", None)
    return float(default) if isinstance(default, (int, float)) and not isinstance(default, bool) else None


def meaning_of(model: str, setting: str) -> str:
    """What a setting is, in the words of its config; empty where today's code does not know it."""
    return getattr(_field(model, setting), "description", None) or ""


def _field(model: str, setting: str) -> FieldInfo | None:
    try:
        settings = model_named(model).config_type.model_fields | TrainingConfig.model_fields
    except UserError:
        return None  # the study of a model that this version no longer has can still be read
    return settings.get(setting)


def number(value: object) -> str:
    """A setting's value as short as it can be read: 0.1, 5e-4, 32, gru."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:.4g}"


def metric_title(metric: str) -> str:
    """A metric as a person writes it: ``validation/weighted_f1`` is 'weighted F1'."""
    short = metric.split("/", 1)[-1]
    return METRIC_TITLES.get(short, short.replace("_", " "))


def titled(metric: str) -> str:
    """A metric with its split, as a person writes it: 'validation weighted F1'."""
    return f"{metric.split('/', 1)[0]} {metric_title(metric)}"
