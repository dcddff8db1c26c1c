"""Layers in which one modality's vectors hear those of the other modalities, one after another.

    a = LN(x + MHA(x, y_1, y_1))    b = LN(a + MHA(a, y_2, y_2))    x = LN(b + W2 relu(W1 b))

The y are the same in every layer [code: MultiEMO, MultiAttn.py]. Without another modality only the last step is left.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dferc.layers.switched_transformer import MaskedAttention


class CrossLayer(nn.Module):
    """One layer."""

    def __init__(self, others: int, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(MaskedAttention(width, heads, 0.0) for _ in range(others))
        self.attention_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(others))
        self.feed_forward1 = nn.Linear(width, feed_forward)
        self.feed_forward2 = nn.Linear(feed_forward, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor, heard: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """As ``CrossAttention``."""
        for attention, norm, (source, keys) in zip(self.attentions, self.attention_norms, heard, strict=True):
            places = norm(places + self.dropout(attention(places, keys, source)[0]))
        inner = self.feed_forward2(torch.relu(self.feed_forward1(places)))
        out: Tensor = self.norm(places + self.dropout(inner))
        return out


class CrossAttention(nn.Module):
    """Layers one after another."""

    def __init__(self, layers: int, others: int, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        """Make the layers.

        Args:
            layers: how many.
            others: modalities that are heard.
            width: of a vector; a multiple of ``heads``.
            heads: of each attention.
            feed_forward: inner width of each feed-forward network.
            dropout: behind each attention and each feed-forward network.
        """
        super().__init__()
        self.layers = nn.ModuleList(CrossLayer(others, width, heads, feed_forward, dropout) for _ in range(layers))

    def forward(self, places: Tensor, heard: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Places [B, T, H] -> [B, T, H]; heard are others [B, T, H], each where its keys [B, T] are true."""
        for layer in self.layers:
            places = layer(places, heard)
        return places
