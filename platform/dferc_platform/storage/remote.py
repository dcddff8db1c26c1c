"""A place in an object store: whole objects in and out, with patience for a store that is away for a while."""

import logging
import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dferc.corpus.store import atomic
from dferc.errors import UserError
from dferc_platform.away import StoreAwayError
from dferc_platform.secrecy import without_secrets
from dferc_platform.storage.uri import S3, bucket_of, endpoint, file_system

logger = logging.getLogger(__name__)

PATIENCE = 180.0
"""Seconds for which a request is repeated; a store that was away for longer is asked only once from then on."""
FIRST_PATIENCE = 20.0
"""The same before anything has begun: then the address may be wrong."""
LONGEST_PAUSE = 15.0
NOTICED = 4.0
"""Seconds of a pause from which on somebody is told."""
PIECE = 8 * 2**20
DENIED = re.compile(
    "ACCESS_DENIED|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|SIGNATURE_DOES_NOT_MATCH|EXPIRED_TOKEN|UNRECOGNIZED_CLIENT"
    "|HTTP status 40[13]|PermissionDenied|Unauthenticated|PERMISSION_DENIED|UNAUTHENTICATED"
)
NO_BUCKET = "NO_SUCH_BUCKET"

Answer = TypeVar("Answer")


class Stamp(NamedTuple):
    """What tells one version of an object from another."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Remote:
    """Everything under one URI."""

    uri: str

    def at(self, *names: str) -> "Remote":
        """What lies below."""
        return Remote("/".join([self.uri, *filter(None, names)]))

    def read(self, name: str) -> bytes | None:
        """The content of an object; None where there is none."""

        def get() -> bytes | None:
            try:
                with self._fs.open_input_stream(self._path(name)) as source:
                    return bytes(source.read())
            except FileNotFoundError:
                return None

        return self._patiently(get)

    def write(self, name: str, content: bytes) -> None:
        """Put an object; it appears whole or not at all."""
        self._patiently(lambda: self._put(name, content))

    def upload(self, file: Path, name: str) -> None:
        """Put a file, as it is when this begins."""
        import pyarrow as pa

        def put() -> None:
            with file.open("rb") as opened:  # what replaces the file meanwhile is another file
                empty = opened.seek(0, 2) == 0
            if empty:
                self._put(name, b"")
                return
            with pa.memory_map(str(file)) as source:
                self._put(name, source.read_buffer())

        self._patiently(put)

    def download(self, name: str, file: Path, stamp: Stamp) -> None:
        """Get an object into a file that appears whole, with the time at which it was put.

        Raises:
            FileNotFoundError: it is gone.
        """

        def get() -> None:
            with atomic(file) as temporary:
                with self._fs.open_input_stream(self._path(name)) as source, temporary.open("wb") as out:
                    while piece := source.read(PIECE):
                        out.write(piece)
                os.utime(temporary, ns=(stamp.mtime_ns, stamp.mtime_ns))

        self._patiently(get)

    def stamp(self, name: str = "") -> Stamp | None:
        """The version of an object; None where there is none."""

        def look() -> Stamp | None:
            from pyarrow.fs import FileType

            found = self._fs.get_file_info(self._path(name))
            return Stamp(found.size, found.mtime_ns or 0) if found.type == FileType.File else None

        return self._patiently(look)

    def list(self, name: str = "") -> dict[str, Stamp]:
        """Every object below, by its name from here."""

        def look() -> dict[str, Stamp]:
            from pyarrow.fs import FileSelector, FileType

            chosen = FileSelector(self._path(name), recursive=True, allow_not_found=True)
            found = [info for info in self._fs.get_file_info(chosen) if info.type == FileType.File]
            skip = len(self._path("")) + 1
            return {info.path[skip:]: Stamp(info.size, info.mtime_ns or 0) for info in found}

        return self._patiently(look)

    def delete(self, name: str) -> None:
        """Take an object away, if it is there."""

        def take() -> None:
            try:
                self._fs.delete_file(self._path(name))
            except FileNotFoundError:
                return

        self._patiently(take)

    def delete_folder(self, name: str) -> None:
        """Take everything below a name away."""

        def take() -> None:
            try:
                self._fs.delete_dir(self._path(name))
            except FileNotFoundError:
                return

        self._patiently(take)

    def require_bucket(self) -> None:
        """Refuse a URI whose bucket is not there.

        Raises:
            UserError: it is not there, or may not be looked into.
        """
        from pyarrow.fs import FileType

        bucket = bucket_of(self.uri)
        found = self._patiently(lambda: self._fs.get_file_info(bucket), FIRST_PATIENCE)
        if found.type == FileType.NotFound:
            raise UserError(self._no_bucket())

    @property
    def _fs(self) -> Any:
        return file_system(self._root)[0]

    @property
    def _root(self) -> str:
        scheme, _, rest = self.uri.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    def _path(self, name: str) -> str:
        base = file_system(self._root)[1] + self.uri.removeprefix(self._root)
        return f"{base}/{name}" if name else base

    def _put(self, name: str, content: Any) -> None:
        # One write of all there is: an object that was closed half written would be taken for a whole one.
        stream = self._fs.open_output_stream(self._path(name))
        stream.write(content)
        stream.close()

    def _patiently(self, action: Callable[[], Answer], patience: float | None = None) -> Answer:
        began, pause = time.monotonic(), 0.5
        most = PATIENCE if patience is None else patience
        while True:
            try:
                answer = action()
            except FileNotFoundError:
                raise
            except OSError as error:
                if _is_local(error):
                    raise
                self._refuse(error)
                left = (0.0 if _Mood.given_up else most) - (time.monotonic() - began)
                if left <= 0:
                    _Mood.given_up = True
                    raise StoreAwayError(self._away(error)) from None
                if pause >= NOTICED:
                    logger.warning("%s; trying for another %.0f s", self._away(error), left)
                time.sleep(min(pause, left))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                _Mood.given_up = False
                return answer

    def _refuse(self, error: OSError) -> None:
        """Raise what waiting would not mend."""
        text = str(error)
        if NO_BUCKET in text:
            raise UserError(self._no_bucket()) from None
        if DENIED.search(text):
            keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" if self._is_s3 else "the credentials"
            raise UserError(
                f"{self.uri}{self._where} refuses access from {socket.gethostname()} ({_reason(error)}): "
                f"check {keys} there, and what they may do in the bucket"
            ) from None

    @property
    def _is_s3(self) -> bool:
        return self.uri.partition("://")[0] in S3

    @property
    def _where(self) -> str:
        return f" at {without_secrets(endpoint())}" if self._is_s3 and endpoint() else ""

    def _no_bucket(self) -> str:
        return f"there is no bucket {bucket_of(self.uri)}{self._where}: make it, or name another than {self.uri}"

    def _away(self, error: OSError) -> str:
        mend = "check AWS_ENDPOINT_URL there and the network" if self._is_s3 else "check the network"
        return f"{self.uri}{self._where} does not answer {socket.gethostname()} ({_reason(error)}): {mend}"


class _Mood:
    """Of this process: whether patience was in vain the last time."""

    given_up = False


def _is_local(error: OSError) -> bool:
    """A full disk or a folder that cannot be written, here: errors of the store have no number."""
    return error.errno is not None


def _reason(error: OSError) -> str:
    """The part of what the client says that tells something."""
    first = without_secrets(str(error)).splitlines()[0]
    return first.partition("AWS Error ")[2].partition(" (Request ID")[0].partition("; Details")[0] or first
