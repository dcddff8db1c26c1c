import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dferc.errors import UserError
from dferc.evaluation.metrics import score
from dferc.evaluation.statistics import (
    FlatRegion,
    bootstrap_difference,
    flat_region,
    holm,
    mean_interval,
    paired_difference,
)

SCORES = st.floats(0, 100)


def test_known_t_interval() -> None:
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    # t(0.975, 4) = 2.776445 from the table, standard error sqrt(2.5 / 5)
    assert interval.mean == 3.0
    assert interval.half_width == pytest.approx(2.776445 * math.sqrt(0.5), abs=1e-5)
    assert interval.high == pytest.approx(3 + interval.half_width)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval([7.0, 7.0]).half_width == 0


def test_one_seed_has_no_interval() -> None:
    interval = mean_interval([60.0])
    assert interval.mean == 60.0
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_no_seed_is_refused() -> None:
    with pytest.raises(UserError, match="no finished run"):
        mean_interval([])


def test_t_interval_covers_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).normal(50, 3, size=(1000, 4))
    intervals = [mean_interval(sample) for sample in samples]
    covered = np.mean([i.low <= 50 <= i.high for i in intervals])
    assert 0.93 < covered < 0.97


def test_paired_difference_cancels_what_the_seed_does() -> None:
    seeds = np.array([0.0, 10.0, 20.0])
    interval = paired_difference(seeds + np.array([1.0, 2.0, 3.0]), seeds)
    assert interval.mean == pytest.approx(2)
    assert interval.half_width == pytest.approx(4.302653 / math.sqrt(3), abs=1e-5)


def test_unpaired_values_are_refused() -> None:
    with pytest.raises(UserError, match="2 against 1"):
        paired_difference([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("means", "half_widths", "expected"),
    [
        ([60, 64, 65, 64.5, 50], [1, 1, 1, 1, 1], (0.1, 0.05, 0.2)),
        ([64.9, 60, 65, 64, 64], [1, 9, 1, 9, 9], (0.1, 0.1, 0.4)),  # what is good beyond a dip is no part of it
        ([65, 60, 60, 60, 60], [1, 1, 1, 1, 1], (0.0, 0.0, 0.0)),
        ([60, 60, 60, 60, 60], [0, 0, 0, 0, 0], (0.0, 0.0, 0.4)),
        ([60, 64, 65, 64.5, 50], [math.nan] * 5, (0.1, 0.1, 0.1)),  # one seed
        ([60, math.nan, 65, 64.5, math.nan], [1] * 5, (0.1, 0.1, 0.2)),  # runs that failed
    ],
)
def test_flat_region(means: list[float], half_widths: list[float], expected: tuple[float, float, float]) -> None:
    betas = [0.0, 0.05, 0.1, 0.2, 0.4]
    assert flat_region(betas, means, half_widths) == FlatRegion(*expected)
    assert flat_region(betas[::-1], means[::-1], half_widths[::-1]) == FlatRegion(*expected)


@given(st.lists(st.tuples(SCORES, st.floats(0, 10)), min_size=1, max_size=12))
def test_flat_region_holds_the_best_and_nothing_worse(rows: list[tuple[float, float]]) -> None:
    means, half_widths = zip(*rows, strict=True)
    region = flat_region(range(len(rows)), means, half_widths)
    best = means.index(max(means))
    assert region.low <= region.best == best <= region.high
    inside = means[int(region.low) : int(region.high) + 1]
    assert min(inside) >= means[best] - half_widths[best]


def test_no_finished_run_has_no_flat_region() -> None:
    with pytest.raises(UserError, match="no finished run"):
        flat_region([0.1], [math.nan], [math.nan])


def conversations(seed: int, dialogues: int = 40, turns: int = 8) -> tuple[np.ndarray, ...]:
    """Labels, predictions of a run that errs in whole dialogues and of one that errs anywhere, dialogue ids."""
    random = np.random.default_rng(seed)
    dialogue = np.repeat(np.arange(dialogues), turns)
    labels = random.integers(0, 3, dialogue.size)
    wrong = (labels + 1) % 3
    by_dialogue = np.where((random.random(dialogues) < 0.3)[dialogue], wrong, labels)
    anywhere = np.where(random.random(dialogue.size) < 0.3, wrong, labels)
    return labels, by_dialogue, anywhere, dialogue


@pytest.mark.parametrize("metric", ["weighted_f1", "macro_f1", "accuracy"])
def test_bootstrap_equals_resampling_by_hand(metric: str) -> None:
    labels, a, b, dialogue = conversations(0, dialogues=6)
    interval = bootstrap_difference(labels, a, b, dialogue.astype(str), metric, resamples=300, seed=5)

    def difference(rows: np.ndarray) -> float:
        of_a, of_b = (score(labels[rows], np.eye(3)[p[rows]], "xyz").as_metrics("")[f"/{metric}"] for p in (a, b))
        return of_a - of_b

    counts = np.random.default_rng(5).multinomial(6, np.full(6, 1 / 6), size=300)
    drawn = [np.concatenate([np.flatnonzero(dialogue == d) for d in np.repeat(np.arange(6), n)]) for n in counts]
    low, high = np.quantile([difference(rows) for rows in drawn], [0.025, 0.975])
    assert interval.mean == pytest.approx(difference(np.arange(len(labels))))
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_bootstrap_of_seeds_is_of_their_mean() -> None:
    labels, a, b, dialogue = conversations(4)
    alone = [bootstrap_difference(labels, run, b, dialogue, resamples=50).mean for run in (a, b, labels)]
    several = bootstrap_difference(labels, np.stack([a, b, labels]), np.stack([b, b]), dialogue, resamples=50)
    assert several.mean == pytest.approx(np.mean(alone))


def test_a_clear_difference_has_a_small_p_and_none_has_one() -> None:
    labels, _, b, dialogue = conversations(5)
    assert bootstrap_difference(labels, labels, b, dialogue, resamples=999).p == 2 / 1000
    assert bootstrap_difference(labels, b, b, dialogue, resamples=99).p == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(values: list[float]) -> None:
    for p, adjusted in zip(values, holm(values), strict=True):
        assert p <= adjusted <= min(1, p * len(values)) + 1e-12


def test_bootstrap_of_a_run_against_itself_is_zero() -> None:
    labels, a, _, dialogue = conversations(1)
    interval = bootstrap_difference(labels, a, a, dialogue, resamples=100)
    assert (interval.mean, interval.low, interval.high) == (0, 0, 0)


def test_errors_that_come_in_whole_dialogues_widen_the_interval() -> None:
    labels, by_dialogue, _, dialogue = conversations(2)
    clustered = bootstrap_difference(labels, by_dialogue, labels, dialogue, resamples=2000)
    independent = bootstrap_difference(labels, by_dialogue, labels, np.arange(len(labels)), resamples=2000)
    assert clustered.half_width > 1.5 * independent.half_width


def test_bootstrap_covers_about_as_often_as_it_says() -> None:
    covered = []
    for seed in range(100):
        labels, a, b, dialogue = conversations(seed)
        interval = bootstrap_difference(labels, a, b, dialogue, "accuracy", resamples=500)
        covered.append(interval.low <= 0 <= interval.high)  # both err in 30 % of the utterances
    assert np.mean(covered) > 0.88


def test_unlabelled_utterances_change_nothing() -> None:
    labels, a, b, dialogue = conversations(3)
    more = [np.concatenate([column, [extra]]) for column, extra in ((labels, -1), (a, 2), (b, 0), (dialogue, 99))]
    assert bootstrap_difference(*more, resamples=50) == bootstrap_difference(labels, a, b, dialogue, resamples=50)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(UserError, match="none of the 2 utterances"):
        bootstrap_difference(np.array([-1, -1]), np.zeros(2, int), np.zeros(2, int), np.zeros(2, int))
