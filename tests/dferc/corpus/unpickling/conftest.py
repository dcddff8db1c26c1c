"""Reads files in a process of its own, where a crash, a hang or a full memory is an answer too."""

import json
import multiprocessing
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from dferc.corpus.importers.unpickling import read_pickle
from dferc.errors import UserError

MEMORY = 400 * 2**20
"""Bytes of address space that reading any of these small files may add."""
SECONDS = 3
"""For each of them; the slowest takes a tenth where nothing else runs."""
SENTENCE = 400
FILE = "THE_FILE"


@pytest.fixture
def confined(tmp_path):
    """How each of the files, by name, ended."""
    return lambda files: read_confined(tmp_path, files)


def read_confined(folder, files):
    """How each of the files ended, read in one child process; a crash or a hang names its file."""
    for i, content in enumerate(files.values()):
        (folder / f"{i}.pkl").write_bytes(content)
    report = folder / "report"
    child = multiprocessing.get_context("fork").Process(target=read_all, args=(folder, list(files), report))
    child.start()
    child.join(60)
    child.kill()
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    ended = dict(zip(lines[::2], (how for how, _ in lines[1::2]), strict=False))
    return {name: ended.get(name, f"the process ended with {child.exitcode}") for name in lines[::2]}


def read_all(folder, names, report):
    """In a process of its own: read the files, within limits, and write down how each ended."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    with report.open("w") as lines:
        for i, name in enumerate(names):
            lines.write(json.dumps(name) + "\n")
            lines.flush()
            signal.alarm(SECONDS)
            started = time.perf_counter()
            how = outcome(folder / f"{i}.pkl")
            signal.alarm(0)
            lines.write(json.dumps([how, time.perf_counter() - started]) + "\n")


def values(value, depth=0):
    """Every value below; fails on what is none of the allowed kinds."""
    assert depth <= 110
    if isinstance(value, dict):
        children = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        children = value
    elif type(value) is np.ndarray and value.dtype == object:
        children = value.ravel().tolist()
    else:
        plain = str, bytes, int, float, bool, complex, type(None), np.ndarray, np.generic
        assert isinstance(value, plain), f"holds a {type(value)}"
        children = ()
    return 1 + sum(values(child, depth + 1) for child in children)


def outcome(path):
    """How reading a file ended, in a word or with the complaint."""
    try:
        values(read_pickle(path))
    except UserError as error:
        sentence = str(error).replace(str(path), FILE)
        clear = "\n" not in sentence and len(sentence) < SENTENCE and FILE in sentence and sentence.isprintable()
        return "refused" if clear else f"unclear: {sentence!r}"
    except BaseException as error:  # whatever it is, it belongs to the file that caused it
        return f"{type(error).__name__}: {error}"
    return "read"
