"""The rows of a user's own conversations, from CSV or JSON Lines, and everything that can be wrong in them."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dferc.corpus.contract import SPLITS
from dferc.corpus.tables import Row, read_rows, refuse, refuse_rows, unless_whole
from dferc.errors import UserError

REQUIRED = ("dialogue", "turn", "speaker")
OPTIONAL = ("text", "label", "split", "media", "audio", "video", "start", "stop", "region")
MEDIA = ("media", "audio", "video")
REGIONS: dict[str, Literal["left", "right"]] = {"left": "left", "right": "right"}
ADVICE = "each utterance needs a dialogue, a turn and a speaker"
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class NumberedRow:
    """A row and the number by which its reader finds it."""

    number: int
    """A CSV file's header is row 1; the first line of JSON Lines is row 1 too, and is an utterance."""
    cells: Row
    """All columns; what is not given is empty."""


def read_table(path: Path) -> list[NumberedRow]:
    """The rows of a ``.csv`` or ``.jsonl`` file.

    Raises:
        UserError: it is of another kind, lacks columns, or has columns that mean nothing.
    """
    kinds: dict[str, Callable[[Path], list[NumberedRow]]] = {".csv": _read_csv, ".jsonl": _read_json_lines}
    if path.suffix not in kinds:
        raise UserError(f"{path} is neither .csv nor .jsonl, of which own conversations must be one")
    rows = kinds[path.suffix](path)
    known = (*REQUIRED, *OPTIONAL)
    names = dict.fromkeys(name for row in rows for name in row.cells)
    problems = [f"column {name!r} is unknown, must be one of {', '.join(known)}" for name in names if name not in known]
    refuse(str(path), problems)
    return [NumberedRow(row.number, dict.fromkeys(known, "") | row.cells) for row in rows]


def _read_csv(path: Path) -> list[NumberedRow]:
    rows = read_rows(path, REQUIRED, ADVICE)
    advice = "has more cells than the header: put text with commas in it in quotation marks"
    refuse_rows(path, ((number, advice) for number, row in enumerate(rows, 2) if None in row))
    stripped = [NumberedRow(number, {k: v.strip() for k, v in row.items()}) for number, row in enumerate(rows, 2)]
    return [row for row in stripped if any(row.cells.values())]  # spreadsheets write empty rows, too


def _read_json_lines(path: Path) -> list[NumberedRow]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # splitlines() would cut at U+2028 inside a text
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as JSON Lines in UTF-8: {error}") from None
    objects = [(number, _parsed(line)) for number, line in enumerate(lines, start=1) if line.strip()]
    refuse_rows(path, ((number, found) for number, found in objects if isinstance(found, str)))
    return [NumberedRow(number, found) for number, found in objects if not isinstance(found, str)]


def _parsed(line: str) -> Row | str:
    """The cells of one line, or what is wrong with it."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {error}"
    if not isinstance(found, dict):
        return "is no JSON object, must be such as {...} with a value a column"
    strange = [k for k, v in found.items() if isinstance(v, bool | list | dict)]
    if strange:
        return f"has {strange[0]} {found[strange[0]]!r}, must be text or a number"
    return {name: "" if value is None else str(value).strip() for name, value in found.items()}


def problems_of(rows: Sequence[NumberedRow], folder: Path, labels: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Everything that is wrong with the rows: a row's number and what it has."""
    splits: dict[str, NumberedRow] = {}
    turns: dict[tuple[str, str], int] = {}
    split_given = any(row.cells["split"] for row in rows)
    for row in rows:
        cells = row.cells
        found = [
            *_empty(cells),
            *_not_among(cells, labels, split_given),
            *_bad_times(cells),
            *_bad_files(cells, folder),
        ]
        first = splits.setdefault(cells["dialogue"], row)
        if first.cells["split"] != cells["split"]:
            found.append(f"has the split {cells['split']!r}, but its dialogue is in another by row {first.number}")
        earlier = turns.setdefault((cells["dialogue"], cells["turn"]), row.number)
        if earlier != row.number:
            found.append(f"repeats turn {cells['turn']} of dialogue {cells['dialogue']!r}, which is row {earlier}")
        yield from ((row.number, problem) for problem in found)


def _empty(cells: Row) -> Iterator[str]:
    yield from (f"has no {name}" for name in ("dialogue", "speaker") if not cells[name])
    yield from unless_whole(cells, "turn")


def _not_among(cells: Row, labels: Sequence[str], split_given: bool) -> Iterator[str]:
    allowed = {"label": ("", *labels), "region": ("", *REGIONS), "split": SPLITS if split_given else ("",)}
    for name, values in allowed.items():
        if cells[name] not in values:
            choices = ", ".join(value for value in values if value)
            yield f"has the {name} {cells[name]!r}, must be one of {choices}"


def _bad_times(cells: Row) -> Iterator[str]:
    bad = [name for name in ("start", "stop") if not (time_of(cells, name) or 0) >= 0]
    yield from (f"has {name} {cells[name]!r}, must be seconds from the begin of the file" for name in bad)
    start, stop = time_of(cells, "start"), time_of(cells, "stop")
    if not bad and stop is not None and stop <= (start or 0):
        yield f"stops at {stop:g}, must be after its start at {start or 0:g}"


def time_of(cells: Row, name: str) -> float | None:
    """Seconds; None where the cell is empty, not a number where it is no time."""
    try:
        time = float(cells[name]) if cells[name] else None
    except ValueError:
        return math.nan
    return math.nan if time == math.inf else time


def _bad_files(cells: Row, folder: Path) -> Iterator[str]:
    for name in MEDIA:
        if URL.match(cells[name]):
            yield f"has the {name} {cells[name]!r}, must be a file on this machine: download it first"
        elif cells[name] and not _is_file(folder / cells[name]):
            yield f"has the {name} {cells[name]!r}, but there is no file {folder / cells[name]}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a transcript that slipped into this column is too long for a name
        return False
