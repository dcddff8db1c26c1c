"""The whole way on a miniature of real recordings: corpus, training, prediction; killed in the middle and resumed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dferc.corpus import Corpus
from dferc_platform.cli import app
from dferc_platform.config import make_config
from dferc_platform.train import train_run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LINES = (
    ("What a wonderful day.", "glad"),
    ("Nothing matters any more.", "gloomy"),
    ("I am so happy to see you!", "glad"),
    ("Leave me alone.", "gloomy"),
)
SPLITS = ("train", "train", "train", "validation", "test", "test")


def write_table(folder: Path, videos: Path, *, labelled: bool) -> None:
    """Six dialogues of two utterances, each half a second of a real recording: a face talks, then nobody is seen."""
    folder.mkdir()
    rows = []
    for number, split in enumerate(SPLITS):
        for turn in range(2):
            text, label = LINES[(number + turn) % len(LINES)]
            start = 0.25 * number
            row = {"dialogue": f"d{number}", "turn": turn, "speaker": "AB"[turn], "text": text}
            row |= {"audio": videos / "no_face.mp4", "video": videos / ("no_face.mp4" if turn else "single_face.mp4")}
            rows.append(
                row | {"start": start, "stop": start + 0.5} | ({"label": label, "split": split} if labelled else {})
            )
    with (folder / "utterances.csv").open("w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, rows[0])
        table.writeheader()
        table.writerows(rows)
    if labelled:
        (folder / "corpus.yaml").write_text("name: mini\nlabels: [glad, gloomy]\n", encoding="utf-8")


def dferc(*words: object) -> str:
    """What a command prints; it must succeed."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def kill_when(condition, command: list[str], address: str) -> None:
    """Start a command in a process of its own and kill it as soon as something is there."""
    environment = {**os.environ, "RAY_ADDRESS": address}
    process = subprocess.Popen([sys.executable, "-m", "dferc_platform", *command], env=environment)
    try:
        while not condition():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_recordings_become_predictions(ray_cluster, face_videos, minilm, tmp_path):
    write_table(tmp_path / "talks", face_videos, labelled=True)
    corpus_file = tmp_path / "mini.parquet"
    parts = tmp_path / "mini.parquet.parts"
    sources = ["--text", str(minilm), "--visual", "random"]
    command = [
        "data",
        "extract",
        "own",
        str(tmp_path / "talks"),
        *sources,
        "--audio",
        "eGeMAPSv02",
        "--workers",
        "1",
        "--out",
        str(corpus_file),
    ]

    kill_when(lambda: len(list(parts.glob("audio-*/*.arrow"))) >= 2, command, ray_cluster)
    finished = {path: path.stat().st_mtime_ns for path in parts.glob("*/*.arrow")}
    assert len(finished) < 3 * len(SPLITS)
    assert not corpus_file.exists()
    dferc(*command)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # nothing was done again
    assert len(list(parts.glob("*/*.arrow"))) == 3 * len(SPLITS)

    corpus = Corpus.open(corpus_file)
    assert corpus.card.widths == {"text": 384, "audio": 88, "visual": 342}
    assert corpus.present("text").all()
    assert corpus.present("audio").all()
    assert corpus.present("visual").tolist() == [True, False] * len(SPLITS)
    notes = [row["note"] for row in corpus.table["extraction.visual"].to_pylist()]
    assert all("no face" in note for note in notes[1::2])
    train = corpus.features("audio")[corpus.rows("train")]
    assert np.allclose(train.mean(0), 0, atol=1e-5)

    small = {"model": {"hidden": 8, "align": 8}, "training": {"epochs": 1, "batch_dialogues": 2}}
    train_run(make_config(small), corpus, tmp_path / "run")

    write_table(tmp_path / "new", face_videos, labelled=False)
    new = tmp_path / "new.parquet"
    followed = ["--like", corpus_file, *sources, "--workers", 1]
    dferc("data", "extract", "own", tmp_path / "new", *followed, "--out", new)
    for name in corpus.card.modalities:  # the same recordings, extracted and standardised alike
        assert np.array_equal(Corpus.open(new).features(name), corpus.features(name))
    said = json.loads(dferc("predict", tmp_path / "run", new, "--json"))["dialogues"]
    assert [d["dialogue"] for d in said] == [f"d{number}" for number in range(len(SPLITS))]
    assert {u["emotion"] for d in said for u in d["utterances"]} <= {"glad", "gloomy"}
