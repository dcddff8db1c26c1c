"""What tends to go wrong in corpora: each finding is one sentence that says what, where, and what to do."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from dferc.corpus.contract import SPLITS
from dferc.corpus.store import Corpus

SHORT_TEXT = 4
"""Texts of fewer words ("Yeah.") are expected to recur."""
WIDE_SCALES = 100
"""Ratio of the spreads of two numbers of one vector above which the larger drowns the smaller."""
CONSTANT = 1e-6
"""Spread, in units of the largest, below which a number counts as constant: rounding makes that much."""
MUCH_MISSING = 0.2
"""Share of a split's utterances without a modality above which a person should know."""


def findings(corpus: Corpus) -> tuple[str, ...]:
    """Everything that a person should know before training on a corpus."""
    checks = (
        _empty_splits,
        _class_gaps,
        _unlabelled,
        _shared_texts,
        _missing_modalities,
        _features,
        _turn_gaps,
        _lone_utterances,
    )
    return tuple(finding for check in checks for finding in check(corpus))


def _empty_splits(corpus: Corpus) -> Iterator[str]:
    uses = {
        "train": "nothing can be trained",
        "validation": "no epoch and no hyperparameter can be chosen",
        "test": "nothing can be reported",
    }
    for name in SPLITS:
        if not corpus.split(name):
            yield f"{name} is empty, so {uses[name]}: move whole dialogues into it"


def _class_gaps(corpus: Corpus) -> Iterator[str]:
    for name in SPLITS:
        absent = [
            label for label, count in zip(corpus.card.labels, corpus.label_counts(name), strict=True) if not count
        ]
        if absent and corpus.split(name):
            missing = ", ".join(absent)
            yield f"{name} has no utterance of {missing}: merge or drop these classes, or its scores hide them"


def _unlabelled(corpus: Corpus) -> Iterator[str]:
    for name in SPLITS:
        count = int((corpus.labels[corpus.rows(name)] < 0).sum())
        if count:
            yield f"{name} has {count} utterances without a label: they serve as context only and are not scored"


def _shared_texts(corpus: Corpus) -> Iterator[str]:
    texts = {name: [t for row in corpus.rows(name) if (t := corpus.texts[row].strip().casefold())] for name in SPLITS}
    for first, second in combinations(SPLITS, 2):
        known = set(texts[first])
        shared = [text for text in texts[second] if text in known]
        long = sum(len(text.split()) >= SHORT_TEXT for text in shared)
        if shared:
            yield (
                f"{len(shared)} of {len(texts[second])} texts of {second} occur verbatim in {first}, {long} of them "
                f"with at least {SHORT_TEXT} words: if they are many, report scores without these too"
            )


def _missing_modalities(corpus: Corpus) -> Iterator[str]:
    for modality in corpus.card.modalities:
        present = corpus.present(modality)
        for name in SPLITS:
            rows = corpus.rows(name)
            missing = len(rows) - int(present[rows].sum())
            if len(rows) and missing > MUCH_MISSING * len(rows):
                yield f"{missing} of {len(rows)} utterances of {name} lack {modality}: try a run without it too"


def _features(corpus: Corpus) -> Iterator[str]:
    rows = corpus.rows("train")
    for modality in corpus.card.modalities:
        vectors = corpus.features(modality)[rows[corpus.present(modality)[rows]]]
        if len(vectors) < 2:
            continue
        spreads = vectors.std(axis=0, dtype=np.float64)
        varying = spreads[spreads > CONSTANT * spreads.max()]
        where = f"of the {len(spreads)} numbers of a vector of modality {modality}"
        if len(varying) < len(spreads):
            yield f"{len(spreads) - len(varying)} {where} are the same in all of train: they say nothing and can go"
        if len(varying) and varying.max() > WIDE_SCALES * varying.min():
            scales = f"{varying.min():.2g} to {varying.max():.2g}"
            yield f"the spreads {where} go from {scales}: standardise them, or the largest drown the rest"


def _turn_gaps(corpus: Corpus) -> Iterator[str]:
    turns = corpus.table["turn"].to_numpy()
    for name in SPLITS:
        gaps = sum(bool((np.diff(turns[d.start : d.stop]) != 1).any()) for d in corpus.split(name))
        if gaps:
            yield f"{gaps} dialogues of {name} lack turns: some neighbours in the table were not neighbours in talk"


def _lone_utterances(corpus: Corpus) -> Iterator[str]:
    for name in SPLITS:
        lone = sum(len(dialogue) == 1 for dialogue in corpus.split(name))
        if lone:
            yield f"{lone} dialogues of {name} have one utterance: no model can use context there"
