"""How the argument of each pickle opcode is read; the byte formats are those of the standard library's pickletools."""

import codecs
import pickletools
from collections.abc import Callable
from typing import Any, Protocol

from dferc.corpus.importers.unpickling.values import Refused

INTEGER_BITS = 1024
"""Of any integer; wider ones mean nothing in a feature file and are slow to print."""


class Source(Protocol):
    """Bytes that are read in order; it never makes room for more than it has."""

    def read(self, n: int, /) -> bytes:
        """Up to ``n`` bytes, fewer only at the end."""

    def readline(self) -> bytes:
        """All up to the end of a line."""

    def tell(self) -> int:
        """Bytes read so far."""


Reader = Callable[[Source], Any]


def _integer(read: Reader) -> Reader:
    def checked(source: Source) -> int:
        number: int = read(source)
        if number.bit_length() > INTEGER_BITS:
            raise Refused(f"it holds an integer of more than {INTEGER_BITS} bits")
        return number

    return checked


def _quoted_line(source: Source) -> str:
    """A Python-2 string of protocol 0, byte for byte; pickletools (3.11) knows only ASCII ones."""
    line = source.readline()
    quoted = line.rstrip(b"\r\n")
    if not line.endswith(b"\n") or len(quoted) < 2 or quoted[:1] not in (b"'", b'"') or quoted[:1] != quoted[-1:]:
        raise ValueError("a string without its quotes")
    return codecs.escape_decode(quoted[1:-1])[0].decode("latin-1")


_STANDARD: dict[str, Any] = {opcode.name: opcode.arg.reader for opcode in pickletools.opcodes if opcode.arg is not None}
READERS: dict[str, Reader | None] = {
    **{opcode.name: _STANDARD.get(opcode.name) for opcode in pickletools.opcodes},
    **{name: _integer(_STANDARD[name]) for name in ("INT", "LONG", "LONG1", "LONG4")},
    "STRING": _quoted_line,
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
}
"""Name of an opcode to what reads its argument, where it has one or is one."""
CODES = {opcode.code.encode("latin-1"): opcode.name for opcode in pickletools.opcodes}
CONSTANTS = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "NONE", "NEWTRUE",
        "NEWFALSE", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
        "BYTEARRAY8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    }
)  # fmt: skip
"""Opcodes that push their argument."""
