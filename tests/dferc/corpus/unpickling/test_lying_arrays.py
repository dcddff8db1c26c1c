"""Arrays and tensors whose parts do not fit together: each is refused in one sentence, none is made."""

import io
import os
import pickle
import struct
import zipfile

import torch

PROTO = b"\x80\x04"
HUGE = b"\x8a\x08" + struct.pack("<q", 2**62)
DTYPE_STATE = b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def glob(module, name):
    return f"c{module}\n{name}\n".encode()


def text(string):
    return b"X" + struct.pack("<I", len(string)) + string.encode()


def array(
    shape, kind=b"f8", data=b"B\x08\x00\x00\x00" + bytes(8), reconstruct=b"cnumpy\nndarray\nK\x00\x85C\x01b", state=b""
):
    """A pickled array from parts that need not fit."""
    dtype = glob("numpy", "dtype") + text(kind.decode()) + b"\x89\x88\x87R" + state
    return (
        glob("numpy.core.multiarray", "_reconstruct")
        + reconstruct
        + b"\x87R(K\x01"
        + shape
        + dtype
        + b"\x89"
        + data
        + b"tb."
    )


def arrays():
    """Arrays whose parts lie."""
    scalar = glob("numpy.core.multiarray", "scalar")
    buffer = glob("numpy._core.numeric", "_frombuffer")
    bytes1, floats, objects = (glob("numpy", "dtype") + text(kind) + b"\x85R" for kind in ("i1", "f8", "O"))
    inner = array(b"K\x01\x85", kind=b"O", data=b"](Ne")[:-1]
    doubled = b")q\x00" + b"0h\x00h\x00\x86q\x00" * 60
    sized = DTYPE_STATE.replace(b"\xff", b"\x7f")
    return {
        "shape of 2**62": array(HUGE + b"\x85"),
        "shape whose product overflows": array(HUGE + b"K\x04\x86"),
        "shape whose product overflows to 8": array(b"\x8a\x09" + (2**64 + 1).to_bytes(9, "little") + b"\x85"),
        "negative shape": array(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86"),
        "many empty rows": array(HUGE + b"K\x00\x86", data=b"C\x00"),
        "many axes": array(b"(" + b"K\x01" * 1000 + b"t"),
        "shape of floats": array(b"G?\xf0" + bytes(6) + b"\x85"),
        "shape of truth": array(b"\x88\x85"),
        "shape of a list": array(b"](K\x01e"),
        "more data": array(b"K\x01\x85", kind=b"f4"),
        "less data": array(b"K\x02\x85"),
        "data of numbers": array(b"K\x01\x85", data=b"](K\x01e"),
        "data of None": array(b"K\x01\x85", data=b"N"),
        "data beyond latin1": array(b"K\x01\x85", kind=b"i1", data=b"X\x03\x00\x00\x00\xe2\x82\xac"),
        "objects from bytes": array(b"K\x01\x85", kind=b"O"),
        "objects from too short a list": array(b"K\x64\x85", kind=b"O", data=b"](NNe"),
        "objects from a gadget": array(b"K\x01\x85", kind=b"O", data=b"](cos\nsystem\ne"),
        "objects in objects": array(b"K\x01\x85", kind=b"O", data=b"](" + inner + b"e"),
        "elements of nothing": array(HUGE + b"\x85", kind=b"S0", data=b"C\x00"),
        "elements of a gigabyte": array(b"K\x01\x85", kind=b"S999999999"),
        "elements beyond any size": array(b"K\x01\x85", kind=b"S99999999999999999999"),
        "structure": array(b"K\x01\x85", kind=b"f4,f4"),
        "sub-array": array(b"K\x01\x85", kind=b"(1000000,1000000)f8"),
        "swapped again and again": swapped(),
        "text again and again": texts_of_the_same(),
        "mentioned again and again": mentioned(),
        "second state of an array": array(b"K\x01\x85", state=DTYPE_STATE)[:-1] + b"(K\x01K\x02\x85Nb.",
        "appends to an array": array(b"K\x01\x85")[:-1] + b"(K\x01e.",
        "doubled tuples as a shape": array(doubled),
        "array in itself": array(b"K\x01\x85", kind=b"O", data=b"]\x94(h\x00e"),
        "void": array(b"K\x01\x85", kind=b"V8"),
        "time": array(b"K\x01\x85", kind=b"M8"),
        "dtype of a list": glob("numpy", "dtype") + b"]\x85R.",
        "dtype of nested tuples": glob("numpy", "dtype") + doubled + b"\x85R.",
        "dtype with names": array(b"K\x01\x85", state=DTYPE_STATE.replace(b"NNN", b"N)}")),
        "dtype with another size": array(b"K\x01\x85", kind=b"S1", state=sized, data=b"C\x01a"),
        "dtype with strange order": array(b"K\x01\x85", state=DTYPE_STATE.replace(b"<", b"x")),
        "dtype with short state": array(b"K\x01\x85", state=b"K\x03\x85b"),
        "dtype is a number": array(b"K\x01\x85", state=b"0K\x08"),
        "array of another class": array(b"K\x01\x85", reconstruct=b"cnumpy\ndtype\nK\x00\x85C\x01b"),
        "array of matrices": array(b"K\x01\x85", reconstruct=b"cnumpy\nmatrix\nK\x00\x85C\x01b"),
        "reconstructed at 2**62": array(b"K\x01\x85", reconstruct=b"cnumpy\nndarray\n" + HUGE + b"\x85N"),
        "text beyond Unicode": array(b"K\x02\x85", kind=b"U1", data=b"C\x08" + b"\xff" * 8),
        "scalar of an object": scalar + objects + b"N\x86R.",
        "scalar of no data": scalar + floats + b"\x85R.",
        "scalar of a string": scalar + text("f8") + b"C\x08" + bytes(8) + b"\x86R.",
        "buffer of 2**62": buffer + b"(C\x01a" + bytes1 + HUGE + b"\x85\x8c\x01CtR.",
        "buffer of objects": buffer + b"(C\x08" + bytes(8) + objects + b"K\x01\x85\x8c\x01CtR.",
        "buffer of a strange order": buffer + b"(C\x01a" + bytes1 + b"K\x01\x85\x8c\x01KtR.",
    }  # fmt: skip


def swapped():
    """Big-endian data is copied when it is swapped; here the same data again and again."""
    data = b"B" + struct.pack("<I", 10**6) + bytes(10**6)
    one = array(b"J" + struct.pack("<i", 125_000) + b"\x85", state=DTYPE_STATE.replace(b"<", b">"), data=b"h\x00")[:-1]
    return PROTO + data + b"\x94(" + one * 1000 + b"l."


def texts_of_the_same():
    """The characters of text are checked; here those of the same data again and again."""
    data = b"B" + struct.pack("<I", 10**6) + bytes(10**6)
    one = array(b"J" + struct.pack("<i", 250_000) + b"\x85", kind=b"U1", data=b"h\x00")[:-1]
    return PROTO + data + b"\x94(" + one * 5000 + b"l."


def mentioned():
    """One array of objects in very many places, each of which is walked."""
    objects = array(b"M\x10\x27\x85", kind=b"O", data=b"](" + b"]" * 10_000 + b"e")[:-1]
    return PROTO + objects + b"\x94(" + b"h\x00" * 20_000 + b"l."


def legacy():
    """The bytes of a storage of four numbers inside an ordinary pickle."""
    saved = io.BytesIO()
    torch.save(torch.arange(4.0)._typed_storage(), saved, _use_new_zipfile_serialization=False)
    return saved.getvalue()


def embedded(data):
    """The storage that these bytes are said to be."""
    return glob("torch.storage", "_load_from_bytes") + b"B" + struct.pack("<I", len(data)) + data + b"\x85R"


def torch_zip(outline, numbers=bytes(16), compression=zipfile.ZIP_STORED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as file:
        for name, content in {
            "data.pkl": outline,
            "version": b"3\n",
            "byteorder": b"little",
            "data/0": numbers,
        }.items():
            file.writestr(f"archive/{name}", content)
    return packed.getvalue()


def storage(length=b"K\x04", kind="FloatStorage", word="storage"):
    return b"(" + text(word) + glob("torch", kind) + text("0") + text("cpu") + length + b"tQ"


def view(source, offset=b"K\x00", shape=b"K\x04\x85", strides=b"K\x01\x85", rest=b"\x89N"):
    return glob("torch._utils", "_rebuild_tensor_v2") + b"(" + source + offset + shape + strides + rest + b"tR."


class Runs:
    """A gadget that runs a shell command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def tensors(canary):
    """Torch files and tensors inside pickles whose parts lie."""
    gadget = pickle.dumps(Runs(f"touch {canary}"), 2)
    doubled = b")q\x00" + b"0h\x00h\x00\x86q\x00" * 60
    outlines = {
        "storage of 2**62": view(storage(HUGE)),
        "storage of more than is there": view(storage(b"K\x05")),
        "negative storage": view(storage(b"J\xff\xff\xff\xff")),
        "view of 2**62": view(storage(), shape=HUGE + b"\x85"),
        "view of one number 2**62 times": view(storage(), shape=HUGE + b"\x85", strides=b"K\x00\x85"),
        "view beyond the end": view(storage(), offset=b"K\x01"),
        "view before the start": view(storage(), offset=b"J\xff\xff\xff\xff"),
        "negative stride": view(storage(), strides=b"J\xff\xff\xff\xff\x85"),
        "shape and strides that differ": view(storage(), strides=b")"),
        "shape of doubled tuples": view(storage(), shape=doubled),
        "view of a number": view(b"K\x01"),
        "hooks": view(storage(), rest=b"\x89]" + glob("builtins", "eval") + b"a"),
        "metadata": view(storage(), rest=b"\x89N}"),
        "storage of another kind": view(storage(kind="TypedStorage")),
        "persistent id of another kind": view(storage(word="module")),
        "persistent id of a tuple": PROTO + doubled + b"Q.",
        "doubled tuples as a key": PROTO + b"}" + doubled + b"Ns.",
        "gadget": gadget,
        "storage alone": storage() + b".",
    }
    magic, rest = legacy().split(b".", 1)
    head, begin, keys = legacy().partition(b"]q\x00")
    million = b"J" + struct.pack("<i", 10**6)
    often = b"](" + view(storage(million), shape=million + b"\x85")[:-1] + b"\x94" + b"h\x00" * 1000 + b"e."
    inside = {
        "gadget for a storage": gadget,
        "gadget before a storage": gadget + legacy(),
        "gadget in a storage": magic + b"." + gadget + rest,
        "doubled tuples in a storage": magic + b"." + PROTO + b"}" + doubled + b"Ns." + rest,
        "storage without magic": rest,
        "storage of 2**62": legacy().replace(b"K\x04N", HUGE + b"N"),
        "storage of fewer": legacy().replace(b"K\x04N", b"K\x03N"),
        "storage without its numbers": legacy()[:-16],
        "storage with another count": legacy()[:-24] + b"\xff" * 8 + bytes(16),
        "storage in a view": legacy().replace(b"K\x04N", b"K\x04" + doubled + b"K\x00K\x04\x87"),
        "storage under another key than it has": head + begin + keys[:5] + b"x" + keys[6:],
        "storage with another key": legacy().replace(b"]q\x00", b"]q\x00)a"),
        "no storage": b"",
    }
    files = {f"torch file: {name}": torch_zip(outline) for name, outline in outlines.items()}
    files["torch file: one large tensor, mentioned often"] = torch_zip(often, numbers=bytes(4 * 10**6))
    files["torch file: without its numbers"] = torch_zip(view(storage()), numbers=b"")
    files["torch file: compressed"] = torch_zip(view(storage()), compression=zipfile.ZIP_DEFLATED)
    return files | {f"tensor: {name}": view(embedded(data)) for name, data in inside.items()}


def complaints(ended, files):
    """What ended otherwise than it should."""
    return {name: ended.get(name, "not reached") for name in files if ended.get(name) != "refused"}


def test_arrays_that_lie_are_refused(confined):
    assert complaints(confined(arrays()), arrays()) == {}


def test_tensors_that_lie_are_refused(tmp_path, confined):
    canary = tmp_path / "canary"
    files = tensors(canary)
    assert complaints(confined(files), files) == {}
    assert not canary.exists()


def test_the_same_parts_with_the_truth_are_read(confined):
    """The lies above are refused for what they say, not for how they are written."""
    numbers = b"B\x08\x00\x00\x00" + bytes(8)
    true = {
        "array": array(b"K\x01\x85", state=DTYPE_STATE, data=numbers),
        "objects": array(b"K\x02\x85", kind=b"O", data=b"](NNe"),
        "torch file": torch_zip(view(storage())),
        "tensor": view(embedded(legacy())),
    }
    assert confined(true) == dict.fromkeys(true, "read")
