"""MM-DFN against numbers of its release: encoded vectors, the graph's output, probabilities, loss, every gradient."""

import json

import pytest
import torch

from dferc.layers.multimodal_graph import MultimodalGraph
from dferc.models import objective
from dferc.models.mm_dfn import MMDFN, MMDFNConfig

GOLDEN = ("mm-dfn*.safetensors",)
MODALITIES = ("audio", "visual", "text")
KINDS = {"released": ("output.", "grad."), "exact": ("output.unpadded.", "grad_unpadded.")}
RECURRENT = {"text_rnn": "context", "speaker_rnn": "speaker.recurrent"}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".", 1)
        if part.endswith("_projection"):
            found[theirs] = f"projections.{part.removesuffix('_projection')}.{leaf}"
        elif part in RECURRENT:
            layer = leaf.split("_l")[1][0]
            found[theirs] = f"{RECURRENT[part]}.layers.{layer}.{leaf.replace(f'_l{layer}', '_l0')}"
        elif part == "fusion_lstm":
            found[theirs] = f"graph.memory.{leaf.removesuffix('_l0')}"
        elif leaf.startswith("layer"):
            found[theirs] = f"graph.weights.{leaf.split('.')[0].removeprefix('layer')}"
        else:
            found[theirs] = theirs
    return found


@pytest.mark.parametrize("padding", KINDS)
def test_reproduces_the_release(golden, padding):
    outputs, gradients = KINDS[padding]
    options = golden.options
    speaker_weights = zip(MODALITIES, options["speaker_weights_audio_visual_text"].split("-"), strict=True)
    config = MMDFNConfig(
        standardise=False,
        encoder_width=golden.number("encoder_width"),
        graph_width=golden.number("graph_width"),
        depth=golden.number("depth"),
        restart=float(options["alpha"]),
        decay=float(options["lamda"]),
        focal_gamma=float(options["gamma"]),
        padding=padding,
        **{f"speaker_weight_{m}": float(weight) for m, weight in speaker_weights},
    )
    model = MMDFN(config, golden.task({m: golden.number(f"{m}_width") for m in MODALITIES})).eval()
    golden.load(model, names(golden))
    if options["class_weights"] != "ones":
        model.class_weight.copy_(torch.tensor(json.loads(options["class_weights"])))
    batch = golden.batch({m: golden.tensors[f"input.{m}"] for m in MODALITIES})

    if padding == "released":
        nodes, present = model.nodes(batch)
        for i, m in enumerate(MODALITIES):
            golden.close(nodes[:, i], f"output.encoded_{m}")
        fused = model.graph(nodes, MultimodalGraph.of(nodes, present, batch))
        golden.close(fused.flatten(1), "output.fused_features")
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), outputs + "log_probs")
    total, _ = objective(model, output)
    golden.close(total, outputs + "loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)
