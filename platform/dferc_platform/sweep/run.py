"""Running a sweep from its first trial to its last, or from where an earlier driver was stopped."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dferc.corpus import Corpus
from dferc.errors import UserError
from dferc_platform.cluster import connect
from dferc_platform.config import RunConfig
from dferc_platform.results import RunRow, read_runs, write_study
from dferc_platform.saved import SYNTHETIC, open_corpus
from dferc_platform.spaces import SearchSpace, check_space
from dferc_platform.sweep.best import best
from dferc_platform.sweep.job import SweepJob
from dferc_platform.sweep.ledger import Ledger, Proposal
from dferc_platform.sweep.lock import alone
from dferc_platform.sweep.outcome import judge
from dferc_platform.sweep.progress import ProgressCallback
from dferc_platform.sweep.resources import Resources, room
from dferc_platform.sweep.samplers import make_sampler
from dferc_platform.sweep.study import check_folder, describe_study
from dferc_platform.tracking import Tracker

ONE_CPU = Resources()

PROCESS_FAILURES = 2
"""Times that a trial whose process died (memory, a lost node) goes on elsewhere; its own errors are never repeated."""

TUNE_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay what they are
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the run folder has it all
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that reports its failure has no metric
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # seconds between snapshots of Tune's state, which nobody reads
    "RAY_AIR_NEW_OUTPUT": "0",  # no banner
}


def run_sweep(
    space: SearchSpace,
    base: RunConfig,
    folder: Path,
    tracker: Tracker,
    *,
    resume: bool = False,
    concurrency: int | None = None,
    resources: Resources = ONE_CPU,
    progress: ProgressCallback | None = None,
    kind: str = "sweep",
) -> list[RunRow]:
    """Run every trial of the space and return the runs of the study.

    Args:
        space: what varies, and how.
        base: what every trial has in common.
        folder: of the study; on a cluster, one that every node sees.
        tracker: where results are sent.
        resume: go on with the study in the folder. No finished trial runs again, unfinished ones go on at their last
            epoch, failed ones are tried once more unless they diverged, the sampler knows all that it knew. The budget
            may have changed.
        concurrency: trials at a time; by default that of the space, or as many as the cluster has room for.
        resources: what a trial takes.
        progress: hears of every trial that starts or ends.
        kind: of the study.

    Raises:
        UserError: the space does not fit, the folder must not be used, or no trial fits on the cluster.
        KeyboardInterrupt: the sweep was told to stop (SIGINT, SIGTERM) and has wound down; it can be resumed.
    """
    check_space(space, base)
    folder = Path(folder).resolve()
    config, corpus = _common(space, base)
    study = describe_study(folder, kind, space, config, corpus, tracker.experiment)
    check_folder(folder, study, resume)
    for name, value in TUNE_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with connect(), _terminable():
        at_once = concurrency or space.concurrency or room(resources)
        room(resources)
        with alone(folder, wait=False):
            write_study(folder, study)
            _conduct(SweepJob(space, config, study, folder, resources), tracker, at_once, progress)
    return read_runs(folder)


def _common(space: SearchSpace, base: RunConfig) -> tuple[RunConfig, Corpus]:
    """What all trials have in common, and their corpus, decoded so that every later opening is quick."""
    config = space.base(base)
    if config.corpus != SYNTHETIC:
        config = config.model_copy(update={"corpus": str(Path(config.corpus).expanduser().resolve())})
    corpus = open_corpus(config.corpus)
    _, _, label = space.metric.partition("validation/f1/")
    if label and label not in corpus.card.labels:
        raise UserError(f"metric = {space.metric!r}: the classes of the corpus are {', '.join(corpus.card.labels)}")
    return config, corpus


def _conduct(job: SweepJob, tracker: Tracker, concurrency: int, progress: ProgressCallback | None) -> None:
    """Track the study, run its trials, and leave nothing RUNNING however it ends."""
    from dferc_platform.sweep.observer import Observer

    ledger = Ledger(job.folder / "ledger.jsonl", make_sampler(job.space), job.space.budget, job.propose)
    parent = tracker.study(job.study, _study_parameters(job))
    observer = Observer(job, ledger, tracker, parent, progress)
    status = "FAILED"
    try:
        _catch_up(job, ledger, observer)
        if not _complete(job.space, ledger):  # starting Tune to do nothing takes seconds
            _tune(job, ledger, observer, concurrency)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        for proposal in ledger.open:
            observer.kill(proposal)
        tracker.reconcile(parent)
        tracker.finish_study(parent, status, job.folder, _study_metrics(job))


def _complete(space: SearchSpace, ledger: Ledger) -> bool:
    everything = space.is_grid and len(ledger.proposals) == len(space.points())
    return not ledger.open and (ledger.spent or everything)


def _catch_up(job: SweepJob, ledger: Ledger, observer: Any) -> None:
    """Say again what an earlier driver may have been killed before saying, and settle what finished without it."""
    ledger.repeat_failed()
    observer.restate()
    for proposal in ledger.open:
        outcome = judge(job.run_folder(proposal), {}, job.space.metric)
        if outcome.status == "FINISHED":
            observer.settle(proposal, outcome)


def _tune(job: SweepJob, ledger: Ledger, observer: Any, concurrency: int) -> None:
    """Run trials until there is nothing left to propose.

    Raises:
        KeyboardInterrupt: Tune was interrupted before; it winds down by itself and then returns as if nothing had been.
    """
    from ray import tune

    from dferc_platform.sweep.scheduler import make_scheduler
    from dferc_platform.sweep.searcher import LedgerSearcher
    from dferc_platform.sweep.trial import payload, run_trial

    def given(proposal: Proposal) -> dict[str, Any]:
        return payload(proposal, job.run_folder(proposal), job.space.metric, job.resources)

    searcher = LedgerSearcher(ledger, given)
    ended = [job.run_folder(ledger.proposals[number]) for number in ledger.outcomes]
    tune.Tuner(
        tune.with_resources(run_trial, job.resources.as_ray()),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=make_scheduler(job.space, job.config.training.epochs, ended),
            num_samples=-1,  # the ledger says when it is over
            max_concurrent_trials=concurrency,
            reuse_actors=True,  # 0.1 s a trial instead of 1 to 2
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S"),
            storage_path=str(job.folder / "tune"),
            callbacks=[observer],
            failure_config=tune.FailureConfig(max_failures=PROCESS_FAILURES),
            verbose=0,
        ),
    ).fit()
    if ledger.open or not searcher.exhausted:
        raise KeyboardInterrupt


def _name(trial: Any) -> str:
    return str(trial.config["key"])


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM winds down in order, as SIGINT does; only the main thread hears signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
