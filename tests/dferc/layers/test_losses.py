"""The focal losses against numbers of the releases."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dferc.layers.losses import focal, focal_spread
from dferc.layers.utterances import Utterances

REFERENCE = load_file(Path(__file__).parents[2] / "golden" / "losses.safetensors")


def known(weighted=False, labelled=None):
    labels = REFERENCE["input.labels"]
    weights = REFERENCE["input.class_weights"] if weighted else torch.ones(REFERENCE["input.logits"].shape[1])
    return Utterances(
        torch.ones(1, len(labels)), labels, torch.ones(len(labels)) if labelled is None else labelled, weights
    )


def assert_golden(loss, name, *settings, weighted=False):
    logits = REFERENCE["input.logits"].clone().requires_grad_()
    value = loss(logits, known(weighted), *settings).share()
    value.backward()
    for ours, theirs in ((value, REFERENCE[f"output.{name}"][0]), (logits.grad, REFERENCE[f"grad.{name}"])):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(theirs.abs().max())))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_is_that_of_the_release(gamma, weighted):
    assert_golden(focal, f"focal_gamma{gamma}" + "_weighted" * weighted, gamma, weighted=weighted)


def test_spread_focal_is_that_of_the_release():
    assert_golden(focal_spread, "mmgcn_focal", 2.5)


@pytest.mark.parametrize("loss", [focal, focal_spread])
def test_unlabelled_utterances_do_not_count(loss):
    logits = REFERENCE["input.logits"]
    labelled = torch.zeros(len(logits)).index_fill(0, torch.arange(5), 1.0)
    all_known = known()
    first = Utterances(all_known.present[:, :5], all_known.labels[:5], torch.ones(5), all_known.class_weight)
    torch.testing.assert_close(
        loss(logits, known(labelled=labelled), 1.0).share(), loss(logits[:5], first, 1.0).share()
    )


def test_without_gamma_focal_is_the_cross_entropy():
    logits = 50 * REFERENCE["input.logits"]  # certain, right or wrong: the modulator must stay a number
    expected = torch.nn.functional.cross_entropy(logits, REFERENCE["input.labels"])
    torch.testing.assert_close(focal(logits, known(), 0.0).share(), expected)
    assert focal(logits, known(), 0.5).share().isfinite()
