"""What a Ray Data worker does: builds an extractor, then makes and keeps vectors, dialogue by dialogue."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from dferc.corpus.recordings import RecordedUtterance
from dferc.corpus.store import atomic
from dferc.encoders.extractor import Extracted, Extractor
from dferc_platform.extract.parts import save_part

DIALOGUE = TypeAdapter(list[RecordedUtterance])
ATTEMPTS = 2
"""Times that a dialogue may end its worker before it is given up; a file that crashes a decoder does so every time."""
FAILURES = 3
"""Dialogues that may end in an error before any has worked: then the extractor is broken, not the recordings."""


class Worker:
    """Extracts one modality after the other; between calls it holds no dialogue."""

    def __init__(self, builders: Mapping[str, Callable[[], Extractor]], run: str) -> None:
        """Build nothing yet.

        Args:
            builders: modality to what makes its extractor, with its weights.
            run: name of this start of the extraction; attempts of earlier starts, which a user stopped, do not count.
        """
        self._builders = builders
        self._run = run
        self._modality = ""
        self._extractor: Extractor | None = None
        self._works, self._failed = False, 0

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Extract and keep one dialogue; hands on only counts, so that vectors never fill Ray's memory."""
        dialogue, path = DIALOGUE.validate_json(row["utterances"]), Path(row["part"])
        tried = path.with_suffix(f".tried-{self._run}")
        earlier = int(tried.read_text(encoding="ascii")) if tried.is_file() else 0
        extractor = self._extractor_of(row["modality"])
        if earlier >= ATTEMPTS:
            note = f"given up: the process ended {ATTEMPTS} times on a recording of this dialogue"
            extracted = _nothing(dialogue, extractor.described().width, note)
        else:
            with atomic(tried) as temporary:
                temporary.write_text(str(earlier + 1), encoding="ascii")
            extracted = self._extracted(extractor, dialogue)
        save_part(extracted, path)
        tried.unlink(missing_ok=True)
        return {
            "modality": row["modality"],
            "utterances": len(dialogue),
            "present": int(extracted.present.sum()),
        }

    def _extracted(self, extractor: Extractor, dialogue: Sequence[RecordedUtterance]) -> Extracted:
        """Vectors of a dialogue, or a note why there are none; an extractor that never works is an error."""
        try:
            extracted = extractor.extract(dialogue)
        except Exception as error:
            self._failed += 1
            if not self._works and self._failed >= FAILURES:
                raise
            note = f"given up: {type(error).__name__} in the extractor ({' '.join(str(error).split())[:200]})"
            return _nothing(dialogue, extractor.described().width, note)
        self._works = True
        return extracted

    def _extractor_of(self, modality: str) -> Extractor:
        """Rows come sorted by modality, so one extractor at a time is enough."""
        if self._extractor is None or modality != self._modality:
            self._extractor = None  # frees the last one before the next is built
            self._extractor = self._builders[modality]()
            self._modality, self._works, self._failed = modality, False, 0
        return self._extractor


def _nothing(dialogue: Sequence[RecordedUtterance], width: int, note: str) -> Extracted:
    nothing = np.zeros((len(dialogue), width), np.float32)
    return Extracted(nothing, np.zeros(len(dialogue), bool), (note,) * len(dialogue))


def new_run() -> str:
    """A name for one start of an extraction."""
    return f"{os.getpid()}-{time.time_ns()}"
