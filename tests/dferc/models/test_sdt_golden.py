"""SDT against numbers of its release: transformers, representations, all probabilities, each loss, every gradient."""

import json

import pytest
import torch

from dferc.models import objective
from dferc.models.sdt import SDT, SDTConfig

GOLDEN = ("sdt*.safetensors",)
MODALITIES = ("text", "audio", "visual")
ATTENTION = ("query", "key", "value", "output")
LOSSES = {"classification": ("fused",), "modality_classification": MODALITIES}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, leaf = theirs.split(".", 1)
        if part.endswith("_projection"):
            found[theirs] = f"projections.{part.removesuffix('_projection')}.{leaf}"
        elif part in ("transformer", "gate"):
            pair, name = leaf.split(".", 1)
            inner = f"attention.{name}" if name.split(".")[0] in ATTENTION else name
            found[theirs] = f"exchanges.{pair}." + (
                name.replace("weight", "gate.weight") if part == "gate" else f"layer.{inner}"
            )
        elif part == "classifier":
            found[theirs] = theirs.replace(".fused", "").replace("classifier.each", "modality_classifiers")
        else:
            found[theirs] = theirs.replace("speaker_embedding", "speaker").replace("combine.each", "combine")
    return found


@pytest.fixture
def model(golden):
    """The model with the file's weights; the release's embedding of padding is left out."""
    golden.stack(MODALITIES, "each")
    for kind in ("param", "grad"):
        rows = golden.tensors.pop(f"{kind}.speaker_embedding.weight")
        assert not rows[-1].any()
        golden.tensors[f"{kind}.speaker_embedding.weight"] = rows[:-1]
    options = golden.options
    config = SDTConfig(
        standardise=False,
        hidden=golden.number("hidden_width"),
        heads=golden.number("heads"),
        gate="learned" if options["unimodal_gate"].startswith("sigmoid(Wx)") else "identity",
        parties=len(rows) - 1,
        temperature=float(options["temperature"]),
    )
    model = SDT(config, golden.task({m: golden.number(f"{m}_width") for m in MODALITIES})).eval()
    golden.load(model, names(golden))
    if options["class_weights"] != "ones":
        model.class_weight.copy_(torch.tensor(json.loads(options["class_weights"])))
    return model


@pytest.fixture
def batch(golden):
    return golden.batch({m: golden.tensors[f"input.{m}"] for m in MODALITIES})


def test_transformers_and_representations(golden, model, batch):
    places = model.places(batch)
    for name in golden.group("output.transformer."):
        source, target = name.split("_to_")
        heard = model.exchanges[name].heard(places[target], batch.mask, places[source])
        golden.close(batch.flat(heard), f"output.transformer.{name}")
    each = model.represented(batch)
    for m, representation in zip(MODALITIES, each, strict=True):
        golden.close(representation, f"output.representation.{m}")
    fused, _ = model.fused(each, model.known(batch).present)
    golden.close(fused, "output.representation.fused")
    by_modality = torch.log_softmax(model.modality_classifiers(torch.relu(each)), -1)
    for m, log_probabilities in zip(MODALITIES, by_modality, strict=True):
        golden.close(log_probabilities, f"output.log_probs.{m}")


def test_losses_and_gradients(golden, model, batch):
    output = model(batch)
    logits = batch.flat(output.logits)
    golden.close(torch.log_softmax(logits, -1), "output.log_probs")
    golden.close(torch.softmax(logits / model.config.temperature, -1), "output.distillation_target")
    for loss, parts in {**LOSSES, "distillation": [f"kl_{m}" for m in MODALITIES]}.items():
        term = output.losses[loss]
        for part, value in zip(parts, (term.total / term.count).reshape(-1), strict=True):
            golden.close(value, f"output.loss.{part}")
    total, _ = objective(model, output)
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))
