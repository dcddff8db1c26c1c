"""TFN beyond its numbers: its products come in blocks, and one modality's absence leaves those of the others."""

from dataclasses import replace

import pytest
import torch

from dferc.corpus import collate
from dferc.models import objective, tfn
from dferc.training import make_task


def model_and_batch(corpus):
    torch.manual_seed(0)
    model = tfn.TFN(tfn.TFNConfig(**tfn.TFN.small), make_task(corpus))
    return model, collate(corpus, corpus.split("train"), model.modalities)


def gradients(model, batch):
    torch.manual_seed(1)  # of the dropout
    model.zero_grad()
    total, _ = objective(model, model(batch))
    total.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("utterances", [1, 4])
def test_blocks_change_nothing(corpus, monkeypatch, utterances):
    model, batch = model_and_batch(corpus)
    model.fusion_dropout.p = 0
    whole = gradients(model, batch)
    monkeypatch.setattr(tfn, "BLOCK", utterances * model.fusion1.in_features)
    torch.testing.assert_close(gradients(model, batch), whole)


def test_products_made_again_are_dropped_as_before(corpus, monkeypatch):
    model, batch = model_and_batch(corpus)
    again = gradients(model, batch)
    monkeypatch.setattr(model, "_made_again", model._of_products)
    torch.testing.assert_close(gradients(model, batch), again)


def test_without_a_modality_its_weights_do_not_matter(corpus):
    model, batch = model_and_batch(corpus)
    lost = replace(batch, present=batch.present | {"visual": torch.zeros_like(batch.mask)})
    before = model.eval()(lost).logits
    torch.nn.init.normal_(model.homogeneous.subnetworks["visual"].bias)
    assert torch.equal(model(lost).logits, before)
    assert not torch.equal(model(batch).logits, before)
