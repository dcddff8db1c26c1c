"""COGMEN beyond its numbers: workers share their batch's statistics, and its heads must fit."""

import pytest
import torch

from dferc.corpus import collate
from dferc.errors import UserError
from dferc.layers.reduction import ALONE
from dferc.models import objective
from dferc.models.cogmen import Cogmen, CogmenConfig, heads_for
from dferc.training import make_task


def model_of(corpus, **changes):
    torch.manual_seed(0)
    return Cogmen(CogmenConfig(**Cogmen.small | changes), make_task(corpus))


def test_workers_share_the_statistics_of_their_batch(corpus, side_by_side):
    dialogues = corpus.split("train")
    model = model_of(corpus, dropout=0).train()

    def loss(part, across):
        return objective(model, model(collate(corpus, part, model.modalities), across), across)[0]

    parameters = list(model.parameters())
    alone = loss(dialogues, ALONE)
    expected = torch.autograd.grad(alone, parameters)
    parts = side_by_side(loss, [(dialogues[:1],), ([],), (dialogues[1:],)])
    torch.testing.assert_close(sum(parts), alone)
    torch.testing.assert_close(torch.autograd.grad(sum(parts), parameters), expected, rtol=1e-3, atol=1e-5)


def test_the_release_chooses_its_heads_by_the_width():
    assert [heads_for(width) for width in (1380, 98, 24, 17)] == [10, 7, 8, 1]


def test_heads_that_do_not_divide_the_width_are_an_error(corpus):
    width = sum(corpus.card.widths.values())
    with pytest.raises(UserError, match=f"context_heads.*must divide.*{width}"):
        model_of(corpus, context_heads=width - 1)
