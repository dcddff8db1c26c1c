"""A run's numbers do not depend on the clock, the time zone, the language, hash seeds, or where it lies."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from dferc_platform.config import make_config
from dferc_platform.results import read_history, read_result
from dferc_platform.saved import open_corpus
from dferc_platform.train import train_run

SETTINGS = {"model": {"hidden": 8, "align": 6}, "training": {"epochs": 4, "batch_dialogues": 4, "warmup_steps": 2}}
TRAIN = """
import json, sys, torch
from pathlib import Path
from dferc_platform.config import make_config
from dferc_platform.saved import open_corpus
from dferc_platform.train import train_run

settings, corpus, folder = sys.argv[1:]
torch.set_num_threads(1)
train_run(make_config(json.loads(settings) | {"corpus": corpus}), open_corpus(corpus), Path(folder))
"""
ELSEWHERE = {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "77", "LC_ALL": "C", "LANG": "tr_TR.UTF-8"}


@pytest.fixture(scope="module")
def usual(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    return trained(tiny_corpus, tmp_path_factory.mktemp("usual") / "run")


def trained(corpus: Path, folder: Path) -> tuple[object, ...]:
    config = make_config(SETTINGS | {"corpus": str(corpus)})
    train_run(config, open_corpus(config.corpus), folder)
    return numbers(folder)


def numbers(folder: Path) -> tuple[object, ...]:
    history = [{k: v for k, v in line.items() if k != "epoch_seconds"} for line in read_history(folder)]
    return history, read_result(folder)["metrics"], (folder / "best" / "model.safetensors").read_bytes()


def test_the_surroundings_of_a_process_change_nothing(usual, tiny_corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "another place, with spaces: é"
    words = [sys.executable, "-c", TRAIN, json.dumps(SETTINGS), str(tiny_corpus), str(folder)]
    subprocess.run(words, env={**os.environ, **ELSEWHERE}, check=True, timeout=300)
    assert numbers(folder) == usual


def test_a_clock_that_jumps_changes_nothing(usual, tiny_corpus: Path, tmp_path: Path, monkeypatch) -> None:
    draw = random.Random(0)
    for name in ("time", "time_ns", "perf_counter", "monotonic"):
        monkeypatch.setattr(f"time.{name}", lambda: draw.randrange(-(10**9), 10**9))
    assert trained(tiny_corpus, tmp_path / "run") == usual
