"""A recognised file's fields held against one another: the same dialogues in each, as long in each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dferc.corpus.contract import Split
from dferc.corpus.importers.feature_files.fields import corpus_of, kind_of
from dferc.corpus.importers.feature_files.layout import Name
from dferc.corpus.importers.feature_files.recognition import Recognised
from dferc.corpus.published import IEMOCAP_TEST_SESSION, MELD_TEST_IDS, MELD_TRAIN_IDS, MELD_VALIDATION_IDS
from dferc.corpus.tables import refuse

Id = str | int
SPLIT_ROLES: tuple[Split, ...] = ("train", "test", "validation")
MELD_IDS: Mapping[Split, range] = {"train": MELD_TRAIN_IDS, "validation": MELD_VALIDATION_IDS, "test": MELD_TEST_IDS}


@dataclass(frozen=True)
class Dialogues:
    """Fields keyed by dialogue, of equal dialogues and lengths."""

    source: Recognised
    ids: tuple[Id, ...]
    """Sorted."""
    lengths: tuple[int, ...]
    """Utterances of each."""
    fields: Mapping[str, Mapping[Id, Sequence[Any]]]
    """Modality or role, dialogue, utterance."""

    def of(self, key: str) -> Iterator[tuple[Id, Sequence[Any]]]:
        """Each dialogue with its entries of one field."""
        field = self.fields[key]
        return ((dialogue, field[dialogue]) for dialogue in self.ids)


def dialogues_of(source: Recognised) -> Dialogues:
    """The fields of a file.

    Raises:
        UserError: they have other dialogues, or other numbers of utterances in one; the first are named.
    """
    fields = {key: value for key, value in source.values.items() if key not in SPLIT_ROLES and value is not None}
    strange = (problem for key, field in fields.items() for problem in _key_problems(key, field, source))
    refuse(source.where, dict.fromkeys(strange))
    keyed = {key: {plain_id(d): entries for d, entries in field.items()} for key, field in fields.items()}
    reference = next((key for key in keyed if key.startswith("label")), next(iter(keyed)))
    refuse(
        source.where, (p for key, field in keyed.items() for p in _set_problems(source, key, field, reference, keyed))
    )
    ids = tuple(sorted(keyed[reference], key=lambda dialogue: (str(type(dialogue)), dialogue)))
    refuse(source.where, (problem for d in ids if (problem := _length_problem(source, d, keyed))))
    return Dialogues(source, ids, tuple(len(keyed[reference][d]) for d in ids), keyed)


def plain_id(dialogue: Any) -> Id:
    """A dialogue's id without numpy's types."""
    return int(dialogue) if isinstance(dialogue, int | np.integer) else str(dialogue)


def official_split(corpus: Name, dialogue: Id) -> Split | None:
    """The published split that an id tells: MELD's of every dialogue, IEMOCAP's only for test."""
    if isinstance(dialogue, int):
        return next((split for split, ids in MELD_IDS.items() if dialogue in ids), None)
    return "test" if dialogue.startswith(IEMOCAP_TEST_SESSION) else None


def corpus_name(dialogue: Id) -> str:
    """A dialogue's id in a corpus: as it is in IEMOCAP, and as ``import_meld`` names it, from its number, in MELD."""
    if isinstance(dialogue, str):
        return dialogue
    split = next(split for split, ids in MELD_IDS.items() if dialogue in ids)
    return f"{split}-{dialogue - MELD_IDS[split].start:04d}"


def _key_problems(key: str, field: Mapping[Any, Any], source: Recognised) -> Iterator[str]:
    name = source.names[key]
    for dialogue, entries in field.items():
        if corpus_of(dialogue) != source.corpus:
            yield f"{name} has the dialogue id {str(dialogue)[:40]!r}, which is none of {source.corpus.upper()}"
        elif isinstance(dialogue, int | np.integer) and official_split(source.corpus, int(dialogue)) is None:
            yield f"dialogue {dialogue} is none of MELD's, which are numbered 0 to {MELD_TEST_IDS.stop - 1}"
        elif not (isinstance(entries, list | tuple) or (isinstance(entries, np.ndarray) and entries.ndim)):
            yield f"{name} of dialogue {dialogue!r} is {kind_of(entries)} where a list of utterances is expected"


def _set_problems(
    source: Recognised, key: str, field: Mapping[Id, Any], reference: str, keyed: Mapping[str, Mapping[Id, Any]]
) -> Iterator[str]:
    expected = keyed[reference]
    for problem, ids in (("lacks", expected.keys() - field.keys()), ("alone has", field.keys() - expected.keys())):
        if ids:
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            first = min(ids, key=str)
            yield f"{source.names[key]} {problem} dialogue {first!r}{more}, compared with {source.names[reference]}"


def _length_problem(source: Recognised, dialogue: Id, keyed: Mapping[str, Mapping[Id, Sequence[Any]]]) -> str | None:
    lengths = {source.names[key]: len(field[dialogue]) for key, field in keyed.items()}
    if len(set(lengths.values())) == 1:
        return None if any(lengths.values()) else f"dialogue {dialogue!r} has no utterances"
    counts = ", ".join(f"{length} of {name}" for name, length in lengths.items())
    return f"dialogue {dialogue!r} has unequal numbers of utterances: {counts}"
