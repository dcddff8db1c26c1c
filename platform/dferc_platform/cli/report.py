"""``dferc report`` and ``dferc sync``: make a study's report again, send its results to MLflow again."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dferc.errors import UserError
from dferc_platform.cli.options import EXPERIMENT

StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="Study folder, or its name under results/.")]


def report(study: StudyFolder) -> None:
    """Draw a study's figures and write its HTML report again, from what lies in its folder.

    Example: dferc report results/beta-sensitivity
    """
    from dferc_platform.report import write_report

    say(f"Report: {write_report(study_folder(study))}")


def sync(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Study or run folder whose results MLflow lacks.")],
) -> None:
    """Send a study or a run to MLflow, for instance after its server was away; sending twice changes nothing.

    Example: dferc --mlflow http://127.0.0.1:5000 sync results/beta-sensitivity
    """
    from dferc_platform.tracking import Tracker
    from dferc_platform.tracking import sync as send

    with Tracker(EXPERIMENT) as tracker:
        sent = send(study_folder(folder), tracker)
    if tracker.problem:
        raise UserError(tracker.problem)
    say(f"Sent {sent} runs to {tracker.uri}")


def study_folder(named: Path) -> Path:
    """The folder, given by its path or by its name under the results folder.

    Raises:
        UserError: there is neither.
    """
    from dferc_platform.results import results_folder

    for folder in (named, results_folder() / named):
        if folder.is_dir():
            return folder.resolve()
    raise UserError(f"there is no folder {named}, here or in {results_folder()}")


def say(line: str) -> None:
    """Print a line as it is: brackets are no markup, paths are not broken."""
    Console().print(line, markup=False, highlight=False, soft_wrap=True)
