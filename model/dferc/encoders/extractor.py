"""What makes vectors of utterances once and for all, before any training: the form that every extractor has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dferc.corpus.contract import Modality
from dferc.corpus.recordings import RecordedUtterance


@dataclass(frozen=True)
class Extracted:
    """Vectors of N utterances, as the extractor gives them: neither standardised nor clipped."""

    vectors: np.ndarray
    """[N, D] float32; a row that is not present is all zeros."""
    present: np.ndarray
    """[N] bool: whether anything could be extracted."""
    notes: tuple[str, ...]
    """N notes: why there is no vector, or what was met on the way; empty where all was well."""


class Extractor(Protocol):
    """Makes one modality's vectors, a dialogue at a time."""

    def described(self) -> Modality:
        """Width, name and version, parameters, hash of the weights: two extractors that agree in these are the same."""
        ...

    def extract(self, dialogue: Sequence[RecordedUtterance]) -> Extracted:
        """Vectors of the utterances of one dialogue, which come in the order of turns.

        What is wrong with one recording is a note and an absent row, never an exception.
        """
        ...
