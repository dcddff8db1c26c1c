"""``dferc data fetch``: download what is freely downloadable."""

import re
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from dferc.errors import UserError
from dferc_platform.cli.report import say
from dferc_platform.fetch.catalogue import What

if TYPE_CHECKING:
    from rich.progress import TaskID

    from dferc_platform.fetch.catalogue import Item

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
LINES = 10
"""Lines a file where there is no terminal."""


class Source(StrEnum):
    """Corpora that can be downloaded."""

    MELD = "meld"


def fetch(
    source: Annotated[Source, typer.Argument(help="Which corpus.")],
    what: Annotated[
        What, typer.Option(help="csv: transcripts and labels, 1.5 MB. raw: the clips, about 10 GB.")
    ] = What.CSV,
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder; data/NAME by default.")] = None,
    base: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", envvar="DFERC_FETCH_FROM", help="Another address of the same files."),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="Of the raw archive, which nobody published.")
    ] = None,
    unpack: Annotated[bool, typer.Option("--unpack", help="Unpack the raw archive and those inside it.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be downloaded, and nothing else.")
    ] = False,
) -> None:
    """Download a corpus from where it is published; a download that was stopped goes on when it is given again.

    Example: dferc data fetch meld --to MELD

    A file appears when it is whole and its SHA-256 is right.
    """
    from dferc_platform.fetch.catalogue import meld_items
    from dferc_platform.fetch.download import download
    from dferc_platform.fetch.unpack import unpack as unpacked

    _refuse_options(what, sha256, unpack)
    folder = to or Path("data") / source.value
    items = meld_items(what, base, sha256)
    if dry_run:
        _show_plan(items, folder)
        return
    with TransferBars() as bars:
        found = [download(item, folder, bars.move) for item in items]
    for file in found:
        checked = "as published" if file.verified else "written beside it, to be compared with others'"
        say(f"{'Downloaded' if file.fresh else 'Was there already:'} {file.path}, SHA-256 {file.sha256}, {checked}")
    if unpack:
        for path in unpacked(folder / items[0].name, folder):
            say(f"Unpacked {path}")


def _refuse_options(what: What, sha256: str | None, unpack: bool) -> None:
    if what is not What.RAW and (sha256 or unpack):
        raise UserError("--sha256 and --unpack are for --what raw: the CSV files have known hashes and are no archive")
    if sha256 and not SHA256.fullmatch(sha256):
        raise UserError(f"--sha256 {sha256}: it must be 64 hexadecimal digits")


def _show_plan(items: "list[Item]", folder: Path) -> None:
    from dferc_platform.fetch.web import refuse_address

    for item in items:
        refuse_address(item.url)
        size = decimal(item.size) if item.size else item.about
        checked = f"SHA-256 {item.sha256}" if item.sha256 else "no SHA-256 is published"
        there = " (there already)" if (folder / item.name).is_file() else ""
        say(f"Would download {item.url} to {folder / item.name}{there}: {size}, {checked}")


class TransferBars:
    """A bar a file with bytes, speed and time left; ten lines a file where there is no terminal."""

    def __init__(self) -> None:
        console = Console()
        self._live = console.is_terminal
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._live,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def move(self, name: str, done: int, total: int | None) -> None:
        """Show that so many bytes of all are here."""
        if self._live:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=total)
            self._progress.update(self._tasks[name], completed=done, total=total)
            return
        step = done * LINES // total if total else 0
        if self._said.get(name) != step:
            say(f"{name}: {decimal(done)} of {decimal(total) if total else 'an unknown length'}")
        self._said[name] = step
