"""Which rows of a corpus hold the same thing, found by one pass over them."""

import numpy as np

from dferc.corpus.store import Corpus


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


def pair_keys(first: np.ndarray, second: list[str]) -> np.ndarray:
    """A number [N] for each pair of a number [N] and a text [N]."""
    return np.fromiter((hash(pair) for pair in zip(first.tolist(), second, strict=True)), np.int64, count=len(first))
