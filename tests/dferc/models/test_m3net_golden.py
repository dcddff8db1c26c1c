"""M3Net against numbers of its release: both graphs, probabilities, loss, every gradient, batch-norm statistics."""

import json

import pytest
import torch

from dferc.layers.frequency import neighbours
from dferc.layers.reduction import ALONE
from dferc.models import objective
from dferc.models.cosmic import TEXT_LAYERS
from dferc.models.m3net import M3Net, M3NetConfig

GOLDEN = ("m3net*.safetensors",)
PARTS = {
    "text_batch_norm.norms": "norm",
    "speaker_embedding": "speaker",
    "audio_projection": "projections.audio",
    "visual_projection": "projections.visual",
    "hypergraph.hyperedge_weight": "weights.hyperedge",
    "hypergraph.node_slot_weight": "weights.node",
}
NORMS = [f"norm{i}" for i in range(1, 5)]


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".", 1)
        moved = next((p for p in PARTS if theirs.startswith(p)), None)
        if moved is not None:
            found[theirs] = theirs.replace(moved, PARTS[moved], 1)
        elif part == "text_gru":
            layer = leaf.split("_l")[1][0]
            found[theirs] = f"context.layers.{layer}.{leaf.replace(f'_l{layer}', '_l0')}"
        elif leaf.startswith("layer"):
            number, name = leaf.removeprefix("layer").split(".", 1)
            found[theirs] = f"{part}.{int(number) - 1}.{name}"
        else:
            found[theirs] = theirs
    return found


def stack_norms(golden):
    """The four batch norms as one; layers of the graphs have the same names."""
    for key in [k for k in golden.tensors if "text_batch_norm.layer" in k or "batch_statistics.layer" in k]:
        golden.tensors[key.replace(".layer", ".norm")] = golden.tensors.pop(key)
    golden.stack(NORMS, "norms")


def model_of(golden, **changes):
    options = golden.options
    stack_norms(golden)
    config = M3NetConfig(
        standardise=False,
        text_projection=options["text_projection"].split()[0],
        gru_layers=sum(key.startswith("weight_ih") for key in golden.group("param.text_gru.")) // 2,
        node_weights=len(golden.tensors["param.hypergraph.node_slot_weight"]),
        hyperedge_weights=len(golden.tensors["param.hypergraph.hyperedge_weight"]),
        objective="focal" if "classes of" in options["loss"] else "cross_entropy",
        **{
            size: golden.number(size)
            for size in ("encoder_width", "graph_width", "hypergraph_layers", "frequency_layers", "parties")
        },
        **changes,
    )
    widths = dict.fromkeys(TEXT_LAYERS, golden.number("text_width"))
    widths |= {m: golden.number(f"{m}_width") for m in ("audio", "visual")}
    model = M3Net(config, golden.task(widths)).eval()
    golden.load(model, names(golden))
    for name, statistics in golden.group("buffer.text_batch_norm.norms.").items():
        model.norm.get_buffer(name).copy_(statistics)
    if options["class_weights"] != "ones":
        model.class_weight.copy_(torch.tensor(json.loads(options["class_weights"])))
    return model


def batch_of(golden):
    features = {name: golden.tensors[f"input.text_layer{i}"] for i, name in enumerate(TEXT_LAYERS, start=1)}
    return golden.batch(features | {m: golden.tensors[f"input.{m}"] for m in ("audio", "visual")})


def in_their_order(states, batch):
    """[N, M, H] -> [N * M, H]: in each dialogue all nodes of the first modality, then those of the next."""
    dialogues = states.split(batch.lengths.tolist())
    return torch.cat([dialogue.transpose(0, 1).flatten(0, 1) for dialogue in dialogues])


def reproduces(golden, model, batch, outputs, gradients):
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), f"{outputs}log_probs")
    total, _ = objective(model, output)
    golden.close(total, f"{outputs}loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)


def test_graphs_are_those_of_the_release(golden):
    model, batch = model_of(golden, padding="released"), batch_of(golden)
    nodes, present = model.nodes(batch, ALONE)
    golden.close(in_their_order(nodes, batch), "output.node_projection")
    averaged = kept = nodes
    hypergraph, edges = model.weights(present, batch), neighbours(present, batch)
    for number, layer in enumerate(model.hypergraph, start=1):
        averaged = layer(averaged, hypergraph)
        golden.close(in_their_order(averaged, batch), f"output.hypergraph_layer{number}")
    for number, layer in enumerate(model.frequency, start=1):
        golden.close(in_their_order(layer.update(kept, edges), batch), f"output.frequency_update{number}")
        kept = layer(kept, edges)
    golden.close(model.fused(nodes, present, batch), "output.fused_features")


@pytest.mark.parametrize(
    ("padding", "outputs", "gradients"),
    [("released", "output.", "grad."), ("exact", "output.unpadded.", "grad_unpadded.")],
)
def test_reproduces_the_release(golden, padding, outputs, gradients):
    reproduces(golden, model_of(golden, padding=padding), batch_of(golden), outputs, gradients)


def test_reproduces_its_batch_norm_in_training(golden):
    model = model_of(golden, padding="released", dropout=0).train()
    reproduces(golden, model, batch_of(golden), "output.batch_statistics.", "grad_batch_statistics.")
    for name in ("running_mean", "running_var"):
        golden.close(model.norm.get_buffer(name), f"output.batch_statistics.norms.{name}_after")
