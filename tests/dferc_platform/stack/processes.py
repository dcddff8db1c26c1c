"""The services as processes: PostgreSQL, an S3-compatible server, MLflow, Ray's head and workers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .compose import Compose

POSTGRESQL = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
SECONDS = 480
"""Longest wait for a server or a job on a busy machine."""
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("RAY_", "MLFLOW_", "AWS_", "DFERC_", "PG", "PYTHONPATH"))
}
"""What every container has: none of the settings of whoever runs the tests."""


class Processes:
    """Starts what the compose file describes, and ends it."""

    def __init__(self, place: Path, compose: Compose) -> None:
        self.place, self.compose = place, compose
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts: dict[str, Callable[[], None]] = {}

    def start(self, service: str, machine: str, *more: str, **extra: str) -> None:
        """Start a service on a machine; more options and variables are those of many containers on one host."""
        described = self.compose.service(service, machine)
        self._run(machine, [*described.command, *more], described.environment | extra)
        if self.compose.restarts(service):
            self._restarts[machine] = lambda: self.start(service, machine, *more, **extra)

    def start_database(self) -> None:
        """PostgreSQL's image: initialise as its variables say, then serve; as a user that is not root."""
        assert POSTGRESQL is not None
        described = self.compose.service("database", "database").environment
        folder = self.place / "database" / "data"
        owner: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        folder.mkdir(parents=True)
        if owner:
            shutil.chown(folder, owner["user"], owner["group"])
        user, port = described["POSTGRES_USER"], self.compose.ports["5432"]
        password = Path(described["POSTGRES_PASSWORD_FILE"])
        options = ["-U", user, f"--pwfile={password}", "--no-sync", *described["POSTGRES_INITDB_ARGS"].split()]
        readable(password)
        subprocess.run(
            [POSTGRESQL / "initdb", "-D", folder, *options], cwd="/", stdout=subprocess.DEVNULL, check=True, **owner
        )
        address = self.compose.addresses["database"]
        served = ["-D", str(folder), "-p", port, "-h", address, "-c", f"unix_socket_directories={folder}"]
        self._run("database", [str(POSTGRESQL / "postgres"), *served], {}, **owner)
        client = CLEAN | {"PGPASSWORD": password.read_text(encoding="ascii")}
        made = [POSTGRESQL / "createdb", "-h", address, "-p", port, "-U", user, described["POSTGRES_DB"]]
        self.wait("database", lambda: answers(address, port))
        subprocess.run(made, env=client, check=True)

    def start_store(self) -> None:
        """An S3-compatible server in place of the file's own, which is not to be had as a Python package."""
        address, port = self.compose.addresses["store"], self.compose.ports["7070"]
        (self.place / "store").mkdir()
        self._run("store", ["moto_server", "-H", address, "-p", port], {})
        self.wait("store", lambda: answers(address, port))

    def wait(self, machine: str, what: Callable[[], object]) -> None:
        """Wait for something of a service; where it ends before, it is started again once, if the file says so."""
        wait_until(lambda: self._ended(machine) or what(), lambda: self.output(machine))
        if self._ended(machine):
            assert machine in self._restarts, self.output(machine)
            self._restarts[machine]()  # Ray gives up after 30 s, on a busy machine too early
            wait_until(what, lambda: self.output(machine), self._running[machine])

    def _ended(self, machine: str) -> bool:
        return self._running[machine].poll() is not None

    def output(self, machine: str) -> str:
        """What a service has printed."""
        return (self.place / machine / "output").read_text(encoding="utf-8", errors="replace")

    def stop(self, machine: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End a service with all that it started."""
        process = self._running.pop(machine)
        process.send_signal(how)
        process.wait(timeout=60)

    def stop_all(self) -> None:
        """End everything, in the opposite order of starting."""
        for process in reversed(self._running.values()):
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()

    def _run(self, machine: str, command: list[str], environment: Mapping[str, str], **owner: Any) -> None:
        folder = self.place / machine
        path = f"{folder / 'bin'}:{Path(sys.executable).parent}:{CLEAN['PATH']}"
        own = {"PATH": path, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
        with (folder / "output").open("ab") as out:
            self._running[machine] = subprocess.Popen(
                command, env=CLEAN | own | environment, cwd="/" if owner else folder, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True, **owner,
            )  # fmt: skip


def wait_until(
    what: Callable[[], object], output: Callable[[], str], process: subprocess.Popen[bytes] | None = None
) -> None:
    """Wait for a condition, as long as the process that shall meet it lives."""
    deadline = time.monotonic() + SECONDS
    while not what():
        assert process is None or process.poll() is None, output()
        assert time.monotonic() < deadline, output()
        time.sleep(0.2)


def answers(address: str, port: str) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex((address, int(port))) == 0


def status_of(url: str, method: str = "GET", **headers: str) -> int:
    """The status of an answer over HTTP; 0 where there is none."""
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def readable(path: Path) -> None:
    """Let an unprivileged process reach a file, as Docker lets a container reach its secrets."""
    path.parent.chmod(0o755)
