"""What is published of the field's corpora: class names in the order of the common feature files, splits, counts.

Counts of IEMOCAP and MELD are those of COSMIC's label files, of EmoryNLP those of the CSV files in declare-lab/MELD,
all read in full. A corpus is held against them by its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dferc.corpus.contract import Split

IEMOCAP_LABELS = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
MELD_LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
EMORYNLP_LABELS = ("joyful", "mad", "peaceful", "neutral", "sad", "powerful", "scared")

IEMOCAP_VALIDATION = (
    "Ses01M_impro01", "Ses01M_script03_1", "Ses02F_impro02", "Ses02F_impro07", "Ses02M_script01_2", "Ses03F_impro01",
    "Ses03M_impro02", "Ses03M_impro08a", "Ses03M_script02_2", "Ses03M_script03_2", "Ses04F_impro07",
    "Ses04F_script02_1",
)  # fmt: skip
"""The dialogues that COSMIC (Ghosal et al., 2020) holds out of train; the only published validation split."""
IEMOCAP_TEST_SESSION = "Ses05"

IEMOCAP_CODES: Mapping[int | str, str] = {
    "hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "excited", "fru": "frustrated",
}  # fmt: skip
"""What the annotations of IEMOCAP, and the files of DialogXL and DAG-ERC, call the classes."""
DIALOGXL_DIALOGUES: Mapping[Split, int] = {"train": 100, "validation": 20, "test": 31}
"""Dialogues of IEMOCAP in the files of DialogXL (Shen et al., 2021), which DAG-ERC uses too."""

MELD_TRAIN_IDS = range(1039)
"""Of the field's feature files, which number the dialogues through; 60 does not exist."""
MELD_VALIDATION_IDS = range(1039, 1153)
MELD_TEST_IDS = range(1153, 1433)


@dataclass(frozen=True)
class Published:
    """What a whole copy of a corpus counts."""

    labels: tuple[str, ...]
    dialogues: Mapping[Split, int]
    classes: Mapping[Split, tuple[int, ...]]
    """Utterances of each class, in the order of ``labels``."""


PUBLISHED: Mapping[str, Published] = {
    "iemocap": Published(
        labels=IEMOCAP_LABELS,
        dialogues={"train": 108, "validation": 12, "test": 31},
        classes={
            "train": (451, 771, 1221, 831, 593, 1296),
            "validation": (53, 68, 103, 102, 149, 172),
            "test": (144, 245, 384, 170, 299, 381),
        },
    ),
    "meld": Published(
        labels=MELD_LABELS,
        dialogues={"train": 1038, "validation": 114, "test": 280},
        classes={
            "train": (4710, 1205, 268, 683, 1743, 271, 1109),
            "validation": (470, 150, 40, 111, 163, 22, 153),
            "test": (1256, 281, 50, 208, 402, 68, 345),
        },
    ),
    "emorynlp": Published(
        labels=EMORYNLP_LABELS,
        dialogues={"train": 659, "validation": 89, "test": 79},
        classes={
            "train": (1677, 785, 638, 2485, 474, 551, 941),
            "validation": (205, 97, 82, 322, 51, 70, 127),
            "test": (217, 86, 111, 288, 70, 96, 116),
        },
    ),
}
"""By the name in a corpus's card."""
