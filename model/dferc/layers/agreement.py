"""Class prototypes and how far the modalities of an utterance agree (df-erc.md section 5)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.layers.contrastive import MASKED
from dferc.layers.reduction import LossTerm, Reduction


class Prototypes(nn.Module):
    """One vector a class: the mean of the projections g_m of its utterances, over all modalities.

    ``batch``: of this batch, with gradient through it [code]. ``cumulative``: of all training batches so far.
    ``ema``: moving. The two last are state: they learn in training mode alone, carry gradient only through the newest
    batch, and are saved.
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

        Averaged over the non-zero hinges of a (class, modality), then over the (class, modality) pairs present.

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
    first, second = _pairs(len(projected), projected.device)
    return _mean_over_pairs(F.cosine_similarity(projected[first], projected[second], dim=-1), first, second, present)


def overlap(assigned: Tensor, present: Tensor) -> Tensor:
    """s [N]: mean overlap (Bhattacharyya coefficient) of the distributions [M, N, C] of two modalities, as above."""
    first, second = _pairs(len(assigned), assigned.device)
    return _mean_over_pairs((assigned[first] * assigned[second]).sqrt().sum(-1), first, second, present)


SHARPNESS = 5.0
"""Inverse temperature of the assignments [open]: a projection that points at a prototype, away from the others, is
nearly wholly assigned to it, and one at right angles to all is shared out evenly."""


def prototype_assignments(projected: Tensor, prototypes: Prototypes) -> Tensor:
    """[M, N, A] -> [M, N, C]: softmax over classes of the cosine between g_m and each prototype seen so far.

    Both are seen from the middle of all prototypes [open]: nothing in the margin loss keeps the classes apart, so only
    directions from their common middle tell them apart.
    """
    known = prototypes.count > 0
    middle = prototypes.mean.sum(0) / known.sum().clamp_min(1)
    from_middle = F.normalize(projected - middle, dim=-1)
    cosines = from_middle @ F.normalize(prototypes.mean - middle, dim=-1).T
    return torch.softmax((SHARPNESS * cosines).masked_fill(~known, MASKED), dim=-1)


def _pairs(modalities: int, device: torch.device) -> tuple[Tensor, Tensor]:
    both = torch.triu_indices(modalities, modalities, offset=1, device=device)
    return both[0], both[1]


def _mean_over_pairs(values: Tensor, first: Tensor, second: Tensor, present: Tensor) -> Tensor:
    both = present[first] * present[second]
    return (values * both).sum(0) / both.sum(0).clamp_min(1)
