"""The vectors of one modality, stacked without changing a bit that float32 can hold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from dferc.corpus.importers.feature_files.dialogues import Dialogues, Id
from dferc.corpus.importers.feature_files.layout import Field
from dferc.corpus.tables import refuse

NUMBERS = "fiu"
"""NumPy's kinds of real numbers."""


@dataclass(frozen=True)
class Vectors:
    """One modality of a file."""

    values: np.ndarray
    """[N, D] in float32."""
    present: np.ndarray
    """[N], false where a vector had numbers that are none."""
    extractor: str
    notes: tuple[str, ...] = ()
    """What was changed, a sentence each."""


def stacked(dialogues: Dialogues, field: Field) -> Vectors:
    """All vectors of one field, dialogue after dialogue.

    Raises:
        UserError: some are no vectors of the field's width; the first are named.
    """
    given = dialogues.fields[field.modality]
    tables = {dialogue: table(given[dialogue], field.width) for dialogue in dialogues.ids}
    refuse(dialogues.source.where, (_problem(d, given[d], field) for d, found in tables.items() if found is None))
    exact = np.concatenate([found for found in tables.values() if found is not None])
    with np.errstate(over="ignore"):
        values = exact.astype(np.float32)
    present = np.asarray(np.isfinite(values).all(axis=1))
    notes = [*_rounding(field.modality, exact[present], values[present]), *_absence(field.modality, present)]
    return Vectors(values, present, f"{field.extractor}, as in {dialogues.source.layout.name}", tuple(notes))


def table(entries: Sequence[Any] | np.ndarray, width: int) -> np.ndarray | None:
    """The vectors [T, width] of a dialogue; None where they are none."""
    if isinstance(entries, np.ndarray) and entries.dtype != object:
        return entries if entries.ndim == 2 and entries.shape[1] == width and entries.dtype.kind in NUMBERS else None
    rows = [_vector(entry) for entry in entries]
    fitting = [row for row in rows if row is not None and len(row) == width]
    return np.stack(fitting) if len(fitting) == len(rows) else None


def _vector(entry: Any) -> np.ndarray | None:
    """The numbers [D] of an utterance; looked at one by one, as an array of long texts is as wide as the longest."""
    if isinstance(entry, list | tuple):
        entry = np.asarray(entry) if all(issubclass(kind, Real) for kind in set(map(type, entry))) else None
    fits = isinstance(entry, np.ndarray) and entry.ndim == 1 and entry.dtype.kind in NUMBERS
    return entry if fits else None


def _problem(dialogue: Id, entries: Sequence[Any], field: Field) -> str:
    """Which utterance is at fault first."""
    vectors = enumerate(map(_vector, entries))
    turn, vector = next((turn, vector) for turn, vector in vectors if vector is None or len(vector) != field.width)
    width = None if vector is None else len(vector)
    said = "is no vector of numbers" if width is None else f"has {width} numbers where {field.width} are expected"
    return f"{field.modality} of dialogue {dialogue!r}, utterance {turn}, {said}"


def _rounding(modality: str, exact: np.ndarray, values: np.ndarray) -> Iterator[str]:
    if np.can_cast(exact.dtype, np.float32):
        return
    rounding = np.abs(exact - values)
    if rounding.any():
        count, largest = int(np.count_nonzero(rounding)), float(rounding.max())
        yield (
            f"{count} numbers of {modality} were kept with more digits than float32 has and were rounded, "
            f"by {largest:.2g} at most"
        )


def _absence(modality: str, present: np.ndarray) -> Iterator[str]:
    missing = int((~present).sum())
    if missing:
        strange = "NaN, infinite or too large for float32"
        yield f"{missing} vectors of {modality} held numbers that are {strange}, and count as missing"
