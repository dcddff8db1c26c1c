"""Dialogues laid end to end in a few lanes, so that a recurrent layer runs over little that is empty.

A dialogue is a sequence of its own length, and a batch as wide as its longest one would be half padding. Lanes hold
several short dialogues each, with an empty place between two of them: that is where a recurrent layer forgets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Lanes:
    """R lanes of S places; S is the length of the longest dialogue."""

    utterance: Tensor
    """[R, S] which of the N utterances lies here; N at an empty place."""
    place: Tensor
    """[N] where each utterance lies in the flattened R x S."""

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Lanes":
        """Dialogues of these lengths, in this order: the longest first, each into the first lane that has room."""
        places = max(1, *lengths, 1)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        used: list[int] = []
        lanes, begins = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
        for i in np.argsort([-length for length in lengths], kind="stable"):
            fits = (lane for lane, end in enumerate(used) if end + 1 + lengths[i] <= places)
            lane = next(fits, len(used))
            if lane == len(used):
                used.append(-1)
            lanes[i], begins[i] = lane, used[lane] + 1
            used[lane] += 1 + lengths[i]
        utterances = int(starts[-1])
        owner = np.repeat(np.arange(len(lengths)), lengths)
        place = lanes[owner] * places + begins[owner] + np.arange(utterances) - starts[owner]
        utterance = np.full(max(len(used), 1) * places, utterances, dtype=np.int64)
        utterance[place] = np.arange(utterances)
        return cls(torch.from_numpy(utterance.reshape(-1, places)), torch.from_numpy(place))
