"""What the driver does while trials run: tell the ledger, track in MLflow, write verdicts, tell of the progress."""

from pathlib import Path
from typing import Any

from ray import tune

from dferc_platform.identity import own_tags
from dferc_platform.results import Status, run_name, write_verdict
from dferc_platform.sweep.job import SweepJob
from dferc_platform.sweep.ledger import Ledger, Proposal
from dferc_platform.sweep.outcome import Outcome, judge
from dferc_platform.sweep.progress import ProgressCallback, ProgressMeter
from dferc_platform.sweep.searcher import NotPickled
from dferc_platform.tracking import Tracker

DIED = {"error": "the process of the trial died: out of memory, or its node was lost", "lasting": False}


class Observer(NotPickled, tune.Callback):  # type: ignore[misc]
    """Hears from Tune, in the driver's main thread, what happens to trials."""

    def __init__(
        self, job: SweepJob, ledger: Ledger, tracker: Tracker, parent: str, progress: ProgressCallback | None
    ) -> None:
        self._job, self._ledger, self._tracker, self._parent = job, ledger, tracker, parent
        self._progress, self._meter = progress, ProgressMeter(ledger, job.space, job.total)
        self._tracked: dict[int, str] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Open its run in MLflow."""
        self._track(self._of(trial))
        self._tell_progress()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Track an epoch."""
        if "line" in result:
            self._tracker.epoch(self._track(self._of(trial)), result["line"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It finished, was stopped early, or reported its own failure."""
        self._judge(trial, trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process died again and again."""
        self._judge(trial, DIED)

    def settle(self, proposal: Proposal, outcome: Outcome) -> None:
        """Write down how a trial ended, everywhere."""
        self._ledger.tell(proposal, outcome)
        self._end(proposal, outcome.status, outcome.error)
        self._tell_progress()

    def restate(self) -> None:
        """Write down again how trials ended: an earlier driver may have been killed between the ledger and the rest."""
        for number, outcome in self._ledger.outcomes.items():
            self._end(self._ledger.proposals[number], outcome.status, outcome.error)

    def kill(self, proposal: Proposal) -> None:
        """The sweep stops; in the ledger the trial stays open, so that it goes on when the sweep is resumed."""
        self._end(proposal, "KILLED", None)

    def _judge(self, trial: Any, said: dict[str, Any]) -> None:
        proposal = self._of(trial)
        self.settle(proposal, judge(self._job.run_folder(proposal), said, self._job.space.metric))

    def _of(self, trial: Any) -> Proposal:
        return self._ledger.proposals[trial.config["number"]]

    def _end(self, proposal: Proposal, status: Status, error: str | None) -> None:
        folder: Path = self._job.run_folder(proposal)
        write_verdict(folder, status, varied=proposal.varied, number=proposal.number, error=error)
        self._tracker.finish(self._track(proposal), status, folder)

    def _track(self, proposal: Proposal) -> str:
        if proposal.number not in self._tracked:
            name = run_name(proposal.varied, proposal.key)
            parameters, tags = proposal.config.parameters(), own_tags(proposal.config)
            self._tracked[proposal.number] = self._tracker.run(proposal.key, name, parameters, tags, self._parent)
        return self._tracked[proposal.number]

    def _tell_progress(self) -> None:
        if self._progress is not None:
            self._progress(self._meter.read())
