"""How two corpora differ: what their cards say, which dialogues lie where, what utterances and vectors hold."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from dferc.corpus.contract import EXTRACTION, TRUTH, CorpusCard, Modality, Scaling
from dferc.corpus.store import Corpus

SHOWN = 5
"""Examples of each kind that are kept."""
ABSENT = "(absent)"


class Difference(BaseModel):
    """One thing that two corpora have differently."""

    model_config = ConfigDict(frozen=True)

    where: str
    a: str
    b: str


class Differences(BaseModel):
    """Things of one kind that differ, with the first few."""

    model_config = ConfigDict(frozen=True)

    count: int
    first: tuple[Difference, ...]


class VectorDifference(BaseModel):
    """How the vectors of one modality differ in the utterances that both corpora have."""

    model_config = ConfigDict(frozen=True)

    width_a: int
    width_b: int
    only_in_a: int
    """Utterances with a vector in A alone."""
    only_in_b: int
    in_both: int
    differing: int | None = None
    """Of those in both, the vectors of which a number differs; None where the widths differ."""
    largest: float | None = None
    """Greatest absolute difference of a number."""
    lowest_cosine: float | None = None
    """Of two vectors of the same utterance; 0 where one is all zeros."""

    @property
    def equal(self) -> bool:
        """Whether every utterance has the same vector, to the last bit."""
        return self.width_a == self.width_b and not (self.only_in_a or self.only_in_b or self.differing)


class Comparison(BaseModel):
    """What ``dferc data diff`` shows."""

    model_config = ConfigDict(frozen=True)

    fingerprint_a: str
    fingerprint_b: str
    card: tuple[Difference, ...]
    """Fields of the card, those of a modality that both have as ``modalities.text.width``."""
    dialogues: dict[str, Differences]
    """``only in A``, ``only in B`` and ``moved to another split``."""
    utterances: dict[str, Differences]
    """``only in A`` and ``only in B`` for those of dialogues in both; then each column that differs."""
    vectors: dict[str, VectorDifference]
    """By modality that both have."""

    @property
    def equal(self) -> bool:
        """Whether both hold the same."""
        return self.fingerprint_a == self.fingerprint_b


def compare(a: Corpus, b: Corpus) -> Comparison:
    """Hold two corpora against each other, dialogue by dialogue and turn by turn."""
    both = _Both(a, b)
    shared = [name for name in a.card.modalities if name in b.card.modalities]
    return Comparison(
        fingerprint_a=a.fingerprint,
        fingerprint_b=b.fingerprint,
        card=_card_differences(a.card, b.card),
        dialogues={kind: found for kind, found in _dialogues(a, b).items() if found.count},
        utterances={kind: found for kind, found in _utterances(both).items() if found.count},
        vectors={name: _vectors(both, name) for name in shared},
    )


@dataclass(frozen=True)
class _Both:
    a: Corpus
    b: Corpus

    @cached_property
    def keys(self) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], int]]:
        """Dialogue and turn to the row of each corpus."""
        return _keys(self.a), _keys(self.b)

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows [n] of A and of B that hold the same turn."""
        in_a, in_b = self.keys
        shared = [(row, in_b[key]) for key, row in in_a.items() if key in in_b]
        rows = np.array(shared, dtype=np.int64).reshape(-1, 2)
        return rows[:, 0], rows[:, 1]


def _keys(corpus: Corpus) -> dict[tuple[str, int], int]:
    dialogues, turns = (corpus.table[name].to_pylist() for name in ("dialogue", "turn"))
    return {key: row for row, key in enumerate(zip(dialogues, turns, strict=True))}


def _kept(found: list[tuple[str, Any, Any]]) -> Differences:
    shown = tuple(Difference(where=where, a=str(a), b=str(b)) for where, a, b in found[:SHOWN])
    return Differences(count=len(found), first=shown)


def _card_differences(a: CorpusCard, b: CorpusCard) -> tuple[Difference, ...]:
    both = a.modalities.keys() & b.modalities.keys()
    ours, theirs = _fields(a, both), _fields(b, both)
    names = [*ours, *(name for name in theirs if name not in ours)]
    found = [(name, ours.get(name, ABSENT), theirs.get(name, ABSENT)) for name in names]
    return tuple(Difference(where=name, a=one, b=other) for name, one, other in found if one != other)


def _fields(card: CorpusCard, both: Collection[str]) -> dict[str, str]:
    """Every field of a card as text; a field a file, and one a part of each modality that both cards have."""
    fields: dict[str, str] = {}
    for name, value in card.model_dump(mode="json", exclude={"modalities"}).items():
        if name == "files":
            fields |= {f"{name}.{file}": digest for file, digest in value.items()}
        else:
            fields[name] = ", ".join(value) if isinstance(value, list) else str(value)
    for name, modality in card.modalities.items():
        parts = _parts(modality) if name in both else {"": f"{modality.width} numbers from {modality.extractor}"}
        fields |= {f"modalities.{name}{part}": text for part, text in parts.items()}
    return fields


def _parts(modality: Modality) -> dict[str, str]:
    """What is said of a modality; of the thousands of numbers of its scaling a hash."""
    scaling = modality.scaling
    scaled = "none" if scaling is None else f"clip {scaling.clip:g}, means and deviations {_short_hash(scaling)}"
    known = {"width": modality.width, "extractor": modality.extractor, "weights": modality.weights, "scaling": scaled}
    parameters = {f"parameters.{name}": value for name, value in modality.parameters.items()}
    return {f".{part}": str(value) for part, value in (known | parameters).items()}


def _short_hash(scaling: Scaling) -> str:
    return hashlib.sha256(scaling.model_dump_json().encode()).hexdigest()[:16]


def _dialogues(a: Corpus, b: Corpus) -> dict[str, Differences]:
    in_a, in_b = _splits(a), _splits(b)
    return {
        "only in A": _kept([(name, split, ABSENT) for name, split in in_a.items() if name not in in_b]),
        "only in B": _kept([(name, ABSENT, split) for name, split in in_b.items() if name not in in_a]),
        "moved to another split": _kept(
            [(name, split, in_b[name]) for name, split in in_a.items() if in_b.get(name, split) != split]
        ),
    }


def _splits(corpus: Corpus) -> dict[str, str]:
    of_row = corpus.table["split"]
    return {dialogue.id: of_row[dialogue.start].as_py() for dialogue in corpus.dialogues}


def _utterances(both: _Both) -> dict[str, Differences]:
    in_a, in_b = both.keys
    dialogues = {name for name, _ in in_a} & {name for name, _ in in_b}
    ours = [(_turn(key), "there", ABSENT) for key in in_a if key[0] in dialogues and key not in in_b]
    theirs = [(_turn(key), ABSENT, "there") for key in in_b if key[0] in dialogues and key not in in_a]
    columns = {name: _kept(_changed(both, name)) for name in _columns(both)}
    return {"only in A": _kept(ours), "only in B": _kept(theirs), **columns}


def _turn(key: tuple[str, int]) -> str:
    return f"{key[0]} turn {key[1]}"


def _columns(both: _Both) -> list[str]:
    """Columns but the vectors that either has, and what extractors noted where both have it."""
    ours, theirs = both.a.table.schema.names, both.b.table.schema.names
    noted = [name for name in ours if name.startswith(EXTRACTION) and name in theirs]
    truth = dict.fromkeys(name for name in (*ours, *theirs) if name.startswith(TRUTH))
    return ["speaker", "label", "text", *truth, *noted]


def _changed(both: _Both, column: str) -> list[tuple[str, Any, Any]]:
    at_a, at_b = both.rows
    ours, theirs = _values(both.a, column), _values(both.b, column)
    keys = list(both.keys[0])
    pairs = ((keys[i], ours[i], theirs[j]) for i, j in zip(at_a.tolist(), at_b.tolist(), strict=True))
    return [(_turn(key), one, other) for key, one, other in pairs if one != other]


def _values(corpus: Corpus, column: str) -> list[Any]:
    """The cells of a column; labels by name, so that another order of the classes changes nothing."""
    if column == "label":
        names = (*corpus.card.labels, None)
        return [names[label] for label in corpus.labels]
    if column not in corpus.table.schema.names:
        return [ABSENT] * corpus.table.num_rows
    values: list[Any] = corpus.table[column].to_pylist()
    if column.startswith(EXTRACTION):
        return [cell and f"{cell['note'] or 'nothing noted'} ({cell['extractor']})" for cell in values]
    return values


def _vectors(both: _Both, modality: str) -> VectorDifference:
    at_a, at_b = both.rows
    has_a, has_b = both.a.present(modality)[at_a], both.b.present(modality)[at_b]
    together = has_a & has_b
    found = VectorDifference(
        width_a=both.a.card.widths[modality],
        width_b=both.b.card.widths[modality],
        only_in_a=int((has_a & ~has_b).sum()),
        only_in_b=int((has_b & ~has_a).sum()),
        in_both=int(together.sum()),
    )
    if found.width_a != found.width_b or not found.in_both:
        return found
    ours = both.a.features(modality)[at_a[together]]
    theirs = both.b.features(modality)[at_b[together]]
    return found.model_copy(
        update={
            "differing": int((ours != theirs).any(axis=1).sum()),
            "largest": float(np.abs(ours - theirs).max()),
            "lowest_cosine": float(_cosines(ours, theirs).min()),
        }
    )


def _cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Cosine [n] of the rows of two tables [n, D], in float64; two rows of zeros are alike."""
    products = np.einsum("nd,nd->n", ours, theirs, dtype=np.float64)
    lengths = [np.sqrt(np.einsum("nd,nd->n", v, v, dtype=np.float64)) for v in (ours, theirs)]
    length = lengths[0] * lengths[1]
    cosines = np.divide(products, length, out=np.zeros_like(products), where=length > 0)
    return np.where(lengths[0] + lengths[1] == 0, 1.0, cosines)
