"""Vectors of finished dialogues on disk, one file a dialogue and modality: what a stopped extraction goes on from.

A file's name tells the extractor with all its settings and the recordings that it read. So other settings, another
transcript or another recording make new files, and nothing out of date is ever taken for finished.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from dferc.corpus.contract import Modality, vector_array
from dferc.corpus.recordings import Clip, RecordedUtterance
from dferc.corpus.store import atomic
from dferc.encoders.extractor import Extracted


class Parts:
    """The finished dialogues of one modality, or of those that one extractor makes together."""

    def __init__(self, folder: Path, name: str, made_by: Modality) -> None:
        """Find the place for what this extractor makes.

        Args:
            folder: where the parts of all modalities lie; all workers must see it.
            name: the modality.
            made_by: the extractor, which two runs share only if they agree in every setting.
        """
        self.name = name
        self.made_by = made_by
        self._folder = folder / f"{name}-{made_by.key}"

    def path(self, dialogue: Sequence[RecordedUtterance]) -> Path:
        """Where the vectors of these utterances lie, or will lie."""
        read = [_input(self.name, utterance) for utterance in dialogue]
        return self._folder / f"{_short_hash([dialogue[0].dialogue, read])}.arrow"


def save_part(extracted: Extracted, path: Path) -> None:
    """Write one dialogue's vectors; the file appears whole or not at all."""
    table = pa.table(
        {"vector": vector_array(extracted.vectors, extracted.present), "note": pa.array(extracted.notes, pa.string())}
    )
    with (
        atomic(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as out,
    ):
        out.write_table(table)


def load_part(path: Path) -> Extracted:
    """Read one dialogue's vectors."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all().combine_chunks()
    column = table["vector"].chunk(0)
    vectors = column.values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    return Extracted(np.where(present[:, None], vectors, np.float32(0)), present, tuple(table["note"].to_pylist()))


def _input(modality: str, utterance: RecordedUtterance) -> list[object]:
    """What of an utterance its vector can depend on."""
    if modality in ("text", "comet"):
        return [utterance.turn, utterance.text]
    clip = utterance.audio if modality == "audio" else utterance.video
    return [utterance.turn, None if clip is None else {**asdict(clip), "file": _state(clip)}]


def _state(clip: Clip) -> list[int] | None:
    """Size and time of a recording, which change when it does; None where it is absent."""
    path = Path(clip.path)
    if not path.is_file():
        return None
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _short_hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]
