"""MultiEMO against numbers of its release: vectors, losses and every gradient, with and without padding."""

import json
import re
from dataclasses import replace

import pytest
import torch

from dferc.models import objective
from dferc.models.multi_emo import MultiEMO, MultiEMOConfig

GOLDEN = ("multiemo*.safetensors",)
MODALITIES = ("text", "audio", "visual")
KINDS = {"released": ("output.", "grad."), "exact": ("output.unpadded.", "grad_unpadded.")}
LOSSES = {"soft_hgr": "soft_hgr", "contrastive": "contrastive", "classification": "cross_entropy"}
PARTS = {"mlp.fc1": "hidden", "mlp.fc2": "classifier", "fusion": "fusion"}


def with_our_layout(golden):
    """One tensor for the recurrences of all modalities and ways, and one for all heads of an attention."""
    ways = [f"{m}_context.{way}" for way in ("forward", "backward") for m in MODALITIES]
    golden.stack([way for way in ways if any(f".{way}." in name for name in golden.tensors)], "recurrence")
    first = re.compile(r"^(.*)\.head0\.(.*)$")
    for match in filter(None, map(first.match, list(golden.tensors))):
        heads = [f"{match[1]}.head{i}.{match[2]}" for i in range(golden.number("heads"))]
        golden.tensors[f"{match[1]}.{match[2]}"] = torch.cat([golden.tensors.pop(head) for head in heads])


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.rsplit(".", 1)
        if part.endswith("_projection"):
            found[theirs] = f"projections.{part.removesuffix('_projection')}.{leaf}"
        elif part.startswith("recurrence."):
            found[theirs] = f"context.{theirs}"
        elif part.endswith("_context.output"):
            found[theirs] = f"context.joined.{part.removesuffix('_context.output')}.{leaf}"
        elif part.startswith("cross_attention."):
            ours = re.sub(r"^cross_attention\.(\w+)\.layer(\d+)", r"cross.\1.layers.\2", theirs)
            ours = re.sub(r"attention(\d)\.", lambda m: f"attentions.{int(m[1]) - 1}.", ours)
            ours = re.sub(r"norm([12])\.", lambda m: f"attention_norms.{int(m[1]) - 1}.", ours)
            found[theirs] = ours.replace("norm3.", "norm.")
        else:
            found[theirs] = f"{PARTS[part]}.{leaf}"
    return found


def model_of(golden, padding):
    hgr, contrastive, classification = json.loads(golden.options["loss_weights_hgr_contrastive_ce"])
    parameters = golden.group("param.")
    config = MultiEMOConfig(
        standardise=False,
        model_width=golden.number("model_width"),
        text_context=any(name.startswith("text_context.") for name in parameters),
        bidirectional="audio_context.output.weight" in parameters,
        layers=golden.number("layers"),
        heads=golden.number("heads"),
        feed_forward=golden.number("feed_forward_width"),
        hidden=len(parameters["mlp.fc1.weight"]),
        soft_hgr_weight=hgr,
        contrastive_weight=contrastive,
        classification_weight=classification,
        temperature=float(golden.options["temperature"]),
        focus=float(golden.options["focus"]),
        sample_weight_power=float(golden.options["sample_weight_power"]),
        padding=padding,
    )
    with_our_layout(golden)
    task = golden.task({m: golden.number(f"{m}_width") for m in MODALITIES})
    counts = tuple(int(count) for count in golden.tensors["input.class_counts"])
    return MultiEMO(config, replace(task, train_counts=counts)).eval()


@pytest.mark.parametrize("padding", KINDS)
def test_reproduces_the_release(golden, padding):
    outputs, gradients = KINDS[padding]
    model = model_of(golden, padding)
    golden.load(model, names(golden))
    golden.close(model.sample_weight, "output.class_sample_weights")
    batch = golden.batch({m: golden.tensors[f"input.{m}"] for m in MODALITIES})

    output = model(batch)
    golden.close(batch.flat(output.logits), outputs + "logits")
    if padding == "released":
        bound, fused = model.fused(batch)
        for vectors, m in zip(bound, MODALITIES, strict=True):
            golden.close(vectors, f"output.fused.{m}")
        golden.close(fused, "output.fused")
        for ours, theirs in LOSSES.items():
            golden.close(output.losses[ours].share(), f"output.loss.{theirs}")
    total, _ = objective(model, output)
    golden.close(total, outputs + "loss")
    total.backward()
    golden.same_gradients(model, names(golden), gradients)
