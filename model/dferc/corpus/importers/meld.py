"""MELD: the transcripts of declare-lab/MELD with sentence embeddings as the text modality.

A folder holds ``{train,dev,test}_sent_emo.csv`` and one or more ``EMBEDDING.npz`` with arrays ``train``, ``dev`` and
``test``, one row a CSV row in CSV order.
"""

import contextlib
import csv
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from dferc.corpus.contract import CorpusCard, Modality, Split, corpus_schema, vector_array
from dferc.corpus.published import MELD_LABELS
from dferc.corpus.store import Corpus
from dferc.errors import UserError

PARTS: dict[str, Split] = {"train": "train", "dev": "validation", "test": "test"}
COLUMNS = {"Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID"}
SAME = 1e-2
"""Largest difference between the vectors of two equal texts; float16 and padding leave less than a tenth of it."""

Rows = list[dict[str, str]]


def import_meld(folder: Path | str, embedding: str = "all-mpnet-base-v2") -> Corpus:
    """MELD with one of its embeddings; dialogue ids restart in each split, so they are prefixed with it.

    Raises:
        UserError: a file is missing or not what it should be, or texts and vectors do not correspond.
    """
    folder = Path(folder)
    _refuse_absent(folder, embedding)
    rows = {part: _read_rows(folder / f"{part}_sent_emo.csv") for part in PARTS}
    vectors = _read_vectors(folder / f"{embedding}.npz", rows)
    card = CorpusCard(
        name="meld",
        labels=MELD_LABELS,
        modalities={
            "text": Modality(width=vectors.shape[1], extractor=f"{embedding}, one sentence embedding an utterance")
        },
        source="the CSV files of github.com/declare-lab/MELD, data/MELD",
        licence="GPL-3.0, as its repository says",
        split_note="as published: train, dev (here validation) and test",
    )
    columns = [*_columns(rows), vector_array(vectors)]
    return Corpus.from_table(pa.Table.from_arrays(columns, schema=corpus_schema(card)), f"MELD in {folder}")


def repaired(text: str) -> str:
    """Text whose bytes were once taken for the wrong encoding, made right; other text as it is.

    Older copies of MELD hold Windows-1252 punctuation as C1 control characters (U+0092 for ’), or UTF-8 that was read
    as Windows-1252 (â€™).
    """
    with contextlib.suppress(UnicodeError):
        text = text.encode("cp1252").decode("utf-8")
    return "".join(_printable(c) if "\x80" <= c <= "\x9f" else c for c in text)


def _printable(control: str) -> str:
    return control.encode("latin-1").decode("cp1252", errors="replace")


def _refuse_absent(folder: Path, embedding: str) -> None:
    needed = [*(f"{part}_sent_emo.csv" for part in PARTS), f"{embedding}.npz"]
    absent = [name for name in needed if not (folder / name).is_file()]
    if absent:
        found = ", ".join(sorted(p.stem for p in folder.glob("*.npz"))) or "none"
        raise UserError(
            f"{folder} lacks {', '.join(absent)}, which an import of MELD needs (embeddings found there: {found})"
        )


def _read_rows(path: Path) -> Rows:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}") from None
    lacking = COLUMNS - set(reader.fieldnames or ())
    if lacking:
        raise UserError(
            f"{path} lacks the columns {', '.join(sorted(lacking))}; take the *_sent_emo.csv files of declare-lab/MELD"
        )
    problems = [problem for line, row in enumerate(rows, start=2) for problem in _row_problems(line, row)]
    if problems:
        more = [f"and {len(problems) - 10} more"] if len(problems) > 10 else []
        raise UserError.collected(str(path), problems[:10] + more)
    return rows


def _row_problems(line: int, row: dict[str, str]) -> list[str]:
    problems = []
    if (row["Emotion"] or "").strip() not in MELD_LABELS:
        problems.append(f"row {line} has the emotion {row['Emotion']!r}, must be one of {', '.join(MELD_LABELS)}")
    if not all((row[name] or "").strip().isdecimal() for name in ("Dialogue_ID", "Utterance_ID")):
        problems.append(
            f"row {line} has the ids {row['Dialogue_ID']!r} and {row['Utterance_ID']!r}, must be whole numbers"
        )
    return problems


def _read_vectors(path: Path, rows: dict[str, Rows]) -> np.ndarray:
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
    _refuse_shuffled(path, vectors, [row["Utterance"] for part in PARTS for row in rows[part]])
    return vectors


def _refuse_shuffled(path: Path, vectors: np.ndarray, texts: list[str]) -> None:
    """The same text must have the same vector wherever it occurs, or the rows are in another order than the CSV's."""
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        earlier = first.setdefault(text, row)
        if not np.allclose(vectors[row], vectors[earlier], atol=SAME, equal_nan=True):
            raise UserError(
                f"{path} is not in the order of the CSV rows: rows {earlier} and {row} (counted over all splits) "
                f"have the same text {text!r} and different vectors"
            )


def _columns(rows: dict[str, Rows]) -> list[pa.Array]:
    every = [(part, row) for part in PARTS for row in rows[part]]
    return [
        pa.array([f"{PARTS[part]}-{int(row['Dialogue_ID']):04d}" for part, row in every]),
        pa.array([int(row["Utterance_ID"]) for _, row in every], pa.int32()),
        pa.array([repaired(row["Speaker"]).strip() for _, row in every]),
        pa.array([MELD_LABELS.index(row["Emotion"].strip()) for _, row in every], pa.int32()),
        pa.array([PARTS[part] for part, _ in every]),
        pa.array([repaired(row["Utterance"]) for _, row in every]),
    ]
