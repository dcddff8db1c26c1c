"""A state for each party of a dialogue, in two-way recurrences."""

import torch
from torch import Tensor

from dferc.corpus.batch import DialogueBatch
from dferc.layers.both_ways import BothWays


class Parties:
    """Who speaks at each step; P is the most parties that a dialogue of the batch has.

    At a step over padding nobody speaks, so that no state changes; the state that is read there is the first party's.
    """

    def __init__(self, batch: DialogueBatch, ways: BothWays) -> None:
        self.count = batch.parties or int(batch.speakers.max()) + 1
        speakers = ways.laid_out(batch.flat(batch.speakers).expand(ways.shape[0], -1))
        picks = speakers.unsqueeze(-1) == torch.arange(self.count, device=speakers.device)
        self.speaks = (picks & batch.mask.T.unsqueeze(-1)).unsqueeze(-1).unbind(1)
        self.picks = picks.unsqueeze(-2).float().unbind(1)

    def at_rest(self, width: int) -> Tensor:
        """States [2, B, P, width] of zeros, before the first step."""
        return self.picks[0].new_zeros(*self.speaks[0].shape[:3], width)

    def of_speaker(self, turn: int, states: Tensor) -> Tensor:
        """[2, B, P, H] -> [2, B, H]."""
        return (self.picks[turn] @ states).squeeze(2)

    def updated(self, turn: int, speaker: Tensor, others: Tensor) -> Tensor:
        """The speaker's state from [2, B, H], those of the others from [2, B, P, H]."""
        return torch.where(self.speaks[turn], speaker.unsqueeze(2), others)
