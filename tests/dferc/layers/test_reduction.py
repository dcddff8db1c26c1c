"""Losses as sums and counts."""

import torch

from dferc.layers.reduction import LossTerm


class Pretend:
    """Two workers, of which we are one and the other is given."""

    rank, workers = 0, 2

    def __init__(self, *other):
        self.other = list(other)

    def sum(self, local):
        return local + self.other.pop(0)


def test_cells_are_divided_and_added():
    term = LossTerm(torch.tensor([6.0, 5.0]), torch.tensor([3.0, 2.0]))
    assert term.share().item() == 2 + 2.5


def test_a_cell_that_nobody_counted_in_gives_nothing():
    total = torch.tensor([6.0, 0.0], requires_grad=True)
    share = LossTerm(total, torch.tensor([3.0, 0.0])).share()
    share.backward()
    assert share.item() == 2
    assert total.grad.isfinite().all()


def test_the_mean_is_over_present_cells_even_where_they_cost_nothing():
    term = LossTerm(torch.tensor([6.0, 0.0, 0.0]), torch.tensor([3.0, 0.0, 0.0]), present=torch.tensor([3.0, 4.0, 0.0]))
    assert term.share().item() == 2 / 2


def test_shares_of_all_workers_add_up_to_the_value():
    ours = LossTerm(torch.tensor([6.0]), torch.tensor([3.0]))
    theirs = LossTerm(torch.tensor([1.0]), torch.tensor([4.0]))
    parts = ours.share(Pretend(theirs.count)) + theirs.share(Pretend(ours.count))
    torch.testing.assert_close(parts, (ours + theirs).share())
