"""One driver at a time has a study in an object store: a lease that its holder renews, and that runs out with it.

A lock dies with its holder; an object does not, so the holder puts it again every few seconds. Ages are told by the
store's clock alone, for those of two machines may differ. Stores that we can use have no "put if absent", so two that
start in the same instant both believe that they have it; each write of a driver looks first, and one of them stops.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dferc.errors import UserError
from dferc_platform.away import StoreAwayError
from dferc_platform.storage.copies import copy_of, shown
from dferc_platform.storage.remote import Remote

logger = logging.getLogger(__name__)

FILE = ".lease.json"
RENEW, STALE = 10.0, 60.0
"""Seconds: how often a holder renews, and after how long without it is taken for dead."""
LOOK = 1.0


@dataclass(frozen=True)
class Holder:
    """Who has a study."""

    id: str
    host: str
    process: int
    machine: str
    """Boot and process namespace: where these are ours, the process number means something to us."""
    renewed: int = 0

    def has_died(self) -> bool:
        """Whether it was a process of this machine that is no more; False where we cannot know."""
        return self.machine == _machine() and not Path(f"/proc/{self.process}").exists()

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class Lease:
    """The lease of one study."""

    def __init__(self, study: Remote, name: str) -> None:
        self._study, self._name = study, name
        self._me = Holder(uuid.uuid4().hex, socket.gethostname(), os.getpid(), _machine())
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    def take(self) -> None:
        """Have the study, after a holder that seems dead has had time to show that it is not.

        Raises:
            UserError: somebody has it.
        """
        first = found = self._read()
        while found is not None and not found.has_died() and self._age() <= STALE:
            if first is not None and (found.id, found.renewed) != (first.id, first.renewed):
                raise UserError(f"{self._name} is in use by {found}: wait for it, or stop it")
            if found is first:
                logger.warning(
                    "%s was in use by %s: it is taken over unless that is heard of in %g s", self._name, found, STALE
                )
            time.sleep(LOOK)
            found = self._read()
        self._write()
        self._renewer.start()

    def require(self) -> None:
        """Refuse to write where somebody else has the study now.

        Raises:
            UserError: somebody has.
        """
        found = self._read()
        if found is not None and found.id != self._me.id:
            raise UserError(f"{self._name} was taken over by {found}: this driver stops")

    def release(self) -> None:
        """Let others have it."""
        self._ended.set()
        self._renewer.join()
        with suppress(StoreAwayError, UserError):
            found = self._read()
            if found is not None and found.id == self._me.id:
                self._study.delete(FILE)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW):
            with suppress(StoreAwayError, UserError):
                found = self._read()
                if found is not None and found.id != self._me.id:
                    return
                self._me = replace(self._me, renewed=self._me.renewed + 1)
                self._write()

    def _age(self) -> float:
        """Seconds since the lease was put, by the clock of the store."""
        probe = f"{FILE}.{self._me.id}"
        self._study.write(probe, b"what time is it?")
        now, then = self._study.stamp(probe), self._study.stamp(FILE)
        self._study.delete(probe)
        return (now.mtime_ns - then.mtime_ns) / 1e9 if now and then else STALE + 1

    def _read(self) -> Holder | None:
        content = self._study.read(FILE)
        try:
            return Holder(**json.loads(content)) if content else None
        except (ValueError, TypeError):
            return None

    def _write(self) -> None:
        self._study.write(FILE, json.dumps(asdict(self._me)).encode())


@contextmanager
def leased(folder: Path) -> Iterator[None]:
    """Be the only driver of the study in this folder; nothing for an ordinary folder.

    Raises:
        UserError: another one has it.
        StoreAwayError: the store does not answer.
    """
    copy = copy_of(folder)
    if copy is None:
        yield
        return
    lease = Lease(copy.remote.at(copy.name(folder)), shown(folder))
    lease.take()
    _HELD[folder] = lease
    try:
        yield
    finally:
        del _HELD[folder]
        lease.release()


def require_held(path: Path) -> None:
    """Refuse to write into a study that this process held and that somebody else has now.

    Raises:
        UserError: somebody has.
    """
    for folder in path.parents:
        if folder in _HELD:
            _HELD[folder].require()


_HELD: dict[Path, Lease] = {}


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    with suppress(OSError):
        return f"{boot.read_text(encoding='ascii').strip()} {Path('/proc/self/ns/pid').readlink()}"
    return uuid.uuid4().hex
