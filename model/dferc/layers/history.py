"""What was said before each utterance, in a fixed number of slots, by its own speaker or by another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dferc.corpus.batch import DialogueBatch


@dataclass(frozen=True)
class History:
    """S slots an utterance; the last one holds the utterance just before it, the one before last the one before that.

    In a conversation of more than two, "another" is anybody else.
    """

    utterance: Tensor
    """[N, S] which of the N utterances lies here; anything where the slot is empty."""
    own: Tensor
    """[N, S] true where the same speaker said it."""
    other: Tensor
    """[N, S] true where another did."""
    empty_before: int
    """Slots in front of these that no utterance of the batch has, and that are left out."""

    @classmethod
    def of(cls, batch: DialogueBatch, slots: int) -> "History":
        """The last ``slots`` utterances before each; no more of them than the longest dialogue can fill."""
        turns = batch.mask.shape[1]
        kept = min(slots, max(1, turns - 1))
        back = torch.arange(kept, 0, -1, device=batch.valid.device)
        filled = (batch.valid % turns).unsqueeze(1) >= back
        here = torch.arange(len(batch.valid), device=batch.valid.device).unsqueeze(1)
        utterance = (here - back).clamp_min(0)
        speaker = batch.flat(batch.speakers)
        same = speaker[utterance] == speaker.unsqueeze(1)
        return cls(utterance, filled & same, filled & ~same, slots - kept)

    @property
    def sides(self) -> Tensor:
        """[2, N, S] own, then other."""
        return torch.stack([self.own, self.other])

    @property
    def filled(self) -> Tensor:
        """[N, S] true where the slot holds an utterance."""
        return self.own | self.other

    def slotted(self, vectors: Tensor) -> Tensor:
        """Vectors of the utterances [G, N, D] -> of those in the slots [G, N, S, D]; anything where one is empty."""
        picked = vectors.index_select(1, self.utterance.flatten())
        return picked.reshape(len(vectors), *self.utterance.shape, vectors.shape[2])
