"""One look for every figure: colours that colour-blind readers tell apart, SVG that follows the page's theme."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from dferc.corpus.store import atomic

COLOURS = {
    "ink": "#1f2a37",
    "soft": "#6b7685",
    "rule": "#d9dee5",
    "paper": "#ffffff",
    "blue": "#0072b2",
    "orange": "#d55e00",
    "green": "#009e73",
}
"""Theme colours by name; the three hues are Okabe and Ito's (2008), made for every common colour blindness."""

WIDE = 12.0
"""Width in inches of a figure on a wide page."""
SEQUENCE = "viridis"
"""For ordered values; perceptually uniform and readable in grey."""
HEAT = "Blues"
"""For shares; one hue, so that only its depth speaks (ColorBrewer)."""
DISTANCES = "PuOr"
"""For what lies above or below a middle; the same to readers with and without colour blindness (ColorBrewer)."""

_RULES = {
    "figure.facecolor": COLOURS["paper"],
    "savefig.facecolor": COLOURS["paper"],
    "axes.facecolor": "none",
    "axes.edgecolor": COLOURS["rule"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.titlecolor": COLOURS["ink"],
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.7,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["rule"],
    "ytick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.labelcolor": COLOURS["ink"],
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a dollar in a class name is a dollar
    "svg.fonttype": "none",  # text stays text: searchable, and set in the page's own font
}


@dataclass(frozen=True)
class Figure:
    """A drawn figure with what a reader needs beside it."""

    name: str
    """File name without its ending."""
    title: str
    caption: str
    canvas: Canvas


@contextmanager
def canvas(width: float, height: float) -> Iterator[Canvas]:
    """An empty canvas, width and height in inches, that is drawn on in the platform's style and without a screen."""
    with mpl.rc_context(_RULES):
        figure = Canvas(figsize=(width, height), layout="constrained")
        yield figure
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # half the cost of drawing; once is enough for both files


def save(figure: Figure, folder: Path) -> None:
    """Write the figure as PNG (twice the screen's resolution) and SVG; the same figure gives the same bytes."""
    for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        with (
            mpl.rc_context({**_RULES, "svg.hashsalt": figure.name}),
            atomic(folder / f"{figure.name}.{ending}") as path,
        ):
            figure.canvas.savefig(path, format=ending, dpi=200, metadata=metadata)


def inline(svg: str) -> str:
    """An SVG file as an element of a page: theme colours become its variables; group names go, as they would clash."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r'(<g) id="[A-Za-z0-9.]+_\d+"', r"\1", element)
    for name, colour in COLOURS.items():
        element = re.sub(rf"{colour}\b", f"var(--{name})", element, flags=re.IGNORECASE)
    return element
