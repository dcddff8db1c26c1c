"""SDT where utterances lack modalities or labels, of which its release knows nothing."""

from dataclasses import replace

import pytest
import torch

from dferc.corpus import collate
from dferc.models.sdt import SDT, SDTConfig
from dferc.training import make_task


@pytest.fixture
def corpus(make_corpus):
    return make_corpus([4, 6, 3, 5], missing=0.4)


@pytest.fixture
def model(corpus):
    torch.manual_seed(0)
    return SDT(SDTConfig(**SDT.small), make_task(corpus)).eval()


def test_a_modality_that_is_missing_weighs_nothing_and_has_no_loss(corpus, model):
    batch = collate(corpus, corpus.split("train"), model.modalities)
    output = model(batch)
    present = torch.stack([batch.flat(batch.present[m]) for m in model.modalities], dim=-1)
    weights = batch.flat(output.diagnostics["fusion_weights"])
    assert not weights[~present].any()
    assert (weights[present] > 0).all()
    torch.testing.assert_close(weights.sum(-1), present.any(-1).float())
    for loss in ("modality_classification", "distillation"):
        torch.testing.assert_close(output.losses[loss].count, present.sum(0).float())


def test_what_is_missing_is_heard_by_none(corpus, model):
    """Without any audio, what the audio's places hold changes no other modality."""
    batch = collate(corpus, corpus.split("train"), model.modalities)
    silent = replace(batch, present={**batch.present, "audio": torch.zeros_like(batch.mask)})
    audio = model.modalities.index("audio")
    before = model.represented(silent)
    with torch.no_grad():
        model.exchanges["audio_to_text"].layer.attention.value.weight.add_(1)
        model.exchanges["audio_to_visual"].layer.attention.value.weight.add_(1)
    others = [i for i in range(len(model.modalities)) if i != audio]
    torch.testing.assert_close(model.represented(silent)[others], before[others], rtol=0, atol=0)
    assert not torch.allclose(model.represented(batch)[others], before[others])


def test_distillation_asks_for_no_label(corpus, model):
    batch = collate(corpus, corpus.split("train"), model.modalities)
    nothing = replace(batch, labels=torch.full_like(batch.labels, -1))
    known, unknown = (model(b).losses for b in (batch, nothing))
    torch.testing.assert_close(unknown["distillation"].share(), known["distillation"].share())
    assert unknown["modality_classification"].share() == 0


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="not a multiple of heads"):
        SDTConfig(hidden=10, heads=3)
