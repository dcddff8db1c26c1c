"""Every form of a feature file turned into fields keyed by dialogue, so that one reader serves all."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dferc.corpus.importers.feature_files.byte_strings import as_texts
from dferc.corpus.importers.feature_files.layout import Form, Name

IEMOCAP_DIALOGUE = re.compile(r"Ses0[1-5][FM]_\w+")
IEMOCAP_PERSON = re.compile(r"(Ses0[1-5][FM]_\w+)_([FM])")
SAMPLE_ID = "vid"
MOST_FIELDS = 100
"""Of anything that is worth comparing with layouts of 9 to 14."""


@dataclass(frozen=True)
class Fields:
    """What a file holds, field by field; names only where the file has them."""

    form: Form
    values: tuple[Any, ...]
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """What is unlike every known layout although the fields could be told apart."""


def corpus_of(dialogue: object) -> Name | None:
    """Whose dialogues have ids of this kind."""
    if isinstance(dialogue, str):
        return "iemocap" if IEMOCAP_DIALOGUE.fullmatch(dialogue) else None
    return "meld" if isinstance(dialogue, int | np.integer) and not isinstance(dialogue, bool) else None


def fields_of(content: Any) -> Fields:
    """The fields of a file's content, without byte strings; none where it has no form of a feature file."""
    found = _fields_of(content)
    return replace(found, values=tuple(map(as_texts, found.values)))


def _fields_of(content: Any) -> Fields:
    if isinstance(content, Mapping):
        return _of_mapping(content)
    if isinstance(content, list | tuple):
        if _hold_records(content):
            return _of_dialogues(content)
        if len(content) <= MOST_FIELDS:
            return Fields("fields", tuple(content))
    size = f" of {len(content)} entries" if isinstance(content, list | tuple) else ""
    remark = f"it holds {kind_of(content)}{size} where a sequence of fields is expected"
    return Fields("fields", (), remarks=(remark,))


def _of_mapping(content: Mapping[Any, Any]) -> Fields:
    if _hold_records(content.values()) or (content and all(map(_are_records, content.values()))):
        return _of_samples(content)
    if any(isinstance(value, Mapping) for value in content.values()):
        remark = "its fields are in a dictionary where a tuple or list is expected"
        return Fields("fields", tuple(content.values()), remarks=(remark,))
    return Fields("vectors", (content,))


def _are_records(values: Any) -> bool:
    """Whether these are the utterances of a dialogue, or the samples of a split, with names for what they have."""
    return isinstance(values, list | tuple) and all(isinstance(value, Mapping) for value in values)


def _hold_records(values: Iterable[Any]) -> bool:
    return any(_are_records(inside) and inside for inside in values)


def _of_samples(content: Mapping[Any, Any]) -> Fields:
    """Lists of samples by split: a field for everything that a sample has, and the ids of each split."""
    whole = {str(split): samples for split, samples in content.items() if _are_records(samples)}
    samples = [sample for given in whole.values() for sample in given]
    names = list(dict.fromkeys(key for sample in samples for key in sample if key != SAMPLE_ID))
    ids = [_hashable(sample.get(SAMPLE_ID)) for sample in samples]
    fields = {
        str(name): {i: sample[name] for i, sample in zip(ids, samples, strict=True) if name in sample} for name in names
    }
    splits = {split: [_hashable(sample.get(SAMPLE_ID)) for sample in given] for split, given in whole.items()}
    together = fields | splits
    repeated = len(ids) - len(set(ids))
    remarks = (f"{repeated} of its samples repeat or lack the {SAMPLE_ID} of a dialogue",) if repeated else ()
    return Fields("samples", tuple(together.values()), tuple(together), remarks)


def _of_dialogues(content: Sequence[Sequence[Mapping[str, Any]]]) -> Fields:
    """Lists of utterances: a field for everything that an utterance has, null where one lacks it.

    A dialogue's id is in the names of IEMOCAP's speakers; elsewhere it is the position in the file.
    """
    whole = [dialogue for dialogue in content if _are_records(dialogue)]
    names = list(dict.fromkeys(str(key) for dialogue in whole for utterance in dialogue for key in utterance))
    ids: list[Any] = [_dialogue_of(dialogue) for dialogue in whole]
    if None in ids:
        ids = list(range(len(whole)))
    counts = {
        "dialogues are no lists of utterances with names for what they have": len(content) - len(whole),
        "dialogues have speakers that were in an earlier one": len(ids) - len(set(ids)),
    }
    remarks = tuple(f"{count} of its {strange}" for strange, count in counts.items() if count)
    fields = {
        name: {i: [u.get(name) for u in dialogue] for i, dialogue in zip(ids, whole, strict=True)} for name in names
    }
    return Fields("utterances", tuple(fields.values()), tuple(fields), remarks)


def _dialogue_of(utterances: Sequence[Mapping[str, Any]]) -> str | None:
    people = [IEMOCAP_PERSON.fullmatch(str(utterance.get("speaker"))) for utterance in utterances]
    dialogues = {person[1] if person else None for person in people}
    return dialogues.pop() if len(dialogues) == 1 else None


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | np.integer) else repr(value)[:40]


def kind_of(value: Any) -> str:
    """What a value is, in words, for a sentence that says what was found."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, Collection) and not value:
        return f"an empty {type(value).__name__}"
    return f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
