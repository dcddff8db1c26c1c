"""Running sweeps from their first trial to their last, or from where an earlier driver was stopped."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dferc_platform.capacity import grows
from dferc_platform.cluster import connect
from dferc_platform.config import RunConfig
from dferc_platform.lifeline import at_loss
from dferc_platform.results import RunRow, Status, read_runs
from dferc_platform.spaces import SearchSpace
from dferc_platform.sweep.job import SweepJob, plan_job
from dferc_platform.sweep.live import LiveSweep
from dferc_platform.sweep.progress import ProgressCallback
from dferc_platform.sweep.relay import Line, Relay
from dferc_platform.sweep.resources import ONE_CPU, Admission, Resources, room
from dferc_platform.tracking import Tracker
from dferc_platform.waiting import explained

PROCESS_FAILURES = 2
"""Times in a row, without an epoch between them, that a trial goes on elsewhere when its process has died (memory, a
lost node); its own errors are never repeated."""

TUNE_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay what they are
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the run folder has it all
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that reports its failure has no metric
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",  # how many wait for resources, the searcher decides
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a traceback of Ray's where one sentence of ours will do
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
        concurrency: trials at a time; by default that of the space, or as many as the cluster has room for at the
            moment: nodes that join are used, and where nodes are started when work waits for them, they are.
        resources: what a trial takes.
        progress: hears of every trial that starts or ends.
        kind: of the study.

    Raises:
        UserError: the space does not fit, the folder must not be used, or no trial fits on the cluster.
        KeyboardInterrupt: the sweep was told to stop (SIGINT, SIGTERM) and has wound down; it can be resumed.
    """
    job = plan_job(
        space, base, folder, tracker.experiment, resume=resume, resources=resources, progress=progress, kind=kind
    )

    def line() -> Line:
        yield job

    run_lines([line()], job.folder, tracker, concurrency=concurrency or space.concurrency, asked=[resources])
    return read_runs(job.folder)


def run_lines(
    lines: Iterable[Line],
    folder: Path,
    tracker: Tracker,
    *,
    concurrency: int | None = None,
    asked: Iterable[Resources] = (),
) -> None:
    """Run lines of sweeps side by side, all on the same workers.

    Args:
        lines: the sweeps of each line follow each other.
        folder: takes what Ray Tune leaves behind.
        tracker: where results are sent.
        concurrency: trials at a time, of all sweeps together; by default as many as the cluster has room for, of one
            sweep as many as its space says.
        asked: what trials of these lines will take, so that what can never run is refused before anything begins.

    Raises:
        UserError: no trial fits on the cluster; what is raised in a line and not caught there.
        KeyboardInterrupt: it was told to stop (SIGINT, SIGTERM) and has wound down; it can be resumed.
    """
    for name, value in TUNE_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with connect(), _terminable(), explained("trial"):
        for resources in asked:
            room(resources)

        def opened(job: SweepJob) -> LiveSweep:
            return LiveSweep(job, tracker, concurrency or job.space.concurrency)

        relay = Relay(lines, opened)

        def lost() -> None:
            relay.end("KILLED")
            tracker.close()

        status: Status = "FAILED"
        try:
            with at_loss(lost):
                _conduct(relay, folder.resolve() / "tune", Admission(concurrency, grows()))
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            relay.end(status)


def _conduct(relay: Relay, storage: Path, admission: Admission) -> None:
    """Run trials until there is nothing left to propose.

    Raises:
        UserError, OSError: no trial can end well any more, or its end cannot be written down.
        KeyboardInterrupt: Tune was interrupted before; it winds down by itself and then returns as if nothing had been.
    """
    first = relay.next()
    if first is None:  # all has been done before, and starting Tune to do nothing takes seconds
        return
    from ray import tune

    from dferc_platform.sweep.searcher import EndOfAll, Herald, OwnScheduler, RelaySearcher
    from dferc_platform.sweep.trial import bundle, run_trial

    # What Tune would keep of its own state nobody reads, so nobody need hear that a full disk did not take it.
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)
    herald = Herald(relay)
    tune.Tuner(
        tune.with_resources(run_trial, bundle),
        tune_config=tune.TuneConfig(
            search_alg=RelaySearcher(relay, first, admission),
            scheduler=OwnScheduler(relay),
            num_samples=-1,  # the relay says when it is over
            reuse_actors=True,  # 0.1 s a trial instead of 1 to 2; among those that take the same
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S"),
            storage_path=str(storage),
            callbacks=[herald],
            stop=EndOfAll(herald),
            failure_config=tune.FailureConfig(max_failures=PROCESS_FAILURES),
            verbose=0,
        ),
    ).fit()
    if herald.failure is not None:
        raise herald.failure
    if not relay.over:
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
