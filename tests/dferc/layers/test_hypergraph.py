"""The hypergraph against its equations, written out hyperedge by hyperedge."""

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.hypergraph import HypergraphLayer, PositionWeights

LENGTHS = [4, 1, 6, 3]
MODALITIES, WIDTH = 3, 5


@pytest.fixture
def batch(make_corpus):
    corpus = make_corpus(LENGTHS)
    return collate(corpus, corpus.dialogues, ())


def weights_of(over_batch, nodes=99, hyperedges=99):
    weights = PositionWeights(nodes, hyperedges, over_batch)
    for parameter in weights.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 2)
    return weights


def written_out(nodes, present, weights, bias, over_batch):
    """Each dialogue a list of hyperedges, each of them a list of its nodes (utterance, modality)."""
    averaged = torch.zeros_like(nodes)
    start = nodes_before = edges_before = 0
    for length in LENGTHS:
        utterances = range(start, start + length)
        hyperedges = [[(n, m) for n in utterances] for m in range(MODALITIES)]
        hyperedges += [[(n, m) for m in range(MODALITIES)] for n in utterances]
        a = {
            (n, m): weights.node[min(nodes_before + m * length + n - start, len(weights.node) - 1)]
            for n in utterances
            for m in range(MODALITIES)
        }
        w = [weights.hyperedge[min(edges_before + i, len(weights.hyperedge) - 1)] for i in range(len(hyperedges))]
        for node in a:
            own = [i for i, members in enumerate(hyperedges) if node in members]
            heard = torch.zeros(WIDTH)
            for i in own:
                there = [member for member in hyperedges[i] if present[member]]
                if there:
                    heard = heard + sum(nodes[member] for member in there) / sum(a[member] for member in there)
            averaged[node] = torch.nn.functional.leaky_relu(heard / sum(w[i] for i in own) + bias)
        start += length
        if over_batch:
            nodes_before += MODALITIES * length
            edges_before += MODALITIES + length
    return averaged


@pytest.mark.parametrize("over_batch", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("few", [False, True])
def test_a_layer_is_its_equations(batch, over_batch, missing, few):
    nodes = torch.randn(sum(LENGTHS), MODALITIES, WIDTH)
    present = (torch.rand(nodes.shape[:2]) >= missing).float()
    weights = weights_of(over_batch, *([7, 5] if few else []))
    layer = HypergraphLayer(WIDTH)
    torch.nn.init.uniform_(layer.bias, -1, 1)
    with torch.no_grad():
        found = layer(nodes, weights(present, batch))
        expected = written_out(nodes, present, weights, layer.bias, over_batch)
    torch.testing.assert_close(found[present.bool()], expected[present.bool()])


def test_weights_that_cancel_give_finite_numbers(batch):
    weights = weights_of(over_batch=False)
    torch.nn.init.zeros_(weights.node)
    nodes = torch.randn(sum(LENGTHS), MODALITIES, WIDTH, requires_grad=True)
    averaged = HypergraphLayer(WIDTH)(nodes, weights(torch.ones(nodes.shape[:2]), batch))
    averaged.sum().backward()
    assert not averaged.any()
    assert nodes.grad.isfinite().all()
    assert weights.node.grad.isfinite().all()
