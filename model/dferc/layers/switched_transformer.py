"""A transformer that attends over a sequence or, with its attention left out, maps each of its places alone."""

import torch
from torch import Tensor, nn

from dferc.layers.attention import masked_softmax


class MaskedAttention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al., 2017); where there is nothing to attend to, zeros."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor, keys: Tensor, source: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Places [B, T, H] and which may be heard [B, T] -> [B, T, H] and weights [B, heads, T, T], a row a query.

        What is heard are the places themselves, or those of ``source`` [B, T, H].
        """
        heard_from = places if source is None else source
        queries = self._split(self.query(places))
        said, values = (self._split(part(heard_from)) for part in (self.key, self.value))
        scores = queries @ said.transpose(2, 3) * queries.shape[-1] ** -0.5
        weights = masked_softmax(scores, keys.unsqueeze(1).unsqueeze(1))
        heard = (self.dropout(weights) @ values).transpose(1, 2).flatten(2)
        return self.output(heard), weights

    def _split(self, places: Tensor) -> Tensor:
        return places.view(*places.shape[:2], self.heads, places.shape[2] // self.heads).transpose(1, 2)


class TransformerLayer(nn.Module):
    """x = LN(x + attention(x)), where it attends; then LN(x + W2 gelu(W1 x))."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float, attends: bool = True) -> None:
        """Make the layer; without ``attends`` it has no attention."""
        super().__init__()
        self.attention = MaskedAttention(width, heads, dropout) if attends else None
        self.norm1 = nn.LayerNorm(width) if attends else None
        self.feed_forward1 = nn.Linear(width, feed_forward)
        self.feed_forward2 = nn.Linear(feed_forward, width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor, keys: Tensor) -> tuple[Tensor, Tensor | None]:
        """As the attention; without one there are no weights."""
        weights = None
        if self.attention is not None and self.norm1 is not None:
            heard, weights = self.attention(places, keys)
            places = self.norm1(places + self.dropout(heard))
        hidden = self.dropout(nn.functional.gelu(self.feed_forward1(places)))
        return self.norm2(places + self.dropout(self.feed_forward2(hidden))), weights


class SwitchedTransformer(nn.Module):
    """Layers that attend over a dialogue (sequential), or map each utterance alone (feed-forward)."""

    def __init__(
        self, width: int, heads: int, feed_forward: int, layers: int, dropout: float, sequential: bool
    ) -> None:
        """Make the layers.

        Args:
            width: of an utterance's state; a multiple of ``heads``.
            heads: of each attention.
            feed_forward: inner width of each feed-forward network.
            layers: how many.
            dropout: of attention weights, behind each sub-layer and inside the feed-forward networks.
            sequential: whether the layers attend; sinusoids then tell them the turn.
        """
        super().__init__()
        self.sequential = sequential
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, feed_forward, dropout, attends=sequential) for _ in range(layers)
        )

    def forward(self, utterances: Tensor, present: Tensor) -> Tensor:
        """[B, T, H] and which of them there are [B, T] -> [B, T, H]; of the others nothing is heard."""
        if self.sequential:
            utterances = utterances + sinusoids(utterances)
        for layer in self.layers:
            utterances, _ = layer(utterances, present)
        return utterances


def sinusoids(like: Tensor) -> Tensor:
    """[T, H] for [B, T, H]: sin and cos, in turn, of the place times 10000^(-2i/H) (Vaswani et al., 2017)."""
    turns, width = like.shape[1:]
    place = torch.arange(turns, device=like.device, dtype=like.dtype).unsqueeze(1)
    even = torch.arange(0, width, 2, device=like.device, dtype=like.dtype)
    angles = place * 10000.0 ** (-even / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]
