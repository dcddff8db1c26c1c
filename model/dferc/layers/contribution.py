"""CFM, contribution-aware fusion (df-erc.md section 4)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dferc.layers.fusion import TINY
from dferc.layers.reduction import LossTerm
from dferc.layers.stacked import StackedMLP
from dferc.layers.utterances import Utterances


class Contribution(NamedTuple):
    """What each modality says of each utterance, and how far it is to be believed."""

    weighted: Tensor
    """[N, D] sum of the modalities by their weights."""
    weights: Tensor
    """[M, N] share of each modality."""
    beliefs: Tensor
    """[M, N, C] class probabilities of each modality's own classifier."""
    confidence: Tensor
    """[M, N] how probable the student thinks that the teacher finds the true class."""
    loss: LossTerm
    true_class_probability: Tensor
    """[M, N] how probable the teacher did find it."""


class ContributionFusion(nn.Module):
    """A teacher a modality says how probable the true class was; a student learns to foretell it without the label."""

    def __init__(self, modalities: int, width: int, classes: int, dropout: float, detach_tcp: bool) -> None:
        super().__init__()
        self.detach_tcp = detach_tcp
        self.teacher = StackedMLP(modalities, width, classes, dropout)
        self.student = StackedMLP(modalities, width, 1, dropout, sigmoid=True)

    def forward(self, features: Tensor, utterances: Utterances) -> Contribution:
        """h [M, N, D] -> the weighted sum and all that led to it; the loss is the sum over m of CE_m + MSE_m."""
        logits = self.teacher(features)
        beliefs = torch.softmax(logits.float(), dim=-1)
        confidence = self.student(features).squeeze(-1)
        target = utterances.of_true_class(beliefs)
        distance = (confidence - (target.detach() if self.detach_tcp else target)).square() * utterances.counted
        teaching = utterances.cross_entropies(logits)
        loss = LossTerm(
            torch.cat([teaching.total, distance.sum(1)]), torch.cat([teaching.count, utterances.counted.sum(1)])
        )
        share = confidence * utterances.present
        weights = share / (share.sum(0) + TINY)
        weighted = (weights.unsqueeze(-1) * features).sum(0)
        return Contribution(weighted, weights, beliefs, confidence, loss, target)
