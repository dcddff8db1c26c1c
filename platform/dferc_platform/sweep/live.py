"""A sweep from its opening to its end."""

from contextlib import ExitStack
from typing import Any

from dferc.errors import UserError
from dferc_platform.results import RunRow, Status, read_runs, write_study
from dferc_platform.sweep.best import best
from dferc_platform.sweep.job import SweepJob
from dferc_platform.sweep.ledger import Ledger, Proposal
from dferc_platform.sweep.lock import driving
from dferc_platform.sweep.observer import Observer
from dferc_platform.sweep.outcome import judge
from dferc_platform.sweep.samplers import make_sampler
from dferc_platform.tracking import Tracker


class LiveSweep:
    """A sweep that runs: its folder is held, its ledger replayed, its study open in MLflow."""

    def __init__(self, job: SweepJob, tracker: Tracker, most: int | None = None) -> None:
        """Open it and say again what an earlier driver may have been killed before saying.

        Args:
            job: what is to run.
            tracker: where results are sent.
            most: trials at a time; None: no limit of its own.

        Raises:
            UserError: another process holds the folder, or its ledger is not of this sweep.
        """
        self.job, self._tracker, self._most = job, tracker, most
        self._held = ExitStack()
        self._held.enter_context(driving(job.folder))
        try:
            write_study(job.folder, job.study)
            self.ledger = Ledger(job.folder / "ledger.jsonl", make_sampler(job.space), job.space.budget, job.propose)
        except BaseException:
            self._held.close()
            raise
        self._parent = tracker.study(job.study, _study_parameters(job))
        self.observer = Observer(job, self.ledger, tracker, self._parent)
        try:
            self._catch_up()
        except BaseException:
            self.end("FAILED")
            raise
        self._left_open = iter(self.ledger.open)
        self._given: list[int] = []

    def next(self) -> Proposal | None:
        """A trial that an earlier driver left open, else a new one; None: not now, or never again."""
        running = sum(number not in self.ledger.outcomes for number in self._given)
        if self._most is not None and running >= self._most:
            return None
        proposal = next(self._left_open, None) or self.ledger.ask()
        if proposal is not None:
            self._given.append(proposal.number)
        return proposal

    def end(self, status: Status) -> list[RunRow]:
        """Leave nothing RUNNING and let go of the folder; the runs of the study."""
        try:
            for proposal in self.ledger.open:
                self.observer.kill(proposal)
            self._tracker.reconcile(self._parent)
            self._tracker.finish_study(self._parent, status, self.job.folder, _study_metrics(self.job))
        finally:
            self._held.close()
        return read_runs(self.job.folder)

    def _catch_up(self) -> None:
        """Repeat what failed, and settle what finished without its driver."""
        self.ledger.repeat_failed()
        self.observer.restate()
        for proposal in self.ledger.open:
            outcome = judge(self.job.run_folder(proposal), {}, self.job.space.metric)
            if outcome.status == "FINISHED":
                self.observer.settle(proposal, outcome)


def _study_parameters(job: SweepJob) -> dict[str, Any]:
    varied = {*job.space.parameters} | ({"seed"} if len(job.space.seeds) > 1 else set())
    fixed = {name: value for name, value in job.config.parameters().items() if name not in varied}
    chosen = {"metric": job.space.metric, "sampler": job.space.sampler.name, "scheduler": job.space.scheduler.name}
    return fixed | chosen


def _study_metrics(job: SweepJob) -> dict[str, float]:
    try:
        return best(read_runs(job.folder), job.space).metrics
    except UserError:
        return {}
