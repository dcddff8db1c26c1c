"""How the workers that share one batch add up what each of them sees.

The convention, everywhere: the objective of a step is the *sum* over workers of each worker's own share. A share is a
local sum divided by a *global* count, so N workers equal one worker on the same batch, however unevenly the dialogues
are dealt out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor


class Reduction(Protocol):
    """What a model and the training loop may ask of the other workers."""

    rank: int
    workers: int

    def sum(self, local: Tensor) -> Tensor:
        """Sum of ``local`` over workers, the same on all; gradients flow to every worker's part."""

    def gather(self, local: Tensor) -> tuple[Tensor, int]:
        """Rows of all workers [N_all, ...] in rank order and the place of our first; gradients flow to every worker."""

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each parameter's gradient by its sum over workers."""


class Alone:
    """One worker: nothing to add."""

    rank = 0
    workers = 1

    def sum(self, local: Tensor) -> Tensor:
        """Nothing to add."""
        return local

    def gather(self, local: Tensor) -> tuple[Tensor, int]:
        """All there is."""
        return local, 0

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Nothing to add."""


ALONE = Alone()


@dataclass(frozen=True)
class LossTerm:
    """A loss as local sums and local counts, so that workers can add them before they divide.

    The value is the sum over cells of total / count, where a cell nobody counted in gives nothing. With ``present`` it
    is the mean over the cells that are present on any worker.
    """

    total: Tensor
    """[...] sum over this worker's utterances; one cell, or several (a class, a modality)."""
    count: Tensor
    """[...] what to divide by, without gradient."""
    present: Tensor | None = None
    """[...] this worker's number of utterances in each cell, where the value is a mean over present cells."""

    def __add__(self, other: "LossTerm") -> "LossTerm":
        """The loss over the utterances of both."""
        present = None if self.present is None or other.present is None else self.present + other.present
        return LossTerm(self.total + other.total, self.count + other.count, present)

    def share(self, across: Reduction = ALONE) -> Tensor:
        """This worker's share [] of the value; the shares of all workers add up to it."""
        count = across.sum(self.count.detach())
        cells = torch.where(count > 0, self.total / count.clamp_min(1e-13), torch.zeros_like(self.total))
        if self.present is None:
            return cells.sum()
        present = (across.sum(self.present.detach()) > 0).sum()
        return cells.sum() / present.clamp_min(1)


class Together:
    """Workers of the default ``torch.distributed`` process group (gloo or nccl)."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.workers = dist.get_world_size()

    def sum(self, local: Tensor) -> Tensor:
        """All-reduce whose backward pass is an all-reduce too: each worker's share depends on everybody's part."""
        return _Sum.apply(local)  # type: ignore[no-any-return, no-untyped-call]

    def gather(self, local: Tensor) -> tuple[Tensor, int]:
        """A sum of tensors that hold our rows at our place and zeros elsewhere: rows may be unequal in number."""
        counts = torch.zeros(self.workers, dtype=torch.long, device=local.device)
        counts[self.rank] = local.shape[0]
        dist.all_reduce(counts)
        sizes = [int(size) for size in counts.cpu()]
        before, after = sum(sizes[: self.rank]), sum(sizes[self.rank + 1 :])
        place = torch.cat([local.new_zeros(before, *local.shape[1:]), local, local.new_zeros(after, *local.shape[1:])])
        return self.sum(place), before

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """One flat all-reduce after the backward pass; parameters that saw no gradient count as zero."""
        trained = [p for p in parameters if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.split([p.numel() for p in trained])  # type: ignore[no-untyped-call]
        for parameter, summed in zip(trained, parts, strict=True):
            parameter.grad = summed.view_as(parameter)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: object, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
