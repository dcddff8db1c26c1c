"""An LSTM over the steps of a sequence and a linear layer on its last state [code: UniMSE, encoders.py]."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.eager import eager


class SequenceEncoder(nn.Module):
    """One layer, forwards or both ways; what lies behind a sequence's end changes nothing."""

    def __init__(self, width: int, hidden: int, output: int, bidirectional: bool, dropout: float) -> None:
        """Make the layer; ``hidden`` is the width of each direction, ``dropout`` is on the last state."""
        super().__init__()
        self.ahead = nn.LSTM(width, hidden, batch_first=True)
        self.back = nn.LSTM(width, hidden, batch_first=True) if bidirectional else None
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden * (2 if bidirectional else 1), output)

    @eager  # the kernels of the library are what is fast here
    def forward(self, sequences: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[K, S, D] of lengths [K] -> vectors [K, O] and the mean over steps of the LSTM's states [K, H]."""
        steps = torch.arange(sequences.shape[1], device=sequences.device)
        inside = steps < lengths.unsqueeze(1)
        last = lengths.unsqueeze(1) - 1
        states: Tensor = self.ahead(sequences)[0]
        if self.back is not None:
            turned = torch.where(inside, last - steps, steps).unsqueeze(-1).expand_as(sequences)
            states = torch.cat([states, self.back(sequences.gather(1, turned))[0]], dim=-1)
        final = states.gather(1, last.unsqueeze(-1).expand(-1, -1, states.shape[-1])).squeeze(1)
        mean = (states * inside.unsqueeze(-1)).sum(1) / lengths.unsqueeze(1)
        return self.output(self.dropout(final)), mean


class UtteranceSequences(nn.Module):
    """Such an encoder a modality, over an utterance's vector and those of utterances before it."""

    def __init__(
        self, widths: Mapping[str, int], past: int, hidden: int, output: int, bidirectional: bool, dropout: float
    ) -> None:
        """Make the encoders.

        Args:
            widths: modality to the width of its vectors; none at all is allowed.
            past: how many utterances before the current one are steps too.
            hidden: width of each direction.
            output: width of what a modality gives.
            bidirectional: whether the LSTMs run both ways.
            dropout: on their last states.
        """
        super().__init__()
        self.past = past
        self.encoders = nn.ModuleDict(
            {name: SequenceEncoder(width, hidden, output, bidirectional, dropout) for name, width in widths.items()}
        )

    def forward(self, vectors: Mapping[str, Tensor], batch: DialogueBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Modality to vectors [N, D] -> those of all encoders side by side [N, V], mean states [N, H] by modality."""
        if not vectors:
            return torch.zeros(len(batch.valid), 0, device=batch.valid.device), {}
        lengths = (batch.valid % batch.mask.shape[1]).clamp_max(self.past) + 1
        current = torch.arange(len(lengths), device=lengths.device).unsqueeze(1)
        steps = torch.arange(self.past + 1, device=lengths.device)
        place = torch.minimum(current + 1 - lengths.unsqueeze(1) + steps, current)
        made = {name: encoder(vectors[name][place], lengths) for name, encoder in self.encoders.items()}
        return torch.cat([vector for vector, _ in made.values()], -1), {name: mean for name, (_, mean) in made.items()}
