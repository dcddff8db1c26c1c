"""TODKAT against its equations, worked out naively: no golden can exist.

A fine-tuned topic language model, generated commonsense phrases and raw tokens are needed before the classifier of
the release, which has no separable forward pass on features. Instead everything behind the backbone is computed again
in float64, one dialogue, utterance, head, query and word at a time, from the equations in the docstrings of the model
and its layers and with nothing of their code; each utterance goes through the backbone by itself, without padding.
Logits, losses and every gradient must agree.
"""

import logging
from dataclasses import replace
from math import cos, sin, sqrt

import pytest
import torch
from transformers import BertConfig, BertModel

from dferc.corpus import collate
from dferc.models import objective
from dferc.models.todkat import RELATIONS, Todkat, TodkatConfig
from dferc.training import TrainingConfig, backward, make_learner, make_task

GOLDEN = ()
KNOWING = {"text": 6, **dict.fromkeys(RELATIONS, 5)}
LENGTHS = [3, 6, 1, 5, 2, 4, 2]


def build(corpus, **changes):
    torch.manual_seed(0)
    return Todkat(TodkatConfig(**{**Todkat.small} | changes), make_task(corpus))


def batch_of(corpus, model, dialogues=None):
    chosen = corpus.split("train") if dialogues is None else dialogues
    return collate(corpus, chosen, model.modalities, model.text_packer())


def linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)


def attention(p, name, heads, queries, heard):
    """One dialogue: each head and each query by itself, which hears what came up to its own turn."""
    weights, biases = p[f"{name}.in_proj_weight"].chunk(3), p[f"{name}.in_proj_bias"].chunk(3)
    q, k, v = (x @ w.T + b for x, w, b in zip((queries, heard, heard), weights, biases, strict=True))
    size = q.shape[1] // heads
    rows = []
    for i in range(len(q)):
        parts = []
        for cut in (slice(h * size, (h + 1) * size) for h in range(heads)):
            scores = torch.stack([(q[i, cut] * k[j, cut]).sum() / sqrt(size) for j in range(i + 1)]).exp()
            parts.append(sum(scores[j] * v[j, cut] for j in range(i + 1)) / scores.sum())
        rows.append(torch.cat(parts))
    return linear(p, f"{name}.out_proj", torch.stack(rows))


def norm(p, name, x):
    centred = x - x.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]


def widened(p, name, x):
    wide = linear(p, f"{name}.linear1", x)
    return linear(p, f"{name}.linear2", wide * (1 + torch.erf(wide / sqrt(2))) / 2)


def topics_of(p, heads, halfway):
    """Means [T, K] and divergences [T] of one dialogue."""
    g = linear(p, "topics.inner", halfway).tanh()
    both = torch.cat([g, attention(p, "topics.history", heads, g, g)], 1)
    mean, log_variance = linear(p, "topics.posterior", both).chunk(2, 1)
    return mean, (mean**2 + log_variance.exp() - log_variance - 1).sum(1) / 2


def chosen_of(p, topic, vectors):
    """c of one utterance; ``vectors`` maps the relations that it has to their vectors."""
    asked = linear(p, "knowledge.query", topic)
    chosen, total = torch.zeros_like(asked), 1.0  # nothing has a score of 0
    for name, k in vectors.items():
        inferred = linear(p, f"knowledge.relations.{name}", k).tanh()
        score = ((asked * inferred).sum() / sqrt(len(asked))).exp()
        chosen, total = chosen + score * inferred, total + score
    return chosen / total


def sinusoid(turn, width):
    angles = [turn / 10000.0 ** (place // 2 * 2 / width) for place in range(width)]
    return torch.tensor([cos(a) if place % 2 else sin(a) for place, a in enumerate(angles)], dtype=torch.double)


def emotions_of(p, config, x):
    """Logits [T, C] of the draft and of the decoder for one dialogue."""
    h = x
    for i in range(config.layers):
        name = f"sequence.encoder.{i}"
        h = norm(p, f"{name}.norm1", h + attention(p, f"{name}.self_attn", config.heads, h, h))
        h = norm(p, f"{name}.norm2", h + widened(p, name, h))
    draft = linear(p, "sequence.classifier", h)
    told = [p["sequence.start"], *linear(p, "sequence.told", draft.softmax(1))[:-1]]
    y = h + torch.stack(told)
    for i in range(config.layers):
        name = f"sequence.decoder.{i}"
        y = norm(p, f"{name}.norm1", y + attention(p, f"{name}.self_attn", config.heads, y, y))
        y = norm(p, f"{name}.norm2", y + attention(p, f"{name}.multihead_attn", config.heads, y, h))
        y = norm(p, f"{name}.norm3", y + widened(p, name, y))
    return draft, linear(p, "sequence.classifier", y)


def read(model, text):
    """Numbers of the words of an utterance, and its states at [cls]: halfway up, and at the top."""
    ids = model.text_packer().pack_texts([[text]]).ids
    layers = model.encoder(input_ids=ids, output_hidden_states=True).hidden_states
    return ids[0, 1:-1].tolist(), layers[len(layers) // 2][0, 0], layers[-1][0, 0]


def naive(model, p, config, corpus, dialogues):
    """Logits [N, C] and the value of every loss."""
    embedding = model.encoder.embeddings.word_embeddings.weight
    sums = dict.fromkeys(("classification", "draft", "reconstruction", "divergence"), 0)
    utterances, words, rows = 0, 0, []
    for dialogue in dialogues:
        places = range(dialogue.start, dialogue.stop)
        said, halfway, top = zip(*(read(model, corpus.texts[i]) for i in places), strict=True)
        topics, divergences = topics_of(p, config.heads, torch.stack(halfway))
        x = []
        for turn, i in enumerate(places):
            parts = [top[turn], topics[turn]]
            known = [m for m in model.modalities if m != "text"]
            if known:
                has = {m: torch.tensor(corpus.features(m)[i]).double() for m in known if corpus.present(m)[i]}
                parts.append(chosen_of(p, topics[turn], has))
            x.append(linear(p, "fusion", torch.cat(parts)) + sinusoid(turn, config.hidden))
        draft, logits = emotions_of(p, config, torch.stack(x))
        for turn, i in enumerate(places):
            label = int(corpus.labels[i])
            sums["classification"] -= logits[turn].log_softmax(0)[label]
            sums["draft"] -= draft[turn].log_softmax(0)[label]
            of_words = (embedding @ linear(p, "topics.decoder", topics[turn])).log_softmax(0)
            sums["reconstruction"] -= sum(of_words[word] for word in said[turn])
            sums["divergence"] += divergences[turn]
            utterances, words = utterances + 1, words + len(said[turn])
        rows.append(logits)
    counts = {"classification": utterances, "draft": utterances, "reconstruction": words, "divergence": words}
    return torch.cat(rows), {name: total / counts[name] for name, total in sums.items()}


@pytest.mark.parametrize("relations", [(), RELATIONS[:1], RELATIONS])
@pytest.mark.parametrize("layers", [1, 2])
def test_does_what_its_equations_say(make_corpus, relations, layers):
    corpus = make_corpus(LENGTHS, {"text": 6, **dict.fromkeys(relations, 5)}, missing=0.4)
    model = build(corpus, layers=layers, standardise=False).double().eval()
    config = TodkatConfig(**{**Todkat.small, "layers": layers})
    dialogues = corpus.split("train")
    batch = batch_of(corpus, model)
    batch = replace(batch, features={m: v.double() for m, v in batch.features.items()})
    output = model(batch)
    p = dict(model.named_parameters())
    logits, losses = naive(model, p, config, corpus, dialogues)
    torch.testing.assert_close(batch.flat(output.logits), logits, rtol=0, atol=1e-10)
    direction = torch.randn_like(logits)
    towards = [(wanted * direction).sum() for wanted in (batch.flat(output.logits), logits)]
    for ours, theirs, name in zip(*(gradients(value, p) for value in towards), p, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10, msg=name)

    total, shares = objective(model, output)  # in single precision
    assert shares.keys() == losses.keys()
    for name, loss in losses.items():
        torch.testing.assert_close(shares[name].double(), loss.detach(), rtol=1e-5, atol=1e-5, msg=name)
    weights = {"classification": 1, "draft": 0.5, "reconstruction": 0.01, "divergence": 0.01}
    naive_total = sum(weights[name] * loss for name, loss in losses.items())
    for ours, theirs, name in zip(*(gradients(value, p) for value in (total, naive_total)), p, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6, msg=name)
        assert theirs.any(), name


def gradients(value, parameters):
    return torch.autograd.grad(value, list(parameters.values()), retain_graph=True, materialize_grads=True)


def test_topics_are_drawn_in_training(make_corpus):
    corpus = make_corpus(LENGTHS)
    model = build(corpus)
    batch = batch_of(corpus, model)
    halfway = torch.randn(len(batch.valid), model.encoder.config.hidden_size)
    mean, divergence = model.topics.eval()(halfway, batch)
    torch.manual_seed(1)
    drawn, same = model.topics.train()(halfway, batch)
    torch.manual_seed(1)
    deviation = (drawn - mean) / torch.randn_like(mean)
    torch.testing.assert_close(same, divergence)
    expected = 0.5 * (mean.square() + deviation.square() - 1 - deviation.square().log()).sum(1)
    torch.testing.assert_close(divergence, expected, rtol=1e-3, atol=1e-4)


def test_all_knowledge_is_learnt_from_and_nothing_later_is_heard(make_corpus):
    corpus = make_corpus(LENGTHS, KNOWING, missing=0.3)
    model = build(corpus)
    assert model.modalities == ("text", *RELATIONS)
    batch = batch_of(corpus, model)
    objective(model, model(batch))[0].backward()
    assert all(p.grad.any() for p in model.parameters())
    last = batch.lengths - 1
    other = {m: v.clone() for m, v in batch.features.items()}
    for vectors in other.values():
        vectors[torch.arange(len(last)), last] += 3
    model.eval()
    changed = (model(replace(batch, features=other)).logits - model(batch).logits).abs().amax(-1) > 1e-6
    assert changed[torch.arange(len(last)), last].any()
    changed[torch.arange(len(last)), last] = False
    assert not changed[batch.mask].any()


def test_weights_of_the_knowledge_leave_out_what_is_not_there(make_corpus):
    corpus = make_corpus(LENGTHS, KNOWING, missing=0.5)
    model = build(corpus).eval()
    batch = batch_of(corpus, model)
    weights = model(batch).diagnostics["knowledge_weights"]
    present = torch.stack([batch.present[m] for m in RELATIONS], -1)
    assert torch.equal(weights[..., :-1] > 0, present)
    torch.testing.assert_close(weights.sum(-1), batch.mask.float())


def test_absent_knowledge_is_told_of(make_corpus, caplog):
    with caplog.at_level(logging.WARNING):
        build(make_corpus(LENGTHS, {"text": 6, RELATIONS[0]: 5}))
        assert all(name in caplog.text for name in RELATIONS[1:])
        assert RELATIONS[0] not in caplog.text
        caplog.clear()
        assert build(make_corpus(LENGTHS, KNOWING), knowledge=False).modalities == ("text",)
        assert not caplog.text


def test_no_dialogue_is_a_zero_with_knowledge_too(make_corpus):
    corpus = make_corpus(LENGTHS, KNOWING)
    model = build(corpus)
    total, _ = objective(model, model(batch_of(corpus, model, [])))
    total.backward()
    assert total.item() == 0
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)


def test_a_pretrained_backbone_has_a_learning_rate_of_its_own(make_corpus, save_backbone):
    corpus = make_corpus(LENGTHS)
    sizes = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 8}
    folder = save_backbone(BertModel(BertConfig(vocab_size=16, **sizes), add_pooling_layer=False))
    model = build(corpus, backbone=folder, gradient_checkpointing=True)
    training = TrainingConfig(learning_rate=1e-3, encoder_learning_rate=1e-5, warmup_steps=0)
    learner = make_learner(model, training, 10, torch.device("cpu"))
    slow = {id(p) for g in learner.optimiser.param_groups if g["initial_lr"] == 1e-5 for p in g["params"]}
    assert slow == {id(p) for p in model.encoder.parameters()}
    assert build(corpus).encoder_parameters() == []
    backward(learner, batch_of(corpus, model))
    assert all(p.grad is not None for p in model.parameters())


def test_heads_that_do_not_divide_the_widths_are_refused():
    with pytest.raises(ValueError, match="heads"):
        TodkatConfig(hidden=10, heads=4)
