"""Ways to fuse the modalities that do not estimate contributions: what CFM is compared with.

Each maps the modalities' features [M, N, D] and their presence [M, N] to one vector an utterance [N, D'] and weights
[N, M].
"""

import torch
from torch import Tensor, nn

TINY = 1e-13


class MeanFusion(nn.Module):
    """Every present modality weighs the same."""

    def forward(self, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Mean over the present modalities."""
        weights = present / (present.sum(0) + TINY)
        return (weights.unsqueeze(-1) * features).sum(0), weights.T


class SumFusion(nn.Module):
    """Every present modality weighs one."""

    def forward(self, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over the present modalities."""
        return (present.unsqueeze(-1) * features).sum(0), present.T


class ConcatFusion(nn.Module):
    """All modalities side by side, zeros where one is missing."""

    def forward(self, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """[M, N, D] -> [N, M * D]."""
        return (present.unsqueeze(-1) * features).transpose(0, 1).flatten(1), present.T


class AttentionFusion(nn.Module):
    """Additive attention over the modalities (Bahdanau et al., 2015): softmax of v . tanh(W h)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted mean over the present modalities."""
        scores = self.score(torch.tanh(self.hidden(features))).squeeze(-1)
        weights = torch.softmax(scores.masked_fill(present == 0, -1e9), dim=0) * present
        return (weights.unsqueeze(-1) * features).sum(0), weights.T


class GatedFusion(nn.Module):
    """A sigmoid gate a channel and modality, from all modalities (gated multimodal unit; Arevalo et al., 2017)."""

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(modalities * width, modalities * width)

    def forward(self, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Gated sum over the present modalities; the weight shown is the mean gate."""
        seen = features * present.unsqueeze(-1)
        gates = torch.sigmoid(self.gate(seen.transpose(0, 1).flatten(1))).view(-1, len(features), features.shape[-1])
        gates = gates.transpose(0, 1) * present.unsqueeze(-1)
        return (gates * seen).sum(0), gates.mean(-1).T


def static_fusion(name: str, modalities: int, width: int) -> tuple[nn.Module, int]:
    """The fusion of that name and the width of what it gives."""
    if name == "attention":
        return AttentionFusion(width), width
    if name == "gated":
        return GatedFusion(modalities, width), width
    if name == "concat":
        return ConcatFusion(), modalities * width
    return {"mean": MeanFusion, "sum": SumFusion}[name](), width
