"""What a sweep would do, without doing it."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from dferc_platform.config import RunConfig
from dferc_platform.spaces import SearchSpace, check_space
from dferc_platform.spaces.parameters import CategoricalParameter, Parameter
from dferc_platform.sweep.samplers import make_sampler


@dataclass(frozen=True)
class SweepPlan:
    """What would run."""

    config: RunConfig
    """What all trials have in common."""
    trials: int | None
    """None: as many as the time allows."""
    minutes: float | None
    epochs: int
    """Most epochs of a trial."""
    varies: dict[str, str]
    """Each varied setting and its values, in words."""
    first: list[dict[str, Any]]
    """The first trials, as long as nothing has been learnt."""


def plan_sweep(space: SearchSpace, base: RunConfig, show: int = 5) -> SweepPlan:
    """What the space would do to the base config.

    Raises:
        UserError: the space does not fit the config.
    """
    check_space(space, base)
    config = space.base(base)
    varies = {name: _words(parameter) for name, parameter in space.parameters.items()}
    if space.is_grid and len(space.seeds) > 1:
        varies["seed"] = ", ".join(map(str, space.seeds))
    trials = len(space.points()) if space.is_grid else space.budget.trials
    first = list(islice(iter(make_sampler(space).ask, None), min(show, trials or show)))
    return SweepPlan(config, trials, space.budget.minutes, config.training.epochs, varies, first)


def _words(parameter: Parameter) -> str:
    if isinstance(parameter, CategoricalParameter):
        words = ", ".join(map(str, parameter.choices))
    else:
        scale = " (log)" if parameter.log else f" by {parameter.step}" if parameter.step else ""
        words = f"{parameter.low} to {parameter.high}{scale}"
    conditions = [f"{name} is {' or '.join(map(str, values))}" for name, values in parameter.when.items()]
    return words + (f", where {' and '.join(conditions)}" if conditions else "")
