"""Which of several models can be told apart on one test set: average ranks over dialogues, and a test of every pair.

Friedman's test asks if the models differ at all (Demsar 2006, "Statistical comparisons of classifiers over multiple
data sets", JMLR 7). Which pairs do is asked pair by pair with Wilcoxon's signed-rank test, corrected by Holm, and not
by mean ranks, with which a pair's verdict would hang on who else takes part (Benavoli, Corani and Mangili 2016, "Should
we really use post-hoc tests based on mean-ranks?", JMLR 17). On one corpus the blocks are its test dialogues: the
utterances of a dialogue are not independent, those of different dialogues nearly are.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from dferc.corpus.batch import NO_LABEL
from dferc.errors import UserError
from dferc.evaluation.statistics import holm

DECIMALS = 9
"""Scores are compared to so many: what differs beyond is rounding, and equal scores must share a rank."""
EXACT = 50
"""Differences up to which a signed-rank test counts all signings; a normal curve is as good beyond."""
LEAST_MODELS = 3
"""Friedman's test needs so many."""


@dataclass(frozen=True)
class Ranking:
    """Average ranks of K models over G blocks, and how sure the distance of each pair is."""

    blocks: int
    mean_ranks: np.ndarray
    """[K]; 1 is the best in every block, equal scores share their ranks."""
    statistic: float
    """Friedman's chi-square, corrected for ties."""
    p: float
    """Of Friedman's test: how surprising these ranks were if all models were equal; 1 where no score differs."""
    pairs: np.ndarray
    """[K, K] p of each pair, corrected for the number of pairs; 1 on the diagonal."""

    def apart(self, alpha: float = 0.05) -> np.ndarray:
        """[K, K] whether two models can be told apart; Holm bounds the chance of any false alarm by ``alpha``."""
        return np.asarray(self.pairs < alpha)


def dialogue_accuracy(labels: np.ndarray, predicted: np.ndarray, dialogues: np.ndarray) -> np.ndarray:
    """Share of right predictions in each dialogue [G], mean over seeds, the dialogues in order of their ids.

    Args:
        labels: [N] true classes; utterances with -1 are left out, and dialogues that have no other.
        predicted: [S, N] classes that each seed predicts.
        dialogues: [N] id of each utterance's dialogue.
    """
    known = labels != NO_LABEL
    names, dialogue = np.unique(dialogues[known], return_inverse=True)
    right = (predicted[:, known] == labels[known]).mean(0)
    return np.asarray(np.bincount(dialogue, right, len(names)) / np.bincount(dialogue, minlength=len(names)))


def rank(scores: np.ndarray) -> Ranking:
    """Rank models by their scores [G, K] in each of G blocks, the highest first.

    Raises:
        UserError: there are fewer than three models, or no block.
    """
    blocks, models = scores.shape
    if models < LEAST_MODELS or not blocks:
        raise UserError(f"ranks need at least {LEAST_MODELS} models and one dialogue, not {models} and {blocks}")
    scores = np.round(scores, DECIMALS)
    ranks = stats.rankdata(-scores, axis=1)
    equal = bool((scores == scores[:, :1]).all())
    statistic, p = (0.0, 1.0) if equal else stats.friedmanchisquare(*scores.T)
    return Ranking(blocks, ranks.mean(0), float(statistic), float(p), _pairs(scores))


def signed_rank_p(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test of differences [G].

    Blocks without a difference are ranked but take no side (Pratt 1959). Up to ``EXACT`` differences the p is exact,
    ties or not: the share of all ways to sign the ranks that are as far from balance. Beyond, it is the normal one.
    """
    differences = np.round(differences, DECIMALS)
    differing = differences != 0
    if not differing.any():
        return 1.0
    if differing.sum() > EXACT:
        return float(stats.wilcoxon(differences, zero_method="pratt", method="asymptotic").pvalue)
    ranks = np.rint(2 * stats.rankdata(np.abs(differences))[differing]).astype(int)  # shared ranks end in a half
    chances = np.zeros(ranks.sum() + 1)  # of each sum of the ranks that are signed plus
    chances[0] = 1
    for place in ranks:
        chances[place:] = (chances[place:] + chances[: len(chances) - place]) / 2
        chances[:place] /= 2
    away = np.abs(2 * np.arange(len(chances)) - ranks.sum())
    found = ranks[differences[differing] > 0].sum()
    return float(min(1.0, chances[away >= away[found]].sum()))


def groups(ranking: Ranking, alpha: float = 0.05) -> list[tuple[int, ...]]:
    """Longest runs of neighbours in rank of which no two can be told apart: two models each at least, best first.

    Being told apart is not an order: two models may be in no run together although their own pair was not told apart.
    """
    order, apart = np.argsort(ranking.mean_ranks, kind="stable"), ranking.apart(alpha)
    found: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and not apart[order[stop], order[start:stop]].any():
            stop += 1
        if stop - start > 1 and stop > reached:
            found.append(tuple(order[start:stop].tolist()))
        reached = max(reached, stop)
    return found


def count_apart(ranking: Ranking, alpha: float = 0.05) -> tuple[int, int]:
    """How many pairs can be told apart, and how many there are."""
    above = np.triu_indices(len(ranking.mean_ranks), 1)
    return int(ranking.apart(alpha)[above].sum()), len(above[0])


def _pairs(scores: np.ndarray) -> np.ndarray:
    pairs = list(combinations(range(scores.shape[1]), 2))
    corrected = holm([signed_rank_p(scores[:, a] - scores[:, b]) for a, b in pairs])
    p = np.ones((scores.shape[1], scores.shape[1]))
    for (a, b), value in zip(pairs, corrected, strict=True):
        p[a, b] = p[b, a] = value
    return p
