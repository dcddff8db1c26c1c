"""Contrast between two views of the same utterances (InfoNCE; van den Oord et al., 2018) [code: UniMSE, InfoNCE.py].

    L_i = - ln( exp(q_i.k_i / tau) / sum_j exp(q_i.k_j / tau) )

q and k are the views, projected and brought to length one; j runs over all utterances of the batch that have both.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.layers.contrastive import MASKED
from dferc.layers.reduction import LossTerm, Reduction


class PairedContrast(nn.Module):
    """Projections of both views to one width, and the loss between them."""

    def __init__(self, first: int, second: int, width: int, temperature: float) -> None:
        """Make the projections, which have no bias; ``first`` and ``second`` are the widths of the views."""
        super().__init__()
        self.first = nn.Linear(first, width, bias=False)
        self.second = nn.Linear(second, width, bias=False)
        self.temperature = temperature

    def forward(self, first: Tensor, second: Tensor, present: Tensor, across: Reduction) -> LossTerm:
        """Views [N, D], [N, E] and [N] 1 where an utterance has both, else 0 -> mean of L_i over those that have."""
        queries, keys = (
            F.normalize(project(view).float(), dim=-1) for project, view in ((self.first, first), (self.second, second))
        )
        others, _ = across.gather(keys)
        there, _ = across.gather(present)
        with torch.autocast(queries.device.type, enabled=False):
            scores = queries @ others.T / self.temperature + (1 - there) * MASKED
        own = (queries * keys).sum(-1) / self.temperature
        return LossTerm(((torch.logsumexp(scores, 1) - own) * present).sum(), present.sum())


def mean_over(states: Tensor, weights: Tensor) -> Tensor:
    """States [N, L, H] and weights [N, L] of 0 and 1 -> mean [N, H] of those that have 1, zeros where none has."""
    return (states * weights.unsqueeze(-1)).sum(1) / weights.sum(1, keepdim=True).clamp_min(1)
