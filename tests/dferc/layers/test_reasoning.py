"""Turns of reasoning, against a loop over utterances."""

import torch

from dferc.corpus import collate
from dferc.layers.reasoning import Reasoning


def test_each_utterance_asks_its_own_dialogue(make_corpus):
    corpus = make_corpus([3, 1, 4])
    batch = collate(corpus, corpus.dialogues, ())
    reasoning, bank, query = Reasoning(5, 3), torch.randn(8, 5), torch.randn(8, 10)
    expected = []
    for i, dialogue in enumerate(batch.dialogue):
        own, star = bank[batch.dialogue == dialogue], query[i : i + 1]
        state = (torch.zeros(1, 5), torch.zeros(1, 5))
        for _ in range(3):
            state = reasoning.cell(star, state)
            heard = torch.softmax(own @ state[0][0], 0) @ own
            star = torch.cat([state[0], heard.unsqueeze(0)], 1)
        expected.append(star)
    torch.testing.assert_close(reasoning(query, bank, batch), torch.cat(expected))


def test_without_a_turn_the_query_stays(make_corpus):
    corpus = make_corpus([3])
    reasoning, query = Reasoning(5, 0), torch.randn(3, 10)
    assert reasoning(query, torch.randn(3, 5), collate(corpus, corpus.dialogues, ())) is query
    assert not list(reasoning.parameters())
