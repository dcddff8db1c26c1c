"""Sweeps that share one set of workers: lines of them, each sweep of a line begun when the one before it has ended.

So a worker that one sweep no longer needs goes to the next one at once, and nobody waits for processes to start.
"""

from collections.abc import Callable, Generator, Iterable
from functools import partial

from dferc_platform.results import RunRow, Status
from dferc_platform.sweep.job import SweepJob
from dferc_platform.sweep.ledger import Proposal
from dferc_platform.sweep.live import LiveSweep

Line = Generator[SweepJob, list[RunRow], None]
"""Gives a sweep, gets its runs when it has ended, gives the next. What goes wrong with a sweep is raised in its line,
which may go on; what it does not catch ends everything."""

Opener = Callable[[SweepJob], LiveSweep]


class Relay:
    """Gives out trials: of the first line that has one."""

    def __init__(self, lines: Iterable[Line], opener: Opener) -> None:
        self._sweeps: dict[str, LiveSweep] = {}
        self._opener = opener
        self._lanes = [_Lane(line, self._open) for line in lines]

    @property
    def over(self) -> bool:
        """Whether every line has come to its end."""
        return all(lane.over for lane in self._lanes)

    def next(self) -> tuple[LiveSweep, Proposal] | None:
        """The next trial; None while every line waits for trials that run, and when all are over."""
        for lane in self._lanes:
            proposal = lane.next()
            if proposal is not None and lane.sweep is not None:
                return lane.sweep, proposal
        return None

    def sweep(self, study: str) -> LiveSweep:
        """The sweep of a trial, by the key of its study."""
        return self._sweeps[study]

    def end(self, status: Status) -> None:
        """End what has not come to its end."""
        for lane in self._lanes:
            lane.end(status)

    def _open(self, job: SweepJob) -> LiveSweep:
        self._sweeps[job.study.key] = sweep = self._opener(job)
        return sweep


class _Lane:
    """A line and the sweep at which it is."""

    def __init__(self, line: Line, opener: Opener) -> None:
        self._line, self._opener = line, opener
        self._go_on: Callable[[], SweepJob] = partial(next, line)
        self.sweep: LiveSweep | None = None
        self.over = False

    def next(self) -> Proposal | None:
        while not self.over:
            if self.sweep is None:
                self._begin()
                continue
            try:
                proposal = self.sweep.next()
                if proposal is not None or self.sweep.ledger.open:
                    return proposal
                self._go_on = partial(self._line.send, self.sweep.end("FINISHED"))
                self.sweep = None
            except Exception as error:
                self._fail(error)
        return None

    def end(self, status: Status) -> None:
        if self.sweep is not None:
            self.sweep.end(status)
        self._line.close()

    def _begin(self) -> None:
        try:
            job = self._go_on()
        except StopIteration:
            self.over = True
            return
        try:
            self.sweep = self._opener(job)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Tell the line, when it is asked for its next sweep."""
        self._go_on = partial(self._line.throw, error)
        if self.sweep is not None:
            failed, self.sweep = self.sweep, None
            failed.end("FAILED")
