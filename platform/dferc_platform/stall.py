"""A training that hangs: after some time without an epoch, where it hangs is written down and its process ends.

Whoever started the process then starts it again, as after any other death: Tune a trial, Train a worker.
"""

import faulthandler
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dferc.errors import UserError
from dferc_platform.train import Reporter

MINUTES, VARIABLE = 60.0, "DFERC_STALL_MINUTES"
"""Without an epoch for so long a training counts as hanging; the variable changes it, 0 switches the watch off."""
SLACK = 10
"""But never before so many times its longest epoch yet."""
FILE = "stall.txt"
"""Of a run folder; of one of several workers, stall-RANK.txt."""


class StallWatch:
    """Ends this process when nothing is done for too long, even where Python's own threads are stuck."""

    def __init__(self, path: Path, minutes: float) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._limit = 60 * minutes  # seconds
        self._since = time.monotonic()
        self._arm()

    def done(self) -> None:
        """An epoch is done: the time begins anew."""
        now = time.monotonic()
        self._limit = max(self._limit, SLACK * (now - self._since))
        self._since = now
        self._arm()

    def close(self) -> None:
        """Watch no longer."""
        faulthandler.cancel_dump_traceback_later()
        self._file.close()

    def _arm(self) -> None:
        faulthandler.dump_traceback_later(self._limit, file=self._file, exit=True)


class Watched:
    """A reporter that also tells the watch."""

    def __init__(self, reporter: Reporter, watch: StallWatch) -> None:
        self._reporter, self._watch = reporter, watch

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """Pass it on."""
        self._watch.done()
        self._reporter.report(metrics, checkpoint)


@contextmanager
def watched(reporter: Reporter, file: Path, minutes: float) -> Iterator[Reporter]:
    """Watch the block, whose training tells the reporter of its epochs; when it hangs, every stack goes to ``file``."""
    if not minutes:
        yield reporter
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    watch = StallWatch(file, minutes)
    try:
        yield Watched(reporter, watch)
    finally:
        watch.close()
        file.unlink(missing_ok=True)  # it did not hang


def has_hung(folder: Path) -> bool:
    """Whether the process that last worked in a run folder was ended because it hung."""
    return any(path.stat().st_size > 0 for path in folder.glob(f"{Path(FILE).stem}*.txt"))


def stall_minutes() -> float:
    """What ``DFERC_STALL_MINUTES`` says, in the driver; by default 60.

    Raises:
        UserError: it is no such number.
    """
    text = os.environ.get(VARIABLE, str(MINUTES))
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes < float("inf"):
        raise UserError(f"{VARIABLE}={text}: give minutes without an epoch after which a run hangs, or 0 for never")
    return minutes
