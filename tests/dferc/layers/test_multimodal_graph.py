"""The graph over modalities and utterances, against its whole matrix written out edge by edge."""

import math

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.multimodal_graph import DeepGraph, MultimodalGraph

LENGTHS = [4, 1, 6, 3]
MODALITIES = 3


@pytest.fixture
def batch(make_corpus):
    corpus = make_corpus(LENGTHS)
    return collate(corpus, corpus.dialogues, ())


def written_out(nodes, present, dialogue):
    """[NM, NM] scaled weights, by loops over all pairs of nodes."""
    places = [(n, m) for n in range(nodes.shape[0]) for m in range(nodes.shape[1])]
    weights = torch.zeros(len(places), len(places))
    for i, (n, m) in enumerate(places):
        for j, (k, o) in enumerate(places):
            related = (m == o and dialogue[n] == dialogue[k]) or n == k
            if related and present[n, m] and present[k, o]:
                cosine = torch.cosine_similarity(nodes[n, m], nodes[k, o], dim=0)
                weights[i, j] = 1 - torch.acos(0.99999 * cosine.clamp(-1, 1)) / math.pi
    degree = weights.sum(1)
    scale = torch.where(degree > 0, degree.rsqrt(), torch.zeros(()))
    return scale.unsqueeze(1) * weights * scale


@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_spreading_is_the_product_with_the_whole_matrix(batch, missing):
    nodes = torch.randn(sum(LENGTHS), MODALITIES, 5)
    present = (torch.rand(nodes.shape[:2]) >= missing).float()
    states = torch.randn(sum(LENGTHS), MODALITIES, 4)
    expected = written_out(nodes, present, batch.dialogue) @ states.flatten(0, 1)
    found = MultimodalGraph.of(nodes, present, batch).spread(states)
    torch.testing.assert_close(found.flatten(0, 1), expected, rtol=1e-4, atol=1e-5)


def test_equal_opposite_and_missing_vectors_give_finite_gradients(batch):
    nodes = torch.ones(sum(LENGTHS), MODALITIES, 5)
    nodes[3] = -1
    nodes[5] = 0
    nodes.requires_grad_()
    present = torch.ones(nodes.shape[:2])
    present[7:9] = 0
    MultimodalGraph.of(nodes, present, batch).spread(torch.randn(sum(LENGTHS), MODALITIES, 4)).sum().backward()
    assert nodes.grad.isfinite().all()
    assert not nodes.grad[7:9].any()


@pytest.mark.parametrize("memory", [False, True])
def test_layers_are_the_published_equations(batch, memory):
    torch.manual_seed(0)
    alpha, lamda = 0.3, 0.7
    model = DeepGraph(5, 4, 3, alpha, lamda, dropout=0.5, memory=memory).eval()
    nodes = torch.randn(sum(LENGTHS), MODALITIES, 5)
    graph = MultimodalGraph.of(nodes, torch.ones(nodes.shape[:2]), batch)
    first = states = torch.relu(model.input(nodes))
    cell = None
    for level, weight in enumerate(model.weights, start=1):
        theta = math.log(lamda / level + 1)
        given = states
        if memory:
            cell = model.memory(states.flatten(0, 1), cell)
            given = cell[0].view_as(states)
        spread = graph.spread(given)
        mixed = theta * torch.cat([spread, first], -1) @ weight + (1 - theta) * ((1 - alpha) * spread + alpha * first)
        states = torch.relu(mixed) + (states if memory else 0)
    torch.testing.assert_close(model(nodes, graph), torch.cat([nodes, states], -1))
