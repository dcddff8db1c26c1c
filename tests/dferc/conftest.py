"""What tests of the science share: workers that are threads of one process, and saved backbones."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedModel, PreTrainedTokenizerFast

SPECIAL = {f"{name}_token": f"<{name}>" for name in ("cls", "pad", "sep", "unk", "bos", "eos", "mask")}


class Worker:
    """One of several, each a thread, so that gradients flow between them by themselves; they meet at every sum."""

    def __init__(self, rank: int, slots: list[Any], barrier: Barrier) -> None:
        self.rank, self.slots, self.barrier = rank, slots, barrier
        self.workers = len(slots)

    def sum(self, local: torch.Tensor) -> torch.Tensor:
        return torch.stack(self._all(local)).sum(0)

    def gather(self, local: torch.Tensor) -> tuple[torch.Tensor, int]:
        parts = self._all(local)
        return torch.cat(parts), sum(len(part) for part in parts[: self.rank])

    def _all(self, local: torch.Tensor) -> list[torch.Tensor]:
        self.slots[self.rank] = local
        self.barrier.wait(60)
        parts = list(self.slots)
        self.barrier.wait(60)
        return parts


@pytest.fixture
def side_by_side() -> Callable[..., list[Any]]:
    """Calls a function once a worker, with that worker's arguments and the worker last, all at the same time."""

    def run(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        slots: list[Any] = [None] * len(arguments)
        barrier = Barrier(len(arguments))

        def one(rank: int) -> Any:
            try:
                return function(*arguments[rank], Worker(rank, slots, barrier))
            except BaseException:
                barrier.abort()
                raise

        with ThreadPoolExecutor(len(arguments)) as pool:
            return list(pool.map(one, range(len(arguments))))

    return run


@pytest.fixture
def save_backbone(tmp_path: Path) -> Callable[..., str]:
    """Saves a transformer with a tokenizer of few words, as a folder that models load their backbone from."""

    def save(transformer: PreTrainedModel, tokenizer: PreTrainedTokenizerFast | None = None) -> str:
        folder = tmp_path / "backbone"
        transformer.save_pretrained(folder)
        words = {word: number for number, word in enumerate([*SPECIAL.values(), "word"])}
        plain = Tokenizer(models.WordLevel(words, unk_token=SPECIAL["unk_token"]))
        (tokenizer or PreTrainedTokenizerFast(tokenizer_object=plain, **SPECIAL)).save_pretrained(folder)
        return str(folder)

    return save
