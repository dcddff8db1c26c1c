"""How every study ends: its report is written, and the report and its numbers are sent to the study's run in MLflow."""

from collections.abc import Mapping
from pathlib import Path

from dferc_platform.report import write_report
from dferc_platform.results import read_outcome, read_study
from dferc_platform.tracking import Tracker


def conclude(folder: Path, tracker: Tracker, metrics: Mapping[str, float]) -> Path:
    """Write the report of a study whose runs have ended; send it, with these metrics beside those it has; its page.

    Raises:
        UserError: no run has finished.
    """
    page = write_report(folder)
    parent = tracker.study(read_study(folder), {})
    tracker.finish_study(parent, "FINISHED", folder, {**read_outcome(folder).get("metrics", {}), **metrics})
    return page
