"""Processes that can be found again, with all that they start, wherever those go: by a mark that they inherit."""

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SOURCES = f"{ROOT / 'model'}:{ROOT / 'platform'}"
"""PYTHONPATH of whatever trains, so that it is this checkout."""
MARK = "CHAOS_MARK"
"""Environment variable."""
CLEARED = ("RAY_", "MLFLOW_", "DFERC_", "PYTHONPATH")
"""Settings of whoever runs us, which would change what is tried."""
SECONDS = 120.0
"""Longest wait for anything to come or go, on a busy machine."""


class Marked:
    """A command that runs in a session of its own, and everything that descends from it."""

    def __init__(self, words: Sequence[str], log: Path, environment: dict[str, str], cwd: Path | None = None) -> None:
        self.words, self.log, self.cwd = list(words), log, cwd
        self.mark = uuid.uuid4().hex
        self.environment = environment | {MARK: self.mark}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Marked":
        """Start it; what it says is added to the log."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.words,
                env=self.environment,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    @property
    def running(self) -> bool:
        """Whether the command itself runs."""
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds: float) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def family(self) -> list[psutil.Process]:
        """The command and all that descends from it."""
        return marked(self.mark)

    def said(self) -> str:
        """The whole log."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""

    def kill(self) -> None:
        """SIGKILL to the whole family, until none is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()  # before psutil reaps it, which would make its exit code 0
        until = time.monotonic() + SECONDS
        while family := self.family():
            for member in family:
                send(member, signal.SIGKILL)
            psutil.wait_procs(family, timeout=0.2)
            if time.monotonic() > until:
                raise TimeoutError(f"processes {[member.pid for member in family]} do not end")


def marked(mark: str) -> list[psutil.Process]:
    """Living processes with this mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):  # it has just ended, or is not ours
            continue
    return found


def send(process: psutil.Process, number: signal.Signals) -> bool:
    """Send a signal; whether the process was still there."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings that would change what is tried."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)}
    return kept | {"OMP_NUM_THREADS": "1"} | more


def free_ports(count: int) -> list[int]:
    """Ports outside the range that Ray gives to its workers."""
    found: list[int] = []
    for port in range(20000 + os.getpid() % 10000, 65535):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free port")


def wait_for(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Return once the condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.05)
