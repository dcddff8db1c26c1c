"""Step-by-step recurrences that read all dialogues of a batch forwards and backwards, both at once.

In the shapes, 2 stands for the two ways and T for the steps: step k of the way back is a dialogue's k-th utterance from
its end. Padding lies behind the last step of either way, so no step of a dialogue can see it. Where a dialogue is read
in several streams of vectors, or forwards only, there are W ways instead of 2: all forwards, then all backwards.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch


class BothWays:
    """Where the utterances of a batch lie in [2, T, B]."""

    def __init__(self, batch: DialogueBatch, forward: int = 1, backward: int = 1) -> None:
        dialogues, turns = batch.mask.shape
        self.shape = (forward + backward, turns, dialogues)
        turn = batch.valid % turns
        from_end = batch.lengths[batch.dialogue] - 1 - turn
        steps = torch.cat([turn.expand(forward, -1), from_end.expand(backward, -1)])
        before = turns * torch.arange(forward + backward, device=turn.device).unsqueeze(1)
        self.places = ((before + steps) * dialogues + batch.dialogue).flatten()

    def laid_out(self, utterances: Tensor) -> Tensor:
        """[2, N, ...], for each way, -> [2, T, B, ...]; zeros at padding."""
        flat = utterances.flatten(0, 1)
        ways, turns, dialogues = self.shape
        empty = flat.new_zeros(ways * turns * dialogues, *flat.shape[1:])
        return empty.index_copy(0, self.places, flat).reshape(*self.shape, *flat.shape[1:])

    def side_by_side(self, states: Tensor) -> Tensor:
        """[2, T, B, H] -> [N, 2H]: of each utterance its state forwards and its state backwards."""
        return torch.cat(self.of_utterances(states), dim=-1)

    def of_utterances(self, states: Tensor) -> tuple[Tensor, ...]:
        """[W, T, B, H] -> the states of the utterances [N, H] in each way."""
        return states.flatten(0, 2).index_select(0, self.places).tensor_split(self.shape[0])


class TwoWayGRU(nn.Module):
    """A GRU cell for each way, of which part of the input is known before the first step.

        r = sigmoid(W_r [x ; y] + U_r h + ..)    z likewise    n = tanh(W_n [x ; y] + b + r (U_n h + c))
        h' = (1 - z) n + z h

    x, known of an utterance beforehand, is multiplied for all steps at once; y, found on the way, at its step.
    """

    def __init__(self, known: int, found: int, hidden: int, ways: int = 2) -> None:
        """Make the weights, in the order and with the initial values of ``torch.nn.GRUCell``.

        Args:
            known: width of x; may be 0.
            found: width of y; may be 0.
            hidden: width of h.
            ways: how many, each with weights of its own.
        """
        super().__init__()
        self.known = known
        self.weight_ih = nn.Parameter(torch.empty(ways, 3 * hidden, known + found))
        self.weight_hh = nn.Parameter(torch.empty(ways, 3 * hidden, hidden))
        self.bias_ih = nn.Parameter(torch.empty(ways, 3 * hidden))
        self.bias_hh = nn.Parameter(torch.empty(ways, 3 * hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def over(self, known: Tensor, ways: BothWays, parties: int = 1) -> "GRUSteps":
        """Ready for the steps over utterances whose x is [N, known] or [W, N, known]; a dialogue has so many states."""
        return self._steps(ways.laid_out(self._of_known(known.expand(ways.shape[0], -1, -1))), parties)

    def along(self, known: Tensor, dropout: Callable[[Tensor], Tensor]) -> Tensor:
        """States [2, T, B, H] where x [2, T, B, known] is all there is; dropout is on each before the next step."""
        steps = self._steps(self._of_known(known.flatten(1, 2)).reshape(*known.shape[:3], -1))
        nothing, state = known[:, 0, :, :0], known.new_zeros(*known[:, 0].shape[:2], self.weight_hh.shape[2])
        states = []
        for turn in range(known.shape[1]):
            state = dropout(steps(turn, nothing, state))
            states.append(state)
        return torch.stack(states, dim=1)

    def _of_known(self, known: Tensor) -> Tensor:
        """What x [2, R, known] gives to the gates [2, R, 3H]."""
        return torch.baddbmm(self.bias_ih.unsqueeze(1), known, self.weight_ih[:, :, : self.known].transpose(1, 2))

    def _steps(self, given: Tensor, parties: int = 1) -> "GRUSteps":
        _, turns, dialogues, _ = given.shape
        kept = self.bias_hh[:, None, None].expand(-1, turns, dialogues * parties, -1)
        return GRUSteps(EveryStep(given, self.weight_ih[:, :, self.known :]), EveryStep(kept, self.weight_hh))


class GRUSteps:
    """The steps of a ``TwoWayGRU``."""

    def __init__(self, given: "EveryStep", kept: "EveryStep") -> None:
        self.given = given
        self.kept = kept

    def __call__(self, turn: int, found: Tensor, state: Tensor) -> Tensor:
        """The next state, from y [2, B, found] and the state [2, B, H], or [2, B, P, H] for a state a party."""
        given, kept = self.given(turn, found), self.kept(turn, state.flatten(1, -2))
        if state.dim() > given.dim():
            given, kept = given.unsqueeze(2), kept.reshape(*state.shape[:-1], -1)
        parts = [2 * state.shape[-1], state.shape[-1]]
        (given_gates, given_new), (kept_gates, kept_new) = (torch.split(part, parts, dim=-1) for part in (given, kept))
        reset, update = torch.sigmoid(given_gates + kept_gates).chunk(2, dim=-1)
        new = torch.tanh(torch.addcmul(given_new, reset, kept_new))
        return torch.lerp(new, state, update)


class EveryStep:
    """y_t = c_t + W x_t at step after step, where x_t is only known at step t.

    The gradient of W is one product over all steps at the end of the backward pass: summing it up step by step would
    read and write the whole of it T times, which takes longer than the products.
    """

    def __init__(self, offsets: Tensor, weight: Tensor) -> None:
        """Offsets c [2, T, R, G] and weight W [2, G, F]."""
        self.seen: list[Tensor] = []
        self.offsets = _WeightGradient.apply(offsets, weight, self.seen).unbind(1)  # type: ignore[no-untyped-call]
        self.weight = weight.detach().transpose(1, 2)

    def __call__(self, turn: int, inputs: Tensor) -> Tensor:
        """x [2, R, F] -> y [2, R, G]; the steps must be taken in order."""
        self.seen.append(inputs.detach())
        return torch.baddbmm(self.offsets[turn], inputs, self.weight)


class _WeightGradient(torch.autograd.Function):
    """The offsets as they are; backwards also the weight's gradient, from theirs and from the inputs seen since."""

    @staticmethod
    def forward(context: Any, offsets: Tensor, weight: Tensor, seen: list[Tensor]) -> Tensor:
        context.seen = seen
        return offsets.view_as(offsets)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        inputs = torch.stack(context.seen, dim=1).flatten(1, 2)
        return gradient, gradient.flatten(1, 2).transpose(1, 2) @ inputs, None
