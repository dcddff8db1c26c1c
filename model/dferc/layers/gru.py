"""Bidirectional GRU over dialogues that share lanes, as the LSTM of recurrent.py has it."""

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.eager import eager
from dferc.layers.recurrent import FORGET, WEIGHTS, laid_out, padded_with


class DialogueGRU(nn.Module):
    """Layers of BiGRU over the dialogues of a batch, which share lanes without hearing each other."""

    def __init__(
        self, width: int, hidden: int, layers: int, layer_dropout: float = 0.0, over_padding: bool = False
    ) -> None:
        """Make the layers; the arguments are those of ``DialogueLSTM``."""
        super().__init__()
        self.layer_dropout = layer_dropout
        self.over_padding = over_padding
        self.layers = nn.ModuleList(
            nn.GRU(width if i == 0 else 2 * hidden, hidden, batch_first=True, bidirectional=True) for i in range(layers)
        )

    @eager  # the kernels of the library are what is fast here
    def forward(self, utterances: Tensor, batch: DialogueBatch, at_padding: Tensor | None = None) -> Tensor:
        """[N, D] -> [N, 2 * hidden]; ``at_padding`` [D] is what a step over padding sees, by default zeros."""
        if self.over_padding:
            padded = padded_with(utterances, batch, at_padding)
            for number, layer in enumerate(self.layers):
                padded = layer(self._between(padded, number))[0]
            return batch.flat(padded)
        outputs = utterances
        for number, layer in enumerate(self.layers):
            inputs = laid_out(self._between(outputs, number), batch.lanes)
            outputs = _run(layer, inputs).flatten(0, 1).index_select(0, batch.lanes.place)
        return outputs

    def _between(self, outputs: Tensor, layer: int) -> Tensor:
        """The input of a layer: the outputs of the one before it, with dropout."""
        return nn.functional.dropout(outputs, self.layer_dropout, self.training and layer > 0)


def _run(layer: nn.Module, inputs: Tensor) -> Tensor:
    """[R, S, D + 1] -> [R, S, 2 * hidden]: one layer in lanes, both directions."""
    weights = [getattr(layer, name) for name in WEIGHTS]
    for i in (0, 4):
        weights[i] = torch.cat([weights[i], _forget(weights[i + 2])], dim=1)
    start = inputs.new_zeros(2, inputs.shape[0], weights[1].shape[1])
    return torch.gru(inputs, start, weights, True, 1, 0.0, layer.training, True, True)[0]


def _forget(bias: Tensor) -> Tensor:
    """[3H] input bias -> [3H, 1]: what an empty place adds to the gates.

    Torch's order is reset, update, new. With both gates shut and the new state's bias taken back, the state is exactly
    0, and what flows back to the bias comes with both signs and cancels.
    """
    hidden = len(bias) // 3
    return torch.cat([bias.new_full((2 * hidden,), FORGET), -bias[2 * hidden :]]).unsqueeze(1)
