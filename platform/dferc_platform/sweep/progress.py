"""How far a sweep has come."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dferc_platform.spaces import SearchSpace
from dferc_platform.spaces.parameters import Value
from dferc_platform.sweep.ledger import Ledger


@dataclass(frozen=True)
class SweepProgress:
    """What is said whenever a trial starts or ends."""

    done: int
    total: int | None
    """None: as many as the time allows."""
    running: int
    failed: int
    best: float | None
    """The metric of the best finished trial."""
    best_values: dict[str, Value] = field(default_factory=dict)
    seconds_left: float | None = None
    """None while nothing is known."""


ProgressCallback = Callable[[SweepProgress], None]


class ProgressMeter:
    """Sums up a ledger; its estimate counts only what this driver has done."""

    def __init__(self, ledger: Ledger, space: SearchSpace, total: int | None) -> None:
        self._ledger, self._space, self._total = ledger, space, total
        self._done_before, self._elapsed_before = len(ledger.outcomes), ledger.elapsed

    def read(self) -> SweepProgress:
        """The progress now."""
        outcomes = self._ledger.outcomes
        finished = {n: o.value for n, o in outcomes.items() if o.status == "FINISHED" and o.value is not None}
        number = max(finished, key=finished.__getitem__, default=None)
        return SweepProgress(
            done=len(outcomes),
            total=self._total,
            running=len(self._ledger.open),
            failed=sum(outcome.status == "FAILED" for outcome in outcomes.values()),
            best=None if number is None else finished[number],
            best_values={} if number is None else self._ledger.proposals[number].varied,
            seconds_left=self._seconds_left(),
        )

    def _seconds_left(self) -> float | None:
        done = len(self._ledger.outcomes) - self._done_before
        elapsed = self._ledger.elapsed - self._elapsed_before
        guesses = []
        if self._total is not None and done:
            guesses.append((self._total - len(self._ledger.outcomes)) * elapsed / done)
        if self._space.budget.minutes is not None:
            guesses.append(max(0.0, 60 * self._space.budget.minutes - self._ledger.elapsed))
        return min(guesses, default=None)
