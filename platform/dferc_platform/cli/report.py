"""``dferc report`` and ``dferc sync``: make a study's report again, send its results to MLflow again."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dferc.errors import UserError
from dferc_platform.cli.options import EXPERIMENT

StudyFolder = Annotated[str, typer.Argument(metavar="STUDY", help="Study folder, or its name under results/.")]


def report(study: StudyFolder) -> None:
    """Draw a study's figures and write its HTML report again, from what lies in its folder.

    Example: dferc report results/beta-sensitivity
    """
    from dferc_platform.report import write_report

    say_report(write_report(study_folder(study)))


def sync(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Study or run folder whose results MLflow lacks.")],
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


def study_folder(named: str) -> Path:
    """The folder, given by its path or by its name under the results folder.

    Raises:
        UserError: there is neither.
    """
    from dferc_platform.results import results_folder
    from dferc_platform.storage import is_uri, pull, shown

    if is_uri(named):
        raise UserError(
            f"{named}: give the place of all results first, as in `dferc --results s3://lab/results report beta`"
        )
    results = results_folder()
    folder = (Path(named) if Path(named).is_dir() else results / named).resolve()
    pull(folder)
    if folder.is_dir():
        return folder
    raise UserError(f"there is no folder {named}, here or in {shown(results)}")


def say_report(page: Path) -> None:
    """Say where a report can be opened, and where it is kept if that is elsewhere."""
    from dferc_platform.storage import shown

    say(f"Report: {page}")
    if shown(page) != str(page):
        say(f"Kept at: {shown(page)}")


def say_where(words: str, folder: Path) -> None:
    """Say where something lies, by its URI where it has one."""
    from dferc_platform.storage import shown

    say(f"{words} {shown(folder)}")


def say(line: str) -> None:
    """Print a line as it is: brackets are no markup, paths are not broken."""
    Console().print(line, markup=False, highlight=False, soft_wrap=True)
