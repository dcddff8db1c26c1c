"""Supervised contrastive loss over the vectors of all modalities of a batch (Khosla et al., 2020; df-erc.md section 3).

    L_i = -tau / |P(i)| * sum_{p in P(i)} log( exp(z_i.z_p / tau) / sum_{j != i} exp(z_i.z_j / tau) )

The sum over positives is linear in them, so it takes one dot product with their sum; only the denominator needs the
square matrix. Vectors are given as [M, N, H]; with several workers the other vectors are those of all workers.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dferc.layers.eager import eager
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


def class_contrast(
    views: Tensor, labels: Tensor, labelled: Tensor, classes: int, temperature: float | Tensor, across: Reduction
) -> LossTerm:
    """Positives: every other view of an utterance of the class; dot products of the views as they are.

    Args:
        views: [M, N, H], several views of each utterance.
        labels: [N] class, anything where unknown.
        labelled: [N] 1 where the label is known, else 0: the others take no part.
        classes: how many there are.
        temperature: tau.
        across: the other workers.

    Returns:
        Mean over the anchors that have a positive of L_i / tau, as supervised contrast is usually written.
    """
    vectors = views.float() * labelled.unsqueeze(-1)
    present = labelled.expand(len(views), -1)
    class_sum = across.sum(vectors.new_zeros(classes, vectors.shape[-1]).index_add(0, labels, vectors.sum(0)))
    class_size = across.sum(labelled.new_zeros(classes).index_add(0, labels, present.sum(0)))
    positive_sum = class_sum.index_select(0, labels) - vectors
    positives = class_size.index_select(0, labels) * labelled - present
    scaled = _contrast(vectors, present, positive_sum, positives, temperature, across)
    return LossTerm(scaled.total / temperature, scaled.count)


@eager  # inductor gets the strides of its backward pass wrong when the number of utterances changes
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
    scaled = (unit / temperature).transpose(0, 1).flatten(0, 1)
    penalty = (1 - everywhere.flatten()) * MASKED
    with torch.autocast(unit.device.type, enabled=False):
        denominator: Tensor = _OverOthers.apply(scaled, everyone.flatten(0, 1), penalty, offset * modalities)  # type: ignore[no-untyped-call]
    denominator = denominator.view(utterances, modalities).transpose(0, 1)
    anchors = present * (positives > 0)
    mean_positive = (unit * positive_sum).sum(-1) / positives.clamp_min(1)
    loss = temperature * denominator - mean_positive
    return LossTerm((loss * anchors).sum(), anchors.sum())


class _OverOthers(torch.autograd.Function):
    """logsumexp_j (a_i . c_j + penalty_j) over all candidates but the anchor itself.

    The matrix of all pairs is most of the cost of the loss, so it is never copied: the penalty is added by the product,
    the diagonal is overwritten in place.
    """

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, penalty: Tensor, offset: int) -> Tensor:
        """[R, H], [Q, H], [Q] -> [R]; anchor i is candidate i + offset."""
        scores = torch.addmm(penalty, anchors, candidates.T)
        scores.diagonal(offset).fill_(MASKED)
        total = torch.logsumexp(scores, dim=1)
        ctx.save_for_backward(anchors, candidates, scores, total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        """Softmax-weighted sums of the vectors on the other side."""
        anchors, candidates, scores, total = ctx.saved_tensors
        weights = (scores - total.unsqueeze(1)).exp_().mul_(gradient.unsqueeze(1))
        return weights @ candidates, weights.T @ anchors, None, None
