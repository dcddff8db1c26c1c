"""The machine behind pickles, without the means to call anything: names are looked up in a table of our own."""

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from dferc.corpus.importers.unpickling.arrays import Dtype, fill, order
from dferc.corpus.importers.unpickling.opcodes import CODES, CONSTANTS, READERS, Reader, Source
from dferc.corpus.importers.unpickling.stack import Stack
from dferc.corpus.importers.unpickling.values import Name, Record, Refused, check_result, shown

ONLY = "and a feature file holds only containers, numbers, strings and arrays"
RENAMED = {"__builtin__.": "builtins.", "copy_reg.": "copyreg.", "numpy.core.": "numpy._core."}
"""Modules of Python 2 and NumPy 1 to those of today."""
SIZED = {str, bytes, bytearray, list, tuple, dict}
"""Parts that are read through when something is rebuilt from them."""


class Truncated(Exception):  # noqa: N818 - a state of the file
    """The bytes end before the pickle does."""


@dataclass(frozen=True)
class Vocabulary:
    """The names that a pickle may mention, as ``module.member`` of today's Python and NumPy."""

    rebuild: dict[str, Callable[..., Any]]
    """Name to what makes a value from arguments that it checks itself."""
    inert: frozenset[str] = frozenset()
    """Names that are only arguments of others."""
    records: frozenset[str] = frozenset()
    """Classes, with or without their module, whose objects become records."""

    def is_record(self, dotted: str) -> bool:
        """Whether objects of this class are read as records."""
        return dotted in self.records or dotted.rpartition(".")[2] in self.records

    def __contains__(self, dotted: str) -> bool:
        return dotted in self.rebuild or dotted in self.inert or self.is_record(dotted)


class Machine(Stack):
    """Reads one pickle from ``source``, which holds ``size`` bytes in all.

    Args:
        source: the bytes, from where the pickle starts.
        size: how many there are.
        vocabulary: the names that the pickle may mention.
        persistent: makes a value from a reference to something outside the pickle; without it there may be none.
    """

    def __init__(
        self, source: Source, size: int, vocabulary: Vocabulary, persistent: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__(source, size)
        self._vocabulary = vocabulary
        self._persistent = persistent
        self._opcodes = 0

    def run(self, outside: int = 0) -> Any:
        """The value of the pickle: containers, scalars and arrays only, neither nested nor shared without end.

        Args:
            outside: bytes of its arrays that lie elsewhere.

        Raises:
            Refused: it holds what it may not hold.
            Truncated: the source ends too early.
            ValueError, TypeError, IndexError, OverflowError: these bytes are no pickle.
        """
        value = self.execute()
        check_result(value, self._opcodes, self._size + outside)
        return value

    def execute(self) -> Any:
        """The value of the pickle, which may still hold names and parts of arrays; raises as ``run`` does."""
        source, steps = self._source, self._steps()
        while True:
            code = source.read(1)
            self._opcodes += 1
            if code == b".":
                return self._stack.pop()
            if code not in steps:
                raise ValueError(f"unknown opcode {code!r}") if code else Truncated
            read, step = steps[code]
            argument = self._argument(read) if read else None
            if step is None:
                self._stack.append(argument)
            else:
                step(argument)

    def _steps(self) -> dict[bytes, tuple[Reader | None, Callable[[Any], None] | None]]:
        """What each opcode reads and does; ``None`` in place of a step pushes the argument."""
        return {
            code: (READERS[name], None if name in CONSTANTS else getattr(self, f"_{name.lower()}", self._forbidden))
            for code, name in CODES.items()
        }

    def _argument(self, read: Reader) -> Any:
        try:
            return read(self._source)
        except ValueError:
            if self._source.tell() >= self._size:
                raise Truncated from None
            raise

    def _forbidden(self, _: Any) -> None:
        raise Refused(f"it refers to things outside the file (extensions, persistent ids or buffers), {ONLY}")

    def _proto(self, version: int) -> None:
        if version > 5:
            raise ValueError(f"pickle protocol {version}")

    def _frame(self, _: int) -> None:
        """Frames are a hint for readers of streams."""

    def _global(self, names: str) -> None:
        self._name(*names.split(" ", 1))

    def _stack_global(self, _: None) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise TypeError("a name that is no text")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        dotted = canonical(f"{module}.{name}")
        if dotted not in self._vocabulary:
            raise Refused(f"it wants to run {shown(f'{module}.{name}')}, {ONLY}")
        self._stack.append(Name(dotted))

    def _reduce(self, _: None) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        if type(name) is not Name or type(arguments) is not tuple:
            raise Refused(f"it wants to call a {type(name).__name__} with a {type(arguments).__name__}, {ONLY}")
        if name.dotted == "copyreg._reconstructor":
            self._new(*arguments)
            return
        if name.dotted not in self._vocabulary.rebuild:
            raise Refused(f"it wants to call {shown(name.dotted)}, {ONLY}")
        self._charge_parts(arguments)
        try:
            self._made(self._vocabulary.rebuild[name.dotted](*arguments))
        except TypeError:
            raise Refused(f"it wants to call {shown(name.dotted)} with other arguments than pickles have") from None

    def _charge_parts(self, parts: tuple[Any, ...]) -> None:
        """What is rebuilt takes time by the size of its parts, which may be the same ones again and again."""
        self._charge(sum(sys.getsizeof(part) for part in parts if type(part) in SIZED))

    def _made(self, value: Any) -> None:
        self._charge(sys.getsizeof(value))
        self._stack.append(value)

    def _newobj(self, _: None) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        self._new(name, *arguments)

    def _inst(self, names: str) -> None:
        arguments = self._since_mark()
        self._global(names)
        self._new(self._stack.pop(), *arguments)

    def _obj(self, _: None) -> None:
        self._new(*self._since_mark())

    def _newobj_ex(self, _: None) -> None:
        raise Refused(f"it wants to make an object from keyword arguments, {ONLY}")

    def _new(self, name: Any, *arguments: Any) -> None:
        """An empty record; ``copyreg._reconstructor`` says (class, object, None) where others say (class)."""
        plain: Collection[Any] = ((), (Name("builtins.object"), None))
        if type(name) is not Name or not self._vocabulary.is_record(name.dotted) or arguments not in plain:
            raise Refused(f"it wants to make a {shown(getattr(name, 'dotted', type(name).__name__))}, {ONLY}")
        self._made(Record(name.dotted))

    def _build(self, _: None) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        self._charge_parts(state if type(state) is tuple else (state,))
        if isinstance(target, Dtype):
            order(target, state)
        elif isinstance(target, Record):
            self._set_attributes(target, state)
        else:
            fill(target, state)
        self._charge(sys.getsizeof(target))

    def _set_attributes(self, record: Record, state: Any) -> None:
        """State is the ``__dict__``, or that (or None) and the slots."""
        for part in state if type(state) is tuple else (state,):
            if part is not None and (type(part) is not dict or any(type(key) is not str for key in part)):
                raise TypeError(f"a {record.kind} from a {type(part).__name__}")
            record.update(part or {})

    def _binpersid(self, _: None) -> None:
        if self._persistent is None:
            self._forbidden(None)
        else:
            self._stack.append(self._persistent(self._stack.pop()))


def canonical(dotted: str) -> str:
    """Today's name of a module's member."""
    old = next((old for old in RENAMED if dotted.startswith(old)), "")
    return RENAMED.get(old, "") + dotted.removeprefix(old)
