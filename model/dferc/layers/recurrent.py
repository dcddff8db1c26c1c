"""Bidirectional LSTM over padded dialogues, with the dropouts of AWD-LSTM (Merity et al., 2018) [code: layer.py]."""

import torch
from torch import Tensor, nn


class DialogueLSTM(nn.Module):
    """Layers of BiLSTM over [B, T, D]; padding reaches no real utterance.

    Each dialogue is reversed within its own length for the backward direction: no packing, no copy to the host.
    Variational dropout: one mask a dialogue on each layer's input. DropConnect: one mask over the input columns of the
    hidden-to-hidden weights, shared by their rows and by the whole batch.
    """

    def __init__(self, width: int, hidden: int, layers: int, input_dropout: float, recurrent_dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.LSTM(width if i == 0 else 2 * hidden, hidden, batch_first=True, bidirectional=True)
            for i in range(layers)
        )
        self.input_dropout = input_dropout
        self.recurrent_dropout = recurrent_dropout

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, D], [B] -> [B, T, 2 * hidden]; zero at padding."""
        turns = torch.arange(inputs.shape[1], device=inputs.device)
        inside = turns < lengths.unsqueeze(1)
        reversal = torch.where(inside, lengths.unsqueeze(1) - 1 - turns, turns)
        outputs = inputs
        for layer in self.layers:
            dropped = self._variational(outputs)
            forward = self._direction(layer, dropped, "")
            backward = _reversed(self._direction(layer, _reversed(dropped, reversal), "_reverse"), reversal)
            outputs = torch.cat([forward, backward], dim=-1)
        return outputs * inside.unsqueeze(-1)

    def _direction(self, layer: nn.Module, inputs: Tensor, suffix: str) -> Tensor:
        weights = [getattr(layer, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        if self.training and self.recurrent_dropout:
            columns = weights[1].new_ones(1, weights[1].shape[1])
            weights[1] = weights[1] * nn.functional.dropout(columns, self.recurrent_dropout)
        start = inputs.new_zeros(1, inputs.shape[0], weights[1].shape[1])
        outputs, _, _ = torch.lstm(inputs, [start, start], weights, True, 1, 0.0, self.training, False, True)
        return outputs

    def _variational(self, inputs: Tensor) -> Tensor:
        if not (self.training and self.input_dropout):
            return inputs
        mask = inputs.new_ones(inputs.shape[0], 1, inputs.shape[2])
        return inputs * nn.functional.dropout(mask, self.input_dropout)


def _reversed(inputs: Tensor, reversal: Tensor) -> Tensor:
    return inputs.gather(1, reversal.unsqueeze(-1).expand_as(inputs))
