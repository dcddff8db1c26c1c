"""What one run costs: a few steps of the real model on the real corpus, timed and weighed."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dferc.corpus import Corpus
from dferc.corpus.batching import evaluation_plan
from dferc.training import (
    Evaluation,
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
from dferc_platform.checkpoint import KEPT
from dferc_platform.config import RunConfig
from dferc_platform.memory import MEBIBYTE, PeakMemory
from dferc_platform.predictions import write_predictions
from dferc_platform.saved import build_model

WARM_UP, TIMED = 2, 6
"""Steps that are run first, because they allocate, and steps that are timed."""


@dataclass(frozen=True)
class Cost:
    """What one run costs where it was measured."""

    epochs: int
    steps_per_epoch: int
    seconds_per_step: float
    seconds_of_validation: float
    """One pass over the split."""
    seconds_of_test: float
    parameters: int
    weights: int
    """Bytes of the model."""
    moments: int
    """Bytes of the optimiser's state."""
    predictions: int
    """Bytes of what a run says of every utterance that it is scored on."""
    device: str
    peak_mb: float
    """What the device must have for it at most: on a CPU the whole process, on a GPU its tensors, with what the
    allocator held beside them and the CUDA context. MB of 2**20 bytes."""
    process_mb: float
    """Memory of the whole process on its node at most."""
    device_mb: float
    """Memory of the GPU that it was measured on; 0 on a CPU."""
    test_passes: int = 0
    """Over the whole run: one where test is scored at the end, one more an epoch where optimism is measured."""

    @property
    def seconds_per_epoch(self) -> float:
        """One pass over train and one over validation."""
        return self.steps_per_epoch * self.seconds_per_step + self.seconds_of_validation

    @property
    def seconds(self) -> float:
        """All epochs, and the scores at the end; a run that stops early takes less."""
        return (
            self.epochs * self.seconds_per_epoch + self.seconds_of_validation + self.test_passes * self.seconds_of_test
        )

    @property
    def kept(self) -> int:
        """Bytes that a run leaves in its folder: the best weights, the newest checkpoints, its predictions."""
        return self.tracked + KEPT * (self.weights + self.moments)

    @property
    def tracked(self) -> int:
        """Bytes that MLflow keeps a copy of: the best weights and the predictions."""
        return self.weights + self.predictions

    def scored_as(self, config: RunConfig) -> "Cost":
        """The cost of a run that only differs in when test is scored, which changes nothing that is measured."""
        every_epoch = config.optimism or config.protocol == "published"
        return replace(self, test_passes=config.training.epochs * every_epoch + config.score_test)


def measure(config: RunConfig, corpus: Corpus, threads: int = 1, device: str = "cpu", timed: int = TIMED) -> Cost:
    """Run a few training steps, one of them on the longest dialogues, and a part of the validation; takes seconds.

    With ``timed`` 0 just enough to know the memory: the seconds are rough then.

    Raises:
        UserError: the corpus lacks what the model needs.
    """
    memory = PeakMemory(device)
    torch.manual_seed(config.seed)
    task = make_task(corpus, config.model.vectors())
    model = build_model(config, task).to(device)
    learner = make_learner(model, config.training, WARM_UP + timed + 1, torch.device(device))
    with _on(threads):
        seconds_per_step = _seconds_per_step(learner, corpus, config.seed, WARM_UP + timed)
        _longest_step(learner, corpus)
        seconds_per_dialogue, evaluation = _evaluation(learner, corpus, max(timed, 1))
    validation, test = len(corpus.split("validation")), len(corpus.split("test"))
    peak, total = _peak(memory)
    return Cost(
        config.training.epochs,
        steps_per_epoch(corpus, config.training),
        seconds_per_step,
        seconds_per_dialogue * validation,
        seconds_per_dialogue * test,
        sum(p.numel() for p in model.parameters()),
        sum(tensor.nbytes for tensor in model.state_dict().values()),
        sum(value.nbytes for state in learner.optimiser.state.values() for value in state.values()),
        _bytes_of_predictions(corpus, evaluation),
        learner.device.type,
        peak,
        memory.read()["process_mb"],
        total,
    ).scored_as(config)


def _seconds_per_step(learner: Learner, corpus: Corpus, seed: int, steps: int) -> float:
    group = learner.config.accumulate
    plan = epoch_plan(corpus, learner.config, seed, epoch=1)[: steps * group]
    learner.model.train()
    ends = [_now(learner)]
    for i, batch in enumerate(batches(corpus, plan, learner), 1):
        backward(learner, batch, group)
        if i % group == 0 or i == len(plan):
            step(learner)
            ends.append(_now(learner))
    first = min(WARM_UP, len(ends) - 2)
    return (ends[-1] - ends[first]) / (len(ends) - 1 - first)


def _longest_step(learner: Learner, corpus: Corpus) -> None:
    """The step that needs most memory."""
    longest = evaluation_plan(corpus.split("train"), learner.config.batch_dialogues)[:1]
    for batch in batches(corpus, longest, learner):
        backward(learner, batch)
    step(learner)


def _evaluation(learner: Learner, corpus: Corpus, most: int) -> tuple[float, Evaluation]:
    """Seconds a dialogue; what was said of a part of validation."""
    some = corpus.split("validation")[: learner.config.batch_dialogues * most]
    started = _now(learner)
    evaluation = evaluate(learner, corpus, some)
    return (_now(learner) - started) / max(len(some), 1), evaluation


def _bytes_of_predictions(corpus: Corpus, evaluation: Evaluation) -> int:
    """Written once, and scaled to validation and test."""
    scored = len(corpus.rows("validation")) + len(corpus.rows("test"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        write_predictions(path, corpus, {"validation": evaluation})
        return path.stat().st_size * scored // max(len(evaluation.rows), 1)


def _peak(memory: PeakMemory) -> tuple[float, float]:
    """MB that the device must have for such a run, and MB that the GPU has."""
    said = memory.read()
    if said["device"] != "cuda":
        return said["process_mb"], 0.0
    free, total = torch.cuda.mem_get_info()
    context = max(0, total - free - torch.cuda.memory_reserved())  # and whatever else is on the GPU
    return (torch.cuda.max_memory_reserved() + context) / MEBIBYTE, total / MEBIBYTE


def _now(learner: Learner) -> float:
    if learner.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def _on(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
