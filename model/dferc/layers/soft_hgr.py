"""Soft-HGR loss: what the modalities say of an utterance shall go together (Wang et al., 2019).

    L = - sum over pairs f, g of modalities: mean_n <f_n, g_n> - tr(cov f . cov g) / 2

The release of MultiEMO takes the covariance between utterances, a matrix [N, N] over the numbers of their vectors,
where the theory has that between the numbers, [H, H] over utterances; and it divides the trace by N and then all of it
by N again [code: SoftHGRLoss.py]. With F and G, [N, H], of which each row has lost its mean, its trace is that of
F F' G G' and so the squared norm of F' G: only matrices of H by H are needed, which workers can add.
"""

from typing import Literal

import torch
from torch import Tensor

from dferc.layers.reduction import LossTerm, Reduction

Covariance = Literal["utterances", "numbers"]


def soft_hgr(vectors: Tensor, present: Tensor, across: Reduction, covariance: Covariance = "utterances") -> LossTerm:
    """The loss, a cell a pair; a pair is made of the utterances that have both.

    Args:
        vectors: [M, N, H] of at least two modalities.
        present: [M, N] 1 where the utterance has the modality, else 0.
        across: the other workers.
        covariance: between utterances, as released, or between the numbers of the vectors.
    """
    first, second = torch.triu_indices(len(vectors), len(vectors), 1, device=vectors.device)
    both = present[first] * present[second]
    count = both.sum(1)
    everywhere = across.sum(count).clamp_min(1)
    left, right = (vectors.float()[side] * both.unsqueeze(-1) for side in (first, second))
    with torch.autocast(vectors.device.type, enabled=False):
        together = (left * right).sum((1, 2))
        if covariance == "utterances":
            trace = _between_utterances(left, right, across)
            return LossTerm(-(together - trace / 2) / everywhere, count)
        trace = _between_numbers(left, right, both, everywhere, across)
        return LossTerm(-(together - everywhere * trace / 2), count)


def _between_utterances(left: Tensor, right: Tensor, across: Reduction) -> Tensor:
    """This worker's share [P] of the trace, from two sides [P, N, H] that are zero where they do not count."""
    one, other = (side - side.mean(-1, keepdim=True) for side in (left, right))
    cross = one.transpose(1, 2) @ other
    return (cross * across.sum(cross)).sum((1, 2)) / (left.shape[-1] - 1) ** 2


def _between_numbers(left: Tensor, right: Tensor, both: Tensor, count: Tensor, across: Reduction) -> Tensor:
    """The same, where both sides count at ``both`` [P, N], and so often [P] on all workers."""
    counted = both.unsqueeze(-1)
    one, other = (
        (side - across.sum(side.sum(1)).unsqueeze(1) / count.view(-1, 1, 1)) * counted for side in (left, right)
    )
    mine, theirs = one.transpose(1, 2) @ one, across.sum(other.transpose(1, 2) @ other)
    return (mine * theirs).sum((1, 2)) / (count - 1).clamp_min(1) ** 2
