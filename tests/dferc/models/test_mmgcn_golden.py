"""MMGCN against numbers of its release: the graph, its output, probabilities, both losses and every gradient."""

import json

import pytest
import torch

from dferc.layers.multimodal_graph import MultimodalGraph
from dferc.models import objective
from dferc.models.mmgcn import MMGCN, MMGCNConfig

GOLDEN = ("mmgcn*.safetensors",)
MODALITIES = ("audio", "visual", "text")
KINDS = {"released": ("output.", "grad."), "exact": ("output.unpadded.", "grad_unpadded.")}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".", 1)
        if part.endswith("_projection"):
            found[theirs] = f"projections.{part.removesuffix('_projection')}.{leaf}"
        elif part == "text_rnn":
            layer = leaf.split("_l")[1][0]
            found[theirs] = f"context.layers.{layer}.{leaf.replace(f'_l{layer}', '_l0')}"
        elif leaf.startswith("layer"):
            found[theirs] = f"graph.weights.{leaf.split('.')[0].removeprefix('layer')}"
        else:
            found[theirs] = theirs.replace("speaker_embedding", "speaker")
    return found


def whole_matrix(graph, dialogue):
    """[MN, MN] of all edges, nodes by modality and then by utterance."""
    utterances, modalities = graph.between.shape[:2]
    matrix = torch.zeros(modalities, utterances, modalities, utterances)
    start = 0
    for number, length in enumerate(dialogue.bincount().tolist()):
        here = slice(start, start := start + length)
        for m in range(modalities):
            matrix[m, here, m, here] = graph.within[number, m, :length, :length]
    for m in range(modalities):
        for other in set(range(modalities)) - {m}:
            matrix[m, :, other, :] = torch.diag(graph.between[:, m, other])
    return matrix.reshape(modalities * utterances, -1)


@pytest.mark.parametrize("padding", KINDS)
def test_reproduces_the_release(golden, padding):
    outputs, gradients = KINDS[padding]
    options = golden.options
    config = MMGCNConfig(
        standardise=False,
        encoder_width=golden.number("encoder_width"),
        graph_width=golden.number("graph_width"),
        depth=int(options["depth"].split()[0]),
        restart=float(options["alpha"]),
        decay=float(options["lamda"]),
        parties=golden.number("parties"),
        objective="focal" if "classes of" in options["loss"] else "cross_entropy",
        padding=padding,
    )
    model = MMGCN(config, golden.task({m: golden.number(f"{m}_width") for m in MODALITIES})).eval()
    golden.load(model, names(golden))
    if options["class_weights"] != "ones":
        model.class_weight.copy_(torch.tensor(json.loads(options["class_weights"])))
    batch = golden.batch({m: golden.tensors[f"input.{m}"] for m in MODALITIES})

    if padding == "released":
        nodes, present = model.nodes(batch)
        graph = MultimodalGraph.of(nodes, present, batch)
        golden.close(whole_matrix(graph, batch.dialogue), "output.adjacency")
        golden.close(model.graph(nodes, graph).flatten(1), "output.fused_features")
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), outputs + "log_probs")
    total, _ = objective(model, output)
    golden.close(total, outputs + "loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)
