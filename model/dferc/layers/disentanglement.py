"""DDM, dual-level disentanglement (df-erc.md section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.layers.contrastive import modality_contrast, utterance_contrast
from dferc.layers.reduction import LossTerm, Reduction
from dferc.layers.stacked import StackedMLP


@dataclass(frozen=True)
class DisentanglementOptions:
    """Which levels there are, and how they are taught."""

    levels: Literal["both", "modality", "utterance"]
    projections: Literal["sequential", "parallel"]
    modality_temperature: float
    utterance_temperature: float
    scale: float
    """Of d_m inside h_m."""
    dropout: float


class Disentanglement(nn.Module):
    """x_m -> h_m = [x_m ; scale (u_m + r_m)]: u of one modality attract each other, r of one utterance do."""

    groups: Tensor

    def __init__(self, groups: Sequence[int], width: int, options: DisentanglementOptions) -> None:
        """``groups`` [M]: modalities of one number count as one."""
        super().__init__()
        self.options = options
        shape = (len(groups), width, width, options.dropout)
        self.modality = StackedMLP(*shape) if options.levels != "utterance" else None
        self.utterance = StackedMLP(*shape) if options.levels != "modality" else None
        self.register_buffer("groups", torch.tensor(groups), persistent=False)

    def forward(
        self, encoded: Tensor, present: Tensor, across: Reduction
    ) -> tuple[Tensor, dict[str, LossTerm], dict[str, Tensor]]:
        """x [M, N, H] -> h [M, N, 2H], the contrastive losses, similarities between modalities and utterances [N]."""
        options, source = self.options, encoded
        losses: dict[str, LossTerm] = {}
        disentangled = torch.zeros_like(encoded)
        if self.modality is not None:
            of_modality = self.modality(encoded)
            disentangled = disentangled + of_modality
            losses["modality_contrast"] = modality_contrast(
                of_modality, present, self.groups, options.modality_temperature, across
            )
            source = of_modality if options.projections == "sequential" else encoded
        if self.utterance is not None:
            of_utterance = self.utterance(source)
            disentangled = disentangled + of_utterance
            losses["utterance_contrast"] = utterance_contrast(
                of_utterance, present, options.utterance_temperature, across
            )
        seen = {} if self.training else similarities(disentangled, present, across)
        return torch.cat([encoded, options.scale * disentangled], dim=-1), losses, seen


def similarities(vectors: Tensor, present: Tensor, across: Reduction) -> dict[str, Tensor]:
    """Mean cosine [N] of [M, N, H] between the modalities of an utterance, and with others of the same modality."""
    unit = F.normalize(vectors.detach(), dim=-1) * present.unsqueeze(-1)
    itself = unit.square().sum(-1)
    between = (unit * unit.sum(0)).sum(-1) - itself
    along = (unit * across.sum(unit.sum(1)).unsqueeze(1)).sum(-1) - itself
    others = across.sum(present.sum(1)).unsqueeze(1) - 1
    seen = present.sum(0).clamp_min(1)
    return {
        "modality_similarity": between.sum(0) / (seen * (seen - 1)).clamp_min(1),
        "utterance_similarity": (along * present / others.clamp_min(1)).sum(0) / seen,
    }
