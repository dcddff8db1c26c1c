"""The critical-difference diagram: average ranks on a line, bars over models that cannot be told apart."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from dferc.evaluation.ranks import Ranking, groups
from dferc_platform.report.style import COLOURS, WIDE, Figure, canvas

ROW, BAR, TOP = 0.27, 0.14, 0.55
"""Inches for a model's name, for a bar, and for the scale above them."""
MARGIN = 0.34
"""Share of the scale's length on each side that names may use."""


def rank_figure(ranking: Ranking, names: Sequence[str]) -> Figure:
    """Average ranks of the models, the best on the left, with a bar over each run that cannot be told apart."""
    order, joined = np.argsort(ranking.mean_ranks, kind="stable"), groups(ranking)
    ranks = ranking.mean_ranks[order]
    left = (len(order) + 1) // 2
    depth = TOP + BAR * (len(joined) + 1) + ROW * (left + 0.5)
    with canvas(WIDE, depth + 0.3) as figure:
        axis = figure.subplots()
        low, high = _ends(ranks)
        _scale(axis, low, high)
        for number, members in enumerate(joined):
            height = -BAR * (number + 1)
            best, worst, over = *ranking.mean_ranks[[members[0], members[-1]]], 0.012 * (high - low)
            axis.plot([best - over, worst + over], [height] * 2, color=COLOURS["ink"], linewidth=4)
        start = -BAR * (len(joined) + 1)
        for place, model in enumerate(order):
            side = place < left
            row = place if side else len(order) - 0.5 - place  # half a row lower, so that lines of two sides never meet
            _name(
                axis, ranks[place], start - ROW * (row + 0.5), f"{names[model]} ({ranks[place]:.2f})", (low, high), side
            )
        axis.set_xlim(low - MARGIN * (high - low), high + MARGIN * (high - low))
        axis.set_ylim(start - ROW * (left + 0.5), TOP)
        axis.axis("off")
    friedman = "p < 0.001" if ranking.p < 0.001 else f"p = {ranking.p:.3f}"
    caption = (
        f"Models are ranked in each of {ranking.blocks} test dialogues by accuracy, mean over seeds, 1 being the best; "
        f"the scale shows the mean of these ranks. Friedman's test that all are equal: {friedman}. A bar joins models "
        "of which no two can be told apart (Wilcoxon's signed-rank test, Holm's correction over all pairs, 0.05). Two "
        "models without a common bar may still not be told apart: the table of pairs says."
    )
    return Figure("critical-difference", "Which models can be told apart", caption, figure)


def _ends(ranks: np.ndarray) -> tuple[float, float]:
    """Whole ranks around all averages, so that close averages are spread out."""
    low, high = float(np.floor(ranks.min())), float(np.ceil(ranks.max()))
    return low, max(high, low + 1)


def _scale(axis: Axes, low: float, high: float) -> None:
    axis.plot([low, high], [0, 0], color=COLOURS["ink"], linewidth=1.2)
    step = 1 if high - low <= 14 else 2
    for mark in np.arange(low, high + 0.5, step):
        axis.plot([mark, mark], [0, 0.08], color=COLOURS["ink"], linewidth=1)
        axis.text(mark, 0.13, f"{mark:.0f}", ha="center", va="bottom", fontsize=9)
    axis.text((low + high) / 2, 0.4, "average rank", ha="center", va="bottom", fontsize=9, color=COLOURS["soft"])


def _name(axis: Axes, rank: float, height: float, label: str, ends: tuple[float, float], left: bool) -> None:
    """A line from the rank down and out to the model's name on one side."""
    reach = 0.03 * (ends[1] - ends[0])
    side = ends[0] - reach if left else ends[1] + reach
    axis.plot([rank, rank, side], [0, height, height], color=COLOURS["soft"], linewidth=0.9, zorder=1)
    axis.plot(rank, 0, "o", color=COLOURS["orange"], markersize=4.5, zorder=3)
    way, align = (-1, "right") if left else (1, "left")
    axis.text(side + 0.2 * way * reach, height, label, ha=align, va="center", fontsize=9)
