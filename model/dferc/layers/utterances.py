"""What is known of the N real utterances of a batch, beside their features."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dferc.corpus.batch import NO_LABEL, DialogueBatch
from dferc.layers.reduction import LossTerm


@dataclass(frozen=True)
class Utterances:
    """Presence and labels of the real utterances, as numbers to multiply with."""

    present: Tensor
    """[M, N] 1 where the utterance has the modality, else 0."""
    labels: Tensor
    """[N] class, 0 where unknown."""
    labelled: Tensor
    """[N] 1 where the label is known, else 0."""
    class_weight: Tensor
    """[C] weight of each class in cross-entropies."""

    @classmethod
    def of(cls, batch: DialogueBatch, present: Tensor, class_weight: Tensor) -> "Utterances":
        """Those of a batch; ``present`` as above."""
        labels = batch.flat(batch.labels)
        return cls(present, labels.clamp_min(0), (labels != NO_LABEL).float(), class_weight)

    @property
    def counted(self) -> Tensor:
        """[M, N] 1 where the modality is there and the label is known."""
        return self.present * self.labelled

    def cross_entropy(self, logits: Tensor) -> LossTerm:
        """Of [N, C] against the labels: sum of w_y CE, divided by the sum of w_y."""
        weights = self.class_weight[self.labels] * self.labelled
        entropy = F.cross_entropy(logits.float(), self.labels, reduction="none")
        return LossTerm((entropy * weights).sum(), weights.sum())

    def cross_entropies(self, logits: Tensor) -> LossTerm:
        """The same for each modality's own [M, N, C], a cell a modality."""
        weights = self.class_weight[self.labels] * self.counted
        entropy = F.cross_entropy(logits.float().transpose(1, 2), self.labels.expand(len(logits), -1), reduction="none")
        return LossTerm((entropy * weights).sum(1), weights.sum(1))

    def of_true_class(self, probabilities: Tensor) -> Tensor:
        """[M, N, C] -> [M, N]: the probability of the label."""
        index = self.labels.expand(len(probabilities), -1).unsqueeze(-1)
        return torch.gather(probabilities, -1, index).squeeze(-1)
