"""DialogueTRM against a plain recomputation: no golden can exist, because no released code is known.

The numbers that stand in for one are computed here, from the equations in the model's docstring alone: one dialogue,
one utterance and one head at a time, only of what is there, without masks or padding, and in double precision.
"""

import math
from itertools import product

import pytest
import torch
from torch.nn.functional import gelu

from dferc.corpus import collate
from dferc.models import objective
from dferc.models.dialogue_trm import DialogueTRM, DialogueTRMConfig
from dferc.training import make_task


def affine(weights, name, x):
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def norm(weights, name, x):
    centred = x - x.mean()
    return weights[f"{name}.weight"] * centred / ((centred**2).mean() + 1e-5).sqrt() + weights[f"{name}.bias"]


def attended(weights, name, query, places, heads):
    """What one place hears from all, and its attention to them, averaged over heads."""
    asked = affine(weights, f"{name}.query", query)
    keys, values = ([affine(weights, f"{name}.{part}", x) for x in places] for part in ("key", "value"))
    depth = len(asked) // heads
    parts, seen = [], []
    for head in range(heads):
        own = slice(head * depth, (head + 1) * depth)
        grades = torch.stack([(asked[own] @ key[own] / math.sqrt(depth)).exp() for key in keys])
        seen.append(grades / grades.sum())
        parts.append(sum(share * value[own] for share, value in zip(seen[-1], values, strict=True)))
    return affine(weights, f"{name}.output", torch.cat(parts)), sum(seen) / heads


def layer(weights, name, places, heads):
    """A post-norm transformer layer over these places; ``heads`` 0 leaves the attention out."""
    if heads:
        heard = [attended(weights, f"{name}.attention", x, places, heads)[0] for x in places]
        places = [norm(weights, f"{name}.norm1", x + h) for x, h in zip(places, heard, strict=True)]
    inner = [gelu(affine(weights, f"{name}.feed_forward1", x)) for x in places]
    said = [affine(weights, f"{name}.feed_forward2", x) for x in inner]
    return [norm(weights, f"{name}.norm2", x + s) for x, s in zip(places, said, strict=True)]


def sinusoid(turn, width):
    waves = (math.sin, math.cos)
    return torch.tensor([waves[i % 2](turn / 10000 ** ((i - i % 2) / width)) for i in range(width)], dtype=torch.double)


def states(weights, config, modality, utterances):
    """h of one modality over a dialogue: ``utterances`` maps the turns that have it to their vectors."""
    places = [affine(weights, f"projections.{modality}", u) for u in utterances.values()]
    sequential = modality in config.sequential
    if sequential:
        places = [x + sinusoid(turn, config.hidden) for turn, x in zip(utterances, places, strict=True)]
    for i in range(config.layers):
        places = layer(weights, f"transformers.{modality}.layers.{i}", places, config.heads if sequential else 0)
    return dict(zip(utterances, places, strict=True))


def fused(weights, config, modalities, h):
    """z [M * H] of an utterance, and its attention to each modality; ``h`` maps those that it has to their states."""
    nothing = torch.zeros(config.hidden, dtype=torch.double)
    gates = torch.sigmoid(affine(weights, "fusion.gate", torch.cat([h.get(m, nothing) for m in modalities])))
    own = gates.split(config.hidden)
    v = []
    for i, m in enumerate(modalities):
        if m in h:
            value = weights["fusion.value.weight"][i] @ h[m] + weights["fusion.value.bias"][i]
            v.append(own[i] * torch.tanh(value))
    seen = []
    for i in range(config.fusion_layers if v else 0):
        name = f"fusion.layers.{i}"
        seen = [attended(weights, f"{name}.attention", x, v, config.heads)[1] for x in v]
        v = layer(weights, name, v, config.heads)
    z = dict(zip(h, v, strict=True))
    share = dict(zip(h, sum(seen) / len(seen), strict=True)) if seen else {}
    return torch.cat([z.get(m, nothing) for m in modalities]), [
        float(share[m].detach()) if m in share else 0.0 for m in modalities
    ]


def recomputed(weights, config, batch, modalities):
    """Logits [N, C] and attention to the modalities [N, M], dialogue by dialogue."""
    logits, attention = [], []
    for b, length in enumerate(batch.lengths.tolist()):
        h = {}
        for m in modalities:
            vectors = (batch.features[m][b] - weights[f"inputs.mean_{m}"]) / weights[f"inputs.deviation_{m}"]
            h[m] = states(weights, config, m, {t: vectors[t] for t in range(length) if batch.present[m][b, t]})
        for t in range(length):
            z, share = fused(weights, config, modalities, {m: h[m][t] for m in modalities if t in h[m]})
            logits.append(affine(weights, "classifier", z))
            attention.append(share)
    return torch.stack(logits), torch.tensor(attention, dtype=torch.double)


@pytest.mark.parametrize(
    ("modalities", "sequential", "missing"),
    [(("text", "audio", "visual"), ("text",), 0.0), (("visual", "text", "audio"), ("text", "audio"), 0.4)],
)
def test_equals_its_equations_in_values_and_gradients(make_corpus, modalities, sequential, missing):
    corpus = make_corpus([4, 1, 6], missing=missing)
    config = DialogueTRMConfig(
        modalities=modalities, sequential=sequential, hidden=6, heads=3, layers=2, fusion_layers=2, feed_forward=5
    )
    torch.manual_seed(0)
    model = DialogueTRM(config, make_task(corpus)).double().eval()
    batch = collate(corpus, corpus.split("train"), model.modalities)
    weights = {n: v.detach().clone() for n, v in model.state_dict().items()}
    learnt = {n: weights[n].requires_grad_() for n, _ in model.named_parameters()}
    logits, attention = recomputed(weights, config, batch, modalities)

    output = model(batch)
    torch.testing.assert_close(batch.flat(output.logits), logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(batch.flat(output.diagnostics["fusion_weights"]), attention, rtol=0, atol=1e-10)
    labels = batch.flat(batch.labels)
    chosen = torch.log_softmax(logits, -1)[range(len(labels)), labels]
    total, _ = objective(model, output)
    torch.testing.assert_close(total.double(), -chosen.mean(), rtol=0, atol=1e-6)

    direction = torch.randn_like(logits)
    model.zero_grad()
    (batch.flat(model(batch).logits) * direction).sum().backward()
    (logits * direction).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, learnt[name].grad, rtol=0, atol=1e-9, msg=name)


def test_only_a_sequential_modality_hears_the_dialogue(make_corpus):
    corpus = make_corpus([6], missing=0.0)
    for heard, changed in product(("text", "audio"), repeat=2):
        model = DialogueTRM(DialogueTRMConfig(**DialogueTRM.small | {"sequential": (heard,)}), make_task(corpus)).eval()
        batch = collate(corpus, corpus.split("train"), model.modalities)
        before = model(batch).logits
        batch.features[changed][0, 0] += 1
        others = (model(batch).logits - before)[0, 1:].abs().amax()
        assert (others > 1e-6) == (heard == changed)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="not a multiple of heads"):
        DialogueTRMConfig(hidden=10, heads=3)
