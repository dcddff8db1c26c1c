"""MELD: the transcripts of declare-lab/MELD with sentence embeddings as the text modality.

A folder holds ``{train,dev,test}_sent_emo.csv`` and one or more ``EMBEDDING.npz`` with arrays ``train``, ``dev`` and
``test``, one row a CSV row in CSV order.
"""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from dferc.corpus.contract import CorpusCard, Modality, corpus_schema, vector_array
from dferc.corpus.meld_csv import LICENCE, PARTS, SOURCE, SPLIT_NOTE, MeldRow, csv_name, read_part
from dferc.corpus.published import MELD_LABELS
from dferc.corpus.store import Corpus
from dferc.corpus.tables import sha256
from dferc.errors import UserError

SAME = 1e-2
"""Largest difference between the vectors of two equal texts; float16 and padding leave less than a tenth of it."""

Rows = dict[str, list[MeldRow]]
"""Part to its rows, in the order of the CSV file."""


def import_meld(folder: Path | str, embedding: str = "all-mpnet-base-v2") -> Corpus:
    """MELD with one of its embeddings; dialogue ids restart in each split, so they are prefixed with it.

    Raises:
        UserError: a file is missing or not what it should be, or texts and vectors do not correspond.
    """
    folder = Path(folder)
    _refuse_absent(folder, embedding)
    rows = {part: read_part(folder / csv_name(part), part) for part in PARTS}
    vectors = _read_vectors(folder / f"{embedding}.npz", rows)
    card = CorpusCard(
        name="meld",
        labels=MELD_LABELS,
        modalities={
            "text": Modality(width=vectors.shape[1], extractor=f"{embedding}, one sentence embedding an utterance")
        },
        source=SOURCE,
        licence=LICENCE,
        split_note=SPLIT_NOTE,
        files={name: sha256(folder / name) for name in _files(embedding)},
    )
    columns = [*_columns(rows), vector_array(vectors)]
    return Corpus.from_table(pa.Table.from_arrays(columns, schema=corpus_schema(card)), f"MELD in {folder}")


def _files(embedding: str) -> list[str]:
    return [*map(csv_name, PARTS), f"{embedding}.npz"]


def _refuse_absent(folder: Path, embedding: str) -> None:
    absent = [name for name in _files(embedding) if not (folder / name).is_file()]
    if absent:
        found = ", ".join(sorted(p.stem for p in folder.glob("*.npz"))) or "none"
        raise UserError(
            f"{folder} lacks {', '.join(absent)}, which an import of MELD needs (embeddings found there: {found})"
        )


def _read_vectors(path: Path, rows: Rows) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = {part: arrays[part].astype(np.float32) for part in PARTS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} must be an npz with the arrays {', '.join(PARTS)} of numbers: {error}") from None
    shapes = {part: array.shape for part, array in parts.items()}
    if any(len(shape) != 2 or shape[1] != shapes["train"][1] for shape in shapes.values()):
        raise UserError(f"the arrays of {path} must be tables of one width, their shapes are {shapes}")
    wrong = [
        f"{part} has {len(parts[part])} vectors for {len(rows[part])} rows"
        for part in PARTS
        if len(parts[part]) != len(rows[part])
    ]
    if wrong:
        raise UserError.collected(f"{path} does not belong to these CSV files", wrong)
    vectors = np.concatenate(list(parts.values()))
    _refuse_shuffled(path, vectors, [row for part in PARTS for row in rows[part]])
    return vectors


def _refuse_shuffled(path: Path, vectors: np.ndarray, rows: list[MeldRow]) -> None:
    """The same text must have the same vector wherever it occurs, or the rows are in another order than the CSV's."""
    first: dict[tuple[str, bool], int] = {}
    for row, (text, mended) in enumerate((row.text, row.mended) for row in rows):
        earlier = first.setdefault((text, mended), row)
        if not np.allclose(vectors[row], vectors[earlier], atol=SAME, equal_nan=True):
            raise UserError(
                f"{path} is not in the order of the CSV rows: rows {earlier} and {row} (counted over all splits) "
                f"have the same text {text!r} and different vectors"
            )


def _columns(rows: Rows) -> list[pa.Array]:
    every = [row for part in PARTS for row in rows[part]]
    return [
        pa.array([row.dialogue for row in every]),
        pa.array([row.turn for row in every], pa.int32()),
        pa.array([row.speaker for row in every]),
        pa.array([MELD_LABELS.index(row.label) for row in every], pa.int32()),
        pa.array([row.split for row in every]),
        pa.array([row.text for row in every]),
    ]
