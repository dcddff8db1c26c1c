"""The stack, memo and containers behind pickles: every opcode that needs no name.

Memory is bounded by the length of the pickle: constants, stack and memo take at most about 16 bytes a byte of pickle;
containers and what is rebuilt from parts are charged to an allowance of ``GROWTH`` bytes a byte. Time too: an opcode
does work in proportion to what it takes from the file or the stack, or adds to the allowance spent.
"""

from typing import Any

from dferc.corpus.importers.unpickling.opcodes import Source
from dferc.corpus.importers.unpickling.values import MAPPINGS, Refused, check_keys

GROWTH = 32
"""A pickled empty list takes 2 bytes and becomes 64; everything that real files hold grows less."""
SLACK = 16 * 2**20
"""Bytes that any pickle may take, however short."""
POINTER, ENTRY, LIST, SET = 8, 100, 64, 216
"""Bytes of a reference, of an entry of a dict or set, and of empty containers, in CPython on 64 bits."""
NOTHING = object()
"""An unused place in the memo."""


class Stack:
    """What the opcodes of one pickle have made so far; methods are named after the opcodes."""

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self._size = size
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: list[Any] = []
        self._left = GROWTH * size + SLACK

    def _charge(self, taken: int) -> None:
        self._left -= taken
        if self._left < 0:
            raise Refused(f"it unfolds to more than {GROWTH} times its {self._size} bytes")

    def _mark(self, _: None) -> None:
        self._charge(LIST + POINTER)
        self._below.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _pop_mark(self, _: None) -> None:
        self._since_mark()

    def _pop(self, _: None) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _dup(self, _: None) -> None:
        self._stack.append(self._stack[-1])

    def _get(self, index: int) -> None:
        if not 0 <= index < len(self._memo) or self._memo[index] is NOTHING:
            raise ValueError(f"nothing was remembered as {index}")
        self._stack.append(self._memo[index])

    _binget = _long_binget = _get

    def _put(self, index: int) -> None:
        """Writers count what they remember, one byte at least each: no index is larger than the position."""
        if not 0 <= index <= self._source.tell():
            raise ValueError(f"memo index {index}")
        if index >= len(self._memo):
            self._memo.extend([NOTHING] * (index + 1 - len(self._memo)))
        self._memo[index] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: None) -> None:
        self._memo.append(self._stack[-1])

    def _empty_tuple(self, _: None) -> None:
        self._stack.append(())

    def _tuple(self, _: None) -> None:
        items = self._since_mark()
        self._charge(LIST + POINTER * len(items))
        self._stack.append(tuple(items))

    def _last(self, n: int) -> None:
        self._charge(LIST + POINTER * n)
        if len(self._stack) < n:
            raise IndexError("the stack is empty")
        self._stack[-n:] = [tuple(self._stack[-n:])]

    def _tuple1(self, _: None) -> None:
        self._last(1)

    def _tuple2(self, _: None) -> None:
        self._last(2)

    def _tuple3(self, _: None) -> None:
        self._last(3)

    def _empty_list(self, _: None) -> None:
        self._charge(LIST)
        self._stack.append([])

    def _list(self, _: None) -> None:
        items = self._since_mark()
        self._stack.append(items)

    def _append(self, _: None) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: None) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise TypeError(f"append to a {type(target).__name__}")
        self._charge(POINTER * len(items))
        target += items

    def _empty_dict(self, _: None) -> None:
        self._charge(LIST)
        self._stack.append({})

    def _dict(self, _: None) -> None:
        items = self._since_mark()
        self._empty_dict(None)
        self._update(items)

    def _setitem(self, _: None) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: None) -> None:
        self._update(self._since_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in MAPPINGS or len(items) % 2:
            raise TypeError(f"{len(items)} keys and values for a {type(target).__name__}")
        self._charge(ENTRY * len(items) // 2)
        check_keys(items[::2], len(target) + len(items) // 2)
        target.update(zip(items[::2], items[1::2], strict=True))

    def _empty_set(self, _: None) -> None:
        self._charge(SET)
        self._stack.append(set())

    def _additems(self, _: None) -> None:
        items, target = self._since_mark(), self._stack[-1]
        if type(target) is not set:
            raise TypeError(f"members for a {type(target).__name__}")
        self._charge(ENTRY * len(items))
        check_keys(items, len(target) + len(items))
        target.update(items)

    def _frozenset(self, _: None) -> None:
        items = self._since_mark()
        self._charge(SET + ENTRY * len(items))
        check_keys(items, len(items))
        self._stack.append(frozenset(items))
