"""Damage at every place: hundreds of mutated files give allowed values or one sentence, and run nothing."""

import io
import os
import pickle
import pickletools
import random
from collections import OrderedDict, defaultdict

import numpy as np
import torch

FILES = 60
"""Mutations of each base file."""


class Runs:
    """A gadget that makes the file ``canary``."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def bases(canary):
    """Small files of the field's layouts, one with a gadget that damage must not set free."""
    rng = np.random.default_rng(0)
    vectors = {f"Ses0{i}": [rng.normal(size=4).astype("f4") for _ in range(2)] for i in range(2)}
    fields = ({"Ses00": ["M", "F"]}, {"Ses00": [0, 5]}, vectors, {"Ses00": ["a", "b\xe9"]}, ["Ses00"], {"Ses01"})
    others = [OrderedDict(a=1.5), defaultdict(list, {1: [None]}), np.float32(1), np.array(["a", [1]], object), 2**70]
    saved = io.BytesIO()
    torch.save({"a": torch.arange(4.0)}, saved)
    return {
        **{f"fields, protocol {p}": pickle.dumps(fields, p) for p in range(6)},
        **{f"others, protocol {p}": pickle.dumps(others, p) for p in (0, 2, 4)},
        "numpy 1": pickle.dumps(fields, 2).replace(b"numpy._core", b"numpy.core"),
        "tensor": pickle.dumps([torch.arange(4.0)], 4),
        "torch file": saved.getvalue(),
        "gadget": pickle.dumps([fields, Runs(canary)], 4),
    }


def truncated(content, rng):
    return content[: rng.randrange(1, len(content))]


def flipped(content, rng):
    """A few bytes with other values."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


def spliced(content, rng):
    """A piece of the file once more at another place."""
    start, place = rng.randrange(len(content)), rng.randrange(len(content))
    return content[:place] + content[start : start + rng.randint(1, 40)] + content[place:]


def swapped(content, rng):
    """One opcode in place of another, with the argument of the old one."""
    try:
        places = [place for _, _, place in pickletools.genops(content)]
    except ValueError:
        return flipped(content, rng)
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        damaged[rng.choice(places)] = ord(rng.choice(pickletools.opcodes).code)
    return bytes(damaged)


def mutated(canary):
    rng = random.Random(0)
    ways = (truncated, flipped, spliced, swapped)
    return {
        f"{name}, {way.__name__} {i}": way(content, rng)
        for name, content in bases(canary).items()
        for i in range(FILES // len(ways))
        for way in ways
    }


def test_bases_are_sound(confined, tmp_path):
    ended = confined(bases(tmp_path / "canary"))
    assert {name for name, how in ended.items() if how != "read"} == {"gadget"}
    assert ended["gadget"] == "refused"


def test_mutated_files_give_values_or_a_sentence(confined, tmp_path):
    canary = tmp_path / "canary"
    files = mutated(canary)
    ended = confined(files)
    assert {name: how for name, how in ended.items() if how not in ("read", "refused")} == {}
    assert len(files) == len(ended) > 700
    assert not canary.exists()
    assert min(sum(how == kind for how in ended.values()) for kind in ("read", "refused")) > 10
