"""On what kind of utterances is a model good? Groups of a test set, and a score of each.

All functions take the utterances of whole dialogues, those of one dialogue together and in the order of their turns,
and give a mask [N] for each group by its name, in the order in which a reader wants them.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from dferc.corpus.batch import NO_LABEL
from dferc.evaluation.metrics import overall

Groups = dict[str, np.ndarray]
TURNS = ((1, 1), (2, 4), (5, 9), (10, None))
"""Places in a dialogue that belong together [ours]: the first has no context, the next ones little; a middle dialogue
of MELD ends in the third group, one of IEMOCAP goes on far into the last."""


def emotion_shift(labels: np.ndarray, dialogues: np.ndarray, speakers: np.ndarray) -> Groups:
    """By the speaker's own labelled utterance before, in the same dialogue: there is none, it felt the same, or not.

    Args:
        labels: [N] true classes; an utterance with -1 is in no group, and nobody's utterance before.
        dialogues: [N] id of each utterance's dialogue.
        speakers: [N] who speaks.
    """
    before = np.full(len(labels), NO_LABEL)
    last: dict[tuple[object, object], int] = {}
    for row, (label, dialogue, speaker) in enumerate(zip(labels, dialogues, speakers, strict=True)):
        before[row] = last.get((dialogue, speaker), NO_LABEL)
        if label != NO_LABEL:
            last[dialogue, speaker] = int(label)
    known, first = labels != NO_LABEL, before == NO_LABEL
    return {
        "speaker's first": known & first,
        "emotion kept": known & ~first & (labels == before),
        "emotion shift": known & ~first & (labels != before),
    }


def turn_position(dialogues: np.ndarray) -> Groups:
    """By the place in the dialogue [N ids], counted from 1; gaps in the numbers of turns do not count."""
    place = 1 + np.concatenate([np.arange(stop - start) for start, stop in _runs(dialogues)])
    found: Groups = {}
    for low, high in TURNS:
        inside = (place >= low) & (place <= (high or np.inf))
        found[f"turn {low}" if low == high else f"turns {low}–{high}" if high else f"turns {low}+"] = inside
    return found


def dialogue_length(dialogues: np.ndarray) -> Groups:
    """By the number of utterances in the dialogue [N ids]: thirds of the dialogues, as nearly as lengths allow."""
    runs = list(_runs(dialogues))
    lengths = np.array([stop - start for start, stop in runs])
    short, middle = np.quantile(lengths, [1 / 3, 2 / 3], method="lower")
    length = np.repeat(lengths, lengths)
    return {
        f"short dialogues (≤{short})": length <= short,
        f"medium dialogues (≤{middle})": (length > short) & (length <= middle),
        "long dialogues": length > max(short, middle),
    }


def seen_speaker(seen: np.ndarray) -> Groups:
    """By whether the speaker speaks in train, too [N]."""
    return {"seen speakers": seen, "unseen speakers": ~seen}


def telling(groups: Mapping[str, np.ndarray], labels: np.ndarray) -> Groups:
    """The groups that have labelled utterances [N]; none at all where fewer than two have, for want of a comparison."""
    filled = {name: mask & (labels != NO_LABEL) for name, mask in groups.items()}
    filled = {name: mask for name, mask in filled.items() if mask.any()}
    return filled if len(filled) > 1 else {}


def group_score(
    labels: np.ndarray, predicted: np.ndarray, group: np.ndarray, classes: int, metric: str = "weighted_f1"
) -> float:
    """Score of the utterances in a group, in percent, mean over seeds.

    Args:
        labels: [N] true classes.
        predicted: [S, N] classes that each seed predicts.
        group: [N] mask of a group in which every utterance has a label, and there is one.
        classes: number of classes.
        metric: weighted_f1, macro_f1 or accuracy.
    """
    cells = labels[group] * classes + predicted[:, group]
    counts = np.stack([np.bincount(seed, minlength=classes**2) for seed in cells])
    return float(overall(counts.reshape(-1, classes, classes))[metric].mean())


def _runs(dialogues: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last row, exclusive, of each dialogue."""
    starts = np.flatnonzero(np.concatenate([[True], dialogues[1:] != dialogues[:-1]]))
    yield from zip(starts.tolist(), [*starts[1:].tolist(), len(dialogues)], strict=True)
