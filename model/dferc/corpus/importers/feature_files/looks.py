"""What a field looks like, judged by its first utterance: enough to tell the layouts from one another."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from dferc.corpus.importers.feature_files.fields import corpus_of, kind_of
from dferc.corpus.importers.feature_files.layout import PARTIES, Field, Name, Role

Kind = Literal["vectors", "numbers", "fractions", "genders", "texts", "other", "ids", "unkeyed", "empty", "nothing"]
LONGEST = 110
"""Utterances of the longest dialogue, in IEMOCAP: rows of a graph have no more numbers, vectors have."""
BY_DIALOGUE: tuple[Kind, ...] = ("vectors", "numbers", "fractions", "genders", "texts", "other")
EVERY: tuple[Kind, ...] = (*BY_DIALOGUE, "ids", "unkeyed", "empty", "nothing")


@dataclass(frozen=True)
class Look:
    """The first utterance's entry, as far as it tells fields apart."""

    kind: Kind
    said: str
    """In words."""
    width: int = 0
    corpus: Name | None = None
    """Whose dialogue ids are its keys."""
    dialogue: object = None
    """Its first key."""


@dataclass(frozen=True)
class Expectation:
    """What a field of some role has to look like."""

    kinds: tuple[Kind, ...]
    said: str


EXPECTED: Mapping[Role, Expectation] = {
    "utterance ids": Expectation(BY_DIALOGUE, "utterance ids"),
    "genders": Expectation(("genders",), "speakers M and F"),
    "parties": Expectation(("vectors",), f"speakers as one-hot rows of {PARTIES}"),
    "numbered parties": Expectation(("numbers", "genders"), "speakers as numbers"),
    "people": Expectation(("texts", "genders"), "names of speakers"),
    "labels": Expectation(("numbers",), "labels as whole numbers"),
    "label names": Expectation(("texts",), "names of labels"),
    "sentiments": Expectation(("numbers",), "sentiments as whole numbers"),
    "vectors": Expectation(("vectors",), "vectors"),
    "texts": Expectation(("texts", "genders"), "texts"),
    "train": Expectation(("ids",), "dialogue ids"),
    "test": Expectation(("ids",), "dialogue ids"),
    "validation": Expectation(("ids",), "dialogue ids"),
    "graph": Expectation((*BY_DIALOGUE, "empty"), "graphs"),
    "unused": Expectation(EVERY, "anything"),
}


def look(value: Any) -> Look:
    """What one field looks like."""
    if isinstance(value, Mapping):
        return _by_dialogue(value)
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return _collection(value)
    return Look("nothing", kind_of(value))


def difference(found: Look, field: Field) -> tuple[int, str]:
    """How far a field is from what is expected, and in words; 0 and nothing where it fits."""
    expected = EXPECTED[field.role]
    if found.kind not in expected.kinds or (field.role == "graph" and found.width > LONGEST):
        return 2, f"{field.name} has {found.said} where {expected.said} are expected"
    width = PARTIES if field.role == "parties" else field.width
    if width and found.width != width:
        what = field.modality or field.name
        return 1, f"{what} has {found.width} numbers an utterance where {width} are expected"
    return 0, ""


def _by_dialogue(value: Mapping[Any, Any]) -> Look:
    if not value:
        return Look("empty", "an empty dictionary")
    dialogue = next(iter(value))
    corpus = corpus_of(dialogue)
    rows = [row for row in value.values() if _is_row(row) and len(row)]
    if not rows:
        return Look("other", f"a dictionary of {kind_of(value[dialogue])} a dialogue", 0, corpus, dialogue)
    kind, said, width = _entry(next((entry for row in rows for entry in row if entry is not None), None))
    return Look(kind, said, width, corpus, dialogue)


def _entry(entry: Any) -> tuple[Kind, str, int]:
    if isinstance(entry, str):
        return ("genders", "speakers M and F", 0) if entry in ("M", "F") else ("texts", "texts", 0)
    if _is_row(entry) and len(entry) and isinstance(entry[0], Real):
        return "vectors", f"vectors of {len(entry)} numbers", len(entry)
    if isinstance(entry, Integral) and not isinstance(entry, bool):
        return "numbers", "whole numbers", 0
    if isinstance(entry, Real) and not isinstance(entry, bool):
        return "fractions", "single floating-point numbers", 0
    return "other", _rows_said(entry) if _is_row(entry) else f"{kind_of(entry)} an utterance", 0


def _rows_said(row: Any) -> str:
    """What rows are that are no vectors, by the first."""
    if isinstance(row, np.ndarray):
        return f"arrays of shape {row.shape} of {row.dtype.name}"
    return f"lists that begin with {kind_of(row[0])}" if row else "empty lists"


def _collection(value: Any) -> Look:
    if isinstance(value, np.ndarray) and not value.ndim:
        return Look("nothing", kind_of(value))
    first = next(iter(value), None)
    if len(value) == 0 or corpus_of(first) or isinstance(first, str):
        return Look("ids", "dialogue ids")
    return Look("unkeyed", f"{kind_of(value)} that begins with {kind_of(first)}, not keyed by dialogue,")


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)
