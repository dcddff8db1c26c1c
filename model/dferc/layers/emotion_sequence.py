"""A transformer that reads a dialogue and writes its emotions one after the other, never looking ahead.

    h = Encoder(x)    p_n = softmax(V h_n + v), the draft    q_n = h_n + F p_(n-1), with a learned vector for F p_0
    logits = V Decoder(q, h) + v

Encoder layers are those of Vaswani et al. (2017), post-norm with gelu; decoder layers hear the queries up to their own,
then h up to their own. The emotions that the decoder is told are the drafts, not labels: training and prediction do
the same, and all turns are written at once.
"""

import torch
from torch import Tensor, nn

from dferc.layers.topics import later


class EmotionSequence(nn.Module):
    """Utterances to the draft and to what the decoder makes of it."""

    def __init__(self, width: int, heads: int, feed_forward: int, layers: int, dropout: float, classes: int) -> None:
        """Make ``layers`` of either kind; ``heads`` must divide ``width``."""
        super().__init__()
        shape = (width, heads, feed_forward, dropout, "gelu")
        self.encoder = nn.ModuleList(nn.TransformerEncoderLayer(*shape, batch_first=True) for _ in range(layers))
        self.decoder = nn.ModuleList(nn.TransformerDecoderLayer(*shape, batch_first=True) for _ in range(layers))
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.told = nn.Linear(classes, width, bias=False)
        self.classifier = nn.Linear(width, classes)

    def forward(self, utterances: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, H] -> logits of the draft and of the decoder, both [B, T, C]."""
        ahead = later(utterances)
        states = utterances
        for layer in self.encoder:
            states = layer(states, src_mask=ahead)
        draft = self.classifier(states)
        told = self.told(torch.softmax(draft, -1))
        start = self.start.expand(len(told), 1, -1)
        written = states + torch.cat([start, told[:, :-1]], 1)
        for layer in self.decoder:
            written = layer(written, states, tgt_mask=ahead, memory_mask=ahead)
        return draft, self.classifier(written)
