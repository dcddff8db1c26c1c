"""Recordings and their vectors become a corpus file: to the last bit, standardised by train alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dferc.corpus import Corpus, CorpusCard, Modality
from dferc.corpus.contract import Scaling
from dferc.corpus.recordings import RecordedUtterance, Recordings
from dferc.encoders.assembly import Made, check_recordings, write_corpus
from dferc.encoders.extractor import Extracted
from dferc.errors import UserError

SPLITS = ("train", "train", "validation", "test")
WIDTH = 3


def recordings(lengths, text="hello", label="glad"):
    card = CorpusCard(
        name="small", labels=("calm", "glad"), modalities={}, source="a test", licence="none", split_note="by number"
    )
    utterances = tuple(
        RecordedUtterance(f"d{i}", turn, "A", SPLITS[i % 4], label, text)
        for i, length in enumerate(lengths)
        for turn in range(length)
    )
    return Recordings(card, utterances)


def corpus_of(lengths, vectors, path, present=None, scaling=None, **changes):
    """The corpus of dialogues d0, d1, ... whose vectors [N, D] stand in this order."""
    present = np.ones(len(vectors), bool) if present is None else present
    held, at = {}, 0
    for i, length in enumerate(lengths):
        here = slice(at, at + length)
        notes = tuple("" if found else "nothing there" for found in present[here])
        held[f"d{i}"] = Extracted(vectors[here], present[here], notes)
        at += length
    modality = Modality(width=vectors.shape[1], extractor="random 1", parameters={"seed": 0}, weights="abc")
    audio = Made(modality, lambda dialogue: held[dialogue[0].dialogue], scaling)
    write_corpus(recordings(lengths, **changes), {"audio": audio}, path)
    return Corpus.open(path)


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_vectors_arrive_to_the_last_bit(lengths, seed, tmp_path_factory):
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(sum(lengths), WIDTH)).astype(np.float32)
    present = draw.random(sum(lengths)) < 0.7
    vectors[~present] = 0
    corpus = corpus_of(lengths, vectors, tmp_path_factory.mktemp("corpus") / "c.parquet", present)
    assert np.array_equal(corpus.features("audio")[present], vectors[present])
    assert np.array_equal(corpus.present("audio"), present)


def test_every_row_says_what_made_it(tmp_path):
    present = np.array([True, False, True])
    corpus = corpus_of([3], np.ones((3, WIDTH), np.float32), tmp_path / "c.parquet", present)
    rows = corpus.table["extraction.audio"].to_pylist()
    assert {row["extractor"] for row in rows} == {"random 1; seed=0; weights sha256:abc"}
    assert [row["note"] for row in rows] == ["", "nothing there", ""]


def test_standardised_by_train_alone(tmp_path):
    lengths = [4, 4, 4, 4]
    vectors = np.random.default_rng(0).normal(5, 2, (16, WIDTH)).astype(np.float32)
    vectors[:, 2] = 7
    first = corpus_of(lengths, vectors, tmp_path / "a.parquet", scaling=10.0)
    train = first.features("audio")[first.rows("train")]
    assert np.allclose(train[:, :2].mean(0), 0, atol=1e-6)
    assert np.allclose(train[:, :2].std(0), 1, atol=1e-6)
    assert np.all(train[:, 2] == 0)
    vectors[8:] *= 1e6  # validation and test
    second = corpus_of(lengths, vectors, tmp_path / "b.parquet", scaling=10.0)
    assert second.card.modalities["audio"].scaling == first.card.modalities["audio"].scaling
    assert np.array_equal(second.features("audio")[:8], train)
    assert np.abs(second.features("audio")).max() == 10


def test_follows_the_standardisation_of_another_corpus(tmp_path):
    scaling = Scaling(mean=(1.0, 2.0, 3.0), scale=(2.0, 1.0, 4.0), clip=5.0)
    corpus = corpus_of([2], np.array([[3, 2, -1], [1, 99, 3]], np.float32), tmp_path / "c.parquet", scaling=scaling)
    assert corpus.features("audio").tolist() == [[1, 0, -1], [0, 5, 0]]
    assert corpus.card.modalities["audio"].scaling == scaling


def test_dialogues_without_anything_are_dropped_and_told(tmp_path):
    present = np.array([True, True, False, False])
    corpus = corpus_of([2, 2], np.ones((4, WIDTH), np.float32), tmp_path / "c.parquet", present, text=None)
    assert [d.id for d in corpus.dialogues] == ["d0"]
    assert "1 dialogues were dropped" in corpus.card.repairs[0]
    with pytest.raises(UserError, match="nothing could be extracted from small"):
        corpus_of([2], np.ones((2, WIDTH), np.float32), tmp_path / "none.parquet", np.zeros(2, bool), text=None)
    assert not (tmp_path / "none.parquet").exists()


def test_many_dialogues_are_written_in_pieces(tmp_path):
    lengths = [50] * 90  # more than two pieces
    vectors = np.random.default_rng(0).normal(size=(sum(lengths), 1)).astype(np.float32)
    corpus = corpus_of(lengths, vectors, tmp_path / "c.parquet")
    order = np.argsort([f"d{i}" for i in range(90)])
    assert np.array_equal(corpus.features("audio").reshape(90, 50), vectors.reshape(90, 50)[order])


def test_recordings_that_break_the_contract_are_refused_before_extraction():
    twice = recordings([2])
    with pytest.raises(UserError, match="turn 0 of dialogue 'd0' occurs 2 times"):
        check_recordings(Recordings(twice.card, twice.utterances + twice.utterances[:1]))
    check_recordings(recordings([2, 3], text=None))


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        corpus_of([1], np.ones((1, WIDTH), np.float32), Path(tmp_path / "file" / "c.parquet"))
