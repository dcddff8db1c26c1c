"""Bidirectional LSTM over dialogues, with the dropouts of AWD-LSTM (Merity et al., 2018) [code: layer.py]."""

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.corpus.lanes import Lanes
from dferc.layers.eager import eager

FORGET = -1e4
"""What an empty place adds to the input, forget and output gates: their sigmoid is 0, so the state becomes exactly 0
and no gradient passes."""
WEIGHTS = tuple(
    f"{name}_l0{suffix}" for suffix in ("", "_reverse") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
)
"""Parameters of a bidirectional layer in the order in which ``torch.lstm`` and ``torch.gru`` take them."""


class DialogueLSTM(nn.Module):
    """Layers of BiLSTM over the dialogues of a batch, which share lanes without hearing each other.

    Variational dropout: one mask a dialogue on each layer's input. DropConnect: one mask over the input columns of the
    hidden-to-hidden weights, shared by their rows and by the whole batch.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        layers: int,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        layer_dropout: float = 0.0,
        over_padding: bool = False,
    ) -> None:
        """Make the layers.

        Args:
            width: of an utterance's vector.
            hidden: of each direction.
            layers: how many.
            input_dropout: variational dropout on each layer's input.
            recurrent_dropout: DropConnect on the hidden-to-hidden weights.
            layer_dropout: plain dropout between layers, as ``nn.LSTM`` has it.
            over_padding: run over the padding behind a dialogue's end too, as many releases do: the backward direction
                then starts in zeros, and a dialogue's states depend on how long the others of its batch are.
        """
        super().__init__()
        self.layer_dropout = layer_dropout
        self.over_padding = over_padding
        self.layers = nn.ModuleList(
            nn.LSTM(width if i == 0 else 2 * hidden, hidden, batch_first=True, bidirectional=True)
            for i in range(layers)
        )
        self.input_dropout = input_dropout
        self.recurrent_dropout = recurrent_dropout
        gates = torch.tensor([FORGET, FORGET, 0.0, FORGET])  # torch's order: input, forget, cell, output
        self.register_buffer("forget", gates.repeat_interleave(hidden).unsqueeze(1), persistent=False)

    @eager  # the kernels of the library are what is fast here
    def forward(self, utterances: Tensor, batch: DialogueBatch, at_padding: Tensor | None = None) -> Tensor:
        """[N, D] -> [N, 2 * hidden]; ``at_padding`` [D] is what a step over padding sees, by default zeros."""
        if self.over_padding:
            return self._over_padding(padded_with(utterances, batch, at_padding), batch)
        outputs = utterances
        for number, layer in enumerate(self.layers):
            outputs = self._between(outputs, number)
            inputs = laid_out(self._variational(outputs, batch), batch.lanes)
            forward = self._direction(layer, inputs, "")
            backward = self._direction(layer, inputs.flip(1), "_reverse").flip(1)
            outputs = torch.cat([forward, backward], dim=-1).flatten(0, 1).index_select(0, batch.lanes.place)
        return outputs

    def _over_padding(self, padded: Tensor, batch: DialogueBatch) -> Tensor:
        for number, layer in enumerate(self.layers):
            weights = [getattr(layer, name) for name in WEIGHTS]  # by name, so that a functional call can replace them
            start = padded.new_zeros(2, padded.shape[0], weights[1].shape[1])
            inputs = self._between(padded, number)
            padded = torch.lstm(inputs, [start, start], weights, True, 1, 0.0, self.training, True, True)[0]
        return batch.flat(padded)

    def _between(self, outputs: Tensor, layer: int) -> Tensor:
        """The input of a layer: the outputs of the one before it, with dropout."""
        return nn.functional.dropout(outputs, self.layer_dropout, self.training and layer > 0)

    def _direction(self, layer: nn.Module, inputs: Tensor, suffix: str) -> Tensor:
        weights = [getattr(layer, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weights[0] = torch.cat([weights[0], self.get_buffer("forget")], dim=1)
        if self.training and self.recurrent_dropout:
            columns = weights[1].new_ones(1, weights[1].shape[1])
            weights[1] = weights[1] * nn.functional.dropout(columns, self.recurrent_dropout)
        start = inputs.new_zeros(1, inputs.shape[0], weights[1].shape[1])
        outputs, _, _ = torch.lstm(inputs, [start, start], weights, True, 1, 0.0, self.training, False, True)
        return outputs

    def _variational(self, utterances: Tensor, batch: DialogueBatch) -> Tensor:
        if not (self.training and self.input_dropout):
            return utterances
        mask = utterances.new_ones(batch.mask.shape[0], utterances.shape[1])
        return utterances * nn.functional.dropout(mask, self.input_dropout).index_select(0, batch.dialogue)


def laid_out(utterances: Tensor, lanes: Lanes) -> Tensor:
    """[N, D] -> [R, S, D + 1]: in lanes, and 1 in a last column at empty places."""
    blank = nn.functional.pad(utterances.new_zeros(1, utterances.shape[1]), (0, 1), value=1.0)
    return torch.cat([nn.functional.pad(utterances, (0, 1)), blank])[lanes.utterance]


def padded_with(utterances: Tensor, batch: DialogueBatch, at_padding: Tensor | None) -> Tensor:
    """[N, D] -> [B, T, D] with ``at_padding`` [D], or zeros, behind the dialogues' ends."""
    padded = batch.padded(utterances)
    return padded if at_padding is None else torch.where(batch.mask.unsqueeze(-1), padded, at_padding)
