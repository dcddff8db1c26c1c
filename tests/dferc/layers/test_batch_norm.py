"""Batch norm over utterances against torch's own, with and without padding, missing vectors and other workers."""

import pytest
import torch
from torch import nn

from dferc.layers.batch_norm import UtteranceNorm
from dferc.layers.reduction import ALONE

WIDTH = 4


def torchs_own():
    return nn.BatchNorm1d(WIDTH).train()


@pytest.mark.parametrize("zeros", [0, 5])
def test_is_torchs_own_over_the_same_vectors(zeros):
    """Of two groups with vectors of their own; ``zeros`` more count in both."""
    vectors = (3 * torch.randn(2, 9, WIDTH) + 1).requires_grad_()
    ours, theirs = UtteranceNorm(2, WIDTH), [torchs_own(), torchs_own()]
    found = ours(vectors, torch.ones(2, 9), ALONE, zeros)
    padded = nn.functional.pad(vectors, (0, 0, 0, zeros))
    expected = torch.stack([norm(group)[:9] for norm, group in zip(theirs, padded, strict=True)])
    torch.testing.assert_close(found, expected)
    weight = torch.randn(found.shape)
    ours_back = torch.autograd.grad((found * weight).sum(), [vectors, ours.weight, ours.bias])
    theirs_back = torch.autograd.grad(
        (expected * weight).sum(), [vectors, *(n.weight for n in theirs), *(n.bias for n in theirs)]
    )
    torch.testing.assert_close(ours_back[0], theirs_back[0])
    torch.testing.assert_close(torch.cat(ours_back[1:]), torch.stack(theirs_back[1:]))
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(ours.get_buffer(name), torch.stack([n.get_buffer(name) for n in theirs]))
    torch.testing.assert_close(
        ours.eval()(vectors, torch.ones(2, 9), ALONE),
        torch.stack([norm.eval()(group) for norm, group in zip(theirs, vectors, strict=True)]),
    )


def test_what_does_not_count_changes_no_statistic():
    vectors, counted = torch.randn(1, 7, WIDTH), torch.tensor([[1.0, 1, 0, 1, 1, 0, 1]])
    found = UtteranceNorm(1, WIDTH)(vectors, counted, ALONE)
    there = counted[0].bool()
    torch.testing.assert_close(found[0, there], torchs_own()(vectors[0, there]))


def test_several_workers_equal_one_even_if_one_has_nothing(side_by_side):
    vectors = torch.randn(2, 9, WIDTH, requires_grad=True)
    counted = (torch.rand(2, 9) < 0.7).float()
    alone, norms = UtteranceNorm(2, WIDTH), [UtteranceNorm(2, WIDTH) for _ in range(3)]
    sizes = [6, 0, 3]
    shares = zip(norms, vectors.split(sizes, dim=1), counted.split(sizes, dim=1), strict=True)
    parts = side_by_side(lambda norm, *share: norm(*share), list(shares))
    expected, found = alone(vectors, counted, ALONE), torch.cat(parts, dim=1)
    torch.testing.assert_close(found, expected)
    weight = torch.randn(found.shape)
    gradients = [torch.autograd.grad((y * weight).sum(), vectors)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients)
    for norm in norms:
        torch.testing.assert_close(dict(norm.named_buffers()), dict(alone.named_buffers()))


def test_a_batch_without_utterances_moves_nothing():
    norm = UtteranceNorm(1, WIDTH)
    assert norm(torch.zeros(1, 0, WIDTH), torch.zeros(1, 0), ALONE).shape == (1, 0, WIDTH)
    assert norm.running_mean.eq(0).all()
    assert norm.running_var.eq(1).all()
