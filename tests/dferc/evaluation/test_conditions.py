import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from dferc.evaluation.conditions import (
    dialogue_length,
    emotion_shift,
    group_score,
    seen_speaker,
    telling,
    turn_position,
)

DIALOGUES = np.array(["a"] * 6 + ["b"] * 2, dtype=object)
SPEAKERS = np.array(["X", "Y", "X", "X", "Y", "X", "X", "X"], dtype=object)
LABELS = np.array([0, 1, 0, -1, 0, 2, 2, 2])
UTTERANCES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(-1, 3)), min_size=1, max_size=60)


def names_of(groups):
    """The group of each utterance, None for one in no group; it may be in one only."""
    masks = np.stack(list(groups.values()))
    assert masks.sum(0).max() <= 1
    return [list(groups)[int(column.argmax())] if column.any() else None for column in masks.T]


def test_shift_is_against_the_speakers_own_labelled_utterance_before() -> None:
    first, kept, shift = "speaker's first", "emotion kept", "emotion shift"
    # X's unlabelled fourth utterance is passed over; in dialogue b X starts anew.
    assert names_of(emotion_shift(LABELS, DIALOGUES, SPEAKERS)) == [first, first, kept, None, shift, shift, first, kept]


@given(UTTERANCES)
def test_shift_agrees_with_looking_back_one_by_one(utterances) -> None:
    utterances = sorted(utterances, key=lambda u: u[0])
    dialogues, speakers, labels = (np.array(column) for column in zip(*utterances, strict=True))
    found = names_of(emotion_shift(labels, dialogues, speakers))
    for row, name in enumerate(found):
        earlier = [
            labels[r]
            for r in range(row)
            if (dialogues[r], speakers[r]) == (dialogues[row], speakers[row]) and labels[r] >= 0
        ]
        if labels[row] < 0:
            assert name is None
        elif not earlier:
            assert name == "speaker's first"
        else:
            assert name == ("emotion kept" if earlier[-1] == labels[row] else "emotion shift")


def test_turns_are_counted_from_one_in_each_dialogue() -> None:
    dialogues = np.array(["a"] * 12 + ["b"] * 2, dtype=object)
    expected = ["turn 1"] + ["turns 2–4"] * 3 + ["turns 5–9"] * 5 + ["turns 10+"] * 3 + ["turn 1", "turns 2–4"]
    assert names_of(turn_position(dialogues)) == expected


def test_lengths_part_the_dialogues_into_thirds() -> None:
    lengths = [2, 9, 4, 3, 8, 20]
    dialogues = np.repeat([f"d{number}" for number in range(6)], lengths)
    groups = dialogue_length(dialogues)
    assert [len(set(dialogues[mask])) for mask in groups.values()] == [2, 2, 2]
    assert [sorted({lengths[int(d[1])] for d in dialogues[mask]}) for mask in groups.values()] == [
        [2, 3],
        [4, 8],
        [9, 20],
    ]
    assert list(groups)[:2] == ["short dialogues (≤3)", "medium dialogues (≤8)"]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_every_utterance_has_one_length_and_one_place(lengths) -> None:
    dialogues = np.repeat(np.arange(len(lengths)), lengths)
    for groups in (dialogue_length(dialogues), turn_position(dialogues)):
        assert np.stack(list(groups.values())).sum(0).tolist() == [1] * len(dialogues)


def test_a_condition_that_all_utterances_share_tells_nothing() -> None:
    labels = np.array([0, 1, -1])
    assert telling(seen_speaker(np.array([True, True, True])), labels) == {}
    assert telling(seen_speaker(np.array([True, True, False])), labels) == {}  # the unseen one has no label
    found = telling(seen_speaker(np.array([True, False, False])), labels)
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "seen speakers": [True, False, False],
        "unseen speakers": [False, True, False],
    }
    assert telling(dialogue_length(np.array(["a", "a", "b", "b"])), np.zeros(4, int)) == {}


@pytest.mark.parametrize(("metric", "average"), [("weighted_f1", "weighted"), ("macro_f1", "macro")])
def test_score_of_a_group_is_that_of_its_utterances_alone(metric, average) -> None:
    rng = np.random.default_rng(0)
    labels, predicted, group = rng.integers(0, 4, 50), rng.integers(0, 4, (3, 50)), rng.random(50) < 0.4
    expected = np.mean([f1_score(labels[group], seed[group], average=average) for seed in predicted])
    assert group_score(labels, predicted, group, 6, metric) == pytest.approx(100 * expected)
