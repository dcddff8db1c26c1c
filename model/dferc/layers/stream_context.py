"""DialogueRNN over each of several streams of utterances, all at once, as MultiEMO hears its modalities.

    h = relu(W [e forwards ; e backwards] + b)    or, forwards only,    h = relu(e)

with e as in dferc/layers/dialogue_recurrence.py, whose context attention is ``simple`` [code: MultiEMO, DialogueRNN.py,
BiModel].
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.dialogue_recurrence import DialogueRecurrence


class StreamContext(nn.Module):
    """What the parties go through, in the vectors of each modality by themselves."""

    def __init__(
        self, names: Sequence[str], width: int, backward: bool, recurrent_dropout: float, dropout: float
    ) -> None:
        """Make the recurrences.

        Args:
            names: of the streams.
            width: of an utterance's vector and of every state.
            backward: go through the dialogues backwards too.
            recurrent_dropout: on every new state.
            dropout: on what comes out.
        """
        super().__init__()
        self.recurrence = DialogueRecurrence(
            width, width, width, width, "simple", dropout=recurrent_dropout, streams=len(names), backward=backward
        )
        self.joined = nn.ModuleDict({name: nn.Linear(2 * width, width) for name in names if backward})
        self.dropout = nn.Dropout(dropout)

    def forward(self, streams: Tensor, batch: DialogueBatch) -> Tensor:
        """[S, N, H] -> [S, B, T, H]; at padding the way forwards goes on and the way back is 0, as in the release."""
        states = self.recurrence.over_padding(streams, batch)
        if self.joined:
            states = torch.stack([join(one) for join, one in zip(self.joined.values(), states, strict=True)])
        return torch.relu(self.dropout(states))
