"""``dferc submit`` and ``dferc job``: run a command on a Ray cluster, follow it, stop it."""

from pathlib import Path
from typing import Annotated

import typer

from dferc_platform.cli.report import say

app = typer.Typer(help="Jobs that were submitted to a Ray cluster: status, logs, stop.", no_args_is_help=True)

DASHBOARD = "http://127.0.0.1:8265"
Address = Annotated[
    str,
    typer.Option(
        envvar="RAY_DASHBOARD_ADDRESS", metavar="URL", help="Ray dashboard of the cluster, where its Jobs API answers."
    ),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id that `dferc submit` printed.")]


def submit(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The dferc command to run there.")],
    address: Address = DASHBOARD,
    working_dir: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to ship: configs and search spaces, and the sources where it is the repository."
        ),
    ] = Path(),
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="Return at once instead of showing what the job prints.")
    ] = False,
) -> None:
    """Run a dferc command as a job on a Ray cluster.

    Example: dferc submit --address http://head:8265 -- sweep df_erc --corpus /data/mosi.parquet

    Results go to the same absolute results folder as here: on several machines it must be shared, as must the corpus.
    dferc need not be installed there: when DIR is the repository, its sources are shipped.
    """
    from dferc_platform import jobs
    from dferc_platform.results import results_folder

    words = command[1:] if command[:1] == ["dferc"] else command
    request = jobs.plan_job(words, working_dir, results_folder())
    job = jobs.submit(request, address)
    say(f"Submitted {job} to {address}; results go to {results_folder()}")
    if no_follow:
        say(f"Follow it: dferc job logs --follow {job}   Stop it: dferc job stop {job}")
    else:
        _follow(job, address)


@app.command("status")
def status(job: JobId, address: Address = DASHBOARD) -> None:
    """Say how a job is: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.

    Example: dferc job status raysubmit_6vH1
    """
    from dferc_platform import jobs

    say(jobs.status(job, address))


@app.command("logs")
def logs(
    job: JobId,
    address: Address = DASHBOARD,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Show what a job has printed.

    Example: dferc job logs --follow raysubmit_6vH1
    """
    from dferc_platform import jobs

    if follow:
        _follow(job, address)
    else:
        typer.echo(jobs.logs(job, address), nl=False)


@app.command("stop")
def stop(job: JobId, address: Address = DASHBOARD) -> None:
    """Interrupt a job as Ctrl-C would: it saves, closes its runs in MLflow, and can be submitted again to go on.

    Example: dferc job stop raysubmit_6vH1
    """
    from dferc_platform import jobs

    jobs.stop(job, address)
    say(f"Asked {job} to stop; `dferc job status {job}` says when it has")


def _follow(job: str, address: str) -> None:
    """Show what the job prints until it ends; our exit code is 1 when it failed."""
    from dferc_platform import jobs

    try:
        for piece in jobs.follow(job, address):
            typer.echo(piece, nl=False)
    except KeyboardInterrupt:
        say(f"\nThe job goes on. Follow it: dferc job logs --follow {job}   Stop it: dferc job stop {job}")
        raise typer.Exit(130) from None
    ended = jobs.status(job, address)
    say(f"{job} {ended}")
    if ended != "SUCCEEDED":
        raise typer.Exit(1)
