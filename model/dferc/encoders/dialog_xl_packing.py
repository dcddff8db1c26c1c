"""What DialogXL reads: every turn behind a ``cls``, and where in what was said before its memory lies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dferc.corpus.batch import Tokens
from dferc.corpus.store import Corpus, Dialogue
from dferc.encoders.words import Words, transcripts

MOST_CELLS = 2**18
"""Pairs of sub-tokens that attend at once, of which each head of each layer holds a number [ours: 1 MiB a head]."""


@dataclass(frozen=True)
class Turns(Tokens):
    """K sub-tokens of N turns, end to end, R of which can be remembered; P places in blocks of turns of like length."""

    ids: Tensor
    """[K] sub-token ids, each turn's ``cls`` first."""
    start: Tensor
    """[N] place of each turn's first sub-token among the K."""
    length: Tensor
    """[N] its sub-tokens."""
    remembered: Tensor
    """[R] places among the K of what can be remembered, in the order in which it was said."""
    said_in: Tensor
    """[R] the turn that each of them belongs to."""
    memory_start: Tensor
    """[N] place among the R where each turn's memory begins."""
    memory_stop: Tensor
    """[N] place among the R behind its end."""
    order: Tensor
    """[N] the turns from the shortest to the longest: first those of the first block, then of the second, ..."""
    blocks: tuple[tuple[int, int, int], ...]
    """Of each block its turns, the sub-tokens of its longest turn and those of its longest memory."""
    place: Tensor
    """[K] place of each sub-token among the P of all blocks, where every turn is as long as its block's longest."""


class TurnPacker:
    """Lays turns end to end and finds the memory of each."""

    def __init__(self, words: Words, max_tokens: int, memory: int, over_padding: bool = False) -> None:
        """Prepare to pack.

        Args:
            words: sub-tokens of texts.
            max_tokens: most sub-tokens of a turn with its ``cls``; of what is longer the beginning is kept [code].
            memory: most sub-tokens that a turn remembers, the latest.
            over_padding: fill the k-th turns of all dialogues to the longest of them with padding that counts as real.
        """
        self._words = words
        self._room = max_tokens - 1
        self._memory = memory
        self._over_padding = over_padding

    def pack(self, corpus: Corpus, dialogues: Sequence[Dialogue]) -> Turns:
        """The turns of these dialogues."""
        return self.pack_texts(transcripts(corpus, dialogues))

    def pack_texts(self, texts: Sequence[Sequence[str]]) -> Turns:
        """The turns of dialogues that are given by their transcripts."""
        dialogues = self._words.dialogues(texts)
        turns = [[self._words.special["cls"], *words[: self._room]] for dialogue in dialogues for words in dialogue]
        sizes = torch.tensor([len(dialogue) for dialogue in dialogues], dtype=torch.long)
        real = torch.tensor([len(turn) for turn in turns], dtype=torch.long)
        length = filled(real, sizes) if self._over_padding else real
        start, turn, within = spread(length)
        ids = torch.full_like(turn, self._words.special["pad"])
        ids[within < real[turn]] = torch.tensor([token for turn in turns for token in turn], dtype=torch.long)

        memory_stop, said_in, nth = spread(real - 1)
        opening = spread(sizes)[0].repeat_interleave(sizes)  # the first turn of each turn's dialogue
        memory_start = torch.maximum(memory_stop[opening], memory_stop - self._memory)

        order = length.argsort(stable=True)
        blocks = tuple(in_blocks(length[order].tolist(), (memory_stop - memory_start)[order].tolist()))
        corner = torch.empty_like(start)
        corner[order] = spread(torch.tensor([longest for count, longest, _ in blocks for _ in range(count)]).long())[0]
        return Turns(
            ids=ids,
            start=start,
            length=length,
            remembered=start[said_in] + 1 + nth,  # behind the ``cls``
            said_in=said_in,
            memory_start=memory_start,
            memory_stop=memory_stop,
            order=order,
            blocks=blocks,
            place=corner[turn] + within,
        )


def spread(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For things laid end to end: where each begins [N], whose each part is, and its number in its thing."""
    start = counts.cumsum(0) - counts
    whose = torch.arange(len(counts)).repeat_interleave(counts)
    return start, whose, torch.arange(len(whose)) - start[whose]


def filled(length: Tensor, sizes: Tensor) -> Tensor:
    """Length [N] of the longest k-th turn of all dialogues, for each turn of dialogues of these sizes [B]."""
    number = spread(sizes)[2]
    longest = torch.zeros_like(length).scatter_reduce(0, number, length, "amax")
    return longest[number]


def in_blocks(lengths: Sequence[int], memories: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Turns, given from the shortest to the longest, in blocks of at most ``MOST_CELLS``; none gives an empty one."""
    count, longest, held = 0, 1, 0
    for length, memory in zip(lengths, memories, strict=True):
        wider = max(held, memory)
        if count and (count + 1) * length * (length + wider) > MOST_CELLS:
            yield count, longest, held
            count, wider = 0, memory
        count, longest, held = count + 1, length, wider
    yield count, longest, held
