"""Recordings and the vectors that were extracted from them, written as one corpus file, dialogue by dialogue."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from dferc.corpus.contract import (
    EXTRACTION,
    FEATURES,
    CorpusCard,
    Modality,
    Scaling,
    corpus_schema,
    validate,
    vector_array,
)
from dferc.corpus.parquet import write_tables
from dferc.corpus.recordings import RecordedUtterance, Recordings
from dferc.corpus.recordings.scaling import ScalingFit, apply_scaling
from dferc.corpus.store import atomic
from dferc.encoders.extractor import Extracted
from dferc.errors import UserError

Dialogue = list[RecordedUtterance]


@dataclass(frozen=True)
class Made:
    """The vectors of one modality, as they were extracted."""

    modality: Modality
    load: Callable[[Dialogue], Extracted]
    """Vectors of one dialogue's utterances."""
    scaling: Scaling | float | None = None
    """How they are standardised: as another corpus was, or by train and clipped at so many deviations, or not."""


def check_recordings(recordings: Recordings) -> None:
    """Refuse, before hours of extraction, what could never become a corpus.

    Raises:
        UserError: every breach of the contract.
    """
    table = pa.concat_tables(_table(d, recordings.card, {}) for d in recordings.dialogues().values())
    heard = pa.array([u.text or "recorded" for d in recordings.dialogues().values() for u in d])
    table = table.set_column(table.schema.get_field_index("text"), "text", heard)  # vectors may still come
    validate(table, recordings.card, recordings.card.name)


def write_corpus(recordings: Recordings, made: Mapping[str, Made], path: Path) -> CorpusCard:
    """Write the corpus; the file appears whole or not at all, and memory holds a few dialogues at a time.

    Dialogues in which nothing is left, neither a text nor a vector, are dropped, and the card says so.

    Raises:
        UserError: nothing is left in any dialogue, or the file cannot be written.
    """
    dialogues = list(recordings.dialogues().values())
    kept = [d for d in dialogues if _has_content(d, made)]
    if not kept:
        raise UserError(f"nothing could be extracted from {recordings.card.name}: no utterance has a text or a vector")
    card = _card(recordings.card, made, kept, dropped=len(dialogues) - len(kept))
    try:
        with atomic(path) as temporary:
            tables = (_table(d, card, {name: m.load(d) for name, m in made.items()}) for d in kept)
            write_tables(grouped(tables), temporary)
    except OSError as error:
        raise UserError(f"the corpus cannot be written to {path} ({error.strerror or error})") from None
    return card


def _has_content(dialogue: Dialogue, made: Mapping[str, Made]) -> bool:
    return any(u.text for u in dialogue) or any(m.load(dialogue).present.any() for m in made.values())


def _card(card: CorpusCard, made: Mapping[str, Made], kept: list[Dialogue], dropped: int) -> CorpusCard:
    repairs = list(card.repairs)
    if dropped:
        repairs.append(f"{dropped} dialogues were dropped, because no utterance in them has a text or a vector")
    return card.model_copy(update={"modalities": described(made, kept), "repairs": tuple(repairs)})


def described(made: Mapping[str, Made], dialogues: list[Dialogue]) -> dict[str, Modality]:
    """What a card says of these vectors, their standardisation included."""
    return {name: m.modality.model_copy(update={"scaling": _scaling(m, dialogues)}) for name, m in made.items()}


def _scaling(made: Made, dialogues: list[Dialogue]) -> Scaling | None:
    """As given, or fitted to the train utterances alone: validation and test must not be looked at."""
    if not isinstance(made.scaling, float):
        return made.scaling
    fit = ScalingFit()
    for dialogue in dialogues:
        if dialogue[0].split == "train":
            extracted = made.load(dialogue)
            fit.add(extracted.vectors[extracted.present])
    return fit.scaling(made.scaling)


GROUP = 2000
"""Utterances written at a time."""


def grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables of a dialogue each, in pieces of about ``GROUP`` rows."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(one.num_rows for one in waiting) >= GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _table(dialogue: Dialogue, card: CorpusCard, extracted: Mapping[str, Extracted]) -> pa.Table:
    schema = corpus_schema(card, extraction=extracted)
    columns = {
        "dialogue": [u.dialogue for u in dialogue],
        "turn": [u.turn for u in dialogue],
        "speaker": [u.speaker for u in dialogue],
        "label": [None if u.label is None else card.labels.index(u.label) for u in dialogue],
        "split": [u.split for u in dialogue],
        "text": [u.text for u in dialogue],
    }
    arrays = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
    arrays |= vector_columns(extracted, card)
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


def vector_columns(extracted: Mapping[str, Extracted], card: CorpusCard) -> dict[str, pa.Array]:
    """Columns of each modality: the vectors as its card says, and what was met in making them."""
    vectors = {
        FEATURES + name: vector_array(_scaled(e, card.modalities[name].scaling), e.present)
        for name, e in extracted.items()
    }
    return vectors | {EXTRACTION + name: _told(e, card.modalities[name]) for name, e in extracted.items()}


def _scaled(extracted: Extracted, scaling: Scaling | None) -> np.ndarray:
    return extracted.vectors if scaling is None else apply_scaling(extracted.vectors, scaling)


def _told(extracted: Extracted, modality: Modality) -> pa.Array:
    """Which extractor made each row, and what it met there."""
    return pa.StructArray.from_arrays(
        [pa.array([modality.identity] * len(extracted.notes)), pa.array(extracted.notes, pa.string())],
        names=["extractor", "note"],
    )
