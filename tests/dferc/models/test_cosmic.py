"""COSMIC on corpora that have some of its columns."""

from dataclasses import replace

import pytest
import torch

from dferc.corpus import collate
from dferc.errors import UserError
from dferc.models import objective
from dferc.models.cosmic import Cosmic, CosmicConfig
from dferc.training import make_task

WIDTHS = {"audio": 5, "text": 6, "text_layer3": 6, "comet_xintent": 3, "comet_oreact": 4, "comet_xattr": 2}
USED = ("text", "text_layer3", "comet_xintent", "comet_oreact")


@pytest.fixture(scope="module")
def corpus(make_corpus):
    return make_corpus([3, 6, 1, 4, 2, 5], widths=WIDTHS)


def build(corpus, **changes):
    torch.manual_seed(0)
    return Cosmic(CosmicConfig(**Cosmic.small | changes), make_task(corpus))


def batch_of(corpus, model):
    return collate(corpus, corpus.split("train"), model.modalities)


def test_uses_the_layers_and_relations_that_are_there(corpus):
    model = build(corpus).eval()
    assert model.modalities == USED
    batch = batch_of(corpus, model)
    for name in USED:
        changed = {**batch.features, name: batch.features[name] + 1}
        assert not torch.equal(model(batch).logits, model(replace(batch, features=changed)).logits), name
    widths = {name: model.widths.get(name, 0) for name in ("comet_xintent", "comet_xeffect", "comet_oreact")}
    assert widths == {"comet_xintent": 3, "comet_xeffect": 0, "comet_oreact": 4}


def test_gradients_reach_every_column(corpus):
    model = build(corpus, modalities=(*USED, "audio"))
    total, _ = objective(model, model(batch_of(corpus, model)))
    total.backward()
    assert all(parameter.grad.any() for parameter in model.parameters())
    assert model.projection.weight.grad.any(0).all()
    assert model.recurrence.intent_gru.weight_ih.grad.any(1).all()


def test_batch_norm_counts_neither_padding_nor_what_is_missing(corpus):
    """In training too, where the statistics are those of the batch."""
    model = build(corpus, dropout=0, recurrent_dropout=0)
    batch = batch_of(corpus, model)
    assert not batch.present["text"][batch.mask].all()
    noise = {
        name: torch.where(batch.present[name].unsqueeze(-1), vectors, torch.randn_like(vectors))
        for name, vectors in batch.features.items()
    }
    first, second = model(batch).logits, model(replace(batch, features=noise)).logits
    torch.testing.assert_close(batch.flat(first), batch.flat(second))
    released = build(corpus, dropout=0, recurrent_dropout=0, padding="released")
    assert not torch.allclose(batch.flat(released(batch).logits), batch.flat(first), atol=1e-3)


def test_layers_of_unequal_width_are_refused(make_corpus):
    corpus = make_corpus([3, 2, 2], widths={"text": 6, "text_layer2": 4})
    with pytest.raises(UserError, match=r"equally wide; they are text \(6\), text_layer2 \(4\)"):
        build(corpus)
