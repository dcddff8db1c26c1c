"""Between Ray Tune and a relay: Tune asks here for trials, tells here what became of them, and asks which to stop."""

import logging
from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from dferc_platform.sweep.ledger import Proposal
from dferc_platform.sweep.live import LiveSweep
from dferc_platform.sweep.relay import Relay
from dferc_platform.sweep.resources import Admission, Resources
from dferc_platform.sweep.scheduler import make_scheduler
from dferc_platform.sweep.trial import payload

logger = logging.getLogger(__name__)

DIED = {
    "error": "the process of the trial died again and again: its nodes were lost, or had too little memory; then run "
    "fewer trials at a time (--concurrency), or set memory aside for each (--memory-per-trial auto measures it)",
    "lasting": False,
}


class NotPickled:
    """Tune pickles what it is given beside its own state; nobody reads it, and this holds threads and files."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class RelaySearcher(NotPickled, Searcher):  # type: ignore[misc]
    """Gives Tune the trials of a relay.

    Ray's own OptunaSearch would tell Optuna that trials which ASHA stopped were complete, would lose those whose metric
    is not a number, and keeps what it knows in a pickle.
    """

    def __init__(self, relay: Relay, first: tuple[LiveSweep, Proposal], admission: Admission) -> None:
        super().__init__()
        self._relay, self._admission = relay, admission
        self._first: tuple[LiveSweep, Proposal] | None = first
        self._live: dict[str, Resources] = {}

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial; None where it must wait for room, or depends on those that run."""
        if not self._admission.admits(self._live.values()):
            return None
        given, self._first = self._first or self._relay.next(), None
        if given is not None:
            sweep, proposal = given
            self._live[trial_id] = sweep.job.resources
            return payload(sweep.job, proposal)
        # With none that runs, waiting would have no end: then a trial's end could not be written down.
        return None if self._live and not self._relay.over else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The observers, who know more, tell the ledgers."""
        self._live.pop(trial_id, None)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """The ledgers are on disk already."""


class Herald(NotPickled, tune.Callback):  # type: ignore[misc]
    """Tells the observer of a trial's sweep what Tune says of it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.failure: Exception | None = None

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process is there."""
        self._relay.sweep(trial.config["study"]).observer.begins(trial.config["number"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """It reported an epoch, or its failure."""
        if "line" in result:
            trial.run_metadata.num_failures = 0  # nodes may come and go for days; only deaths without progress count
            self._relay.sweep(trial.config["study"]).observer.epoch(trial.config["number"], result["line"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It finished, was stopped early, or reported its own failure."""
        self._ends(trial, trial.last_result)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process died, and another one goes on with it."""
        logger.warning("the process of trial %d died; another goes on at its last epoch", trial.config["number"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process died again and again."""
        self._ends(trial, DIED)

    def _ends(self, trial: Any, said: Mapping[str, Any]) -> None:
        if self.failure is not None:  # those that Tune stops now have not ended: they go on when the sweep does
            return
        try:
            self._settle(trial, said)
        except Exception as error:  # Tune would write it to its log and go on
            self.failure = error

    def _settle(self, trial: Any, said: Mapping[str, Any]) -> None:
        self._relay.sweep(trial.config["study"]).observer.ends(trial.config["number"], said)


class EndOfAll(NotPickled, tune.Stopper):  # type: ignore[misc]
    """Has Tune wind down when an end could not be written down, or no trial can end well any more."""

    def __init__(self, herald: Herald) -> None:
        self._herald = herald

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial stops alone."""
        return False

    def stop_all(self) -> bool:
        """Whether all stop."""
        return self._herald.failure is not None


class OwnScheduler(NotPickled, FIFOScheduler):  # type: ignore[misc]
    """Leaves every trial to the scheduler that its sweep asks for; where there is room, all are served in turn."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self._schedulers: dict[str, TrialScheduler] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """It is new to Tune."""
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Its process died."""
        self._of(trial).on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> Any:
        """Whether it goes on."""
        return self._of(trial).on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """It has ended."""
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """It was taken back before it ran."""
        self._of(trial).on_trial_remove(tune_controller, trial)

    def _of(self, trial: Any) -> TrialScheduler:
        key = trial.config["study"]
        if key not in self._schedulers:
            sweep = self._relay.sweep(key)
            job = sweep.job
            ended = [job.run_folder(sweep.ledger.proposals[number]) for number in sweep.ledger.outcomes]
            self._schedulers[key] = make_scheduler(job.space, job.config.training.epochs, ended)
        return self._schedulers[key]
