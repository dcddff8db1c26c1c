"""LMF, as MM-DFN's repository adapts it, against numbers: the classifier's input, probabilities, loss, gradients."""

import torch

from dferc.models import objective
from dferc.models.lmf import LMF, LMFConfig

GOLDEN = ("lmf*.safetensors",)
MODALITIES = ("audio", "visual", "text")


def names(golden):
    """Their parameters to ours."""
    parts = {"projection": "extended.projections", "extra": "extended.extras", "subnetwork": "homogeneous.subnetworks"}
    found = {"fusion_weights": "rank_weight", "fusion_bias": "fusion_bias"}
    for theirs in golden.group("param."):
        part, _, leaf = theirs.partition(".")
        modality, _, kind = part.rpartition("_")
        if kind == "factor":
            found[theirs] = f"factors.{modality}"
        elif leaf:
            found[theirs] = f"{parts[kind]}.{modality}.{leaf}" if kind in parts else theirs
    return found


def test_reproduces_the_release(golden):
    rank, _, fused_width = golden.tensors["param.text_factor"].shape
    config = LMFConfig(
        standardise=False,
        projected_width=golden.number("projected_width"),
        extra_width=golden.number("extra_width"),
        rank=rank,
        fused_width=fused_width,
        focal_gamma=float(golden.options["gamma"]),
        **{f"hidden_{m}": len(golden.tensors[f"param.{m}_subnetwork.weight"]) for m in MODALITIES},
    )
    model = LMF(config, golden.task({m: golden.number(f"{m}_width") for m in MODALITIES})).eval()
    golden.load(model, names(golden))
    batch = golden.batch({m: golden.tensors[f"input.{m}"] for m in MODALITIES})

    golden.close(model.fused(batch), "output.fused_features")
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), "output.log_probs")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))
