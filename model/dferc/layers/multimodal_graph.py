"""A graph with a node for each modality of each utterance, and deep graph convolutions over it.

Edges: between all utterances of a dialogue inside a modality, each with itself too, and between the modalities of one
utterance. An edge weighs the angular similarity of its ends; A is scaled to D^-1/2 A D^-1/2 [code: MMGCN and MM-DFN,
model_mm.py]. A modality that an utterance lacks has no edges. Nodes are [N, M, H] here.

Convolutions are those of GCNII (Chen et al., 2020). Layer l = 1, 2, ... of the states h, theta = ln(lambda / l + 1):

    p = A h    h <- relu(theta [p ; h0] W + (1 - theta) ((1 - alpha) p + alpha h0))
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch

SHRINK = 0.99999
"""Of the cosine, before the arc whose slope at 1 is infinite [code]."""
TINY = 1e-6


@dataclass(frozen=True)
class MultimodalGraph:
    """The scaled weights of all edges, those that exist only: the rest of the 3N x 3N matrix is zero."""

    batch: DialogueBatch
    within: Tensor
    """[B, M, T, T] between the utterances of a dialogue, inside a modality."""
    between: Tensor
    """[N, M, M] between the modalities of an utterance, zero from a modality to itself."""

    @classmethod
    def of(cls, nodes: Tensor, present: Tensor, batch: DialogueBatch) -> "MultimodalGraph":
        """From vectors [N, M, D] and their presence [N, M] as 0 and 1."""
        with torch.autocast(nodes.device.type, enabled=False):
            unit = F.normalize(nodes.float(), dim=-1)
            padded, here = batch.padded(unit).transpose(1, 2), batch.padded(present).transpose(1, 2)
            others = 1 - torch.eye(present.shape[1], device=nodes.device)
            itself = torch.eye(padded.shape[2], dtype=torch.bool, device=nodes.device)
            cosine = (padded @ padded.mT).masked_fill(itself, 1)  # not rounded: the arc is steep here
            within = angular_similarity(cosine) * _pairs(here)
            between = angular_similarity(unit @ unit.mT) * _pairs(present) * others
            degree = batch.flat(within.sum(-1).transpose(1, 2)) + between.sum(-1)
            scale = degree.clamp_min(TINY).rsqrt()
            return cls(batch, within * _pairs(batch.padded(scale).transpose(1, 2)), between * _pairs(scale))

    def spread(self, states: Tensor) -> Tensor:
        """A h, for states [N, M, H]."""
        over_dialogue = (self.within @ self.batch.padded(states).transpose(1, 2)).transpose(1, 2)
        return self.batch.flat(over_dialogue) + self.between @ states


def angular_similarity(cosine: Tensor) -> Tensor:
    """1 at the same direction, 0.5 at a right angle, 0 at the opposite direction."""
    return 1 - torch.acos(SHRINK * cosine.clamp(-1, 1)) / math.pi


def _pairs(values: Tensor) -> Tensor:
    """[..., K] -> [..., K, K]: products of all pairs."""
    return values.unsqueeze(-1) * values.unsqueeze(-2)


class DeepGraph(nn.Module):
    """GCNII layers, with or without a memory that runs through them."""

    def __init__(
        self, width: int, hidden: int, depth: int, restart: float, decay: float, dropout: float, memory: bool = False
    ) -> None:
        """Make the layers.

        Args:
            width: of a node's vector.
            hidden: of the states.
            depth: number of layers.
            restart: alpha, the share of the first states in every layer.
            decay: lambda; the larger, the more of a layer is learned.
            dropout: on the vectors and after every layer.
            memory: MM-DFN's dynamic fusion: before each layer an LSTM step across depth, (q', s) = LSTM(h, s), is what
                the layer is given, and h is added to what it gives.
        """
        super().__init__()
        self.input = nn.Linear(width, hidden)
        self.weights = nn.ParameterList(torch.empty(2 * hidden, hidden) for _ in range(depth))
        for weight in self.weights:
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)
        self.memory = nn.LSTMCell(hidden, hidden) if memory else None
        self.learned = [math.log(decay / level + 1) for level in range(1, depth + 1)]
        self.restart = restart
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, graph: MultimodalGraph) -> Tensor:
        """[N, M, D] -> [N, M, D + H]: each node's vector beside its last state."""
        nodes = self.dropout(nodes)
        first = torch.relu(self.input(nodes))
        states = self.dropout(first)
        unlearned = self._unlearned()
        memory: tuple[Tensor, Tensor] | None = None
        for weight, learned in zip(self.weights, self.learned, strict=True):
            given = states
            if self.memory is not None:
                memory = self.memory(states.flatten(0, 1), memory)
                given = memory[0].view_as(states)
            mixed = torch.lerp(unlearned, weight, learned)
            made = self.dropout(torch.relu(torch.cat([graph.spread(given), first], dim=-1) @ mixed))
            states = made if self.memory is None else made + states
        return torch.cat([nodes, states], dim=-1)

    def _unlearned(self) -> Tensor:
        """[2H, H]: the weights with which [p ; h0] gives (1 - alpha) p + alpha h0."""
        same = torch.eye(self.weights[0].shape[1], device=self.weights[0].device)
        return torch.cat([(1 - self.restart) * same, self.restart * same])
