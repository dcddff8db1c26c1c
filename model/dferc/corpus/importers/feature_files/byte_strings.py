"""Byte strings made texts: files that someone read with ``encoding="bytes"`` and saved again are full of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def as_texts(field: Any) -> Any:
    """A field whose dialogue ids and entries are texts where they were bytes; as it is where two ids become one."""
    if not isinstance(field, Mapping):
        return _entries(field)
    keyed = {_text(dialogue): _entries(entries) for dialogue, entries in field.items()}
    return keyed if len(keyed) == len(field) else field


def _entries(entries: Any) -> Any:
    if isinstance(entries, np.ndarray) and entries.dtype.kind == "S":
        return np.char.decode(entries, "latin-1")
    if isinstance(entries, list | tuple | set | frozenset) and any(isinstance(entry, bytes) for entry in entries):
        return type(entries)(map(_text, entries))
    return entries


def _text(value: Any) -> Any:
    """Read as strings of Python 2 are."""
    return value.decode("latin-1") if isinstance(value, bytes) else value
