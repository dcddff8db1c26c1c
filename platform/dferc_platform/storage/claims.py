"""From the working copy of a run into the object store: by the one that trains it, after every epoch.

An object is put whole or not at all, but a checkpoint is several, so they go in an order: first what is large, then
what speaks of it, result.json last of all; what was dropped here goes there once its successor is there. At any moment
the store holds a run that can be gone on with, and a checkpoint without its sha256.json is none.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from dferc.errors import UserError
from dferc_platform.away import StoreAwayError
from dferc_platform.storage.copies import Copy, copy_of, shown
from dferc_platform.storage.index import Entry, Index, digest_of, stamp_of
from dferc_platform.storage.owner import owner, sign
from dferc_platform.storage.pulling import CHECKPOINTS, take, together
from dferc_platform.storage.remote import Remote, Stamp
from dferc_platform.storage.units import DRIVERS, belongs, files, syncing

logger = logging.getLogger(__name__)

SEAL = "sha256.json"
"""Of a checkpoint: the digests of its other files. Where it is missing, the checkpoint is not whole."""
TURN = {"model.json": 1, SEAL: 2, "history.jsonl": 3, "error.txt": 3, "result.json": 4}
"""When a file is put; all others come first."""


class Claim:
    """A run that this machine trains; for an ordinary folder it does nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._copy = folder, copy_of(folder)
        self._warned = False

    def epoch_is_done(self) -> None:
        """Put what is new. Where the store is away, the epoch stays here until a later push; that is said once."""
        try:
            self.push()
        except StoreAwayError as error:
            if not self._warned:
                logger.warning("epochs stay on this machine until a later one can be stored: %s", error)
            self._warned = True
        else:
            self._warned = False

    def push(self) -> None:
        """Put what is new.

        Raises:
            StoreAwayError: the store does not answer.
            UserError: another machine has taken the run over, or the store refuses.
        """
        if self._copy is not None:
            with syncing(self._folder):
                self._push(self._copy)

    def take_over(self) -> None:
        """Make the run ours, and what lies here the newest that there is of it."""
        if self._copy is None:
            return
        with syncing(self._folder):
            index, run = Index.read(self._folder), self._run(self._copy)
            ours = index.whole and owner(run).copy == self._copy.id
            if not ours:
                index.whole = False  # before it is said that we have it: else a pull cut short would be believed
                index.save()
            sign(run, self._copy.id)
            stamps = {name: stamp for name, stamp in run.list().items() if _is_of_run(name)}
            if not ours:
                take(run, index, _without_halves(stamps), self._here(), checkpoints=True)
            for name in stamps:  # what a push that was cut short left there is to go, or to be put again
                index.entries.setdefault(name, Entry())
            index.whole = True
            index.save()

    def _push(self, copy: Copy) -> None:
        index, run, here = Index.read(self._folder), self._run(copy), self._here()
        self._require_ours(copy)
        changed = {name for name in here if not index.is_as_pushed(name)}
        for seal in _seals_of(changed):
            if seal in index.entries:  # it speaks of what is there until now
                run.delete(seal)
                changed.add(seal)
        for turn, names in sorted(_by_turn(changed & set(here)).items()):
            if turn:
                self._require_ours(copy)
            together(lambda name: self._put(run, index, name), names)
        for gone in _checkpoints_first(set(index.entries) - set(here)):
            _delete(run, gone)
        index.entries = {name: index.entries[name] for name in here}
        index.save()

    def _put(self, run: Remote, index: Index, name: str) -> None:
        entry = Entry(stamp_of(self._folder / name), digest_of(self._folder / name))
        run.upload(self._folder / name, name)
        index.entries[name] = entry

    def _require_ours(self, copy: Copy) -> None:
        now = owner(self._run(copy))
        if now.copy != copy.id:
            raise UserError(f"{shown(self._folder)} is trained on {now.host or 'no machine'} now: it ends here")

    def _run(self, copy: Copy) -> Remote:
        return copy.remote.at(copy.name(self._folder))

    def _here(self) -> list[str]:
        """The files of the run that there are."""
        return [name for name in files(self._folder) if _is_of_run(name) and (self._folder / name).stat().st_size]


@contextmanager
def claimed(folder: Path) -> Iterator[Claim]:
    """Train the run in this folder: it is ours from here on, and the newest that there is of it lies here.

    Raises:
        StoreAwayError, UserError: the store cannot be used.
    """
    claim = Claim(folder)
    claim.take_over()
    yield claim


def _is_of_run(name: str) -> bool:
    return belongs(name) and name not in DRIVERS


def _without_halves(stamps: Mapping[str, Stamp]) -> dict[str, Stamp]:
    """All but checkpoints of which a push that was cut short put only a part."""
    halves = {str(PurePosixPath(seal).parent) for seal in _seals_of(stamps) - set(stamps)}
    return {name: stamp for name, stamp in stamps.items() if str(PurePosixPath(name).parent) not in halves}


def _by_turn(names: Iterable[str]) -> dict[int, list[str]]:
    turns: dict[int, list[str]] = defaultdict(list)
    for name in sorted(names):
        turns[TURN.get(PurePosixPath(name).name, 0)].append(name)
    return turns


def _seals_of(names: Iterable[str]) -> set[str]:
    """The seal of every checkpoint that has one of these files."""
    folders = {PurePosixPath(name).parent for name in names if PurePosixPath(name).parts[0] == CHECKPOINTS}
    return {str(folder / SEAL) for folder in folders}


def _checkpoints_first(names: set[str]) -> list[str]:
    """What is to be deleted: whole checkpoints as folders, anything else by itself."""
    folders = {str(PurePosixPath(seal).parent) for seal in _seals_of(names)}
    return sorted(folders) + sorted(name for name in names if str(PurePosixPath(name).parent) not in folders)


def _delete(run: Remote, name: str) -> None:
    if PurePosixPath(name).parts[0] == CHECKPOINTS:
        run.delete(f"{name}/{SEAL}")  # first, so that what is left is no checkpoint
        run.delete_folder(name)
    else:
        run.delete(name)
