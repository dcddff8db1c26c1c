"""CMU-MOSI with three modalities, as the context-dependent LSTM (Poria et al., ACL 2017) used it.

A folder holds, from github.com/declare-lab/multimodal-deep-learning, ``{text,audio,video}_{train,test}0.csv.gz`` (a row
an utterance: vector, then label), ``text_{train,test}.csv.gz`` (the same text vectors after each row's index into the
transcripts) and ``transcripts.csv.gz`` (``video_turn``, text, speaker, label). Vectors are kept as published, on very
different scales.

Beware of its validation scores. A logistic regression reaches a weighted F1 of 98 on text and 93 on visual vectors of
videos that it has not seen, if they are train videos, against 75 and 53 on test videos: the networks that made these
vectors must have been trained on the labels of all train videos. Validation, cut from them, is far too easy.
"""

import csv
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from dferc.corpus.contract import CorpusCard, Modality, Split, corpus_schema, vector_array
from dferc.corpus.store import Corpus
from dferc.corpus.tables import sha256
from dferc.errors import UserError

LABELS = ("negative", "positive")
FILES = {"text": "text", "audio": "audio", "visual": "video"}
"""Modality to what its files are called."""
EXTRACTORS = {
    "text": "convolutional network on word2vec",
    "audio": "openSMILE, selected",
    "visual": "3D convolutional network",
}
PARTS: tuple[Split, ...] = ("train", "test")
NEEDED = (
    *(f"{file}_{part}0.csv.gz" for file in FILES.values() for part in PARTS),
    *(f"text_{part}.csv.gz" for part in PARTS),
    "transcripts.csv.gz",
)
VALIDATION_SHARE = 0.17
"""Of the train videos; frozen, so that results stay comparable."""


@dataclass(frozen=True)
class Transcript:
    """One line of the transcripts."""

    video: str
    turn: int
    text: str
    speaker: str
    label: int


@dataclass(frozen=True)
class Part:
    """The train or the test rows of all files, which correspond."""

    transcripts: list[Transcript]
    labels: np.ndarray
    vectors: dict[str, np.ndarray]


def import_mosi(folder: Path | str) -> Corpus:
    """MOSI, one dialogue a video, with a validation split cut from the train videos.

    Raises:
        UserError: a file is missing or not what it should be, or the files do not correspond.
    """
    folder = Path(folder)
    _refuse_absent(folder)
    transcripts = _read_transcripts(folder / "transcripts.csv.gz")
    parts = {name: _read_part(folder, name, transcripts) for name in PARTS}
    vectors = {modality: np.concatenate([part.vectors[modality] for part in parts.values()]) for modality in FILES}
    card = CorpusCard(
        name="mosi",
        labels=LABELS,
        modalities={
            m: Modality(width=v.shape[1], extractor=f"{EXTRACTORS[m]}, as published") for m, v in vectors.items()
        },
        source="the MOSI files of github.com/declare-lab/multimodal-deep-learning, as used by Poria et al., ACL 2017",
        licence="files MIT, as their repository says; the corpus itself is for research",
        split_note=(
            "train and test as published; no validation split was published, so it is the "
            f"{VALIDATION_SHARE:.0%} of the train videos whose names have the smallest SHA-256; text and visual "
            "vectors know the labels of train videos, so validation is far too easy"
        ),
        files={name: sha256(folder / name) for name in NEEDED},
    )
    columns = [*_columns(parts), *(vector_array(v) for v in vectors.values())]
    return Corpus.from_table(pa.Table.from_arrays(columns, schema=corpus_schema(card)), f"MOSI in {folder}")


def _refuse_absent(folder: Path) -> None:
    absent = [name for name in NEEDED if not (folder / name).is_file()]
    if absent:
        raise UserError(f"{folder} lacks {', '.join(absent)}, which an import of MOSI needs")


def _read_transcripts(path: Path) -> list[Transcript]:
    try:
        return [_transcript(row) for row in _read_csv(path)]
    except ValueError:
        raise UserError(f"{path} must have four columns: video_turn, text, speaker, label (0 or 1)") from None


def _transcript(row: list[str]) -> Transcript:
    name, text, speaker, label = row
    video, turn = name.rsplit("_", 1)
    return Transcript(video, int(turn), text, speaker, int(label))


def _read_part(folder: Path, part: str, transcripts: list[Transcript]) -> Part:
    tables = {modality: _read_numbers(folder / f"{file}_{part}0.csv.gz") for modality, file in FILES.items()}
    indexed = _read_numbers(folder / f"text_{part}.csv.gz")
    lengths = {f"{file}_{part}0": len(tables[modality]) for modality, file in FILES.items()} | {
        f"text_{part}": len(indexed)
    }
    if len(set(lengths.values())) > 1:
        raise UserError(f"the files in {folder} do not correspond, their numbers of rows are {lengths}")
    index = indexed[:, 0].astype(int)
    if index.min() < 0 or index.max() >= len(transcripts):
        raise UserError(f"text_{part}.csv.gz in {folder} points to row {index.max()} of {len(transcripts)} transcripts")
    found = Part(
        transcripts=[transcripts[i] for i in index],
        labels=tables["text"][:, -1],
        vectors={modality: table[:, :-1] for modality, table in tables.items()},
    )
    problems = _mismatches(part, found, tables, indexed[:, 1:])
    if problems:
        raise UserError.collected(f"the files in {folder} do not correspond", problems)
    return found


def _mismatches(part: str, found: Part, tables: dict[str, np.ndarray], text: np.ndarray) -> list[str]:
    """What differs between files that must say the same."""
    problems = []
    for modality, file in FILES.items():
        differ = int((tables[modality][:, -1] != found.labels).sum())
        if differ:
            problems.append(f"{file}_{part}0.csv.gz and text_{part}0.csv.gz have different labels in {differ} rows")
    differ = sum(transcript.label != label for transcript, label in zip(found.transcripts, found.labels, strict=True))
    if differ:
        problems.append(f"transcripts.csv.gz and text_{part}0.csv.gz have different labels in {differ} rows")
    if text.shape != found.vectors["text"].shape or not np.allclose(text, found.vectors["text"], rtol=0, atol=1e-9):
        problems.append(f"text_{part}.csv.gz and text_{part}0.csv.gz have different vectors")
    return problems


def _read_numbers(path: Path) -> np.ndarray:
    try:
        table = np.array(_read_csv(path), dtype=np.float64)
    except ValueError:
        raise UserError(f"{path} must be a table of numbers, every row of one length") from None
    if table.ndim != 2 or table.shape[1] < 2:
        raise UserError(f"{path} must have rows of numbers, at least two a row")
    return table


def _read_csv(path: Path) -> list[list[str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            return list(csv.reader(lines))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as gzipped CSV: {error}") from None


def _columns(parts: dict[Split, Part]) -> list[pa.Array]:
    every = [transcript for part in parts.values() for transcript in part.transcripts]
    held_out = _validation_videos({transcript.video for transcript in parts["train"].transcripts})
    split = [name for name, part in parts.items() for _ in part.transcripts]
    return [
        pa.array([t.video for t in every]),
        pa.array([t.turn for t in every], pa.int32()),
        pa.array([f"speaker-{t.speaker}" for t in every]),
        pa.array([t.label for t in every], pa.int32()),
        pa.array(["validation" if t.video in held_out else name for t, name in zip(every, split, strict=True)]),
        pa.array([t.text for t in every]),
    ]


def _validation_videos(videos: set[str]) -> set[str]:
    """The same videos on every machine, whatever the order of the rows."""
    by_hash = sorted(videos, key=lambda video: hashlib.sha256(video.encode()).hexdigest())
    return set(by_hash[: round(VALIDATION_SHARE * len(videos))])
