"""Situation and speaker states, with and without those who hardly speak."""

import torch

from dferc.corpus import collate
from dferc.layers.perception import Perception, turns_of_party


def test_who_speaks_too_rarely_has_no_speaker_states(make_corpus):
    corpus = make_corpus([5, 1, 7, 3, 2])
    batch = collate(corpus, corpus.dialogues, ())
    said = list(zip(batch.dialogue.tolist(), batch.flat(batch.speakers).tolist(), strict=True))
    turns = turns_of_party(batch)
    assert turns.tolist() == [said.count(one) for one in said]

    perception, utterances = Perception(4, 3, 1, 0.0, over_padding=False), torch.randn(len(said), 4)
    situation, everyone = perception(utterances, batch)
    perception.least_turns = 3
    same, some = perception(utterances, batch)
    rare = turns < 3
    assert 0 < rare.sum() < len(rare)
    assert torch.equal(same, situation)
    assert torch.equal(some[~rare], everyone[~rare])
    assert everyone[rare].any(1).all()
    assert not some[rare].any()
