"""M2FNet against its equations, worked out naively: no code of the authors was found, so no golden can exist.

Instead everything is computed again in float64, one dialogue, head and query at a time, from the equations in the
docstring of the model and with nothing of its code; logits and every gradient must agree.
"""

import pytest
import torch

from dferc.corpus import collate
from dferc.models.m2fnet import M2FNet, M2FNetConfig
from dferc.training import make_task


def linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)


def attention(p, name, heads, queries, keys, values):
    """One dialogue: each head and each query by itself."""
    q, k, v = (linear(p, f"{name}.{part}", x) for part, x in (("query", queries), ("key", keys), ("value", values)))
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


def encoder(p, name, config, x):
    for i in range(config.encoder_layers):
        layer = f"{name}.layers.{i}"
        a = norm(p, f"{layer}.attention_norm", x + attention(p, f"{layer}.attention", config.heads, x, x, x))
        x = norm(p, f"{layer}.norm", a + linear(p, f"{layer}.narrow", linear(p, f"{layer}.widen", a).clamp_min(0)))
    return x


def naive(p, config, x):
    """Logits [T, C] of one dialogue; ``x`` maps a modality to its vectors [T, D], the main one first."""
    h = {}
    for m in x:
        h[m] = linear(p, f"projections.{m}", x[m])
        for k in range(config.encoders):
            h[m] = h[m] + encoder(p, f"encoders.{m}.{k}", config, h[m])
    main, *others = h
    f = h[main]
    for i in range(config.fusion_layers if others else 0):
        attended = [
            attention(p, f"fusion.{i}.attentions.{o}", config.heads, f, h[other], f) for o, other in enumerate(others)
        ]
        f = linear(p, f"fusion.{i}.mix", torch.cat([f, *attended], 1))
    joined = torch.cat([f, *(h[other] for other in others)], 1)
    return linear(p, "classifier", linear(p, "hidden", joined).clamp_min(0))


@pytest.mark.parametrize(
    ("modalities", "order"),
    [
        (("text", "audio", "visual"), ("text", "audio", "visual")),
        (("visual", "text"), ("text", "visual")),
        (("audio", "visual"), ("audio", "visual")),
        (("audio",), ("audio",)),
    ],
)
def test_does_what_its_equations_say(make_corpus, modalities, order):
    corpus = make_corpus([3, 6, 1, 5], missing=0.3)
    torch.manual_seed(0)
    config = M2FNetConfig(
        modalities=modalities, standardise=False, width=6, heads=3, feedforward=5, encoder_layers=2, fusion_layers=3,
        hidden=7, dropout=0.5,
    )  # fmt: skip
    model = M2FNet(config, make_task(corpus)).double().eval()
    dialogues = [d for split in ("train", "validation") for d in corpus.split(split)]
    batch = collate(corpus, dialogues, model.modalities)
    ours = batch.flat(model(batch).logits)
    p = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    theirs = torch.cat(
        [
            naive(p, config, {m: batch.features[m][b, :length].double() for m in order})
            for b, length in enumerate(batch.lengths)
        ]
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)

    direction = torch.randn_like(theirs)
    (ours * direction).sum().backward()
    (theirs * direction).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, p[name].grad, rtol=0, atol=1e-10, msg=name)


def test_the_loss_is_the_plain_mean_of_the_cross_entropy(corpus):
    torch.manual_seed(0)
    model = M2FNet(M2FNetConfig(**M2FNet.small), make_task(corpus)).eval()
    batch = collate(corpus, corpus.split("train"), model.modalities)
    output = model(batch)
    log_probabilities = torch.log_softmax(batch.flat(output.logits).double(), -1)
    expected = -torch.stack(
        [row[label] for row, label in zip(log_probabilities, batch.flat(batch.labels), strict=True)]
    )
    torch.testing.assert_close(output.losses["classification"].share().double(), expected.mean(), rtol=1e-6, atol=0)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="heads"):
        M2FNetConfig(width=10, heads=4)
