"""Attention over a graph of utterances whose edges carry what a commonsense model says of their source.

Edges go from an utterance to itself and to near ones. Each has one of four types, named for the relation of ATOMIC
whose vector lies on it. An attention sees all of them at once: 4T keys and values, one for each type and source.
"""

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import masked_softmax

EDGE_TYPES = ("xwant", "owant", "xintent", "xeffect")
"""The speaker wants next, makes others want, meant by it, is affected so: in this order everywhere."""


def knowledge_edges(batch: DialogueBatch, hops: int, others_together: bool) -> Tensor:
    """The mask [B, 4, T, T] of SKAIG's edges: type, target, source [code: get_graph, get_graph_multi_speaker].

    From utterance i to the ``hops`` next ones of its speaker (xwant), the ``hops`` next of each other speaker (owant),
    the ``hops`` previous of its speaker (xintent), and itself (xeffect). With ``others_together`` the limit of owant
    counts all other speakers as one, which is the same where there are two.
    """
    speaker, mask = batch.speakers, batch.mask
    real = mask.unsqueeze(2) & mask.unsqueeze(1)
    same = (speaker.unsqueeze(2) == speaker.unsqueeze(1)) & real
    said = same.long().cumsum(1)  # [b, i, j]: utterances by the speaker of j up to i
    rank = said.diagonal(dim1=1, dim2=2)
    turn = torch.arange(mask.shape[1], device=mask.device)
    ahead = turn - turn.unsqueeze(1)
    steps = rank.unsqueeze(1) - said  # utterances by the speaker of j after i, up to j
    later = real & (ahead > 0)
    xwant = later & same & (steps <= hops)
    if others_together:
        steps = ahead - (said.transpose(1, 2) - rank.unsqueeze(2))  # by others than the speaker of i
    owant = later & ~same & (steps <= hops)
    xeffect = real & (ahead == 0)
    return torch.stack([xwant, owant, xwant.transpose(1, 2), xeffect], dim=1).transpose(2, 3)


class EdgeAttention(nn.Module):
    """Multi-head attention in which key and value of an edge are its source's plus its own (Shi et al., 2021).

        a_ij = softmax_j(q_i . (k_j + e_ij) / sqrt d)      m_i = sum_j a_ij (v_j + e_ij)
        g = sigmoid(w . [m ; S x ; m - S x])               x'  = g S x + (1 - g) m

    [code: TransformerConv of torch_geometric 1.7 with ``beta``, ``root_weight`` and no ``bias``].
    """

    def __init__(self, width: int, heads: int, edge_width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.edge = nn.Linear(edge_width, width, bias=False)
        self.skip = nn.Linear(width, width, bias=False)
        self.beta = nn.Linear(3 * width, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, knowledge: Tensor, edges: Tensor, batch: DialogueBatch) -> Tensor:
        """States [N, H], knowledge [N, 4, E] and edges [B, 4, T, T] -> [N, H]."""
        described = self.edge(knowledge)
        queries = self._split(self.query(states).unsqueeze(1), batch)
        keys = self._split(self.key(states).unsqueeze(1) + described, batch)
        values = self._split(self.value(states).unsqueeze(1) + described, batch)
        allowed = edges.transpose(1, 2).flatten(2).unsqueeze(1)
        scores = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
        attended = self.dropout(masked_softmax(scores, allowed)) @ values
        heard = batch.flat(attended.transpose(1, 2).flatten(2))
        own: Tensor = self.skip(states)
        gate = torch.sigmoid(self.beta(torch.cat([heard, own, heard - own], dim=-1)))
        return gate * own + (1 - gate) * heard

    def _split(self, vectors: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, K, H] -> [B, heads, K * T, H / heads]."""
        padded = batch.padded(vectors)
        split = padded.view(*padded.shape[:3], self.heads, -1)
        return split.permute(0, 3, 2, 1, 4).flatten(2, 3)


class KnowledgeLayer(nn.Module):
    """Edge attention and a feed-forward network; the residual begins behind the first norm [code: gnn.py FFMLP]."""

    def __init__(self, width: int, heads: int, edge_width: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.attention = EdgeAttention(width, heads, edge_width, dropout)
        self.norm1 = nn.LayerNorm(width)
        self.feed_forward1 = nn.Linear(width, feed_forward)
        self.feed_forward2 = nn.Linear(feed_forward, width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, knowledge: Tensor, edges: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, H] -> [N, H]; the rest as for the attention."""
        heard = self.norm1(self.attention(states, knowledge, edges, batch))
        hidden = self.dropout(torch.relu(self.feed_forward1(heard)))
        said: Tensor = self.norm2(heard + self.dropout(self.feed_forward2(hidden)))
        return said


class KnowledgeGraph(nn.Module):
    """Layers over the same edges."""

    def __init__(self, width: int, heads: int, edge_width: int, feed_forward: int, layers: int, dropout: float) -> None:
        """Make the layers.

        Args:
            width: of an utterance's state; a multiple of ``heads``.
            heads: of each attention.
            edge_width: of the vector on an edge.
            feed_forward: inner width of each feed-forward network.
            layers: how many.
            dropout: of attention weights and inside the feed-forward networks.
        """
        super().__init__()
        self.layers = nn.ModuleList(
            KnowledgeLayer(width, heads, edge_width, feed_forward, dropout) for _ in range(layers)
        )

    def forward(self, states: Tensor, knowledge: Tensor, edges: Tensor, batch: DialogueBatch) -> Tensor:
        """States [N, H], knowledge [N, 4, E] and edges [B, 4, T, T] -> [N, H]."""
        for layer in self.layers:
            states = layer(states, knowledge, edges, batch)
        return states
