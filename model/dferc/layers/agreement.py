"""Class prototypes and how far the modalities of an utterance agree (df-erc.md section 5)."""

from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.layers.reduction import LossTerm, Reduction


class Prototypes(nn.Module):
    """One vector a class: the mean of the projections g_m of its utterances, over all modalities.

    ``batch``: of this batch, with gradient through it [code]. ``cumulative``: of all training batches so far. ``ema``: moving.
    The two last are state: they learn in training mode alone, carry gradient only through the newest batch, and are saved.
    """

    mean: Tensor
    count: Tensor

    def __init__(self, classes: int, width: int, kind: str, momentum: float) -> None:
        super().__init__()
        self.kind = kind
        self.momentum = momentum
        keeps = kind in ("cumulative", "ema")
        self.register_buffer("mean", torch.zeros(classes, width), persistent=keeps)
        self.register_buffer("count", torch.zeros(classes), persistent=keeps)

    def margin_loss(
        self, projected: Tensor, counted: Tensor, labels: Tensor, beta: float | Tensor, across: Reduction
    ) -> LossTerm:
        """Hinge on the mean squared distance to one's own prototype.

        Averaged over the non-zero hinges of a (class, modality), then over the (class, modality) pairs that are present.

        Args:
            projected: g [M, N, A].
            counted: [M, N] 1 where the modality is there and the utterance has a label.
            labels: [N].
            beta: the margin that costs nothing.
            across: the other workers.
        """
        classes = F.one_hot(labels, len(self.mean)).to(projected.dtype)
        members = torch.einsum("mn,nc->mc", counted, classes)
        total = across.sum(torch.einsum("mn,nc,mna->ca", counted, classes, projected))
        prototypes = self._current(total, across.sum(members.sum(0)))
        error = (projected - prototypes[labels]).square().mean(-1)
        hinge = (error - beta).clamp_min(0) * counted
        return LossTerm(
            torch.einsum("mn,nc->mc", hinge, classes),
            torch.einsum("mn,nc->mc", (hinge > 0).to(classes.dtype), classes),
            present=members,
        )

    def _current(self, total: Tensor, count: Tensor) -> Tensor:
        batch_mean = total / count.clamp_min(1).unsqueeze(1)
        if self.kind == "batch":
            return batch_mean
        if not self.training:
            return self.mean.clone()
        if self.kind == "cumulative":
            share = count / (self.count + count).clamp_min(1)
        else:
            share = torch.where(self.count > 0, 1 - self.momentum, 1.0) * (count > 0)
        current = torch.lerp(self.mean, batch_mean, share.unsqueeze(1))
        self.mean.copy_(current.detach())
        self.count.add_(count)
        return current


def pairwise_agreement(projected: Tensor, present: Tensor) -> Tensor:
    """s [N]: mean cosine over the pairs of modalities of [M, N, A] that are both present; 0 where there is no pair."""
    cosines, pairs = [], []
    for first, second in combinations(range(len(projected)), 2):
        cosines.append(F.cosine_similarity(projected[first], projected[second], dim=-1))
        pairs.append(present[first] * present[second])
    return _mean_over_pairs(cosines, pairs, present)


def assignment_agreement(projected: Tensor, present: Tensor, prototypes: Prototypes) -> Tensor:
    """s [N]: mean overlap (Bhattacharyya coefficient) of the modalities' soft assignments to the prototypes seen so far.

    An assignment is softmax_k(-|g_m - prototype_k|^2) [open].
    """
    distance = torch.cdist(projected, prototypes.mean.expand(len(projected), -1, -1)).square()
    assigned = torch.softmax(-distance.masked_fill(prototypes.count == 0, 1e9), dim=-1)
    overlaps, pairs = [], []
    for first, second in combinations(range(len(projected)), 2):
        overlaps.append((assigned[first] * assigned[second]).sqrt().sum(-1))
        pairs.append(present[first] * present[second])
    return _mean_over_pairs(overlaps, pairs, present)


def _mean_over_pairs(values: list[Tensor], pairs: list[Tensor], present: Tensor) -> Tensor:
    if not values:
        return torch.zeros_like(present[0])
    both = torch.stack(pairs)
    return (torch.stack(values) * both).sum(0) / both.sum(0).clamp_min(1)
