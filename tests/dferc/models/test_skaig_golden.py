"""SKAIG against numbers of its release: edges, states of every layer, logits, loss and every gradient."""

import logging

import pytest
import torch

from dferc.corpus import collate
from dferc.errors import UserError
from dferc.layers.knowledge_graph import EDGE_TYPES, knowledge_edges
from dferc.models import objective
from dferc.models.skaig import KNOWLEDGE, Skaig, SkaigConfig
from dferc.training import make_task

GOLDEN = ("skaig*.safetensors",)


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, _, rest = theirs.partition(".")
        if part.startswith("layer"):
            inside = "" if rest.startswith(("norm", "feed_forward")) else "attention."
            found[theirs] = f"graph.layers.{part.removeprefix('layer')}.{inside}{rest}"
        else:
            found[theirs] = theirs
    return found


@pytest.fixture
def model(golden):
    config = SkaigConfig(
        standardise=False,
        hidden=golden.number("hidden_width"),
        heads=golden.number("heads"),
        layers=golden.number("layers"),
        hops=golden.number("hops"),
        others="together" if golden.options["graph"].startswith("two-party") else "each",
        edge_width=golden.number("edge_width"),
        feed_forward=golden.number("feed_forward_width"),
        residual=golden.options["residual"] == "True",
    )
    knowledge = int(golden.options["knowledge_width"].split()[0])
    widths = {"text": golden.number("feature_width"), **dict.fromkeys(KNOWLEDGE, knowledge)}
    model = Skaig(config, golden.task(widths)).eval()
    golden.load(model, names(golden))
    return model


@pytest.fixture
def batch(golden):
    knowledge = {f"comet_{name}": golden.tensors[f"input.knowledge_{name}"] for name in EDGE_TYPES}
    return golden.batch({"text": golden.tensors["input.features"], **knowledge})


def test_edges_are_those_of_the_release(golden, model, batch):
    place = torch.full(batch.mask.shape, -1)
    place[batch.mask] = torch.arange(len(batch.valid))
    edges = knowledge_edges(batch, model.hops, model.others_together)
    found = {
        (int(place[b, source]), int(place[b, target]), kind) for b, kind, target, source in edges.nonzero().tolist()
    }
    expected = [golden.tensors[f"output.edge_{part}"].tolist() for part in ("source", "target", "type")]
    assert found == set(zip(*expected, strict=True))


def test_reproduces_the_release(golden, model, batch):
    vectors, _ = model.inputs(batch)
    states = model.input(vectors["text"])
    graph = model.edge_projection(vectors), knowledge_edges(batch, model.hops, model.others_together), batch
    for i, layer in enumerate(model.graph.layers):
        golden.close(layer.attention(states, *graph), f"output.layer{i}.graph_attention")
        states = layer(states, *graph)
        golden.close(states, f"output.layer{i}.output")
    output = model(batch)
    golden.close(batch.flat(output.logits), "output.logits")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))


def edges_by_walking(speakers, hops, together):
    """(source, target, type) of one dialogue, by walking from every utterance."""
    found = set()
    for i, own in enumerate(speakers):
        found.add((i, i, 3))
        mine = [j for j in range(i + 1, len(speakers)) if speakers[j] == own]
        found |= {(i, j, 0) for j in mine[:hops]}
        found |= {(i, j, 2) for j in [j for j in range(i) if speakers[j] == own][-hops:]}
        others = set(speakers) - {own}
        for group in [others] if together else [{other} for other in others]:
            found |= {(i, j, 1) for j in [j for j in range(i + 1, len(speakers)) if speakers[j] in group][:hops]}
    return found


@pytest.mark.parametrize("hops", [1, 2, 7])
@pytest.mark.parametrize("together", [True, False])
def test_edges_among_three_speakers(make_corpus, hops, together):
    corpus = make_corpus([1, 9, 14])
    batch = collate(corpus, corpus.split("train"), ["text"])
    edges = knowledge_edges(batch, hops, together)
    for b, length in enumerate(batch.lengths.tolist()):
        found = {(source, target, kind) for kind, target, source in edges[b].nonzero().tolist()}
        assert found == edges_by_walking(batch.speakers[b, :length].tolist(), hops, together)


def with_knowledge(make_corpus, *relations, width=5, missing=0.3):
    return make_corpus([4, 6, 3, 7, 2], {"text": 6, **dict.fromkeys(relations, width)}, missing)


def test_all_knowledge_that_a_corpus_has_is_learnt_from(make_corpus):
    corpus = with_knowledge(make_corpus, *KNOWLEDGE[1:])
    model = Skaig(SkaigConfig(**Skaig.small), make_task(corpus))
    batch = collate(corpus, corpus.split("train"), model.modalities)
    vectors, _ = model.inputs(batch)
    projected = model.edge_projection(vectors)
    torch.testing.assert_close(projected[:, 0], model.edge_projection.bias.expand(len(projected), -1))
    total, _ = objective(model, model(batch))
    total.backward()
    assert all(p.grad.any() for p in model.parameters())


def test_a_dialogue_with_knowledge_does_not_hear_its_batch(make_corpus):
    corpus = with_knowledge(make_corpus, *KNOWLEDGE)
    model = Skaig(SkaigConfig(**Skaig.small), make_task(corpus)).eval()
    dialogues = corpus.split("train")
    together = model(collate(corpus, dialogues, model.modalities)).logits
    for i, dialogue in enumerate(dialogues):
        alone = model(collate(corpus, [dialogue], model.modalities)).logits[0]
        torch.testing.assert_close(together[i, : len(dialogue)], alone)
    total, _ = objective(model, model(collate(corpus, [], model.modalities)))
    assert total.item() == 0


def test_absent_knowledge_is_told_of_and_equals_zeros(make_corpus, caplog):
    silent = with_knowledge(make_corpus)
    config = SkaigConfig(**Skaig.small)
    with caplog.at_level(logging.WARNING):
        without = Skaig(config, make_task(silent)).eval()
    assert all(name in caplog.text for name in KNOWLEDGE)
    knowing = with_knowledge(make_corpus, *KNOWLEDGE, missing=1.0)
    model = Skaig(config, make_task(knowing)).eval()
    model.load_state_dict(model.state_dict() | without.state_dict())
    text = collate(silent, silent.split("train"), ["text"])
    batch = collate(knowing, knowing.split("train"), model.modalities)
    batch.features["text"][:], batch.present["text"][:] = text.features["text"], text.present["text"]
    torch.testing.assert_close(model(batch).logits, without(text).logits)


def test_knowledge_alone_is_no_utterance(make_corpus):
    task = make_task(with_knowledge(make_corpus, "comet_xwant"))
    with pytest.raises(UserError, match="skaig needs vectors of the utterances, not only comet_xwant"):
        Skaig(SkaigConfig(modalities=("comet_xwant",)), task)


def test_knowledge_has_one_width(make_corpus):
    task = make_task(make_corpus([3, 3], {"text": 6, "comet_xwant": 5, "comet_owant": 4}))
    with pytest.raises(UserError, match="of one width"):
        Skaig(SkaigConfig(), task)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="not a multiple of heads"):
        SkaigConfig(hidden=10, heads=3)
