"""A report: what it is made of, and the one self-contained HTML file it becomes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dferc.corpus.store import atomic
from dferc_platform.report.provenance import Fact, Note
from dferc_platform.report.style import Figure, inline, save
from dferc_platform.report.tables import Table

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Tile:
    """One number to see before anything is read."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Titled:
    """A further table, with what a reader needs above it."""

    name: str
    """File name without its ending."""
    title: str
    table: Table


@dataclass(frozen=True)
class Report:
    """Everything a study has to say, in the order in which it is read."""

    name: str
    """Of the study."""
    title: str
    """The question."""
    lead: str
    """What the question is about, in a sentence."""
    verdict: tuple[str, ...]
    """The answer first, what supports it after."""
    tiles: tuple[Tile, ...]
    table: Table
    figures: tuple[Figure, ...]
    """The first belongs to the verdict."""
    facts: tuple[Fact, ...]
    warnings: tuple[Note, ...]
    unfinished: tuple[Note, ...]
    best_run: str
    best_yaml: str
    summary: Mapping[str, Any] = field(default_factory=dict)
    """For programs."""
    remarks: tuple[str, ...] = ()
    """What is not shown, and why."""
    tables: tuple[Titled, ...] = ()
    """What else can be read from the same runs."""
    best_reason: str = "the run that validation puts first"
    """Why it is called best."""
    wide: bool = False
    """Its tables need more room than a page of text."""


def publish(report: Report, folder: Path) -> Path:
    """Write all files of a report into ``folder``; each appears whole, and the same report gives the same bytes."""
    for figure in report.figures:
        save(figure, folder / "figures")
    _write_table(folder / "table", report.table)
    for further in report.tables:
        _write_table(folder / "tables" / further.name, further.table)
    _write(folder / "summary.json", json.dumps(report.summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write(folder / "best.yaml", report.best_yaml)
    return _write(folder / "report.html", render(report, folder))


def render(report: Report, folder: Path) -> str:
    """The page, with the figures that lie in ``folder`` inlined."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawings = {
        figure.name: Markup(inline((folder / "figures" / f"{figure.name}.svg").read_text(encoding="utf-8")))  # noqa: S704 our own SVG
        for figure in report.figures
    }
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704 our own style sheet
    template = environment.get_template("report.html.j2")
    return template.render(report=report, drawings=drawings, style=style, best_file=shown_path(folder / "best.yaml"))


def shown_path(path: Path) -> str:
    """A path as one would type it here: relative where it lies under the current folder."""
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _write_table(path: Path, table: Table) -> None:
    """Three files, the path with an ending each."""
    _write(path.with_suffix(".csv"), table.csv())
    _write(path.with_suffix(".md"), table.markdown())
    _write(path.with_suffix(".tex"), table.latex())


def _write(path: Path, text: str) -> Path:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
