"""Figures of a sweep: how the best score grew, what each setting did to the score, which settings mattered."""

import math

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dferc_platform.report.runs import metric_title, number
from dferc_platform.report.search import Search, trial_number
from dferc_platform.report.style import COLOURS, Figure, canvas

PANEL_COLUMNS = 3


def optimisation_history(found: Search) -> Figure:
    """Score of every trial in order of creation, with the best so far."""
    cut = [row for row in found.others if found.metric in row.metrics]
    numbers = [trial_number(row) for row in found.finished]
    with canvas(9.8, 3.4) as figure:
        axis = figure.subplots()
        if cut:
            places, reached = [trial_number(row) for row in cut], [row.metrics[found.metric] for row in cut]
            label = "stopped early, failed or cut off"
            axis.scatter(places, reached, s=26, facecolors="none", edgecolors=COLOURS["soft"], label=label)
        axis.scatter(
            numbers,
            [row.metrics[found.metric] for row in found.finished],
            s=26,
            color=COLOURS["blue"],
            label="finished",
        )
        axis.step(numbers, found.best_so_far(), where="post", color=COLOURS["orange"], label="best so far")
        axis.set_xlabel("trial")
        axis.set_ylabel(f"validation {metric_title(found.metric)} (%)")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower center", ncols=3)
    caption = "A line that has been level for long says that more trials of this kind will bring little."
    return Figure("optimisation-history", "How the best score grew", caption, figure)


def slices(found: Search) -> Figure:
    """Score against each varied setting, a panel each."""
    rows = math.ceil(len(found.varied) / PANEL_COLUMNS)
    with canvas(9.8, 2.6 * rows) as figure:
        axes = figure.subplots(rows, PANEL_COLUMNS, squeeze=False, sharey=True)
        for axis, name in zip(axes.ravel(), found.varied, strict=False):
            _draw_slice(axis, found, name)
        for axis in axes.ravel()[len(found.varied) :]:
            axis.set_visible(False)
        for axis in axes[:, 0]:
            axis.set_ylabel(f"{metric_title(found.metric)} (%)")
    caption = (
        "Every finished trial, on validation; ring: the best one. Settings vary together, so a panel alone is no proof."
    )
    return Figure("slices", "What each setting did to the score", caption, figure)


def _draw_slice(axis: Axes, found: Search, name: str) -> None:
    held = [row for row in found.finished if row.varied.get(name) is not None]
    values = [row.varied[name] for row in held]
    places, scores = values, [row.metrics[found.metric] for row in held]
    if not found.is_numeric(name):
        kinds = sorted({str(value) for value in values})
        axis.set_xticks(range(len(kinds)), kinds)
        axis.set_xlim(-0.5, len(kinds) - 0.5)
        places = [kinds.index(str(value)) for value in values]
    elif found.is_logarithmic(name):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.scatter(places, scores, s=22, color=COLOURS["blue"], alpha=0.65, linewidths=0)
    if found.best in held:
        top = held.index(found.best)
        axis.scatter([places[top]], [scores[top]], s=110, facecolors="none", edgecolors=COLOURS["ink"], linewidths=1.6)
    axis.set_xlabel(name)


def importances(found: Search) -> Figure:
    """Share of each setting in telling good trials from the rest."""
    names, shares = list(found.importances), list(found.importances.values())
    with canvas(9.8, 0.9 + 0.34 * len(names)) as figure:
        axis = figure.subplots()
        bars = axis.barh(names[::-1], shares[::-1], color=COLOURS["blue"], height=0.62)
        axis.bar_label(bars, fmt="%.2f", padding=4)
        axis.grid(False)
        axis.spines["bottom"].set_visible(False)
        axis.set_xticks([])
    caption = (
        f"PED-ANOVA over {len(found.finished)} finished trials: what tells the better half from the rest, in the "
        "ranges tried. A hint, no proof: on few trials such estimators disagree widely, and interactions are not shown."
    )
    return Figure("importances", "Which settings mattered", caption, figure)
