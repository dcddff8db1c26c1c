"""A file that is not whole yet: ``NAME.part``, with a note of which version of the file it is the beginning of."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dferc.errors import UserError
from dferc_platform.fetch.web import Answer


class Part:
    """The beginning of a file; one process at a time writes it."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")

    def __enter__(self) -> Self:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError(
                f"another process is downloading {self.target}: wait for it, or choose another --to"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.size == 0:
            self.drop()
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return os.fstat(self._file.fileno()).st_size

    def resumable(self, url: str) -> tuple[int, str | None]:
        """Bytes to go on from, and the version that they are of; 0 where it is not known or the address is another."""
        validator = self._noted(url).get("validator")
        return (self.size, str(validator)) if validator else (0, None)

    def is_whole(self, url: str) -> bool:
        """Whether an earlier process was stopped between the last byte and the check."""
        return self.size > 0 and self._noted(url).get("total") == self.size

    def begin(self, url: str, answer: Answer) -> None:
        """Cut off what the answer brings again, and note which version it is."""
        self._file.truncate(answer.start)
        note = {"url": url, "validator": answer.validator, "total": answer.total}
        self._note.write_text(json.dumps(note), encoding="utf-8")

    def add(self, chunk: bytes) -> None:
        """Append what came.

        Raises:
            UserError: the disk does not take it.
        """
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}): free space there and give the same command again, "
                "which goes on from here"
            ) from None

    def keep(self) -> None:
        """It is whole and right: give it its name."""
        os.fsync(self._file.fileno())
        self.path.replace(self.target)
        self._note.unlink(missing_ok=True)

    def drop_content(self) -> None:
        """Begin anew, in the same file."""
        self._file.truncate(0)
        self._note.unlink(missing_ok=True)

    def drop(self) -> None:
        """Leave nothing behind."""
        self.drop_content()
        self.path.unlink(missing_ok=True)

    def _noted(self, url: str) -> dict[str, Any]:
        """The note, if it is of this address."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) and note.get("url") == url else {}
