"""One recognised file read in full: utterances in the order of dialogues, with what the file knows of each."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dferc.corpus.contract import Split
from dferc.corpus.importers.feature_files.classes import labels, order_problem, sentiment_problems
from dferc.corpus.importers.feature_files.dialogues import Dialogues, Id, corpus_name, dialogues_of
from dferc.corpus.importers.feature_files.people import speakers
from dferc.corpus.importers.feature_files.recognition import Recognised
from dferc.corpus.importers.feature_files.splits import one_split, splits_of
from dferc.corpus.importers.feature_files.transcripts import texts, turns
from dferc.corpus.importers.feature_files.vectors import Vectors, stacked
from dferc.corpus.tables import refuse


@dataclass(frozen=True)
class Talk:
    """What a file knows of the utterances besides their vectors."""

    labels: np.ndarray
    """[N], -1 where there is none."""
    speakers: list[str]
    speaker_note: str
    texts: list[str]
    turns: np.ndarray
    """[N]."""
    splits: Mapping[str, Split]
    """By dialogue."""
    split_note: str


@dataclass(frozen=True)
class Content:
    """A file's utterances, dialogue after dialogue."""

    source: Recognised
    lengths: Mapping[str, int]
    """Utterances of each dialogue, by its id in the corpus."""
    vectors: Mapping[str, Vectors]
    talk: Talk | None
    """None where a file has vectors only."""
    notes: tuple[str, ...] = ()
    """What was mended, a sentence each."""


def content_of(source: Recognised, split: Split | None = None) -> Content:
    """Everything in one file.

    Args:
        source: a file of a known layout.
        split: which split the whole file is, where a file is one.

    Raises:
        UserError: it is not what its layout says; the problems are named.
    """
    dialogues = dialogues_of(source)
    names = {d: _part_name(d, split) if split else corpus_name(d) for d in dialogues.ids}
    vectors = {field.modality: stacked(dialogues, field) for field in source.layout.modalities}
    lengths = {names[d]: length for d, length in zip(dialogues.ids, dialogues.lengths, strict=True)}
    notes = tuple(note for found in vectors.values() for note in found.notes)
    if source.layout.label_names is None:
        return Content(source, lengths, vectors, None, notes)
    talk, mended = _talk(dialogues, names, split)
    return Content(source, lengths, vectors, talk, (*notes, *mended))


def _part_name(dialogue: Id, split: Split) -> str:
    """Of files that do not number MELD's dialogues, so that no number of MELD's is claimed."""
    return dialogue if isinstance(dialogue, str) else f"{split}-place-{dialogue:04d}"


def _talk(dialogues: Dialogues, names: Mapping[Id, str], split: Split | None) -> tuple[Talk, tuple[str, ...]]:
    said, mended = texts(dialogues)
    splits, note = one_split(dialogues, split) if split else splits_of(dialogues)
    refuse(dialogues.source.where, sentiment_problems(dialogues) if "sentiments" in dialogues.fields else ())
    found = labels(dialogues)
    problem = None if split else order_problem(dialogues, found, splits)
    refuse(dialogues.source.where, [problem] if problem else [])
    people, speaker_note = speakers(dialogues, names)
    by_name = {names[dialogue]: of_dialogue for dialogue, of_dialogue in splits.items()}
    return Talk(found, people, speaker_note, said, turns(dialogues), by_name, note), mended
