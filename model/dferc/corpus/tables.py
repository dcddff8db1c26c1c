"""Reading the CSV files in which corpora are published, and what is wrong in them."""

import contextlib
import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dferc.errors import UserError

Row = dict[str, str]
SHOWN_PROBLEMS = 10
"""Of one file; a file of the wrong kind has one in every row."""
TOO_LONG = 10
"""Digits; a turn is kept in 32 bits."""
WINDOWS = {byte: bytes([byte]).decode("cp1252", errors="replace") for byte in range(0x80, 0xA0)}
"""C1 control characters to what Windows-1252 has in their place; U+FFFD for the five bytes that it leaves open."""
TAKEN_FOR = {ord(character): byte for byte, character in WINDOWS.items() if character != "\ufffd"}
"""Characters of Windows-1252 to the bytes that were taken for them."""


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
            reader = csv.DictReader(lines, restval="", strict=True)  # strict: a quotation mark left open eats rows
            names = list(reader.fieldnames or ())
            rows = list(reader)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not in UTF-8, save it as CSV in UTF-8: {error}") from None
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file ({error}): is a quotation mark left open?") from None
    _refuse_header(path, names, columns, advice)
    refuse_rows(path, ((line, problem) for line, row in enumerate(rows, start=2) for problem in problems_of(row)))
    return rows


def _refuse_header(path: Path, names: Sequence[str], columns: Iterable[str], advice: str) -> None:
    lacking = sorted(set(columns) - set(names))
    if lacking:
        separated = (
            f" (its header is one column, {names[0]!r}: commas must separate columns)" if len(names) == 1 else ""
        )
        raise UserError(f"{path} lacks the columns {', '.join(lacking)}{separated}; {advice}")
    refuse(str(path), (f"column {name!r} occurs twice" for name, count in Counter(names).items() if count > 1))


def refuse_rows(path: Path, problems: Iterable[tuple[int, str]]) -> None:
    """Raise a UserError that names the first problems, if there are any; each is a row's number and what it has."""
    refuse(str(path), (f"row {line} {problem}" for line, problem in problems))


def refuse(where: str, problems: Iterable[str]) -> None:
    """Raise a UserError that names the first problems, if there are any."""
    found = list(problems)
    if found:
        raise UserError.collected(where, found, SHOWN_PROBLEMS)


def unless_whole(row: Row, *columns: str) -> list[str]:
    """A problem for each of the columns that is not a whole number, or one that is too large for a turn."""
    cells = {name: row[name].strip() for name in columns}
    bad = {name: cell for name, cell in cells.items() if not (cell.isdecimal() and len(cell) < TOO_LONG)}
    return [f"has {name} {cell!r}, must be a whole number of less than {TOO_LONG} digits" for name, cell in bad.items()]


def repaired(text: str) -> str:
    """Text whose bytes were once taken for the wrong encoding, made right; other text as it is.

    Older copies of MELD hold Windows-1252 punctuation as C1 control characters (U+0092 for ’), or UTF-8 that was read
    as Windows-1252 (â€™, and U+009D at the end of ”, since that encoding leaves five bytes open); strings of Python 2
    hold UTF-8 that was read as Latin-1. Halves of characters (surrogates) are joined, those that have lost the other
    half become U+FFFD.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    with contextlib.suppress(UnicodeError):
        text = text.translate(TAKEN_FOR).encode("latin-1").decode("utf-8")
    return text.translate(WINDOWS)


def sha256(*paths: Path) -> str:
    """SHA-256 of the bytes of one file, or of several one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
