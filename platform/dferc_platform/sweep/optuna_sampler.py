"""Optuna behind the sampler that a ledger replays."""

import warnings

import optuna

from dferc_platform.spaces import SearchSpace
from dferc_platform.spaces.parameters import Value
from dferc_platform.sweep.outcome import Outcome


class OptunaSampler:
    """An Optuna study, asked and told."""

    def __init__(self, space: SearchSpace) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._study = optuna.create_study(direction="maximize", sampler=_optuna_sampler(space))
        self._trials: list[optuna.Trial] = []

    def ask(self) -> dict[str, Value] | None:
        """A new proposal."""
        trial = self._study.ask()
        self._trials.append(trial)
        return self._space.suggest(trial)

    def tell(self, number: int, outcome: Outcome) -> None:
        """Finished: its value. Pruned: where it stopped, so that budgets are not mixed. Failed: nothing to learn."""
        trial = self._trials[number]
        told = self._study.trials[number]
        if told.state.is_finished():  # it failed, was repeated, and Optuna takes one answer a trial
            self._add_again(told, outcome)
        elif outcome.status == "FINISHED":
            self._study.tell(trial, outcome.value)
        elif outcome.status == "PRUNED" and outcome.value is not None:
            trial.report(outcome.value, outcome.epoch)
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _add_again(self, told: optuna.trial.FrozenTrial, outcome: Outcome) -> None:
        if outcome.status == "FINISHED":
            same = {"params": told.params, "distributions": told.distributions}
            self._study.add_trial(optuna.trial.create_trial(value=outcome.value, **same))


def _optuna_sampler(space: SearchSpace) -> optuna.samplers.BaseSampler:
    chosen = space.sampler
    if chosen.name == "random":
        return optuna.samplers.RandomSampler(seed=chosen.seed)
    multivariate = chosen.name == "tpe_multivariate"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=chosen.seed,
            n_startup_trials=chosen.startup_trials,
            multivariate=multivariate,
            group=multivariate,  # conditional parameters are modelled together where they occur together
            constant_liar=True,  # trials that run at the same time keep away from each other
        )
