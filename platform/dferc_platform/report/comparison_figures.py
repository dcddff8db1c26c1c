"""Figures of a comparison: the leaderboard, and what each search would have found with fewer trials."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dferc.evaluation.budget import expected_best
from dferc_platform.report.comparison import METRIC, Comparison, Standing
from dferc_platform.report.runs import metric_title
from dferc_platform.report.style import COLOURS, WIDE, Figure, canvas

PUBLISHED_WAY = f"published/test/{METRIC}"
"""What a run scores at its best test epoch."""
HUES = ("blue", "orange", "green", "ink", "soft")
DASHES: tuple[tuple[float, tuple[float, ...] | None], ...] = ((0, None), (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)))
"""With the hues, 20 lines that differ; those beyond are told apart by their labels."""
LABEL_INCHES = 0.19
"""Room that the label of a line needs."""


def leaderboard_figure(finished: Sequence[Standing]) -> Figure:
    """Mean, interval and seeds of each model, the best on top."""
    rows = list(reversed(finished))
    with canvas(WIDE, 1.2 + 0.28 * len(rows)) as figure:
        axis = figure.subplots()
        for place, standing in enumerate(rows):
            _draw_model(axis, place, standing)
        left, right = axis.get_xlim()
        axis.set_xlim(max(left, 0), min(right, 100))  # a few seeds' intervals reach beyond what a score can be
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.set_yticks(range(len(rows)), [standing.entry.model for standing in rows])
        axis.set_xlabel(f"test {metric_title(METRIC)} (%)")
    ring = any(standing.entry.interval(PUBLISHED_WAY) for standing in rows)
    return Figure(
        "leaderboard",
        f"Test {metric_title(METRIC)} of each model",
        "Dot: mean over seeds; line: its 95 % t interval; strokes: the seeds. "
        + ("Ring: the mean if test chose the epoch, as published protocols let it. " if ring else "")
        + "Overlapping lines do not mean that models are equal, nor the other way round: the paired distances in the "
        "table say more.",
        figure,
    )


def _draw_model(axis: Axes, place: int, standing: Standing) -> None:
    interval, flattered = standing.entry.interval(f"test/{METRIC}"), standing.entry.interval(PUBLISHED_WAY)
    assert interval is not None  # noqa: S101  # a finished model has one
    axis.plot([interval.low, interval.high], [place, place], color=COLOURS["orange"], linewidth=2.2)
    axis.plot(interval.mean, place, marker="o", color=COLOURS["orange"], markersize=6)
    seeds = [run.metrics[f"test/{METRIC}"] for run in standing.entry.runs]
    axis.plot(seeds, [place] * len(seeds), linestyle="none", marker="|", color=COLOURS["soft"], markersize=8)
    if flattered is not None:
        axis.plot(flattered.mean, place, "o", markerfacecolor="none", markeredgecolor=COLOURS["blue"], markersize=7)


def budget_figure(found: Comparison) -> Figure | None:
    """Expected best validation score of each search against its number of trials; None where no search has two."""
    curves = {s.entry.model: expected_best(s.entry.searched) for s in found.finished if s.entry.searched}
    longest = max(map(len, curves.values()), default=0)
    if longest < 2:
        return None
    height = max(3.8, 0.9 + LABEL_INCHES * len(curves))
    with canvas(WIDE, height) as figure:
        axis = figure.subplots()
        ends = sorted(curves, key=lambda model: curves[model][-1], reverse=True)
        for number, model in enumerate(ends):
            curve, hue = curves[model], COLOURS[HUES[number % len(HUES)]]
            dash = DASHES[number // len(HUES) % len(DASHES)]
            axis.plot(np.arange(1, len(curve) + 1), curve, color=hue, linestyle=dash, linewidth=1.5)
        axis.set_xlim(1, longest)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("trials")
        axis.set_ylabel(f"expected best validation {metric_title(METRIC)} (%)")
        _label_ends(axis, {model: curves[model] for model in ends}, LABEL_INCHES / (height - 0.7))
    caption = (
        "The best validation score to expect of so many trials of a model's search, were they drawn at random from "
        "those that it made (Dodge et al. 2019). Where lines cross, who wins depends on the budget; a line that still "
        "rises says that more trials would help. Trials that were stopped early count with the score they had reached."
    )
    return Figure("budget", "What the budget of trials decides", caption, figure)


def _label_ends(axis: Axes, curves: Mapping[str, np.ndarray], room: float) -> None:
    """Names beside the ends of their lines, the highest first, pushed apart where they would overlap."""
    bottom, top = axis.get_ylim()
    wanted = np.array([(curve[-1] - bottom) / (top - bottom) for curve in curves.values()])
    for number, ((model, curve), place) in enumerate(zip(curves.items(), spread(wanted, room), strict=True)):
        axis.annotate(
            f"{model}  {curve[-1]:.1f}",
            xy=(len(curve), curve[-1]),
            xytext=(1.05, place),
            textcoords="axes fraction",
            color=COLOURS[HUES[number % len(HUES)]],
            fontsize=9,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": COLOURS["soft"],
                "linewidth": 0.6,
                "relpos": (0, 0.5),  # from the middle of the label's left side
                "shrinkA": 2,
                "shrinkB": 2,
            },
        )


def spread(places: np.ndarray, room: float) -> np.ndarray:
    """Places in falling order moved as little as needed to be ``room`` apart, inside 0 to 1 where they fit there."""
    steps = room * np.arange(len(places))
    down = np.minimum.accumulate(np.minimum(places, 1) + steps) - steps
    lowest = room * np.arange(len(places))[::-1]
    return np.asarray(np.maximum(down, lowest))
