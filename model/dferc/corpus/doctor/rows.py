"""Rows of a corpus: where they stand, and which hold the same thing, found by one pass over them."""

import numpy as np

from dferc.corpus.batch import TEXT
from dferc.corpus.store import Corpus

OF_TEXT = (TEXT, "comet")
"""First words of the names of modalities whose vectors are made of the transcript: text_layer2, comet_xintent."""


def made_of_text(modality: str) -> bool:
    """Whether equal transcripts have equal vectors of this modality, so that these are no copies."""
    return modality.split("_")[0] in OF_TEXT


def place(corpus: Corpus, row: int) -> str:
    """Where a row stands, for sentences."""
    return f"turn {corpus.table['turn'][row]} of {corpus.table['dialogue'][row]}"


def plain_texts(corpus: Corpus) -> list[str]:
    """Transcripts [N] without case and outer blanks: what counts as the same text."""
    return [text.strip().casefold() for text in corpus.texts]


def words_alone(corpus: Corpus) -> list[str]:
    """Transcripts [N] without case and blanks: many extractors cannot tell "hi ." from "Hi."."""
    return ["".join(text.casefold().split()) for text in corpus.texts]


def vector_keys(vectors: np.ndarray) -> np.ndarray:
    """A number [N] for each row of vectors [N, D]: equal rows, equal numbers.

    Numbers of unequal rows are equal by accident with a probability of about N²/2⁶⁵, and hold in this process alone.
    """
    return np.fromiter((hash(row.tobytes()) for row in vectors), dtype=np.int64, count=len(vectors))


def content_keys(corpus: Corpus, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Key [N] of each vector of a modality, and whether [N] there is one that is not all zeros."""
    vectors = corpus.features(modality)
    return vector_keys(vectors), corpus.present(modality) & vectors.any(axis=1)


def pair_keys(first: np.ndarray, second: list[str]) -> np.ndarray:
    """A number [N] for each pair of a number [N] and a text [N]."""
    return np.fromiter((hash(pair) for pair in zip(first.tolist(), second, strict=True)), np.int64, count=len(first))
