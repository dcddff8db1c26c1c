"""Learning: N workers equal one, the same run twice is the same, what the schedule and the optimiser do."""

import functools

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from dferc.layers.reduction import ALONE, Together
from dferc.models import model_named
from dferc.training import (
    DivergedError,
    TrainingConfig,
    batches,
    evaluate,
    make_learner,
    make_task,
    step,
    steps_per_epoch,
    train_epoch,
)
from dferc.training import backward as add_gradients

SMALL = {
    "hidden": 8,
    "align": 6,
    "dropout": 0.0,
    "context_input_dropout": 0.0,
    "context_recurrent_dropout": 0.0,
}
TRAINING = TrainingConfig(epochs=2, batch_dialogues=4, warmup_steps=2, learning_rate=1e-3)


def learner_for(corpus, settings, training=TRAINING, across=ALONE):
    model_type = model_named("df_erc")
    torch.manual_seed(0)
    model = model_type(model_type.config_type(**SMALL | settings), make_task(corpus))
    steps = training.epochs * steps_per_epoch(corpus, training)
    return make_learner(model, training, steps, torch.device("cpu"), across)


def trace(corpus, settings, across):
    """Everything that two epochs and an evaluation give: losses, gradients of the first step, weights, scores."""
    learner = learner_for(corpus, settings, across=across)
    first = next(batches(corpus, [list(corpus.split("train"))], learner))
    add_gradients(learner, first)
    across.sum_gradients(learner.model.parameters())
    gradients = {
        n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in learner.model.named_parameters()
    }
    learner.optimiser.zero_grad()
    losses = [train_epoch(learner, corpus, 0, epoch) for epoch in (1, 2)]
    said = evaluate(learner, corpus, corpus.split("validation"))
    return {
        "gradients": gradients,
        "losses": losses,
        "weights": learner.model.state_dict(),
        "probabilities": torch.from_numpy(said.probabilities),
        "rows": torch.from_numpy(said.rows),
        "validation": said.losses,
        "diagnostics": said.diagnostics,
    }


VARIANTS = {
    "default": {},
    "kept prototypes": {"prototypes": "cumulative", "consistency": "prototype", "projections": "parallel"},
    "release": {"modality_groups": "release", "detach_tcp": False, "fusion": "gated"},
}


def worker(rank, workers, corpus_path, folder):
    from dferc.corpus import Corpus

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=workers)
    corpus = Corpus.open(corpus_path)
    traces = {name: trace(corpus, settings, Together()) for name, settings in VARIANTS.items()}
    torch.save(traces, folder / f"trace-{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_equal_one_worker(corpus, tmp_path, monkeypatch, workers):
    """Uneven dialogues, missing modalities, more workers than dialogues in the last batch: 1e-5 over several steps."""
    monkeypatch.setenv("DFERC_CACHE", str(tmp_path / "cache"))
    path = corpus.save(tmp_path / "corpus.parquet")
    alone = {name: trace(corpus, settings, ALONE) for name, settings in VARIANTS.items()}
    processes.spawn(worker, (workers, path, tmp_path), nprocs=workers)
    for rank in range(workers):
        together = torch.load(tmp_path / f"trace-{rank}.pt", weights_only=True)
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_the_same_seed_gives_the_same_numbers(corpus):
    first, second = (trace(corpus, {"dropout": 0.3}, ALONE) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)


def test_training_lowers_the_loss(corpus):
    training = TrainingConfig(epochs=15, batch_dialogues=4, warmup_steps=2, learning_rate=3e-3)
    learner = learner_for(corpus, {}, training)
    losses = [train_epoch(learner, corpus, 0, epoch)["train/loss/classification"] for epoch in range(1, 16)]
    assert losses[-1] < 0.8 * losses[0]


def test_accumulated_batches_are_averaged(corpus):
    dialogues = corpus.split("train")[:4]
    learner = learner_for(corpus, {})
    parameters = dict(learner.model.named_parameters())
    gradients = []
    for pair in (dialogues[:2], dialogues[2:]):
        add_gradients(learner, next(batches(corpus, [list(pair)], learner)))
        gradients.append({n: p.grad.clone() for n, p in parameters.items()})
        learner.optimiser.zero_grad()
    for pair in (dialogues[:2], dialogues[2:]):
        add_gradients(learner, next(batches(corpus, [list(pair)], learner)), group=2)
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameter.grad, (gradients[0][name] + gradients[1][name]) / 2)


def test_the_learning_rate_rises_and_falls(corpus):
    training = TrainingConfig(epochs=10, batch_dialogues=1, warmup_steps=5, learning_rate=1.0)
    learner = learner_for(corpus, {}, training)
    total = 10 * steps_per_epoch(corpus, training)
    rates = []
    for _ in range(total):
        rates.append(learner.optimiser.param_groups[0]["lr"])
        learner.optimiser.step()
        learner.schedule.step()
    assert np.argmax(rates) == 5
    assert rates[5] == pytest.approx(1.0)
    assert rates == sorted(rates[:6]) + sorted(rates[6:], reverse=True)
    assert learner.optimiser.param_groups[0]["lr"] == pytest.approx(0.0)


def test_biases_and_norms_do_not_decay(corpus):
    learner = learner_for(corpus, {})
    decays = {id(p): group["weight_decay"] for group in learner.optimiser.param_groups for p in group["params"]}
    for name, parameter in learner.model.named_parameters():
        assert (decays[id(parameter)] == 0) == ("bias" in name), name


def test_compiling_changes_nothing(corpus, monkeypatch):
    """Traced and differentiated ahead of time, without inductor, whose compilation takes minutes."""
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain = train_epoch(learner_for(corpus, {}), corpus, 0, 1)
    compiled = train_epoch(learner_for(corpus, {}, TRAINING.model_copy(update={"compile": True})), corpus, 0, 1)
    assert compiled == pytest.approx(plain, rel=1e-5)


def test_a_loss_that_is_not_finite_is_named(corpus):
    learner = learner_for(corpus, {})
    with torch.no_grad():
        learner.model.classifier.weight.fill_(float("nan"))
    with pytest.raises(DivergedError, match="epoch 1: lower learning_rate"):
        train_epoch(learner, corpus, 0, 1)


def test_gradients_are_clipped(corpus):
    training = TrainingConfig(epochs=2, batch_dialogues=4, gradient_clip=1e-3)
    learner = learner_for(corpus, {}, training)
    add_gradients(learner, next(batches(corpus, [list(corpus.split("train"))], learner)))
    before = {name: parameter.grad.clone() for name, parameter in learner.model.named_parameters()}
    norm = torch.stack([g.norm() for g in before.values()]).norm()
    caught = {}
    learner.optimiser.register_step_pre_hook(
        lambda *_: caught.update({n: p.grad.clone() for n, p in learner.model.named_parameters()})
    )
    step(learner)
    for name, gradient in caught.items():
        torch.testing.assert_close(gradient, before[name] * 1e-3 / norm, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("precision", ["bfloat16"])
def test_autocast_stays_near_full_precision(corpus, precision):
    full = train_epoch(learner_for(corpus, {}), corpus, 0, 1)
    training = TRAINING.model_copy(update={"precision": precision})
    low = train_epoch(learner_for(corpus, {}, training), corpus, 0, 1)
    assert low["train/loss/total"] == pytest.approx(full["train/loss/total"], rel=0.05)
    assert low["train/loss/total"] != full["train/loss/total"]
