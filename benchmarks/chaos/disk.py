"""A disk that can be filled."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.processes import wait_for


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path | None]:
    """A small file system; None where we may not mount one, and then no disk is filled."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No byte is free on a file system while the block runs, nor what was freed meanwhile."""
    filling, over = disk / "filling", threading.Event()

    def fill() -> None:
        with filling.open("ab", buffering=0) as file:
            while not over.is_set():
                try:
                    file.write(bytes(2**12))
                except OSError:
                    over.wait(0.01)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        wait_for(lambda: not free_bytes(disk), "a full disk")
        yield
    finally:
        over.set()
        thread.join()
        filling.unlink(missing_ok=True)


def free_bytes(path: Path) -> int:
    """Bytes that are free where a path lies."""
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize
