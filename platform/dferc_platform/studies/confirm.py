"""The number to publish after a search: its best configuration, trained anew with several seeds."""

from collections.abc import Sequence

from dferc_platform.results import RunRow
from dferc_platform.spaces import SamplerConfig, SearchSpace
from dferc_platform.spaces.parameters import CategoricalParameter
from dferc_platform.sweep import best


def confirmation_space(searched: SearchSpace, rows: Sequence[RunRow], seeds: Sequence[int]) -> SearchSpace:
    """The grid of one point, the best of the search, with these seeds; every run opens test at its end, and once.

    Raises:
        UserError: no run of the search has finished.
    """
    varied = {name: value for name, value in best(rows, searched).varied.items() if name != "seed"}
    return SearchSpace(
        model=searched.model,
        description=f"The best of the search: {searched.description}",
        metric=searched.metric,
        sampler=SamplerConfig(name="grid"),
        seeds=tuple(seeds),
        concurrency=searched.concurrency,
        score_test=True,
        settings=searched.settings,
        parameters={name: CategoricalParameter(kind="categorical", choices=(value,)) for name, value in varied.items()},
    )
