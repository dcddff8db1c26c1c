import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from dferc.errors import UserError
from dferc.evaluation.metrics import Scores, score

NAMES = ("neutral", "joy", "anger", "fear")


def one_hot(predicted: np.ndarray) -> np.ndarray:
    return np.eye(len(NAMES), dtype=np.float32)[predicted]


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels (some missing, one at least known) and probabilities."""
    classes = st.integers(0, len(NAMES) - 1)
    rows = draw(st.lists(st.tuples(st.one_of(st.just(-1), classes), classes), max_size=30))
    rows.append((draw(classes), draw(classes)))
    labels, predicted = np.array(rows).T
    return labels, one_hot(predicted)


@given(scored())
def test_equals_scikit_learn_on_the_labelled_rows(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = case
    truth, predicted = labels[labels >= 0], probabilities.argmax(1)[labels >= 0]
    scores = score(labels, probabilities, NAMES)
    assert scores.weighted_f1 == pytest.approx(100 * f1_score(truth, predicted, average="weighted", zero_division=0))
    assert scores.macro_f1 == pytest.approx(100 * f1_score(truth, predicted, average="macro", zero_division=0))
    assert scores.accuracy == pytest.approx(100 * accuracy_score(truth, predicted))


@given(scored())
def test_bounded_and_complete(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = case
    scores = score(labels, probabilities, NAMES)
    assert all(0 <= value <= 100 + 1e-9 for value in scores.as_metrics("test").values())
    assert np.sum(scores.confusion) == (labels >= 0).sum()


@given(scored(), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(case: tuple[np.ndarray, np.ndarray], random: object) -> None:
    labels, probabilities = case
    order = np.array(random.sample(range(len(labels)), len(labels)))
    assert score(labels, probabilities, NAMES) == score(labels[order], probabilities[order], NAMES)


@given(scored())
def test_unlabelled_rows_change_nothing(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = case
    more = np.concatenate([labels, np.full(3, -1)])
    with_more = score(more, np.concatenate([probabilities, np.full((3, len(NAMES)), np.nan)]), NAMES)
    assert with_more == score(labels, probabilities, NAMES)


def test_known_values_and_names() -> None:
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    scores = score(labels, one_hot(predicted), NAMES)
    assert scores.as_metrics("validation") == pytest.approx(
        {
            "validation/weighted_f1": 0.75 * 80 + 0.25 * 200 / 3,
            "validation/macro_f1": (80 + 200 / 3) / 2,
            "validation/accuracy": 75.0,
            "validation/f1/neutral": 80.0,
            "validation/f1/joy": 200 / 3,
            "validation/f1/anger": 0.0,
            "validation/f1/fear": 0.0,
        }
    )
    assert scores.confusion == ((2, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))


def test_class_that_is_never_predicted_scores_zero_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score(np.array([0, 1, 1]), one_hot(np.array([0, 0, 0])), NAMES)
    assert scores.f1["joy"] == 0.0
    assert isinstance(scores, Scores)


@pytest.mark.parametrize("labels", [np.empty(0, np.int64), np.array([-1, -1])])
def test_nothing_to_score_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(UserError, match=f"none of the {len(labels)} utterances"):
        score(labels, np.zeros((len(labels), len(NAMES))), NAMES)


def test_diverged_model_is_refused() -> None:
    with pytest.raises(UserError, match="diverged"):
        score(np.array([0]), np.full((1, len(NAMES)), np.nan), NAMES)
