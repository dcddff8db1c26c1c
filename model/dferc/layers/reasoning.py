"""Reasoning in turns over a bank of states: the cognition phase of DialogueCRN (Hu et al., 2021) [code: ReasonModule].

    (q, c) = LSTM(q*, (q, c))    a_j = softmax_j(x_j . q)    q* = [q ; sum_j a_j x_j]

x are the states of the dialogue to which the query belongs; q and c start at zero.
"""

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.attention import masked_softmax


class Reasoning(nn.Module):
    """Several turns of looking into a bank; without a turn the query stays as it is."""

    def __init__(self, width: int, turns: int) -> None:
        """Make the cell for a bank of this width; a query is twice as wide."""
        super().__init__()
        self.turns = turns
        self.cell = nn.LSTMCell(2 * width, width) if turns else None

    def forward(self, query: Tensor, bank: Tensor, batch: DialogueBatch) -> Tensor:
        """Queries [N, 2H] and bank [N, H] -> queries [N, 2H] after all turns."""
        if self.cell is None:
            return query
        states = batch.padded(bank)
        seen = batch.mask.unsqueeze(1)
        asked = memory = torch.zeros_like(bank)
        for _ in range(self.turns):
            asked, memory = self.cell(query, (asked, memory))
            weights = masked_softmax(batch.padded(asked) @ states.transpose(1, 2), seen)
            query = torch.cat([asked, batch.flat(weights @ states)], dim=-1)
        return query
