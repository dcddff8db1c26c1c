"""From the object store into the working copy: for whoever reads, and for the driver before it judges."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TypeVar

from dferc_platform.away import StoreAwayError
from dferc_platform.storage.copies import Copy, copy_of
from dferc_platform.storage.index import Index
from dferc_platform.storage.owner import owner
from dferc_platform.storage.remote import Remote, Stamp
from dferc_platform.storage.units import belongs, files, is_held, run_of, syncing

CHECKPOINTS = "last"
"""Folder of a run that only those need who go on with it."""
STUDY = "study.json"
TRIES = 5
"""Looks at a folder that changes while it is pulled."""
AT_ONCE = 8

Item = TypeVar("Item")


def pull(folder: Path, *, mine: bool = False, runs: bool = True) -> None:
    """Make a study, a run or whatever lies in a folder what the object store has of it, but for the checkpoints.

    What a process on this machine is writing is left alone, for that is newer; so is what nobody else has written
    since this copy did.

    Args:
        folder: in a working copy; any other is left as it is.
        mine: the folder is held by this process itself.
        runs: with the runs in it.

    Raises:
        StoreAwayError, UserError: the store cannot be read.
    """
    copy = copy_of(folder)
    if copy is None:
        return
    for left in reversed(range(TRIES)):
        try:
            _pull(copy, copy.name(folder), mine, runs)
        except FileNotFoundError:  # replaced since it was listed
            if not left:
                raise
        else:
            return


def take(remote: Remote, index: Index, stamps: Mapping[str, Stamp], here: Iterable[str], checkpoints: bool) -> None:
    """Make the files ``here`` what the store has: what differs is downloaded, what it lacks is deleted."""
    index.whole = False
    index.save()
    wanted = {name: stamp for name, stamp in stamps.items() if checkpoints or not _is_checkpoint(name)}
    differ = [name for name, stamp in wanted.items() if not index.is_as_pulled(name, stamp)]

    def get(name: str) -> None:
        remote.download(name, index.folder / name, wanted[name])
        index.pulled(name, wanted[name])

    together(get, differ)
    for name in here:
        if name not in wanted and not (name in stamps and index.is_as_pulled(name, stamps[name])):
            _remove(index.folder, name)
    index.entries = {name: entry for name, entry in index.entries.items() if (index.folder / name).is_file()}
    index.save()


def together(action: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do it to all, several at a time; the first error is raised when all have ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(action, item) for item in items]:
            done.result()


def newest_text(file: Path) -> str:
    """The text of a run's file while the run goes on, maybe elsewhere; empty where there is none."""
    copy = copy_of(file)
    if copy is not None and not is_held(file.parent):
        try:
            return (copy.remote.read(copy.name(file)) or b"").decode()
        except StoreAwayError:
            return ""
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _pull(copy: Copy, base: str, mine: bool, runs: bool) -> None:
    listed = {name: stamp for name, stamp in copy.remote.list(base).items() if belongs(name)}
    if not listed:
        copy.remote.require_bucket()  # which would also list nothing
    here = [f"{base}/{name}" if base else name for name in files(copy.root / base)]
    studies = {str(PurePosixPath(name).parent) for name in (*listed, *here) if PurePosixPath(name).name == STUDY}
    whole = run_of(f"{base}/-")
    units: dict[str, tuple[dict[str, Stamp], list[str]]] = {}
    for name in dict.fromkeys((*listed, *here)):
        unit = run_of(name) or (None if whole else _study_of(name, studies, base))
        if unit is None or (run_of(name) and not runs):
            continue
        remote, local = units.setdefault(unit, ({}, []))
        inside = str(PurePosixPath(name).relative_to(unit))
        if name in listed:
            remote[inside] = listed[name]
        if name in here:
            local.append(inside)
    together(lambda unit: _pull_unit(copy, unit, *units[unit], mine=mine and unit == base), units)


def _pull_unit(copy: Copy, unit: str, stamps: Mapping[str, Stamp], here: list[str], *, mine: bool) -> None:
    folder, remote = copy.root / unit, copy.remote.at(unit)
    if is_held(folder) and not mine:
        return
    with syncing(folder):
        index = Index.read(folder)
        if not (index.whole and owner(remote).copy == copy.id):
            take(remote, index, stamps, here, checkpoints=False)


def _study_of(name: str, studies: set[str], base: str) -> str:
    """The folder of the study that a file belongs to."""
    return next((str(folder) for folder in PurePosixPath(name).parents if str(folder) in studies), base)


def _remove(folder: Path, name: str) -> None:
    """Remove a file and the folders that it leaves empty: an empty one would count as a checkpoint."""
    path = folder / name
    path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty
        for parent in path.parents:
            if parent == folder:
                break
            parent.rmdir()


def _is_checkpoint(name: str) -> bool:
    return name.partition("/")[0] == CHECKPOINTS
