"""What the benchmarks share: an IEMOCAP-like corpus of random vectors, paired rounds, medians and tables."""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dferc.corpus import Corpus, CorpusCard, Modality, corpus_schema, vector_array

WIDTHS = {"text": 1024, "audio": 1582, "visual": 342}
"""Numbers in an utterance's vectors as the release reads them on IEMOCAP: roberta-large, openSMILE IS10, DenseNet."""
LABELS = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
WORDS = 12
"""Of an utterance; MELD's have 8 on average, IEMOCAP's 12."""
SHORTEST, MEAN, LONGEST = 8, 49, 110
"""Utterances of IEMOCAP's dialogues."""


def dialogue_lengths(dialogues: int, seed: int = 0) -> list[int]:
    """Utterances of each dialogue, spread as IEMOCAP's are."""
    draw = random.Random(seed)
    return [min(LONGEST, max(SHORTEST, round(draw.gauss(MEAN, 17)))) for _ in range(dialogues)]


def random_corpus(lengths: Sequence[int], widths: Mapping[str, int] = WIDTHS, seed: int = 0) -> Corpus:
    """Dialogues of these lengths with normal random vectors and uniform labels; all train but the last."""
    draw = np.random.default_rng(seed)
    utterances = sum(lengths)
    card = CorpusCard(
        name="random",
        labels=LABELS,
        modalities={name: Modality(width=width, extractor="random numbers") for name, width in widths.items()},
        source="benchmarks/common.py",
        licence="none",
        split_note="the last dialogue validates",
    )
    columns = {
        "dialogue": [f"{i:04d}" for i, length in enumerate(lengths) for _ in range(length)],
        "turn": [turn for length in lengths for turn in range(length)],
        "speaker": ["AB"[turn % 2] for length in lengths for turn in range(length)],
        "label": draw.integers(len(LABELS), size=utterances).tolist(),
        "split": ["train" if i + 1 < len(lengths) else "validation" for i, n in enumerate(lengths) for _ in range(n)],
        "text": [" ".join(f"w{word}" for word in draw.integers(5000, size=WORDS)) for _ in range(utterances)],
    }
    schema = corpus_schema(card)
    arrays = [pa.array(values, schema.field(name).type) for name, values in columns.items()]
    arrays += [vector_array(draw.standard_normal((utterances, width), dtype=np.float32)) for width in widths.values()]
    return Corpus.from_table(pa.Table.from_arrays(arrays, schema=schema))


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def interleaved(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each side in each round.

    The sides take turns, so that a busy minute strikes all; a first round warms up and does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, action in sides.items():
            took = seconds(action)
            if number:
                times[name].append(took)
    return times


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median with the lowest and the highest value."""
    low, middle, high = (f"{value:,.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} [{low} .. {high}]"


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    """Print a table whose first column is text and whose others are numbers."""
    table = Table(title=title, caption=escape(note), title_justify="left", caption_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=120).print(table)
