"""Lanes hold every utterance once, dialogues whole and apart, in little room."""

from hypothesis import given
from hypothesis import strategies as st

from dferc.corpus.lanes import Lanes

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=20)


@given(lengths=LENGTHS)
def test_every_utterance_has_one_place(lengths):
    lanes = Lanes.of(lengths)
    total = sum(lengths)
    assert lanes.utterance.flatten()[lanes.place].tolist() == list(range(total))
    assert (lanes.utterance < total).sum() == total


@given(lengths=LENGTHS)
def test_dialogues_lie_whole_and_apart(lengths):
    lanes = Lanes.of(lengths)
    total, start = sum(lengths), 0
    width = lanes.utterance.shape[1]
    flat = lanes.utterance.flatten()
    for length in lengths:
        places = lanes.place[start : start + length].tolist()
        assert places == list(range(places[0], places[0] + length))
        assert places[0] // width == places[-1] // width
        if places[0] % width:
            assert flat[places[0] - 1] == total
        if (places[-1] + 1) % width:
            assert flat[places[-1] + 1] == total
        start += length


@given(lengths=LENGTHS)
def test_there_are_no_more_lanes_than_dialogues_and_none_is_longer_than_the_longest(lengths):
    lanes = Lanes.of(lengths)
    assert lanes.utterance.shape[0] <= len(lengths)
    assert lanes.utterance.shape[1] == max(lengths)


def test_nothing_gives_one_empty_place():
    lanes = Lanes.of([])
    assert lanes.utterance.tolist() == [[0]]
    assert len(lanes.place) == 0
