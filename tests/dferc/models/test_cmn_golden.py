"""CMN against numbers of its release: slots, logits, both losses and every gradient."""

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.history import History
from dferc.models import objective
from dferc.models.cmn import CMN, CMNConfig
from dferc.training import make_task

GOLDEN = ("cmn*.safetensors",)


def names(golden):
    """Their parameters to ours."""
    found = {}
    for theirs in golden.group("param."):
        part, *rest = theirs.replace("kernel", "weight").split(".")
        kind, _, side = part.partition("_gru_")
        found[theirs] = ".".join([kind, "each", side, *rest] if side else [part, *rest])
    return found


def test_reproduces_the_release(golden):
    config = CMNConfig(
        standardise=False,
        history=golden.number("history_slots"),
        hidden=golden.number("embedding_width"),
        hops=golden.number("hops"),
    )
    model = CMN(config, golden.task({"text": golden.number("feature_width")})).eval()
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


def test_scores_are_squashed_or_plain(corpus):
    torch.manual_seed(0)
    squashed, plain = (CMN(CMNConfig(hidden=3, squash=each), make_task(corpus)).eval() for each in (True, False))
    plain.load_state_dict(squashed.state_dict())
    batch = collate(corpus, corpus.split("train"), plain.modalities)
    without, with_tanh = plain(batch).logits, squashed(batch).logits
    torch.testing.assert_close(without[:, :2], with_tanh[:, :2])  # a single utterance remembered has all the weight
    assert not torch.equal(without[:, 2:], with_tanh[:, 2:])
