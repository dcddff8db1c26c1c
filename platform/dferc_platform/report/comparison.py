"""What a comparison found, from its folder: each model's scores over seeds, and how sure its distance to others is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from dferc.errors import UserError
from dferc.evaluation.statistics import Difference, Interval, bootstrap_difference, holm, mean_interval
from dferc_platform.results import RunRow, Study, is_study, read_result, read_runs, read_study

SEARCH, CONFIRMED, FAILURE = "search", "confirmed", "failure.json"
REFERENCE = "df_erc"
"""Whom all others are held against, where it takes part."""
METRIC = "weighted_f1"
PUBLISHED = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Entry:
    """One model: its finished runs, a seed each, and what the search before them cost."""

    model: str
    runs: tuple[RunRow, ...]
    trials: int
    """Of the search, however they ended."""
    error: str | None
    """Why it has no finished run."""

    def interval(self, metric: str) -> Interval | None:
        """Mean over seeds with its t interval, where every run has the score."""
        scores = [run.metrics[metric] for run in self.runs if metric in run.metrics]
        return mean_interval(scores) if scores and len(scores) == len(self.runs) else None

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What one of its runs says of itself: parameters, seconds."""
        return read_result(self.runs[0].folder) if self.runs else {}


@dataclass(frozen=True)
class Standing:
    """A model's place, and its distance to the reference."""

    entry: Entry
    difference: Difference | None
    """To the reference on test; None for the reference itself."""
    p: float | None
    """Of the difference, corrected for the number of models."""
    published: Mapping[str, Any]
    """What was published on this corpus, with its source; empty where nothing is known."""


@dataclass(frozen=True)
class Comparison:
    """All models, the best first, those without a finished run last."""

    study: Study
    standings: tuple[Standing, ...]
    reference: str | None


def stage_folder(comparison: Path, model: str, stage: str) -> Path:
    """Where the study of a model lies; its name says all, for MLflow shows it among others."""
    return comparison / model / f"{comparison.name}-{model}-{stage}"


def read_comparison(folder: Path) -> Comparison:
    """The comparison in a folder.

    Raises:
        UserError: it is none, or no model has finished.
    """
    study = read_study(folder)
    entries = [_entry(folder, model) for model in study.config["comparison"]["models"]]
    finished = [entry for entry in entries if entry.runs]
    if not finished:
        reasons = "; ".join(f"{entry.model}: {entry.error or 'not begun'}" for entry in entries)
        raise UserError(f"no model of comparison {study.name} has finished ({reasons})")
    ranked = sorted(finished, key=lambda entry: -_mean(entry))
    reference = next((entry for entry in ranked if entry.model == REFERENCE), ranked[0])
    others = [entry for entry in ranked if entry is not reference]
    differences = {entry.model: _difference(entry, reference) for entry in others}
    corrected = dict(zip(differences, holm([d.p for d in differences.values()]), strict=True))
    known = _published(str(study.card.get("name", "")))
    standings = tuple(
        Standing(e, differences.get(e.model), corrected.get(e.model), known.get(e.model, {}))
        for e in [*ranked, *(entry for entry in entries if not entry.runs)]
    )
    return Comparison(study, standings, reference.model)


def _entry(folder: Path, model: str) -> Entry:
    search, confirmed = (stage_folder(folder, model, stage) for stage in (SEARCH, CONFIRMED))
    runs = read_runs(confirmed) if is_study(confirmed) else []
    finished = tuple(run for run in runs if run.status == "FINISHED" and f"test/{METRIC}" in run.metrics)
    failure = folder / model / FAILURE
    error = json.loads(failure.read_text(encoding="utf-8"))["error"] if failure.is_file() else None
    error = error or next((run.error for run in runs if run.error), None)
    return Entry(model, finished, len(read_runs(search)) if is_study(search) else 0, error)


def _mean(entry: Entry) -> float:
    interval = entry.interval(f"test/{METRIC}")
    return -np.inf if interval is None else interval.mean


def _difference(entry: Entry, reference: Entry) -> Difference:
    """Paired bootstrap over the dialogues of test, each side the mean of its seeds."""
    which, labels, ours = _predictions(entry.runs)
    same, _, theirs = _predictions(reference.runs)
    if not np.array_equal(which, same):
        raise UserError(f"{entry.model} and {reference.model} were not scored on the same utterances")
    return bootstrap_difference(labels, ours, theirs, which[:, 0], METRIC)


def _predictions(runs: Sequence[RunRow]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dialogue and turn [N, 2], label [N], and the class that each run predicts [S, N], of the test utterances."""
    tables = [
        pq.read_table(run.folder / "predictions.parquet", filters=[("split", "=", "test")]).sort_by(
            [("dialogue", "ascending"), ("turn", "ascending")]
        )
        for run in runs
    ]
    first = tables[0]
    if any(not table.select(["dialogue", "turn"]).equals(first.select(["dialogue", "turn"])) for table in tables):
        raise UserError(f"{runs[0].folder.parent} holds runs that were not scored on the same utterances")
    which = np.array([first["dialogue"].to_pylist(), first["turn"].to_pylist()], dtype=object).T
    labels = first["label"].fill_null(-1).to_numpy()
    return which, labels, np.stack([table["predicted"].to_numpy() for table in tables])


def _published(corpus: str) -> dict[str, Mapping[str, Any]]:
    """Model to the score that was published on a corpus of this name."""
    content = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    return {model: scores[corpus] for model, scores in content.items() if corpus in scores}
