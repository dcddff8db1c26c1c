"""Speakers, named no more precisely than a file knows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dferc.corpus.importers.feature_files.dialogues import Dialogues
from dferc.corpus.importers.feature_files.fields import IEMOCAP_PERSON
from dferc.corpus.importers.feature_files.layout import PARTIES, Role
from dferc.corpus.importers.feature_files.vectors import table
from dferc.corpus.tables import refuse, repaired

SPEAKER_ROLES: tuple[Role, ...] = ("genders", "parties", "numbered parties", "people")
PERSON = "the person: IEMOCAP has one woman and one man in each session, so Ses02_F is the woman of session 2"
PARTY = (
    "party of one dialogue, as in the file (MELD's are numbered by first appearance inside the dialogue): "
    "the same person has other names in other dialogues"
)
CHARACTER = "a character's name; minor ones share names such as Woman over dialogues"


def speakers(dialogues: Dialogues, names: Mapping[Any, str]) -> tuple[list[str], str]:
    """Who speaks each utterance [N], and what such a name means.

    Args:
        dialogues: a file with speakers.
        names: the dialogues' ids in the corpus.

    Raises:
        UserError: entries are no speakers; the first are named.
    """
    role = next(role for role in SPEAKER_ROLES if role in dialogues.fields)
    found: list[str] = []
    problems = []
    for dialogue, entries in dialogues.of(role):
        named = _named(role, entries, str(dialogue), names[dialogue])
        if isinstance(named, str):
            problems.append(f"speakers of dialogue {dialogue!r} {named}")
        else:
            found += named
    refuse(dialogues.source.where, problems)
    return found, _note(role, found[0])


def _named(role: Role, entries: Sequence[Any], dialogue: str, name: str) -> list[str] | str:
    """Names, or what is wrong."""
    if role == "parties":
        return _parties(entries, name)
    if role == "people":
        return _people(entries)
    values = list(entries)
    if all(isinstance(v, str) and v in ("M", "F") for v in values):
        return [f"{dialogue[:5]}_{gender}" for gender in values]
    if role == "numbered parties" and all(isinstance(v, int | np.integer) for v in values):
        return [f"{name}/party-{int(v)}" for v in values]
    strange = next(v for v in values if not (isinstance(v, str) and v in ("M", "F")))
    return f"have {str(strange)[:40]!r} where M or F are expected"


def _parties(entries: Sequence[Any], name: str) -> list[str] | str:
    rows = table(entries, PARTIES)
    if rows is None or not (((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all()):
        return f"are no one-hot rows of {PARTIES}"
    return [f"{name}/party-{party}" for party in rows.argmax(axis=1)]


def _people(entries: Sequence[Any]) -> list[str] | str:
    if not all(isinstance(entry, str) and entry.strip() for entry in entries):
        return "have no name in some utterances"
    return [_person(entry) for entry in entries]


def _person(entry: str) -> str:
    known = IEMOCAP_PERSON.fullmatch(entry)
    return f"{entry[:5]}_{known[2]}" if known else repaired(entry).strip()


def _note(role: Role, example: str) -> str:
    if "/party-" in example:
        return PARTY
    return CHARACTER if role == "people" and not example.startswith("Ses") else PERSON
