import numpy as np
import pytest
import torch

from dferc.corpus.batch import DialogueBatch
from dferc.corpus.lanes import Lanes
from dferc.evaluation.diagnostics import Monitor, warnings
from dferc.evaluation.signatures import SIGNATURES

MODALITIES = ("text", "audio", "visual")


def batch_of(lengths: tuple[int, ...], missing_audio: bool = False) -> DialogueBatch:
    """Labelled dialogues of these lengths without features."""
    turns = max(*lengths, 1)
    mask = torch.arange(turns) < torch.tensor(lengths)[:, None]
    present = {name: mask & (name != "audio" or not missing_audio) for name in MODALITIES}
    return DialogueBatch(
        features={},
        present=present,
        mask=mask,
        valid=mask.flatten().nonzero().squeeze(1),
        lengths=torch.tensor(lengths),
        labels=torch.where(mask, 0, -1),
        speakers=torch.zeros_like(mask, dtype=torch.long),
        rows=torch.where(mask, 0, -1),
        lanes=Lanes.of(lengths),
    )


def healthy(batch: DialogueBatch, seed: int = 0) -> dict[str, torch.Tensor]:
    """Diagnostics of a model whose mechanisms all work; padding holds NaN."""
    generator = torch.Generator().manual_seed(seed)
    per_utterance = torch.rand(batch.mask.shape, generator=generator)
    reliability = torch.rand(*batch.mask.shape, len(MODALITIES), generator=generator)
    emitted = {
        "modality_similarity": 0.2 * per_utterance,
        "utterance_similarity": 0.4 * per_utterance,
        "consistency": per_utterance,
        "context_gate": 1 - per_utterance,
        "confidence": 0.9 * reliability,
        "true_class_probability": reliability,
        "fusion_weights": reliability / reliability.sum(-1, keepdim=True),
    }
    return {name: _nan_at_padding(value, batch.mask) for name, value in emitted.items()}


def _nan_at_padding(value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    mask = mask if value.dim() == 2 else mask.unsqueeze(-1)
    return torch.where(mask, value, torch.nan)


def summary_of(batch: DialogueBatch, **changed: torch.Tensor) -> dict[str, float]:
    monitor = Monitor(MODALITIES)
    monitor.add(batch, {**healthy(batch), **changed})
    return monitor.summary()


BATCH = batch_of((7, 12, 1, 20))
SHAPE = BATCH.mask.shape


def test_known_numbers() -> None:
    batch = batch_of((2,))
    monitor = Monitor(("text", "audio"))
    monitor.add(
        batch,
        {
            "fusion_weights": torch.tensor([[[0.5, 0.5], [1.0, 0.0]]]),
            "confidence": torch.tensor([[[0.2, 0.3], [0.6, 0.1]]]),
            "true_class_probability": torch.tensor([[[0.1, 0.3], [0.9, 0.5]]]),
            "context_gate": torch.tensor([[0.2, 0.6]]),
            "consistency": torch.tensor([[0.8, 0.4]]),
            "modality_similarity": torch.tensor([[0.1, 0.3]]),
        },
    )
    assert monitor.summary() == pytest.approx(
        {
            "diagnostics/modality_similarity": 0.2,
            "diagnostics/consistency": 0.6,
            "diagnostics/context_gate": 0.4,
            "diagnostics/fusion_weight/text": 0.75,
            "diagnostics/fusion_weight/audio": 0.25,
            "diagnostics/fusion_weight_spread": 0.25,
            "diagnostics/fusion_weight_entropy": 0.5,  # one even utterance, one that goes all to text
            "diagnostics/confidence_error": (0.1 + 0 + 0.3 + 0.4) / 4,
            "diagnostics/confidence_rank_correlation": 0.0,  # text follows (1), audio goes against (-1)
            "diagnostics/context_gate_spread": 0.2,
            "diagnostics/gate_consistency_correlation": -1.0,
        }
    )


def test_numbers_are_finite_whatever_lies_at_padding() -> None:
    summary = summary_of(BATCH)
    assert np.isfinite(list(summary.values())).all()
    weights = [summary[f"diagnostics/fusion_weight/{m}"] for m in MODALITIES]
    assert sum(weights) == pytest.approx(1)


def test_batches_and_workers_add_up_to_one_pass() -> None:
    parts, everything = [Monitor(MODALITIES), Monitor(MODALITIES)], Monitor(MODALITIES)
    for number, lengths in enumerate([(3, 5), (4,), (2, 2, 6), (0,)]):
        batch = batch_of(lengths)
        for monitor in (parts[number % 2], everything):
            monitor.add(batch, healthy(batch, seed=number))
    gathered = torch.cat([part.rows() for part in parts])
    assert Monitor(MODALITIES).summary(gathered) == pytest.approx(everything.summary())


def test_worker_without_a_batch_has_rows_of_the_right_width() -> None:
    busy = Monitor(MODALITIES)
    busy.add(BATCH, healthy(BATCH))
    assert Monitor(MODALITIES).rows().shape == (0, busy.rows().shape[1])


def test_what_a_model_does_not_emit_is_absent() -> None:
    monitor = Monitor(MODALITIES)
    monitor.add(BATCH, {"context_gate": healthy(BATCH)["context_gate"]})
    assert set(monitor.summary()) == {"diagnostics/context_gate", "diagnostics/context_gate_spread"}
    assert Monitor(MODALITIES).summary() == {}


def test_missing_modality_counts_in_nothing() -> None:
    batch = batch_of((5, 9), missing_audio=True)
    emitted = healthy(batch)
    clean, spoilt = Monitor(MODALITIES), Monitor(MODALITIES)
    clean.add(batch, emitted)
    spoilt.add(batch, {**emitted, "confidence": emitted["confidence"] + torch.tensor([0.0, 7.0, 0.0])})
    assert clean.summary() == spoilt.summary()
    assert "diagnostics/fusion_weight/audio" not in clean.summary()


def test_unlabelled_utterances_say_nothing_of_the_true_class() -> None:
    unlabelled = DialogueBatch(**{**vars(BATCH), "labels": torch.full(SHAPE, -1)})
    monitor = Monitor(MODALITIES)
    monitor.add(unlabelled, healthy(unlabelled))
    assert "diagnostics/confidence_error" not in monitor.summary()
    assert "diagnostics/fusion_weight/text" in monitor.summary()


def test_one_modality_has_no_fusion_to_watch() -> None:
    monitor = Monitor(("text",))
    monitor.add(
        BATCH, {name: torch.ones(*SHAPE, 1) for name in ("fusion_weights", "confidence", "true_class_probability")}
    )
    assert monitor.summary() == {}


def test_nothing_fires_on_a_healthy_model() -> None:
    assert warnings(summary_of(BATCH)) == []


FAILURES = {
    "modality_similarity above": {"modality_similarity": torch.full(SHAPE, 0.97)},
    "utterance_similarity above": {"utterance_similarity": torch.full(SHAPE, 0.97)},
    "fusion_weight_spread below": {
        "fusion_weights": 1 / 3 + 0.001 * torch.rand(*SHAPE, 3, generator=torch.manual_seed(0))
    },
    "fusion_weight above": {
        "fusion_weights": torch.tensor([0.96, 0.02, 0.02])
        + 0.05 * torch.rand(*SHAPE, 3, generator=torch.manual_seed(0))
    },
    "confidence_error above": {"confidence": healthy(BATCH)["true_class_probability"] - 0.4},
    "confidence_rank_correlation below": {"confidence": torch.full((*SHAPE, 3), 0.5)},
    "context_gate_spread below": {"context_gate": 0.5 - 0.001 * healthy(BATCH)["consistency"]},
    "gate_consistency_correlation above": {"context_gate": torch.rand(SHAPE, generator=torch.manual_seed(0))},
    "context_gate below": {"context_gate": 0.08 - 0.08 * healthy(BATCH)["consistency"]},
    "context_gate above": {"context_gate": 1.5 - healthy(BATCH)["consistency"]},
}


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda s: f"{s.name} {s.side}")
def test_each_failure_fires_its_own_warning_alone(signature: object) -> None:
    fired = warnings(summary_of(BATCH, **FAILURES[f"{signature.name} {signature.side}"]))
    assert len(fired) == 1
    assert fired[0].startswith(signature.sentence.partition("{")[0])
    assert "{" not in fired[0]


def test_weights_that_the_configuration_sets_are_no_failure() -> None:
    """Static fusion, or full context: exactly one value everywhere."""
    summary = summary_of(BATCH, fusion_weights=torch.full((*SHAPE, 3), 1 / 3), context_gate=torch.ones(SHAPE))
    assert summary["diagnostics/fusion_weight_spread"] == summary["diagnostics/context_gate_spread"] == 0
    assert warnings(summary) == []


def test_warning_names_the_modality() -> None:
    assert "goes to audio (mean 0.930)" in warnings({"diagnostics/fusion_weight/audio": 0.93})[0]
