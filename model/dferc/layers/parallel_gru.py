"""GRUs side by side over slots, in the form of Cho et al. (2014) that TensorFlow's GRUCell has.

    [r, u] = sigmoid([x, h] W_g + b_g)    c = tanh([x, r h] W_c + b_c)    h' = u h + (1 - u) c

The reset gate acts before the matrix, where ``torch.nn.GRU`` has it act behind.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from dferc.layers.eager import eager


class Kernel(nn.Module):
    """An affine map x W + b with weights [in, out] and TensorFlow's initial values: Glorot-uniform and a constant."""

    def __init__(self, width_in: int, width_out: int, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width_in, width_out)))
        self.bias = nn.Parameter(torch.full((width_out,), bias))

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., D_in] -> [..., D_out]."""
        return inputs @ self.weight + self.bias


class GRUWeights(nn.Module):
    """Those of one GRU; the rows of a kernel are first those of the input, then those of the state."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gates = Kernel(width + hidden, 2 * hidden, bias=1.0)
        self.candidate = Kernel(width + hidden, hidden)


class ParallelGRU(nn.Module):
    """G GRUs of the same sizes, each with a name, that take their steps together."""

    def __init__(self, names: Sequence[str], width: int, hidden: int) -> None:
        """Make the weights.

        Args:
            names: of the GRUs.
            width: of an input.
            hidden: of a state.
        """
        super().__init__()
        self.width, self.hidden = width, hidden
        self.each = nn.ModuleDict({name: GRUWeights(width, hidden) for name in names})

    def project(self, inputs: Tensor) -> Tensor:
        """What the inputs [1, ..., D] of all, or [G, ..., D] of each, give to r, u and c: [G, ..., 3H]."""
        gates, candidate = self._weights()
        weights = torch.cat([gates[:, : self.width], candidate[:, : self.width]], dim=2)
        rows = inputs.flatten(1, -2).expand(len(weights), -1, -1)
        projected = torch.baddbmm(self._biases(), rows, weights)
        return projected.reshape(len(weights), *inputs.shape[1:-1], 3 * self.hidden)

    @eager  # a compiler would unroll the loop
    def forward(self, projected: Tensor, steps: Tensor | None = None, empty_before: int = 0) -> Tensor:
        """States [G, N, S, H] after each slot.

        Args:
            projected: [G, N, S, 3H] from ``project``.
            steps: [G, N, S] where a GRU steps; elsewhere its state stays. By default it steps everywhere.
            empty_before: slots in front of the first at which all step too, with an input of zeros.
        """
        gates, candidate = (weight[:, self.width :] for weight in self._weights())
        empty = self._split(self._biases())
        nothing = projected.new_zeros(len(projected), 1, self.hidden)
        for _ in range(empty_before):  # the same for every utterance, so taken once
            nothing = _step(*empty, nothing, gates, candidate)
        state = nothing.expand(-1, projected.shape[1], -1)
        slots = zip(*(part.unbind(2) for part in self._split(projected)), strict=True)
        states = []
        for slot, (to_gates, to_candidate) in enumerate(slots):
            stepped = _step(to_gates, to_candidate, state, gates, candidate)
            state = stepped if steps is None else torch.where(steps[:, :, slot, None], stepped, state)
            states.append(state)
        return torch.stack(states, dim=2)

    def _split(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """[..., 3H] -> what goes to the gates [..., 2H] and to the candidate [..., H]."""
        return projected[..., : 2 * self.hidden], projected[..., 2 * self.hidden :]

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Those of the gates [G, D + H, 2H] and of the candidate [G, D + H, H]."""
        gates = torch.stack([one.gates.weight for one in self._each()])
        return gates, torch.stack([one.candidate.weight for one in self._each()])

    def _biases(self) -> Tensor:
        """[G, 1, 3H]."""
        return torch.stack([torch.cat([one.gates.bias, one.candidate.bias]) for one in self._each()]).unsqueeze(1)

    def _each(self) -> list[GRUWeights]:
        return cast(list[GRUWeights], list(self.each.values()))


def _step(to_gates: Tensor, to_candidate: Tensor, state: Tensor, gates: Tensor, candidate: Tensor) -> Tensor:
    """The next state [G, N, H], from what the input gives [G, N, 2H] and [G, N, H], the state, and its weights."""
    reset, keep = torch.sigmoid(torch.baddbmm(to_gates, state, gates)).chunk(2, dim=-1)
    new = torch.tanh(torch.baddbmm(to_candidate, reset * state, candidate))
    return torch.lerp(new, state, keep)
