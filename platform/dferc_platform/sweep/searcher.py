"""Between Ray Tune and a relay: Tune asks here for trials, tells here what became of them, and asks which to stop."""

from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from dferc_platform.sweep.ledger import Proposal
from dferc_platform.sweep.live import LiveSweep
from dferc_platform.sweep.relay import Relay
from dferc_platform.sweep.scheduler import make_scheduler
from dferc_platform.sweep.trial import payload

DIED = {"error": "the process of the trial died: out of memory, or its node was lost", "lasting": False}


class NotPickled:
    """Tune pickles what it is given beside its own state; nobody reads it, and this holds threads and files."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class RelaySearcher(NotPickled, Searcher):  # type: ignore[misc]
    """Gives Tune the trials of a relay.

    Ray's own OptunaSearch would tell Optuna that trials which ASHA stopped were complete, would lose those whose metric
    is not a number, and keeps what it knows in a pickle.
    """

    def __init__(self, relay: Relay, first: tuple[LiveSweep, Proposal]) -> None:
        super().__init__()
        self._relay = relay
        self._first: tuple[LiveSweep, Proposal] | None = first
        self._live: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial; None where the next one depends on those that run."""
        given, self._first = self._first or self._relay.next(), None
        if given is not None:
            self._live.add(trial_id)
            sweep, proposal = given
            return payload(sweep.job, proposal)
        # With none that runs, waiting would have no end: then a trial's end could not be written down.
        return None if self._live and not self._relay.over else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The observers, who know more, tell the ledgers."""
        self._live.discard(trial_id)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """The ledgers are on disk already."""


class Herald(NotPickled, tune.Callback):  # type: ignore[misc]
    """Tells the observer of a trial's sweep what Tune says of it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process is there."""
        self._relay.sweep(trial.config["study"]).observer.begins(trial.config["number"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """It reported an epoch, or its failure."""
        if "line" in result:
            self._relay.sweep(trial.config["study"]).observer.epoch(trial.config["number"], result["line"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It finished, was stopped early, or reported its own failure."""
        self._ends(trial, trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process died again and again."""
        self._ends(trial, DIED)

    def _ends(self, trial: Any, said: Mapping[str, Any]) -> None:
        self._relay.sweep(trial.config["study"]).observer.ends(trial.config["number"], said)


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
