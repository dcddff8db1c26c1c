"""Layers of XLNet over the turns of dialogues, with a memory of what was said before and four kinds of heads.

A turn attends to itself and to its memory, the inputs of this very layer at what was said before it, through which no
gradient flows. Of the memory

    a local head sees    the turns of the last ``window``
    a global head        all
    a speaker head       what the same speaker said
    a listener head      what the others said

and every head sees all of the turn itself. Scores and distances are those of Transformer-XL,

    s_ij = ((q_i + u) . k_j + (q_i + v) . R p(i - j)) / sqrt(E),    p(d) = [sin d w ; cos d w]

where the memory ends right before the turn. As it holds a layer's own inputs, a layer needs of earlier turns only what
the layer below made of them: all turns are computed side by side, and memory is projected once for all who remember it.
[code: DialogXL, modeling_xlnet.py; paper: section 3]

Legend: K, R, N as in dferc/encoders/dialog_xl_packing.py; A heads, E width of a head; n turns of a block, of L
sub-tokens, with M remembered ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Block:
    """Turns that attend at once."""

    own: Tensor
    """[n, L] places among the K; anything behind a turn's end."""
    memory: Tensor
    """[n, M] places among the R, the latest last; anything before the memory's beginning."""
    seen: Tensor
    """[n, A, 1, M + L] what each head sees of memory and turn."""
    positions: Tensor
    """[M + 2 L, D] of distances from M + L down to 1 - L."""


class DialogueAwareAttention(nn.Module):
    """One layer's attention, over the parameters of an XLNet's."""

    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor
    r: Tensor
    r_w_bias: Tensor
    r_r_bias: Tensor

    def __init__(self, pretrained: Any) -> None:
        """Take over what is used of an ``XLNetRelativeAttention``: all but what belongs to segments."""
        super().__init__()
        for name in ("q", "k", "v", "o", "r", "r_w_bias", "r_r_bias"):
            self.register_parameter(name, getattr(pretrained, name))
        self.layer_norm: nn.LayerNorm = pretrained.layer_norm
        self.dropout = nn.Dropout(pretrained.dropout.p)

    def forward(self, states: Tensor, remembered: Tensor, place: Tensor, blocks: Sequence[Block]) -> Tensor:
        """States [K, D], what can be remembered [R], where each goes in the blocks [K] -> states [K, D]."""
        memory = states.index_select(0, remembered).detach()
        queries, keys, values = (project(states, weight) for weight in (self.q, self.k, self.v))
        old_keys, old_values = project(memory, self.k), project(memory, self.v)
        heard = []
        for block in blocks:
            asked = queries[block.own].transpose(1, 2)
            heard.append(
                F.scaled_dot_product_attention(
                    asked + self.r_w_bias.unsqueeze(1),
                    torch.cat([old_keys[block.memory], keys[block.own]], 1).transpose(1, 2),
                    torch.cat([old_values[block.memory], values[block.own]], 1).transpose(1, 2),
                    attn_mask=self._by_distance(asked, block).masked_fill(~block.seen, float("-inf")),
                    dropout_p=self.dropout.p if self.training else 0.0,
                )
                .transpose(1, 2)
                .flatten(0, 1)
            )
        together = torch.cat(heard).index_select(0, place)
        attended: Tensor = self.layer_norm(states + self.dropout(torch.einsum("kae,dae->kd", together, self.o)))
        return attended

    def _by_distance(self, asked: Tensor, block: Block) -> Tensor:
        """The term of the scores [n, A, L, M + L] that looks at distances, for queries [n, A, L, E]."""
        distances = project(block.positions, self.r).permute(1, 2, 0)
        scores = (asked + self.r_r_bias.unsqueeze(1)) @ distances * asked.shape[-1] ** -0.5
        return by_place(scores)


class DialogueAwareLayer(nn.Module):
    """Attention and XLNet's own feed-forward network."""

    def __init__(self, pretrained: Any) -> None:
        """Take over an ``XLNetLayer``."""
        super().__init__()
        self.attention = DialogueAwareAttention(pretrained.rel_attn)
        self.feed_forward = pretrained.ff

    def forward(self, states: Tensor, remembered: Tensor, place: Tensor, blocks: Sequence[Block]) -> Tensor:
        """As the attention."""
        fed: Tensor = self.feed_forward(self.attention(states, remembered, place, blocks))
        return fed


def project(states: Tensor, weight: Tensor) -> Tensor:
    """States [K, D] by weights [D, A, E] -> [K, A, E]."""
    return torch.einsum("kd,dae->kae", states, weight)


def by_place(scores: Tensor) -> Tensor:
    """Scores [..., L, M + 2 L] of each query by distance -> by place [..., L, M + L].

    Row i is shifted left by L - i, so that its place j is the distance M + i - j.
    """
    length, distances = scores.shape[-2:]
    shifted = scores.flatten(-2)[..., length:].reshape(*scores.shape[:-1], distances - 1)
    return shifted[..., : distances - length]


def sinusoids(length: int, memory: int, width: int, clamp: int, device: torch.device) -> Tensor:
    """Vectors [M + 2 L, D] of the distances M + L, ..., 1 - L; none is beyond ``clamp``, where that is positive."""
    distances = torch.arange(memory + length, -length, -1, device=device).float()
    distances = distances.clamp(-clamp, clamp) if clamp > 0 else distances
    frequencies = 10000 ** (-torch.arange(0, width, 2, device=device).float() / width)
    angles = distances.unsqueeze(1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)
