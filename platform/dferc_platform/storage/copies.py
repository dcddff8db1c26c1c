"""Working copies: which folder stands for which URI, and the same folder by a name that holds on every machine."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dferc.corpus.store import atomic, cache_folder
from dferc_platform.storage.remote import Remote
from dferc_platform.storage.units import syncing
from dferc_platform.storage.uri import as_path, normal

ROOT_FILE = ".working-copy.json"


@dataclass(frozen=True)
class Copy:
    """A working copy."""

    root: Path
    uri: str
    id: str
    """Of this copy: another machine has another one of the same URI."""

    @property
    def remote(self) -> Remote:
        """What it is a copy of."""
        return Remote(self.uri)

    def name(self, path: Path) -> str:
        """A path in it as the object store has it."""
        inside = path.relative_to(self.root).as_posix()
        return "" if inside == "." else inside


def local_folder(place: str) -> Path:
    """The folder to work in for a path or URI: the path itself, or the working copy of the URI on this machine.

    Raises:
        UserError: the URI is of a kind that cannot be used, or its bucket is not there.
    """
    path = as_path(place)
    return path if path is not None else _working_copy(normal(place), str(cache_folder().resolve()))


def copy_of(folder: Path) -> Copy | None:
    """The working copy that a folder lies in; None for an ordinary folder."""
    for root in (folder, *folder.parents):
        if (root / ROOT_FILE).is_file():
            return _read(root)
    return None


def portable(folder: Path) -> tuple[str, str]:
    """A folder for another machine: the URI of the results and the path below it; no URI for an ordinary folder."""
    copy = copy_of(folder)
    return (copy.uri, copy.name(folder)) if copy else ("", str(folder))


def located(uri: str, path: str) -> Path:
    """The folder that ``portable`` named, on this machine."""
    return local_folder(uri) / path if uri else Path(path)


def shown(path: Path) -> str:
    """A file or folder as one speaks of it: the URI where it is a working copy."""
    copy = copy_of(path)
    return "/".join(filter(None, [copy.uri, copy.name(path)])) if copy else str(path)


@lru_cache(maxsize=16)
def _working_copy(uri: str, cache: str) -> Path:
    """Make the working copy where there is none, once the bucket is known to be there."""
    root = Path(cache) / "results" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    Remote(uri).require_bucket()
    with syncing(root):
        if not (root / ROOT_FILE).is_file():
            with atomic(root / ROOT_FILE) as temporary:
                temporary.write_text(json.dumps({"uri": uri, "id": uuid.uuid4().hex}), encoding="utf-8")
    return root


@lru_cache(maxsize=64)
def _read(root: Path) -> Copy:
    content = json.loads((root / ROOT_FILE).read_text(encoding="utf-8"))
    return Copy(root, content["uri"], content["id"])
