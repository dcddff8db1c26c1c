"""Supervised contrastive loss over the vectors of all modalities of a batch (Khosla et al., 2020; df-erc.md section 3).

    L_i = -tau / |P(i)| * sum_{p in P(i)} log( exp(z_i.z_p / tau) / sum_{j != i} exp(z_i.z_j / tau) )

The sum over positives is linear in them, so it takes one dot product with their sum; only the denominator needs the
square matrix. Vectors are given as [M, N, H]; with several workers the other vectors are those of all workers.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dferc.layers.reduction import LossTerm, Reduction

MASKED = -1e9
"""A logit that contributes nothing; finite, so that a row without any other vector gives no NaN gradient."""


def modality_contrast(
    vectors: Tensor, present: Tensor, groups: Tensor, temperature: float | Tensor, across: Reduction
) -> LossTerm:
    """Positives: the other vectors of the same modality group.

    Args:
        vectors: [M, N, H], of any length.
        present: [M, N] 1 where the utterance has the modality, else 0.
        groups: [M] group of each modality.
        temperature: tau.
        across: the other workers.

    Returns:
        Mean of L_i over the anchors that have a positive.
    """
    unit = F.normalize(vectors.float(), dim=-1) * present.unsqueeze(-1)
    same = (groups.unsqueeze(0) == groups.unsqueeze(1)).to(unit.dtype)
    group_sum = same @ across.sum(unit.sum(1))
    group_size = same @ across.sum(present.sum(1))
    return _contrast(
        unit, present, group_sum.unsqueeze(1) - unit, group_size.unsqueeze(1) - present, temperature, across
    )


def utterance_contrast(vectors: Tensor, present: Tensor, temperature: float | Tensor, across: Reduction) -> LossTerm:
    """Positives: the other modalities of the same utterance; arguments and result as in ``modality_contrast``."""
    unit = F.normalize(vectors.float(), dim=-1) * present.unsqueeze(-1)
    others = unit.sum(0, keepdim=True) - unit
    return _contrast(unit, present, others, present.sum(0, keepdim=True) - present, temperature, across)


def _contrast(
    unit: Tensor,
    present: Tensor,
    positive_sum: Tensor,
    positives: Tensor,
    temperature: float | Tensor,
    across: Reduction,
) -> LossTerm:
    modalities, utterances = present.shape
    everyone, offset = across.gather(unit.transpose(0, 1))
    everywhere, _ = across.gather(present.transpose(0, 1))
    candidates = everyone.flatten(0, 1)
    logits = unit.transpose(0, 1).flatten(0, 1) @ candidates.T / temperature
    logits = logits + (1 - everywhere.flatten()) * MASKED
    itself = torch.arange(modalities * utterances, device=logits.device)
    logits = logits.index_put((itself, itself + offset * modalities), logits.new_tensor(MASKED))
    denominator = torch.logsumexp(logits, dim=1).view(utterances, modalities).transpose(0, 1)
    anchors = present * (positives > 0)
    mean_positive = (unit * positive_sum).sum(-1) / positives.clamp_min(1)
    loss = temperature * denominator - mean_positive
    return LossTerm((loss * anchors).sum(), anchors.sum())
