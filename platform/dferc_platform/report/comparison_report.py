"""The report of a comparison: who leads, by how much, and whether that can be told from chance."""

from typing import Any

from dferc_platform.report import provenance
from dferc_platform.report.comparison import METRIC, Comparison, Standing
from dferc_platform.report.html import Report, Tile
from dferc_platform.report.provenance import Fact, Note
from dferc_platform.report.runs import metric_title
from dferc_platform.report.style import COLOURS, Figure, canvas
from dferc_platform.report.tables import Cell, Table, text

ALPHA = 0.05
NOTE = (
    "Mean over seeds ± half its 95 % t interval, in percent. Distances to the reference are paired by utterance, with "
    "the 95 % interval of a bootstrap over whole dialogues; p is corrected for the number of models (Holm). Published "
    "scores come from other features, were mostly chosen on test, and are shown for orientation only."
)


def comparison_report(found: Comparison) -> Report:
    """Leaderboard, figure and words of a comparison."""
    finished = [s for s in found.standings if s.entry.runs]
    best = finished[0]
    asked: dict[str, Any] = found.study.config["comparison"]
    return Report(
        name=found.study.name,
        title=f"Which model is best on {found.study.card.get('name', found.study.corpus)}?",
        lead=(
            f"{len(found.standings)} models, each searched with {asked['trials']} trials on validation, its best "
            f"settings trained again with {len(asked['seeds'])} seeds, test scored once a run."
        ),
        verdict=tuple(_verdict(found, finished)),
        tiles=(
            Tile(
                "leader", best.entry.model, f"test {metric_title(METRIC)} {text(best.entry.interval(f'test/{METRIC}'))}"
            ),
            Tile("models that finished", f"{len(finished)} of {len(found.standings)}", "a failed model fails alone"),
            Tile("trials a model", str(asked["trials"]), "the same budget for each"),
        ),
        table=leaderboard(found),
        figures=(_figure(finished),),
        facts=tuple(_facts(found)),
        warnings=(),
        unfinished=tuple(
            Note(s.entry.model, "FAILED", s.entry.error or "not finished yet")
            for s in found.standings
            if not s.entry.runs
        ),
        best_run=f"{best.entry.model}, {provenance.describe(best.entry.runs[0])}",
        best_yaml=provenance.best_configuration(best.entry.runs[0], open_test=True),
        summary=_summary(found),
    )


def leaderboard(found: Comparison) -> Table:
    """A row a model, the best first; the reference is stressed."""
    columns = (
        "model", f"validation {metric_title(METRIC)}", f"test {metric_title(METRIC)}", "test macro F1", "test accuracy",
        f"less {found.reference}", "p (Holm)", "published", "trials", "parameters", "seconds a run",
    )  # fmt: skip
    rows = tuple(_cells(s) for s in found.standings)
    reference = [i for i, s in enumerate(found.standings) if s.entry.model == found.reference]
    return Table(columns, rows, frozenset(reference), NOTE)


def _cells(standing: Standing) -> tuple[Cell, ...]:
    entry = standing.entry
    scores = [entry.interval(m) for m in (f"validation/{METRIC}", f"test/{METRIC}", "test/macro_f1", "test/accuracy")]
    return (
        entry.model,
        *scores,
        standing.difference,
        None if standing.p is None else f"{standing.p:.3f}",
        standing.published.get("weighted_f1"),
        entry.trials,
        entry.facts.get("parameters"),
        entry.facts.get("seconds", {}).get("total"),
    )


def _verdict(found: Comparison, finished: list[Standing]) -> list[str]:
    best = finished[0]
    said = [
        f"{best.entry.model} leads with a test {metric_title(METRIC)} of {text(best.entry.interval(f'test/{METRIC}'))}."
    ]
    told = [s.entry.model for s in finished if s.p is not None and s.p < ALPHA]
    same = [s.entry.model for s in finished if s.p is not None and s.p >= ALPHA]
    if told:
        said.append(f"Told apart from {found.reference}: {', '.join(told)}.")
    if same:
        said.append(f"Not told apart from {found.reference} by this many dialogues: {', '.join(same)}.")
    if found.study.config["comparison"]["small"]:
        said.append("The models were made tiny to try the study: these scores mean nothing.")
    return said


def _figure(finished: list[Standing]) -> Figure:
    with canvas(8.0, 1.2 + 0.34 * len(finished)) as figure:
        axis = figure.subplots()
        for place, standing in enumerate(reversed(finished)):
            interval = standing.entry.interval(f"test/{METRIC}")
            assert interval is not None  # noqa: S101  # a finished model has one
            axis.plot([interval.low, interval.high], [place, place], color=COLOURS["orange"], linewidth=2.2)
            axis.plot(interval.mean, place, marker="o", color=COLOURS["orange"], markersize=6)
            seeds = [run.metrics[f"test/{METRIC}"] for run in standing.entry.runs]
            axis.plot(seeds, [place] * len(seeds), linestyle="none", marker="|", color=COLOURS["soft"], markersize=8)
        left, right = axis.get_xlim()
        axis.set_xlim(max(left, 0), min(right, 100))  # a few seeds' intervals reach beyond what a score can be
        axis.set_yticks(range(len(finished)), [standing.entry.model for standing in reversed(finished)])
        axis.set_xlabel(f"test {metric_title(METRIC)} (%)")
    return Figure(
        "leaderboard",
        f"Test {metric_title(METRIC)} of each model",
        "Dot: mean over seeds; line: its 95 % t interval; strokes: the seeds. Overlapping lines do not mean that "
        "models are equal, nor the other way round: the paired distances in the table say more.",
        figure,
    )


def _facts(found: Comparison) -> list[Fact]:
    study, asked = found.study, found.study.config["comparison"]
    facts = [
        Fact("Corpus", f"{study.card.get('name', '')}, fingerprint {study.fingerprint[:16]}"),
        Fact("Source", str(study.card.get("source", ""))),
        Fact("Licence", str(study.card.get("licence", ""))),
        Fact("Splits", str(study.card.get("split_note", ""))),
        Fact("Budget", f"{asked['trials']} trials a model, seeds {', '.join(map(str, asked['seeds']))}"),
    ]
    return [fact for fact in facts if fact.text]


def _summary(found: Comparison) -> dict[str, Any]:
    rows = []
    for standing in found.standings:
        test = standing.entry.interval(f"test/{METRIC}")
        rows.append(
            {
                "model": standing.entry.model,
                "test": None if test is None else test.mean,
                "seeds": [run.metrics.get(f"test/{METRIC}") for run in standing.entry.runs],
                "difference": None if standing.difference is None else standing.difference.mean,
                "p_holm": standing.p,
                "published": dict(standing.published),
                "error": standing.entry.error,
            }
        )
    return {"kind": "comparison", "study": found.study.name, "reference": found.reference, "models": rows}
