"""The number to publish: one configuration, the best of a search or the published one, trained with several seeds."""

from collections.abc import Sequence

from dferc_platform.results import RunRow
from dferc_platform.spaces import Budget, SamplerConfig, SchedulerConfig, SearchSpace
from dferc_platform.spaces.parameters import CategoricalParameter, Parameter
from dferc_platform.sweep import best


def confirmation_space(
    searched: SearchSpace, rows: Sequence[RunRow], seeds: Sequence[int], optimism: bool = False
) -> SearchSpace:
    """The grid of one point, the best of the search, with these seeds; every run opens test at its end, and once.

    With ``optimism`` each run also measures what choosing on test would have flattered.

    Raises:
        UserError: no run of the search has finished.
    """
    varied = {name: value for name, value in best(rows, searched).varied.items() if name != "seed"}
    point: dict[str, Parameter] = {
        name: CategoricalParameter(kind="categorical", choices=(value,)) for name, value in varied.items()
    }
    return _seeds_of(searched, point, f"The best of the search: {searched.description}", seeds, optimism)


def unsearched_space(space: SearchSpace, seeds: Sequence[int], optimism: bool = False) -> SearchSpace:
    """The grid of one point, which is what the config says: nothing of the space is varied."""
    return _seeds_of(space, {}, f"No search: {space.description}", seeds, optimism)


def _seeds_of(
    space: SearchSpace, point: dict[str, Parameter], description: str, seeds: Sequence[int], optimism: bool
) -> SearchSpace:
    return SearchSpace(
        model=space.model,
        description=description,
        metric=space.metric,
        sampler=SamplerConfig(name="grid"),
        scheduler=SchedulerConfig(),
        budget=Budget(),
        seeds=tuple(seeds),
        concurrency=space.concurrency,
        score_test=True,
        optimism=optimism,
        settings=space.settings,
        parameters=point,
    )
