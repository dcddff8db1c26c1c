"""Attention of every utterance to its dialogue, as the models of the conv-emotion family have it."""

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch


class DialogueAttention(nn.Module):
    """``general2``: scores (W h_i + b) . h_j, softmax over the utterances j of the dialogue, weighted sum of h.

    DialogueRNN's release takes the raw score, bc-LSTM, DialogueGCN, COSMIC and DAG-ERC its tanh [code: model.py,
    MatchingAttention].
    """

    def __init__(self, width: int, squash: bool, past: bool = False) -> None:
        """Make the map; ``squash`` takes the tanh of the scores, ``past`` looks at no later utterance."""
        super().__init__()
        self.transform = nn.Linear(width, width)
        self.squash = squash
        self.past = past

    def forward(self, states: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """States [N, H] -> attended [N, H] and weights [B, T, T], a row a query."""
        padded = batch.padded(states)
        scores = batch.padded(self.transform(states)) @ padded.transpose(1, 2)
        seen = batch.mask.unsqueeze(1).expand_as(scores)
        seen = seen.tril() if self.past else seen
        weights = masked_softmax(torch.tanh(scores) if self.squash else scores, seen)
        return batch.flat(weights @ padded), weights


def masked_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Softmax over the last dimension of [..., T] where ``allowed`` [..., T]; all zeros where nothing is."""
    weights = torch.softmax(scores.masked_fill(~allowed, torch.finfo(scores.dtype).min), dim=-1)
    return weights * allowed
