"""The corpus of a run as MLflow's dataset: what its Dataset column and the drawer behind it show."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dferc_platform.results import Study
from dferc_platform.secrecy import without_secrets

DIGEST = 12
"""Hexadecimal digits of the fingerprint; MLflow takes up to 36, and shows the digest with the name in a column."""
COLUMNS = {"dialogue": "string", "turn": "integer", "speaker": "string", "label": "integer", "split": "string"}
"""Columns that every corpus has, by MLflow's names of their types."""


@dataclass(frozen=True)
class CorpusDataset:
    """A corpus in MLflow's terms, made from what a study notes of it: the corpus itself is not opened."""

    name: str
    digest: str
    source: str
    """JSON of MLflow's source type ``local``: where the file lies, and where its content came from."""
    schema: str | None
    """JSON of MLflow's column specification; None where the study notes no card."""
    profile: str | None
    """JSON of counts; None where the study notes none."""


def corpus_dataset(corpus: str, fingerprint: str, study: Study | None) -> CorpusDataset:
    """The dataset of a run that was trained on ``corpus``, a path or the name of an embedded corpus."""
    card = study.card if study else {}
    uri = without_secrets(corpus)
    return CorpusDataset(
        name=str(card.get("name") or Path(uri).stem),
        digest=fingerprint[:DIGEST],
        source=json.dumps({"uri": uri, "origin": card.get("source", "")}),
        schema=_schema(card) if card else None,
        profile=_profile(card, study.counts) if study and study.counts else None,
    )


def _schema(card: Mapping[str, Any]) -> str:
    columns: list[dict[str, Any]] = [
        {"name": name, "type": kind, "required": name != "label"} for name, kind in COLUMNS.items()
    ]
    columns.append({"name": "text", "type": "string", "required": False})
    columns += [
        {"name": f"features.{name}", "type": "array", "items": {"type": "float"}, "required": False}
        for name in card.get("modalities", {})
    ]
    return json.dumps({"mlflow_colspec": columns})


def _profile(card: Mapping[str, Any], counts: Mapping[str, Any]) -> str:
    """Flat, a line each in MLflow's drawer."""
    totals = {what: sum(split[what] for split in counts.values()) for what in ("utterances", "dialogues")}
    widths = {f"width of {name}": modality["width"] for name, modality in card.get("modalities", {}).items()}
    of_split = {f"{name} {what}": value for name, split in counts.items() for what, value in split.items()}
    return json.dumps({**totals, **of_split, **widths})
