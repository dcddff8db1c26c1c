"""Reading the CSV files in which corpora are published, and what is wrong in them."""

import contextlib
import csv
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from dferc.errors import UserError

Row = dict[str, str]
SHOWN_PROBLEMS = 10
"""Of one file; a file of the wrong kind has one in every row."""
TOO_LONG = 10
"""Digits; a turn is kept in 32 bits."""


def read_rows(
    path: Path, columns: Iterable[str], advice: str, problems_of: Callable[[Row], Iterable[str]] = lambda row: ()
) -> list[Row]:
    """The rows of a CSV file with a header; empty cells are empty strings.

    Args:
        path: a file in UTF-8, with or without a byte order mark.
        columns: those that it must have.
        advice: what to do when they are not there.
        problems_of: what is wrong with one row.

    Raises:
        UserError: it cannot be read, lacks columns, or has rows with problems, which are named by number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, restval="")
            rows = list(reader)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}") from None
    lacking = set(columns) - set(reader.fieldnames or ())
    if lacking:
        raise UserError(f"{path} lacks the columns {', '.join(sorted(lacking))}; {advice}")
    refuse_rows(path, ((line, problem) for line, row in enumerate(rows, start=2) for problem in problems_of(row)))
    return rows


def refuse_rows(path: Path, problems: Iterable[tuple[int, str]]) -> None:
    """Raise a UserError that names the first problems, if there are any; each is a row's number and what it has."""
    refuse(str(path), (f"row {line} {problem}" for line, problem in problems))


def refuse(where: str, problems: Iterable[str]) -> None:
    """Raise a UserError that names the first problems, if there are any."""
    found = list(problems)
    if found:
        more = [f"and {len(found) - SHOWN_PROBLEMS} more"] if len(found) > SHOWN_PROBLEMS else []
        raise UserError.collected(where, found[:SHOWN_PROBLEMS] + more)


def unless_whole(row: Row, *columns: str) -> list[str]:
    """A problem for each of the columns that is not a whole number, or one that is too large for a turn."""
    cells = {name: row[name].strip() for name in columns}
    bad = {name: cell for name, cell in cells.items() if not (cell.isdecimal() and len(cell) < TOO_LONG)}
    return [f"has {name} {cell!r}, must be a whole number of less than {TOO_LONG} digits" for name, cell in bad.items()]


def repaired(text: str) -> str:
    """Text whose bytes were once taken for the wrong encoding, made right; other text as it is.

    Older copies of MELD hold Windows-1252 punctuation as C1 control characters (U+0092 for ’), or UTF-8 that was read
    as Windows-1252 (â€™).
    """
    with contextlib.suppress(UnicodeError):
        text = text.encode("cp1252").decode("utf-8")
    return "".join(_printable(c) if "\x80" <= c <= "\x9f" else c for c in text)


def _printable(control: str) -> str:
    return control.encode("latin-1").decode("cp1252", errors="replace")


def sha256(*paths: Path) -> str:
    """SHA-256 of the bytes of one file, or of several one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
