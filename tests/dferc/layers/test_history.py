"""Slots of what was said before, and GRUs that run over them."""

import torch

from dferc.corpus import collate
from dferc.layers.history import History
from dferc.layers.parallel_gru import ParallelGRU


def test_last_slot_holds_the_utterance_before(make_corpus):
    corpus = make_corpus([4, 2, 6])
    batch = collate(corpus, corpus.split("train"), ["text"])
    history = History.of(batch, slots=3)
    speakers = batch.speakers
    for n, place in enumerate(batch.valid.tolist()):
        dialogue, turn = divmod(place, batch.mask.shape[1])
        for slot, back in enumerate([3, 2, 1]):
            exists = turn >= back
            same = exists and bool(speakers[dialogue, turn - back] == speakers[dialogue, turn])
            assert bool(history.own[n, slot]) == same
            assert bool(history.other[n, slot]) == (exists and not same)
            assert not exists or int(history.utterance[n, slot]) == n - back


def test_others_are_all_who_are_not_the_speaker(make_corpus):
    corpus = make_corpus([12])
    batch = collate(corpus, corpus.split("train"), ["text"])
    assert len(batch.speakers.unique()) == 3
    history = History.of(batch, slots=11)
    assert torch.equal(history.filled.sum(1), torch.arange(12))
    assert not (history.own & history.other).any()


def test_slots_that_nobody_fills_are_left_out(make_corpus):
    corpus = make_corpus([4])
    history = History.of(collate(corpus, corpus.split("train"), ["text"]), slots=40)
    assert history.own.shape == (4, 3)
    assert history.empty_before == 37


def test_empty_slots_in_front_count_as_zeros():
    gru = ParallelGRU(("one", "two"), 4, 3)
    inputs = torch.randn(2, 5, 6, 4)
    inputs[:, :, :4] = 0
    whole = gru(gru.project(inputs))
    rest = gru(gru.project(inputs[:, :, 4:]), empty_before=4)
    torch.testing.assert_close(rest, whole[:, :, 4:])


def test_a_gru_stays_where_it_does_not_step():
    gru = ParallelGRU(("one", "two"), 4, 3)
    projected = gru.project(torch.randn(2, 5, 3, 4))
    steps = torch.tensor([True, False, True]).expand(2, 5, 3)
    states = gru(projected, steps)
    torch.testing.assert_close(states[:, :, 1], states[:, :, 0])
    torch.testing.assert_close(states[:, :, 2], gru(projected[:, :, [0, 2]])[:, :, 1])
