"""The numbers themselves: missing, zero, copied, constant, on wild scales."""

from collections.abc import Iterator

import numpy as np

from dferc.corpus.contract import SPLITS
from dferc.corpus.doctor.check import Check, Found, warnings_or_good
from dferc.corpus.doctor.rows import content_keys, made_of_text, pair_keys, words_alone
from dferc.corpus.store import Corpus

WIDE_SCALES = 100
"""Ratio of the spreads of two numbers of one vector above which the larger drowns the smaller."""
CONSTANT = 1e-5
"""Spread, in units of the largest, below which a number counts as constant: rounding to float16 makes that much."""
MUCH_MISSING = 0.2
"""Share of a split's utterances without a modality above which a person should know."""
ROUNDING = 1e-5
"""Share by which float32 may exceed the clip of a scaling."""


def missing(corpus: Corpus) -> list[Check]:
    """How many utterances lack a modality."""
    absent = {m: int((~corpus.present(m)).sum()) for m in corpus.card.modalities}
    counts = ", ".join(f"{modality} {count}" for modality, count in absent.items() if count)
    good = f"utterances without a vector: {counts}" if counts else "every utterance has every modality"
    return warnings_or_good("missing modalities", _missing(corpus), good)


def zeros(corpus: Corpus) -> list[Check]:
    """Whether vectors are all zeros where they should be missing."""
    return warnings_or_good("all-zero vectors", _zeros(corpus), "no vector is all zeros")


def repeated(corpus: Corpus) -> list[Check]:
    """Whether utterances of one split share a vector that should not."""
    return warnings_or_good(
        "repeated vectors", _repeated(corpus), "no two utterances of a split share a vector, but of equal texts"
    )


def constant(corpus: Corpus) -> list[Check]:
    """Whether numbers are the same in all of train."""
    return warnings_or_good("constant numbers", _constant(corpus), "no number of a vector is the same in all of train")


def scales(corpus: Corpus) -> list[Check]:
    """Whether the largest numbers of a vector drown the rest."""
    return warnings_or_good("scales", _scales(corpus), "the numbers of each modality have like spreads")


def scaling(corpus: Corpus) -> list[Check]:
    """Whether vectors were scaled as their card says."""
    scaled = {name: m.scaling for name, m in corpus.card.modalities.items() if m.scaling is not None}
    wrong = []
    for name, rule in scaled.items():
        lengths = {len(rule.mean), len(rule.scale)}
        largest = float(np.abs(_train_vectors(corpus, name)).max(initial=0.0))
        if lengths != {corpus.card.widths[name]}:
            wrong.append(
                (name, f"the scaling of {name} is for {max(lengths)} numbers, must be {corpus.card.widths[name]}")
            )
        elif largest > rule.clip * (1 + ROUNDING):
            wrong.append((name, f"{name} holds {largest:.4g}, but its card says that it was clipped at {rule.clip:g}"))
    if wrong:
        return [Check(name="scaling", verdict="wrong", where=where, sentence=sentence) for where, sentence in wrong]
    good = f"as the card says for {', '.join(scaled)}" if scaled else "the card says that nothing was scaled"
    return [Check(name="scaling", verdict="good", sentence=good)]


def _missing(corpus: Corpus) -> Iterator[Found]:
    for modality in corpus.card.modalities:
        present = corpus.present(modality)
        for name in SPLITS:
            rows = corpus.rows(name)
            absent = len(rows) - int(present[rows].sum())
            if len(rows) and absent > MUCH_MISSING * len(rows):
                yield (
                    f"{modality}, {name}",
                    f"{absent} of {len(rows)} utterances of {name} lack {modality}: try a run without it too",
                )


def _zeros(corpus: Corpus) -> Iterator[Found]:
    for modality in corpus.card.modalities:
        count = int((corpus.present(modality) & ~corpus.features(modality).any(axis=1)).sum())
        if count:
            yield modality, f"{count} {modality} vectors are all zeros: if nothing was extracted, make them null"


def _repeated(corpus: Corpus) -> Iterator[Found]:
    texts = words_alone(corpus)
    for modality in corpus.card.modalities:
        keys, usable = content_keys(corpus, modality)
        for name in SPLITS:
            rows = corpus.rows(name)
            rows = rows[usable[rows]]
            keys_here = keys[rows]
            if made_of_text(modality):  # equal texts have equal vectors
                _, first = np.unique(pair_keys(keys_here, [texts[row] for row in rows]), return_index=True)
                keys_here = keys_here[first]
            _, counts = np.unique(keys_here, return_counts=True)
            shared = int(counts[counts > 1].sum())
            if shared:
                what = "different texts" if made_of_text(modality) else "utterances"
                yield (
                    f"{modality}, {name}",
                    f"{shared} {what} of {name} share their {modality} vector with another: rows that were copied, "
                    "or an extractor that cannot tell them apart",
                )


def _constant(corpus: Corpus) -> Iterator[Found]:
    for modality, spreads in _spreads(corpus):
        varying = int((spreads > CONSTANT * spreads.max()).sum())
        if varying < len(spreads):
            yield (
                modality,
                f"{len(spreads) - varying} of the {len(spreads)} numbers of a vector of modality {modality} "
                "are the same in all of train: they say nothing and can go",
            )


def _scales(corpus: Corpus) -> Iterator[Found]:
    for modality, spreads in _spreads(corpus):
        varying = spreads[spreads > CONSTANT * spreads.max()]
        if len(varying) and varying.max() > WIDE_SCALES * varying.min():
            yield (
                modality,
                f"the spreads of the {len(spreads)} numbers of a vector of modality {modality} go from "
                f"{varying.min():.2g} to {varying.max():.2g}: standardise them, or the largest drown the rest",
            )


def _spreads(corpus: Corpus) -> Iterator[tuple[str, np.ndarray]]:
    """Standard deviation [D] over train of each number, a modality at a time."""
    for modality in corpus.card.modalities:
        vectors = _train_vectors(corpus, modality)
        if len(vectors) > 1:
            yield modality, vectors.std(axis=0, dtype=np.float64)


def _train_vectors(corpus: Corpus, modality: str) -> np.ndarray:
    rows = corpus.rows("train")
    vectors: np.ndarray = corpus.features(modality)[rows[corpus.present(modality)[rows]]]
    return vectors
