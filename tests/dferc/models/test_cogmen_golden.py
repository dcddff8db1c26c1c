"""COGMEN against numbers of its release: stages, probabilities, loss, every gradient, its batch norm in training."""

import json

import pytest
import torch

from dferc.layers.graphs import window
from dferc.models import objective
from dferc.models.cogmen import Cogmen, CogmenConfig

GOLDEN = ("cogmen*.safetensors",)
MODALITIES = ("audio", "text", "visual")
KINDS = {"released": ("output.", "grad."), "exact": ("output.unpadded.", "grad_unpadded.")}
OURS = {
    "context.output": "context_output",
    "context.layer": "encoder.layers.",
    ".out_proj": ".out",
    "feed_forward1": "widen",
    "feed_forward2": "narrow",
    "norm1": "attention_norm",
    "norm2": "norm",
}
WITHOUT = ("attention.key.bias", "graph_attention.key.bias")
"""The softmax cancels a bias of the keys; ours have none."""


def split_projections(golden):
    """Queries, keys and values, which the file holds as one tensor, under names of their own."""
    for name in [n for n in golden.tensors if ".in_proj_" in n]:
        before, leaf = name.split(".in_proj_")
        for part, tensor in zip(("query", "key", "value"), golden.tensors.pop(name).chunk(3), strict=True):
            golden.tensors[f"{before}.{part}.{leaf}"] = tensor


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        if not theirs.endswith(WITHOUT):
            ours = theirs
            for part, name in OURS.items():
                ours = ours.replace(part, name) if theirs.startswith("context.") else ours
            found[theirs] = ours
    return found


def reach(golden, side):
    """How far edges go; the release writes -1 for all the way."""
    turns = golden.number(f"window_{side}")
    return None if turns < 0 else turns


def model_of(golden, **changes):
    split_projections(golden)
    config = CogmenConfig(
        standardise=False,
        feed_forward=len(golden.tensors["param.context.layer0.feed_forward1.weight"]),
        hidden=golden.number("hidden_width"),
        context_layers=golden.number("context_layers"),
        graph_heads=golden.number("graph_heads"),
        window_past=reach(golden, "past"),
        window_future=reach(golden, "future"),
        parties=golden.number("parties"),
        **changes,
    )
    model = Cogmen(config, golden.task({m: golden.number(f"{m}_width") for m in MODALITIES})).eval()
    assert model.encoder.layers[0].attention.heads == golden.number("context_heads")
    golden.load(model, names(golden))
    for name, statistics in golden.group("buffer.graph_norm.").items():
        model.graph_norm.get_buffer(name).copy_(statistics)
    if golden.options["class_weights"] != "ones":
        model.class_weight.copy_(torch.tensor(json.loads(golden.options["class_weights"])))
    return model


def batch_of(golden):
    return golden.batch({m: golden.tensors[f"input.{m}"] for m in MODALITIES})


def reproduces(golden, model, batch, outputs, gradients):
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), f"{outputs}log_probs")
    total, _ = objective(model, output)
    golden.close(total, f"{outputs}loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)


@pytest.mark.parametrize("padding", KINDS)
def test_reproduces_the_release(golden, padding):
    model, batch = model_of(golden, padding=padding), batch_of(golden)
    if padding == "released":
        states = model.context(batch)
        golden.close(states, "output.context_states")
        convolved, heard = model.over_graph(states, batch)
        golden.close(convolved, "output.after_relation_convolution")
        golden.close(heard, "output.after_graph_attention")
    reproduces(golden, model, batch, *KINDS[padding])


def test_the_edges_are_those_of_the_release(golden):
    batch = batch_of(golden)
    near = window(batch.mask, reach(golden, "past"), reach(golden, "future"))
    dialogue, source, target = near.nonzero(as_tuple=True)
    starts = batch.lengths.cumsum(0) - batch.lengths
    assert torch.equal(starts[dialogue] + source, golden.tensors["output.edge_source"])
    assert torch.equal(starts[dialogue] + target, golden.tensors["output.edge_target"])


def test_reproduces_its_batch_norm_in_training(golden):
    model = model_of(golden, padding="released", dropout=0).train()
    reproduces(golden, model, batch_of(golden), "output.batch_statistics.", "grad_batch_statistics.")
