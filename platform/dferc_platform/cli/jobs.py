"""``dferc job``: the jobs of a Ray cluster, listed, explained, followed, stopped."""

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dferc_platform.cli.durations import duration
from dferc_platform.cli.errors import INTERRUPTED, UNEXPECTED, say_warning
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

app = typer.Typer(help="Jobs that were submitted to a Ray cluster: list, status, logs, stop.", no_args_is_help=True)

LOG_WIDTH = 200
"""Characters of a table that no terminal limits."""
DASHBOARD = "http://127.0.0.1:8265"
Address = Annotated[
    str,
    typer.Option(
        envvar="RAY_DASHBOARD_ADDRESS", metavar="URL", help="Ray dashboard of the cluster, where its Jobs API answers."
    ),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id that `dferc submit` printed.")]


@app.command("list")
def list_jobs(address: Address = DASHBOARD) -> None:
    """Show all jobs that the cluster remembers, the newest first.

    Example: dferc job list --address http://head:8265
    """
    from dferc_platform import jobs

    found = jobs.listed(address)
    if not found:
        say(f"The Ray cluster at {address} has had no job since it was started")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("job", "status", "started", "duration", "command"):
        table.add_column(title, no_wrap=title != "command", overflow="fold")
    for job in found:
        table.add_row(*map(Text, _row(job)))
    Console(width=None if Console().is_terminal else LOG_WIDTH).print(table)


@app.command("status")
def status(job: JobId, address: Address = DASHBOARD) -> None:
    """Say how a job is: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED; why it waits or failed.

    Example: dferc job status sweep-mosi-3f2a
    """
    from dferc_platform import jobs

    word, sentences = jobs.state(job, address)
    say(word)
    for sentence in sentences:
        say(sentence)


@app.command("logs")
def logs(
    job: JobId,
    address: Address = DASHBOARD,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Show what a job has printed.

    Example: dferc job logs --follow sweep-mosi-3f2a

    Ctrl-C while following leaves the job alone.
    """
    from dferc_platform import jobs

    if follow:
        show_job(job, address)
    else:
        typer.echo(jobs.logs(job, address), nl=False)


@app.command("stop")
def stop(
    job: JobId,
    address: Address = DASHBOARD,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it has ended; it has 30 s to wind down.")] = False,
) -> None:
    """Interrupt a job as Ctrl-C would: it saves, closes its runs in MLflow, and can be submitted again to go on.

    Example: dferc job stop --wait sweep-mosi-3f2a
    """
    from dferc_platform import jobs

    before = jobs.stop(job, address)
    if before in jobs.ENDED:
        say(f"{job} had ended already: {before}")
    elif before == "PENDING":
        say(f"{job} is PENDING and holds nothing; Ray stops it as soon as it starts")
    elif wait:
        say(f"{job} {jobs.wait_for_end(job, address)}")
    else:
        say(f"Asked {job} to stop; `dferc job status {job}` says when it has")


@app.command("remove")
def remove(job: JobId, address: Address = DASHBOARD) -> None:
    """Make the cluster forget a job that has ended; its results stay.

    Example: dferc job remove sweep-mosi-3f2a
    """
    from dferc_platform import jobs

    jobs.remove(job, address)
    say(f"The cluster has forgotten {job}")


def show_job(job: str, address: str) -> None:
    """Show what the job prints until it ends; our exit code is that of its command, 130 when it was stopped."""
    from dferc_platform import jobs

    try:
        jobs.wait_for_start(job, address, say_warning)
        for piece in jobs.follow(job, address, say_warning):
            typer.echo(piece, nl=False)
    except KeyboardInterrupt:
        say(f"\nThe job goes on. Follow it: dferc job logs --follow {job}   Stop it: dferc job stop {job}")
        raise typer.Exit(INTERRUPTED) from None
    ended = jobs.info(job, address)
    say(f"{job} {ended.status.value}")
    if ended.status.value == "SUCCEEDED":
        _say_results(ended)
    elif ended.status.value == "STOPPED":
        raise typer.Exit(INTERRUPTED)
    else:
        if ended.driver_exit_code is None:
            say(jobs.explain(ended)[0])
        raise typer.Exit(ended.driver_exit_code or UNEXPECTED)


def _say_results(job: "JobDetails") -> None:
    """Say where the results of a job of ours are, and how to see them."""
    noted = job.metadata or {}
    if "results" in noted:
        study = noted.get("study", "STUDY")
        say(f"Results: {noted['results']}   Its report: dferc --results {noted['results']} report {study}")


def _row(job: "JobDetails") -> tuple[str, ...]:
    started = (job.start_time or 0) / 1000
    ended = (job.end_time or time.time() * 1000) / 1000
    command = (job.metadata or {}).get("command", job.entrypoint)
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(started))
    return str(job.submission_id), str(job.status.value), at, duration(ended - started), command
