"""The report of a comparison: who leads, by how much, and whether that can be told from chance."""

from dataclasses import asdict
from typing import Any

from dferc.evaluation.ranks import count_apart
from dferc.evaluation.statistics import Interval
from dferc_platform.report import provenance
from dferc_platform.report.comparison import METRIC, Comparison, Standing
from dferc_platform.report.comparison_figures import PUBLISHED_WAY, budget_figure, leaderboard_figure
from dferc_platform.report.comparison_provenance import budget, counted, facts, unfinished, warnings
from dferc_platform.report.comparison_tables import further_tables, left_out
from dferc_platform.report.comparison_verdict import GAP, verdict
from dferc_platform.report.html import Report, Tile
from dferc_platform.report.rank_figure import rank_figure
from dferc_platform.report.runs import metric_title
from dferc_platform.report.style import Figure
from dferc_platform.report.tables import Cell, Probability, Table, text

NOTE = (
    "Mean over seeds ± half its 95 % t interval, in percent. Distances to the reference are paired by utterance, with "
    "the 95 % interval of a bootstrap over whole dialogues; p is corrected for the number of models (Holm). Best test "
    "epoch: the score of the same runs if test chose the epoch, as published protocols let it; the optimism gap is "
    "what that adds. Published scores come from other features, were mostly chosen on test, and are shown for "
    "orientation only."
)
BACKBONE_NOTE = (
    " Text backbone: the encoder that a model trains on the text itself, scratch if its weights were random; others "
    "take the corpus' vectors. Compare models of one kind."
)


def comparison_report(found: Comparison) -> Report:
    """Leaderboard, figures, further tables and words of a comparison."""
    best = found.finished[0].entry
    asked = found.study.config["comparison"]
    return Report(
        name=found.study.name,
        title=f"Which model is best on {found.study.card.get('name', found.study.corpus)}?",
        lead=f"{counted(len(found.standings), 'model')}, {budget(asked)}; validation chose, and test chose nothing.",
        verdict=verdict(found),
        tiles=_tiles(found),
        table=leaderboard(found),
        figures=_figures(found),
        facts=tuple(facts(found)),
        warnings=tuple(warnings(found)),
        unfinished=tuple(unfinished(found)),
        best_run=f"{best.model}, {provenance.describe(best.runs[0])}",
        best_reason="whose settings validation chose, and whose mean over seeds is the highest on test",
        best_yaml=provenance.best_configuration(best.runs[0], open_test=True),
        summary=_summary(found),
        remarks=left_out(found),
        tables=further_tables(found),
        wide=True,
    )


def leaderboard(found: Comparison) -> Table:
    """A row a model, the best first; the reference is stressed."""
    tuned = any(s.entry.backbone for s in found.standings)
    columns = (
        "model", *(("text backbone",) if tuned else ()), f"validation {metric_title(METRIC)}",
        f"test {metric_title(METRIC)}", "test macro F1", "test accuracy", f"less {found.reference}", "p (Holm)",
        "best test epoch", "optimism gap", "published", "trials", "parameters (M)", "seconds of training",
        "peak memory (MB)",
    )  # fmt: skip
    rows = tuple(_cells(s, tuned) for s in found.standings)
    reference = [i for i, s in enumerate(found.standings) if s.entry.model == found.reference]
    cautions = "".join(
        f" Caution, {s.entry.model}: {s.published.caution}."
        for s in found.standings
        if s.published and s.published.caution
    )
    return Table(columns, rows, frozenset(reference), NOTE + cautions + (BACKBONE_NOTE if tuned else ""))


def _cells(standing: Standing, tuned: bool) -> tuple[Cell, ...]:
    entry, known = standing.entry, standing.published
    scores = [entry.interval(m) for m in (f"validation/{METRIC}", f"test/{METRIC}", "test/macro_f1", "test/accuracy")]
    memory = entry.fact("memory", "peak_mb")
    return (
        entry.model,
        *((entry.backbone and entry.backbone.rstrip("/").rsplit("/", 1)[-1],) if tuned else ()),
        *scores,
        standing.difference,
        None if standing.p is None else Probability(standing.p),
        entry.interval(PUBLISHED_WAY),
        entry.interval(GAP),
        None if known is None else known.weighted_f1,
        entry.trials,
        None if entry.parameters is None else entry.parameters / 1e6,
        entry.fact("seconds", "training"),
        round(memory) if memory else None,  # 0: it could not be measured
    )


def _tiles(found: Comparison) -> tuple[Tile, ...]:
    best, asked = found.finished[0].entry, found.study.config["comparison"]
    tiles = [
        Tile("highest mean", best.model, f"test {metric_title(METRIC)} {text(best.interval(f'test/{METRIC}'))}"),
        Tile("models with a score", f"{len(found.finished)} of {len(found.standings)}", _without(found)),
        Tile("trials a model", str(asked["trials"]), f"the same budget for each; then {len(asked['seeds'])} seeds"),
    ]
    if found.ranking is not None:
        apart, pairs = count_apart(found.ranking)
        tiles.append(Tile("pairs told apart", f"{apart} of {pairs}", f"by ranks over {found.ranking.blocks} dialogues"))
    return tuple(tiles)


def _without(found: Comparison) -> str:
    missing = [s.entry.model for s in found.standings if not s.entry.runs]
    return f"without one: {', '.join(missing)}" if missing else "none failed"


def _figures(found: Comparison) -> tuple[Figure, ...]:
    ranks = None if found.ranking is None else rank_figure(found.ranking, list(found.scored))
    return (
        leaderboard_figure(found.finished),
        *(figure for figure in (ranks, budget_figure(found)) if figure is not None),
    )


def _summary(found: Comparison) -> dict[str, Any]:
    ranks = {} if found.ranking is None else dict(zip(found.scored, found.ranking.mean_ranks.tolist(), strict=True))
    rows = [_summary_row(standing, ranks.get(standing.entry.model)) for standing in found.standings]
    summary: dict[str, Any] = {
        "kind": "comparison",
        "study": found.study.name,
        "reference": found.reference,
        "models": rows,
    }
    summary["verdict"] = list(verdict(found))
    if found.ranking is not None:
        apart, pairs = count_apart(found.ranking)
        summary["ranks"] = {
            "dialogues": found.ranking.blocks,
            "friedman_p": found.ranking.p,
            "pairs": pairs,
            "pairs_told_apart": apart,
        }
    return summary


def _summary_row(standing: Standing, rank: float | None) -> dict[str, Any]:
    entry, known = standing.entry, standing.published
    return {
        "model": entry.model,
        "backbone": entry.backbone,
        "test": _mean(entry.interval(f"test/{METRIC}")),
        "seeds": [run.metrics.get(f"test/{METRIC}") for run in entry.runs],
        "best_test_epoch": _mean(entry.interval(PUBLISHED_WAY)),
        "optimism_gap": _mean(entry.interval(GAP)),
        "average_rank": rank,
        "difference": _mean(standing.difference),
        "p_holm": standing.p,
        "published": {} if known is None else asdict(known),
        "error": entry.error,
    }


def _mean(interval: Interval | None) -> float | None:
    return None if interval is None else interval.mean
