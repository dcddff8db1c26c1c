"""What the soak and the tests of survival call lost, duplicated and changed."""

from dataclasses import replace

import pytest
from chaos.seen import Trial, compare

HISTORY = tuple(
    {"epoch": epoch, "epoch_seconds": 0.1 * epoch, "validation/loss/total": 1 / epoch} for epoch in (1, 2, 3)
)
FIRST = Trial(
    "a", 0, "FINISHED", {"beta": 0.1}, {"validation/weighted_f1": 60.0}, 3, HISTORY, {"best": "0f"}, curve=(1, 2, 3)
)
SECOND = replace(FIRST, key="b", number=1, varied={"beta": 0.2})
REFERENCE = {"a": FIRST, "b": SECOND}
WORSE = ({**HISTORY[0], "validation/loss/total": 7.0}, *HISTORY[1:])
SLOWER = tuple(line | {"epoch_seconds": 9.0} for line in HISTORY)


def test_what_is_the_same_but_for_its_times_does_not_differ():
    assert not compare({"a": FIRST, "b": replace(SECOND, history=SLOWER)}, REFERENCE)


@pytest.mark.parametrize(
    ("trials", "sentence"),
    [
        ({"a": FIRST}, "trial 1 is lost"),
        ({"a": FIRST, "b": replace(SECOND, tracked=(), curve=None)}, "trial 1 is not in MLflow"),
        ({"a": FIRST, "b": replace(SECOND, curve=(1, 3))}, "trial 1: MLflow lacks epoch 2"),
    ],
)
def test_what_is_lost_is_named(trials, sentence):
    found = compare(trials, REFERENCE)
    assert (found.lost, found.duplicated, found.changed) == ([sentence], [], [])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tracked": ("FINISHED", "FINISHED")}, "trial 1 is in MLflow 2 times"),
        ({"curve": (1, 2, 2, 3)}, "trial 1: MLflow has epoch 2 twice"),
        ({"asked": 2}, "trial 1 was proposed 2 times"),
    ],
)
def test_what_is_there_twice_is_named(changes, sentence):
    found = compare({"a": FIRST, "b": replace(SECOND, **changes)}, REFERENCE)
    assert (found.lost, found.duplicated, found.changed) == ([], [sentence], [])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metrics": {"validation/weighted_f1": 60.1}}, "trial 1: metrics is {'validation/weighted_f1': 60.1}, not"),
        ({"number": 2}, "trial 1: number is 2, not 1"),
        ({"status": "FAILED"}, "trial 1: status is FAILED, not FINISHED"),
        ({"tracked": ("RUNNING",)}, "trial 1: MLflow says RUNNING, not FINISHED"),
        ({"history": HISTORY[:2]}, "trial 1: 2 epochs, not 3"),
        ({"history": WORSE}, "trial 1: epoch 1 has other numbers"),
        ({"files": {"best": "1f"}}, "trial 1: best has other bytes"),
    ],
)
def test_what_is_not_as_it_was_is_named(changes, sentence):
    found = compare({"a": FIRST, "b": replace(SECOND, **changes)}, REFERENCE)
    assert (found.lost, found.duplicated) == ([], [])
    assert [said[: len(sentence)] for said in found.changed] == [sentence]


def test_a_trial_that_nobody_asked_for_is_a_change():
    assert compare({**REFERENCE, "c": replace(FIRST, key="c", number=2)}, REFERENCE).changed
