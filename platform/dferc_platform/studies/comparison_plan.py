"""What ``dferc compare`` is to do: which models, on what footing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dferc.errors import UserError
from dferc.models import model_named, models
from dferc_platform.config import RunConfig, make_config, with_settings
from dferc_platform.spaces import SchedulerConfig, SearchSpace, read_space, space_problems
from dferc_platform.studies.overrides import override_problems, settings_of


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared, and at what cost."""

    models: tuple[str, ...]
    corpus: str
    trials: int
    """Of the search of each model; 0: none is searched, all are trained as the config says."""
    seeds: tuple[int, ...]
    """With which the best settings of each are trained again."""
    epochs: int | None = None
    """At most, of every run; by default what each model's search space says."""
    small: bool = False
    """Tiny models, to try the study itself: their scores mean nothing."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What ``--set`` fixes, by the names it was given: ``MODEL.SETTING``, or ``SETTING`` of all that have it."""
    recipe: str | None = None
    """Corpus whose published settings are taken by every model that has them."""

    def base(self, model: str) -> RunConfig:
        """What all runs of a model have in common."""
        return with_settings(self._unset(model), settings_of(model, self.settings))

    def space(self, model: str) -> SearchSpace:
        """The shipped space of a model with the budget of this comparison, less what the comparison fixes."""
        base = self.base(model)
        values = base.parameters()
        given = {**self._sizes(model), **settings_of(model, self.settings)}
        space = read_space(model).without({name: values[name] for name in given})
        fixed = {name: value for name, value in space.settings.items() if name not in self._published(model)}
        budget = space.budget.model_copy(update={"trials": self.trials, "minutes": None})
        space = space.model_copy(update={"settings": fixed, "budget": budget})
        if space.base(base).training.epochs <= space.scheduler.grace_epochs:
            return space.model_copy(update={"scheduler": SchedulerConfig()})  # nothing could stop early
        return space

    def searches(self, model: str) -> bool:
        """Whether there is a budget, and something left to vary."""
        return self.trials > 0 and bool(self.space(model).parameters)

    def runs(self, model: str) -> int:
        """How many runs a model takes."""
        return len(self.seeds) + (self.trials if self.searches(model) else 0)

    def check(self) -> None:
        """Refuse what does not fit the models, before anything starts.

        Raises:
            UserError: a model is unknown, or settings do not fit; every problem is named.
        """
        bases = {model: self._unset(model) for model in self.models}
        problems = override_problems(self.models, bases, self.settings)
        if problems:
            raise UserError.collected("--set", problems)
        if self.recipe is not None and not any(map(self._published, self.models)):
            known = sorted({corpus for model in self.models for corpus in model_named(model).recipes})
            raise UserError(
                f"--recipe {self.recipe}: no model compared has settings published for it; "
                f"there are some for: {', '.join(known) or 'none'}"
            )
        misfits = [
            f"{model}: {problem}"
            for model in self.models
            if self.searches(model)
            for problem in space_problems(self.space(model), self.base(model))
        ]
        if misfits:
            raise UserError.collected("the search spaces", misfits)

    def _unset(self, model: str) -> RunConfig:
        """The config before ``--set``."""
        config = make_config({"model_name": model, "corpus": self.corpus})
        return with_settings(config, {**self._published(model), **self._sizes(model)})

    def _published(self, model: str) -> Mapping[str, Any]:
        return model_named(model).recipes.get(self.recipe, {}) if self.recipe else {}

    def _sizes(self, model: str) -> dict[str, Any]:
        small = model_named(model).small if self.small else {}
        return {**small, **({} if self.epochs is None else {"epochs": self.epochs})}


def contestants(names: str | None) -> tuple[str, ...]:
    """The models of a comma-separated list, or all that there are.

    Raises:
        UserError: one is unknown.
    """
    chosen = sorted(models()) if names is None else [name.strip() for name in names.split(",")]
    return tuple(dict.fromkeys(model_named(name).name for name in chosen))
