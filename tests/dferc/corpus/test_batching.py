"""Batch plans: every dialogue once, the same for the same seed, and a fair share for each worker."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dferc.corpus import SPLITS, Dialogue
from dferc.corpus.batching import POOL, evaluation_plan, share, training_plan

LENGTHS = st.lists(st.integers(1, 40), max_size=60)
SIZES = st.integers(1, 9)
unhurried = settings(deadline=None)


def dialogues_of(lengths):
    stops = np.cumsum(lengths).tolist()
    return [Dialogue(str(i), stop - length, stop) for i, (length, stop) in enumerate(zip(lengths, stops, strict=True))]


@unhurried
@given(lengths=LENGTHS, size=SIZES, seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_plans_hold_every_dialogue_once(lengths, size, seed, epoch):
    dialogues = dialogues_of(lengths)
    for plan in (training_plan(dialogues, size, seed, epoch), evaluation_plan(dialogues, size)):
        assert sorted(d.start for batch in plan for d in batch) == [d.start for d in dialogues]
        assert all(1 <= len(batch) <= size for batch in plan)
        assert len(plan) == -(-len(dialogues) // size)


@unhurried
@given(lengths=LENGTHS, size=SIZES, workers=st.integers(1, 5))
def test_shares_partition_every_batch(lengths, size, workers):
    for batch in training_plan(dialogues_of(lengths), size, 0, 0):
        parts = [share(batch, rank, workers) for rank in range(workers)]
        assert sorted(d.start for part in parts for d in part) == sorted(d.start for d in batch)
        loads = [sum(map(len, part)) for part in parts]
        assert max(loads) - min(loads) <= max(map(len, batch))


def test_the_plan_is_a_function_of_seed_and_epoch():
    dialogues = dialogues_of(range(1, 40))
    plan = training_plan(dialogues, 4, seed=3, epoch=2)
    assert plan == training_plan(dialogues, 4, seed=3, epoch=2)
    assert plan != training_plan(dialogues, 4, seed=3, epoch=1)
    assert plan != training_plan(dialogues, 4, seed=4, epoch=2)


def test_one_worker_takes_whole_batches():
    batch = dialogues_of([3, 9, 4])
    assert sorted(d.start for d in share(batch, 0, 1)) == [0, 3, 12]


def test_batches_of_like_lengths_pad_less():
    lengths = np.random.default_rng(0).integers(1, 60, 400).tolist()
    dialogues = dialogues_of(lengths)

    def padding(plan):
        return sum(max(map(len, batch)) * len(batch) for batch in plan) - sum(lengths)

    order = np.random.default_rng(1).permutation(len(dialogues))
    shuffled = [[dialogues[i] for i in order[start : start + 8]] for start in range(0, len(order), 8)]
    assert POOL > 1
    assert padding(training_plan(dialogues, 8, 0, 0)) < padding(shuffled) / 3


def test_no_seed_moves_a_dialogue_to_another_split(make_corpus):
    corpus = make_corpus([4] * 20)
    splits = {name: {d.id for d in corpus.split(name)} for name in SPLITS}
    assert sum(map(len, splits.values())) == len(set.union(*splits.values())) == 20
    for seed in range(20):
        drawn = {d.id for batch in training_plan(corpus.split("train"), 3, seed, seed) for d in batch}
        assert drawn == splits["train"]
