"""From the path of a file to the value that it holds, or to one sentence that says why not."""

import codecs
import mmap
import zipfile
from pathlib import Path
from typing import Any

from dferc.corpus.importers.unpickling.machine import Machine, Truncated
from dferc.corpus.importers.unpickling.rebuilding import vocabulary
from dferc.corpus.importers.unpickling.tensors import MAGIC, is_torch_file, read_torch_file
from dferc.corpus.importers.unpickling.values import Refused, shown
from dferc.errors import UserError

ARCHIVES = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
HEAD = 512
"""Bytes that tell what a file is."""
DAMAGE = (
    ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError, EOFError, RuntimeError,
    zipfile.BadZipFile,
)  # fmt: skip
"""What decoding raises on bytes that make no sense."""


def read_pickle(path: Path | str, records: frozenset[str] = frozenset()) -> Any:
    """What an untrusted pickle or torch file holds; nothing in it is run.

    Containers (dict, list, tuple, set, frozenset, OrderedDict, defaultdict), scalars, strings and bytes come as they
    were written, NumPy arrays and scalars too; torch tensors come as arrays. Strings of Python 2 are read as Latin-1.

    Args:
        path: the file.
        records: classes (``module.Class`` or ``Class``) whose objects become a ``Record`` of their attributes.

    Raises:
        UserError: it is no such file, it is damaged, or it wants to run something; nothing of it is returned.
    """
    path = Path(path)
    try:
        head = _head(path)
        if head.startswith(b"PK\x03\x04"):
            return _read_zip(path)
        return _read_mapped(path, records)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    except Refused as refusal:
        raise UserError(f"{path} is refused: {refusal}") from None


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"there is no file {path}, or it is a folder: give the pickle itself")
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head or not path.stat().st_size:
        raise UserError(f"{path} is empty: fetch it again")
    other = _other_kind(head)
    if other:
        raise UserError(f"{path} {other}")
    return head


def _other_kind(head: bytes) -> str | None:
    """What a file is that can be no pickle."""
    if head.startswith(b"version https://git-lfs"):
        return "is only the Git-LFS pointer to the real file: fetch that with `git lfs pull`"
    archive = next((name for magic, name in ARCHIVES.items() if head.startswith(magic)), None)
    if head[257:262] == b"ustar":
        archive = "tar"
    if archive:
        return f"is a {archive} archive: unpack it first"
    if head.lstrip()[:1] == b"<":
        return "is a web page (HTML or XML), not a pickle: the download went wrong, fetch the file itself"
    return None


def _read_zip(path: Path) -> Any:
    try:
        if not is_torch_file(path):
            raise UserError(f"{path} is a zip archive that torch.save did not write: unpack it first")
        return read_torch_file(path)
    except (*DAMAGE, Truncated) as error:
        raise UserError(f"{path} is a damaged torch file or zip archive ({_reason(error)}): fetch it again") from None


def _read_mapped(path: Path, records: frozenset[str]) -> Any:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as source:
        size = source.size()
        try:
            value = Machine(source, size, vocabulary(records)).run()
        except Truncated:
            raise UserError(_no_pickle(path, source) or f"{path} is truncated: it ends after {size} bytes") from None
        except DAMAGE as error:
            where = f"{path} is damaged near byte {source.tell()} of {size} ({_reason(error)}): fetch it again"
            raise UserError(_no_pickle(path, source) or where) from None
        if type(value) is int and value == MAGIC:
            raise UserError(f"{path} is in torch's format from before 1.6: save it again with a newer torch")
        if source.tell() != size:
            raise Refused(f"it goes on for {size - source.tell()} bytes after its pickle, must hold exactly one")
        return value


def _no_pickle(path: Path, source: mmap.mmap) -> str | None:
    """What to say of a file that makes no sense as a pickle because it is text."""
    head = source[:HEAD]
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    if any(character < " " and not character.isspace() for character in text):
        return None
    return f"{path} is text and no pickle, or not a whole one: it begins with '{shown(text[:20])}'"


def _reason(error: Exception) -> str:
    return shown(str(error)) or type(error).__name__
