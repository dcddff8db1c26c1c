"""How long a training would take: a few steps of the real model on the real corpus, timed."""

import time
from dataclasses import dataclass

from dferc.corpus import Corpus
from dferc.models import model_named
from dferc.training import backward, batches, epoch_plan, evaluate, make_learner, make_task, step, steps_per_epoch
from dferc_platform.config import RunConfig

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


def estimate(config: RunConfig, corpus: Corpus) -> Estimate:
    """Time a few training steps and a part of the validation; takes seconds."""
    import torch

    torch.manual_seed(config.seed)
    task = make_task(corpus, getattr(config.model, "modalities", None))
    model = model_named(config.model_name)(config.model, task)
    learner = make_learner(model, config.training, WARM_UP + TIMED, torch.device("cpu"))
    plan = epoch_plan(corpus, config.training, config.seed, epoch=1)
    group = config.training.accumulate
    started, done = time.perf_counter(), 0
    model.train()
    for i, batch in enumerate(batches(corpus, plan[: (WARM_UP + TIMED) * group], learner)):
        if i == WARM_UP * group:
            started, done = time.perf_counter(), 0
        backward(learner, batch, group)
        if i % group == group - 1:
            step(learner)
        done += 1
    per_batch = (time.perf_counter() - started) / max(done, 1)
    validation = corpus.split("validation")
    some = validation[: config.training.batch_dialogues * TIMED]
    started = time.perf_counter()
    evaluate(learner, corpus, some)
    per_dialogue = (time.perf_counter() - started) / max(len(some), 1)
    return Estimate(
        steps_per_epoch(corpus, config.training),
        per_batch * group,
        per_dialogue * len(validation),
        config.training.epochs,
    )
