"""What belongs together: the files of one run, and those of a study that its driver writes."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

RUNS = "runs"
DRIVERS = ("verdict.json",)
"""Files in a run folder that the driver writes, so that they belong to the study."""
NEVER = ("tune", "ray")
"""Folders of Ray's own state, which nobody reads after the command."""
LOCK, SYNC = ".lock", ".sync"


def belongs(name: str) -> bool:
    """Whether an object or a file, by its path from the results, is a result at all."""
    parts = PurePosixPath(name).parts
    return not any(part.startswith(".") or part in NEVER for part in parts)


def run_of(name: str) -> str | None:
    """The run folder to which a name belongs; None for what is the study's."""
    parts = PurePosixPath(name).parts
    for place in range(len(parts) - 2):
        if parts[place] == RUNS and "/".join(parts[place + 2 :]) not in DRIVERS:
            return "/".join(parts[: place + 2])
    return None


def files(folder: Path) -> Iterator[str]:
    """Every result below a folder, by its path from there."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if belongs(name) and path.is_file():
            yield name


def is_held(folder: Path) -> bool:
    """Whether a process on this machine is at work in the folder."""
    try:
        with (folder / LOCK).open("r+", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none, or the file system has no locks
        return False
    return False


@contextmanager
def syncing(folder: Path) -> Iterator[None]:
    """One process at a time compares a folder with its remote."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / SYNC).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks, of which ``sweep.lock`` warns
            yield
            return
        yield
