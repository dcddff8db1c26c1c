"""Which dialogues meet in a batch, and which worker takes which of them: a function of seed and epoch alone."""

from collections.abc import Sequence

import numpy as np

from dferc.corpus.store import Dialogue

Plan = list[list[Dialogue]]
POOL = 8
"""Batches whose dialogues are sorted by length together, which saves most of the padding."""


def training_plan(dialogues: Sequence[Dialogue], batch_dialogues: int, seed: int, epoch: int) -> Plan:
    """Every dialogue once, shuffled, with dialogues of like length together."""
    random = np.random.default_rng((seed, epoch))
    shuffled = [dialogues[i] for i in random.permutation(len(dialogues))]
    pool = batch_dialogues * POOL
    batches: Plan = []
    for start in range(0, len(shuffled), pool):
        batches += evaluation_plan(shuffled[start : start + pool], batch_dialogues)
    return [batches[i] for i in random.permutation(len(batches))]


def evaluation_plan(dialogues: Sequence[Dialogue], batch_dialogues: int) -> Plan:
    """Every dialogue once, longest first."""
    by_length = sorted(dialogues, key=lambda dialogue: (-len(dialogue), dialogue.start))
    return [by_length[i : i + batch_dialogues] for i in range(0, len(by_length), batch_dialogues)]


def share(batch: Sequence[Dialogue], rank: int, workers: int) -> list[Dialogue]:
    """One worker's part of a batch: the longest dialogue goes to the worker that has the fewest utterances so far."""
    parts: list[list[Dialogue]] = [[] for _ in range(workers)]
    for dialogue in sorted(batch, key=lambda d: (-len(d), d.start)):
        min(parts, key=lambda part: sum(map(len, part))).append(dialogue)
    return parts[rank]
