"""COSMIC against numbers of its release: states, probabilities, loss, every gradient, statistics of its batch norm."""

import json

import pytest
import torch

from dferc.layers.reduction import ALONE
from dferc.models import objective
from dferc.models.cosmic import COMET, TEXT_LAYERS, Cosmic, CosmicConfig

GOLDEN = ("cosmic*.safetensors",)


def names(golden):
    """Their parameters to ours."""
    ours = {
        "both": "recurrence",
        "text_batch_norm.layers": "norm",
        "text_projection": "projection",
        "dialogue_attention": "attention.transform",
    }
    found = {}
    for theirs in golden.group("param."):
        part = next((p for p in ours if theirs.startswith(f"{p}.")), None)
        found[theirs] = theirs if part is None else theirs.replace(part, ours[part], 1)
    return found


def model_of(golden, **changes):
    options = golden.options
    widths = {
        f"{s}_width": golden.number(f"{s}_width") for s in ("global", "internal", "external", "intent", "emotion")
    }
    config = CosmicConfig(
        standardise=False,
        normalise="batch" if options["text_normalisation"].startswith("batch") else "none",
        hidden=golden.number("hidden_width"),
        context_attention=options["context_attention"],
        active_listener=options["listener_state"] == "True",
        attention=options["dialogue_attention"] == "general2",
        residual=options["residual"] == "True",
        **widths,
        **changes,
    )
    vectors = dict.fromkeys(TEXT_LAYERS, golden.number("text_width"))
    vectors |= dict.fromkeys(COMET.values(), golden.number("commonsense_width"))
    model = Cosmic(config, golden.task(vectors)).eval()
    golden.stack(["forward", "backward"], "both")
    golden.stack(["layer1", "layer2", "layer3", "layer4"], "layers")
    golden.load(model, names(golden))
    for name, statistics in golden.group("buffer.text_batch_norm.layers.").items():
        model.norm.get_buffer(name).copy_(statistics)
    if "class_weights" in options:
        model.class_weight.copy_(torch.tensor(json.loads(options["class_weights"])))
    return model


def batch_of(golden):
    features = {name: golden.tensors[f"input.text_layer{i}"] for i, name in enumerate(TEXT_LAYERS, start=1)}
    return golden.batch(features | {name: golden.tensors[f"input.{inference}"] for inference, name in COMET.items()})


def reproduces(golden, model, batch, outputs, gradients):
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), f"{outputs}log_probs")
    total, _ = objective(model, output)
    golden.close(total, f"{outputs}loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)


@pytest.mark.parametrize("padding", ["exact", "released"])
def test_reproduces_the_release(golden, padding):
    model, batch = model_of(golden, padding=padding), batch_of(golden)
    golden.close(model.recurrence(*model.read(batch, ALONE), batch), "output.emotion_states")
    reproduces(golden, model, batch, "output.", "grad.")


def test_reproduces_its_batch_norm_in_training(golden):
    if "output.batch_statistics.loss" not in golden.tensors:
        pytest.skip("a file without batch norm")
    model = model_of(golden, padding="released", dropout=0, recurrent_dropout=0).train()
    reproduces(golden, model, batch_of(golden), "output.batch_statistics.", "grad_batch_statistics.")
    for name in ("running_mean", "running_var"):
        golden.close(model.norm.get_buffer(name), f"output.batch_statistics.layers.{name}_after")
