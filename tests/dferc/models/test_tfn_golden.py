"""TFN, as MM-DFN's repository adapts it, against numbers: the classifier's input, probabilities, loss, gradients."""

import torch

from dferc.models import objective
from dferc.models.tfn import TFN, TFNConfig

GOLDEN = ("tfn*.safetensors",)
MODALITIES = ("audio", "visual", "text")


def names(golden):
    """Their parameters to ours."""
    parts = {"projection": "extended.projections", "extra": "extended.extras", "subnetwork": "homogeneous.subnetworks"}
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".")
        modality, _, kind = part.rpartition("_")
        ours = f"{parts[kind]}.{modality}" if kind in parts else part.replace("post_fusion", "fusion")
        found[theirs] = f"{ours}.{leaf}"
    return found


def test_reproduces_the_release(golden):
    rows = {part.removesuffix(".weight"): len(w) for part, w in golden.group("param.").items() if w.dim() == 2}
    config = TFNConfig(
        standardise=False,
        projected_width=golden.number("projected_width"),
        extra_width=golden.number("extra_width"),
        fusion_hidden=rows["post_fusion1"],
        fused_width=rows["post_fusion2"],
        focal_gamma=float(golden.options["gamma"]),
        **{f"hidden_{m}": rows[f"{m}_subnetwork"] for m in MODALITIES},
    )
    model = TFN(config, golden.task({m: golden.number(f"{m}_width") for m in MODALITIES})).eval()
    golden.load(model, names(golden))
    batch = golden.batch({m: golden.tensors[f"input.{m}"] for m in MODALITIES})

    golden.close(model.fused(batch), "output.fused_features")
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), "output.log_probs")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))
