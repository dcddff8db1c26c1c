"""What to try next: the points of a grid, or what Optuna proposes."""

from typing import Protocol

from dferc_platform.spaces import SearchSpace
from dferc_platform.spaces.parameters import Value
from dferc_platform.sweep.outcome import Outcome


class Sampler(Protocol):
    """Proposes values and learns from what became of them.

    A pure function of its space and of the calls it has had: the same calls in the same order give the same proposals.
    """

    def ask(self) -> dict[str, Value] | None:
        """The values of the next trial, numbered from 0; None when there is nothing left to try."""

    def tell(self, number: int, outcome: Outcome) -> None:
        """What became of a trial; once more for a trial that failed and was repeated."""


def make_sampler(space: SearchSpace) -> Sampler:
    """The sampler that the space asks for."""
    if space.is_grid:
        return GridSampler(space)
    from dferc_platform.sweep.optuna_sampler import OptunaSampler  # trials, which import this package, need no Optuna

    return OptunaSampler(space)


class GridSampler:
    """Every point once."""

    def __init__(self, space: SearchSpace) -> None:
        self._points = iter(space.points())

    def ask(self) -> dict[str, Value] | None:
        """The next point."""
        return next(self._points, None)

    def tell(self, number: int, outcome: Outcome) -> None:
        """A grid does not learn."""
