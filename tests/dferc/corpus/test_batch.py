"""Batches: padding is zero and masked, and nothing is lost on the way there and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dferc.corpus import collate
from dferc.corpus.batch import NO_LABEL

MODALITIES = ("text", "audio", "visual")
LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=6)
unhurried = settings(deadline=None, max_examples=30)


def batch_of(corpus, modalities=MODALITIES):
    return collate(corpus, corpus.dialogues, modalities)


@unhurried
@given(lengths=LENGTHS, seed=st.integers(0, 9), width=st.integers(1, 4))
def test_flat_and_padded_are_inverse(make_corpus, lengths, seed, width):
    batch = batch_of(make_corpus(lengths, seed=seed))
    flat = torch.randn(sum(lengths), width)
    padded = batch.padded(flat)
    assert padded.shape == (len(lengths), max(lengths), width)
    assert torch.equal(batch.flat(padded), flat)
    assert torch.equal(padded[~batch.mask], torch.zeros(int((~batch.mask).sum()), width))


@unhurried
@given(lengths=LENGTHS, seed=st.integers(0, 9))
def test_a_batch_holds_the_rows_of_its_dialogues(make_corpus, lengths, seed):
    corpus = make_corpus(lengths, seed=seed)
    batch = batch_of(corpus)
    rows = batch.flat(batch.rows).numpy()
    assert rows.tolist() == list(range(sum(lengths)))
    assert batch.lengths.tolist() == lengths
    assert batch.mask.sum(1).tolist() == lengths
    assert np.array_equal(batch.flat(batch.labels), corpus.labels[rows])
    assert np.array_equal(batch.flat(batch.speakers), corpus.parties[rows])
    for name in MODALITIES:
        present = corpus.present(name)
        assert np.array_equal(batch.flat(batch.present[name]), present)
        assert np.array_equal(batch.flat(batch.features[name])[present], corpus.features(name)[present])


@unhurried
@given(lengths=LENGTHS)
def test_padding_and_missing_vectors_are_zero(make_corpus, lengths):
    batch = batch_of(make_corpus(lengths, missing=0.5))
    padding = ~batch.mask
    for name in MODALITIES:
        assert not batch.features[name][~batch.present[name]].any()
        assert not batch.present[name][padding].any()
    assert (batch.labels[padding] == NO_LABEL).all()
    assert (batch.rows[padding] == -1).all()


def test_rows_follow_the_order_of_the_dialogues_given(corpus):
    first, second = corpus.dialogues[:2]
    batch = collate(corpus, [second, first], ["audio"])
    wanted = [*range(second.start, second.stop), *range(first.start, first.stop)]
    assert batch.flat(batch.rows).tolist() == wanted
    assert list(batch.features) == ["audio"]


def test_no_dialogue_gives_one_row_of_padding(corpus):
    batch = collate(corpus, [], MODALITIES)
    assert batch.mask.shape == (1, 1)
    assert not batch.mask.any()
    assert batch.valid.numel() == 0
    assert batch.flat(batch.labels).shape == (0,)
    assert batch.padded(torch.zeros(0, 3)).shape == (1, 1, 3)


def test_parties_are_numbers_of_first_appearance(corpus):
    speakers = batch_of(corpus).speakers
    assert (speakers[:, 0] == 0).all()
    for row in speakers.tolist():
        assert max(row) < len(set(row)) + 1


def test_a_batch_never_writes_into_the_corpus(corpus):
    before = corpus.features("text").copy()
    batch = batch_of(corpus)
    batch.features["text"].fill_(9.0)
    assert np.array_equal(corpus.features("text"), before)


def test_moving_a_batch_moves_every_tensor(corpus):
    moved = batch_of(corpus).to("meta")
    tensors = [moved.mask, moved.valid, moved.lengths, moved.labels, moved.speakers, moved.rows]
    tensors += [*moved.features.values(), *moved.present.values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_padded_keeps_the_type(corpus, dtype):
    batch = batch_of(corpus)
    assert batch.padded(torch.ones(len(batch.valid), dtype=dtype)).dtype == dtype
