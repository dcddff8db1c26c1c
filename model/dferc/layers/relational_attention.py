"""The two graph layers of COGMEN: a convolution by relation that averages, and attention along the edges.

Edges are given as [B, T, T] bool, a row a source and a column a target.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import masked_softmax


class RelationalMean(nn.Module):
    """A convolution whose matrix depends on who says the source, who says the target, and which of them comes first.

        y_j = sum_r mean_(i of relation r to j) x_i W_r + x_j W_self + b               (Schlichtkrull et al., 2018)

    r = 2 (speaker(i) P + speaker(j)) + (0 if i is before j else 1). Unlike ``graphs.RelationalConvolution`` it has no
    weights of edges, and a matrix for each relation.
    """

    def __init__(self, width_in: int, width_out: int, parties: int) -> None:
        """Glorot-uniform matrices, a bias of zeros [code: RGCNConv of torch_geometric 2].

        Args:
            width_in: of x.
            width_out: of y.
            parties: P, people who have relations of their own; any further ones share those of the last.
        """
        super().__init__()
        self.parties = parties
        self.weight = nn.Parameter(torch.empty(2 * parties * parties, width_in, width_out))
        self.self_weight = nn.Parameter(torch.empty(width_in, width_out))
        self.bias = nn.Parameter(torch.zeros(width_out))
        for weight in (self.weight, self.self_weight):
            bound = (6 / (width_in + width_out)) ** 0.5
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, nodes: Tensor, edges: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, D_in] -> [N, D_out]."""
        said_by = F.one_hot(batch.speakers.clamp_max(self.parties - 1), self.parties).to(nodes.dtype)
        one_and_vector = F.pad(batch.padded(nodes), (1, 0), value=1.0)  # the ones count the neighbours
        by_speaker = torch.einsum("btp,btd->btpd", said_by, one_and_vector).flatten(2)
        orders = [part.transpose(1, 2).to(nodes.dtype) @ by_speaker for part in (edges.triu(1), edges.tril())]
        sums = torch.stack([batch.flat(part) for part in orders], dim=1)
        sums = sums.reshape(len(nodes), 2, self.parties, 1 + nodes.shape[1])
        means = sums[..., 1:] / sums[..., :1].clamp_min(1)
        relations = torch.einsum("nopd,nq->npqod", means, batch.flat(said_by))  # zero for other speakers of the target
        return relations.flatten(1) @ self.weight.flatten(0, 1) + nodes @ self.self_weight + self.bias


class EdgeAttention(nn.Module):
    """Attention of each node to those with an edge to it, in several heads side by side, and a map of itself.

        y_j = [sum_i softmax_i(q_j . k_i / sqrt(H)) v_i of each head] + S x_j + s                     (Shi et al., 2021)

    Keys have no bias: the softmax would cancel it [code: TransformerConv of torch_geometric has one].
    """

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        """Make the maps; ``hidden`` is the width of a head."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, heads * hidden)
        self.key = nn.Linear(width, heads * hidden, bias=False)
        self.value = nn.Linear(width, heads * hidden)
        self.skip = nn.Linear(width, heads * hidden)

    def forward(self, nodes: Tensor, edges: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, D] -> [N, heads * H]."""
        query, key, value = (self._by_head(part(nodes), batch) for part in (self.query, self.key, self.value))
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        heard = masked_softmax(scores, edges.transpose(1, 2).unsqueeze(1)) @ value
        out: Tensor = batch.flat(heard.transpose(1, 2).flatten(2)) + self.skip(nodes)
        return out

    def _by_head(self, flat: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, heads * H] -> [B, heads, T, H]."""
        padded = batch.padded(flat)
        return padded.view(*padded.shape[:2], self.heads, -1).transpose(1, 2)
