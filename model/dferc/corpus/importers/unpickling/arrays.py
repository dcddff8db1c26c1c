"""NumPy arrays and scalars from their pickled parts, after a look at whether the parts fit together."""

import math
import re
from typing import Any

import numpy as np

from dferc.corpus.importers.unpickling.values import Name, Refused, shown

SIMPLE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,9}|O\d?)")
"""Element types: truth values, integers, floats, complex numbers, bytes, text, Python objects."""
EMPTY_ROWS = 1_000_000
"""Largest product of the other axes of an array without elements: who walks over its rows should come to an end."""
LAST_CHARACTER = 0x10FFFF


class Dtype:
    """An element type, whose byte order comes after it."""

    def __init__(self, value: np.dtype[Any]) -> None:
        self.value = value


def dtype(text: Any, align: Any = False, copy: Any = False) -> Dtype:
    """``numpy.dtype("f4", False, True)``; no structures, no sub-arrays, no times.

    Raises:
        Refused: another type.
    """
    if type(text) is not str or not SIMPLE.fullmatch(text):
        raise Refused(f"it holds an array of elements of type {shown(text)}, must be numbers, strings or objects")
    return Dtype(np.dtype(object if "O" in text else text))


def order(element: Dtype, state: Any) -> None:
    """Set the byte order; the rest of the state must say what is known already."""
    version, byte_order, *structure, width = state[:6]
    plain = structure == [None, None, None] and width in (-1, element.value.itemsize)
    if version != 3 or byte_order not in ("<", ">", "|", "=") or not plain:
        raise Refused("it holds an array of structures, must be an array of numbers, strings or objects")
    element.value = np.dtype(element.value.newbyteorder(byte_order).str)


def reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An array whose state comes after it.

    Raises:
        Refused: a subclass of the array.
    """
    if kind != Name("numpy.ndarray") or shape != (0,):
        raise Refused("it holds an array of a kind of its own, must be a plain numpy.ndarray")
    return np.empty(0, np.int8)


def fill(array: Any, state: Any) -> None:
    """Give an array that was just reconstructed its state: version, shape, dtype, whether Fortran order, data."""
    if type(array) is not np.ndarray or not _is_blank(array):
        raise Refused(f"it wants to set the state of a {type(array).__name__}, must be a new array")
    version, shape, element, fortran, data = state
    kind = _element(element)
    content = data if kind.kind == "O" else _bytes(data)
    _check_fit(shape, kind, content)
    if kind.kind == "O" and any(type(item) is np.ndarray and _is_nesting(item) for item in content):
        raise Refused("it holds arrays of objects inside each other")
    parts: Any = (version, shape, kind, bool(fortran), content)
    array.__setstate__(parts)


def from_buffer(data: Any, element: Any, shape: Any, axes: Any) -> np.ndarray:
    """The array of protocol 5.

    Raises:
        Refused: the parts do not fit together.
    """
    kind = _element(element)
    _check_fit(shape, _no_objects(kind), _bytes(data))
    if axes not in ("C", "F"):
        raise Refused(f"it holds an array in the order {shown(axes)}, must be C or F")
    return np.frombuffer(_bytes(data), kind).reshape(shape, order=axes)


def scalar(element: Any, data: Any = b"") -> np.generic:
    """A single NumPy number or string.

    Raises:
        Refused: the parts do not fit together.
    """
    kind = _no_objects(_element(element))
    _check_fit((), kind, _bytes(data))
    value: np.generic = np.frombuffer(_bytes(data), kind)[0]
    return value


def _element(element: Any) -> np.dtype[Any]:
    if type(element) is not Dtype:
        raise Refused(f"it holds an array whose element type is a {type(element).__name__}")
    return element.value


def _no_objects(kind: np.dtype[Any]) -> np.dtype[Any]:
    if kind.kind == "O":
        raise Refused("it holds Python objects in place of numbers")
    return kind


def _bytes(data: Any) -> bytes | bytearray:
    """Python 2 had one type for bytes and text, which is read as Latin-1."""
    if type(data) is str:
        return data.encode("latin-1")
    if not isinstance(data, bytes | bytearray):
        raise Refused(f"it holds an array whose data is a {type(data).__name__}")
    return data


def _check_fit(shape: Any, kind: np.dtype[Any], data: Any) -> None:
    """Shape, element type and data must say the same size, so that nothing larger than the file is ever made."""
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 32:
        raise Refused("it holds an array whose shape is no tuple of up to 32 sizes")
    if kind.kind == "O" and type(data) is not list:
        raise Refused("it holds an array of objects without a list of them")
    width = 1 if kind.kind == "O" else kind.itemsize
    needed = math.prod(shape) * width
    if width == 0 or len(data) != needed or (not needed and math.prod(n or 1 for n in shape) > EMPTY_ROWS):
        raise Refused(f"it holds an array of {_times(shape)} elements of {width} bytes in {len(data)} bytes of data")
    if kind.kind == "U" and needed and np.frombuffer(data, kind.str[0] + "u4").max() > LAST_CHARACTER:
        raise Refused("it holds an array of text with characters that do not exist")


def _times(shape: tuple[int, ...]) -> str:
    return shown(" x ".join(f"{n:.3g}" if n > 10**9 else str(n) for n in shape) or "1")


def _is_blank(array: np.ndarray) -> bool:
    return array.shape == (0,) and array.dtype == np.int8


def _is_nesting(array: np.ndarray) -> bool:
    """Arrays of objects are freed by recursion, so none may hold another one, or one that may yet become such."""
    return array.dtype.kind == "O" or _is_blank(array)
