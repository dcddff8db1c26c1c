"""EmoCaps against its equations, worked out naively, and its last stage against numbers of published code.

No golden of the whole can exist: the authors published the last stage only, over vectors that were not. That stage has
the layers and the loss of bc-LSTM's release, so it must reproduce the golden of that release. All else is computed
again in float64, one dialogue, head, query and step at a time, from the equations in the docstring of the model and
with nothing of its code; logits and every gradient must agree.
"""

import json

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.utterances import Utterances
from dferc.models.emo_caps import ContextAnalysis, EmoCaps, EmoCapsConfig
from dferc.training import make_task

GOLDEN = ("bc-lstm.safetensors",)
KINDS = {"released": ("output.", "grad."), "exact": ("output.unpadded.", "grad_unpadded.")}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".")
        layer = leaf.partition("_l")[2][:1]
        found[theirs] = (
            f"context.layers.{layer}.{leaf.replace(f'_l{layer}', '_l0')}" if part == "context_lstm" else theirs
        )
    return found


@pytest.mark.parametrize("padding", KINDS)
def test_last_stage_reproduces_the_release(golden, padding):
    outputs, gradients = KINDS[padding]
    config = EmoCapsConfig(
        lstm_hidden=golden.number("lstm_width_per_direction"),
        lstm_layers=golden.number("lstm_layers"),
        hidden=golden.number("hidden_width"),
        padding=padding,
    )
    stage = ContextAnalysis(golden.number("feature_width"), golden.number("num_classes"), config).eval()
    golden.load(stage, names(golden))
    capsules = golden.tensors["input.features"]
    batch = golden.batch({"text": capsules})

    golden.close(stage.context(capsules, batch), outputs + "context_states")
    logits = stage(capsules, batch)
    golden.close(torch.log_softmax(logits, -1), outputs + "log_probs")
    weights = torch.tensor(json.loads(golden.options["class_weights"]))
    loss = Utterances.of(batch, torch.ones(1, len(capsules)), weights).cross_entropy(logits).share()
    golden.close(loss, outputs + "loss")
    loss.backward()
    golden.same_gradients(stage, names(golden), gradients)


def linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)


def attention(p, name, heads, x):
    """One dialogue: each head and each query by itself."""
    q, k, v = (linear(p, f"{name}.{part}", x) for part in ("query", "key", "value"))
    size = q.shape[1] // heads
    rows = []
    for i in range(len(q)):
        parts = []
        for cut in (slice(h * size, (h + 1) * size) for h in range(heads)):
            weights = torch.stack([(q[i, cut] * k[j, cut]).sum() / size**0.5 for j in range(len(k))]).exp()
            parts.append(sum(weights[j] * v[j, cut] for j in range(len(v))) / weights.sum())
        rows.append(torch.cat(parts))
    return linear(p, f"{name}.out", torch.stack(rows))


def norm(p, name, x):
    centred = x - x.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]


def emotion_vector(p, name, config, x):
    z = linear(p, f"{name}.projection", x)
    for i in range(config.encoder_layers):
        layer = f"{name}.encoder.layers.{i}"
        a = norm(p, f"{layer}.attention_norm", z + attention(p, f"{layer}.attention", config.heads, z))
        z = norm(p, f"{layer}.norm", a + linear(p, f"{layer}.narrow", linear(p, f"{layer}.widen", a).clamp_min(0)))
    g = z
    for k in range(config.mapping_layers):
        g = linear(p, f"{name}.mapping.{k}", g).clamp_min(0)
    return torch.cat([z, g], 1)


def direction(p, layer, suffix, x):
    """States of one direction, step by step."""
    w_x, w_h, b_x, b_h = (p[f"{layer}.{part}_l0{suffix}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = c = x.new_zeros(w_h.shape[1])
    states = []
    for step in reversed(x) if suffix else x:
        i, f, g, o = (w_x @ step + b_x + w_h @ h + b_h).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states[::-1] if suffix else states)


def naive(p, config, x):
    """Logits [T, C] of one dialogue; ``x`` maps a modality to its vectors [T, D]."""
    sentence = [x["text"]] if "text" in x else []
    h = torch.cat([*sentence, *(emotion_vector(p, f"emoformers.{m}", config, v) for m, v in x.items())], 1)
    for i in range(config.lstm_layers):
        layer = f"analysis.context.layers.{i}"
        h = torch.cat([direction(p, layer, "", h), direction(p, layer, "_reverse", h)], 1)
    return linear(p, "analysis.classifier", linear(p, "analysis.hidden", h).clamp_min(0))


@pytest.mark.parametrize("modalities", [("text", "audio", "visual"), ("visual", "text"), ("audio",)])
def test_does_what_its_equations_say(make_corpus, modalities):
    corpus = make_corpus([3, 6, 1, 5], missing=0.3)
    torch.manual_seed(0)
    config = EmoCapsConfig(
        modalities=modalities, standardise=False, encoder_width=6, heads=3, feedforward=5, encoder_layers=2,
        mapping_layers=3, lstm_hidden=4, hidden=7, dropout=0.5,
    )  # fmt: skip
    model = EmoCaps(config, make_task(corpus)).double().eval()
    dialogues = [d for split in ("train", "validation") for d in corpus.split(split)]
    batch = collate(corpus, dialogues, model.modalities)
    ours = batch.flat(model(batch).logits)
    p = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    theirs = torch.cat(
        [
            naive(p, config, {m: batch.features[m][b, :length].double() for m in modalities})
            for b, length in enumerate(batch.lengths)
        ]
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)

    towards = torch.randn_like(theirs)
    (ours * towards).sum().backward()
    (theirs * towards).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, p[name].grad, rtol=0, atol=1e-10, msg=name)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="heads"):
        EmoCapsConfig(encoder_width=10, heads=4)
