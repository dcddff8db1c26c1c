"""What is in a corpus, in numbers."""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from dferc.corpus.contract import SPLITS, CorpusCard, Split
from dferc.corpus.doctor import examine
from dferc.corpus.store import Corpus


class SplitSummary(BaseModel):
    """Counts of one split."""

    model_config = ConfigDict(frozen=True)

    dialogues: int
    utterances: int
    classes: dict[str, int]
    """Utterances of each class."""
    unlabelled: int
    shortest: int
    """Utterances of the shortest dialogue."""
    median: float
    longest: int
    speakers: int
    unseen_speakers: int
    """Of the speakers, those who never speak in train."""
    missing: dict[str, int]
    """Modality to the utterances that lack it."""


class Summary(BaseModel):
    """What ``dferc data inspect`` shows."""

    model_config = ConfigDict(frozen=True)

    card: CorpusCard
    fingerprint: str
    utterances: int
    dialogues: int
    speakers: int
    truth: tuple[str, ...]
    """What a generator knows of each utterance."""
    splits: dict[Split, SplitSummary]
    """Splits that have dialogues."""
    warnings: tuple[str, ...]
    """What a person should know before training, a sentence each."""


def describe(corpus: Corpus) -> Summary:
    """Count a corpus and look for what tends to go wrong."""
    return Summary(
        card=corpus.card,
        fingerprint=corpus.fingerprint,
        utterances=corpus.table.num_rows,
        dialogues=len(corpus.dialogues),
        speakers=len(set(corpus.speakers)),
        truth=corpus.truth_names,
        splits={name: _summary(corpus, name) for name in SPLITS if corpus.split(name)},
        warnings=tuple(check.sentence for check in examine(corpus, quick=True).of("warning", "wrong")),
    )


def counts(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Dialogues, utterances and classes of each split, as studies note them."""
    splits = {name: _summary(corpus, name) for name in SPLITS if corpus.split(name)}
    return {name: split.model_dump(include={"dialogues", "utterances", "classes"}) for name, split in splits.items()}


def _summary(corpus: Corpus, split: Split) -> SplitSummary:
    rows = corpus.rows(split)
    lengths = [len(dialogue) for dialogue in corpus.split(split)]
    counts = corpus.label_counts(split)
    speakers = set(corpus.speakers[rows])
    return SplitSummary(
        dialogues=len(lengths),
        utterances=len(rows),
        classes={label: int(count) for label, count in zip(corpus.card.labels, counts, strict=True)},
        unlabelled=len(rows) - int(counts.sum()),
        shortest=min(lengths),
        median=float(np.median(lengths)),
        longest=max(lengths),
        speakers=len(speakers),
        unseen_speakers=len(speakers - set(corpus.speakers[corpus.rows("train")])),
        missing={name: int((~corpus.present(name)[rows]).sum()) for name in corpus.card.modalities},
    )
