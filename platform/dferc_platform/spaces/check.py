"""Everything that a space says, tried on the config that it is to vary before anything starts; all problems at once."""

import random
from collections.abc import Iterator, Mapping

from dferc.errors import UserError
from dferc_platform.config import RunConfig, with_settings
from dferc_platform.spaces.parameters import Parameter, Value
from dferc_platform.spaces.space import Budget, SearchSpace

TRIED_POINTS = 200
"""Random points of a space that are tried on the config: settings that exclude each other show up."""


def check_space(space: SearchSpace, config: RunConfig, where: str = "the search space") -> None:
    """Try everything that the space says on the config.

    Raises:
        UserError: something does not fit; every problem is named.
    """
    problems = space_problems(space, config)
    if problems:
        raise UserError.collected(where, problems)


def space_problems(space: SearchSpace, config: RunConfig) -> list[str]:
    """What in the space does not fit the config, a sentence each."""
    if space.model != config.model_name:
        return [f"model = {space.model!r}, but the config to vary is one of {config.model_name}"]
    fixed, problems = _fixed(space, config)
    for name, parameter in space.parameters.items():
        problems += [f"parameters.{name}: {line}" for line in _parameter_problems(space, name, parameter, fixed)]
    problems += [*_metric_problems(space, fixed), *_budget_problems(space), *_scheduler_problems(space, fixed)]
    return problems or list(_point_problems(space, fixed))


def _fixed(space: SearchSpace, config: RunConfig) -> tuple[RunConfig, list[str]]:
    """The config with those fixed settings that fit, and what is wrong with the others."""
    problems = []
    for name, value in space.settings.items():
        if name == "seed":
            problems.append("settings.seed: give a grid --seeds, or write seeds: [0] beside settings")
            continue
        try:
            config = with_settings(config, {name: value}, f"settings.{name}")
        except UserError as error:
            problems.append(str(error))
    return config, problems


def _parameter_problems(space: SearchSpace, name: str, parameter: Parameter, config: RunConfig) -> Iterator[str]:
    if name in ("seed", "corpus", "protocol"):
        yield "is not for a search; settings of the model and of its training are"
        return
    if name in space.settings:
        yield "is varied and fixed at once: take it out of settings or out of parameters"
    yield from parameter.problems()
    if space.is_grid and parameter.grid() is None:
        yield "a grid needs `step`, or `kind: categorical` with choices"
    conditions = list(_condition_problems(space, name, parameter))
    yield from conditions
    if not conditions:
        yield from dict.fromkeys(_refusals(space, config, name))


def _condition_problems(space: SearchSpace, name: str, parameter: Parameter) -> Iterator[str]:
    for other, values in parameter.when.items():
        if other not in space.parameters:
            yield f"when: there is no parameter {other}; there are {', '.join(space.parameters)}"
        elif name in _ancestors(space, name):
            yield f"when: {name} waits for {other}, which waits for {name}"
        elif not values:
            yield f"when: {other}: name at least one value"
        else:
            possible = space.parameters[other].grid()
            for never in (v for v in values if possible is not None and v not in possible):
                yield f"when: {other} is never {never!r}"


def _ancestors(space: SearchSpace, name: str) -> set[str]:
    """Parameters that the condition of this one waits for, directly or not; itself, when they wait for each other."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        parents = set(space.parameters[waiting.pop()].when) & set(space.parameters) - found
        found |= parents
        waiting += parents
    return found


def _refusals(space: SearchSpace, config: RunConfig, name: str) -> Iterator[str]:
    """What the config answers to the ends of the range, where the conditions of the parameter hold."""
    meant = {p: v[0] for other in {name, *_ancestors(space, name)} for p, v in space.parameters[other].when.items()}
    for value in space.parameters[name].ends():
        yield from _refused(config, {**meant, name: value})


def _refused(config: RunConfig, values: Mapping[str, Value]) -> Iterator[str]:
    try:
        with_settings(config, values, "")
    except UserError as error:
        yield str(error).removeprefix(": ")


def _point_problems(space: SearchSpace, config: RunConfig) -> Iterator[str]:
    """The first point whose values do not go together, among all of a grid or some of a sampled space."""
    random_trial = _RandomTrial(0)
    points = space.points() if space.is_grid else [space.suggest(random_trial) for _ in range(TRIED_POINTS)]
    for point in points:
        refused = list(_refused(config, point))
        if refused:
            yield f"parameters: {', '.join(f'{n} = {v!r}' for n, v in point.items())} do not go together: {refused[0]}"
            return


def _metric_problems(space: SearchSpace, config: RunConfig) -> Iterator[str]:
    group, _, name = space.metric.partition("/")
    if group == "test":
        yield f"metric = {space.metric!r}: the test split never chooses; validation/weighted_f1 does"
    elif group != "validation" or not (name in ("weighted_f1", "macro_f1", "accuracy") or name.startswith("f1/")):
        yield f"metric = {space.metric!r}: known are validation/weighted_f1, /macro_f1, /accuracy and /f1/<class>"
    if config.protocol != "strict":
        yield f"protocol = {config.protocol!r} lets test choose the epoch; a search needs protocol strict"
    if space.optimism and not space.score_test:
        yield "optimism = True needs score_test = True: it is measured against the test score of the strict choice"


def _budget_problems(space: SearchSpace) -> Iterator[str]:
    if space.is_grid and space.budget.trials is not None:
        yield "budget.trials: a grid runs all its points; leave it out"
    if not space.is_grid and not space.parameters:
        yield "parameters: name at least one to vary"
    if not space.is_grid and space.budget == Budget():
        yield "budget: give trials, minutes or both"
    if not space.is_grid and len(space.seeds) > 1:
        yield f"seeds = {list(space.seeds)}: a sampled search runs with one seed; sampler grid with several"


def _scheduler_problems(space: SearchSpace, config: RunConfig) -> Iterator[str]:
    if space.scheduler.name == "none":
        return
    if "epochs" in space.parameters:
        yield "parameters.epochs: asha compares trials at equal epochs; leave epochs fixed"
    elif space.scheduler.grace_epochs >= config.training.epochs:
        yield (
            f"scheduler.grace_epochs = {space.scheduler.grace_epochs} must be below "
            f"epochs = {config.training.epochs}, or no trial ever stops early"
        )


class _RandomTrial:
    """Draws points without Optuna: good enough to try them, quick enough to try many."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        if step is not None:
            return low + step * self._random.randint(0, int((high - low) / step + 1e-9))
        return min(high, low * (high / low) ** self._random.random()) if log else self._random.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: tuple[Value, ...]) -> Value:
        return self._random.choice(choices)
