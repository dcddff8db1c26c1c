"""Torch tensors as NumPy arrays, by ``torch.load(weights_only=True)`` of bytes that were checked before.

``weights_only`` alone runs no foreign code, but it can be made to hash for ever and to make room for a storage of any
size; so the bytes go through the machine first, and torch gets only what that has accepted.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dferc.corpus.importers.unpickling.arrays import EMPTY_ROWS
from dferc.corpus.importers.unpickling.containers import ordered_dict
from dferc.corpus.importers.unpickling.machine import Machine, Vocabulary
from dferc.corpus.importers.unpickling.values import Name, Refused, shown

STORAGES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
"""Those that NumPy has an element type for."""
EFFORT = 4096
"""Bytes that opening a storage is charged for; each comes with 250 bytes of preamble in a file."""
MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of torch's format before 1.6, which tensors inside other pickles still have."""


@dataclass(frozen=True)
class Storage:
    """The numbers [n] that tensors are views of."""

    numbers: torch.Tensor

    def __sizeof__(self) -> int:
        return EFFORT + self.numbers.nbytes


def storage(data: Any) -> Storage:
    """The storage of a tensor inside an ordinary pickle.

    Raises:
        Refused: the bytes are something else than one storage of the size that they say.
    """
    if type(data) is not bytes:
        raise Refused(f"it holds a tensor whose data is a {type(data).__name__}")
    declared = _check_legacy(data)
    numbers = torch.empty(0, dtype=declared.numbers.dtype).set_(_load(io.BytesIO(data)))
    return Storage(numbers)


def array(source: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> np.ndarray:
    """The tensor inside an ordinary pickle.

    Raises:
        Refused: it is no view of its storage.
    """
    _check_view(source, offset, shape, strides, *rest)
    numbers: np.ndarray = source.numbers.as_strided(shape, strides, offset).numpy()
    return numbers


def read_torch_file(path: Path) -> Any:
    """What ``torch.save`` wrote.

    Torch reads a copy of just the parts that were checked, lest it finds others where it looks for them.

    Raises:
        Refused: it holds something else than containers, numbers, strings and tensors.
    """
    with zipfile.ZipFile(path) as archive:
        parts = _parts(archive, path.stat().st_size)
    _check_outline(parts)
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as checked:
        for name, content in parts.items():
            checked.writestr(f"archive/{name}", content)
    copy.seek(0)
    return _as_arrays(_load(copy))


def is_torch_file(path: Path) -> bool:
    """Whether a zip archive has the layout of ``torch.save``."""
    with zipfile.ZipFile(path) as archive:
        return any(name.count("/") == 1 and name.endswith("/data.pkl") for name in archive.namelist())


def _load(checked: io.BytesIO) -> Any:
    try:
        return torch.load(checked, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, AssertionError) as error:
        raise Refused(f"torch does not read it with weights_only ({shown(str(error))})") from None


def _check_legacy(data: bytes) -> Storage:
    """Five pickles (magic, version, system, storage, keys), a count, the numbers."""
    source = io.BytesIO(data)
    vocabulary = Vocabulary({}, frozenset(STORAGES))

    def declared(reference: Any) -> Storage:
        return _declared(reference, lambda _: len(data))

    read = [Machine(source, len(data), vocabulary, declared).execute() for _ in range(5)]
    found = read[3]
    one_key = type(read[4]) is list and len(read[4]) == 1 and type(read[4][0]) is str
    if read[0] != MAGIC or type(found) is not Storage or not one_key:
        raise Refused("it holds a tensor whose data is no torch storage")
    if len(data) - source.tell() != 8 + found.numbers.nbytes:
        raise Refused("it holds a tensor whose storage says another size than it has")
    return found


def _check_outline(parts: dict[str, bytes]) -> None:
    """Run the pickle of a torch file with outlines in place of tensors."""
    outline = parts["data.pkl"]
    rebuild: dict[str, Callable[..., Any]] = {
        "collections.OrderedDict": ordered_dict,
        "torch._utils._rebuild_tensor_v2": _outline,
    }

    def declared(reference: Any) -> Storage:
        return _declared(reference, lambda key: len(parts.get(f"data/{key}", b"")))

    vocabulary = Vocabulary(rebuild, frozenset(STORAGES))
    Machine(io.BytesIO(outline), len(outline), vocabulary, declared).run(sum(map(len, parts.values())))


def _outline(source: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> np.ndarray:
    """An array that is as large as the tensor says, and takes no memory."""
    _check_view(source, offset, shape, strides, *rest)
    return np.broadcast_to(np.zeros((), f"V{source.numbers.itemsize}"), tuple(shape))


def _declared(reference: Any, size_of: Callable[[str], int]) -> Storage:
    """The storage that a persistent id describes, without its numbers: ``("storage", type, key, device, length)``."""
    word, kind, key, _, length, *view = reference
    known = type(kind) is Name and kind.dotted in STORAGES
    if word != "storage" or not known or type(key) is not str or view not in ([], [None]):
        raise Refused("it refers to something else than a torch storage")
    declared = STORAGES[kind.dotted]
    if type(length) is not int or not 0 <= length * declared.itemsize <= size_of(key):
        raise Refused("it holds a tensor whose storage says another size than it has")
    return Storage(torch.empty(length, dtype=declared, device="meta"))


def _check_view(
    source: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any = False, hooks: Any = None
) -> None:
    """Refuse a tensor that is larger than its storage, or has parts that code could hide in."""
    plain = type(source) is Storage and type(requires_grad) is bool and not hooks and len(shape) <= 32
    if not plain or not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
        raise Refused("it holds a tensor that is more than a storage and sizes")
    length = len(source.numbers)
    if 0 in shape:
        fits = math.prod(n or 1 for n in shape) <= EMPTY_ROWS
    else:
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        fits = math.prod(shape) <= length and last < length
    if not fits:
        raise Refused(f"it holds a tensor that is larger than its storage of {length} numbers")


def _parts(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    """Records of a torch file by their names below its folder, which torch never compresses."""
    entries = archive.infolist()
    if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries):
        raise Refused("it is a compressed zip archive, must be as torch.save wrote it")
    if sum(e.file_size for e in entries) > size:
        raise Refused("it is a zip archive whose entries overlap")
    return {name: archive.read(e) for e in entries if (name := e.filename.partition("/")[2])}


def _as_arrays(value: Any) -> Any:
    """The same with arrays in place of tensors; its depth was checked before."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, dict):
        return type(value)((key, _as_arrays(inside)) for key, inside in value.items())
    if isinstance(value, list | tuple):
        return type(value)(map(_as_arrays, value))
    return value
