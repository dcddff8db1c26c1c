"""Fabricated study folders: files as a study leaves them, with made-up scores, for tests that train nothing."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dferc_platform.config import make_config, with_settings
from dferc_platform.results import Study, write_study, write_verdict

LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
SUPPORT = (120, 30, 6, 22, 44, 8, 37)
DIAGNOSTICS = (
    "context_gate",
    "fusion_weight/audio",
    "fusion_weight/text",
    "fusion_weight/visual",
    "modality_similarity",
)


class StudyMaker:
    """Writes a study run by run."""

    def __init__(self, folder: Path, kind: str, **changes: Any) -> None:
        self.folder = folder
        described = {
            "kind": kind,
            "name": folder.name,
            "key": "0123456789abcdef",
            "model": "df_erc",
            "corpus": "synthetic",
            "fingerprint": "f" * 64,
            "space": None,
            "config": {"model_name": "df_erc", "model": {}, "training": {"select_on": "weighted_f1"}},
            "experiment": "dferc",
        }
        self.study = Study(**described | changes)
        write_study(folder, self.study)
        self.number = 0

    def finished(self, varied: Mapping[str, Any], metrics: Mapping[str, float], **result: Any) -> Path:
        """A run that ended well, with these scores in percent."""
        folder = self._started(varied)
        write_verdict(folder, "FINISHED", varied=varied, number=self.number - 1)
        rng = np.random.default_rng(self.number)
        epochs = int(rng.integers(10, 16))
        lines = [self._epoch(epoch, epochs, metrics, rng) for epoch in range(1, epochs + 1)]
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        splits = sorted({name.split("/")[0] for name in metrics}, reverse=True)
        write_predictions(folder / "predictions.parquet", splits)
        confusions = {split: confusion(metrics[f"{split}/weighted_f1"] / 100, rng) for split in splits}
        (folder / "confusion.json").write_text(json.dumps(confusions))
        content = {
            "key": folder.name, "status": "FINISHED", "model": "df_erc", "fingerprint": self.study.fingerprint,
            "code": "0.1.0+abc123", "protocol": "strict", "labels": LABELS, "best_epoch": epochs - 3, "epochs": epochs,
            "metrics": dict(metrics), "seconds": {"training": 9.0, "evaluation": 1.0, "total": 10.0},
            "parameters": 1234567, "warnings": [], **result,
        }  # fmt: skip
        (folder / "result.json").write_text(json.dumps(content))
        return folder

    def ended(self, varied: Mapping[str, Any], status: str, error: str | None = None) -> Path:
        """A run that did not finish."""
        folder = self._started(varied)
        write_verdict(folder, status, varied=varied, number=self.number - 1, error=error)  # type: ignore[arg-type]
        return folder

    def _started(self, varied: Mapping[str, Any]) -> Path:
        folder = self.folder / "runs" / f"run{self.number:04d}"
        folder.mkdir(parents=True)
        self.number += 1
        config = with_settings(make_config({"model_name": "df_erc", "score_test": False}), varied)
        (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        return folder

    @staticmethod
    def _epoch(epoch: int, epochs: int, metrics: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
        risen = 1 - np.exp(-epoch / 3)
        line = {"epoch": epoch, "epoch_seconds": 0.7, "train/loss/total": 3.5 - 2 * risen + rng.normal(0, 0.03)}
        line["validation/weighted_f1"] = metrics["validation/weighted_f1"] * risen - abs(rng.normal(0, 0.8))
        line |= {f"diagnostics/{name}": 0.3 + 0.2 * risen + rng.normal(0, 0.01) for name in DIAGNOSTICS}
        return line


def confusion(right: float, rng: np.random.Generator) -> list[list[int]]:
    """Counts [C][C] in which about this share is right."""
    rows = []
    for label, count in enumerate(SUPPORT):
        chances = np.full(len(SUPPORT), (1 - right) / (len(SUPPORT) - 1))
        chances[label] = right
        rows.append(rng.multinomial(count, chances).tolist())
    return rows


def write_predictions(path: Path, splits: list[str]) -> None:
    """Two dialogues of three utterances a split."""
    dialogues = [f"{split}-{d}" for split in splits for d in (0, 1) for _ in range(3)]
    pq.write_table(pa.table({"dialogue": dialogues, "split": [name.split("-")[0] for name in dialogues]}), path)


def scores(validation: float, test: float | None = None) -> dict[str, float]:
    """Metrics of a run whose weighted F1 is this, the others below it."""
    metrics: dict[str, float] = {}
    for split, value in (("validation", validation), ("test", test)):
        if value is not None:
            metrics |= {f"{split}/weighted_f1": value, f"{split}/macro_f1": value - 8, f"{split}/accuracy": value + 1}
            metrics |= {f"{split}/f1/{label}": value - 4 * place for place, label in enumerate(LABELS)}
    return metrics


@pytest.fixture(scope="session")
def make_study() -> Callable[..., StudyMaker]:
    """A maker of study folders: ``make_study(folder, "beta")``."""
    return StudyMaker


@pytest.fixture(scope="session")
def make_scores() -> Callable[..., dict[str, float]]:
    """A maker of a run's metrics: ``make_scores(validation, test)``."""
    return scores
