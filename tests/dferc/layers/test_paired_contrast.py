"""The contrast between two views of utterances, against a loop, and over several workers."""

import torch
from torch.nn import functional as F

from dferc.layers.paired_contrast import PairedContrast, mean_over
from dferc.layers.reduction import ALONE

PRESENT = torch.tensor([1.0, 0, 1, 1, 0, 1, 1])


def views():
    torch.manual_seed(0)
    return PairedContrast(4, 3, 6, 0.2), torch.randn(7, 4), torch.randn(7, 3)


def test_equals_a_loop_over_those_that_have_both():
    contrast, first, second = views()
    queries, keys = contrast.first(first), contrast.second(second)
    there = PRESENT.nonzero().flatten().tolist()
    expected = []
    for i in there:
        scores = torch.stack([F.cosine_similarity(queries[i], keys[j], 0) / 0.2 for j in there])
        expected.append(-torch.log_softmax(scores, 0)[there.index(i)])
    torch.testing.assert_close(contrast(first, second, PRESENT, ALONE).share(), torch.stack(expected).mean())


def test_what_is_absent_changes_nothing():
    contrast, first, second = views()
    other = torch.where(PRESENT.unsqueeze(1) > 0, second, 9.0)
    assert torch.equal(*(contrast(first, view, PRESENT, ALONE).share() for view in (second, other)))
    assert contrast(first, second, torch.zeros(7), ALONE).share() == 0


def test_several_workers_equal_one_even_if_one_has_nothing(side_by_side):
    contrast, first, second = views()
    weights = list(contrast.parameters())
    alone = contrast(first, second, PRESENT, ALONE).share()
    cut = [slice(0, 3), slice(3, 3), slice(3, 7)]
    parts = side_by_side(
        lambda one, two, here, across: contrast(one, two, here, across).share(across),
        [(first[part], second[part], PRESENT[part]) for part in cut],
    )
    torch.testing.assert_close(sum(parts), alone)
    torch.testing.assert_close(torch.autograd.grad(sum(parts), weights), torch.autograd.grad(alone, weights))


def test_mean_over_nothing_is_zero():
    states = torch.arange(6.0).view(2, 3, 1)
    assert mean_over(states, torch.tensor([[1.0, 0, 1], [0, 0, 0]])).flatten().tolist() == [1.0, 0.0]
