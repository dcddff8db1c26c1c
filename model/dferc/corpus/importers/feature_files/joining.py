"""Several files of one corpus made one: files of one split each laid end to end, the others side by side."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dferc.corpus.importers.feature_files.content import Content, Talk
from dferc.corpus.importers.feature_files.vectors import Vectors
from dferc.corpus.tables import refuse
from dferc.errors import UserError


@dataclass(frozen=True)
class Joined:
    """What all files together know."""

    lengths: Mapping[str, int]
    """Utterances of each dialogue."""
    talk: Talk
    vectors: Mapping[str, Vectors]
    contents: tuple[Content, ...]
    notes: tuple[str, ...]


def joined(contents: Sequence[Content]) -> Joined:
    """Files of the same dialogues; refined vectors replace the original ones of the same modality.

    Raises:
        UserError: they are of different corpora, dialogues, lengths, labels or splits, two give the same modality,
            or none has labels.
    """
    _refuse_unjoinable(contents)
    if contents[0].source.layout.form == "utterances":
        return _end_to_end(contents)
    ranked = sorted(contents, key=lambda content: (content.talk is None, content.source.layout.rank))
    refuse("the join of the feature files", (p for c in ranked[1:] for p in _differences(ranked[0], c)))
    talks = [(content, content.talk) for content in ranked if content.talk]
    talk = talks[0][1]
    split_by = next((other for content, other in talks if _has_validation(content)), talk)
    chosen, replaced = _chosen(contents)
    return Joined(
        lengths=ranked[0].lengths,
        talk=replace(talk, splits=split_by.splits, split_note=split_by.split_note),
        vectors=chosen,
        contents=tuple(contents),
        notes=(*_notes(contents), *replaced),
    )


def _notes(contents: Sequence[Content]) -> tuple[str, ...]:
    """With the file that each is about, where there are several."""
    several = len(contents) > 1
    return tuple(
        f"{content.source.file.path.name}: {note}" if several else note
        for content in contents
        for note in content.notes
    )


def _has_validation(content: Content) -> bool:
    """Whether the file says itself which dialogues are for validation."""
    return len(content.source.values.get("validation", ())) > 0


def _refuse_unjoinable(contents: Sequence[Content]) -> None:
    corpora = {content.source.corpus: content for content in contents}
    if len(corpora) > 1:
        named = " and ".join(f"{content.source.where} of {name.upper()}" for name, content in corpora.items())
        raise UserError(f"the feature files are of different corpora, {named}: give those of one")
    forms = {content.source.layout.form == "utterances" for content in contents}
    if len(forms) > 1:
        raise UserError("DAG-ERC's files hold utterances that no other file has: give them alone")
    if not any(content.talk for content in contents):
        lone = (f"{c.source.where} has no labels: give it together with {c.source.layout.belongs_to}" for c in contents)
        refuse("this set of feature files", lone)


def _end_to_end(parts: Sequence[Content]) -> Joined:
    """Files that each hold one split."""
    counted = Counter(dialogue for part in parts for dialogue in part.lengths)
    repeated = (d for d, count in counted.items() if count > 1)
    refuse("this set of feature files", (f"dialogue {dialogue!r} is in more than one file" for dialogue in repeated))
    talks = [part.talk for part in parts if part.talk]
    vectors = {
        modality: Vectors(
            np.concatenate([part.vectors[modality].values for part in parts]),
            np.concatenate([part.vectors[modality].present for part in parts]),
            found.extractor,
        )
        for modality, found in parts[0].vectors.items()
    }
    talk = replace(
        talks[0],
        labels=np.concatenate([t.labels for t in talks]),
        speakers=[name for t in talks for name in t.speakers],
        texts=[text for t in talks for text in t.texts],
        turns=np.concatenate([t.turns for t in talks]),
        splits={d: split for t in talks for d, split in t.splits.items()},
    )
    lengths = {d: length for part in parts for d, length in part.lengths.items()}
    return Joined(lengths, talk, vectors, tuple(parts), _notes(parts))


def _differences(first: Content, other: Content) -> Iterator[str]:
    """Why two files cannot be of the same conversations."""
    pair = f"{first.source.file.path.name} and {other.source.file.path.name}"
    for one, two in ((first, other), (other, first)):
        lacking = sorted(one.lengths.keys() - two.lengths.keys())
        if lacking:
            ours, theirs = two.source.where, one.source.where
            yield f"{ours} lacks {len(lacking)} dialogues of {theirs}, the first is {lacking[0]!r}"
    unequal = [d for d, length in first.lengths.items() if other.lengths.get(d, length) != length]
    for dialogue in unequal:
        yield (
            f"dialogue {dialogue!r} has {first.lengths[dialogue]} utterances in {first.source.file.path.name} and "
            f"{other.lengths[dialogue]} in {other.source.file.path.name}"
        )
    if first.talk and other.talk and first.lengths == other.lengths:
        yield from _talk_differences(pair, first, first.talk, other, other.talk)


def _talk_differences(pair: str, first: Content, one: Talk, other: Content, two: Talk) -> Iterator[str]:
    differ = np.flatnonzero(one.labels != two.labels)
    if len(differ):
        dialogues = np.repeat(list(first.lengths), list(first.lengths.values()))
        yield f"{len(differ)} labels differ in {pair}, the first in dialogue {str(dialogues[differ[0]])!r}"
    both_say = _has_validation(first) and _has_validation(other)
    moved = [
        dialogue
        for dialogue, split in one.splits.items()
        if split != two.splits[dialogue] and (both_say or "test" in (split, two.splits[dialogue]))
    ]
    for dialogue in moved:
        first_split, second_split = one.splits[dialogue], two.splits[dialogue]
        yield f"dialogue {dialogue!r} is {first_split} in the first and {second_split} in the second of {pair}"


def _chosen(contents: Sequence[Content]) -> tuple[dict[str, Vectors], tuple[str, ...]]:
    """Each modality from the file of the highest rank, and a sentence on each that gave way."""
    owners: dict[str, Content] = {}
    notes, problems = [], []
    for content in sorted(contents, key=lambda content: content.source.layout.rank):
        for modality in content.vectors:
            earlier = owners.get(modality)
            if earlier and earlier.source.layout.rank == content.source.layout.rank:
                problems.append(
                    f"{earlier.source.where} and {content.source.where} both have {modality}: give one of them"
                )
            elif earlier:
                notes.append(
                    f"{modality} of {earlier.source.layout.name} gave way to that of {content.source.layout.name}"
                )
            owners[modality] = content
    refuse("this set of feature files", problems)
    return {modality: content.vectors[modality] for modality, content in owners.items()}, tuple(notes)
