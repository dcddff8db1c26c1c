"""``dferc submit``: run a command on a Ray cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from dferc.errors import UserError
from dferc_platform.cli.errors import say_warning
from dferc_platform.cli.jobs import DASHBOARD, Address, show_job
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc_platform.jobs import JobRequest

STAY_HERE = ("submit", "job", "ui")
"""Commands that make no sense in a job."""
SHOWN = 5
"""Of the largest files that ship, and of those that stay for one reason."""


def submit(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The dferc command to run there.")],
    address: Address = DASHBOARD,
    working_dir: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to ship: configs and search spaces, and the sources where it is the repository."
        ),
    ] = Path(),
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Show what the job prints until it ends, or return at once.")
    ] = True,
    job: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Id of the job; as sweep-mosi-3f2a by default.")
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="Times that the command goes on after its process died; not after bad input.")
    ] = 2,
    cpus: Annotated[float, typer.Option(min=0, help="CPUs of the command itself; its trials take their own.")] = 0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of the command itself; its trials take their own.")] = 0,
    memory: Annotated[float, typer.Option(min=0, metavar="GB", help="Memory of the command itself.")] = 0,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Environment variable of the job, no secret; may be repeated."),
    ] = None,
    runtime_env: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML of Ray's runtime environment, for example with pip: ....")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be shipped, set and run; start nothing.")
    ] = False,
) -> None:
    """Run a dferc command as a job on a Ray cluster.

    Example: dferc submit --address http://head:8265 -- sweep df_erc --corpus /data/mosi.parquet

    Results in a bucket: dferc --results s3://lab/results submit -- compare --corpus s3://lab/mosi.parquet

    A look first: dferc submit --dry-run -- study beta --corpus /data/mosi.parquet

    Ctrl-C while following leaves the job alone. Results go where --results says, by default to the same absolute folder
    as here; folders and corpora must be seen by every node. With --cpus, --gpus or --memory the command runs on any
    node that has them free, otherwise on the head. Data and whatever may hold a secret do not ship; passwords and
    tokens belong on the nodes. dferc need not be installed there: when DIR is the repository, its sources are shipped.
    """
    from dferc_platform import jobs

    words = command[1:] if command[:1] == ["dferc"] else command
    if words:
        check_command(context.find_root().command, words)
    driver = jobs.Driver(cpus, gpus, int(memory * 1e9), retries)
    request = jobs.plan_job(
        words, working_dir, job=job, driver=driver, variables=read_variables(env or []), runtime_env=runtime_env
    )
    for name, why in request.stays.items():
        say_warning(f"{name} is not shipped ({why}): the nodes must have it at the same path, or give them a URI")
    if dry_run:
        say_request(request, address)
        return
    jobs.submit(request, address)
    say(f"Submitted {request.id} to {address}; results go to {request.results}")
    if follow:
        show_job(request.id, address)
    else:
        say(f"Follow it: dferc job logs --follow {request.id}   Stop it: dferc job stop {request.id}")


def check_command(root: Any, words: Sequence[str]) -> None:
    """Refuse here what dferc would refuse there: unknown commands and options, missing arguments.

    Raises:
        UserError: it is no command for a job.
    """
    command: Any = root
    parent, rest = None, list(words)
    while hasattr(command, "resolve_command"):
        parent = command.make_context(command.name, rest, parent=parent)
        name, command, rest = command.resolve_command(parent, [*parent._protected_args, *parent.args])
        if name in STAY_HERE:
            raise UserError(f"`dferc {name}` makes no sense in a job: give it here, without submit")
    command.make_context(command.name, rest, parent=parent)


def read_variables(pairs: Sequence[str]) -> dict[str, str]:
    """Environment variables of ``NAME=VALUE`` pairs.

    Raises:
        UserError: one of them is none.
    """
    split = {pair: pair.partition("=") for pair in pairs}
    for pair, (name, equals, _) in split.items():
        if not equals or not name.isidentifier():
            raise UserError(f"--env {pair}: write NAME=VALUE")
    return {name: value for name, _, value in split.values()}


def say_request(request: "JobRequest", address: str) -> None:
    """Say what would be submitted."""
    driver, package = request.driver, request.package
    place = "on any node with these free" if request.driver.noted() else "on the head"
    say(f"Would submit {request.id} to {address}")
    say(f"Command: {request.entrypoint}")
    say(f"Takes: {driver.cpus:g} CPUs, {driver.gpus:g} GPUs, {driver.memory / 1e9:g} GB of memory, {place}")
    say(f"Results: {request.results}")
    say("Environment:")
    for name, value in sorted(request.runtime_env["env_vars"].items()):
        say(f"  {name}={value}")
    for name, value in request.runtime_env.items():
        if name != "env_vars":
            say(f"Runtime environment: {name}: {value}")
    say(f"Ships {len(package.files)} files of {package.folder}, {decimal(package.size)}; the largest:")
    for name in sorted(package.files, key=package.files.__getitem__, reverse=True)[:SHOWN]:
        say(f"  {name}, {decimal(package.files[name])}")
    say("Leaves out:")
    for why in dict.fromkeys(package.left_out.values()):
        names = [name for name, reason in package.left_out.items() if reason == why]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        say(f"  {', '.join(names[:SHOWN])}{more}: {why}")
