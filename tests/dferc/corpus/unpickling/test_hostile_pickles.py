"""Pickles made to run code, to hang or to fill the memory: each is refused in one sentence."""

import functools
import io
import operator
import os
import pickle
import struct
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest

PROTO = b"\x80\x04"
HARMLESS = {
    "FLOAT of many digits",
    "FRAME beyond the file",
    "defaultdicts 120000 deep and thrown away",
    "duplicates",
    "duplicates in a list",
    "remembered nothings",
}
"""Bombs that hold only a small value when they have been read."""


def glob(module, name):
    return f"c{module}\n{name}\n".encode()


def text(string):
    return b"\x8c" + bytes([len(string)]) + string.encode()


class Runs:
    """What every security talk shows: ``__reduce__`` names a function and its arguments."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def gadgets(canary):
    """Pickles that would make the file ``canary``, by many ways; those of names that are absent here too."""
    command = f"touch {canary}"
    code = f"open({str(canary)!r}, 'w').close()"
    made = {
        "os.system": Runs(os.system, command),
        "eval": Runs(eval, code),
        "exec": Runs(exec, code),
        "open": Runs(open, str(canary), "w"),
        "partial": Runs(functools.partial, os.system, command),
        "attrgetter": Runs(operator.attrgetter, "system"),
        "getattr": Runs(getattr, 1, "real"),
        "inside a list": [{"a": (Runs(os.system, command),)}],
        "as a key": {Runs(os.system, command): 1},
        "object array": np.array([1, Runs(os.system, command)], object),
        "path touch": Runs(Path.touch, canary),
        "runner in an OrderedDict": OrderedDict(a=Runs(os.system, command)),
        "callable of a defaultdict": defaultdict(functools.partial(os.system, command)),
    }
    pickled = {f"{name}, {p}": pickle.dumps(value, p) for name, value in made.items() for p in (0, 2, 4)}
    argument = text(command) if len(command) < 256 else b"X" + struct.pack("<I", len(command)) + command.encode()
    line = command.encode()
    stacked = {
        "inst": b"(S'" + line + b"'\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS'" + line + b"'\no.",
        "global and reduce": b"cos\nsystem\n(S'" + line + b"'\ntR.",
        "posix": b"cposix\nsystem\n(S'" + line + b"'\ntR.",
        "newobj": PROTO + glob("subprocess", "Popen") + argument + b"\x85\x81.",
        "newobj_ex": PROTO + glob("subprocess", "Popen") + argument + b"\x85}\x92.",
        "newobj_ex of a known name": PROTO + glob("collections", "OrderedDict") + b")}\x92.",
        "dotted name": PROTO + text("builtins") + text("list.__class__.__base__.__subclasses__") + b"\x93)R.",
        "known call with strange arguments": PROTO + glob("builtins", "bytes") + b"J\xff\xff\xff\x7f\x85R.",
        "dotted name in a known module": PROTO + text("numpy") + text("dtype.__class__") + b"\x93)R.",
        "dotted module": PROTO + text("collections.OrderedDict") + text("fromkeys") + b"\x93)R.",
        "member of numpy": PROTO + text("numpy") + text("ndarray.tofile") + b"\x93.",
        "f2py": PROTO + glob("numpy.f2py", "compile") + argument + b"\x85R.",
        "numpy runstring": PROTO + glob("numpy.testing._private.utils", "runstring") + argument + b"}\x86R.",
        "torch hub": PROTO + glob("torch.hub", "load") + argument + b"\x85R.",
        "torch load": PROTO + glob("torch", "load") + argument + b"\x85R.",
        "unpickler": PROTO + glob("pickle", "loads") + b"C\x02N.\x85R.",
        "codec": PROTO + glob("_codecs", "encode") + text("x") + text("zip") + b"\x86R.",
        "codec of an object": PROTO + glob("_codecs", "encode") + b"]" + text("latin1") + b"\x86R.",
        "reconstructor": b"ccopy_reg\n_reconstructor\n(cos\n_wrap_close\nc__builtin__\nobject\nNtR.",
        "reconstructor of a known name": b"ccopy_reg\n_reconstructor\n(c__builtin__\nlist\nc__builtin__\nobject\nNtR.",
        "persistent id": b"Pos.system\n.",
        "binary persistent id": PROTO + text("os.system") + b"Q.",
        "extension 1": PROTO + b"\x82\x01.",
        "extension 2": PROTO + b"\x83\x01\x00.",
        "extension 4": PROTO + b"\x84\x01\x00\x00\x00.",
        "next buffer": PROTO + b"\x97.",
        "readonly buffer": PROTO + b"N\x98.",
        "call a string": PROTO + text("os.system") + argument + b"\x85R.",
        "call a list": PROTO + b"](K\x01tR.",
        "call with a list": PROTO + glob("builtins", "set") + b"]R.",
        "call what is only a name": PROTO + glob("builtins", "list") + b")R.",
        "names as numbers": PROTO + b"K\x01K\x02\x93.",
        "name alone": PROTO + glob("collections", "OrderedDict") + b".",
        "name in a list": PROTO + b"]" + glob("builtins", "set") + b"a.",
        "dtype alone": PROTO + glob("numpy", "dtype") + text("f4") + b"\x89\x88\x87R.",
    }  # fmt: skip
    return pickled | stacked


def states():
    """State for things that have none, or of a wrong kind."""
    state = text("__class__") + b"N"
    return {
        "state of a list": PROTO + b"]}b.",
        "state of a dict": PROTO + b"}}" + state + b"sb.",
        "state of a name": PROTO + glob("collections", "OrderedDict") + b"}" + text("__setstate__") + b"Nsb.",
        "state of an OrderedDict": PROTO + glob("collections", "OrderedDict") + b")R}" + state + b"sb.",
        "slots of a tuple": PROTO + b")N}" + state + b"s\x86b.",
        "state of a string": PROTO + text("a") + b"}b.",
        "append to a dict": PROTO + b"}K\x01a.",
        "items for a list": PROTO + b"]K\x01K\x02s.",
        "odd items": PROTO + b"}(K\x01u.",
        "members for a list": PROTO + b"](K\x01\x90.",
        "set of an unhashable": PROTO + b"\x8f(]\x90.",
        "frozenset of an unhashable": PROTO + b"(]\x91.",
        "reduced set of an unhashable": glob("__builtin__", "set") + b"(](]etR.",
        "reduced set of a string": glob("__builtin__", "set") + b"(S'abc'\ntR.",
        "NaN as a key": PROTO + b"}G\x7f\xf8" + bytes(6) + b"K\x01s.",
        "list as a key": PROTO + b"}]K\x01s.",
        "deep tuple as a key": PROTO + b"}))\x85\x86K\x01s.",
        "complex as a key": PROTO + b"}" + pickle.dumps(1j, 2)[2:-1] + b"Ns.",
        "wide integer as a key": PROTO + b"}\x8a\x10" + bytes([1] * 16) + b"Ns.",
        "pairs that are none": glob("collections", "OrderedDict") + b"(](K\x01etR.",
        "complex of strings": glob("__builtin__", "complex") + b"(S'1'\nS'2'\ntR.",
        "factory of a number": glob("collections", "defaultdict") + b"(I1\ntR.",
        "factory of a class": glob("collections", "defaultdict") + b"(cos\nsystem\ntR.",
        "pop of nothing": PROTO + b"0.",
        "stop with nothing": PROTO + b".",
        "mark that is none": PROTO + b"Nt.",
        "tuple of too little": PROTO + b"N\x87.",
        "memo of nothing": PROTO + b"h\x05.",
        "memo before any": PROTO + b"\x94.",
        "negative memo": b"Np-1\n.",
        "negative get": b"Np0\ng-1\n.",
        "gap in the memo": PROTO + b"Nq\x03h\x02.",
    }


def bombs():
    """Small files that want to be large, or to take for ever."""
    doubling = b")q\x00" + b"0h\x00h\x00\x86q\x00" * 60
    lists = b"]\x94N\x61" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(60))
    ints = b"](" + b"".join(b"J" + struct.pack("<i", i) for i in range(20_000)) + b"e"
    digits = b"7" * 2_000_000
    default = glob("collections", "defaultdict") + b"q\x00"
    deep = b"h\x00)RK\x01" * 120_000 + b"N" + b"s" * 120_000
    pairs = b"](" + b"".join(b"J" + struct.pack("<i", i) + b"N\x86" for i in range(10_000)) + b"e"
    megabyte = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6
    data = b"B" + struct.pack("<I", 10**6) + bytes(10**6)
    array = buffer(data, "i1", 10**6)
    names = buffer(data, "S1000", 1000)
    same, same_tuple = b"](" + b"K\x01" * 20_000 + b"e", b"(" + b"K\x01" * 20_000 + b"t"
    order = b"(K\x03" + doubling + b"NNNtb"
    tuple_keys = b"".join(b"J" + struct.pack("<i", i) + b"\x85N" for i in range(5000))
    ordered_again, encoded_again = glob("collections", "OrderedDict") + b"h\x00R", glob("_codecs", "encode") + b"h\x00R"
    far = b"\xff\xff\xff\x7f"
    farther = b"\xff" * 7 + b"\x7f"
    return {
        "BINUNICODE beyond the file": PROTO + b"X" + far + b"abc",
        "BINUNICODE8 beyond the file": PROTO + b"\x8d" + farther + b"abc",
        "BINBYTES8 beyond the file": PROTO + b"\x8e" + farther + b"abc",
        "BINBYTES8 beyond any size": PROTO + b"\x8e" + b"\xff" * 8 + b"abc",
        "BYTEARRAY8 beyond the file": b"\x80\x05\x96" + farther + b"abc",
        "BINBYTES beyond the file": PROTO + b"B" + far + b"abc",
        "BINSTRING beyond the file": b"T" + far + b"abc",
        "negative BINSTRING": b"T\xff\xff\xff\xffabc.",
        "LONG4 beyond the file": PROTO + b"\x8b" + far + b"abc",
        "negative LONG4": PROTO + b"\x8b\xff\xff\xff\xffabc.",
        "LONG4 of a megabyte": PROTO + b"\x8b" + struct.pack("<i", 2**20) + b"\x01" * 2**20 + b".",
        "LONG of many digits": b"L" + digits + b"L\n.",
        "INT of many digits": b"I" + digits + b"\n.",
        "FLOAT of many digits": b"F0." + digits + b"e-5\n.",
        "FLOAT of no number": b"Fabc" + digits + b"\n.",
        "FRAME beyond the file": PROTO + b"\x95" + farther + b"N.",
        "memo at 2**32 - 1": PROTO + b"Nr\xff\xff\xff\xff.",
        "memo at ten digits": b"Np9999999999\n.",
        "get at many digits": b"Ng" + digits + b"\n.",
        "doubled tuples": PROTO + doubling + b".",
        "doubled tuples as a key": PROTO + b"}" + doubling + b"Ns.",
        "doubled tuples in a set": PROTO + b"\x8f(" + doubling + b"\x90.",
        "doubled tuples as arguments": PROTO + glob("builtins", "complex") + doubling + b"R.",
        "doubled tuples as byte order": PROTO + glob("numpy", "dtype") + text("f4") + b"\x85R" + order + b".",
        "doubled tuples as a factory": PROTO + glob("collections", "defaultdict") + doubling + b"\x85R.",
        "doubled lists": PROTO + lists + b".",
        "list in itself": PROTO + b"]\x94h\x00a.",
        "list in itself twice": PROTO + b"]\x94(h\x00h\x00e.",
        "dict in itself": PROTO + b"}\x94K\x01h\x00s.",
        "lists 60000 deep": PROTO + b"]" * 60_000 + b"a" * 59_999 + b".",
        "tuples 60000 deep": PROTO + b")" + b"\x85" * 60_000 + b".",
        "dicts 60000 deep": PROTO + b"}K\x01" * 60_000 + b"N" + b"s" * 60_000 + b".",
        "defaultdicts 120000 deep and thrown away": PROTO + default + deep + b"0N.",
        "marks": PROTO + b"(" * 450_000 + b".",
        "empty sets": PROTO + b"\x8f" * 100_000 + b".",
        "remembered nothings": PROTO + b"N" + b"\x94" * 300_000 + b".",
        "duplicates": PROTO + b"N" + b"2" * 300_000 + b".",
        "duplicates in a list": PROTO + b"(N" + b"2" * 300_000 + b"l.",
        "sets of one list": PROTO + ints + b"\x94\x85\x94(" + (glob("builtins", "set") + b"h\x01R") * 5000 + b"l.",
        "dicts of one list": PROTO + pairs + b"\x85\x94(" + ordered_again * 5000 + b"l.",
        "bytes of one text": PROTO + megabyte + text("latin1") + b"\x86\x94(" + encoded_again * 5000 + b"l.",

        "sets of one member": PROTO + same + b"\x85\x94(" + (glob("builtins", "set") + b"h\x00R") * 5000 + b"l.",
        "dtypes of many arguments": PROTO + same_tuple + b"\x94(" + (glob("numpy", "dtype") + b"h\x00R") * 5000 + b"l.",
        "one long list, mentioned often": PROTO + same + b"\x94(" + b"h\x00" * 20_000 + b"l.",
        "one long text, mentioned often": PROTO + b"](" + megabyte + b"\x94" + b"h\x00" * 20_000 + b"e.",
        "one long byte string, mentioned often": PROTO + b"](" + data + b"\x94" + b"h\x00" * 20_000 + b"e.",
        "one large array, mentioned often": PROTO + b"](" + array + b"\x94" + b"h\x00" * 20_000 + b"e.",
        "one array of long texts, mentioned often": PROTO + b"](" + names + b"\x94" + b"h\x00" * 20_000 + b"e.",
        "long text as a key": PROTO + b"}" + megabyte + b"Ns.",
        "long text in a tuple as a key": PROTO + b"}" + megabyte + b"\x85Ns.",
        "many tuple keys": PROTO + b"}(" + tuple_keys + b"u.",
        "keys with one hash": PROTO + b"}(" + b"".join(long(i * (2**61 - 1)) + b"N" for i in range(1, 100_000)) + b"u.",
    }  # fmt: skip


def buffer(data, kind, length):
    """An array of protocol 5."""
    dtype = glob("numpy", "dtype") + text(kind) + b"\x85R"
    parts = data + dtype + b"J" + struct.pack("<i", length) + b"\x85" + text("C")
    return glob("numpy._core.numeric", "_frombuffer") + b"(" + parts + b"tR"


def long(number):
    return b"\x8a\x0c" + number.to_bytes(12, "little")


def test_the_gadgets_are_loaded(tmp_path):
    """Python's own unpickler makes the canary of them, so a test that looks for it can fail."""
    canary = tmp_path / "canary"
    for name, content in gadgets(canary).items():
        if name.startswith(("os.system", "eval", "open", "path", "inside", "object", "inst", "obj,", "global and")):
            pickle.Unpickler(io.BytesIO(content)).load()  # noqa: S301 - our own gadgets
            assert canary.exists(), name
            canary.unlink()


def complaints(ended, files):
    """What ended otherwise than it should."""
    expected = {name: "read" if name in HARMLESS else "refused" for name in files}
    return {name: ended.get(name, "not reached") for name, how in expected.items() if ended.get(name) != how}


def test_nothing_is_run(tmp_path, confined):
    canary = tmp_path / "canary"
    files = gadgets(canary)
    assert complaints(confined(files), files) == {}
    assert not canary.exists()


@pytest.mark.parametrize("family", [states, bombs])
def test_nothing_hangs_crashes_or_fills_the_memory(confined, family):
    files = family()
    assert complaints(confined(files), files) == {}
