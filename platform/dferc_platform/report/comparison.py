"""What a comparison found, from its folder: each model's scores over seeds, and how sure its distance to others is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dferc.errors import UserError
from dferc.evaluation.ranks import LEAST_MODELS, Ranking, dialogue_accuracy, rank
from dferc.evaluation.statistics import Difference, Interval, bootstrap_difference, holm, mean_interval
from dferc_platform.report.published import Published, published
from dferc_platform.report.scored import Scored, read_scored, require_same
from dferc_platform.results import RunRow, Study, is_study, read_result, read_runs, read_study

SEARCH, CONFIRMED, FAILURE = "search", "confirmed", "failure.json"
REFERENCE = "df_erc"
"""Whom all others are held against, where it takes part."""
METRIC = "weighted_f1"


@dataclass(frozen=True)
class Entry:
    """One model: its finished runs, a seed each, and the search before them."""

    model: str
    runs: tuple[RunRow, ...]
    unfinished: tuple[RunRow, ...]
    """Seeds that did not come to their end."""
    trials: int
    """Of the search, however they ended."""
    searched: tuple[float, ...]
    """Best validation score of each trial that has one, also of those that were stopped early."""
    error: str | None
    """Why it has no finished run."""

    def interval(self, metric: str) -> Interval | None:
        """Mean over seeds with its t interval, where every run has the score."""
        scores = [run.metrics[metric] for run in self.runs if metric in run.metrics]
        return mean_interval(scores) if scores and len(scores) == len(self.runs) else None

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """What each finished run says of itself: parameters, seconds, memory."""
        return [read_result(run.folder) for run in self.runs]

    def fact(self, section: str, name: str) -> float | None:
        """Mean over seeds of one number, where every run has it."""
        found = [result.get(section, {}).get(name) for result in self.results]
        return float(np.mean(found)) if found and None not in found else None

    @property
    def parameters(self) -> int | None:
        """Trained numbers of the model."""
        return self.results[0].get("parameters") if self.results else None

    @property
    def backbone(self) -> str | None:
        """Pretrained text encoder that it trains, 'scratch' for random weights; None where it takes vectors."""
        settings = self.runs[0].parameters if self.runs else {}
        return settings.get("backbone") or settings.get("text_encoder")


@dataclass(frozen=True)
class Standing:
    """A model's place, and its distance to the reference."""

    entry: Entry
    difference: Difference | None
    """To the reference on test; None for the reference itself."""
    p: float | None
    """Of the difference, corrected for the number of models."""
    published: Published | None
    """What was published on this corpus, with its source; None where nothing is recorded."""


@dataclass(frozen=True)
class Comparison:
    """All models, the best first, those without a finished run last."""

    study: Study
    standings: tuple[Standing, ...]
    reference: str
    scored: Mapping[str, Scored]
    """Of each finished model, the best first; all of the same utterances."""
    ranking: Ranking | None
    """Of the finished models in that order; None where they are too few."""

    @property
    def finished(self) -> tuple[Standing, ...]:
        """The models that have a score."""
        return tuple(standing for standing in self.standings if standing.entry.runs)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in order."""
        return tuple(self.finished[0].entry.results[0].get("labels", ()))


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
    reference = next((entry for entry in ranked if entry.model == REFERENCE), ranked[0]).model
    scored = {entry.model: read_scored(entry.runs) for entry in ranked}
    require_same(scored, reference)
    differences = {model: _difference(scored[model], scored[reference]) for model in scored if model != reference}
    corrected = dict(zip(differences, holm([d.p for d in differences.values()]), strict=True))
    corpus = str(study.card.get("name", ""))
    standings = tuple(
        Standing(e, differences.get(e.model), corrected.get(e.model), published(e.model, corpus))
        for e in [*ranked, *(entry for entry in entries if not entry.runs)]
    )
    return Comparison(study, standings, reference, scored, _ranking(list(scored.values())))


def _entry(folder: Path, model: str) -> Entry:
    search, confirmed = (stage_folder(folder, model, stage) for stage in (SEARCH, CONFIRMED))
    runs = read_runs(confirmed) if is_study(confirmed) else []
    finished = tuple(run for run in runs if run.status == "FINISHED" and f"test/{METRIC}" in run.metrics)
    failure = folder / model / FAILURE
    error = json.loads(failure.read_text(encoding="utf-8"))["error"] if failure.is_file() else None
    error = error or next((run.error for run in runs if run.error), None)
    trials = read_runs(search) if is_study(search) else []
    chooser = str((read_study(search).space or {}).get("metric", f"validation/{METRIC}")) if trials else ""
    searched = tuple(trial.metrics[chooser] for trial in trials if np.isfinite(trial.metrics.get(chooser, np.nan)))
    unfinished = tuple(run for run in runs if run not in finished)
    return Entry(model, finished, unfinished, len(trials), searched, error)


def _mean(entry: Entry) -> float:
    interval = entry.interval(f"test/{METRIC}")
    return -np.inf if interval is None else interval.mean


def _difference(ours: Scored, theirs: Scored) -> Difference:
    """Paired bootstrap over the dialogues of test, each side the mean of its seeds."""
    return bootstrap_difference(ours.labels, ours.predicted, theirs.predicted, ours.dialogues, METRIC)


def _ranking(scored: Sequence[Scored]) -> Ranking | None:
    """By the accuracy in each test dialogue, mean over seeds."""
    if len(scored) < LEAST_MODELS:
        return None
    return rank(np.stack([dialogue_accuracy(s.labels, s.predicted, s.dialogues) for s in scored], axis=1))
