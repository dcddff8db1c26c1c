"""bc-LSTM against numbers of its release: states, probabilities, loss and every gradient, with and without padding."""

import json

import pytest
import torch

from dferc.models import objective
from dferc.models.bc_lstm import BcLSTM, BcLSTMConfig

GOLDEN = ("bc-lstm*.safetensors",)
KINDS = {"released": ("output.", "grad."), "exact": ("output.unpadded.", "grad_unpadded.")}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".")
        if part == "context_lstm":
            layer = leaf.split("_l")[1][0]
            found[theirs] = f"context.layers.{layer}.{leaf.replace(f'_l{layer}', '_l0')}"
        elif part == "dialogue_attention":
            found[theirs] = f"attention.transform.{leaf}"
        else:
            found[theirs] = theirs
    return found


@pytest.mark.parametrize("padding", KINDS)
def test_reproduces_the_release(golden, padding):
    outputs, gradients = KINDS[padding]
    config = BcLSTMConfig(
        standardise=False,
        lstm_hidden=golden.number("lstm_width_per_direction"),
        lstm_layers=golden.number("lstm_layers"),
        hidden=golden.number("hidden_width"),
        attention=golden.options["attention"] == "True",
        padding=padding,
    )
    model = BcLSTM(config, golden.task({"text": golden.number("feature_width")})).eval()
    golden.load(model, names(golden))
    model.class_weight.copy_(torch.tensor(json.loads(golden.options["class_weights"])))
    batch = golden.batch({"text": golden.tensors["input.features"]})

    golden.close(model.context(model.inputs.joined(batch), batch), outputs + "context_states")
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), outputs + "log_probs")
    total, _ = objective(model, output)
    golden.close(total, outputs + "loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)
