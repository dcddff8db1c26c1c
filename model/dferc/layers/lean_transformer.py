"""Transformer layers whose attention has no norm behind it: those of HiTrans and of SDT.

    a = x + MHA(n(x), n(y), n(y))    z = a + W2 gelu(W1 LN(a))

n is nothing in the first layer and a norm in further ones; y is what x attends to, itself as a rule. GELU by its tanh
approximation, norms with an epsilon of 1e-6 [code of both: TransformerEncoder].
"""

import torch
from torch import Tensor, nn

from dferc.layers.switched_transformer import MaskedAttention, sinusoids

EPSILON = 1e-6


class LeanLayer(nn.Module):
    """One layer; only those that are not the first have a norm before their attention."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float, first: bool) -> None:
        super().__init__()
        self.input_norm = None if first else nn.LayerNorm(width, EPSILON)
        self.attention = MaskedAttention(width, heads, dropout)
        self.feed_forward_norm = nn.LayerNorm(width, EPSILON)
        self.feed_forward1 = nn.Linear(width, feed_forward)
        self.feed_forward2 = nn.Linear(feed_forward, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor, keys: Tensor, source: Tensor | None = None) -> Tensor:
        """Places [B, T, H] and which may be heard [B, T] -> [B, T, H]; heard are they, or ``source`` [B, T, H]."""
        normed = places if self.input_norm is None else self.input_norm(places)
        heard, _ = self.attention(normed, keys, source)
        attended = places + self.dropout(heard)
        inner = torch.nn.functional.gelu(self.feed_forward1(self.feed_forward_norm(attended)), approximate="tanh")
        out: Tensor = attended + self.dropout(self.feed_forward2(self.dropout(inner)))
        return out


class LeanTransformer(nn.Module):
    """Layers one after another, over places to which sinusoids have been added."""

    def __init__(self, layers: int, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        """Make the layers.

        Args:
            layers: how many.
            width: of a place; a multiple of ``heads``.
            heads: of each attention.
            feed_forward: inner width of each feed-forward network.
            dropout: of the input, of attention weights and behind each map of a layer.
        """
        super().__init__()
        self.layers = nn.ModuleList(LeanLayer(width, heads, feed_forward, dropout, i == 0) for i in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor, keys: Tensor) -> Tensor:
        """Places [B, T, H] and which of them there are [B, T] -> [B, T, H]."""
        places = self.dropout(places + sinusoids(places))
        for layer in self.layers:
            places = layer(places, keys)
        return places
