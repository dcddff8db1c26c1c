"""What a job prints, as it prints it, over as many connections as that takes."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from dferc.errors import UserError
from dferc_platform.cluster import first_line
from dferc_platform.jobs.client import ENDED, connect, info, unknown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ray.job_submission import JobDetails

PATIENCE = 600.0
"""Seconds without an answer after which the cluster is given up; a head that restarts takes one or two minutes."""
QUIET = 60.0
"""Seconds without a word after which the connection is made anew, for it may be dead: a proxy does not say so."""
PAUSE = 2.0
"""Seconds between attempts to connect."""


class Client(Protocol):
    """What of Ray's client is needed."""

    def tail_job_logs(self, job_id: str) -> "AsyncGenerator[str, None]":
        """All that the job has printed and prints."""

    def get_job_info(self, job_id: str) -> "JobDetails":
        """All that is known of the job."""


def follow(job: str, address: str, lost: Callable[[str], None]) -> Iterator[str]:
    """What the job prints, piece by piece, until it ends; ``lost`` hears when the cluster does not answer.

    Raises:
        UserError: the cluster knows no such job, or does not answer any more.
    """
    info(job, address)
    yield from follow_by(connect(address), job, lost)


def follow_by(
    client: Client,
    job: str,
    lost: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[str]:
    """The same with a client at hand."""
    shown, heard, told = 0, now(), False
    while True:
        try:
            for piece in _pieces(client, job, shown):
                yield piece
                shown, heard, told = shown + len(piece), now(), False
            if str(client.get_job_info(job).status.value) in ENDED and not any(_pieces(client, job, shown)):
                return
            heard = now()
        except Exception as error:  # websockets, HTTP and Ray each have errors of their own for this
            if unknown(error):
                raise UserError(
                    f"the Ray cluster was restarted and has forgotten {job}: "
                    "submit the same command again, it goes on where it stopped"
                ) from None
            if now() - heard > PATIENCE:
                raise UserError(
                    f"the Ray cluster does not answer any more ({first_line(error)}); {job} may go on: "
                    f"`dferc job logs --follow {job}` follows it again"
                ) from None
            if not told:
                lost(f"the connection to the Ray cluster was lost ({first_line(error)}); connecting again")
                told = True
        sleep(PAUSE)


def _pieces(client: Client, job: str, skipped: int) -> Iterator[str]:
    """What one connection brings after so many characters, until it ends or falls silent."""
    pieces = client.tail_job_logs(job)

    async def another() -> str | None:
        return await asyncio.wait_for(anext(pieces, None), QUIET)

    with asyncio.Runner() as runner:
        try:
            while (piece := runner.run(another())) is not None:
                fresh = piece[skipped:]
                skipped -= len(piece) - len(fresh)
                if fresh:
                    yield fresh
        except TimeoutError:
            return
        finally:
            runner.run(pieces.aclose())
