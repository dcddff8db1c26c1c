"""Attention of each step of a two-way recurrence to the states of the steps before it.

    simple    score_k = w . g_k
    general   score_k = (W u_t) . g_k
    general2  score_k = (W u_t + b) . g_k, or its tanh

c_t = sum_k softmax_k(score) g_k over k < t, and 0 at the first step [code: DialogueRNN and COSMIC, model.py,
SimpleAttention and MatchingAttention].
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.layers.both_ways import BothWays

Kind = Literal["simple", "general", "general2"]


class EarlierAttention(nn.Module):
    """The weights of the scores, for each way."""

    def __init__(self, kind: Kind, utterance: int, state: int, squash: bool = False, ways: int = 2) -> None:
        """Make the weights.

        Args:
            kind: of the scores, see above.
            utterance: width of u.
            state: width of g.
            squash: take the tanh of the scores of ``general2``, as COSMIC does.
            ways: how many, each with weights of its own.
        """
        super().__init__()
        self.squash = squash and kind == "general2"
        self.simple = kind == "simple"
        self.weight = nn.Parameter(torch.empty(ways, 1, state) if self.simple else torch.empty(ways, state, utterance))
        self.bias = nn.Parameter(torch.empty(ways, state)) if kind == "general2" else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(self.weight.shape[-1] ** -0.5), self.weight.shape[-1] ** -0.5)

    def over(self, utterances: Tensor, ways: BothWays) -> "Earlier":
        """Ready for the steps over utterances [N, D], or [W, N, D]."""
        if self.simple:
            queries = self.weight.unsqueeze(1).expand(*ways.shape, -1)
        else:
            each = utterances.expand(ways.shape[0], -1, -1) @ self.weight.transpose(1, 2)
            queries = ways.laid_out(each if self.bias is None else each + self.bias.unsqueeze(1))
        return Earlier(queries, self.squash)


BLOCK = 16
"""States that are stacked once and for all: each step would else keep its own copy of all states before it, which is
most of the memory of a long dialogue."""


class Earlier:
    """The states so far, and how each step attended to them."""

    def __init__(self, queries: Tensor, squash: bool) -> None:
        """Queries [2, T, B, G]."""
        self.queries = queries.unbind(1)
        self.squash = squash
        self.blocks: list[Tensor] = []
        self.recent: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.latest = torch.zeros_like(self.queries[0])
        """[2, B, G] the newest state; zeros before the first."""

    def add(self, state: Tensor) -> None:
        """Keep the state [2, B, G] of the step that ends."""
        self.latest = state
        self.recent.append(state)
        if len(self.recent) == BLOCK:
            self.blocks.append(torch.stack(self.recent, dim=2))
            self.recent = []

    def attended(self, turn: int) -> Tensor:
        """c [2, B, G] of the step that begins."""
        if turn == 0:
            return self.latest
        blocks = self.blocks + ([torch.stack(self.recent, dim=2)] if self.recent else [])
        query = self.queries[turn].unsqueeze(2)
        scores = torch.cat([query @ block.transpose(2, 3) for block in blocks], dim=-1)
        weights = torch.softmax(torch.tanh(scores) if self.squash else scores, dim=-1)
        self.weights.append(weights.detach().squeeze(2))
        parts = weights.split(BLOCK, dim=-1)  # type: ignore[no-untyped-call]
        return torch.stack([part @ block for part, block in zip(parts, blocks, strict=True)]).sum(0).squeeze(2)

    def table(self) -> Tensor:
        """Weights [2, B, T, T] without gradient, a row a step, zero where nothing is attended to."""
        turns = len(self.queries)
        none = self.latest.new_zeros(*self.latest.shape[:2], turns)
        return torch.stack([none, *(F.pad(w, (0, turns - w.shape[-1])) for w in self.weights)], dim=2)
