"""DAG-ERC against numbers of its release: graph, attention, states, logits, loss, every gradient; no look-ahead."""

from dataclasses import replace

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.graphs import equal, predecessors
from dferc.models import objective
from dferc.models.dag_erc import DAGERC, DAGERCConfig
from dferc.training import make_task

GOLDEN = ("dag-erc*.safetensors",)
PARTS = {"node_gru": "node", "context_gru": "context"}


def without_what_cancels(golden):
    """Cut from the file what a softmax over j cancels: the bias of its scores, and their part that asks."""
    for layer in range(golden.number("layers")):
        for kind in ("param", "grad"):
            bias = golden.tensors.pop(f"{kind}.layer{layer}.attention.bias")
            asks, answers = golden.tensors[f"{kind}.layer{layer}.attention.weight"].chunk(2, dim=1)
            golden.tensors[f"{kind}.layer{layer}.attention.weight"] = answers
            if kind == "grad":
                torch.testing.assert_close((bias, asks), (bias * 0, asks * 0), rtol=0, atol=1e-6)


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".", 1)
        if part.startswith("layer"):
            block, weight = leaf.split(".")
            found[theirs] = f"layers.{part.removeprefix('layer')}.{PARTS.get(block, block)}.{weight}"
        elif part == "output_mlp":
            number, weight = leaf.removeprefix("fc").split(".")
            found[theirs] = f"mlp.{int(number) - 1}.{weight}"
        elif part == "nodal_attention":
            found[theirs] = f"nodal_attention.transform.{leaf}"
        else:
            found[theirs] = theirs
    return found


def model_of(golden):
    """Ours, with the file's sizes and weights."""
    config = DAGERCConfig(
        standardise=False,
        hidden=golden.number("hidden_width"),
        graph_layers=golden.number("layers"),
        mlp_layers=golden.number("mlp_layers"),
        back=golden.number("window"),
        nodal_attention=golden.options["nodal_attention"].lower(),
    )
    model = DAGERC(config, golden.task({"text": golden.number("feature_width")})).eval()
    without_what_cancels(golden)
    golden.load(model, names(golden))
    return model


def test_reproduces_the_release(golden):
    model = model_of(golden)
    batch = golden.batch({"text": golden.tensors["input.features"]})
    output = model(batch)
    golden.close(batch.flat(output.logits), "output.logits")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))


def test_reproduces_states_and_attention(golden):
    model = model_of(golden)
    batch = golden.batch({"text": golden.tensors["input.features"]})
    states, attentions = model.states(batch)
    golden.close(states, "output.concatenated_states")
    places = batch.lanes.utterance.shape[1]
    for number, where in enumerate(batch.lanes.place.split(batch.lengths.tolist())):
        lane, begin, end = where[0] // places, where[0] % places, where[-1] % places + 1
        for layer, attention in enumerate(attentions):
            golden.close(attention[lane, begin:end, begin:end], f"output.attention.layer{layer}.{number}")


def test_reproduces_the_graph(golden):
    batch = golden.batch({"text": golden.tensors["input.features"]})
    same_speaker = equal(batch.speakers)
    heard = predecessors(batch.mask.unsqueeze(1) & batch.mask.unsqueeze(2), same_speaker, golden.number("window"))
    for number, length in enumerate(batch.lengths.tolist()):
        for ours, name in ((heard, "adjacency"), (same_speaker, "same_speaker")):
            expected = golden.tensors[f"output.{name}.{number}"].bool()
            assert torch.equal(ours[number, :length, :length], expected)


@pytest.mark.parametrize(("nodal_attention", "sees_ahead"), [("none", False), ("past", False), ("global", True)])
def test_what_comes_later_changes_nothing_before_it(corpus, nodal_attention, sees_ahead):
    torch.manual_seed(0)
    config = DAGERCConfig(**DAGERC.small | {"nodal_attention": nodal_attention, "raw_inputs": False})
    model = DAGERC(config, make_task(corpus)).eval()
    batch = collate(corpus, [max(corpus.split("train"), key=len)], model.modalities)
    cut = 5
    later = replace(batch, features={m: v.clone() for m, v in batch.features.items()})
    for vectors in later.features.values():
        vectors[:, cut:] = torch.randn_like(vectors[:, cut:])
    same = torch.isclose(model(later).logits[:, :cut], model(batch).logits[:, :cut], atol=1e-6)
    assert bool(same.all()) is not sees_ahead
    assert not torch.isclose(model(later).logits[:, cut:], model(batch).logits[:, cut:]).all()
