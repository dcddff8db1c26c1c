"""What was published of each model, from one data file that says of every number where it was read."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PUBLISHED = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Published:
    """A model's published test score on one corpus."""

    weighted_f1: float | None
    """In percent; None where no number is known."""
    source: str
    """Where it was read, or why there is none."""
    caution: str = ""
    """What must be known before it is quoted."""


def published(model: str, corpus: str) -> Published | None:
    """What was published of a model on a corpus of this name; None where the data file does not speak of it."""
    of_model = _content().get(model, {})
    found = of_model if "none" in of_model else of_model.get(corpus.lower())
    if found is None:
        return None
    return Published(found.get("weighted_f1"), found.get("source") or found["none"], found.get("caution", ""))


def known_corpora() -> set[str]:
    """Corpora of which any published score is known."""
    return {corpus for of_model in _content().values() for corpus in of_model if corpus != "none"}


@cache
def _content() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    return content
