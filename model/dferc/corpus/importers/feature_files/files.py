"""Feature files on disk: which there are, their hashes, what is in them."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dferc.corpus.importers.feature_files.together import of_all
from dferc.corpus.importers.unpickling import read_pickle
from dferc.corpus.tables import refuse, sha256
from dferc.errors import UserError

SAMPLE_CLASSES = frozenset({"Sample"})
"""Classes whose objects are nothing but named values, in whichever module someone keeps them."""


@dataclass(frozen=True)
class Opened:
    """One file and what was read from it: plain containers, texts, numbers, arrays."""

    path: Path
    sha256: str
    content: Any


def opened(paths: Iterable[Path]) -> list[Opened]:
    """Every file among ``paths``, of folders those that lie directly in them and are not hidden.

    Raises:
        UserError: there is no such file, or one cannot be read; all are named.
    """
    return of_all(_opened, _files(paths))


def _opened(path: Path) -> Opened:
    try:
        return Opened(path, sha256(path), _content(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None


def _files(paths: Iterable[Path]) -> Sequence[Path]:
    given = list(dict.fromkeys(Path(os.path.realpath(path)) for path in paths))
    absent = (path for path in given if not (path.is_file() or path.is_dir()))
    refuse("this set of feature files", (f"there is no file or folder {path}" for path in absent))
    members = [
        sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")) if path.is_dir() else [path]
        for path in given
    ]
    files = list(dict.fromkeys(path for group in members for path in group))
    if not files:
        named = ", ".join(map(str, given)) or "no path at all"
        raise UserError(f"there is no feature file in {named}: give the files, or the folder that holds them")
    return files


def _content(path: Path) -> Any:
    """JSON begins with a bracket, which no pickle does."""
    with path.open("rb") as stream:
        begin = stream.read(64).lstrip()[:1]
    return _read_json(path) if begin in (b"[", b"{") else read_pickle(path, records=SAMPLE_CLASSES)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} begins like JSON but cannot be read as such: {error}") from None
    except RecursionError:
        raise UserError(f"{path} is JSON that is nested too deeply for a feature file") from None
