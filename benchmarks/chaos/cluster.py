"""A Ray cluster of several nodes on one machine: each node has its own address, folders, caches and processes."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import psutil

from chaos.processes import SECONDS, SOURCES, Marked, clean_environment, free_ports, wait_for

QUICK = {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "4000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "15",
}
"""How soon Ray notices that a node or the head is gone; its defaults, 15 and 60 seconds, would only make us wait."""
STARTED = "Ray runtime started"
ATTEMPTS = 3
"""Times that a node that does not come up is started again."""
STORE = 100_000_000
"""Bytes of a node's object store."""


class Node:
    """A head or a worker node: ``ray start --block`` and all that it starts."""

    def __init__(self, folder: Path, name: str, ip: str, options: dict[str, object]) -> None:
        self.name, self.ip = name, ip
        self._folder = folder / name
        self._folder.mkdir()
        self._started_before, self._attempts = 0, 0
        options = {"--node-ip-address": ip, "--object-store-memory": STORE} | options
        options["--temp-dir"] = self._folder
        words = [str(word) for pair in options.items() for word in pair]
        head = ["--head"] if "--port" in options else []
        self._process = Marked(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *head, "--block", "--disable-usage-stats", *words],
            folder / f"{name}.log",
            clean_environment(
                **QUICK, HOME=str(self._folder), DFERC_CACHE=str(self._folder / "cache"), PYTHONPATH=SOURCES
            ),
        )

    def start(self) -> None:
        """Start it; ``wait`` returns once it serves."""
        self._started_before, self._attempts = self._process.said().count(STARTED), ATTEMPTS
        self._process.start()

    def wait(self) -> None:
        """Return once it serves."""
        wait_for(self._serves, f"the node {self.name}", (ATTEMPTS + 1) * SECONDS)

    def kill(self) -> None:
        """SIGKILL to each of its processes, as when the power fails."""
        self._process.kill()
        for leftover in self._folder.glob("session_*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _serves(self) -> bool:
        if not self._process.running:  # on a busy machine Ray gives up after a while
            if not self._attempts:
                raise RuntimeError(f"ray start ended: {self._process.said()[-1000:]}")
            self._attempts -= 1
            self.kill()
            self._process.start()
        return self._process.said().count(STARTED) > self._started_before

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._process.running

    @property
    def workers(self) -> list[int]:
        """Ids of the processes in which trials run."""
        return [process.pid for process in self._process.family() if _is_actor(process)]


class Cluster:
    """A head, on which no trial runs, and worker nodes; a context that ends them all."""

    def __init__(self, cpus: Sequence[int] = (1, 1), head_cpus: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: socket paths have at most 107 characters
        gcs, dashboard, client, *agents = free_ports(4 + len(cpus))
        self.address = f"127.0.0.1:{gcs}"
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        options: dict[str, object] = {
            "--port": gcs,
            "--dashboard-host": "127.0.0.1",
            "--dashboard-port": dashboard,
            "--ray-client-server-port": client,
            "--dashboard-agent-listen-port": agents[0],
            "--num-cpus": head_cpus,
        }
        self.head = Node(self.folder, "head", "127.0.0.1", options)
        self.nodes = [
            Node(
                self.folder,
                f"node{i}",
                f"127.0.0.{i + 1}",
                {"--address": self.address, "--num-cpus": count, "--dashboard-agent-listen-port": agents[i]},
            )
            for i, count in enumerate(cpus, 1)
        ]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start what does not run."""
        for group in ([self.head], self.nodes):
            absent = [node for node in group if not node.running]
            for node in absent:
                node.start()
            for node in absent:
                node.wait()

    def kill(self) -> None:
        """SIGKILL to every node: worker nodes of a head that is gone would end by themselves, a while later."""
        for node in (self.head, *self.nodes):
            node.kill()

    def stop(self) -> None:
        """End all of it."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_actor(process: psutil.Process) -> bool:
    """Whether it is the worker process of an actor; Ray names it after the actor's class."""
    try:
        return any(word.startswith("ray::") for word in process.cmdline()[:1])
    except psutil.Error:
        return False
