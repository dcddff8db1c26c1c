"""The vectors of one modality, stacked without changing a bit that float32 can hold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dferc.corpus.importers.feature_files.dialogues import Dialogues, Id
from dferc.corpus.importers.feature_files.layout import Field
from dferc.corpus.tables import refuse


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
    tables = [(dialogue, _table(entries)) for dialogue, entries in dialogues.of(field.modality)]
    wrong = ((d, table) for d, table in tables if not _fits(table, field.width))
    refuse(dialogues.source.where, (_problem(d, dialogues.fields[field.modality][d], field) for d, _ in wrong))
    exact = np.concatenate([table for _, table in tables])
    with np.errstate(over="ignore"):
        values = exact.astype(np.float32)
    present = np.asarray(np.isfinite(values).all(axis=1))
    notes = [*_rounding(field.modality, exact[present], values[present]), *_absence(field.modality, present)]
    return Vectors(values, present, f"{field.extractor}, as in {dialogues.source.layout.name}", tuple(notes))


def _table(entries: Sequence[Any] | np.ndarray) -> np.ndarray:
    """The vectors [T, D] of a dialogue; some other array where they are none."""
    try:
        return np.asarray(entries if isinstance(entries, np.ndarray) and entries.dtype != object else list(entries))
    except ValueError:
        return np.empty(0)


def _fits(table: np.ndarray, width: int) -> bool:
    return table.ndim == 2 and table.shape[1] == width and table.dtype.kind in "fiu"


def _problem(dialogue: Id, entries: Sequence[Any], field: Field) -> str:
    """Which utterance is at fault, where a single one is."""
    for turn, entry in enumerate(entries):
        vector = _table(entry) if isinstance(entry, list | tuple | np.ndarray) else np.empty(0)
        where = f"{field.modality} of dialogue {dialogue!r}, utterance {turn},"
        if vector.ndim != 1 or vector.dtype.kind not in "fiu" or not len(vector):
            return f"{where} is no vector of numbers"
        if len(vector) != field.width:
            return f"{where} has {len(vector)} numbers where {field.width} are expected"
    return f"{field.modality} of dialogue {dialogue!r} holds no plain numbers"


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
