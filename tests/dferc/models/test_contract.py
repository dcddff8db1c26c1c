"""What every registered model must hold to, whatever it computes."""

from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dferc.corpus import Corpus, Sequences, Tokens, collate, vector_array
from dferc.layers.reduction import ALONE
from dferc.models import models, objective
from dferc.training import TrainingConfig, make_learner, make_task, step
from dferc.training import backward as add_gradients

SLOW_DATA = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=sorted(models()))
def name(request):
    return request.param


def build(name, corpus, **changes):
    torch.manual_seed(0)
    model_type = models()[name]
    return model_type(model_type.config_type(**model_type.small | changes), make_task(corpus))


def batch_of(corpus, model, dialogues=None):
    chosen = corpus.split("train") if dialogues is None else dialogues
    return collate(corpus, chosen, model.modalities, model.text_packer())


def noisy_tokens(tokens):
    """The same sub-tokens, with others behind the ends of their sequences."""
    parts = {f.name: getattr(tokens, f.name) for f in fields(tokens)}
    noisy = {name: noisy_tokens(part) for name, part in parts.items() if isinstance(part, Tokens)}
    if isinstance(tokens, Sequences):
        others = torch.randint(1, 8, tokens.ids.shape)
        noisy["ids"] = torch.where(tokens.mask, tokens.ids, others)
    return replace(tokens, **noisy)


def noisy_padding(batch, extra):
    """The same dialogues, padded further and with noise behind their ends."""
    turns = batch.mask.shape[1] + extra

    def wider(tensor, fill):
        shape = (tensor.shape[0], turns, *tensor.shape[2:])
        padded = fill(shape).to(tensor.dtype)
        padded[:, : tensor.shape[1]][batch.mask] = tensor[batch.mask]
        return padded

    mask = wider(batch.mask, torch.zeros)
    return replace(
        batch,
        features={m: wider(v, lambda shape: 10 * torch.randn(shape)) for m, v in batch.features.items()},
        present={m: wider(v, torch.zeros) for m, v in batch.present.items()},
        mask=mask,
        valid=mask.flatten().nonzero().flatten(),
        labels=wider(batch.labels, lambda shape: torch.full(shape, -1)),
        speakers=wider(batch.speakers, torch.zeros),
        rows=wider(batch.rows, lambda shape: torch.full(shape, -1)),
        tokens=None if batch.tokens is None else noisy_tokens(batch.tokens),
    )


def assert_same(model, first, second, order=None):
    """Both batches give the same logits, losses, diagnostics and gradients; ``order`` [B] permutes the dialogues."""
    seen = []
    for batch in (first, second):
        model.zero_grad()
        output = model(batch)
        total, shares = objective(model, output)
        total.backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
        longest = int(batch.lengths.max())
        values = {"logits": output.logits} | output.diagnostics
        cut = {
            n: (v[:, :longest] * batch.mask[:, :longest].view(*batch.mask[:, :longest].shape, *[1] * (v.dim() - 2)))
            for n, v in values.items()
        }
        seen.append((cut, shares, gradients))
    (cut, shares, gradients), (other_cut, other_shares, other_gradients) = seen
    if order is not None:
        cut = {n: v[order] for n, v in cut.items()}
    torch.testing.assert_close(other_cut, cut, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other_shares, shares, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other_gradients, gradients, rtol=1e-3, atol=1e-5)


def test_shapes(name, corpus):
    model = build(name, corpus).eval()
    batch = batch_of(corpus, model)
    output = model(batch)
    assert output.logits.shape == (*batch.mask.shape, len(corpus.card.labels))
    assert all(value.shape[:2] == batch.mask.shape for value in output.diagnostics.values())
    assert not any(value.requires_grad for value in output.diagnostics.values())
    assert set(model.loss_weights()) <= set(output.losses)
    assert "classification" in output.losses


@SLOW_DATA
@given(extra=st.integers(0, 7))
def test_padding_changes_nothing(name, corpus, extra):
    model = build(name, corpus).eval()
    batch = batch_of(corpus, model)
    assert_same(model, batch, noisy_padding(batch, extra))


@SLOW_DATA
@given(order=st.permutations(range(5)))
def test_the_order_of_dialogues_changes_nothing(name, corpus, order):
    model = build(name, corpus).eval()
    dialogues = corpus.split("train")[:5]
    shuffled = batch_of(corpus, model, [dialogues[i] for i in order])
    assert_same(model, batch_of(corpus, model, dialogues), shuffled, order)


def test_gradients_reach_every_parameter(name, corpus):
    model = build(name, corpus)
    total, _ = objective(model, model(batch_of(corpus, model)))
    total.backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


@SLOW_DATA
@given(missing=st.floats(0, 1), seed=st.integers(0, 99))
def test_missing_modalities_give_finite_numbers(name, make_corpus, missing, seed):
    corpus = make_corpus([4, 1, 6, 3, 2], missing=missing, seed=seed)
    model = build(name, corpus)
    output = model(batch_of(corpus, model))
    total, _ = objective(model, output)
    total.backward()
    assert output.logits.isfinite().all()
    assert total.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_what_a_missing_modality_holds_changes_nothing(name, make_corpus):
    corpus = make_corpus([4, 6, 3, 2, 5, 3], missing=0.4)
    model = build(name, corpus).eval()
    batch = batch_of(corpus, model)
    noise = {
        m: torch.where(batch.present[m].unsqueeze(-1), v, 10 * torch.randn_like(v)) for m, v in batch.features.items()
    }
    assert_same(model, batch, replace(batch, features=noise))


@pytest.mark.parametrize("kept", [("text",), ("audio",), ("text", "visual"), ("visual", "text", "audio")])
def test_any_subset_of_modalities(name, corpus, kept):
    if "modalities" not in models()[name].config_type.model_fields:
        pytest.skip("it reads the transcripts alone")
    model = build(name, corpus, modalities=kept)
    total, _ = objective(model, model(batch_of(corpus, model)))
    assert total.isfinite()


def test_no_label_no_loss_from_it(name, corpus):
    """Unlabelled utterances give context but no classification loss."""
    model = build(name, corpus).eval()
    batch = batch_of(corpus, model)
    hidden = replace(batch, labels=torch.where(torch.rand(batch.labels.shape) < 0.5, -1, batch.labels))
    assert torch.equal(model(hidden).logits, model(batch).logits)
    kept = int(((hidden.labels >= 0) & hidden.mask).sum())
    assert model(hidden).losses["classification"].count < model(batch).losses["classification"].count
    assert kept > 0
    nothing = replace(batch, labels=torch.full_like(batch.labels, -1))
    assert model(nothing).losses["classification"].share().item() == 0


def test_a_worker_without_a_dialogue_keeps_step(name, corpus):
    model = build(name, corpus)
    output = model(batch_of(corpus, model, []))
    total, _ = objective(model, output)
    total.backward()
    assert total.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_three_workers_equal_one_even_if_one_has_nothing(name, corpus, side_by_side):
    model = build(name, corpus).eval()
    dialogues = corpus.split("train")
    parameters = list(model.parameters())

    def share(part, across):
        output = model(batch_of(corpus, model, part), across)
        return objective(model, output, across)[0], batch_rows(output, batch_of(corpus, model, part))

    alone, rows = share(dialogues, ALONE)
    expected = torch.autograd.grad(alone, parameters)
    parts = side_by_side(share, [(dialogues[:1],), ([],), (dialogues[1:],)])
    found = torch.autograd.grad(sum(total for total, _ in parts), parameters, allow_unused=True)
    merged = {row: logits for _, part in parts for row, logits in part.items()}
    for row, logits in rows.items():
        torch.testing.assert_close(merged[row], logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sum(total for total, _ in parts), alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def batch_rows(output, batch):
    """Logits of each row of the corpus."""
    return dict(zip(batch.flat(batch.rows).tolist(), batch.flat(output.logits).detach(), strict=True))


CUT = 2
"""Turns that stay as they are where it is tested who looks ahead."""


def with_other_endings(corpus):
    """The same dialogues, with other words and vectors from the third turn on."""
    table = corpus.table
    later = table["turn"].to_numpy() >= CUT
    random = np.random.default_rng(7)
    for place, column in enumerate(table.column_names):
        if column == "text":
            texts = [f"quite different {i}" if later[i] else text for i, text in enumerate(corpus.texts)]
            table = table.set_column(place, table.schema.field(place), pa.array(texts))
        elif column.startswith("features."):
            name = column.removeprefix("features.")
            noise = random.normal(size=corpus.features(name).shape)
            vectors = np.where(later[:, None], noise, corpus.features(name))
            table = table.set_column(place, table.schema.field(place), vector_array(vectors, corpus.present(name)))
    return Corpus.from_table(table)


def test_only_models_that_say_so_look_at_no_later_utterance(name, corpus):
    model = build(name, corpus).eval()
    both = [model(batch_of(c, model)).logits for c in (corpus, with_other_endings(corpus))]
    before, after = ([logits[:, part] for logits in both] for part in (slice(CUT), slice(CUT, None)))
    assert torch.allclose(*before, atol=1e-5) == models()[name].causal
    assert not torch.allclose(*after, atol=1e-3)


def test_saving_and_loading_keeps_every_number(name, corpus, tmp_path):
    from safetensors.torch import load_file, save_file

    model = build(name, corpus)
    batch = batch_of(corpus, model)
    model(batch)  # what it learns in passing, such as prototypes, is saved too
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    other = build(name, corpus)
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(other.eval()(batch).logits, model.eval()(batch).logits)


def test_one_step_lowers_the_loss_of_its_batch(name, corpus):
    model = build(name, corpus)
    learner = make_learner(model, TrainingConfig(learning_rate=1e-3, warmup_steps=0), 10, torch.device("cpu"))
    batch = batch_of(corpus, model)
    before = objective(model.eval(), model(batch))[0].item()
    model.train()
    add_gradients(learner, batch)
    step(learner)
    assert objective(model.eval(), model(batch))[0].item() < before


def test_the_config_survives_yaml(name):
    import yaml

    config = models()[name].config_type(**models()[name].small)
    assert models()[name].config_type(**yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


def test_every_setting_says_where_its_default_comes_from(name):
    for setting, info in models()[name].config_type.model_fields.items():
        assert info.description, setting


def test_published_settings_are_settings(name):
    for corpus, recipe in models()[name].recipes.items():
        known = set(models()[name].config_type.model_fields) | set(TrainingConfig.model_fields)
        assert set(recipe) <= known, corpus
        models()[name].config_type(**{k: v for k, v in recipe.items() if k not in TrainingConfig.model_fields})
        TrainingConfig(**{k: v for k, v in recipe.items() if k in TrainingConfig.model_fields})
