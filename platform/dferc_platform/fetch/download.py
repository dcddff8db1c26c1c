"""Bringing a file here: it goes on where it was cut off, and appears only when it is whole and right."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dferc.corpus.store import atomic
from dferc.corpus.tables import sha256
from dferc.errors import UserError
from dferc_platform.fetch.catalogue import Item
from dferc_platform.fetch.part import Part
from dferc_platform.fetch.web import TIMEOUT, Answer, InterruptedTransferError, RangeRefusedError, ask

ATTEMPTS = 6
"""In a row that bring nothing new, before it is given up."""
LONGEST_PAUSE = 30.0
"""Seconds between two attempts, which double from one second on."""

Progress = Callable[[str, int, int | None], None]
"""Name of the file, bytes that are here, bytes of all of it where they are known."""


@dataclass(frozen=True)
class Downloaded:
    """A file that is here, whole."""

    path: Path
    sha256: str
    fresh: bool
    """Whether it was downloaded just now."""
    verified: bool
    """Whether its hash was known beforehand."""


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server."""

    attempts: int = ATTEMPTS
    pause: float = 1.0
    """Seconds before the second attempt."""
    timeout: float = TIMEOUT


def download(item: Item, folder: Path, progress: Progress, patience: Patience = Patience()) -> Downloaded:
    """Bring one file into a folder; where no hash is known, the one found is written beside it for the next time.

    Raises:
        UserError: the server says no or stays away, the file is not what it should be, or the disk is too full.
    """
    target = folder / item.name
    expected = item.sha256 or _recorded(target)
    fresh = not target.is_file()
    digest = _brought(item, target, expected, progress, patience) if fresh else _found(target, expected)
    if not expected:
        _record(target, digest)
    return Downloaded(target, digest, fresh, verified=bool(expected))


def _found(target: Path, expected: str | None) -> str:
    digest = sha256(target)
    if expected and digest != expected:
        raise UserError(
            f"{target} is there with the SHA-256 {digest}, must be {expected}: move it away to download again"
        )
    return digest


def _brought(item: Item, target: Path, expected: str | None, progress: Progress, patience: Patience) -> str:
    with Part(target) as part:
        _bring(item, part, progress, patience)
        digest = sha256(part.path)
        if expected and digest != expected:
            part.drop()
            raise UserError(
                f"{item.url} brought a file with the SHA-256 {digest}, must be {expected}: "
                "it is another version or was damaged; nothing of it was kept"
            )
        part.keep()
    return digest


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _recorded(target: Path) -> str | None:
    """The hash that an earlier download wrote."""
    try:
        found = re.match(r"[0-9a-f]{64}\b", _beside(target).read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[0] if found else None


def _record(target: Path, digest: str) -> None:
    """As the program sha256sum writes and checks it."""
    with atomic(_beside(target)) as temporary:
        temporary.write_text(f"{digest}  {target.name}\n", encoding="utf-8")


def _bring(item: Item, part: Part, progress: Progress, patience: Patience) -> None:
    """Transfer until nothing is missing, again and again as long as every few attempts bring something new."""
    most, failures = part.size, 0
    while True:
        try:
            return _transfer(item, part, progress, patience.timeout)
        except RangeRefusedError:
            part.drop_content()
            failures += 1
            wait, last = 0.0, "the server answers with other parts of the file than it is asked for"
        except InterruptedTransferError as error:
            failures = 0 if part.size > most else failures + 1
            most = max(most, part.size)
            wait, last = error.wait, str(error)
        if failures >= patience.attempts:
            here = f"; the {part.size} bytes that are here are kept, and the same command goes on" if part.size else ""
            raise UserError(f"{item.name} could not be downloaded in {failures} attempts: {last}{here}")
        time.sleep(max(wait, min(patience.pause * 2 ** max(failures - 1, 0), LONGEST_PAUSE)))


def _transfer(item: Item, part: Part, progress: Progress, timeout: float) -> None:
    if part.is_whole(item.url):
        return
    start, validator = part.resumable(item.url)
    answer = ask(item.url, start, validator, timeout)
    _refuse_length(item, answer)
    part.begin(item.url, answer)
    total = item.size or answer.total
    _refuse_full_disk(part, total)
    here = answer.start
    progress(item.name, here, total)
    for chunk in answer.chunks():
        here += len(chunk)
        if total is not None and here > total:
            part.drop_content()
            raise UserError(f"{item.url} brings more than {total} bytes, which {item.name} has: nothing was kept")
        part.add(chunk)
        progress(item.name, here, total)
    if total is not None and here < total:
        raise InterruptedTransferError(f"the connection broke after {here} of {total} bytes")


def _refuse_length(item: Item, answer: Answer) -> None:
    problem = None
    if item.size is not None and answer.total not in (None, item.size):
        problem = f"has {answer.total} bytes, must have {item.size}: it is another version of {item.name}"
    elif answer.total is None and item.size is None and item.sha256 is None:
        problem = "does not say how long the file is, so one cannot tell when it is whole: give its --sha256"
    if problem:
        answer.body.close()
        raise UserError(f"{item.url} {problem}")


def _refuse_full_disk(part: Part, total: int | None) -> None:
    needed, free = (total or 0) - part.size, shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise UserError(
            f"{part.target} needs {needed / 1e9:.1f} GB more and {free / 1e9:.1f} GB are free there: "
            "free space, or choose another folder with --to"
        )
