"""CRM, context refusion (df-erc.md section 5)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch
from dferc.layers.agreement import Prototypes, overlap, pairwise_agreement, prototype_assignments
from dferc.layers.recurrent import DialogueLSTM
from dferc.layers.reduction import LossTerm, Reduction
from dferc.layers.stacked import StackedMLP
from dferc.layers.utterances import Utterances


@dataclass(frozen=True)
class RefusionOptions:
    """What opens the gate on the context, and what the gated context is."""

    context: Literal["refusion", "full", "fixed", "none"]
    fixed: float
    weight: float
    window: int
    consistency: Literal["pairwise", "prototype", "predictions"]
    prototypes: Literal["batch", "cumulative", "ema", "off"]
    momentum: float
    beta: float
    dropout: float
    input_dropout: float
    recurrent_dropout: float


class ContextRefusion(nn.Module):
    """The less the modalities of an utterance agree, the more of its neighbours' context is added to it."""

    def __init__(
        self, modalities: int, width: int, fused: int, classes: int, align: int, hidden: int, options: RefusionOptions
    ) -> None:
        """Widths: ``width`` of h, ``fused`` of p, ``align`` of g, ``hidden`` of one direction of the BiLSTM."""
        super().__init__()
        self.options = options
        compares = options.context == "refusion" and options.consistency != "predictions"
        aligned = compares or options.prototypes != "off"
        self.align = StackedMLP(modalities, width, align, options.dropout) if aligned else None
        self.prototypes = Prototypes(classes, align, options.prototypes, options.momentum)
        self.lstm = (
            DialogueLSTM(fused, hidden, 2, options.input_dropout, options.recurrent_dropout)
            if options.context != "none"
            else None
        )
        self.width = fused + (2 * hidden if self.lstm else 0)

    def forward(
        self,
        fused: Tensor,
        features: Tensor,
        beliefs: Tensor | None,
        utterances: Utterances,
        batch: DialogueBatch,
        across: Reduction,
    ) -> tuple[Tensor, dict[str, LossTerm], dict[str, Tensor]]:
        """p [N, P], h [M, N, D], q [M, N, C] -> z [N, Z], the margin loss, consistency and gate on the context [N]."""
        losses: dict[str, LossTerm] = {}
        seen: dict[str, Tensor] = {}
        projected = None if self.align is None else self.align(features)
        if projected is not None and self.options.prototypes != "off":
            losses["prototype"] = self.prototypes.margin_loss(
                projected, utterances.counted, utterances.labels, self.options.beta, across
            )
        agreement = self._agreement(projected, beliefs, utterances.present)
        if agreement is not None:
            seen["consistency"] = agreement
        if self.lstm is None:
            return fused, losses, seen
        gate = self._gate(fused, agreement)
        context = self._neighbours(batch.padded(self.lstm(fused, batch)), batch)
        gated = self.options.weight * gate.unsqueeze(-1) * context
        return torch.cat([fused, gated], dim=-1), losses, seen | {"context_gate": gate}

    def _agreement(self, projected: Tensor | None, beliefs: Tensor | None, present: Tensor) -> Tensor | None:
        """s [N], without gradient."""
        if self.options.consistency == "predictions":
            return None if beliefs is None else overlap(beliefs.detach(), present)
        if projected is None:
            return None
        seen = projected.detach().float()
        if self.options.consistency == "pairwise":
            return pairwise_agreement(seen, present)
        return overlap(prototype_assignments(seen, self.prototypes), present)

    def _gate(self, fused: Tensor, agreement: Tensor | None) -> Tensor:
        if self.options.context == "refusion" and agreement is not None:
            return 1 - agreement
        return fused.new_full(fused.shape[:1], 1.0 if self.options.context == "full" else self.options.fixed)

    def _neighbours(self, outputs: Tensor, batch: DialogueBatch) -> Tensor:
        """Sum of o_{i-w} ... o_{i-1} and o_{i+1} ... o_{i+w}, zeros past the ends: [B, T, O] -> [N, O]."""
        window = self.options.window
        windows = F.pad(outputs, (0, 0, window, window)).unfold(1, 2 * window + 1, 1)
        return batch.flat(windows.sum(-1) - outputs)
