"""What a comparison answers, in words that claim no more than its dialogues and seeds support."""

from collections.abc import Sequence

import numpy as np

from dferc.evaluation.ranks import count_apart
from dferc_platform.report.comparison import METRIC, Comparison, Standing
from dferc_platform.report.comparison_provenance import counted
from dferc_platform.report.runs import metric_title
from dferc_platform.report.tables import text

ALPHA = 0.05
GAP = "optimism_gap"
"""What a run would score more if test chose its epoch, as published protocols let it."""


def verdict(found: Comparison) -> tuple[str, ...]:
    """Who leads and if that can be told; the reference; all pairs; what the protocol does; who is missing."""
    asked = found.study.config["comparison"]
    sentences = [
        _leader(found),
        _against_reference(found),
        _pairs(found),
        "These tests speak of other dialogues, not of other seeds." if len(found.finished) > 1 else "",
        _optimism(found),
        _backbones(found),
        _failed(found),
        _seeds(found, len(asked["seeds"])),
        "The models were made tiny to try the study: these scores mean nothing." if asked["small"] else "",
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _leader(found: Comparison) -> str:
    best = found.finished[0].entry
    score = f"a test {metric_title(METRIC)} of {text(best.interval(f'test/{METRIC}'))}"
    if len(found.finished) == 1:
        return f"Only {best.model} has a score, {score}: nothing is compared."
    if found.ranking is None:
        return f"{best.model} has the highest mean, {score}."
    others = [s.entry.model for s in found.finished[1:]]
    same = [name for name, apart in zip(others, found.ranking.apart(ALPHA)[0, 1:], strict=True) if not apart]
    told = (
        f"{len(same)} of the other {len(others)} cannot be told apart from it" if same else "all others are told apart"
    )
    return f"{best.model} has the highest mean, {score}; by their ranks over dialogues, {told}."


def _against_reference(found: Comparison) -> str:
    others = [s for s in found.finished if s.p is not None and s.difference is not None]
    if not others:
        return ""
    told = [s for s in others if s.p is not None and s.p < ALPHA]
    better = [s for s in told if s.difference is not None and s.difference.mean > 0]
    same = [s for s in others if s not in told]
    parts = [
        f"{len(told)} of {counted(len(others), 'other model')} can be told apart from {found.reference} in "
        f"{metric_title(METRIC)}",
        *([f"better: {_names(better)}"] if better else []),
        *([f"worse: {_names([s for s in told if s not in better])}"] if len(told) > len(better) else []),
    ]
    rest = f" {len(same)} cannot: {_names(same)}." if same else ""
    return "; ".join(parts) + "." + rest


def _pairs(found: Comparison) -> str:
    if found.ranking is None:
        return ""
    apart, pairs = count_apart(found.ranking, ALPHA)
    return (
        f"Of all {pairs} pairs, {apart} can be told apart and {pairs - apart} cannot, by the accuracy in each of "
        f"{found.ranking.blocks} test dialogues."
    )


def _optimism(found: Comparison) -> str:
    gaps = [gap.mean for s in found.finished if (gap := s.entry.interval(GAP)) is not None]
    if not gaps:
        return ""
    span = f" ({min(gaps):.2f} to {max(gaps):.2f} by model)" if len(gaps) > 1 else ""
    added = f"{np.mean(gaps):.2f} points{span}"
    return f"Letting test choose the epoch, as published scores mostly do, would have added {added}."


def _backbones(found: Comparison) -> str:
    tuned = [s for s in found.finished if s.entry.backbone]
    if not tuned:
        return ""
    named = ", ".join(f"{s.entry.model} ({s.entry.backbone})" for s in tuned)
    scratch = any(s.entry.backbone == "scratch" for s in tuned)
    caution = (
        "; one from scratch starts with random weights, which says nothing of the published model" if scratch else ""
    )
    reading = "some models read the text itself through an encoder that they train"
    return f"Not on the same footing: {reading}, {named}{caution}."


def _failed(found: Comparison) -> str:
    missing = [s.entry for s in found.standings if not s.entry.runs]
    failed = [entry.model for entry in missing if entry.error]
    waiting = [entry.model for entry in missing if not entry.error]
    said = [f"Failed, and without a score: {', '.join(failed)}."] if failed else []
    said += [f"Not finished yet: {', '.join(waiting)}."] if waiting else []
    return " ".join(said)


def _seeds(found: Comparison, asked: int) -> str:
    short = [s.entry for s in found.finished if len(s.entry.runs) < asked]
    if short:
        counts = ", ".join(f"{entry.model} {len(entry.runs)}" for entry in short)
        return f"Not every model has all its {asked} seeds ({counts}): compare these with care."
    return "One seed a model says nothing of how much seeds matter." if asked == 1 else ""


def _names(standings: Sequence[Standing]) -> str:
    return ", ".join(s.entry.model for s in standings)
