"""What two splits have in common, and whether each is there."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from dferc.corpus.contract import SPLITS
from dferc.corpus.doctor.check import Check, Found, warnings_or_good
from dferc.corpus.doctor.rows import content_keys, made_of_text, pair_keys, plain_texts, vector_keys, words_alone
from dferc.corpus.store import Corpus

SHORT_TEXT = 4
"""Texts of fewer words ("Yeah.") are expected to recur."""
SHOWN = 3
"""Examples that a sentence names."""


def sizes(corpus: Corpus) -> list[Check]:
    """Whether every split has dialogues."""
    uses = {
        "train": "nothing can be trained",
        "validation": "no epoch and no hyperparameter can be chosen",
        "test": "nothing can be reported",
    }
    empty = [
        (name, f"{name} is empty, so {uses[name]}: move whole dialogues into it")
        for name in SPLITS
        if not corpus.split(name)
    ]
    counts = ", ".join(f"{name} {len(corpus.split(name))}" for name in SPLITS)
    return warnings_or_good("split sizes", empty, f"dialogues: {counts}")


def repeated_dialogues(corpus: Corpus) -> list[Check]:
    """Whether a dialogue of one split is one of another under another id: the same texts and vectors throughout."""
    content, telling = _content(corpus), _telling(corpus)
    known = {
        name: {content[d.start : d.stop].tobytes(): d.id for d in corpus.split(name) if telling[d.start : d.stop].any()}
        for name in SPLITS
    }
    wrong = []
    for first, second in combinations(SPLITS, 2):
        again = [(known[second][same], known[first][same]) for same in known[second] if same in known[first]]
        if again:
            named = ", ".join(f"{one} is {other}" for one, other in again[:SHOWN])
            more = ", ..." if len(again) > SHOWN else ""
            sentence = f"{len(again)} dialogues of {second} are in {first} under another id ({named}{more}): drop them"
            wrong.append(Check(name="dialogues in two splits", verdict="wrong", where=second, sentence=sentence))
    good = "no dialogue is in two splits, by its id or by its content"
    return wrong or [Check(name="dialogues in two splits", verdict="good", sentence=good)]


def shared_texts(corpus: Corpus) -> list[Check]:
    """Texts of one split that occur verbatim in another."""
    texts = plain_texts(corpus)
    return warnings_or_good("texts in two splits", _shared_texts(corpus, texts), "no text occurs in two splits")


def shared_vectors(corpus: Corpus) -> list[Check]:
    """Vectors of one split that occur in another; those of equal texts are the business of ``shared_texts``."""
    return warnings_or_good(
        "vectors in two splits", _shared_vectors(corpus), "no vector occurs in two splits, but of equal texts"
    )


def speakers(corpus: Corpus) -> list[Check]:
    """Who of each split speaks in train, too; neither is wrong, but scores mean something else."""
    train = set(corpus.speakers[corpus.rows("train")])
    said = []
    for name in SPLITS[1:]:
        here = set(corpus.speakers[corpus.rows(name)])
        if here:
            said.append(f"{len(here & train)} of the {len(here)} speakers of {name}")
    known = f"{' and '.join(said) or 'nobody'} speak in train"
    return [Check(name="speakers", verdict="good", sentence=known + _note(corpus.card.speaker_note))]


def _note(note: str) -> str:
    return f" ({note})" if note else ""


def _content(corpus: Corpus) -> np.ndarray:
    """A number [N] for all that a row holds."""
    keys = pair_keys(np.zeros(len(corpus.texts), np.int64), plain_texts(corpus))
    for modality in corpus.card.modalities:
        of_vector = np.where(corpus.present(modality), vector_keys(corpus.features(modality)), 0)
        keys = keys * np.int64(1_000_003) ^ of_vector
    return keys


def _telling(corpus: Corpus) -> np.ndarray:
    """Rows [N] that are equal by no accident, unlike "Hey." and "Hey!" with the vectors of these words."""
    telling = np.array([len(text.split()) >= SHORT_TEXT for text in corpus.texts])
    for modality in corpus.card.modalities:
        if not made_of_text(modality):
            telling |= corpus.present(modality) & corpus.features(modality).any(axis=1)
    return telling


def _shared_texts(corpus: Corpus, texts: list[str]) -> Iterator[Found]:
    of_split = {name: [texts[row] for row in corpus.rows(name) if texts[row]] for name in SPLITS}
    for first, second in combinations(SPLITS, 2):
        known = set(of_split[first])
        shared = [text for text in of_split[second] if text in known]
        long = sum(len(text.split()) >= SHORT_TEXT for text in shared)
        if shared:
            yield (
                second,
                f"{len(shared)} of {len(of_split[second])} texts of {second} occur verbatim in {first}, {long} of them "
                f"with at least {SHORT_TEXT} words: if they are many, report scores without these too",
            )


def _shared_vectors(corpus: Corpus) -> Iterator[Found]:
    texts = words_alone(corpus)
    for modality in corpus.card.modalities:
        keys, usable = content_keys(corpus, modality)
        pairs = pair_keys(keys, texts)
        for first, second in combinations(SPLITS, 2):
            known, rows = corpus.rows(first), corpus.rows(second)
            known, rows = known[usable[known]], rows[usable[rows]]
            shared = np.isin(keys[rows], keys[known])
            if made_of_text(modality):
                shared &= ~np.isin(pairs[rows], pairs[known])
            if shared.any():
                yield (
                    f"{modality}, {second}",
                    f"{int(shared.sum())} of {len(rows)} {modality} vectors of {second} are in {first} too"
                    f"{', with another text' if made_of_text(modality) else ''}: a leak, or rows that were copied",
                )
