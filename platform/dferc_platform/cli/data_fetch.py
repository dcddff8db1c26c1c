"""``dferc data fetch``: download what is freely downloadable."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

from dferc.errors import UserError
from dferc_platform.cli.progress import LiveBars
from dferc_platform.cli.report import say
from dferc_platform.fetch.catalogue import What

if TYPE_CHECKING:
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


class TransferBars(LiveBars):
    """A bar a file with bytes, speed and time left; ten lines a file where there is no terminal."""

    def __init__(self) -> None:
        super().__init__(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._said: dict[str, int] = {}

    def move(self, name: str, done: int, total: int | None) -> None:
        """Show that so many bytes of all are here."""
        if self.live:
            self._show(name, done, total)
            return
        step = done * LINES // total if total else 0
        if self._said.get(name) != step:
            say(f"{name}: {decimal(done)} of {decimal(total) if total else 'an unknown length'}")
        self._said[name] = step
