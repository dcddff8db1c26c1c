"""How long a training would take: a few steps of the real model on the real corpus, timed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from dferc.corpus import Corpus
from dferc.training import (
    Learner,
    backward,
    batches,
    epoch_plan,
    evaluate,
    make_learner,
    make_task,
    step,
    steps_per_epoch,
)
from dferc_platform.config import RunConfig
from dferc_platform.saved import build_model

WARM_UP, TIMED = 2, 6
"""Steps that are run first, because they allocate, and steps that are timed."""


@dataclass(frozen=True)
class Estimate:
    """What one run would cost on this machine, in this process."""

    steps_per_epoch: int
    seconds_per_step: float
    seconds_per_evaluation: float
    epochs: int

    @property
    def seconds_per_epoch(self) -> float:
        """One pass over train and one over validation."""
        return self.steps_per_epoch * self.seconds_per_step + self.seconds_per_evaluation

    @property
    def seconds(self) -> float:
        """All epochs; a run that stops early takes less."""
        return self.epochs * self.seconds_per_epoch


def estimate(config: RunConfig, corpus: Corpus, threads: int = 1) -> Estimate:
    """Time a few training steps and a part of the validation on so many threads; takes seconds."""
    torch.manual_seed(config.seed)
    task = make_task(corpus, config.model.vectors())
    learner = make_learner(build_model(config, task), config.training, WARM_UP + TIMED, torch.device("cpu"))
    with _on(threads):
        return Estimate(
            steps_per_epoch(corpus, config.training),
            _seconds_per_step(learner, corpus, config.seed),
            _seconds_per_evaluation(learner, corpus),
            config.training.epochs,
        )


def _seconds_per_step(learner: Learner, corpus: Corpus, seed: int) -> float:
    group = learner.config.accumulate
    plan = epoch_plan(corpus, learner.config, seed, epoch=1)[: (WARM_UP + TIMED) * group]
    learner.model.train()
    ends = [time.perf_counter()]
    for i, batch in enumerate(batches(corpus, plan, learner), 1):
        backward(learner, batch, group)
        if i % group == 0 or i == len(plan):
            step(learner)
            ends.append(time.perf_counter())
    first = min(WARM_UP, len(ends) - 2)
    return (ends[-1] - ends[first]) / (len(ends) - 1 - first)


def _seconds_per_evaluation(learner: Learner, corpus: Corpus) -> float:
    validation = corpus.split("validation")
    some = validation[: learner.config.batch_dialogues * TIMED]
    started = time.perf_counter()
    evaluate(learner, corpus, some)
    return (time.perf_counter() - started) * len(validation) / max(len(some), 1)


@contextmanager
def _on(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
