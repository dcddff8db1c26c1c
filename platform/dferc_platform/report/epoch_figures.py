"""Figures over epochs: how training went, and what happened inside the model; a line for each value of a setting."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from dferc_platform.report.runs import History, mean_by_epoch, metric_title
from dferc_platform.report.style import SEQUENCE, Figure, canvas

PANEL_COLUMNS = 3
PREFIX = "diagnostics/"
LEAST_SPAN = 0.05
"""What a panel of a diagnostic spans at least: a fusion weight that never moves must look like one."""

Curves = Mapping[str, Sequence[History]]
"""Epochs of every run, by what its line is called."""


def learning_curves(curves: Curves, setting: str, metric: str) -> Figure:
    """Training loss and the validation metric."""
    with canvas(9.8, 3.6) as figure:
        loss, score = figure.subplots(1, 2)
        _draw(loss, curves, "train/loss/total")
        _draw(score, curves, f"validation/{metric}")
        loss.set_title("Training loss")
        score.set_title(f"Validation {metric_title(metric)} (%)")
        _legend(figure, loss, setting)
    return Figure("learning-curves", "How training went", _averaging(curves), figure)


def diagnostics(curves: Curves, setting: str) -> Figure:
    """Every diagnostic that the runs logged, a panel each."""
    names = diagnostic_names(curves)
    rows = math.ceil(len(names) / PANEL_COLUMNS)
    with canvas(9.8, 2.3 * rows + 0.6) as figure:
        axes = figure.subplots(rows, PANEL_COLUMNS, squeeze=False).ravel()
        for axis, name in zip(axes, names, strict=False):
            _draw(axis, curves, PREFIX + name)
            _at_least(axis, LEAST_SPAN)
            axis.set_title(name.replace("_", " ").replace("/", ": "), fontsize=9.5)
        for axis in axes[len(names) :]:
            axis.set_visible(False)
        _legend(figure, axes[0], setting)
    caption = (
        f"{_averaging(curves)} Watch for fusion weights that never move, modalities that look alike, a context gate "
        "that does not answer to the agreement between modalities."
    )
    return Figure("diagnostics", "What happened inside the model", caption, figure)


def diagnostic_names(curves: Curves) -> list[str]:
    """The diagnostics that the runs logged, without their prefix."""
    keys = {key for runs in curves.values() for history in runs for line in history for key in line}
    return sorted(key.removeprefix(PREFIX) for key in keys if key.startswith(PREFIX))


def _averaging(curves: Curves) -> str:
    averaged = any(len(runs) > 1 for runs in curves.values())
    return "Mean over seeds, up to the last epoch that every seed reached." if averaged else "A line a run."


def _draw(axis: Axes, curves: Curves, name: str) -> None:
    # Dark to light as the values rise, short of the yellow that vanishes on white.
    shades = colormaps[SEQUENCE](np.linspace(0.05, 0.85, len(curves)))
    for (label, histories), shade in zip(curves.items(), shades, strict=True):
        axis.plot(*mean_by_epoch(histories, name), color=shade, label=label, linewidth=1.5)
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _at_least(axis: Axes, span: float) -> None:
    low, high = axis.get_ylim()
    if high - low < span:
        axis.set_ylim((low + high - span) / 2, (low + high + span) / 2)


def _legend(figure: Canvas, axis: Axes, title: str) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", title=title, alignment="left")
