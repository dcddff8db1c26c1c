"""A small corpus of random conversations, with any lengths and missing modalities."""

import numpy as np
import pyarrow as pa
import pytest

from dferc.corpus import Corpus, CorpusCard, Modality, corpus_schema, vector_array

WIDTHS = {"text": 6, "audio": 5, "visual": 4}
LABELS = ("neutral", "joy", "anger", "sadness")


def random_corpus(lengths, widths=WIDTHS, missing=0.2, labels=LABELS, seed=0):
    """A dialogue for each length; every fifth goes to validation and every fifth to test."""
    random = np.random.default_rng(seed)
    modalities = {name: Modality(width=width, extractor="random") for name, width in widths.items()}
    card = CorpusCard(
        name="random",
        labels=labels,
        modalities=modalities,
        source="made by a test",
        licence="none",
        split_note="by number",
    )
    of_dialogue = ["validation" if i % 5 == 3 else "test" if i % 5 == 4 else "train" for i in range(len(lengths))]
    rows = [(i, turn) for i, length in enumerate(lengths) for turn in range(length)]
    total = len(rows)
    classes = random.integers(0, len(labels), total)
    columns = {
        "dialogue": [f"d{i:03d}" for i, _ in rows],
        "turn": pa.array([turn for _, turn in rows], pa.int32()),
        "speaker": [f"speaker {random.integers(0, 3)}" for _ in rows],
        "label": pa.array(classes, pa.int32()),
        "split": [of_dialogue[i] for i, _ in rows],
        "text": [f"utterance {turn} of {i}" for i, turn in rows],
    }
    for name, width in widths.items():
        centres = random.normal(size=(len(labels), width))
        vectors = centres[classes] + random.normal(size=(total, width))
        columns[f"features.{name}"] = vector_array(vectors, random.random(total) >= missing)
    return Corpus.from_table(pa.table(columns, schema=corpus_schema(card)))


@pytest.fixture(scope="session")
def make_corpus():
    return random_corpus


@pytest.fixture(scope="session")
def corpus():
    return random_corpus([3, 9, 1, 5, 7, 12, 2, 6, 4, 8, 5, 11, 3, 6, 4])
