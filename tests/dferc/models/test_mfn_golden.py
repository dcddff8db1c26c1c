"""MFN, as MM-DFN's repository adapts it, against numbers: the classifier's input, probabilities, loss, gradients."""

import torch

from dferc.models import objective
from dferc.models.mfn import MFN, MFNConfig

GOLDEN = ("mfn*.safetensors",)
MODALITIES = ("text", "audio", "visual")
NETWORKS = {"attention": "attention", "candidate": "candidate", "retain_gate": "retain", "update_gate": "update"}


def names(golden):
    """Their parameters to ours."""
    parts = {"projection": "extended.projections", "extra": "extended.extras"}
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".", 1)
        modality, _, kind = part.rpartition("_")
        if kind in parts:
            found[theirs] = f"{parts[kind]}.{modality}.{leaf}"
        elif part == "classifier":
            found[theirs] = theirs
        else:
            found[theirs] = f"memory.gates.{theirs}" if kind == "gate" else f"memory.{theirs}"
    return found


def test_reproduces_the_release(golden):
    golden.stack([f"{m}_lstm" for m in MODALITIES], "lstm")
    config = MFNConfig(
        standardise=False,
        projected_width=golden.number("projected_width"),
        extra_width=golden.number("extra_width"),
        hidden=golden.tensors["param.lstm.weight_hh"].shape[-1],
        memory_width=len(golden.tensors["param.candidate.fc2.weight"]),
        focal_gamma=float(golden.options["gamma"]),
        **{f"{ours}_hidden": len(golden.tensors[f"param.{theirs}.fc1.weight"]) for theirs, ours in NETWORKS.items()},
    )
    model = MFN(config, golden.task({m: golden.number(f"{m}_width") for m in MODALITIES})).eval()
    golden.load(model, names(golden))
    batch = golden.batch({m: golden.tensors[f"input.{m}"] for m in MODALITIES})

    golden.close(model.fused(batch), "output.fused_features")
    output = model(batch)
    golden.close(torch.log_softmax(batch.flat(output.logits), -1), "output.log_probs")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))
