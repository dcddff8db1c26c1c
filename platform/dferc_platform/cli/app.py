"""The root command: global options, the commands by group, and one place where errors become sentences."""

import os
from pathlib import Path
from typing import Annotated

import typer

from dferc_platform.cli import compare, data, jobs, predict, report, search, serve, study, submission, training
from dferc_platform.cli.errors import ExplainingGroup

HELP = """Train and compare models of emotion recognition in conversation: on this machine, or on a Ray cluster.

Start here:

    dferc train --epochs 3     train DF-ERC on the embedded synthetic corpus

    dferc study beta           how much does its margin beta matter?

    dferc sweep df_erc         search its hyperparameters

    dferc ui                   compare the runs in MLflow

Every command that works for long takes --dry-run. A command that was stopped goes on when it is given again.
"""

app = typer.Typer(
    name="dferc",
    cls=ExplainingGroup,
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
STUDIES, DATA, AFTERWARDS, CLUSTER = "Train and search", "Corpora", "Look at results", "Cluster"


@app.callback()
def settings(
    results: Annotated[
        str | None,
        typer.Option(help="Folder or URI of all studies; results/ by default, or DFERC_RESULTS.", metavar="PLACE"),
    ] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(help="MLflow store; RESULTS/mlflow.db by default, or MLFLOW_TRACKING_URI.", metavar="URI"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")] = False,
) -> None:
    """Global options go before the command: ``dferc --results /data/results train``."""
    from dferc_platform.cluster import in_job_package
    from dferc_platform.storage import is_uri

    if results is not None:
        os.environ["DFERC_RESULTS"] = results if is_uri(results) else str(Path(results).expanduser().resolve())
    elif "DFERC_RESULTS" not in os.environ and in_job_package():
        os.environ["DFERC_RESULTS"] = str(Path.home() / "dferc-results")  # this folder goes when the job ends
    if mlflow is not None:
        os.environ["MLFLOW_TRACKING_URI"] = mlflow


app.command("train", rich_help_panel=STUDIES)(training.train)
app.command("sweep", rich_help_panel=STUDIES)(search.sweep)
app.command("compare", rich_help_panel=STUDIES)(compare.compare)
app.add_typer(study.app, name="study", rich_help_panel=STUDIES)
app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.command("predict", rich_help_panel=AFTERWARDS)(predict.predict)
app.command("report", rich_help_panel=AFTERWARDS)(report.report)
app.command("sync", rich_help_panel=AFTERWARDS)(report.sync)
app.command("ui", rich_help_panel=AFTERWARDS)(serve.ui)
# What follows the first word that is no option of ours belongs to the command of the job.
app.command("submit", rich_help_panel=CLUSTER, context_settings={"allow_interspersed_args": False})(submission.submit)
app.add_typer(jobs.app, name="job", rich_help_panel=CLUSTER)


def main() -> None:
    """Run the command line."""
    app()
