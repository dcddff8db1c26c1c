"""What a pickle may hold, and the checks that keep it finite: keys, nesting, sharing."""

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

PLAIN = {str, bytes, int, float, bool, complex, type(None)}
KEYS = PLAIN - {complex}
"""Hashes of complex numbers collide at will."""
KEY_BITS = 64
"""Of an integer that is a key; wider ones can be made to have one hash, which makes a dict quadratic."""
KEY_LENGTH = 10_000
"""Of text that is a key; it is compared as often as it is used."""
TUPLE_KEYS = 1000
"""Entries of a container with tuples as keys, whose hashes can be made to collide too."""
TUPLE_KEY_LENGTH = 16
DEPTH = 100
"""Containers inside each other; the feature files of the field have 5, and who walks deeper runs out of stack."""
END = object()
FREE_VISITS = 100_000
"""Values that a walk over the whole result may meet however small the file is."""
MENTIONS = 4
"""Bytes of texts, and of arrays, that it may meet a byte of file; where none is mentioned twice it is about one."""
FREE_TEXT = 16 * 2**20
"""Bytes of texts that it may meet besides."""
FREE_NUMBERS = 512 * 2**20
"""Bytes of arrays that it may meet besides: a whole MELD of the widest layout may share one vector."""
TEXTS = {str, bytes}
FLOAT32 = 4
"""Bytes of a number in the vectors that become of arrays."""


class Refused(Exception):  # noqa: N818 - not every refusal is an error of the file
    """Why a pickle is not read: the second half of a sentence that begins with its name."""


@dataclass(frozen=True)
class Name:
    """A dotted name that a pickle mentions; only a name, never what it stands for."""

    dotted: str


class DefaultDict(defaultdict[Any, Any]):
    """A ``defaultdict`` that can be freed at any depth: the C type recurses, a subclass of it does not."""


class Record(dict[str, Any]):
    """The state of an object of a class that is not there: attributes as keys, ``kind`` is the name of the class."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind


MAPPINGS = {dict, OrderedDict, DefaultDict, Record}


def shown(text: Any) -> str:
    """Untrusted text for a message, short, printable and on one line; of anything else only its type."""
    known = text if isinstance(text, str) else type(text).__name__
    return ascii(known[:80])[1:-1][:80]


def check_keys(keys: Collection[Any], entries: int) -> None:
    """Refuse keys of a dict, or members of a set, that are costly to hash.

    Args:
        keys: what is added.
        entries: how many entries the container has with them.

    Raises:
        Refused: a key is neither a plain scalar nor a short flat tuple of them.
    """
    for key in keys:
        if type(key) is tuple:
            if entries > TUPLE_KEYS or len(key) > TUPLE_KEY_LENGTH:
                raise Refused(f"it has more than {TUPLE_KEYS} keys that are tuples, or one of more than 16 values")
            for part in key:
                _check_scalar_key(part)
        elif type(key) is not str or len(key) > KEY_LENGTH:
            _check_scalar_key(key)


def _check_scalar_key(key: Any) -> None:
    if type(key) not in KEYS and not (isinstance(key, np.generic) and key.dtype.kind in "biufSU"):
        raise Refused(f"it has a key that is a {type(key).__name__}, must be text, a number or a flat tuple of them")
    if isinstance(key, str | bytes) and len(key) > KEY_LENGTH:
        raise Refused(f"it has a key of {len(key)} characters, must be at most {KEY_LENGTH}")
    if (type(key) is int and key.bit_length() > KEY_BITS) or key != key:
        raise Refused(f"it has a key that is NaN or an integer of more than {KEY_BITS} bits")


def check_result(value: Any, opcodes: int, size: int) -> None:
    """Refuse what is no value, is nested too deeply (or in itself), or unfolds to far more than was read.

    The walk follows every reference, also to what it has seen before, as those who use the result will.

    Args:
        value: what the pickle holds.
        opcodes: how many opcodes made it; without shared containers there are no more values than these.
        size: bytes of the file.

    Raises:
        Refused: with the reason.
    """
    path: list[Iterator[Any]] = [iter([value])]
    left, text, numbers = FREE_VISITS + 2 * opcodes, FREE_TEXT + MENTIONS * size, FREE_NUMBERS + MENTIONS * size
    while path:
        item = next(path[-1], END)
        if item is END:
            path.pop()
            continue
        items = _contents(item)
        kinds = set(map(type, items))
        left -= len(items)
        letters, counted = _payload(item, items if kinds & TEXTS else ())
        text, numbers = text - letters, numbers - counted
        if min(left, text, numbers) < 0:
            raise Refused("it mentions the same things so often that it unfolds to far more than the file holds")
        if not kinds <= PLAIN:
            path.append(iter(items))
        if len(path) > DEPTH:
            raise Refused(f"it is nested deeper than {DEPTH} containers, or holds itself")


def _payload(value: Any, items: Collection[Any]) -> tuple[int, int]:
    """Bytes of text, and of numbers, that a value holds itself."""
    if isinstance(value, np.ndarray | np.generic):
        return (value.nbytes, 0) if value.dtype.kind in "SU" else (0, max(value.nbytes, FLOAT32 * value.size))
    return sum(len(item) for item in items if type(item) in TEXTS), 0


def _contents(value: Any) -> Collection[Any]:
    """What a container holds besides its keys; nothing for a scalar or an array of numbers."""
    kind = type(value)
    if kind in PLAIN or isinstance(value, np.generic):
        return ()
    if kind in (list, tuple, set, frozenset):
        found: Collection[Any] = value
        return found
    if kind in MAPPINGS:
        return list(value.values())
    if kind is np.ndarray:
        return value.ravel().tolist() if value.dtype.kind == "O" else ()
    what = value.dotted if kind is Name else kind.__name__
    raise Refused(
        f"it holds {shown(what)} itself, and a feature file holds only containers, numbers, strings and arrays"
    )
