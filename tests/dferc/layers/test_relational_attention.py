"""COGMEN's graph layers against a recomputation edge by edge, in a dialogue of more people than have relations."""

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.graphs import window
from dferc.layers.relational_attention import EdgeAttention, RelationalMean

WIDTH, PARTIES = 4, 2


@pytest.fixture
def dialogue(make_corpus):
    corpus = make_corpus([7])
    batch = collate(corpus, corpus.dialogues, ["text"])
    batch.speakers[0] = torch.tensor([0, 1, 2, 0, 2, 1, 1])
    return batch, window(batch.mask, past=3, future=1), torch.randn(7, WIDTH)


def heard_by(edges, target):
    return edges[0, :, target].nonzero().flatten().tolist()


def test_the_convolution_averages_within_each_relation(dialogue):
    batch, edges, nodes = dialogue
    layer = RelationalMean(WIDTH, 3, PARTIES)
    who = batch.speakers[0].clamp_max(PARTIES - 1).tolist()
    expected = []
    for target in range(7):
        by_relation = {}
        for source in heard_by(edges, target):
            relation = 2 * (who[source] * PARTIES + who[target]) + (0 if source < target else 1)
            by_relation.setdefault(relation, []).append(nodes[source])
        means = [torch.stack(vectors).mean(0) @ layer.weight[r] for r, vectors in by_relation.items()]
        expected.append(sum(means) + nodes[target] @ layer.self_weight + layer.bias)
    torch.testing.assert_close(layer(nodes, edges, batch), torch.stack(expected))


def test_attention_hears_only_along_edges(dialogue):
    batch, edges, nodes = dialogue
    layer = EdgeAttention(WIDTH, hidden=3, heads=2)
    query, key, value = (part(nodes).view(7, 2, 3) for part in (layer.query, layer.key, layer.value))
    expected = []
    for target in range(7):
        near = heard_by(edges, target)
        weights = torch.softmax(torch.einsum("hd,shd->sh", query[target], key[near]) / 3**0.5, dim=0)
        expected.append(torch.einsum("sh,shd->hd", weights, value[near]).flatten() + layer.skip(nodes[target]))
    torch.testing.assert_close(layer(nodes, edges, batch), torch.stack(expected))
