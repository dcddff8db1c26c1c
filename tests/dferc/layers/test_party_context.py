"""What each party hears, against its utterances cut out one by one."""

from dataclasses import replace

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.gru import DialogueGRU
from dferc.layers.party_context import PartyContext, party_turns
from dferc.layers.recurrent import DialogueLSTM

LENGTHS = [5, 1, 7, 3, 2]


@pytest.fixture
def batch(make_corpus):
    corpus = make_corpus(LENGTHS)
    return collate(corpus, corpus.dialogues, ())


def cut_out(layers, utterances, batch, length_of):
    """Each party's utterances, zeros up to a length, through torch's own layers, put back by hand."""
    speakers = batch.flat(batch.speakers)
    states = torch.zeros(len(utterances), 6)
    for dialogue in range(len(LENGTHS)):
        here = batch.dialogue == dialogue
        for party in speakers[here].unique():
            mine = here & (speakers == party)
            sequence = torch.zeros(1, length_of(dialogue), utterances.shape[1])
            sequence[0, : int(mine.sum())] = utterances[mine]
            for layer in layers:
                sequence, _ = layer(sequence)
            states[mine] = sequence[0, : int(mine.sum())]
    return states


@pytest.mark.parametrize("kind", [DialogueGRU, DialogueLSTM])
@pytest.mark.parametrize("over_padding", [False, True])
def test_a_party_hears_itself_and_the_silence_behind(batch, kind, over_padding):
    context = PartyContext(kind(4, 3, 2, over_padding=over_padding))
    utterances = torch.randn(2, sum(LENGTHS), 4)
    length_of = (lambda _: max(LENGTHS)) if over_padding else LENGTHS.__getitem__
    expected = [cut_out(context.recurrent.layers, one, batch, length_of) for one in utterances]
    torch.testing.assert_close(context(utterances, batch), torch.stack(expected), rtol=1e-5, atol=1e-6)


def test_turns_are_counted_for_each_party(batch):
    seen, expected = {}, []
    for dialogue, party in zip(batch.dialogue.tolist(), batch.flat(batch.speakers).tolist(), strict=True):
        expected.append(seen.get((dialogue, party), 0))
        seen[dialogue, party] = expected[-1] + 1
    turns, parties = party_turns(batch)
    assert turns.tolist() == expected
    assert parties == int(batch.speakers.max()) + 1
    assert party_turns(replace(batch, parties=None))[1] == parties
