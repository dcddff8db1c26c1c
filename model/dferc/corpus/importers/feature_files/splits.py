"""The published splits, restored out of what the files call train and test, and held against it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from dferc.corpus.contract import Split
from dferc.corpus.importers.feature_files.dialogues import SPLIT_ROLES, Dialogues, Id, official_split, plain_id
from dferc.corpus.importers.feature_files.fields import corpus_of
from dferc.corpus.importers.feature_files.recognition import Recognised
from dferc.corpus.published import IEMOCAP_VALIDATION
from dferc.corpus.tables import refuse
from dferc.errors import UserError

SAY_SPLITS = "name the file of each split, as in --split train=FILE"
MELD_NOTE = "train, validation and test as published, by the dialogues' numbers: 0-1038, 1039-1152 and 1153-1432"


def splits_of(dialogues: Dialogues) -> tuple[dict[Id, Split], str]:
    """The split of every dialogue, and how it was made; no seed has a part in it.

    Raises:
        UserError: the file's splits overlap, leave dialogues out, or are not the published ones; all are named.
    """
    source = dialogues.source
    refuse(source.where, (p for role in SPLIT_ROLES for p in _id_problems(role, source)))
    given = {role: {plain_id(d) for d in source.values[role]} for role in SPLIT_ROLES if role in source.values}
    if not given.get("validation"):
        given.pop("validation", None)
    problems = [*_partition_problems(dialogues, given), *_published_problems(dialogues, given)]
    refuse(source.where, problems)
    if source.corpus == "meld":
        note = MELD_NOTE if "validation" in given else f"{MELD_NOTE}; validation was restored out of the file's train"
        return {dialogue: official_split("meld", dialogue) or "train" for dialogue in dialogues.ids}, note
    return _iemocap(dialogues, given)


def split_files(sources: Sequence[Recognised], chosen: Mapping[Split, Path]) -> dict[Path, Split]:
    """Which split each file holds whose layout has a file for every split, and no file says which it is.

    Args:
        sources: all files.
        chosen: what the user says; where it is silent, whole files are told by their numbers of dialogues.

    Raises:
        UserError: it is ambiguous, or the user speaks of files that say their splits themselves.
    """
    parts = [source for source in sources if source.layout.form == "utterances"]
    said = {path.resolve(): split for split, path in chosen.items()}
    if len(said) < len(chosen):
        raise UserError(f"one file cannot be several splits: {', '.join(f'{s} is {p}' for s, p in chosen.items())}")
    others = said.keys() - {part.file.path for part in parts}
    if others:
        raise UserError(f"{min(others)} says its splits itself: leave it out of the choice of splits")
    found = {part.file.path: said.get(part.file.path) or _by_size(part) for part in parts}
    refuse("this set of DAG-ERC's files", _file_problems(parts, found))
    return {path: split for path, split in found.items() if split}


def one_split(dialogues: Dialogues, split: Split) -> tuple[dict[Id, Split], str]:
    """Every dialogue in the split that its file is, and how the splits were made.

    Raises:
        UserError: dialogues of IEMOCAP are not where session 5 says; the first are named.
    """
    corpus = dialogues.source.corpus
    strange = {
        d for d in dialogues.ids if corpus == "iemocap" and (official_split(corpus, d) == split) != (split == "test")
    }
    refuse(dialogues.source.where, _each(strange, f"is in the file of {split}, but test is session 5 as published"))
    own = dialogues.source.layout.own_validation
    note = f"test is session 5; validation is {own}" if own else "as published: train, dev (here validation) and test"
    return dict.fromkeys(dialogues.ids, split), note


def _by_size(part: Recognised) -> Split | None:
    sizes = part.layout.dialogues or {}
    return next((split for split, size in sizes.items() if size == _size(part)), None)


def _size(part: Recognised) -> int:
    return len(part.values["texts"])


def _file_problems(parts: Sequence[Recognised], found: Mapping[Path, Split | None]) -> Iterator[str]:
    for part in parts:
        if found[part.file.path] is None:
            whole = ", ".join(f"{size} of {split}" for split, size in (part.layout.dialogues or {}).items())
            yield (
                f"{part.file.path} does not say which split it is: it has {_size(part)} dialogues where whole files "
                f"have {whole}; {SAY_SPLITS}"
            )
    for first, second in combinations(parts, 2):
        split = found[first.file.path]
        if split and split == found[second.file.path]:
            yield f"{first.file.path} and {second.file.path} are both {split}: {SAY_SPLITS}"


def _id_problems(role: Split, source: Recognised) -> Iterator[str]:
    strange: list[Any] = [d for d in source.values.get(role, ()) if corpus_of(d) != source.corpus]
    if strange:
        yield f"its {role} list has {str(strange[0])[:40]!r}, which is no dialogue of {source.corpus.upper()}"


def _partition_problems(dialogues: Dialogues, given: Mapping[Split, set[Id]]) -> Iterator[str]:
    for first, second in combinations(given, 2):
        yield from _each(given[first] & given[second], f"is in both {first} and {second}")
    for split, ids in given.items():
        yield from _each(ids - set(dialogues.ids), f"is in the file's {split} list but has no utterances")
    yield from _each(set(dialogues.ids).difference(*given.values()), "has utterances but is in no split of the file")


def _published_problems(dialogues: Dialogues, given: Mapping[Split, set[Id]]) -> Iterator[str]:
    """Published test and validation dialogues elsewhere, or others in test; train may hold validation yet."""
    cut = "validation" not in given
    for split, ids in given.items():
        for dialogue in sorted(ids, key=str):
            right = official_split(dialogues.source.corpus, dialogue)
            allowed = "train" if cut and right == "validation" else right
            if right and split != allowed:
                yield f"dialogue {dialogue!r} is in the file's {split} list, but belongs to {right} as published"
            elif split == "test" and right is None:
                yield f"dialogue {dialogue!r} is in the file's test list, but test is session 5 as published"


def _each(ids: set[Id], problem: str) -> Iterator[str]:
    return (f"dialogue {dialogue!r} {problem}" for dialogue in sorted(ids, key=str))


def _iemocap(dialogues: Dialogues, given: Mapping[Split, set[Id]]) -> tuple[dict[Id, Split], str]:
    published = set(dialogues.ids).intersection(IEMOCAP_VALIDATION)
    held_out = given.get("validation", published)
    splits: dict[Id, Split] = {
        dialogue: official_split("iemocap", dialogue) or ("validation" if dialogue in held_out else "train")
        for dialogue in dialogues.ids
    }
    return splits, f"test is session 5; {_validation_note(dialogues, given, published)}"


def _validation_note(dialogues: Dialogues, given: Mapping[Split, set[Id]], published: set[Id]) -> str:
    if "validation" in given:
        own = dialogues.source.layout.own_validation or "the file's own"
        return "validation is COSMIC's, as in the file" if given["validation"] == published else f"validation is {own}"
    if not published:
        return "there is no validation, as none of COSMIC's 12 validation dialogues is in the file and no seed cuts one"
    part = f"the {len(published)} of COSMIC's 12 dialogues that are in the file"
    held_out = "COSMIC's 12 dialogues" if len(published) == len(IEMOCAP_VALIDATION) else part
    return f"validation is {held_out}, cut out of the file's train"
