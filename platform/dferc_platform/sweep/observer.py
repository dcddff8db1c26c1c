"""What the driver does while trials run: tell the ledger, track in MLflow, write verdicts, tell of the progress."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from dferc.errors import UserError
from dferc_platform.away import StoreAwayError
from dferc_platform.identity import own_tags
from dferc_platform.results import Status, run_name, write_verdict
from dferc_platform.storage import pull
from dferc_platform.sweep.job import SweepJob
from dferc_platform.sweep.ledger import Ledger, Proposal
from dferc_platform.sweep.outcome import Outcome, judge
from dferc_platform.sweep.progress import ProgressMeter
from dferc_platform.tracking import Tracker


class Observer:
    """Hears, in the driver's main thread, what happens to the trials of a sweep."""

    def __init__(self, job: SweepJob, ledger: Ledger, tracker: Tracker, parent: str) -> None:
        self._job, self._ledger, self._tracker, self._parent = job, ledger, tracker, parent
        self._meter = ProgressMeter(ledger, job.space, job.total)
        self._tracked: dict[int, str] = {}
        self._ended_all: set[int] = set()

    def begins(self, number: int) -> None:
        """A trial starts, or goes on in another process: open its run in MLflow."""
        self._track(self._ledger.proposals[number])
        self._tell_progress()

    def epoch(self, number: int, line: Mapping[str, float]) -> None:
        """A trial has finished an epoch."""
        self._tracker.epoch(self._track(self._ledger.proposals[number]), line)

    def ends(self, number: int, said: Mapping[str, Any]) -> None:
        """A trial has ended, and this was its last report."""
        proposal = self._ledger.proposals[number]
        folder = self._job.run_folder(proposal)
        pull(folder)
        self.settle(proposal, judge(folder, said, self._job.space.metric))

    def settle(self, proposal: Proposal, outcome: Outcome) -> None:
        """Write down how a trial ended, everywhere.

        Raises:
            UserError: no other trial could do better. In the ledger this one stays open.
        """
        if outcome.ends_all:
            self._fail_all(proposal, str(outcome.error))
        self._ledger.tell(proposal, outcome)
        self._end(proposal, outcome.status, outcome.error)
        self._tell_progress()

    def restate(self) -> None:
        """Write down again how trials ended: an earlier driver may have been killed between the ledger and the rest."""
        for number, outcome in self._ledger.outcomes.items():
            self._end(self._ledger.proposals[number], outcome.status, outcome.error)

    def kill(self, proposal: Proposal) -> None:
        """The sweep stops; in the ledger the trial stays open, so that it goes on when the sweep is resumed."""
        if proposal.number in self._ended_all:
            return
        with suppress(StoreAwayError):  # the sweep may stop because of that
            pull(self._job.run_folder(proposal))
        self._end(proposal, "KILLED", None)

    def _fail_all(self, proposal: Proposal, error: str) -> NoReturn:
        self._ended_all.add(proposal.number)
        with suppress(OSError):  # a full disk takes no verdict either
            self._end(proposal, "FAILED", error)
        raise UserError(error)

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
        if self._job.progress is not None:
            self._job.progress(self._meter.read())
