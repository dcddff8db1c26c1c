"""A file of an object store on this machine: fetched once, whoever asks for it first."""

import fcntl
import hashlib
from pathlib import Path, PurePosixPath

from dferc.corpus.store import cache_folder
from dferc.errors import UserError
from dferc_platform.storage.remote import Remote
from dferc_platform.storage.uri import as_path, normal


def fetched(uri: str) -> Path:
    """The local path of a file by URI; an object that changed is fetched anew.

    Raises:
        UserError: there is no such object, or the store refuses.
        StoreAwayError: the store does not answer.
    """
    path = as_path(uri)
    if path is not None:
        return path
    uri = normal(uri)
    remote = Remote(uri.rpartition("/")[0])
    name = PurePosixPath(uri).name
    stamp = remote.stamp(name)
    if stamp is None:
        remote.require_bucket()
        raise UserError(f"there is no file at {uri}")
    version = hashlib.sha256(repr((uri, stamp)).encode()).hexdigest()[:16]
    file = cache_folder().resolve() / "fetched" / version / name
    if file.is_file():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    with (file.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait for the one that fetches
        if not file.is_file():
            remote.download(name, file, stamp)
    return file
