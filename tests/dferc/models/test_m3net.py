"""M3Net on corpora that have some of its columns, and what its released padding makes of a batch."""

from dataclasses import replace

import pytest
import torch

from dferc.corpus import collate
from dferc.errors import UserError
from dferc.models import objective
from dferc.models.m3net import M3Net, M3NetConfig
from dferc.training import make_task

WIDTHS = {"audio": 5, "text": 6, "text_layer3": 6, "visual": 4}


@pytest.fixture(scope="module")
def corpus(make_corpus):
    return make_corpus([3, 6, 1, 4, 2, 5], widths=WIDTHS, missing=0.2)


def build(corpus, **changes):
    torch.manual_seed(0)
    return M3Net(M3NetConfig(**M3Net.small | changes), make_task(corpus))


def batch_of(corpus, model, dialogues=None):
    return collate(corpus, corpus.split("train") if dialogues is None else dialogues, model.modalities)


def test_text_layers_are_one_node_and_each_counts(corpus):
    model = build(corpus).eval()
    assert model.modalities == ("text", "text_layer3", "audio", "visual")
    batch = batch_of(corpus, model)
    assert model.classifier.in_features == 3 * 2 * M3Net.small["graph_width"]
    for name in model.modalities:
        changed = {**batch.features, name: batch.features[name] + 1}
        assert not torch.equal(model(batch).logits, model(replace(batch, features=changed)).logits), name


@pytest.mark.parametrize("changes", [{"normalise": "none"}, {"text_projection": "none"}, {"objective": "focal"}])
def test_gradients_reach_every_parameter_with_every_option(corpus, changes):
    model = build(corpus, **changes)
    total, _ = objective(model, model(batch_of(corpus, model)))
    total.backward()
    assert all(parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("padding", ["exact", "released"])
def test_only_released_padding_depends_on_who_comes_before(corpus, padding):
    model = build(corpus, padding=padding).eval()
    with torch.no_grad():
        for weight in model.weights.parameters():
            weight.uniform_(0.5, 2)
    first, second = corpus.split("train")[:2]
    one, other = (batch_of(corpus, model, pair) for pair in ([first, second], [second, first]))
    swapped = model(other).logits.flip(0) * one.mask.unsqueeze(-1)
    same = torch.allclose(swapped, model(one).logits * one.mask.unsqueeze(-1), atol=1e-5)
    assert same == (padding == "exact")


def test_layers_of_unequal_width_are_refused(make_corpus):
    corpus = make_corpus([3, 2, 2], widths={"text": 6, "text_layer2": 4})
    with pytest.raises(UserError, match=r"equally wide; they are text \(6\), text_layer2 \(4\)"):
        build(corpus)
