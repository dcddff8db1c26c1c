"""The focal contrastive loss against numbers of its release, without labels, and over several workers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dferc.layers.focal_contrast import focal_contrast, sample_weights
from dferc.layers.reduction import ALONE

REFERENCE = load_file(Path(__file__).parents[2] / "golden" / "losses.safetensors")
VECTORS, LABELS = REFERENCE["input.feature_representation"], REFERENCE["input.labels"]
WEIGHTS = REFERENCE["output.sample_weights"]
ALL = torch.ones(len(LABELS))
SETTINGS = (0.8, 2.0)


def test_is_that_of_the_release():
    vectors = VECTORS.clone().requires_grad_()
    value = focal_contrast(vectors, LABELS, ALL, WEIGHTS, *SETTINGS, ALONE).share()
    value.backward()
    name = "sample_weighted_focal_contrastive"
    for ours, theirs in ((value, REFERENCE[f"output.{name}"][0]), (vectors.grad, REFERENCE[f"grad.{name}"])):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(theirs.abs().max())))


def test_weights_are_those_of_the_release():
    counts = [int(count) for count in REFERENCE["input.class_counts"]]
    torch.testing.assert_close(sample_weights(counts, 0.8), WEIGHTS)
    torch.testing.assert_close(sample_weights([*counts, 0], 0.8), torch.cat([WEIGHTS, torch.zeros(1)]))
    assert sample_weights([3, 7], 0).tolist() == [0.5, 0.5]


def test_unlabelled_utterances_take_no_part():
    known = (torch.arange(len(LABELS)) < 9).float()
    value = focal_contrast(VECTORS, LABELS, known, WEIGHTS, *SETTINGS, ALONE).share()
    first = focal_contrast(VECTORS[:9], LABELS[:9], ALL[:9], WEIGHTS, *SETTINGS, ALONE).share()
    torch.testing.assert_close(value, first)
    assert focal_contrast(VECTORS, LABELS, 0 * ALL, WEIGHTS, *SETTINGS, ALONE).share() == 0


@pytest.mark.parametrize("focus", [0.0, 0.5, 2.0])
def test_is_finite_where_the_only_other_utterance_is_certain(focus):
    vectors = torch.randn(2, 4, requires_grad=True)
    labels = torch.zeros(2, dtype=torch.long)
    value = focal_contrast(vectors, labels, ALL[:2], WEIGHTS, 0.8, focus, ALONE).share()
    value.backward()
    assert value.abs() < 1e-6
    assert vectors.grad.isfinite().all()


def test_several_workers_equal_one_even_if_one_has_nothing(side_by_side):
    vectors = VECTORS.clone().requires_grad_()
    alone = focal_contrast(vectors, LABELS, ALL, WEIGHTS, *SETTINGS, ALONE).share()
    cut = [slice(0, 5), slice(5, 5), slice(5, 14)]
    parts = side_by_side(
        lambda one, labels, known, across: focal_contrast(one, labels, known, WEIGHTS, *SETTINGS, across).share(across),
        [(vectors[part], LABELS[part], ALL[part]) for part in cut],
    )
    torch.testing.assert_close(sum(parts), alone)
    torch.testing.assert_close(torch.autograd.grad(sum(parts), vectors), torch.autograd.grad(alone, vectors))
