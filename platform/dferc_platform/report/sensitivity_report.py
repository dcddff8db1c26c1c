"""The report of a study over one setting and several seeds."""

import math
from typing import Any

from dferc.evaluation.statistics import Interval
from dferc_platform.report import figures, provenance
from dferc_platform.report.epoch_figures import diagnostic_names, diagnostics, learning_curves
from dferc_platform.report.html import Report, Tile
from dferc_platform.report.runs import StudyRuns, histories, meaning_of, number, titled
from dferc_platform.report.sensitivity import Level, Sensitivity, sensitivity
from dferc_platform.report.style import Figure
from dferc_platform.report.tables import sensitivity_table
from dferc_platform.report.verdict import verdict
from dferc_platform.results import RunRow, read_result


def sensitivity_report(runs: StudyRuns) -> Report:
    """Figures, table and words of a sensitivity study.

    Raises:
        UserError: the runs do not vary exactly one numeric setting.
    """
    found = sensitivity(runs)
    best_run = max(found.best.rows, key=lambda row: row.metrics[f"validation/{found.metric}"])
    meaning = meaning_of(runs.study.model, found.setting)
    return Report(
        name=runs.study.name,
        title=f"How much does {found.setting} matter?",
        lead=f"{found.setting}: {meaning}." if meaning else f"{runs.study.model} on {runs.study.corpus}.",
        verdict=verdict(found),
        tiles=_tiles(found, runs),
        table=sensitivity_table(found),
        figures=_figures(found, runs, best_run),
        facts=tuple(provenance.facts(runs)),
        warnings=tuple(provenance.warnings(runs)),
        unfinished=tuple(provenance.unfinished(runs)),
        best_run=provenance.describe(best_run),
        best_yaml=provenance.best_configuration(best_run, open_test=False),
        summary=summary(found, runs, best_run),
    )


def _tiles(found: Sensitivity, runs: StudyRuns) -> tuple[Tile, ...]:
    first, last = (number(level.value) for level in (found.flat[0], found.flat[-1]))
    judged = found.best.interval(found.read_off)
    total = len(runs.finished) + len(runs.others)
    return (
        Tile(f"best {found.setting}", number(found.best.value), "chosen on validation"),
        Tile(titled(found.read_off), f"{judged.mean:.2f}", _interval_note(judged)),
        Tile("flat region", first if first == last else f"{first} to {last}", "cannot be told from the best"),
        Tile(
            "finished runs",
            f"{len(runs.finished)} of {total}",
            f"{len(found.levels)} values, up to {found.seeds[1]} seeds each",
        ),
    )


def _interval_note(interval: Interval) -> str:
    return (
        "one seed: no interval"
        if math.isnan(interval.low)
        else f"95 % interval {interval.low:.2f} to {interval.high:.2f}"
    )


def _figures(found: Sensitivity, runs: StudyRuns, best_run: RunRow) -> tuple[Figure, ...]:
    curves = {number(level.value): histories(level.rows) for level in found.levels}
    drawn = [figures.sensitivity_curve(found)]
    drawn += class_figures(found, runs, best_run)
    drawn.append(learning_curves(curves, found.setting, found.metric))
    if diagnostic_names(curves):
        drawn.append(diagnostics(curves, found.setting))
    return tuple(drawn)


def class_figures(found: Sensitivity, runs: StudyRuns, best_run: RunRow) -> list[Figure]:
    """F1 of each class against the setting, and the confusion matrix of the best run."""
    split = runs.shown_split
    labels = read_result(best_run.folder).get("labels", [])
    matrix = provenance.confusion_of(best_run, split)
    if not labels or not matrix:
        return []
    classes = [f"{label}\n{sum(row)}" for label, row in zip(labels, matrix, strict=True)]
    scores = {
        number(level.value): [level.interval(f"{split}/f1/{label}").mean for label in labels] for level in found.levels
    }
    return [
        figures.class_heat(scores, classes, found.setting, split),
        figures.confusion(matrix, labels, split, f"the best run ({provenance.describe(best_run)})"),
    ]


def summary(found: Sensitivity, runs: StudyRuns, best_run: RunRow) -> dict[str, Any]:
    """The same answer for programs; scores in percent, an interval that one seed cannot give is null."""
    reference = found.reference
    return {
        "kind": runs.study.kind,
        "study": runs.study.name,
        "key": runs.study.key,
        "fingerprint": runs.study.fingerprint,
        "setting": found.setting,
        "metric": found.metric,
        "verdict": list(verdict(found)),
        "best": _level(found, found.best),
        "best_run": best_run.key,
        "flat_region": {
            "low": found.flat[0].value,
            "high": found.flat[-1].value,
            "rule": "one standard error, not worse when paired by seed",
        },
        "worse_than_best": [level.value for level in found.worse],
        "default": found.default,
        "best_minus_default": _ends(found.best.difference(reference, found.read_off)) if reference else None,
        "levels": [_level(found, level) for level in found.levels],
        "finished": len(runs.finished),
        "unfinished": [
            {"run": note.run, "status": note.status, "error": note.text} for note in provenance.unfinished(runs)
        ],
    }


def _level(found: Sensitivity, level: Level) -> dict[str, Any]:
    metrics = sorted(
        {name for row in level.rows for name in row.metrics if name.split("/")[0] in ("validation", "test")}
    )
    return {
        "value": level.value,
        "seeds": sorted(level.scores(f"validation/{found.metric}")),
        "scores": {metric: _ends(level.interval(metric)) for metric in metrics},
    }


def _ends(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    known = not math.isnan(interval.low)
    return {"mean": interval.mean, "low": interval.low if known else None, "high": interval.high if known else None}
