"""SACL-LSTM beyond its golden vectors: what an attack does, and that several workers attack as one."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from dferc.corpus import Corpus, collate
from dferc.errors import UserError
from dferc.layers.reduction import ALONE, Together
from dferc.models.sacl_lstm import SaclLSTM, SaclLSTMConfig
from dferc.training import TrainingConfig, backward, make_learner, make_task, step

VARIANTS = {
    "states": {},
    "log-probabilities, summed": {"contrast_on": "log_probabilities", "reduction": "sum"},
}


def small(corpus, **changes):
    torch.manual_seed(0)
    model = SaclLSTM(SaclLSTMConfig(**SaclLSTM.small | {"dropout": 0.0} | changes), make_task(corpus))
    return model, collate(corpus, corpus.split("train"), model.modalities)


@pytest.mark.parametrize("attack", ["situation", "speaker", "both"])
def test_an_attack_leaves_the_weights_alone_and_raises_the_loss(corpus, attack):
    model, batch = small(corpus, attack=attack, epsilon=0.01, contrast_weight=0.0)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    losses = model(batch).losses
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    assert losses["adversarial_classification"].share() > losses["classification"].share()


def test_nothing_is_attacked_in_evaluation(corpus):
    model, batch = small(corpus)
    plain = model.eval()(batch).losses
    assert set(plain) == {"classification", "contrastive"}
    assert plain["classification"].share() == model.train()(batch).losses["classification"].share()
    with torch.no_grad():
        assert set(model(batch).losses) == set(plain)
    assert set(small(corpus, adversarial=False)[0](batch).losses) == set(plain)


def trained(corpus, settings, across):
    """Losses and weights of a few steps, on batches that are dealt out unevenly."""
    model, _ = small(corpus, **settings)
    learner = make_learner(model, TrainingConfig(warmup_steps=0), 3, torch.device("cpu"), across)
    dialogues = corpus.split("train")
    losses = []
    for everyone in (dialogues[:5], dialogues[5:6], dialogues[6:]):
        batch = collate(corpus, everyone[across.rank :: across.workers], model.modalities)
        values = backward(learner, batch)
        step(learner)
        losses.append({name: across.sum(value) for name, value in values.items()})
    return {"losses": losses, "weights": model.state_dict()}


def worker(rank, workers, corpus_path, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=workers)
    corpus = Corpus.open(corpus_path)
    found = {name: trained(corpus, settings, Together()) for name, settings in VARIANTS.items()}
    torch.save(found, folder / f"worker-{rank}.pt")
    dist.destroy_process_group()


def test_two_workers_attack_as_one_even_if_one_has_nothing(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("DFERC_CACHE", str(tmp_path / "cache"))
    path = corpus.save(tmp_path / "corpus.parquet")
    alone = {name: trained(corpus, settings, ALONE) for name, settings in VARIANTS.items()}
    processes.spawn(worker, (2, path, tmp_path), nprocs=2)
    for rank in range(2):
        together = torch.load(tmp_path / f"worker-{rank}.pt", weights_only=True)
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_not_there_is_named(corpus):
    with pytest.raises(UserError, match="attacked_layer is 2, but layers are counted from 0 to 1"):
        SaclLSTM(SaclLSTMConfig(attacked_layer=2), make_task(corpus))
