"""Figures of scores: the sensitivity curve, classes against a setting, the confusion matrix."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.ticker import MaxNLocator

from dferc_platform.report.runs import metric_title, number
from dferc_platform.report.sensitivity import Sensitivity
from dferc_platform.report.style import COLOURS, DISTANCES, HEAT, Figure, canvas

LEAST_HEIGHT = 1.0
"""Points that a panel shows at least, so that nothing looks like a difference."""
INTERVAL_ROOM = 0.6
"""A wide interval of few seeds must not squeeze the curve: so much of the seeds' range is drawn beyond it at most."""


def sensitivity_curve(found: Sensitivity) -> Figure:
    """Mean, interval and every seed against the setting: a panel for the split that chooses, one to read off."""
    splits = ("validation", "test") if found.scores_test else ("validation",)
    titles = {"validation": f"Validation: chooses {found.setting}", "test": "Test: scored once a run, read off"}
    height = max(_upright(found, f"{split}/{found.metric}")[1] for split in splits)
    with canvas(4.9 * len(splits), 3.9) as figure:
        axes = np.atleast_1d(figure.subplots(1, len(splits)))
        for axis, split in zip(axes, splits, strict=True):
            _shade_flat(axis, found)
            _draw_curve(axis, found, f"{split}/{found.metric}", COLOURS["blue" if split == "validation" else "orange"])
            _mark_default(axis, found)
            middle, _ = _upright(found, f"{split}/{found.metric}")
            axis.set_ylim(middle - height / 2, middle + height / 2)
            axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axis.set_title(titles[split])
            axis.set_xticks(range(len(found.levels)), [number(level.value) for level in found.levels])
            axis.set_xlabel(f"{found.setting} (tested values, evenly spaced)")
        axes[0].set_ylabel(f"{metric_title(found.metric)} (%)")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return Figure(
        "sensitivity",
        f"How {metric_title(found.metric)} depends on {found.setting}",
        "Thick line: mean over seeds; band: its 95 % t interval; thin lines: the seeds. Shaded: the flat region, whose "
        "validation means cannot be told from the best (within its standard error, and not worse when paired by seed). "
        "Ring: the value that validation chooses. All panels are equally many points high.",
        figure,
    )


def _draw_curve(axis: Axes, found: Sensitivity, metric: str, colour: str) -> None:
    places = np.arange(len(found.levels))
    intervals = [level.interval(metric) for level in found.levels]
    means = [interval.mean for interval in intervals]
    lows, highs = ([interval.low for interval in intervals], [interval.high for interval in intervals])
    axis.fill_between(places, lows, highs, color=colour, alpha=0.14, linewidth=0)
    for scores in _by_seed(found, metric):
        axis.plot(places, scores, color=colour, alpha=0.45, linewidth=0.8, marker="o", markersize=2.5, zorder=2)
    axis.plot(places, means, color=colour, linewidth=2.2, zorder=3)
    best = found.levels.index(found.best)
    label = f"chosen: {number(found.best.value)}"
    ink = COLOURS["ink"]
    axis.scatter([best], [means[best]], s=130, facecolors="none", edgecolors=ink, linewidths=1.8, zorder=4, label=label)
    score, beside = f"{means[best]:.2f}", (7, 9)
    axis.annotate(score, (best, means[best]), xytext=beside, textcoords="offset points", fontweight="bold", zorder=5)


def _by_seed(found: Sensitivity, metric: str) -> list[list[float]]:
    """The scores of each seed at every level, NaN where its run did not finish."""
    scores = [level.scores(metric) for level in found.levels]
    return [[of_level.get(seed, np.nan) for of_level in scores] for seed in sorted(set().union(*scores))]


def _upright(found: Sensitivity, metric: str) -> tuple[float, float]:
    """Middle and height of a panel: all seeds are inside, an interval only as far as ``INTERVAL_ROOM`` allows."""
    scores = [score for level in found.levels for score in level.scores(metric).values()]
    intervals = [level.interval(metric) for level in found.levels]
    low, high = min(scores), max(scores)
    span = max(high - low, LEAST_HEIGHT)
    bottom = np.nanmax([low - INTERVAL_ROOM * span, np.nanmin([low, *(i.low for i in intervals)]) - 0.1 * span])
    top = np.nanmin([high + INTERVAL_ROOM * span, np.nanmax([high, *(i.high for i in intervals)]) + 0.2 * span])
    return float(top + bottom) / 2, float(top - bottom)


def _shade_flat(axis: Axes, found: Sensitivity) -> None:
    first, last = found.levels.index(found.flat[0]), found.levels.index(found.flat[-1])
    axis.axvspan(first - 0.3, last + 0.3, color=COLOURS["green"], alpha=0.12, linewidth=0, label="flat region")


def _mark_default(axis: Axes, found: Sensitivity) -> None:
    if found.reference is None:
        return
    place = found.levels.index(found.reference)
    label = f"published default: {number(found.reference.value)}"
    axis.axvline(place, color=COLOURS["soft"], linestyle=(0, (4, 3)), linewidth=1.2, zorder=1, label=label)


def class_heat(rows: Mapping[str, Sequence[float]], classes: Sequence[str], setting: str, split: str) -> Figure:
    """F1 of each class (column) for each value of the setting (row), coloured by its distance to the class's mean."""
    values = np.array(list(rows.values()))
    distances = values - np.nanmean(values, axis=0)
    reach = max(float(np.nanmax(np.abs(distances))), 1.0)
    with canvas(min(9.8, 1.8 + 0.95 * len(classes)), 1.2 + 0.36 * len(rows)) as figure:
        axis = figure.subplots()
        texts = [[f"{cell:.1f}" for cell in row] for row in values]
        cells = _draw_cells(axis, distances, texts, DISTANCES, -reach, reach)
        figure.colorbar(cells, ax=axis, label="points from class mean", pad=0.02).outline.set_visible(False)
        axis.set_xticks(_middles(classes), classes)
        axis.set_yticks(_middles(rows), list(rows))
        axis.set_ylabel(setting)
    caption = (
        f"F1 (%) on {split}, mean over seeds; under each class the number of its utterances. Colour: distance to the "
        f"mean of the class over all values of {setting}. Rare classes move most by chance."
    )
    return Figure("class-f1", "Which classes it matters for", caption, figure)


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], split: str, of: str) -> Figure:
    """Utterances by true class (row) and predicted class (column), coloured by their share of the row."""
    counts = np.array(matrix)
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    side = 1.4 + 0.5 * len(classes)
    with canvas(side + 1.0, side) as figure:
        axis = figure.subplots()
        _draw_cells(axis, shares, counts.astype(str).tolist(), HEAT, 0.0, 1.0)
        axis.set_xticks(_middles(classes), classes, rotation=40, ha="right", rotation_mode="anchor")
        axis.set_yticks(_middles(classes), classes)
        axis.set_xlabel("predicted")
        axis.set_ylabel("true")
    caption = f"Utterances of {split} by true and predicted class, of {of}; colour: share of the row."
    return Figure("confusion", "What is taken for what", caption, figure)


def _middles(names: Collection[str]) -> np.ndarray:
    return np.arange(len(names)) + 0.5


def _draw_cells(
    axis: Axes, values: np.ndarray, texts: Sequence[Sequence[str]], colours: str, low: float, high: float
) -> QuadMesh:
    cells = axis.pcolormesh(values, cmap=colours, vmin=low, vmax=high, edgecolors=COLOURS["paper"], linewidth=1.5)
    axis.invert_yaxis()
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = cells.to_rgba(value)
        brightness = 0.299 * red + 0.587 * green + 0.114 * blue  # as the eye weighs them (BT.601)
        shade = "#111111" if brightness > 0.5 else "#f7f7f7"
        axis.text(column + 0.5, row + 0.5, texts[row][column], ha="center", va="center", color=shade, fontsize=9)
    axis.grid(False)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return cells
