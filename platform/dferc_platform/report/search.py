"""What a sweep found: the best trial, the trials in order of merit, the best so far, which settings mattered."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from dferc.errors import UserError
from dferc_platform.report.runs import StudyRuns
from dferc_platform.results import RunRow
from dferc_platform.spaces import SearchSpace
from dferc_platform.spaces.parameters import FloatParameter, IntParameter
from dferc_platform.sweep.best import best

BETTER_SHARE = 0.5
"""Share of the trials that importance sets apart from the rest. On made-up searches of 10 to 60 trials in which one of
six settings drives the score, the better half finds it more often than Optuna's default, the best tenth."""
LEAST_TRIALS = 10
"""Finished trials below which no importance is shown: Optuna asks for 5 in the better share."""


@dataclass(frozen=True)
class Search:
    """The trials of a sweep."""

    space: SearchSpace
    finished: tuple[RunRow, ...]
    """In order of creation."""
    others: tuple[RunRow, ...]

    @property
    def metric(self) -> str:
        """What chooses, with its split: validation/weighted_f1."""
        return self.space.metric

    @cached_property
    def best(self) -> RunRow:
        """The trial that the sweep itself calls best."""
        return best(self.finished, self.space)

    @cached_property
    def ranked(self) -> tuple[RunRow, ...]:
        """Finished trials, best score first; of equal ones the earlier."""
        return tuple(sorted(self.finished, key=lambda row: row.metrics[self.metric], reverse=True))

    @cached_property
    def varied(self) -> tuple[str, ...]:
        """Settings that took more than one value, in order of name."""
        names = {name for row in self.finished for name in row.varied}
        return tuple(sorted(name for name in names if len({repr(row.varied.get(name)) for row in self.finished}) > 1))

    def best_so_far(self) -> list[float]:
        """The best score after each finished trial, in order of creation."""
        return list(accumulate((row.metrics[self.metric] for row in self.finished), max))

    def is_numeric(self, name: str) -> bool:
        """Whether a setting is a number between two bounds, rather than one of several choices."""
        return isinstance(self.space.parameters.get(name), FloatParameter | IntParameter)

    def is_logarithmic(self, name: str) -> bool:
        """Whether the search sampled a setting on a log scale."""
        return bool(getattr(self.space.parameters.get(name), "log", False))

    @cached_property
    def importances(self) -> dict[str, float]:
        """Share of each setting in what tells the better trials from the rest, largest first.

        PED-ANOVA (Watanabe, Bansal and Hutter 2023). Empty below ``LEAST_TRIALS`` finished trials. Trials that a
        scheduler stopped are left out: their scores are of another budget.
        """
        if len(self.finished) < LEAST_TRIALS or not self.varied:
            return {}
        study = _silent_study()
        study.add_trials([self._trial(row) for row in self.finished])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BETTER_SHARE)
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
        return {str(name): float(share) for name, share in found.items()}

    def _trial(self, row: RunRow) -> optuna.trial.FrozenTrial:
        values = {name: row.varied[name] for name in self.varied if name in row.varied}
        scales = {name: self._distribution(name) for name in values}
        return optuna.trial.create_trial(params=values, distributions=scales, value=row.metrics[self.metric])

    def _distribution(self, name: str) -> BaseDistribution:
        match self.space.parameters.get(name):
            case FloatParameter(low=low, high=high, log=log, step=step):
                return FloatDistribution(low, high, log=log, step=step)
            case IntParameter(low=low, high=high, log=log, step=step):
                return IntDistribution(low, high, log=log, step=step or 1)
            case None:  # the seed, which a grid varies beside its parameters
                return CategoricalDistribution(self.space.seeds)
            case categorical:
                return CategoricalDistribution(categorical.choices)


def search(runs: StudyRuns) -> Search:
    """The trials of a sweep's study.

    Raises:
        UserError: the study does not say what it searched.
    """
    try:
        space = SearchSpace.model_validate(runs.study.space)
    except ValidationError as error:
        where = "; ".join(".".join(map(str, detail["loc"])) or "all of it" for detail in error.errors())
        raise UserError(
            f"{runs.folder / 'study.json'} holds no search space that this version reads: {where}"
        ) from None
    return Search(space, runs.finished, runs.others)


def _silent_study() -> optuna.Study:
    """In memory, for importances alone; Optuna would announce it on the terminal."""
    loud = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(loud)


def trial_number(row: RunRow) -> int:
    """Its place in the order of creation."""
    return int(row.number or 0)
