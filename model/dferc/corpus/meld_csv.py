"""The transcripts of MELD: ``{train,dev,test}_sent_emo.csv`` of declare-lab/MELD, broken copies repaired."""

import re
from dataclasses import dataclass
from pathlib import Path

from dferc.corpus.contract import Split
from dferc.corpus.published import MELD_LABELS
from dferc.corpus.tables import Row, read_rows, repaired, unless_whole

PARTS: dict[str, Split] = {"train": "train", "dev": "validation", "test": "test"}
"""What the files call a split, and its name here."""
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
ADVICE = "take the *_sent_emo.csv files of declare-lab/MELD"
SOURCE = "the CSV files of github.com/declare-lab/MELD, data/MELD"
LICENCE = "GPL-3.0, as its repository says"
SPLIT_NOTE = "as published: train, dev (here validation) and test"


@dataclass(frozen=True)
class MeldRow:
    """One row of the transcripts."""

    part: str
    number: int
    """Of the dialogue; numbers restart at 0 in each part."""
    turn: int
    speaker: str
    label: str
    text: str
    duration: float | None
    """Seconds from StartTime to EndTime; None where these cannot be read."""
    mended: bool
    """Whether the encoding of its text or its speaker was broken."""

    @property
    def split(self) -> Split:
        """The split that its part is."""
        return PARTS[self.part]

    @property
    def dialogue(self) -> str:
        """Id of its dialogue, unique over all splits."""
        return f"{self.split}-{self.number:04d}"


def csv_name(part: str) -> str:
    """The file that holds one part."""
    return f"{part}_sent_emo.csv"


def read_part(path: Path, part: str) -> list[MeldRow]:
    """The rows of one file, in its order.

    Raises:
        UserError: it is no such file; every bad row is named.
    """
    return [_meld_row(part, row) for row in read_rows(path, COLUMNS, ADVICE, _problems)]


def _problems(row: Row) -> list[str]:
    problems = unless_whole(row, "Dialogue_ID", "Utterance_ID")
    if row["Emotion"].strip() not in MELD_LABELS:
        problems.append(f"has the emotion {row['Emotion']!r}, must be one of {', '.join(MELD_LABELS)}")
    return problems


def _meld_row(part: str, row: Row) -> MeldRow:
    start, stop = _seconds(row.get("StartTime", "")), _seconds(row.get("EndTime", ""))
    text, speaker = repaired(row["Utterance"]), repaired(row["Speaker"])
    return MeldRow(
        part=part,
        number=int(row["Dialogue_ID"]),
        turn=int(row["Utterance_ID"]),
        speaker=speaker.strip(),
        label=row["Emotion"].strip(),
        text=text,
        duration=None if start is None or stop is None else stop - start,
        mended=(text, speaker) != (row["Utterance"], row["Speaker"]),
    )


def _seconds(time: str) -> float | None:
    """Seconds of ``H:MM:SS,mmm``."""
    found = re.fullmatch(r"(\d+):(\d+):(\d+)[,.](\d+)", time.strip())
    if not found:
        return None
    hours, minutes, seconds, fraction = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(f"{seconds}.{fraction}")
