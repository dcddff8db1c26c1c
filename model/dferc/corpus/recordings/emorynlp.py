"""EmoryNLP: ``emorynlp_{train,dev,test}_final.csv`` of declare-lab/MELD, data/emorynlp. Text only.

A scene of an episode is a dialogue. Most lack turns, since utterances without an emotion are not in the files.
"""

import ast
from pathlib import Path

from dferc.corpus.contract import CorpusCard, Split
from dferc.corpus.published import EMORYNLP_LABELS
from dferc.corpus.recordings.checks import checked, counted, place
from dferc.corpus.recordings.contract import RecordedUtterance, Recordings
from dferc.corpus.recordings.folders import files_below, named
from dferc.corpus.tables import Row, read_rows, repaired, sha256, unless_whole

PARTS: dict[str, Split] = {"train": "train", "dev": "validation", "test": "test"}
NUMBERS = ("Season", "Episode", "Scene_ID", "Utterance_ID")
COLUMNS = ("Utterance", "Speaker", "Emotion", *NUMBERS)
ADVICE = "take the emorynlp_*_final.csv files of declare-lab/MELD"


def read_emorynlp(folder: Path | str) -> Recordings:
    """EmoryNLP with the splits of its files.

    Raises:
        UserError: a file is missing or not what it should be.
    """
    names = {f"emorynlp_{part}_final.csv": split for part, split in PARTS.items()}
    tables = named(files_below(folder, ".csv"), names, folder, "EmoryNLP")
    rows = [(names[name], row) for name, path in tables.items() for row in read_rows(path, COLUMNS, ADVICE, _problems)]
    utterances = [_utterance(split, row) for split, row in rows]
    mended = [place(u) for u, (_, row) in zip(utterances, rows, strict=True) if u.text != row["Utterance"]]
    card = CorpusCard(
        name="emorynlp",
        labels=EMORYNLP_LABELS,
        modalities={},
        source="the CSV files of github.com/declare-lab/MELD, data/emorynlp",
        licence="made by emorynlp/character-mining; ask there before any use but research",
        split_note="as in the files: train, dev (here validation) and test; a dialogue is a scene",
        speaker_note="a character's full name; who speak together are one speaker, by all their names",
        files={name: sha256(path) for name, path in tables.items()},
        repairs=tuple(counted(mended, len(rows), "utterances had a broken encoding, which is mended")),
    )
    return checked(card, utterances, f"EmoryNLP in {folder}")


def _problems(row: Row) -> list[str]:
    problems = unless_whole(row, *NUMBERS)
    if row["Emotion"].strip().lower() not in EMORYNLP_LABELS:
        problems.append(f"has the emotion {row['Emotion']!r}, must be one of {', '.join(EMORYNLP_LABELS)}")
    if not _speakers(row["Speaker"]):
        problems.append(f"has the speaker {row['Speaker']!r}, must be a list of names such as ['Monica Geller']")
    return problems


def _utterance(split: Split, row: Row) -> RecordedUtterance:
    season, episode, scene, turn = (int(row[name]) for name in NUMBERS)
    return RecordedUtterance(
        dialogue=f"s{season:02d}_e{episode:02d}_c{scene:02d}",
        turn=turn,
        speaker=", ".join(_speakers(row["Speaker"])),
        split=split,
        label=row["Emotion"].strip().lower(),
        text=repaired(row["Utterance"]),
    )


def _speakers(cell: str) -> list[str]:
    """The names in a Python list of strings; nothing where it is none."""
    try:
        names = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return names if isinstance(names, list) and all(isinstance(name, str) and name for name in names) else []
