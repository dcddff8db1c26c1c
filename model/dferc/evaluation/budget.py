"""What a search would have found with fewer trials."""

from collections.abc import Sequence

import numpy as np

from dferc.errors import UserError


def expected_best(scores: Sequence[float]) -> np.ndarray:
    """Expected best score [N] of n = 1 to N trials drawn from the N that there are.

    Dodge, Gururangan, Card, Schwartz and Smith (2019), "Show your work", EMNLP, equation 1: with F the share of trials
    that score at most v, E[best of n] = sum over v of v (F(v)^n - F(below v)^n). Trials are drawn with replacement, so
    that the estimate for n near N is a little low (Tang et al. 2020, "Showing your work doesn't always work").

    Raises:
        UserError: there is no score.
    """
    if not len(scores):
        raise UserError("there is no trial with a score: the expected best needs one at least")
    values = np.sort(np.asarray(scores, dtype=float))
    share = np.arange(len(values) + 1) / len(values)  # of equal scores the terms add up to the same
    draws = np.arange(1, len(values) + 1)[:, None]
    return np.asarray(np.diff(share**draws, axis=1) @ values)
