"""Layers over a multimodal graph that may add or subtract a neighbour: low and high frequencies of the graph's signal.

    x_i <- x_i + sum_j tanh(w . [x_i ; x_j] + b) x_j / sqrt(d_i d_j)        (M3Net [code: high_fre_conv.py])

Edges: between all utterances of a dialogue inside a modality, and between the modalities of one utterance; none from a
node to itself. d counts a node's edges. Nodes are [N, M, H] here; a modality that an utterance lacks is no node.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch
from dferc.layers.multimodal_graph import MultimodalGraph


def neighbours(present: Tensor, batch: DialogueBatch) -> MultimodalGraph:
    """All edges, each with 1 / sqrt(d_i d_j), from the presence of nodes [N, M] as 0 and 1."""
    in_dialogue = batch.padded(present)
    in_modality = in_dialogue.sum(1).index_select(0, batch.dialogue)
    degree = in_modality + present.sum(1, keepdim=True) - 2
    scale = present * degree.clamp_min(1).rsqrt()
    return MultimodalGraph(batch, _pairs(batch.padded(scale).transpose(1, 2)), _pairs(scale))


class FrequencyLayer(nn.Module):
    """One layer; the gate is the same for all edges."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width, 1)

    def forward(self, states: Tensor, edges: MultimodalGraph) -> Tensor:
        """[N, M, H] -> [N, M, H]."""
        return states + self.update(states, edges)

    def update(self, states: Tensor, edges: MultimodalGraph) -> Tensor:
        """What comes from the neighbours, [N, M, H]."""
        hears, heard = F.linear(states, self.gate.weight.view(2, -1)).unbind(-1)
        hears = hears + self.gate.bias
        in_dialogue = [edges.batch.padded(part).transpose(1, 2) for part in (hears, heard)]
        gated = replace(
            edges,
            within=edges.within * torch.tanh(in_dialogue[0].unsqueeze(-1) + in_dialogue[1].unsqueeze(-2)),
            between=edges.between * torch.tanh(hears.unsqueeze(-1) + heard.unsqueeze(-2)),
        )
        return gated.spread(states)


def _pairs(values: Tensor) -> Tensor:
    """[..., K] -> [..., K, K]: products of all pairs but those of one with itself."""
    itself = torch.eye(values.shape[-1], dtype=torch.bool, device=values.device)
    return (values.unsqueeze(-1) * values.unsqueeze(-2)).masked_fill(itself, 0)
