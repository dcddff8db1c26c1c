"""DialogueCRN against numbers of its release: both banks, what is classified, probabilities, loss, every gradient."""

import json

import pytest
import torch

from dferc.models import objective
from dferc.models.dialogue_crn import DialogueCRN, DialogueCRNConfig

GOLDEN = ("dialogue-crn*.safetensors",)
KINDS = {"released": ("output.", "grad."), "exact": ("output.unpadded.", "grad_unpadded.")}
RECURRENT = {"situation_lstm": "perception.situation", "speaker_lstm": "perception.speaker.recurrent"}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".")
        if part in RECURRENT:
            layer = leaf.split("_l")[1][0]
            found[theirs] = f"{RECURRENT[part]}.layers.{layer}.{leaf.replace(f'_l{layer}', '_l0')}"
        elif part.endswith("_reasoning_lstm"):
            found[theirs] = f"{part.removesuffix('_reasoning_lstm')}.cell.{leaf.removesuffix('_l0')}"
        else:
            found[theirs] = f"{'query' if part == 'query_projection' else part}.{leaf}"
    return found


@pytest.mark.parametrize("padding", KINDS)
def test_reproduces_the_release(golden, padding):
    outputs, gradients = KINDS[padding]
    config = DialogueCRNConfig(
        standardise=False,
        lstm_hidden=golden.number("lstm_width_per_direction"),
        lstm_layers=golden.number("lstm_layers"),
        situation_turns=golden.number("situation_steps"),
        speaker_turns=golden.number("speaker_steps"),
        focal_gamma=float(golden.options["gamma"]),
        padding=padding,
    )
    model = DialogueCRN(config, golden.task({"text": golden.number("feature_width")})).eval()
    golden.load(model, names(golden))
    if golden.options["class_weights"] != "ones":
        model.class_weight.copy_(torch.tensor(json.loads(golden.options["class_weights"])))
    batch = golden.batch({"text": golden.tensors["input.features"]})

    if padding == "released":
        situation, speaker = model.perception(model.inputs.joined(batch), batch)
        golden.close(situation, "output.situation_states")
        golden.close(speaker, "output.speaker_states")
        reasoned = [
            part(model.query(bank), bank, batch)
            for part, bank in ((model.speaker, speaker), (model.situation, situation))
        ]
        golden.close(torch.relu(torch.cat(reasoned, -1)), "output.classifier_input")
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), outputs + "log_probs")
    total, _ = objective(model, output)
    golden.close(total, outputs + "loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)
