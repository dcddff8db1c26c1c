"""The pipeline: every dialogue once, poison survived, nothing finished done again."""

import os
from functools import partial

import numpy as np
import pytest

from dferc.corpus import CorpusCard, Modality
from dferc.corpus.recordings import RecordedUtterance, Recordings
from dferc.encoders.extractor import Extracted
from dferc.errors import UserError
from dferc_platform.extract.job import ExtractionJob, Stage
from dferc_platform.extract.parts import load_part
from dferc_platform.extract.worker import DIALOGUE, Worker

DIALOGUES, TURNS = 8, 3


def recordings():
    card = CorpusCard(name="s", labels=("a", "b"), modalities={}, source="s", licence="l", split_note="n")
    return Recordings(
        card,
        tuple(
            RecordedUtterance(f"d{d}", turn, "A", "train", None, f"{d} {turn}")
            for d in range(DIALOGUES)
            for turn in range(TURNS)
        ),
    )


def stage(calls, poison=None):
    """An extractor that notes every call in a folder and dies on one dialogue; defined here, so that it is shipped."""

    class Noting:
        def described(self):
            return Modality(width=2, extractor="noting 1")

        def extract(self, dialogue):
            name = dialogue[0].dialogue
            (calls / f"{name}-{len(list(calls.glob(name + '-*')))}").touch()
            if name == poison:
                os._exit(3)
            vectors = np.array([[float(part) for part in u.text.split()] for u in dialogue], np.float32)
            return Extracted(vectors, np.ones(len(dialogue), bool), ("",) * len(dialogue))

    def build(device):
        assert device == "cpu"
        return Noting()

    return Stage("text", build, neural=True)


class Moody:
    """Fails on the dialogues that it is told to fail on."""

    def __init__(self, fails):
        self.fails = fails

    def described(self):
        return Modality(width=2, extractor="moody 1")

    def extract(self, dialogue):
        if dialogue[0].dialogue in self.fails:
            raise ValueError("one\npixel wide")
        return Extracted(np.ones((len(dialogue), 2), np.float32), np.ones(len(dialogue), bool), ("",) * len(dialogue))


def worked(tmp_path, fails, names):
    worker = Worker({"text": lambda: Moody(fails)}, "run")
    dialogues = recordings().dialogues()
    for name in names:
        part = str(tmp_path / f"{name}.arrow")
        worker({"modality": "text", "utterances": DIALOGUE.dump_json(dialogues[name]).decode(), "part": part})


def test_an_error_in_one_dialogue_is_a_note(tmp_path):
    worked(tmp_path, {"d1"}, ["d1", "d0", "d2"])  # also where it comes first, or is all that is left of a stopped run
    assert load_part(tmp_path / "d1.arrow").notes[0] == "given up: ValueError in the extractor (one pixel wide)"
    assert load_part(tmp_path / "d2.arrow").present.all()


def test_an_extractor_that_never_works_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="pixel"):
        worked(tmp_path, {"d0", "d1", "d2"}, ["d0", "d1", "d2"])


def test_an_estimate_extracts_one_dialogue_and_keeps_nothing(tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    cost = ExtractionJob(recordings(), tmp_path / "parts", (stage(calls),), None).estimate()[0]
    assert (cost.name, cost.done, cost.total, cost.utterances) == ("text", 0, DIALOGUES, DIALOGUES * TURNS)
    assert cost.seconds > 0
    assert len(list(calls.iterdir())) == 1
    assert not (tmp_path / "parts").exists()


@pytest.mark.cluster
def test_extracts_every_dialogue_once_and_survives_poison(ray_cluster, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    seen = []
    job = partial(ExtractionJob, recordings(), tmp_path / "parts", workers=2)
    parts = job((stage(calls, poison="d5"),)).run(seen.append)["text"]
    dialogues = recordings().dialogues()
    for number, (name, dialogue) in enumerate(dialogues.items()):
        found = load_part(parts.path(dialogue))
        if name == "d5":
            assert not found.present.any()
            assert found.notes[0].startswith("given up: the process ended 2 times")
        else:
            assert found.vectors.tolist() == [[number, turn] for turn in range(TURNS)]
    assert len(list(calls.iterdir())) == DIALOGUES + 1  # the poisoned one was tried twice
    assert [p.done for p in seen] == list(range(DIALOGUES + 1))
    assert (seen[-1].utterances, seen[-1].present) == (DIALOGUES * TURNS, (DIALOGUES - 1) * TURNS)
    assert not list(tmp_path.rglob("*.tried-*"))

    parts.path(dialogues["d2"]).unlink()
    job((stage(calls),)).run(seen.append)
    assert len(list(calls.iterdir())) == DIALOGUES + 2
    assert (calls / "d2-1").exists()
    with pytest.raises(UserError, match="vectors of text would come from 'noting 1', must come from 'noting 2'"):
        job((stage(calls),)).run(seen.append, {"text": "noting 2"})
