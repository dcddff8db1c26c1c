"""One table, written three ways: CSV for programs, Markdown for issues and papers, cells for the HTML page."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from dferc.evaluation.statistics import Interval
from dferc_platform.report.runs import number, titled
from dferc_platform.report.search import Search
from dferc_platform.report.sensitivity import Level, Sensitivity
from dferc_platform.results import RunRow

METRICS = ("weighted_f1", "macro_f1")
EMPTY = "–"
SENSITIVITY_NOTE = (
    "Mean over seeds ± half its 95 % t interval, in percent. The bold row is the one that validation chooses. "
    "Differences are paired by seed, so that what a seed does to every value cancels. No interval is corrected for the "
    "number of values tried."
)


class Probability(float):
    """A p value: three decimals to a reader, all of them to a program."""


Cell = str | int | float | Interval | None


@dataclass(frozen=True)
class Table:
    """Named columns of cells; an interval is one cell to a reader, mean ± half width, three columns to a program."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: frozenset[int] = frozenset()
    """Rows to stress."""
    note: str = ""
    strong: frozenset[tuple[int, int]] = frozenset()
    """Single cells to stress, by row and column."""
    prose: bool = False
    """The last column holds sentences."""

    def csv(self) -> str:
        """Every number in full; an interval as mean, low and high."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        spread = [any(isinstance(row[i], Interval) for row in self.rows) for i in range(len(self.columns))]
        heads = [
            [f"{name} {part}" for part in ("mean", "low", "high")] if wide else [name]
            for name, wide in zip(self.columns, spread, strict=True)
        ]
        writer.writerow(chain.from_iterable(heads))
        for row in self.rows:
            writer.writerow(chain.from_iterable(_numbers(cell, wide) for cell, wide in zip(row, spread, strict=True)))
        return out.getvalue()

    def markdown(self) -> str:
        """A pipe table; stressed rows in bold."""
        lines = ["| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        for place, texts in enumerate(self.texts()):
            escaped = [text.replace("|", "\\|") for text in texts]
            cells = [f"**{text}**" if self.stresses(place, column) else text for column, text in enumerate(escaped)]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A ``tabular`` with the rules of booktabs; stressed rows in bold."""
        last = r"p{.6\linewidth}" if self.prose else "r"
        lines = [r"\begin{tabular}{l" + "r" * (len(self.columns) - 2) + last + "}", r"\toprule"]
        lines += [" & ".join(map(_latex, self.columns)) + r" \\", r"\midrule"]
        for place, texts in enumerate(self.texts()):
            cells = [
                rf"\textbf{{{_latex(cell)}}}" if self.stresses(place, column) else _latex(cell)
                for column, cell in enumerate(texts)
            ]
            lines.append(" & ".join(cells) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"

    def stresses(self, row: int, column: int) -> bool:
        """Whether a cell is stressed, itself or with its whole row."""
        return row in self.marked or (row, column) in self.strong

    def texts(self) -> list[list[str]]:
        """Every cell as a reader sees it."""
        return [[text(cell) for cell in row] for row in self.rows]


LATEX = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    "≤": r"$\leq$",
}


def _latex(words: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in words)


def text(cell: Cell) -> str:
    """A cell for a reader: scores with two decimals, intervals as mean ± half width, a dash for what is not known."""
    if cell is None:
        return EMPTY
    if isinstance(cell, Interval):
        spread = "" if math.isnan(cell.low) else f" ± {cell.half_width:.2f}"
        return f"{cell.mean:.2f}{spread}".replace("-", "−")
    if isinstance(cell, Probability):
        return "<0.001" if cell < 0.001 else f"{cell:.3f}"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def _numbers(cell: Cell, wide: bool) -> list[str]:
    values = (cell.mean, cell.low, cell.high) if isinstance(cell, Interval) else (cell,) + (None,) * (2 if wide else 0)
    return ["" if value is None or value != value else str(value) for value in values]


def sensitivity_table(found: Sensitivity) -> Table:
    """A row a value of the setting: seeds, scores with 95 % intervals, the paired distance to the published default."""
    splits = ("validation", "test") if found.scores_test else ("validation",)
    metrics = [f"{split}/{metric}" for metric in dict.fromkeys((found.metric, *METRICS)) for split in splits]
    columns = [found.setting, "seeds", *map(titled, metrics)]
    if found.reference is not None:
        columns.append(f"{titled(found.read_off)} less that at {number(found.reference.value)}")
    rows = [_level_cells(found, level, metrics) for level in found.levels]
    return Table(
        tuple(columns),
        tuple(rows),
        frozenset({found.levels.index(found.best)}),
        SENSITIVITY_NOTE,
    )


def _level_cells(found: Sensitivity, level: Level, metrics: Sequence[str]) -> tuple[Cell, ...]:
    scores = [level.interval(metric) if level.scores(metric) else None for metric in metrics]
    cells: list[Cell] = [number(level.value), len(level.rows), *scores]
    if found.reference is not None:
        cells.append(None if level is found.reference else level.difference(found.reference, found.read_off))
    return tuple(cells)


def trials_table(found: Search, most: int) -> Table:
    """The best trials of a sweep, best first, with what each of them varied."""
    chooser = found.metric.removeprefix("validation/")
    metrics = [f"validation/{metric}" for metric in dict.fromkeys((chooser, *METRICS))]
    rows = [
        (
            row.number,
            *(row.metrics.get(metric) for metric in metrics),
            *(number(row.varied[name]) if name in row.varied else None for name in found.varied),
            row.best_epoch,
            row.seconds,
        )
        for row in found.ranked[:most]
    ]
    columns = ("trial", *map(titled, metrics), *found.varied, "best epoch", "seconds")
    shown = f"The best {len(rows)} of {len(found.finished)} finished trials"
    note = f"{shown}, scores in percent. Test takes no part in a search."
    return Table(columns, tuple(rows), frozenset({found.ranked.index(found.best)}), note)


def runs_table(rows: Sequence[RunRow], metrics: Sequence[str]) -> Table:
    """Each run with its scores, per seed."""
    cells = [
        (row.parameters.get("seed"), *(row.metrics.get(m) for m in metrics), row.best_epoch, row.epochs) for row in rows
    ]
    return Table(("seed", *map(titled, metrics), "best epoch", "epochs"), tuple(cells), note="Scores in percent.")
