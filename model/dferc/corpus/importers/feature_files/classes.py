"""Labels by name: what a file's numbers or words mean, and whether whole files bear it out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dferc.corpus.contract import SPLITS, Split
from dferc.corpus.importers.feature_files.dialogues import Dialogues, Id
from dferc.corpus.importers.feature_files.fields import kind_of
from dferc.corpus.published import PUBLISHED
from dferc.corpus.tables import refuse

SENTIMENTS: Mapping[int | str, str] = {0: "neutral", 1: "positive", 2: "negative"}
"""Of MELD's files."""


def labels(dialogues: Dialogues) -> np.ndarray:
    """Index [N] of each utterance's class into the published order, -1 where it has none.

    Raises:
        UserError: entries are no labels of the layout; the first are named.
    """
    layout = dialogues.source.layout
    key = "label names" if "label names" in dialogues.fields else "labels"
    published = PUBLISHED[dialogues.source.corpus].labels
    index = {entry: published.index(name) for entry, name in (layout.label_names or {}).items()}
    if key not in dialogues.fields:
        return np.full(sum(dialogues.lengths), -1)
    optional = key == "label names"
    found = [[_index(entry, index, optional) for entry in entries] for _, entries in dialogues.of(key)]
    known = _known(layout.label_names or {})
    wrong = (
        f"label {_shown(entry)} of dialogue {dialogue!r}, utterance {turn}, is none of {known}"
        for (dialogue, entries), row in zip(dialogues.of(key), found, strict=True)
        for turn, (entry, label) in enumerate(zip(entries, row, strict=True))
        if label is None
    )
    refuse(dialogues.source.where, wrong)
    return np.array([label for row in found for label in row], dtype=np.int64)


def sentiment_problems(dialogues: Dialogues) -> Iterator[str]:
    """Sentiments that are none, one of each dialogue: they are not imported, but emotions may stand in their place."""
    index = dict.fromkeys(SENTIMENTS, 0)
    for dialogue, entries in dialogues.of("sentiments"):
        strange = [entry for entry in entries if _index(entry, index, optional=False) is None]
        if strange:
            name, known = dialogues.source.names["sentiments"], _known(SENTIMENTS)
            yield f"{name} of dialogue {dialogue!r} has {_shown(strange[0])}, which is none of {known}"


def order_problem(dialogues: Dialogues, found: np.ndarray, splits: Mapping[Id, Split]) -> str | None:
    """What the class counts of the splits that are whole say against the order of numbered labels [N]."""
    published = PUBLISHED[dialogues.source.corpus]
    of_row = np.repeat([splits[d] for d in dialogues.ids], dialogues.lengths)
    for split in SPLITS:
        if Counter(splits.values())[split] != published.dialogues[split]:
            continue
        counts = np.bincount(found[(of_row == split) & (found >= 0)], minlength=len(published.labels)).tolist()
        expected = published.classes[split]
        if tuple(counts) != expected and sorted(counts) == sorted(expected):
            order = _listed(published.labels[expected.index(count)] for count in counts)
            right = _listed(published.labels)
            return f"its labels must be {right}, but the published class counts of {split} say that they are {order}"
        absent = [f"{i} ({published.labels[i]})" for i, count in enumerate(counts) if not count]
        if absent:
            return f"all of {split} is there, yet no label {', '.join(absent)}: its classes must be others or fewer"
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{i} {name}" for i, name in enumerate(names))


def _index(entry: Any, index: Mapping[Any, int], optional: bool) -> int | None:
    if entry is None and optional:
        return -1
    plain = isinstance(entry, str | int | np.integer) and not isinstance(entry, bool)
    return index.get(entry) if plain else None


def _known(names: Mapping[int | str, str]) -> str:
    return ", ".join(str(entry) if entry == name else f"{entry} ({name})" for entry, name in names.items())


def _shown(entry: Any) -> str:
    if isinstance(entry, str):
        return repr(entry)[:40]
    return str(entry)[:40] if isinstance(entry, int | float | np.number) else kind_of(entry)
