"""Transformer layers over dialogues: every utterance attends to those of its own dialogue, and to nothing else.

    head_h(q, k, v) = softmax_j((Q_h q_i + b_h) . (K_h k_j) / sqrt(d)) (V_h v_j + c_h)    MHA = O [head_1 ; ...] + o
    a = LayerNorm(x + MHA(x, x, x))    y = LayerNorm(a + W relu(U a + u) + w)

Vaswani et al. (2017), post-norm. Keys have no bias: the softmax would cancel it. Nothing tells positions apart.
"""

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import masked_softmax


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention in several heads; padding weighs exactly 0."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        """Make the maps; ``heads`` must divide ``width``, ``dropout`` falls on the attention weights."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, batch: DialogueBatch) -> Tensor:
        """Three views of the same utterances, each [N, D] -> [N, D]."""
        query = self._by_head(self.query(queries), batch)
        key = self._by_head(self.key(keys), batch)
        value = self._by_head(self.value(values), batch)
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        weights = self.dropout(masked_softmax(scores, batch.mask[:, None, None, :]))
        heard: Tensor = self.out(batch.flat((weights @ value).transpose(1, 2).flatten(2)))
        return heard

    def _by_head(self, flat: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, D] -> [B, heads, T, D / heads]."""
        padded = batch.padded(flat)
        return padded.view(*padded.shape[:2], self.heads, -1).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Self-attention and a hidden layer, each with a residual connection and a norm behind it."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        """Make the layer; ``feedforward`` is the width of its hidden layer."""
        super().__init__()
        self.attention = MultiHeadAttention(width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, feedforward)
        self.narrow = nn.Linear(feedforward, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, utterances: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, D] -> [N, D]."""
        attended = self.attention(utterances, utterances, utterances, batch)
        inner = self.attention_norm(utterances + self.dropout(attended))
        hidden = self.narrow(self.dropout(torch.relu(self.widen(inner))))
        encoded: Tensor = self.norm(inner + self.dropout(hidden))
        return encoded


class Encoder(nn.Module):
    """Encoder layers one after another."""

    def __init__(self, layers: int, width: int, heads: int, feedforward: int, dropout: float) -> None:
        """Make the layers; the other arguments are those of each."""
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads, feedforward, dropout) for _ in range(layers))

    def forward(self, utterances: Tensor, batch: DialogueBatch) -> Tensor:
        """[N, D] -> [N, D]."""
        for layer in self.layers:
            utterances = layer(utterances, batch)
        return utterances
