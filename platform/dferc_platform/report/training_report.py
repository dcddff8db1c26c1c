"""The report of plain training: one config, one seed or several."""

from typing import Any

from dferc.evaluation.statistics import mean_interval
from dferc_platform.report import provenance
from dferc_platform.report.epoch_figures import diagnostic_names, diagnostics, learning_curves
from dferc_platform.report.html import Report, Tile
from dferc_platform.report.runs import StudyRuns, histories, titled
from dferc_platform.report.search_report import best_confusion
from dferc_platform.report.style import Figure
from dferc_platform.report.tables import METRICS, runs_table, text
from dferc_platform.results import RunRow


def training_report(runs: StudyRuns) -> Report:
    """Learning curves, scores and the confusion matrix."""
    best = max(runs.finished, key=lambda row: row.metrics[f"validation/{runs.metric}"])
    splits = ("validation", "test") if runs.scores_test else ("validation",)
    means = {
        f"{split}/{metric}": mean_interval([row.metrics[f"{split}/{metric}"] for row in runs.finished])
        for split in splits
        for metric in dict.fromkeys((runs.metric, *METRICS))
    }
    shown = {name: text(mean) for name, mean in means.items()}
    return Report(
        name=runs.study.name,
        title=f"How good is {runs.study.model}?",
        lead=f"Trained on {runs.study.corpus}.",
        verdict=(_headline(runs, shown),),
        tiles=tuple(Tile(titled(name), f"{mean.mean:.2f}", _seeds(runs)) for name, mean in means.items()),
        table=runs_table(runs.finished, list(means)),
        figures=_figures(runs, best),
        facts=tuple(provenance.facts(runs)),
        warnings=tuple(provenance.warnings(runs)),
        unfinished=tuple(provenance.unfinished(runs)),
        best_run=provenance.describe(best),
        best_yaml=provenance.best_configuration(best, open_test=False),
        summary=_summary(runs, {name: mean.mean for name, mean in means.items()}, best),
    )


def _headline(runs: StudyRuns, shown: dict[str, str]) -> str:
    name = f"{runs.shown_split}/{runs.metric}"
    return f"{runs.study.model} reaches a {titled(name)} of {shown[name]} ({_seeds(runs)})."


def _seeds(runs: StudyRuns) -> str:
    return "one seed" if len(runs.finished) == 1 else f"mean of {len(runs.finished)} seeds"


def _figures(runs: StudyRuns, best: RunRow) -> tuple[Figure, ...]:
    curves = {str(row.parameters.get("seed")): histories([row]) for row in runs.finished}
    drawn = [learning_curves(curves, "seed", runs.metric)]
    if diagnostic_names(curves):
        drawn.append(diagnostics(curves, "seed"))
    return (*drawn, *best_confusion(best, runs.shown_split))


def _summary(runs: StudyRuns, means: dict[str, float], best: RunRow) -> dict[str, Any]:
    return {
        "kind": runs.study.kind,
        "study": runs.study.name,
        "key": runs.study.key,
        "fingerprint": runs.study.fingerprint,
        "means": means,
        "best_run": best.key,
        "runs": [{"seed": row.parameters.get("seed"), "metrics": dict(row.metrics)} for row in runs.finished],
        "unfinished": [
            {"run": note.run, "status": note.status, "error": note.text} for note in provenance.unfinished(runs)
        ],
    }
