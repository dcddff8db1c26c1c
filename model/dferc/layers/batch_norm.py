"""Batch normalisation over real utterances, the same however they are padded and dealt out to workers."""

import torch
from torch import Tensor, nn

from dferc.layers.reduction import Reduction


class UtteranceNorm(nn.Module):
    """y = w (x - mean) / sqrt(variance + epsilon) + b, with the statistics of the utterances that count.

    In training they are those of the batch over all workers, with gradient through them, and move the running ones; in
    evaluation the running ones are used. Values of momentum and epsilon are those of ``torch.nn.BatchNorm1d``.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, groups: int, width: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        """Make G sets of weights and running statistics, for vectors of this width."""
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(groups, width))
        self.bias = nn.Parameter(torch.zeros(groups, width))
        self.register_buffer("running_mean", torch.zeros(groups, width))
        self.register_buffer("running_var", torch.ones(groups, width))

    def forward(self, vectors: Tensor, counted: Tensor, across: Reduction, zeros: int = 0) -> Tensor:
        """Normalise each group.

        Args:
            vectors: [G, N, D].
            counted: [G, N] 1 for the utterances that count, else 0.
            across: the other workers.
            zeros: how many vectors of zeros count too, as many releases count their padding.
        """
        if self.training:
            mean, variance = self._of_batch(vectors.float(), counted.unsqueeze(-1), across, zeros)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return torch.addcmul(self.bias.unsqueeze(1), vectors - mean.unsqueeze(1), scale.unsqueeze(1))

    def _of_batch(self, vectors: Tensor, counted: Tensor, across: Reduction, zeros: int) -> tuple[Tensor, Tensor]:
        """Mean and variance, each [G, D]."""
        count = across.sum(counted.sum(1) + zeros)
        mean = across.sum((counted * vectors).sum(1)) / count.clamp_min(1)
        squares = (counted * (vectors - mean.unsqueeze(1)).square()).sum(1) + zeros * mean.square()
        variance = across.sum(squares) / count.clamp_min(1)
        with torch.no_grad():
            share = self.momentum * (count > 0)
            unbiased = variance * count / (count - 1).clamp_min(1)
            self.running_mean.lerp_(mean, share.expand_as(mean))
            self.running_var.lerp_(unbiased, share.expand_as(mean))
        return mean, variance
