"""Classes: whether they are there, and whether their counts are those that are published of the corpus."""

from collections.abc import Iterator

import numpy as np

from dferc.corpus.contract import SPLITS
from dferc.corpus.doctor.check import Check, Found, warnings_or_good
from dferc.corpus.published import PUBLISHED, Published
from dferc.corpus.store import Corpus

FITS_BETTER = 10
"""Times by which other names must fit the published counts better before the labels count as exchanged."""

COUNTS, ORDER, DIALOGUES = "class counts", "label order", "number of dialogues"


def absent_classes(corpus: Corpus) -> list[Check]:
    """Whether every split that has labels has every class."""
    return warnings_or_good("absent classes", _absent_classes(corpus), "every labelled split has every class")


def unlabelled(corpus: Corpus) -> list[Check]:
    """Whether utterances, or whole dialogues, have no label."""
    return warnings_or_good("unlabelled", _unlabelled(corpus), "every utterance has a label")


def published_dialogues(corpus: Corpus) -> list[Check]:
    """Whether the splits have as many dialogues as published."""
    published = PUBLISHED.get(corpus.card.name)
    if published is None:
        return []
    differ = [
        (name, f"{name} has {len(corpus.split(name))} dialogues, published are {published.dialogues[name]}")
        for name in SPLITS
        if len(corpus.split(name)) != published.dialogues[name]
    ]
    return warnings_or_good(DIALOGUES, differ, "every split has as many dialogues as published")


def published_counts(corpus: Corpus) -> list[Check]:
    """Whether the classes of each split count what is published, under their own names."""
    published = PUBLISHED.get(corpus.card.name)
    if published is None:
        return [Check(name=COUNTS, verdict="good", sentence=f"nothing is published of a corpus {corpus.card.name!r}")]
    if set(corpus.card.labels) != set(published.labels):
        names = f"the classes are {', '.join(corpus.card.labels)}; published are {', '.join(published.labels)}"
        return [
            Check(name=COUNTS, verdict="warning", sentence=f"{names}: no score can be compared with published ones")
        ]
    found = _counts(corpus, published)
    expected = np.array([published.classes[name] for name in SPLITS])
    exchanged = _exchanged(found, expected, published.labels)
    if exchanged:
        sentence = f"counts fit the published ones when {exchanged}: the labels were read in another order"
        return [Check(name=ORDER, verdict="wrong", sentence=sentence)]
    return [*_order(corpus, published), *_compared(found, expected, published.labels)]


def _counts(corpus: Corpus, published: Published) -> np.ndarray:
    """Utterances [split, class], the classes in published order."""
    order = [corpus.card.labels.index(label) for label in published.labels]
    return np.array([corpus.label_counts(name)[order] for name in SPLITS])


def _order(corpus: Corpus, published: Published) -> list[Check]:
    if corpus.card.labels == published.labels:
        return [Check(name=ORDER, verdict="good", sentence="as in the field's feature files")]
    sentence = f"the labels are numbered {', '.join(corpus.card.labels)}; the field's files number them otherwise"
    return [Check(name=ORDER, verdict="warning", sentence=f"{sentence}, so compare them by name only")]


def _exchanged(found: np.ndarray, expected: np.ndarray, labels: tuple[str, ...]) -> str:
    """How classes [split, class] must be exchanged to fit; empty unless that fits much better than their own names.

    Train and validation count together, so that another validation split hides nothing.
    """
    from scipy.optimize import linear_sum_assignment

    here, there = (np.stack([counts[:2].sum(0), counts[2]]) for counts in (found, expected))
    distances = np.abs(here[:, :, None] - there[:, None, :]).sum(0)
    rows, columns = linear_sum_assignment(distances)
    own, best = int(np.trace(distances)), int(distances[rows, columns].sum())
    if not here.any() or own == 0 or best * FITS_BETTER > own:
        return ""
    moved = [(labels[i], labels[j]) for i, j in zip(rows, columns, strict=True) if i != j]
    if len(moved) == 2:
        return f"{moved[0][0]} and {moved[0][1]} are exchanged"
    return ", ".join(f"{one} is read as {other}" for one, other in moved)


def _compared(found: np.ndarray, expected: np.ndarray, labels: tuple[str, ...]) -> list[Check]:
    total, whole = int(found.sum()), int(expected.sum())
    if np.array_equal(found, expected):
        sentence = f"all {whole} labelled utterances, class by class in each split, as published"
        return [Check(name=COUNTS, verdict="good", sentence=sentence)]
    if np.array_equal(found.sum(0), expected.sum(0)):
        moved = int(np.abs(found - expected).sum()) // 2
        sentence = (
            f"as published over all splits, but {moved} utterances are in other splits: scores cannot be compared"
        )
        return [Check(name=COUNTS, verdict="warning", sentence=sentence)]
    share = f"{total} of {whole} published utterances ({total / whole:.1%})"
    if (found <= expected).all():
        if np.array_equal(found[2], expected[2]):
            return [Check(name=COUNTS, verdict="good", sentence=f"a part of train or validation: {share}; all of test")]
        sentence = (
            f"a part: {share}, {int(found[2].sum())} of {int(expected[2].sum())} of test, so its scores are another's"
        )
        return [Check(name=COUNTS, verdict="warning", sentence=sentence)]
    return warnings_or_good(COUNTS, _surplus(found, expected, labels), "")


def _surplus(found: np.ndarray, expected: np.ndarray, labels: tuple[str, ...]) -> Iterator[Found]:
    for name, here, there in zip(SPLITS, found, expected, strict=True):
        differ = [f"{labels[i]} {here[i]} for {there[i]}" for i in np.flatnonzero(here != there)]
        if differ:
            yield name, f"{name} does not count what is published: {', '.join(differ)}"


def _absent_classes(corpus: Corpus) -> Iterator[Found]:
    for name in SPLITS:
        counts = corpus.label_counts(name)
        absent = ", ".join(label for label, count in zip(corpus.card.labels, counts, strict=True) if not count)
        if absent and counts.any():
            yield name, f"{name} has no utterance of {absent}: merge or drop these classes, or its scores hide them"


def _unlabelled(corpus: Corpus) -> Iterator[Found]:
    for name in SPLITS:
        count = int((corpus.labels[corpus.rows(name)] < 0).sum())
        whole = sum(not (corpus.labels[d.start : d.stop] >= 0).any() for d in corpus.split(name))
        if count:
            lacking = f"{name} has {count} utterances without a label"
            lacking += f", {whole} dialogues have none at all" if whole else ""
            yield name, f"{lacking}: they serve as context only and are not scored"
