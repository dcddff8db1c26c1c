"""What is said in each utterance and at which turn."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dferc.corpus.importers.feature_files.dialogues import Dialogues
from dferc.corpus.importers.feature_files.fields import kind_of
from dferc.corpus.tables import refuse, repaired

UTTERANCE_NUMBER = re.compile(r"(?:.*utt)?(\d{1,6})", re.IGNORECASE)
"""MELD's clips are called ``dia{D}_utt{U}``; IEMOCAP's names count each speaker's turns, so they tell no order."""


def texts(dialogues: Dialogues) -> tuple[list[str], tuple[str, ...]]:
    """Each utterance's transcript [N] in a sound encoding, and a sentence on those that had a broken one.

    Raises:
        UserError: entries are no texts; the first are named.
    """
    wrong = (
        f"text of dialogue {dialogue!r}, utterance {turn}, is {kind_of(entry)}"
        for dialogue, entries in dialogues.of("texts")
        for turn, entry in enumerate(entries)
        if not isinstance(entry, str)
    )
    refuse(dialogues.source.where, wrong)
    found = [str(entry) for _, entries in dialogues.of("texts") for entry in entries]
    sound = [repaired(text) for text in found]
    mended = sum(before != after for before, after in zip(found, sound, strict=True))
    return sound, (f"{mended} texts in a broken encoding were repaired",) if mended else ()


def turns(dialogues: Dialogues) -> np.ndarray:
    """Turn of each utterance [N]: MELD's utterance numbers, which have gaps, where a file has them; else the place."""
    utterance_ids = dialogues.fields.get("utterance ids", {}) if dialogues.source.corpus == "meld" else {}
    found = (
        _numbers(utterance_ids.get(dialogue, ())) or range(length)
        for dialogue, length in zip(dialogues.ids, dialogues.lengths, strict=True)
    )
    return np.array([turn for numbers in found for turn in numbers], dtype=np.int32)


def _numbers(ids: Sequence[Any]) -> list[int]:
    """The utterance numbers in a dialogue's ids; nothing where they are none, or do not rise."""
    matches = [UTTERANCE_NUMBER.fullmatch(str(i)) for i in ids if isinstance(i, str | int | np.integer)]
    numbers = [int(match[1]) for match in matches if match]
    rising = all(first < second for first, second in pairwise(numbers))
    return numbers if rising and len(numbers) == len(ids) else []
