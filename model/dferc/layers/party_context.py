"""Each party's own utterances as a sequence of their own: cut out, run through a recurrent layer, put back.

A party's sequence is as long as its dialogue: behind its last utterance zeros follow, in which the backward direction
starts [code: MM-DFN, DialogueCRN, SACL-LSTM]. That depends on the dialogue alone, not on what shares its batch.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.corpus.lanes import Lanes


class PartyContext(nn.Module):
    """A recurrent layer over dialogues (``DialogueLSTM``, ``DialogueGRU``), given each party's utterances alone."""

    def __init__(self, recurrent: nn.Module) -> None:
        """Wrap a layer that takes [N, D] and the batch."""
        super().__init__()
        self.recurrent = recurrent

    def forward(self, utterances: Tensor, batch: DialogueBatch) -> Tensor:
        """[K, N, D] -> [K, N, H], for K kinds of vectors of the same utterances."""
        kinds, total, width = utterances.shape
        turn, parties = party_turns(batch)
        begins = (batch.lengths.cumsum(0) - batch.lengths).index_select(0, batch.dialogue)
        place = batch.flat(batch.speakers) * total + begins + turn
        places = (place + torch.arange(kinds, device=place.device).unsqueeze(1) * parties * total).flatten()
        sequences = utterances.new_zeros(kinds * parties * total, width)
        sequences = sequences.index_copy(0, places, utterances.flatten(0, 1))
        states: Tensor = self.recurrent(sequences, repeated(batch, kinds * parties))
        return states.index_select(0, places).view(kinds, total, states.shape[1])


def party_turns(batch: DialogueBatch) -> tuple[Tensor, int]:
    """How often its party spoke before each utterance [N], and the most parties of a dialogue."""
    parties = batch.parties or int(batch.speakers.max()) + 1
    party = batch.flat(batch.speakers)
    speaks = batch.padded((party.unsqueeze(1) == torch.arange(parties, device=party.device)).long())
    return batch.flat(speaks.cumsum(1)).gather(1, party.unsqueeze(1)).squeeze(1) - 1, parties


def repeated(batch: DialogueBatch, copies: int) -> DialogueBatch:
    """The same dialogues several times, one copy behind the other; where they lie only, no features."""
    number = torch.arange(copies, device=batch.valid.device).unsqueeze(1)
    total, lanes = len(batch.valid), batch.lanes
    utterance = lanes.utterance + number.unsqueeze(2) * total
    return replace(
        batch,
        features={},
        present={},
        mask=batch.mask.repeat(copies, 1),
        valid=(batch.valid + number * batch.mask.numel()).flatten(),
        lengths=batch.lengths.repeat(copies),
        labels=batch.labels.repeat(copies, 1),
        speakers=batch.speakers.repeat(copies, 1),
        rows=batch.rows.repeat(copies, 1),
        lanes=Lanes(
            torch.where(lanes.utterance < total, utterance, copies * total).flatten(0, 1),
            (lanes.place + number * lanes.utterance.numel()).flatten(),
        ),
        tokens=None,
    )
