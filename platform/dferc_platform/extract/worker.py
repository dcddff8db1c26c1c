"""What a Ray Data worker does: builds its extractor once, then makes and keeps vectors, dialogue by dialogue."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from dferc.corpus.recordings import RecordedUtterance
from dferc.corpus.store import atomic
from dferc.encoders.extractor import Extracted, Extractor
from dferc_platform.extract.parts import save_part

DIALOGUE = TypeAdapter(list[RecordedUtterance])
ATTEMPTS = 2
"""Times that a dialogue may end its worker before it is given up; a file that crashes a decoder does so every time."""


class Worker:
    """Extracts one modality; between calls it holds no dialogue."""

    def __init__(self, build: Callable[[], Extractor], run: str) -> None:
        """Build the extractor.

        Args:
            build: makes it, with its weights.
            run: name of this start of the extraction; attempts of earlier starts, which a user stopped, do not count.
        """
        self._extractor = build()
        self._width = self._extractor.described().width
        self._run = run

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Extract and keep some dialogues; hands on only what progress needs, so vectors never fill Ray's memory."""
        done = [self._dialogue(*row) for row in zip(batch["utterances"], batch["part"], strict=True)]
        utterances, present, seconds = zip(*done, strict=True)
        return {
            "dialogue": batch["dialogue"],
            "utterances": np.array(utterances),
            "present": np.array(present),
            "seconds": np.array(seconds),
        }

    def _dialogue(self, utterances: str, part: str) -> tuple[int, int, float]:
        dialogue, path = DIALOGUE.validate_json(utterances), Path(part)
        started = time.perf_counter()
        tried = path.with_suffix(f".tried-{self._run}")
        earlier = int(tried.read_text(encoding="ascii")) if tried.is_file() else 0
        if earlier >= ATTEMPTS:
            extracted = self._given_up(dialogue)
        else:
            with atomic(tried) as temporary:
                temporary.write_text(str(earlier + 1), encoding="ascii")
            extracted = self._extractor.extract(dialogue)
        save_part(extracted, path)
        tried.unlink(missing_ok=True)
        return len(dialogue), int(extracted.present.sum()), time.perf_counter() - started

    def _given_up(self, dialogue: Sequence[RecordedUtterance]) -> Extracted:
        note = f"given up: the process ended {ATTEMPTS} times on a recording of this dialogue"
        nothing = np.zeros((len(dialogue), self._width), np.float32)
        return Extracted(nothing, np.zeros(len(dialogue), bool), (note,) * len(dialogue))


def new_run() -> str:
    """A name for one start of an extraction."""
    return f"{os.getpid()}-{time.time_ns()}"
