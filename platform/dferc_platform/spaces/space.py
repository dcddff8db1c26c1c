"""A search space: a question to a model, with its distributions, its metric and its budget."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from dferc.errors import UserError
from dferc_platform.config import RunConfig, with_settings
from dferc_platform.spaces.parameters import Parameter, Strict, Suggester, Value


class SamplerConfig(Strict):
    """How the next trial is chosen."""

    name: Literal["tpe", "tpe_multivariate", "random", "grid"] = "tpe"
    seed: int = Field(
        0, ge=0, description="the same seed proposes the same trials, as long as they end in the same order"
    )
    startup_trials: int = Field(10, ge=0, description="random trials before TPE begins [Optuna: 10]")


class SchedulerConfig(Strict):
    """Whether hopeless trials stop early; the longest trial has the ``epochs`` of the training settings."""

    name: Literal["none", "asha"] = "none"
    grace_epochs: int = Field(3, ge=1, description="no trial stops before this epoch")
    reduction_factor: float = Field(
        3, gt=1, description="about one trial in so many goes on at each rung [Li et al. 2020: 4]"
    )


class Budget(Strict):
    """When a sweep ends; with both, whichever comes first."""

    trials: int | None = Field(None, ge=1)
    minutes: float | None = Field(
        None, gt=0, description="no trial starts later than this; those that run are finished"
    )


class SearchSpace(Strict):
    """What varies, how it is chosen, by which metric, within which budget."""

    model: str
    description: str
    metric: str = Field("validation/weighted_f1", description="of the best epoch; on validation, always")
    sampler: SamplerConfig = SamplerConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    budget: Budget = Budget()
    concurrency: int | None = Field(
        None, ge=1, description="trials at a time; when left out, as many as the cluster has room for"
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,), min_length=1, description="a grid runs every point with each"
    )
    score_test: bool = Field(
        False, description="each finished run scores test once; the search itself never looks at it"
    )
    optimism: bool = Field(False, description="each run also measures what choosing on test would have flattered")
    settings: dict[str, Value | list[str]] = Field({}, description="fixed for every trial, by short name")
    parameters: dict[str, Parameter]

    @property
    def is_grid(self) -> bool:
        """Whether every point is run, rather than sampled ones."""
        return self.sampler.name == "grid"

    def base(self, config: RunConfig) -> RunConfig:
        """The config that every trial starts from."""
        fixed = with_settings(config, {**self.settings, "seed": self.seeds[0]}, "settings")
        return fixed.model_copy(update={"score_test": self.score_test, "optimism": self.optimism})

    def without(self, given: Mapping[str, Any]) -> Self:
        """The space that leaves these settings to the config, which has them with these values."""
        varied: dict[str, Parameter] = {}
        never: set[str] = set()
        for name in self.in_order():
            conditions = self.parameters[name].when
            when = {other: values for other, values in conditions.items() if other not in given}
            met = all(given[other] in values for other, values in conditions.items() if other in given)
            if not met or never & when.keys():
                never.add(name)
            elif name not in given:
                varied[name] = self.parameters[name].model_copy(update={"when": when})
        parameters = {name: varied[name] for name in self.parameters if name in varied}
        settings = {name: value for name, value in self.settings.items() if name not in given}
        return self.model_copy(update={"parameters": parameters, "settings": settings})

    def suggest(self, trial: Suggester) -> dict[str, Value]:
        """The values of one trial; parameters whose condition fails are left out."""
        chosen: dict[str, Value] = {}
        for name in self.in_order():
            if self.parameters[name].active(chosen):
                chosen[name] = self.parameters[name].suggest(trial, name)
        return chosen

    def points(self) -> list[dict[str, Value]]:
        """Every point of a grid: all of them with the first seed, then all with the next."""
        names = self.in_order()
        found: dict[tuple[tuple[str, Value], ...], dict[str, Value]] = {}
        for values in product(*(self.parameters[name].grid() or () for name in names)):
            point: dict[str, Value] = {}
            for name, value in zip(names, values, strict=True):
                if self.parameters[name].active(point):
                    point[name] = value
            found.setdefault(tuple(point.items()), point)
        return [{**point, "seed": seed} for seed in self.seeds for point in found.values()]

    def in_order(self) -> list[str]:
        """Parameter names, each behind those that its condition names; otherwise as the file has them.

        Raises:
            UserError: conditions wait for each other, or for a parameter that is not there.
        """
        ordered: list[str] = []
        waiting = list(self.parameters)
        while waiting:
            ready = next((name for name in waiting if set(self.parameters[name].when) <= set(ordered)), None)
            if ready is None:
                raise UserError(f"the conditions of {', '.join(waiting)} can never be decided")
            waiting.remove(ready)
            ordered.append(ready)
        return ordered
