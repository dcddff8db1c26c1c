from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from dferc.errors import UserError
from dferc.evaluation.ranks import EXACT, Ranking, count_apart, dialogue_accuracy, groups, rank, signed_rank_p
from dferc.evaluation.statistics import holm

# Ranks of four variants of C4.5 on 14 data sets: table 6 of Demsar (2006), JMLR 7, pages 1-30.
DEMSAR = np.array(
    [
        [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1],
        [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)  # fmt: skip


def ranking_of(pairs, mean_ranks=None):
    """A ranking whose models come in this order, with these pairs told apart."""
    models = 1 + max(max(pair) for pair in pairs)
    p = np.ones((models, models))
    for a, b in pairs:
        p[a, b] = p[b, a] = 0.01
    return Ranking(9, np.arange(1.0, models + 1) if mean_ranks is None else np.array(mean_ranks), 1.0, 0.01, p)


def test_average_ranks_and_friedman_of_the_known_example() -> None:
    found = rank(100 - DEMSAR)
    assert found.blocks == 14
    assert found.mean_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # Printed there: 9.28, without the correction for ties, which divides by 1 - sum(t^3 - t) / (N k (k^2 - 1)).
    ties = 3 * (2**3 - 2) + (4**3 - 4)
    assert found.statistic * (1 - ties / (14 * 4 * (4**2 - 1))) == pytest.approx(9.28, abs=0.005)
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 3))


def test_known_signed_rank_p() -> None:
    # Eight blocks, all in favour of the first: 2 of the 2^8 signings are as extreme; three pairs, Holm.
    first = np.arange(1.0, 9)
    found = rank(np.stack([first * 3, first * 2, first * 1.25 - 1], axis=1))
    assert found.pairs[0, 1] == pytest.approx(3 * 2 / 2**8)
    assert found.mean_ranks.tolist() == [1, 2, 3]
    assert found.apart().tolist() == [[False, True, True], [True, False, True], [True, True, False]]
    assert count_apart(found) == (3, 3)


@given(st.lists(st.sampled_from([-0.5, -0.25, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=8))
def test_signed_rank_p_counts_all_signings(differences) -> None:
    ranks = stats.rankdata(np.abs(differences))
    ways = np.array([np.sign(differences) * signs @ ranks for signs in product([1, -1], repeat=len(differences))])
    away = np.abs(ways) >= abs(np.sign(differences) @ ranks) - 1e-9
    assert signed_rank_p(np.array(differences)) == pytest.approx(away.mean())


def test_signed_rank_p_is_scipys_where_scipy_is_exact_and_where_none_is() -> None:
    rng = np.random.default_rng(4)
    for blocks in (5, 20, EXACT):
        differences = rng.normal(0.3, 1, blocks)
        assert signed_rank_p(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
    many = rng.choice([-0.5, 0, 0.25, 0.5], 300)
    assert signed_rank_p(many) == pytest.approx(stats.wilcoxon(many, zero_method="pratt").pvalue)


def test_pairs_are_corrected_together() -> None:
    scores = np.random.default_rng(1).normal(size=(30, 4)) + np.array([0, 0.3, 0.6, 0.9])
    raw = [stats.wilcoxon(scores[:, a] - scores[:, b]).pvalue for a, b in zip(*np.triu_indices(4, 1), strict=True)]
    found = rank(scores)
    assert found.pairs[np.triu_indices(4, 1)] == pytest.approx(holm(raw), abs=1e-6)
    assert np.array_equal(found.pairs, found.pairs.T)


def test_a_pair_does_not_depend_on_who_else_takes_part() -> None:
    scores = np.random.default_rng(2).normal(size=(25, 3)) + np.array([0, 0.5, 0])
    bad = np.repeat(scores.min(1, keepdims=True) - 1, 2, axis=1)  # last in every block, and unlike anybody
    alone, in_company = rank(scores), rank(np.hstack([scores, bad]))
    raw = stats.wilcoxon(scores[:, 0] - scores[:, 1]).pvalue
    assert raw <= alone.pairs[0, 1] <= 3 * raw
    assert raw <= in_company.pairs[0, 1] <= 10 * raw


def test_equal_models_cannot_be_told_apart_and_share_a_rank() -> None:
    found = rank(np.repeat(np.random.default_rng(0).random((12, 1)), 3, axis=1))
    assert found.mean_ranks.tolist() == [2, 2, 2]
    assert found.p == 1
    assert groups(found) == [(0, 1, 2)]
    assert count_apart(found) == (0, 3)


def test_rounding_makes_no_rank() -> None:
    third = np.full(10, 1 / 3)
    found = rank(np.stack([third, third + 1e-15, third - 1e-15], axis=1))
    assert found.mean_ranks.tolist() == [2, 2, 2]


@settings(deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(3, 6)), elements=st.sampled_from([0, 0.25, 0.5, 1])))
def test_ranks_hold_what_ranks_must(scores) -> None:
    found = rank(scores)
    assert found.mean_ranks.sum() == pytest.approx(scores.shape[1] * (scores.shape[1] + 1) / 2)
    assert ((found.pairs >= 0) & (found.pairs <= 1)).all()
    assert np.diag(found.pairs).tolist() == [1] * scores.shape[1]
    order, apart = np.argsort(found.mean_ranks, kind="stable").tolist(), found.apart()
    for members in groups(found):
        assert not apart[np.ix_(members, members)].any()
        first = order.index(members[0])
        assert list(members) == order[first : first + len(members)]
    joined = [set(members) for members in groups(found)]
    for a, b in pairwise(order):  # neighbours share a bar exactly if they cannot be told apart
        assert any({a, b} <= members for members in joined) == (not apart[a, b])


def test_groups_are_the_longest_runs() -> None:
    assert groups(ranking_of([(0, 2), (0, 3), (1, 3)])) == [(0, 1), (1, 2), (2, 3)]
    assert groups(ranking_of([(0, 3), (0, 4), (1, 4), (2, 4)])) == [(0, 1, 2), (1, 2, 3), (3, 4)]
    assert groups(ranking_of([(0, 1), (0, 2), (1, 2)])) == []
    assert groups(ranking_of([(0, 2)], [3.0, 2.0, 1.0])) == [(2, 1), (1, 0)]


def test_two_models_that_others_part_share_no_bar() -> None:
    # 0 and 2 cannot be told apart, but 1 between them can be told from 2: no run holds both.
    assert groups(ranking_of([(1, 2)])) == [(0, 1)]


def test_accuracy_of_dialogues_is_the_mean_over_seeds() -> None:
    dialogues = np.array(["b", "b", "b", "a", "a", "c"], dtype=object)
    labels = np.array([0, 1, -1, 1, 1, -1])
    predicted = np.array([[0, 0, 0, 1, 1, 0], [0, 1, 0, 0, 1, 0]])
    assert dialogue_accuracy(labels, predicted, dialogues).tolist() == [0.75, 0.75]


def test_too_few_models_are_refused() -> None:
    with pytest.raises(UserError, match="at least 3 models and one dialogue, not 2 and 5"):
        rank(np.zeros((5, 2)))
