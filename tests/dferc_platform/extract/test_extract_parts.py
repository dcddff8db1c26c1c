"""Finished dialogues on disk: found again when nothing changed, and only then."""

import os
from dataclasses import replace

import numpy as np
import pytest

from dferc.corpus import Modality
from dferc.corpus.recordings import Clip, RecordedUtterance
from dferc.encoders.extractor import Extracted
from dferc_platform.extract.parts import Parts, load_part, save_part

MODALITY = Modality(width=2, extractor="e 1", parameters={"a": 1}, weights="w")


@pytest.fixture
def utterance(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"sound")
    clip = Clip(str(tmp_path / "a.wav"), 0.0, 1.5)
    return RecordedUtterance("d1", 0, "A", "train", "glad", "hello", clip, clip)


def test_vectors_come_back_to_the_last_bit(tmp_path):
    present = np.array([True, False, True])
    vectors = np.where(present[:, None], np.random.default_rng(0).normal(size=(3, 2)), 0).astype(np.float32)
    save_part(Extracted(vectors, present, ("", "no face", "")), tmp_path / "part.arrow")
    back = load_part(tmp_path / "part.arrow")
    assert np.array_equal(back.vectors, vectors)
    assert np.array_equal(back.present, present)
    assert back.notes == ("", "no face", "")


def test_a_dialogue_without_any_vector_comes_back(tmp_path):
    save_part(Extracted(np.zeros((2, 5), np.float32), np.zeros(2, bool), ("a", "b")), tmp_path / "part.arrow")
    assert load_part(tmp_path / "part.arrow").vectors.shape == (2, 5)


@pytest.mark.parametrize("name", ["text", "comet", "audio", "visual"])
def test_what_a_vector_does_not_depend_on_changes_nothing(tmp_path, utterance, name):
    parts = Parts(tmp_path, name, MODALITY)
    other = replace(utterance, label=None, split="test", speaker="B")
    assert parts.path([utterance]) == parts.path([other])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("text", {"text": "bye"}),
        ("text", {"dialogue": "d2"}),
        ("comet", {"text": "bye"}),
        ("audio", {"audio": None}),
        ("audio", {"audio": Clip("elsewhere.wav")}),
        ("visual", {"video": Clip("a.wav", region="left")}),
    ],
)
def test_what_a_vector_depends_on_makes_a_new_part(tmp_path, utterance, name, change):
    parts = Parts(tmp_path, name, MODALITY)
    assert parts.path([utterance]) != parts.path([replace(utterance, **change)])


def test_a_recording_that_changed_makes_a_new_part(tmp_path, utterance):
    parts = Parts(tmp_path, "audio", MODALITY)
    before = parts.path([utterance])
    os.utime(utterance.audio.path, (1, 1))
    assert parts.path([utterance]) != before


@pytest.mark.parametrize("change", [{"extractor": "e 2"}, {"parameters": {"a": 2}}, {"weights": "v"}])
def test_another_extractor_makes_other_parts(tmp_path, utterance, change):
    other = Parts(tmp_path, "text", MODALITY.model_copy(update=change))
    assert Parts(tmp_path, "text", MODALITY).path([utterance]) != other.path([utterance])
