"""One process at a time works in a folder; the lock dies with its holder, however that dies."""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dferc.errors import UserError
from dferc_platform.storage import leased, pull

logger = logging.getLogger(__name__)


@contextmanager
def driving(folder: Path) -> Iterator[None]:
    """Be the only driver of the study in this folder, on all machines, and have the newest that there is of it.

    Raises:
        UserError: another driver has it.
        StoreAwayError: the folder is a working copy, and its store does not answer.
    """
    with alone(folder, wait=False), leased(folder):
        pull(folder, mine=True)
        yield


@contextmanager
def alone(folder: Path, wait: bool) -> Iterator[None]:
    """Hold the folder. With ``wait``, once its holder has ended: a killed driver's trials live on for some seconds.

    Raises:
        UserError: somebody holds it and ``wait`` is false.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            lock.seek(0)
            raise UserError(f"{folder} is in use by process {lock.read().strip()}: wait for it, or stop it") from None
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise
            logger.warning("the file system of %s has no locks: never run two sweeps in it at once", folder)
        with suppress(OSError):  # for people; on a full disk it is still locked
            os.ftruncate(lock.fileno(), 0)
            os.write(lock.fileno(), f"{os.getpid()} on {socket.gethostname()}\n".encode())
        yield
