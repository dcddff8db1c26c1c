"""Sends what lies on disk to MLflow, after a server was absent or for a store that never had it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from dferc.errors import UserError
from dferc_platform.results import (
    RunRow,
    is_run,
    is_study,
    read_outcome,
    read_result,
    read_run,
    read_runs,
    read_study,
    run_name,
)
from dferc_platform.tracking.records import Ending
from dferc_platform.tracking.tracker import Tracker


def sync(folder: Path, tracker: Tracker) -> int:
    """Send a study or a run folder; twice is the same as once. The number of its runs that MLflow then has whole.

    Not for a study that still trains: a run that has neither result nor verdict is sent as KILLED.

    Raises:
        UserError: the folder is neither a study nor a run.
    """
    folder = Path(folder).resolve()
    if is_study(folder):
        return _send(folder, read_runs(folder), tracker)
    if not is_run(folder):
        raise UserError(f"{folder} is neither a study (it has no study.json) nor a run (it has no config.yaml)")
    home = folder.parent.parent
    return _send(home if is_study(home) else None, [read_run(folder)], tracker)


def _send(study_folder: Path | None, rows: list[RunRow], tracker: Tracker) -> int:
    study = read_study(study_folder) if study_folder else None
    described = asdict(study) if study else {}
    parent = tracker.study(study, study.space or {}) if study else None
    sent = []
    for row in rows:
        run = tracker.run(row.key, run_name(row.varied, row.key), row.parameters, _tags(row, described), parent)
        tracker.finish(run, row.status, row.folder)
        sent.append(run)
    if parent and study_folder:
        tracker.end(parent, _ending(study_folder))
    tracker.flush()
    return sum(tracker.is_sent(run) for run in sent)


def _ending(study_folder: Path) -> Ending:
    """What the driver wrote; for a driver that did not come to it, what its runs say."""
    outcome = read_outcome(study_folder)
    cut_off = any(row.status == "KILLED" for row in read_runs(study_folder))
    status = outcome.get("status") or ("KILLED" if cut_off else "FINISHED")
    return Ending(status, study_folder, outcome.get("metrics", {}))


def _tags(row: RunRow, study: dict[str, Any]) -> dict[str, str]:
    """Where the numbers come from: what the run says, else its settings, else its study."""
    known = {**study, **row.parameters, **read_result(row.folder)}
    names = ("model", "corpus", "fingerprint", "protocol", "code")
    return {name: str(known[name]) for name in names if name in known}
