"""Turns that are lost and dialogues without context."""

from collections.abc import Iterator

import numpy as np

from dferc.corpus.contract import SPLITS
from dferc.corpus.doctor.check import Check, Found, warnings_or_good
from dferc.corpus.store import Corpus


def gaps(corpus: Corpus) -> list[Check]:
    """Whether turns are lost inside dialogues."""
    return warnings_or_good("gaps in turns", _gaps(corpus), "every dialogue has all turns from its first to its last")


def lone_utterances(corpus: Corpus) -> list[Check]:
    """Whether there are dialogues of one utterance."""
    return warnings_or_good("lone utterances", _lone(corpus), "every dialogue has at least two utterances")


def _gaps(corpus: Corpus) -> Iterator[Found]:
    turns = corpus.table["turn"].to_numpy()
    begin = min(turns[dialogue.start] for dialogue in corpus.dialogues)
    for name in SPLITS:
        inside = sum(bool((np.diff(turns[d.start : d.stop]) != 1).any()) for d in corpus.split(name))
        ahead = sum(bool(turns[d.start] != begin) for d in corpus.split(name))
        if inside or ahead:
            yield (
                name,
                f"{inside} dialogues of {name} lack turns inside, {ahead} their beginning: "
                "some neighbours in the table were not neighbours in talk",
            )


def _lone(corpus: Corpus) -> Iterator[Found]:
    for name in SPLITS:
        lone = sum(len(dialogue) == 1 for dialogue in corpus.split(name))
        if lone:
            yield name, f"{lone} dialogues of {name} have one utterance: no model can use context there"
