"""What a working copy knows of its files: how they were when they were last the same as in the object store."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dferc.corpus.store import atomic
from dferc_platform.storage.remote import Stamp

FILE = ".index.json"
SURE = 3 * 10**9
"""Nanoseconds: stores count time in seconds, so a younger object may yet be replaced by one with the same stamp."""


@dataclass
class Entry:
    """One file."""

    local: Stamp | None = None
    """Of the file when it was last the same as the object; None where that was never so."""
    digest: str | None = None
    """SHA-256 of what was uploaded."""
    remote: Stamp | None = None
    """Of the object when it was downloaded; None where a later one could look the same."""


@dataclass
class Index:
    """The files of one unit."""

    folder: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    whole: bool = False
    """Whether the copy holds all there is, so that it may be believed where nobody else has written since."""

    @classmethod
    def read(cls, folder: Path) -> "Index":
        """The index of a folder; an empty one where none can be read."""
        try:
            content = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(folder, {name: _entry(known) for name, known in content["files"].items()}, content["whole"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls(folder)

    def save(self) -> None:
        """Write it; it appears whole or not at all."""
        files = {name: [entry.local, entry.digest, entry.remote] for name, entry in self.entries.items()}
        with atomic(self.folder / FILE) as temporary:
            temporary.write_text(json.dumps({"whole": self.whole, "files": files}), encoding="utf-8")

    def is_as_pulled(self, name: str, remote: Stamp) -> bool:
        """Whether the file still is what this object held."""
        entry = self.entries.get(name)
        return entry is not None and entry.remote == remote and entry.local == stamp_of(self.folder / name)

    def is_as_pushed(self, name: str) -> bool:
        """Whether the object still is what the file holds, as far as this copy has had to do with it."""
        entry, path = self.entries.get(name), self.folder / name
        if entry is None or entry.local is None:
            return False
        if entry.local == stamp_of(path):
            return True
        return entry.digest is not None and entry.digest == digest_of(path)

    def pulled(self, name: str, remote: Stamp) -> None:
        """The object has just been downloaded."""
        sure = time.time_ns() - remote.mtime_ns > SURE
        self.entries[name] = Entry(stamp_of(self.folder / name), None, remote if sure else None)


def stamp_of(path: Path) -> Stamp | None:
    """Size and time of a file; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns)


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(known: list[Any]) -> Entry:
    local, digest, remote = known
    return Entry(Stamp(*local) if local else None, digest, Stamp(*remote) if remote else None)
