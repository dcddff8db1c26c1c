"""A folder that the driver and this machine are to share, and may not."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

from dferc.errors import UserError

SECONDS = 30.0
"""Longest wait for what the driver wrote: a network disk may show it late."""


def require_visible(folder: Path, seen: Callable[[], bool]) -> None:
    """Refuse to work where the driver would not see it.

    Args:
        folder: what the driver made.
        seen: whether it is here.

    Raises:
        UserError: it is not.
    """
    until = time.monotonic() + SECONDS
    while not seen():
        if time.monotonic() >= until:
            raise UserError(
                f"{socket.gethostname()} does not see {folder} as the driver sees it: "
                "give --results a folder that all machines share, or a URI such as s3://BUCKET/PREFIX"
            )
        time.sleep(0.5)
