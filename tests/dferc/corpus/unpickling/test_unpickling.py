"""What a feature file may hold comes back as it was; everything that is no pickle gets one sentence."""

import gzip
import io
import pickle
import re
import struct
import tarfile
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dferc.corpus.importers.unpickling import Record, read_pickle
from dferc.errors import UserError

PROTOCOLS = range(6)
ARRAYS = {
    **{kind: np.array([[0, 1, 2], [3, 4, 5]], kind) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u8")},
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j], "c8"),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "scalar": np.array(2.5),
    "empty": np.empty((0, 100), "f4"),
    "text": np.array(["a", "bcdé"]),
    "bytes": np.array([b"a", b"bcd"]),
    "large": np.random.default_rng(0).normal(size=(50, 40)),
    "slice": np.arange(20.0).reshape(4, 5)[::2, 1:3],
}
VALUES = {
    "constants": [None, True, False, 0, -1, 255, 65536, 2**31, -(2**40), 2**200, 0.1, float("inf"), 1 - 2j],
    "strings": ["", "a", "é", "😀", "a\nb\\'\"", "x" * 300, b"", b"\x00\xff", b"y" * 300],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "sets": [set(), {1, "a"}, frozenset(), frozenset({(1, 2), b"x"})],
    "dicts": [
        {},
        {1: {"a": [None]}, (1, "b"): 2.5},
        OrderedDict(b=1, a=2),
        defaultdict(list, {"a": [1]}),
        defaultdict(),
    ],
    "numpy scalars": [np.float32(1.5), np.float64(2.5), np.int64(-3), np.bool_(True), np.str_("é"), np.bytes_(b"x")],
    "numpy keys": {np.int64(1): "a", np.str_("b"): 2},
}


@pytest.fixture
def reads(tmp_path):
    def read(content, **options):
        path = tmp_path / "features.pkl"
        path.write_bytes(content)
        return read_pickle(path, **options)

    return read


def refusal(read, content):
    """The sentence with which a file is refused."""
    with pytest.raises(UserError) as refused:
        read(content)
    sentence = str(refused.value)
    assert "features.pkl" in sentence
    assert "\n" not in sentence
    return sentence


def test_forged_numbers_of_the_test_itself_would_be_noticed():
    assert not same(np.array([1.0]), np.array([1.0], ">f8"))
    assert not same([1, 2], [1, 2.0])
    assert not same({"a": (1,)}, {"a": [1]})


def same(one, other):
    """Equal in value, type and, for arrays, in every byte."""
    if isinstance(other, np.ndarray):
        fits = type(one) is np.ndarray and (one.dtype, one.shape) == (other.dtype, other.shape)
        if other.dtype == object:
            return fits and same(one.tolist(), other.tolist())
        return fits and one.dtype.byteorder == other.dtype.byteorder and one.tobytes() == other.tobytes()
    if not isinstance(one, type(other)):
        return False
    if isinstance(other, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or one != one


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_byte_by_byte(reads, name, protocol):
    array = ARRAYS[name]
    read = reads(pickle.dumps(array, protocol))
    assert same(read, array)
    assert read.flags.f_contiguous == array.flags.f_contiguous or name == "slice"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", [np.arange(300, dtype=">i4"), np.array([1.5], ">f2"), np.array(["aé"], ">U2")])
def test_big_endian_numbers_come_back_in_the_order_that_numpy_gives_them(reads, array, protocol):
    read = reads(pickle.dumps(array, protocol))
    assert read.dtype == (array.dtype if protocol == 5 else array.dtype.newbyteorder("="))
    assert read.tolist() == array.tolist()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", VALUES)
def test_values_come_back(reads, name, protocol):
    assert same(reads(pickle.dumps(VALUES[name], protocol)), VALUES[name])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_object_arrays_of_values_come_back(reads, protocol):
    ragged = np.empty(3, object)
    ragged[:] = [np.arange(2.0), "a", [1, None]]
    assert same(reads(pickle.dumps(ragged, protocol)), ragged)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_and_default_containers_keep_their_nature(reads, protocol):
    shared = [1]
    read = reads(pickle.dumps((shared, shared, defaultdict(list)), protocol))
    assert read[0] is read[1]
    assert read[2]["absent"] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_inside_pickles_come_back_as_arrays(reads, protocol):
    numbers = torch.arange(6.0).reshape(2, 3)
    tensors = [numbers, numbers.T, numbers[1, 1:], numbers.half(), numbers.to(torch.int64), torch.empty(0, 4)]
    read = reads(pickle.dumps(tensors, protocol))
    assert all(same(array, tensor.numpy()) for array, tensor in zip(read, tensors, strict=True))


def test_torch_files_come_back_as_arrays(reads):
    numbers = torch.arange(6.0).reshape(2, 3)
    saved = io.BytesIO()
    torch.save({"a": [numbers, numbers.T], "b": (1, "x", OrderedDict(c=numbers > 2))}, saved)
    read = reads(saved.getvalue())
    assert same(read["a"], [numbers.numpy(), numbers.numpy().T])
    assert same(read["b"], (1, "x", OrderedDict(c=(numbers > 2).numpy())))


def test_torch_files_of_many_megabytes_come_back(reads):
    numbers, saved = torch.arange(5e6), io.BytesIO()
    torch.save(numbers, saved)
    assert same(reads(saved.getvalue()), numbers.numpy())


@pytest.mark.parametrize("protocol", [2, 4])
def test_numpy_1_and_2_are_read_alike(reads, protocol):
    content = pickle.dumps([ARRAYS["f4"], np.float64(2.5)], protocol)
    older = content.replace(b"numpy._core", b"numpy.core").replace(b"\x8c\x16numpy.core", b"\x8c\x15numpy.core")
    assert content != older
    assert same(reads(older if protocol == 2 else without_frame(older)), [ARRAYS["f4"], np.float64(2.5)])


def without_frame(content):
    return content[:2] + content[11:]


def python2(value):
    """Protocol 2 as Python 2 writes it: text and array data are bytes without an encoding."""
    if isinstance(value, str):
        data = value.encode("latin-1")
        return b"T" + struct.pack("<i", len(data)) + data
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list | tuple):
        return b"(" + b"".join(map(python2, value)) + (b"t" if isinstance(value, tuple) else b"l")
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(k) + python2(v) for k, v in value.items()) + b"u"
    order, kind = value.dtype.str[0], value.dtype.str[1:]
    dtype = b"cnumpy\ndtype\n" + python2((kind, 0, 1)) + b"R(K\x03" + python2(order) + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01" + python2(value.shape) + dtype + b"\x89" + python2(value.tobytes().decode("latin-1")) + b"tb"
    return b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR" + state


def test_python_2_pickles_are_read_as_latin1(reads):
    dialogues = {"Ses02F_script01_3": [ARRAYS["f4"], ARRAYS["large"]], "é\x92": ("M", 3)}
    content = b"\x80\x02" + python2(dialogues) + b"."
    assert same(reads(content), dialogues)


def test_python_2_protocol_0_is_read_as_latin1(reads):
    content = (
        b"(dp0\nS'caf\\xe9'\np1\n(lp2\nI1\naL2L\naF0.5\naI01\naVx\\u2019\nasS'v'\np3\n"
        b"cnumpy.core.multiarray\n_reconstruct\np4\n(cnumpy\nndarray\np5\n(I0\ntp6\nS'b'\np7\ntp8\nRp9\n(I1\n(I2\ntp10\n"
        b"cnumpy\ndtype\np11\n(S'f4'\np12\nI0\nI1\ntp13\nRp14\n(I3\nS'<'\np15\nNNNI-1\nI-1\nI0\ntp16\nbI00\n"
        b"S'\\x00\\x00\\x80?\\x00\\x00\\x00@'\np17\ntp18\nbs."
    )
    assert same(reads(content), {"café": [1, 2, 0.5, True, "x’"], "v": np.array([1, 2], "f4")})


class Sample:
    def __init__(self):
        self.speaker, self.text = ["M"], [np.arange(2.0)]

    def __setstate__(self, state):
        raise AssertionError("a class of the file was used")


class Slotted:
    __slots__ = ("a",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ["Sample", f"{Sample.__module__}.Sample"])
def test_named_classes_become_records_of_their_state(reads, name, protocol):
    (read,) = reads(pickle.dumps([Sample()], protocol), records=frozenset({name}))
    assert type(read) is Record
    assert read.kind == f"{Sample.__module__}.Sample"
    assert same(dict(read), {"speaker": ["M"], "text": [np.arange(2.0)]})


def test_records_have_slots_and_old_style_instances(reads):
    slotted = Slotted()
    slotted.a = 1
    assert reads(pickle.dumps(slotted), records=frozenset({"Slotted"})) == {"a": 1}
    assert reads(b"(idata\nSample\n(dS'a'\nI1\nsb.", records=frozenset({"Sample"})) == {"a": 1}


def test_classes_that_were_not_named_are_refused(reads):
    assert f"wants to run {Sample.__module__}.Sample" in refusal(reads, pickle.dumps(Sample()))


def test_bytes_after_a_pickle_are_refused(reads):
    assert "1 bytes after its pickle" in refusal(reads, pickle.dumps(1) + b"\n")


def test_every_truncation_says_so(reads):
    content = pickle.dumps({"a": [1.5, "text", np.arange(3)]})
    for length in range(1, len(content)):
        assert f"truncated: it ends after {length} bytes" in refusal(reads, content[:length])


def archive(kind):
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("features.pkl", b"x")
    else:
        with tarfile.open(fileobj=packed, mode="w") as file:
            file.addfile(tarfile.TarInfo("features.pkl"))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git-LFS pointer"),
        (b"<!DOCTYPE html><title>404</title>", "web page"),
        (b"\n <html>", "web page"),
        (b"404: Not Found", "is text"),
        (b'{"a": 1}', "is text"),
        (b"[1, 2]", "is text"),
        (b"Sr No.,Utterance\n", "is text"),
        (b"Not a pickle, but words", "is text"),
        (gzip.compress(b"x", mtime=0), "gzip archive: unpack it first"),
        (archive("zip"), "zip archive that torch.save did not write: unpack it first"),
        (archive("tar"), "tar archive: unpack it first"),
        (b"PK\x03\x04 and no more", "damaged torch file or zip archive"),
        (b"\x80\x09N.", "pickle protocol 9"),
        (b"\x93NUMPY\x01\x00", "damaged near byte"),
    ],
)  # fmt: skip
def test_what_is_no_pickle_is_named(reads, content, says):
    assert says in refusal(reads, content)


def test_torch_files_of_the_oldest_format_are_named(reads):
    saved = io.BytesIO()
    torch.save(torch.zeros(2), saved, _use_new_zipfile_serialization=False)
    assert "format from before 1.6" in refusal(reads, saved.getvalue())


@pytest.mark.parametrize("name", ["absent.pkl", "."])
def test_what_is_no_file_is_named(tmp_path, name):
    with pytest.raises(UserError, match=re.escape(f"there is no file {tmp_path / name}")):
        read_pickle(tmp_path / name)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
KEYS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.binary()
SIZES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
NUMBERS = st.builds(
    lambda kind, shape, seed: np.random.default_rng(seed).integers(0, 99, shape).astype(kind),
    st.sampled_from(["f2", "<f4", "f8", "i1", "u2", "i8", "?", "c16", "U3", "S3"]), SIZES, st.integers(0, 99),
)  # fmt: skip
KEPT = st.recursive(
    SCALARS | NUMBERS,
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.lists(inside, max_size=4).map(tuple)
        | st.dictionaries(KEYS | st.tuples(KEYS, KEYS), inside, max_size=4)
        | st.dictionaries(KEYS, inside, max_size=4).map(OrderedDict)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
    ),
    max_leaves=20,
)
ONE_FILE = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONE_FILE
@given(value=KEPT, protocol=st.sampled_from(PROTOCOLS))
def test_any_value_of_the_allowed_kinds_survives(reads, value, protocol):
    assert same(reads(pickle.dumps(value, protocol)), value)


OPCODES = b"(.0122abcdeghijlopqrstu])}NRQIF\x80\x85\x86\x88\x8f\x90\x91\x93\x94\x00\x01\n'"


@ONE_FILE
@given(content=st.binary(min_size=1, max_size=200) | st.lists(st.sampled_from(OPCODES), min_size=1).map(bytes))
def test_any_bytes_give_a_value_or_a_sentence(reads, content):
    try:
        reads(content)
    except UserError:
        refusal(reads, content)
