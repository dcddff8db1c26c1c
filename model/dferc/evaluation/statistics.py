"""How sure a number is: over seeds, along a hyperparameter, and over the dialogues of a test set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dferc.corpus.batch import NO_LABEL
from dferc.errors import UserError
from dferc.evaluation.metrics import overall

RESAMPLES = 10_000
"""Enough that the ends of a 95 % bootstrap interval move by about 1 % of its length from one seed to another."""


@dataclass(frozen=True)
class Interval:
    """A mean (or a difference) and the ends of its confidence interval, in the unit of the values."""

    mean: float
    low: float
    """NaN, as ``high``, where one value alone says nothing of its spread."""
    high: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Difference(Interval):
    """A difference with its interval, and how surprising it would be if there were none."""

    p: float
    """Two-sided: how often resampling turns the sign round, times two."""


@dataclass(frozen=True)
class FlatRegion:
    """The values of a hyperparameter between which the choice hardly matters."""

    best: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean over seeds with Student's t interval; a single value has no interval, its ends are NaN.

    Raises:
        UserError: there is no value.
    """
    sample = np.asarray(values, dtype=float)
    if not sample.size:
        raise UserError("there is no finished run to average: at least one seed must have a score")
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(mean, math.nan, math.nan)
    half_width = float(stats.t.ppf((1 + confidence) / 2, sample.size - 1) * stats.sem(sample))
    return Interval(mean, mean - half_width, mean + half_width)


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean of a - b over seeds with its t interval; position i of both is the same seed, whose own effect cancels.

    Raises:
        UserError: the two have unequal numbers of values, or none.
    """
    if len(a) != len(b):
        raise UserError(f"a paired difference needs the same seeds on both sides, not {len(a)} against {len(b)} scores")
    return mean_interval(np.subtract(a, b).tolist(), confidence)


def flat_region(x: Sequence[float], mean: Sequence[float], half_width: Sequence[float]) -> FlatRegion:
    """The unbroken range of ``x`` around its best value whose means are all within the best's half width of the best.

    With standard errors as half widths this is the one-standard-error rule (Breiman et al. 1984); with t intervals it
    is wider. A half width of NaN (one seed) counts as 0; a mean of NaN (no run finished) ends the region; of equal
    means the smallest x is the best.

    Raises:
        UserError: no mean is a number.
    """
    order = np.argsort(x, kind="stable")
    places, means, widths = (np.asarray(column, dtype=float)[order] for column in (x, mean, half_width))
    if np.isnan(means).all():
        raise UserError("there is no finished run: a flat region needs the mean score of one value at least")
    best = int(np.nanargmax(means))
    outside = np.flatnonzero(~(means >= means[best] - np.nan_to_num(widths[best])))
    low = max(outside[outside < best], default=-1) + 1
    high = min(outside[outside > best], default=len(places)) - 1
    return FlatRegion(best=float(places[best]), low=float(places[low]), high=float(places[high]))


def bootstrap_difference(
    labels: np.ndarray,
    predicted_a: np.ndarray,
    predicted_b: np.ndarray,
    dialogues: np.ndarray,
    metric: str = "weighted_f1",
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """How much better A is than B on the same utterances, in points of ``metric``: paired bootstrap.

    Whole dialogues are drawn, with replacement: the utterances of a dialogue are not independent. A metric depends on
    the confusion matrix alone and a resample's matrix is the sum of its dialogues', so all resamples are one product.
    A and B may each be several seeds of one model, whose metric is then their mean; the interval speaks of these seeds.

    Args:
        labels: [N] true classes; utterances with -1 are left out.
        predicted_a: [N] classes that A predicts, or [S, N] of its seeds.
        predicted_b: [N] classes that B predicts, or [S, N] of its seeds.
        dialogues: [N] id of each utterance's dialogue.
        metric: weighted_f1, macro_f1 or accuracy.
        resamples: number of bootstrap resamples.
        confidence: coverage of the interval.
        seed: of the drawing of dialogues.

    Raises:
        UserError: no utterance has a label.
    """
    known = labels != NO_LABEL
    if not known.any():
        raise UserError(
            f"none of the {len(labels)} utterances to compare has a label: compare runs on a split that has labels"
        )
    names, dialogue = np.unique(dialogues[known], return_inverse=True)
    truth, sides = labels[known], [np.atleast_2d(side)[:, known] for side in (predicted_a, predicted_b)]
    classes = 1 + max(int(values.max()) for values in (truth, *sides))
    per_dialogue = [[_confusions(truth, run, dialogue, classes) for run in side] for side in sides]

    def difference(drawn: np.ndarray) -> np.ndarray:
        """Mean metric of A minus that of B [R], where ``drawn`` [R, G] says how often each of G dialogues is drawn."""
        of_a, of_b = (
            np.mean([overall(np.tensordot(drawn, confusions, axes=1))[metric] for confusions in runs], axis=0)
            for runs in per_dialogue
        )
        gain: np.ndarray = of_a - of_b
        return gain

    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    gains = difference(drawn.astype(float))
    low, high = np.quantile(gains, [(1 - confidence) / 2, (1 + confidence) / 2])
    turned = 1 + min(int((gains <= 0).sum()), int((gains >= 0).sum()))  # itself counts: p is never 0
    p = min(1.0, 2 * turned / (1 + resamples))
    return Difference(float(difference(np.ones((1, len(names))))[0]), float(low), float(high), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of several comparisons, raised so that the chance of any false alarm stays bounded (Holm, 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return [float(p) for p in adjusted]


def _confusions(labels: np.ndarray, predicted: np.ndarray, dialogue: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix of each dialogue [G, C, C]."""
    counts = np.zeros((dialogue.max() + 1, classes, classes))
    np.add.at(counts, (dialogue, labels, predicted), 1)
    return counts
