"""The Soft-HGR loss against numbers of its release, against torch's covariances, and over several workers."""

from itertools import combinations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dferc.layers.reduction import ALONE
from dferc.layers.soft_hgr import soft_hgr

REFERENCE = load_file(Path(__file__).parents[2] / "golden" / "losses.safetensors")
PRESENT = torch.tensor([[1.0, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 1]])
COVARIANCES = ("utterances", "numbers")


def by_pairs(vectors, present, covariance):
    """The loss, pair by pair, with the covariance matrices written out."""
    total = torch.zeros(())
    for f, g in combinations(range(len(vectors)), 2):
        there = (present[f] * present[g]).bool()
        first, second = vectors[f][there], vectors[g][there]
        together = (first * second).sum(-1).mean()
        if covariance == "utterances":
            trace = torch.trace(torch.cov(first) @ torch.cov(second)) / len(first)
            total = total - (together - trace / 2) / len(first)
        else:
            total = total - (together - torch.trace(torch.cov(first.T) @ torch.cov(second.T)) / 2)
    return total


def test_is_that_of_the_release():
    features = torch.stack([REFERENCE[f"input.feature_{m}"] for m in ("text", "audio", "visual")]).requires_grad_()
    value = soft_hgr(features, torch.ones(features.shape[:2]), ALONE).share()
    value.backward()
    gradients = torch.stack([REFERENCE[f"grad.soft_hgr.{i}"] for i in range(3)])
    for ours, theirs in ((value, REFERENCE["output.soft_hgr"][0]), (features.grad, gradients)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(theirs.abs().max())))


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_pair_is_made_of_the_utterances_that_have_both(covariance):
    torch.manual_seed(0)
    vectors = torch.randn(3, 6, 4)
    value = soft_hgr(vectors, PRESENT, ALONE, covariance).share()
    torch.testing.assert_close(value, by_pairs(vectors, PRESENT, covariance))
    other = torch.where(PRESENT.unsqueeze(-1) > 0, vectors, 9.0)
    torch.testing.assert_close(soft_hgr(other, PRESENT, ALONE, covariance).share(), value)
    assert soft_hgr(vectors, torch.zeros(3, 6), ALONE, covariance).share() == 0


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_several_workers_equal_one_even_if_one_has_nothing(side_by_side, covariance):
    torch.manual_seed(0)
    vectors = torch.randn(3, 6, 4, requires_grad=True)
    alone = soft_hgr(vectors, PRESENT, ALONE, covariance).share()
    cut = [slice(0, 2), slice(2, 2), slice(2, 6)]
    parts = side_by_side(
        lambda one, here, across: soft_hgr(one, here, across, covariance).share(across),
        [(vectors[:, part], PRESENT[:, part]) for part in cut],
    )
    torch.testing.assert_close(sum(parts), alone)
    torch.testing.assert_close(torch.autograd.grad(sum(parts), vectors), torch.autograd.grad(alone, vectors))
