"""Sample-weighted focal contrastive loss of MultiEMO [code: SampleWeightedFocalContrastiveLoss.py].

    p_ij = softmax over all other utterances j of cos(z_i, z_j) / tau
    L_i = - w_y mean over the others of class y of (1 - p_ij)^gamma log p_ij

over the labelled utterances, y the class of i. An utterance that is alone in its class adds nothing but counts. The
weight of a class is (all / its utterances)^alpha, scaled so that all weights sum to 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dferc.layers.contrastive import MASKED
from dferc.layers.eager import eager
from dferc.layers.reduction import LossTerm, Reduction

CERTAIN = 1e-7
"""Least 1 - p: a power of it has a gradient, and is not more than what float32 can tell from 0."""


def sample_weights(counts: Sequence[int], power: float) -> Tensor:
    """Weight of each class [C] from its training utterances; 0 for one that has none [ours]."""
    each = torch.tensor(counts, dtype=torch.float)
    weights = torch.where(each > 0, (each.sum() / each.clamp_min(1)) ** power, torch.zeros_like(each))
    return F.normalize(weights, p=1.0, dim=0)


@eager  # the number of utterances of all workers is not known when the model is compiled
def focal_contrast(
    vectors: Tensor,
    labels: Tensor,
    labelled: Tensor,
    weights: Tensor,
    temperature: float,
    focus: float,
    across: Reduction,
) -> LossTerm:
    """Mean of L_i over all labelled utterances.

    Args:
        vectors: z [N, H], of any length.
        labels: [N] class, anything where unknown.
        labelled: [N] 1 where the label is known, else 0: the others take no part.
        weights: w [C].
        temperature: tau.
        focus: gamma.
        across: the other workers.
    """
    unit = F.normalize(vectors.float(), dim=-1)
    (everyone, offset), (classes, _), (known, _) = (across.gather(part) for part in (unit, labels, labelled))
    own = torch.arange(len(unit), device=unit.device).unsqueeze(1) + offset
    candidates = (known > 0) & (own != torch.arange(len(everyone), device=unit.device))
    with torch.autocast(unit.device.type, enabled=False):
        scores = (unit @ everyone.T / temperature).masked_fill(~candidates, MASKED)
    log_p = torch.log_softmax(scores, dim=-1)
    positives = candidates & (labels.unsqueeze(1) == classes)
    hardness = torch.expm1(log_p).neg().clamp_min(CERTAIN) ** focus
    mean = (hardness * log_p * positives).sum(1) / positives.sum(1).clamp_min(1)
    return LossTerm(-(weights[labels] * labelled * mean).sum(), labelled.sum())
