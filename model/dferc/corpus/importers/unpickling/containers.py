"""Sets, dicts of other kinds, complex numbers and bytes from their pickled parts."""

from collections import OrderedDict
from typing import Any

from dferc.corpus.importers.unpickling.values import DefaultDict, Name, Refused, check_keys, shown

FACTORIES: dict[str, type] = {f"builtins.{kind.__name__}": kind for kind in (list, dict, set, int, float, str)}
"""What a ``defaultdict`` may make of nothing."""


def make_set(items: Any) -> set[Any]:
    """A set of a list, as protocols before 4 write it."""
    if type(items) is not list:
        raise Refused(f"it holds a set made from a {type(items).__name__}, must be a list")
    check_keys(items, len(items))
    return set(items)


def make_frozenset(items: Any) -> frozenset[Any]:
    """A frozenset of a list."""
    return frozenset(make_set(items))


def ordered_dict(pairs: Any = ()) -> OrderedDict[Any, Any]:
    """Python 2 writes the pairs as lists of two, today's Python sets the items afterwards."""
    items = [(key, value) for key, value in pairs]
    check_keys([key for key, _ in items], len(items))
    return OrderedDict(items)


def default_dict(factory: Any = None) -> DefaultDict:
    """An empty ``defaultdict`` of a builtin type."""
    if factory is not None and (type(factory) is not Name or factory.dotted not in FACTORIES):
        raise Refused(f"it holds a defaultdict of {shown(factory)}, must be one of {', '.join(FACTORIES)}")
    return DefaultDict(FACTORIES[factory.dotted] if factory else None)


def complex_number(real: Any, imaginary: Any) -> complex:
    """A complex number of two floats."""
    if type(real) is not float or type(imaginary) is not float:
        raise Refused("it holds a complex number whose parts are no floats")
    return complex(real, imaginary)


def no_bytes() -> bytes:
    """Empty bytes in the protocols of Python 2."""
    return b""


def latin1_bytes(text: Any, encoding: Any) -> bytes:
    """Other bytes in the protocols of Python 2, as text."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise Refused("it wants to run a codec that is not latin1")
    return text.encode("latin-1")
