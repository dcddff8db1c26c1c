"""ICON against numbers of its release: slots, logits, both losses and every gradient."""

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.history import History
from dferc.models import objective
from dferc.models.icon import ICON, ICONConfig
from dferc.training import make_task

GOLDEN = ("icon*.safetensors",)


PARTS = {
    "local_gru_own": "local.each.own",
    "local_gru_other": "local.each.other",
    "global_gru": "memories.0.each.both",
    "memory_gru": "memories.1.each.both",
}


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, rest = theirs.replace("kernel", "weight").split(".", 1)
        found[theirs] = f"{PARTS.get(part, part)}.{rest}"
    return found


def test_reproduces_the_release(golden):
    config = ICONConfig(
        standardise=False,
        history=golden.number("history_slots"),
        hidden=golden.number("embedding_width"),
        hops=golden.number("hops"),
    )
    model = ICON(config, golden.task({"text": golden.number("feature_width")})).eval()
    golden.load(model, names(golden))
    batch = golden.batch({"text": golden.tensors["input.features"]})

    output = model(batch)
    golden.close(batch.flat(output.logits), "output.logits")
    total, losses = objective(model, output)
    golden.close(losses["classification"], "output.loss.cross_entropy")
    golden.close(losses["regulariser"], "output.loss.regulariser")
    golden.close(total, "output.loss")
    total.backward()
    golden.same_gradients(model, names(golden))


@pytest.mark.parametrize("side", ["own", "other"])
def test_slots_are_those_of_the_release(golden, side):
    theirs = golden.tensors[f"input.{side}_mask"].bool()
    history = History.of(golden.batch({"text": golden.tensors["input.features"]}), golden.number("history_slots"))
    left_out = theirs[:, : history.empty_before]
    assert not left_out.any()
    assert torch.equal(getattr(history, side), theirs[:, history.empty_before :])


def test_with_one_hop_the_memory_is_never_rewritten(corpus):
    model = ICON(ICONConfig(hidden=3, hops=1), make_task(corpus)).eval()
    total, _ = objective(model, model(collate(corpus, corpus.split("train"), model.modalities)))
    total.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
