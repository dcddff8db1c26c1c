"""How a model learns: one step, one epoch, one evaluation, as plain functions over a model, batches and workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from dferc.corpus.batch import DialogueBatch, collate
from dferc.corpus.batching import Plan, evaluation_plan, share, training_plan
from dferc.corpus.store import Corpus, Dialogue
from dferc.evaluation.diagnostics import Monitor
from dferc.layers.reduction import ALONE, LossTerm, Reduction
from dferc.models import Model, Task, objective

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class TrainingConfig(BaseModel):
    """How a model is trained; the defaults are those of the DF-ERC release (iemo_config.yaml, engine.py)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(20, ge=1, description="most epochs [code: epoch_size]")
    patience: int = Field(10, ge=1, description="epochs without a better validation score before stopping [code]")
    batch_dialogues: int = Field(
        2, ge=1, description="dialogues in the global batch of one step, over all workers [code]"
    )
    accumulate: int = Field(1, ge=1, description="batches whose gradients are averaged before one step [code: 1]")
    learning_rate: float = Field(5e-4, gt=0, description="of everything but a pretrained encoder [code: lr]")
    encoder_learning_rate: float = Field(2e-5, gt=0, description="of a pretrained encoder [code: bert_lr]")
    warmup_steps: int = Field(100, ge=0, description="steps of linear rise before the linear fall to zero [code]")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, none on biases and norms [code]")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="[code: beta1]")
    adam_beta2: float = Field(0.84, ge=0, lt=1, description="[code: beta2]")
    adam_epsilon: float = Field(1e-7, gt=0, description="[code: adam_epsilon]")
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of all gradients together [code: max_grad_norm]")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="autocast type; the release uses float16 on a GPU"
    )
    compile: bool = Field(
        False, description="run the model through torch.compile: minutes at the start, so measure what it gains"
    )
    select_on: Literal["weighted_f1", "macro_f1", "accuracy"] = Field(
        "weighted_f1", description="validation score that chooses the epoch [code]"
    )


class DivergedError(RuntimeError):
    """The loss of an epoch is not finite, so its weights are worth nothing."""


@dataclass
class Learner:
    """All that changes while a model learns."""

    model: Model
    optimiser: AdamW
    schedule: LambdaLR
    scaler: torch.amp.GradScaler
    config: TrainingConfig
    device: torch.device
    across: Reduction = ALONE
    forward: nn.Module = field(init=False)
    """The model as it is called: compiled, where that is asked for."""

    def __post_init__(self) -> None:
        compiled = torch.compile(self.model, dynamic=True) if self.config.compile else self.model
        self.forward = compiled  # type: ignore[assignment]


def make_task(corpus: Corpus, modalities: Sequence[str] | None = None) -> Task:
    """What a model must know of a corpus: widths, classes, and the statistics of its training split."""
    chosen = tuple(corpus.card.modalities if modalities is None else modalities)
    rows = np.concatenate([np.arange(d.start, d.stop) for d in corpus.split("train")] or [np.empty(0, np.int64)])
    statistics = {}
    for name in chosen:
        vectors = corpus.features(name)[rows[corpus.present(name)[rows]]].astype(np.float64)
        deviation = vectors.std(0) if len(vectors) else np.ones(corpus.card.widths[name])
        constant = deviation < 1e-8 * np.maximum(1, np.abs(vectors).max(0, initial=0))
        mean = vectors.mean(0) if len(vectors) else np.zeros(corpus.card.widths[name])
        statistics[name] = (
            torch.from_numpy(mean).float(),
            torch.from_numpy(np.where(constant, 1.0, deviation)).float(),
        )
    widths = {name: corpus.card.widths[name] for name in chosen}
    return Task(widths, corpus.card.labels, tuple(corpus.label_counts("train").tolist()), statistics)


def make_learner(
    model: Model, config: TrainingConfig, steps: int, device: torch.device, across: Reduction = ALONE
) -> Learner:
    """AdamW with a warm-up and a linear fall over ``steps`` [code: engine.py, main.py]."""
    encoder = {id(p) for p in model.encoder_parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    norms = {id(p) for m in model.modules() if type(m).__name__.endswith("Norm") for p in m.parameters(recurse=False)}
    for name, parameter in model.named_parameters():
        decays = not (id(parameter) in norms or "bias" in name.rsplit(".", 1)[-1])
        groups.setdefault((id(parameter) in encoder, decays), []).append(parameter)
    optimiser = AdamW(
        [
            {
                "params": parameters,
                "lr": config.encoder_learning_rate if pretrained else config.learning_rate,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (pretrained, decays), parameters in groups.items()
        ],
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,
    )
    warmup = min(config.warmup_steps, steps // 2)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return max(0.0, (steps - step) / max(1, steps - warmup))

    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16" and device.type == "cuda")
    return Learner(model, optimiser, LambdaLR(optimiser, factor), scaler, config, device, across)


def epoch_plan(corpus: Corpus, config: TrainingConfig, seed: int, epoch: int) -> Plan:
    """The training batches of one epoch, over all workers."""
    return training_plan(corpus.split("train"), config.batch_dialogues, seed, epoch)


def steps_per_epoch(corpus: Corpus, config: TrainingConfig) -> int:
    """Optimiser steps of one epoch."""
    batches = -(-len(corpus.split("train")) // config.batch_dialogues)
    return -(-batches // config.accumulate)


def batches(corpus: Corpus, plan: Plan, learner: Learner) -> Iterator[DialogueBatch]:
    """This worker's share of every batch of the plan, on its device."""
    model = learner.model
    for dialogues in plan:
        mine = share(dialogues, learner.across.rank, learner.across.workers)
        yield collate(corpus, mine, model.modalities, model.text_packer()).to(learner.device)


def train_epoch(learner: Learner, corpus: Corpus, seed: int, epoch: int) -> dict[str, float]:
    """One pass over the training split: the mean of each loss over its batches, and the learning rate it ended with.

    All randomness is drawn from (seed, epoch, worker), so an epoch is the same whether or not the run was interrupted
    before it.

    Raises:
        DivergedError: a loss is NaN or infinite.
    """
    torch.manual_seed(_epoch_seed(seed, epoch, learner.across.rank))
    learner.model.train()
    plan = epoch_plan(corpus, learner.config, seed, epoch)
    sums: dict[str, Tensor] = {}
    for i, batch in enumerate(batches(corpus, plan, learner)):
        first = i - i % learner.config.accumulate
        group = min(learner.config.accumulate, len(plan) - first)
        for name, value in backward(learner, batch, group).items():
            sums[name] = sums.get(name, torch.zeros_like(value)) + value
        if i - first == group - 1:
            step(learner)
    names = sorted(sums)
    means = learner.across.sum(torch.stack([sums[name] for name in names])) / len(plan)
    losses = {f"train/loss/{name}": float(value) for name, value in zip(names, means.cpu(), strict=True)}
    if not np.isfinite(losses["train/loss/total"]):
        raise DivergedError(
            f"the training loss became {losses['train/loss/total']} in epoch {epoch}: lower learning_rate"
        )
    return losses | {"learning_rate": learner.optimiser.param_groups[-1]["lr"]}


def backward(learner: Learner, batch: DialogueBatch, group: int = 1) -> dict[str, Tensor]:
    """Add the gradients of one batch, a ``group``-th of the step; give this worker's share of each loss, detached."""
    with _autocast(learner):
        output = learner.forward(batch, learner.across)
    total, shares = objective(learner.model, output, learner.across)
    learner.scaler.scale(total / group).backward()  # type: ignore[no-untyped-call]
    return shares | {"total": total.detach()}


def step(learner: Learner) -> None:
    """Sum the gradients over workers, clip them, move the weights, forget the gradients."""
    parameters = [p for p in learner.model.parameters() if p.requires_grad]
    learner.across.sum_gradients(parameters)
    learner.scaler.unscale_(learner.optimiser)
    nn.utils.clip_grad_norm_(parameters, learner.config.gradient_clip, foreach=True)
    learner.scaler.step(learner.optimiser)
    learner.scaler.update()
    learner.optimiser.zero_grad(set_to_none=True)
    learner.schedule.step()


@dataclass(frozen=True)
class Evaluation:
    """What a model says of some dialogues; the same on every worker."""

    rows: np.ndarray
    """[N] rows of the corpus table, ascending."""
    probabilities: np.ndarray
    """[N, C] probability of each class."""
    losses: dict[str, float]
    """Every loss over all utterances together."""
    diagnostics: dict[str, float]
    """What each mechanism did, summed up over all utterances."""


@torch.no_grad()
def evaluate(learner: Learner, corpus: Corpus, dialogues: Sequence[Dialogue]) -> Evaluation:
    """Predict every utterance of the dialogues, each worker its share."""
    learner.model.eval()
    monitor = Monitor(learner.model.modalities)
    rows: list[Tensor] = []
    probabilities: list[Tensor] = []
    terms: dict[str, LossTerm] = {}
    for batch in batches(corpus, evaluation_plan(dialogues, learner.config.batch_dialogues), learner):
        with _autocast(learner):
            output = learner.forward(batch, learner.across)
        rows.append(batch.flat(batch.rows))
        probabilities.append(torch.softmax(batch.flat(output.logits).float(), dim=-1))
        monitor.add(batch, output.diagnostics)
        for name, term in output.losses.items():
            terms[name] = terms[name] + term if name in terms else term
    at, _ = learner.across.gather(torch.cat(rows))
    said, _ = learner.across.gather(torch.cat(probabilities))
    seen, _ = learner.across.gather(monitor.rows())
    order = torch.argsort(at)
    return Evaluation(
        at[order].cpu().numpy(), said[order].cpu().numpy(), _values(terms, learner), monitor.summary(seen)
    )


def _values(terms: dict[str, LossTerm], learner: Learner) -> dict[str, float]:
    if not terms:
        return {}
    shares = torch.stack([term.share(learner.across) for term in terms.values()])
    return dict(zip(terms, learner.across.sum(shares).tolist(), strict=True))


def _autocast(learner: Learner) -> torch.autocast:
    dtype = DTYPES.get(learner.config.precision, torch.bfloat16)
    return torch.autocast(learner.device.type, dtype, enabled=learner.config.precision in DTYPES)


def _epoch_seed(seed: int, epoch: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1)[0])
