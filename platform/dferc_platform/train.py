"""One training run: train, choose on validation, score test once, leave everything in a run folder.

The same function runs in three places: in this process, in the actor of a sweep's trial, and on every worker of a
TorchTrainer.
"""

import json
import logging
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml

from dferc.corpus import Corpus, Split
from dferc.corpus.store import atomic
from dferc.errors import UserError
from dferc.evaluation.diagnostics import warnings
from dferc.evaluation.metrics import Scores, score
from dferc.layers.reduction import ALONE, Reduction
from dferc.training import Evaluation, evaluate, make_learner, make_task, steps_per_epoch, train_epoch
from dferc_platform.checkpoint import DamagedError, Progress, keep_best, load_newest, save_checkpoint, take_best
from dferc_platform.config import RunConfig, read_config
from dferc_platform.identity import code_version
from dferc_platform.memory import PeakMemory
from dferc_platform.optimism import optimism, seal, unseal
from dferc_platform.predictions import write_predictions
from dferc_platform.results import read_history, read_result, write_json
from dferc_platform.saved import build_model, describe_model

logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Who hears of a run while it goes on."""

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """Called after every epoch with its line of the history; may raise to stop the run, which can be resumed."""


class Silent:
    """Nobody listens."""

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class RunResult:
    """A finished run."""

    key: str
    config: RunConfig
    folder: Path
    metrics: dict[str, float]
    """Scores of the chosen epoch, in percent: ``validation/weighted_f1`` ... and ``test/...`` where test was scored;
    with ``optimism``, beside them ``published/test/...``: those of the epoch that test would have chosen."""
    history: list[dict[str, float]]


def train_run(
    config: RunConfig,
    corpus: Corpus,
    folder: Path,
    reporter: Reporter | None = None,
    across: Reduction = ALONE,
    device: str = "cpu",
) -> RunResult:
    """Train in this process, or as one of the workers of ``across``, from where the folder says that the run stopped.

    Raises:
        UserError: the corpus lacks a split or a modality that the run needs.
        DivergedError: the loss is not finite.
        DamagedError: the chosen weights were damaged on disk twice.
    """
    finished = finished_run(folder)
    if finished is not None:
        return finished
    require_splits(corpus, config)
    run = Run(config, corpus, folder, across, device)
    run.start()
    try:
        return _to_its_end(run, reporter or Silent())
    except DamagedError as damage:  # the epoch that made these weights is long gone, but the same run makes them again
        logger.warning("%s: the run is trained anew", damage)
    run = Run(config, corpus, folder, across, device)
    run.start_anew()
    return _to_its_end(run, reporter or Silent())


def _to_its_end(run: "Run", reporter: Reporter) -> RunResult:
    while not run.over():
        line = run.epoch()
        reporter.report(line, run.checkpoint)
    return run.conclude()


class Run:
    """A run in progress."""

    def __init__(self, config: RunConfig, corpus: Corpus, folder: Path, across: Reduction, device: str) -> None:
        self.config, self.corpus, self.folder, self.across = config, corpus, folder, across
        self.memory = PeakMemory(device)
        torch.manual_seed(config.seed)
        task = make_task(corpus, config.model.vectors())
        model = build_model(config, task).to(device)
        self.description = describe_model(config, task, corpus.card)
        steps = config.training.epochs * steps_per_epoch(corpus, config.training)
        self.learner = make_learner(model, config.training, steps, torch.device(device), across)
        self.progress = Progress()
        self.checkpoint: Path | None = None
        self.fired: set[str] = set()
        self.said: set[str] = set()

    def start(self) -> None:
        """Write what is to run, and go back to where it stopped."""
        if self.across.rank == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic(self.folder / "config.yaml") as temporary:
                temporary.write_text(yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False))
        self.progress = load_newest(self.folder / "last", self.learner)

    def start_anew(self) -> None:
        """Forget what lies in the folder."""
        if self.across.rank == 0:
            shutil.rmtree(self.folder / "last", ignore_errors=True)
            shutil.rmtree(self.folder / "best", ignore_errors=True)

    def over(self) -> bool:
        """All epochs are done, or the score has not risen for ``patience`` of them."""
        done, training = self.progress, self.config.training
        return done.epoch >= training.epochs or done.epoch - done.best_epoch >= training.patience > 0 < done.best_epoch

    def epoch(self) -> dict[str, float]:
        """Train and evaluate one epoch, checkpoint, and give its line of the history."""
        number, started = self.progress.epoch + 1, time.perf_counter()
        line: dict[str, float] = {"epoch": number}
        line |= train_epoch(self.learner, self.corpus, self.config.seed, number)
        trained = time.perf_counter()
        scores, evaluation = self._score("validation")
        line |= scores.as_metrics("validation")
        line |= {f"validation/loss/{name}": value for name, value in evaluation.losses.items()}
        line |= evaluation.diagnostics
        if self.selects_on == "test":
            line |= self._score("test")[0].as_metrics("test")
        evaluated = time.perf_counter()
        line["epoch_seconds"] = evaluated - started
        if self.config.optimism:
            self._seal(number)
        self._note(line, number, trained - started, evaluated - trained)
        return line

    @property
    def selects_on(self) -> Split:
        """The split that chooses the epoch: validation, but test where a paper's own habit is replayed."""
        return "test" if self.config.protocol == "published" else "validation"

    def conclude(self) -> RunResult:
        """Score the chosen epoch, test for the first and only time, and write the result."""
        take_best(self.folder / "best", self.learner)
        splits: tuple[Split, ...] = ("validation", "test") if self.config.score_test else ("validation",)
        scored = {split: self._score(split) for split in splits}
        metrics: dict[str, float] = {}
        for split, (scores, _) in scored.items():
            metrics |= scores.as_metrics(split)
        if self.config.optimism and self.across.rank == 0:
            metrics |= self._optimism(scored["test"][0])
        key = self.config.key(self.corpus.fingerprint, code_version())
        if self.across.rank == 0:
            write_predictions(self.folder / "predictions.parquet", self.corpus, {s: e for s, (_, e) in scored.items()})
            write_json(self.folder / "confusion.json", {s: v.confusion for s, (v, _) in scored.items()})
            write_json(self.folder / "result.json", self._result(key, metrics))
        return RunResult(key, self.config, self.folder, metrics, self.progress.history)

    def _score(self, split: Split) -> tuple[Scores, Evaluation]:
        evaluation = evaluate(self.learner, self.corpus, self.corpus.split(split))
        labels = self.corpus.labels[evaluation.rows]
        return score(labels, evaluation.probabilities, self.corpus.card.labels), evaluation

    def _seal(self, number: int) -> None:
        """Score test where nothing of the run can know: outside its clock, its history and its random numbers."""
        devices = [torch.cuda.current_device()] if self.learner.device.type == "cuda" else []
        with torch.random.fork_rng(devices), suppress(UserError):  # probabilities that are not finite have no score
            scores, _ = self._score("test")
            if self.across.rank == 0:
                seal(self.folder, number, scores.as_metrics("test"))

    def _optimism(self, strict: Scores) -> dict[str, float]:
        done = self.progress
        sealed = unseal(self.folder, done.epoch)
        return optimism(sealed, strict.as_metrics("test"), done.best_epoch, self.config.training.select_on)

    def _note(self, line: dict[str, float], number: int, training: float, evaluation: float) -> None:
        done = self.progress
        done.epoch = number
        done.training_seconds += training
        done.evaluation_seconds += evaluation
        done.history.append(line)
        reached = line[f"{self.selects_on}/{self.config.training.select_on}"]
        better = reached > done.best_score
        if better:
            done.best_epoch, done.best_score = number, reached
        self._warn(line)
        if self.across.rank != 0:
            return
        if better:
            # The best weights are safe before the checkpoint that speaks of them.
            keep_best(self.learner.model.state_dict(), self.folder / "best", self.description | {"epoch": number})
        self.checkpoint = save_checkpoint(self.folder / "last", self.learner, done)
        write_history(self.folder / "history.jsonl", done.history)

    def _warn(self, line: dict[str, float]) -> None:
        """Say a failure signature once, when it has fired in two epochs running: a first epoch proves little."""
        now = {re.sub(r"-?\d+(\.\d+)?", "#", sentence): sentence for sentence in warnings(line)}
        for kind, sentence in now.items():
            if kind in self.fired and kind not in self.said and self.across.rank == 0:
                logger.warning("epoch %d: %s", line["epoch"], sentence)
                self.said.add(kind)
        self.fired = set(now)
        line["diagnostics/warnings"] = len(now)

    def _result(self, key: str, metrics: dict[str, float]) -> dict[str, Any]:
        done = self.progress
        return {
            "key": key,
            "status": "FINISHED",
            "model": self.config.model_name,
            "fingerprint": self.corpus.fingerprint,
            "code": code_version(),
            "protocol": self.config.protocol,
            "labels": self.corpus.card.labels,
            "best_epoch": done.best_epoch,
            "epochs": done.epoch,
            "metrics": metrics,
            "seconds": {
                "training": done.training_seconds,
                "evaluation": done.evaluation_seconds,
                "total": done.training_seconds + done.evaluation_seconds,
            },
            "memory": self.memory.read(),
            "parameters": sum(p.numel() for p in self.learner.model.parameters()),
            "workers": self.across.workers,
            "warnings": warnings(done.history[-1]),
        }


def finished_run(folder: Path) -> RunResult | None:
    """The run that finished in a folder; None where none has."""
    result = read_result(folder)
    if not result:
        return None
    config = read_config(folder / "config.yaml")
    return RunResult(result["key"], config, folder, result["metrics"], read_history(folder))


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write a line an epoch; the file appears whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in history), encoding="utf-8")


def require_splits(corpus: Corpus, config: RunConfig) -> None:
    """Refuse a corpus without the labelled splits that the run needs."""
    needed: list[Split] = ["train", "validation"]
    if config.score_test or config.protocol == "published":
        needed.append("test")
    missing = [split for split in needed if not corpus.label_counts(split).any()]
    if missing:
        raise UserError(
            f"corpus {corpus.card.name} has no labelled utterance in {' and '.join(missing)}: "
            f"a run needs all of {', '.join(needed)}"
        )
