"""The frequency layer against its equation, written out edge by edge."""

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.frequency import FrequencyLayer, neighbours

LENGTHS = [4, 1, 6, 3]
MODALITIES, WIDTH = 3, 5


@pytest.fixture
def batch(make_corpus):
    corpus = make_corpus(LENGTHS)
    return collate(corpus, corpus.dialogues, ())


def written_out(states, present, dialogue, gate):
    """By loops over all pairs of nodes."""
    places = [(n, m) for n in range(len(states)) for m in range(MODALITIES) if present[n, m]]
    near = {
        i: [j for j in places if j != i and ((i[1] == j[1] and dialogue[i[0]] == dialogue[j[0]]) or i[0] == j[0])]
        for i in places
    }
    new = states.clone()
    for i, others in near.items():
        for j in others:
            sign = torch.tanh(gate(torch.cat([states[i], states[j]])))
            new[i] = new[i] + sign * states[j] / (len(others) * len(near[j])) ** 0.5
    return new


@pytest.mark.parametrize("missing", [0.0, 0.4, 1.0])
def test_a_layer_is_its_equation(batch, missing):
    states = torch.randn(sum(LENGTHS), MODALITIES, WIDTH)
    present = (torch.rand(states.shape[:2]) >= missing).float()
    layer = FrequencyLayer(WIDTH)
    with torch.no_grad():
        found = layer(states, neighbours(present, batch))
        expected = written_out(states, present, batch.dialogue, layer.gate)
    torch.testing.assert_close(found, expected)


def test_a_node_without_neighbours_stays_as_it_is(batch):
    states = torch.randn(sum(LENGTHS), 1, WIDTH, requires_grad=True)
    found = FrequencyLayer(WIDTH)(states, neighbours(torch.ones(len(states), 1), batch))
    alone = LENGTHS[0]  # the second dialogue has one utterance
    assert torch.equal(found[alone], states[alone])
    assert not torch.equal(found[0], states[0])
    found.sum().backward()
    assert states.grad.isfinite().all()
