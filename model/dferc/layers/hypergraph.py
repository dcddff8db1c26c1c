"""A hypergraph over the modalities of a dialogue, and layers that average over it.

Its nodes are the modalities of each utterance; its hyperedges hold all nodes of one modality of a dialogue, or the
nodes of one utterance. A layer goes from nodes to hyperedges and back, and has no matrix:

    e = sum_{v in e} x_v / sum_{v in e} a_v    x_v <- leaky_relu(sum_{e with v} e / sum_{e with v} w_e + b)

The weights a of nodes and w of hyperedges are learned and belong to positions: nodes by modality and then by turn,
hyperedges of the modalities first, then those of the utterances. [code: M3Net, model_hyper.py and HypergraphConv.py;
there the weights a are meant for the memberships of nodes in hyperedges, and looked up by node all the same.]
Nodes are [N, M, H] here; a modality that an utterance lacks is no node.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch


@dataclass(frozen=True)
class Hypergraph:
    """Who is a node, and the inverse of every sum of weights, 0 where it is 0."""

    batch: DialogueBatch
    present: Tensor
    """[N, M] 1 where there is a node, else 0."""
    of_modality: Tensor
    """[B, M] inverse of the weights a of a dialogue's nodes of one modality."""
    of_utterance: Tensor
    """[N] inverse of the weights a of an utterance's nodes."""
    of_node: Tensor
    """[N, M] inverse of the weights w of the two hyperedges of a node."""

    def average(self, nodes: Tensor) -> Tensor:
        """[N, M, H] -> [N, M, H]: from nodes to hyperedges and back; anything where there is no node."""
        there = nodes * self.present.unsqueeze(-1)
        of_modality = self.batch.padded(there).sum(1) * self.of_modality.unsqueeze(-1)
        of_utterance = there.sum(1) * self.of_utterance.unsqueeze(-1)
        both = of_modality.index_select(0, self.batch.dialogue) + of_utterance.unsqueeze(1)
        return both * self.of_node.unsqueeze(-1)


class PositionWeights(nn.Module):
    """The learned weights of nodes and hyperedges, from which the hypergraph of a batch is made."""

    def __init__(self, nodes: int, hyperedges: int, over_batch: bool) -> None:
        """Make weights of one.

        Args:
            nodes: positions of nodes that have weights of their own; further ones share that of the last.
            hyperedges: the same of hyperedges.
            over_batch: positions go on through the batch, so that a dialogue's depend on those before it [code],
                instead of starting anew in each dialogue.
        """
        super().__init__()
        self.node = nn.Parameter(torch.ones(nodes))
        self.hyperedge = nn.Parameter(torch.ones(hyperedges))
        self.over_batch = over_batch

    def forward(self, present: Tensor, batch: DialogueBatch) -> Hypergraph:
        """Of a batch, from the presence of its nodes [N, M] as 0 and 1."""
        nodes, modalities, utterances = self.positions(present.shape[1], batch)
        weights = present * _at(self.node, nodes)
        edges = _at(self.hyperedge, modalities).index_select(0, batch.dialogue)
        return Hypergraph(
            batch,
            present,
            of_modality=_inverse(batch.padded(weights).sum(1)),
            of_utterance=_inverse(weights.sum(1)),
            of_node=_inverse(edges + _at(self.hyperedge, utterances).unsqueeze(1)),
        )

    def positions(self, modalities: int, batch: DialogueBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Those of nodes [N, M], and of the hyperedges of modalities [B, M] and of utterances [N]."""
        number = torch.arange(modalities, device=batch.valid.device)
        turn = batch.valid % batch.mask.shape[1]
        nodes = number * batch.lengths.index_select(0, batch.dialogue).unsqueeze(1) + turn.unsqueeze(1)
        of_modalities, of_utterances = number.expand(len(batch.lengths), -1), modalities + turn
        if not self.over_batch:
            return nodes, of_modalities, of_utterances
        before = batch.lengths.cumsum(0) - batch.lengths
        edges_before = before + modalities * torch.arange(len(before), device=before.device)
        return (
            nodes + modalities * before.index_select(0, batch.dialogue).unsqueeze(1),
            of_modalities + edges_before.unsqueeze(1),
            of_utterances + edges_before.index_select(0, batch.dialogue),
        )


class HypergraphLayer(nn.Module):
    """One averaging over the hypergraph."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, nodes: Tensor, hypergraph: Hypergraph) -> Tensor:
        """[N, M, H] -> [N, M, H]."""
        return F.leaky_relu(hypergraph.average(nodes) + self.bias)


def _at(weights: Tensor, positions: Tensor) -> Tensor:
    """The weights [K] at positions [...]; beyond the last, the last."""
    return weights[positions.clamp_max(len(weights) - 1)]


def _inverse(sums: Tensor) -> Tensor:
    """1 / x, and 0 for 0."""
    nothing = sums == 0
    return sums.masked_fill(nothing, 1).reciprocal().masked_fill(nothing, 0)
