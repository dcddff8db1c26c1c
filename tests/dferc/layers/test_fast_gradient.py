"""The fast gradient method on weights."""

import torch

from dferc.layers.fast_gradient import attacked
from dferc.layers.reduction import ALONE


def test_each_weight_moves_by_epsilon_along_its_own_gradient():
    weights = {"large": torch.ones(2, 2, requires_grad=True), "small": torch.zeros(3, requires_grad=True)}
    idle = torch.ones(1, requires_grad=True)
    loss = 100 * weights["large"].sum() + (weights["small"] * torch.tensor([3.0, 0.0, -4.0])).sum()
    moved = attacked(weights | {"idle": idle}, loss, 0.5, ALONE)
    torch.testing.assert_close(moved["large"], torch.full((2, 2), 1.25))
    torch.testing.assert_close(moved["small"], torch.tensor([0.3, 0.0, -0.4]))
    assert torch.equal(moved["idle"], idle)
    assert not any(weight.requires_grad for weight in moved.values())
    loss.backward()  # the graph is still there
    assert weights["small"].grad.tolist() == [3.0, 0.0, -4.0]
