"""Notices that the head of the Ray cluster is gone, and ends the process in order.

Ray does not: a call that needs the head blocks for a minute and then ends the process without a word, or, when another
head has come up in its place, aborts it with a stack trace. Both leave runs RUNNING in MLflow. So a thread holds a line
to the head, which breaks at once when the head dies.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

REFUSED_SECONDS = 1.5
"""A head whose machine answers that nobody listens there is given up after so long: a new one would be another."""
SILENT_SECONDS = 30.0
"""The same where nothing answers at all, for a network may come back."""
PAUSE = 0.25
LOST = 1
"""Exit code; the same command may be given again."""

_at_loss: list[Callable[[], None]] = []


@contextmanager
def at_loss(action: Callable[[], None]) -> Iterator[None]:
    """Have this done before the process ends, while the block runs. It must not need Ray, nor the main thread."""
    _at_loss.append(action)
    try:
        yield
    finally:
        _at_loss.remove(action)


@contextmanager
def lifeline(address: str) -> Iterator[None]:
    """End the process if the head at HOST:PORT is lost while the block runs.

    Where Ray keeps its state in Redis (RAY_REDIS_ADDRESS), a head that comes back is the same, and Ray waits for it.
    """
    if os.environ.get("RAY_REDIS_ADDRESS"):
        yield
        return
    over = threading.Event()
    host, _, port = address.rpartition(":")

    def watch() -> None:
        import ray

        if await_loss(host, int(port), over) and ray.is_initialized():
            _end(address)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def await_loss(host: str, port: int, over: threading.Event) -> bool:
    """Return once nobody listens there any more (True) or it is over."""
    missed = time.monotonic()
    while not over.is_set():
        try:
            with socket.create_connection((host, port), timeout=5) as line:
                _hold(line, over)
            missed = time.monotonic()  # the head closes lines that say nothing, every other minute
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            if time.monotonic() - missed > (REFUSED_SECONDS if refused else SILENT_SECONDS):
                return not over.is_set()
        over.wait(PAUSE)
    return False


def _hold(line: socket.socket, over: threading.Event) -> None:
    """Return when the line is broken."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a machine that loses its power does not hang up
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    line.settimeout(PAUSE)
    while not over.is_set():
        try:
            if not line.recv(1024):
                return
        except TimeoutError:
            continue
        except OSError:
            return


def _end(address: str) -> None:
    for action in reversed(_at_loss):
        with suppress(Exception):  # the sentence comes in any case
            action()
    print(  # the main thread, which would print it, may be inside Ray and never come back
        f"the head of the Ray cluster at {address} is gone; what is finished is kept: "
        "when the cluster runs again, the same command goes on from there",
        file=sys.stderr,
        flush=True,
    )
    os._exit(LOST)
