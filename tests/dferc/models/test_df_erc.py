"""The options and mechanisms of DF-ERC."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from dferc.corpus import collate
from dferc.models import objective
from dferc.models.df_erc import DFERC, DFERCConfig
from dferc.training import make_task

SMALL = {"hidden": 8, "align": 6}
EVERY_LOSS = {"modality_contrast", "utterance_contrast", "confidence", "prototype", "classification"}


def build(corpus, **options):
    torch.manual_seed(0)
    return DFERC(DFERCConfig(**SMALL | options), make_task(corpus))


def run(corpus, **options):
    model = build(corpus, **options).eval()
    batch = collate(corpus, corpus.split("train"), model.modalities)
    return model, batch, model(batch)


@pytest.mark.parametrize(
    ("switched_off", "lost"),
    [
        ({"disentangle": "off"}, {"modality_contrast", "utterance_contrast"}),
        ({"disentangle": "modality"}, {"utterance_contrast"}),
        ({"disentangle": "utterance"}, {"modality_contrast"}),
        ({"fusion": "mean"}, {"confidence"}),
        ({"fusion": "sum"}, {"confidence"}),
        ({"fusion": "concat"}, {"confidence"}),
        ({"fusion": "attention"}, {"confidence"}),
        ({"fusion": "gated"}, {"confidence"}),
        ({"prototypes": "off"}, {"prototype"}),
        ({"context": "none", "prototypes": "off"}, {"prototype"}),
        ({"context": "full"}, set()),
        ({"context": "fixed", "fixed_context": 0.3}, set()),
        ({"projections": "parallel"}, set()),
        ({"speaker": True}, set()),
        ({"context_window": 3}, set()),
        ({"class_weights": "balanced"}, set()),
        ({"prototypes": "ema", "consistency": "prototype"}, set()),
    ],
)
def test_each_switch_stands_alone(corpus, switched_off, lost):
    model, batch, output = run(corpus, **switched_off)
    assert set(output.losses) == EVERY_LOSS - lost
    total, _ = objective(model.train(), model(batch))
    total.backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None}
    # Agreement is detached, so without the margin loss nothing teaches the projections that it compares.
    untaught = {name for name in idle if name.startswith("context.align") and switched_off.get("prototypes") == "off"}
    assert idle == untaught
    assert all(p.grad.isfinite().all() for name, p in model.named_parameters() if name not in idle)
    assert output.logits.isfinite().all()


def test_fusion_weights_add_up_to_one_over_what_is_present(corpus):
    _, batch, output = run(corpus)
    weights = batch.flat(output.diagnostics["fusion_weights"])
    present = torch.stack([batch.flat(batch.present[m]) for m in ("text", "audio", "visual")], -1)
    torch.testing.assert_close(weights.sum(-1), present.any(-1).float())
    assert (weights[~present] == 0).all()


def test_the_gate_opens_as_agreement_falls(corpus):
    _, batch, output = run(corpus)
    seen = output.diagnostics
    torch.testing.assert_close(seen["context_gate"][batch.mask], 1 - seen["consistency"][batch.mask])


def test_fewer_than_two_modalities_agree_in_nothing(make_corpus):
    corpus = make_corpus([4, 6, 3, 2, 5], missing=0.6)
    _, batch, output = run(corpus)
    present = sum(batch.present[m].int() for m in ("text", "audio", "visual"))
    alone = (present < 2) & batch.mask
    assert alone.any()
    assert (output.diagnostics["context_gate"][alone] == 1).all()


def test_context_none_sees_one_utterance_at_a_time(corpus):
    model, batch, output = run(corpus, context="none")
    changed = {m: v.clone() for m, v in batch.features.items()}
    for vectors in changed.values():
        vectors[:, 1] += 1
    other = model(replace(batch, features=changed)).logits
    untouched = batch.mask.clone()
    untouched[:, 1] = False
    torch.testing.assert_close(other[untouched], output.logits[untouched])
    assert not torch.allclose(other[:, 1], output.logits[:, 1])


def test_context_comes_from_the_neighbours_not_from_oneself(corpus):
    """With a window of one, logits see o_{i-1} + o_{i+1}: an only utterance of a dialogue has no context at all."""
    single = [d for d in corpus.dialogues if len(d) == 1][:1]
    model = build(corpus).eval()
    caught = {}
    model.classifier.register_forward_pre_hook(lambda _, inputs: caught.update(refused=inputs[0]))
    model(collate(corpus, single, model.modalities))
    assert (caught["refused"][:, -2 * 2 * SMALL["hidden"] :] == 0).all()


@pytest.mark.parametrize("window", [1, 2, 3])
def test_the_window_sums_the_neighbours(corpus, window):
    model = build(corpus, context_window=window).eval()
    batch = collate(corpus, corpus.split("train")[:3], model.modalities)
    outputs = torch.randn(*batch.mask.shape, 4) * batch.mask.unsqueeze(-1)
    found = batch.padded(model.context._neighbours(outputs, batch))
    for b, length in enumerate(batch.lengths):
        for i in range(length):
            near = [j for j in range(max(0, i - window), min(int(length), i + window + 1)) if j != i]
            torch.testing.assert_close(found[b, i], outputs[b, near].sum(0))


def test_the_target_is_detached_unless_the_release_is_asked_for(corpus):
    def teacher_gradient(**options):
        model, batch, _ = run(corpus, **options)
        term = model(batch).losses["confidence"]
        modalities = len(model.modalities)
        (term.total[modalities:] / term.count[modalities:]).sum().backward()
        return model.contribution.teacher.linear.weight.grad

    detached = teacher_gradient()
    assert detached is None or not detached.any()
    assert teacher_gradient(detach_tcp=False).any()


def test_moving_prototypes_learn_in_training_only(corpus):
    model, batch, _ = run(corpus, prototypes="cumulative")
    prototypes = model.context.prototypes
    assert not prototypes.count.any()
    model.train()(batch)
    once = prototypes.mean.clone()
    model(batch)
    counted = int(((batch.labels >= 0) & batch.mask).sum())
    assert counted <= int(prototypes.count.sum()) <= 2 * 3 * counted
    model.eval()(batch)
    after = prototypes.mean.clone()
    model(batch)
    assert torch.equal(prototypes.mean, after)
    assert once.any()


def test_a_cumulative_prototype_is_the_mean_of_all_it_saw(corpus):
    from dferc.layers.agreement import Prototypes
    from dferc.layers.reduction import ALONE

    prototypes = Prototypes(2, 3, "cumulative", 0.9)
    labels = torch.tensor([0, 1, 0])
    first, second = torch.randn(2, 3, 3), torch.randn(2, 3, 3)
    for projected in (first, second):
        prototypes.margin_loss(projected, torch.ones(2, 3), labels, 0.1, ALONE)
    of_class = torch.cat([first, second], 1)[:, [0, 2, 3, 5]].flatten(0, 1)
    torch.testing.assert_close(prototypes.mean[0], of_class.mean(0))


def test_beta_is_what_costs_nothing(corpus):
    assert run(corpus, beta=1e6)[2].losses["prototype"].share().item() == 0
    assert run(corpus, beta=0)[2].losses["prototype"].share().item() > 0


def test_settings_that_exclude_each_other_are_refused():
    with pytest.raises(ValidationError, match="needs prototypes that outlast a batch"):
        DFERCConfig(consistency="prototype")


def test_standardising_uses_the_training_split_only(corpus):
    model = build(corpus)
    rows = [r for d in corpus.split("train") for r in range(d.start, d.stop)]
    seen = corpus.features("text")[rows][corpus.present("text")[rows]]
    torch.testing.assert_close(model.encoders["text"].mean, torch.from_numpy(seen.mean(0)), rtol=1e-4, atol=1e-5)
    assert not build(corpus, standardise=False).encoders["text"].mean.any()
