"""Result tables on the terminal."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from dferc_platform.cli.errors import say_warning
from dferc_platform.cli.report import say, say_report

if TYPE_CHECKING:
    from dferc.evaluation.statistics import Interval
    from dferc_platform.results import RunRow
    from dferc_platform.spaces import SearchSpace
    from dferc_platform.studies.beta import BetaSummary
    from dferc_platform.tracking import Tracker

SCORES = {
    "validation/weighted_f1": "validation w-F1",
    "test/weighted_f1": "test w-F1",
    "test/macro_f1": "test macro-F1",
    "test/accuracy": "test accuracy",
}
"""The scores of a result table, in percent; everything else is in the report and in MLflow."""
BEST_SHOWN = 5
"""Runs of a search that are shown."""


def show_rows(rows: "list[RunRow]") -> None:
    """A table of finished runs, one a seed, with the mean and its interval where there are several."""
    from dferc_platform.studies.seeds import score_intervals

    names = [name for name in SCORES if all(name in row.metrics for row in rows)]
    table = Table(box=None, pad_edge=False)
    for title in ("seed", "epoch", *(SCORES[name] for name in names)):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(str(row.parameters["seed"]), str(row.best_epoch), *(f"{row.metrics[n]:.2f}" for n in names))
    if len(rows) > 1:
        intervals = score_intervals(rows)
        table.add_section()
        table.add_row("mean ± 95 %", "", *(interval_text(intervals[n]) for n in names))
    Console().print(table)


def show_best(rows: "list[RunRow]", space: "SearchSpace") -> None:
    """The best few runs of a search, and how many ended otherwise."""
    finished = [row for row in rows if row.status == "FINISHED" and space.metric in row.metrics]
    ranked = sorted(finished, key=lambda row: row.metrics[space.metric], reverse=True)
    table = Table(box=None, pad_edge=False)
    for title in ("trial", SCORES.get(space.metric, space.metric), "varied"):
        table.add_column(title, overflow="fold")
    for row in ranked[:BEST_SHOWN]:
        table.add_row(str(row.number), f"{row.metrics[space.metric]:.2f}", values_text(row.varied))
    Console().print(table)
    others = [row.status for row in rows if row.status != "FINISHED"]
    counts = ", ".join(f"{others.count(status)} {status.lower()}" for status in sorted(set(others)))
    say(f"{len(finished)} of {len(rows)} runs finished" + (f"; {counts}" if counts else ""))


def show_beta(summary: "BetaSummary", tracker: "Tracker") -> None:
    """Every value with its means over seeds, the answer in words, and where to look further."""
    found = summary.found
    names = [f"validation/{found.metric}", *([f"test/{found.metric}"] if found.scores_test else [])]
    table = Table(box=None, pad_edge=False)
    for title in (found.setting, "seeds", *(SCORES.get(name, name) for name in names)):
        table.add_column(title, justify="right")
    for level in found.levels:
        scores = (interval_text(level.interval(name)) for name in names)
        style = "bold" if level.value == found.best.value else None
        table.add_row(f"{level.value:g}", str(len(level.rows)), *scores, style=style)
    Console().print(table)
    for sentence in summary.verdict:
        say(sentence)
    say_report(summary.report)
    say(f"Figure: {summary.figure}")
    say_tracked(tracker, summary.report.parents[1].name)


def values_text(values: Mapping[str, Any]) -> str:
    """Settings on one line."""
    return ", ".join(f"{n}={v:.4g}" if isinstance(v, float) else f"{n}={v}" for n, v in values.items())


def interval_text(interval: "Interval") -> str:
    """A mean and half the length of its 95 % interval, in percent."""
    half = "" if math.isnan(interval.low) else f" ± {interval.half_width:.2f}"
    return f"{interval.mean:.2f}{half}"


def say_tracked(tracker: "Tracker", study: str) -> None:
    """Say where MLflow has the runs, or what kept them from it and how to send them later."""
    if tracker.problem:
        say_warning(tracker.problem)
    else:
        say(f"MLflow: {tracker.uri}; compare the runs there with: dferc ui {study}")
