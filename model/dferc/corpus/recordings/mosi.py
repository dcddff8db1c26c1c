"""CMU-MOSI in the layout of thuiar/MMSA: ``label.csv`` and ``Raw/{video_id}/{clip_id}.mp4``.

Scores from -3 to 3 become two classes. Papers differ on zero: it counts as positive here (negative against
non-negative), as in the files of the context-dependent LSTM, which give each of all 2,199 utterances one of two labels;
others score only what is not zero.
"""

import math
from pathlib import Path
from typing import Literal

from dferc.corpus.contract import CorpusCard, Split
from dferc.corpus.recordings.checks import checked, counted, place
from dferc.corpus.recordings.contract import Clip, RecordedUtterance, Recordings
from dferc.corpus.recordings.folders import files_below, named
from dferc.corpus.tables import Row, read_rows, sha256, unless_whole

LABELS = ("negative", "positive")
MODES: dict[str, Split] = {"train": "train", "valid": "validation", "test": "test"}
COLUMNS = ("video_id", "clip_id", "text", "label", "mode")
ADVICE = "take the label.csv that thuiar/MMSA publishes with its features of MOSI"
STRONGEST = 3.0
"""Largest magnitude of a score."""

Zero = Literal["positive", "context"]


def read_mosi(folder: Path | str, *, zero: Zero = "positive") -> Recordings:
    """MOSI with one dialogue a video and MMSA's splits.

    Args:
        folder: where label.csv and Raw are.
        zero: what an utterance with the score 0 is: positive, or context only, without a label.

    Raises:
        UserError: label.csv is missing or not what it should be.
    """
    table = named(files_below(folder, ".csv"), ["label.csv"], folder, "MOSI")["label.csv"]
    rows = read_rows(table, COLUMNS, ADVICE, _problems)
    utterances = [_utterance(table.parent / "Raw", row, zero) for row in rows]
    without = [place(utterance) for utterance in utterances if utterance.video is None]
    lacking = "utterances have no clip Raw/VIDEO/CLIP.mp4 and go without audio and video"
    card = CorpusCard(
        name="mosi",
        labels=LABELS,
        modalities={},
        source="label.csv and Raw of CMU-MOSI as github.com/thuiar/MMSA publishes them",
        licence="for research; ask the authors of CMU-MOSI before any other use",
        split_note=f"train, valid (here validation) and test of MMSA; a score of 0 is {zero}",
        speaker_note="the id of the video: one person speaks in each, and the files do not say who",
        files={"label.csv": sha256(table)},
        repairs=tuple(counted(without, len(rows), lacking)),
    )
    return checked(card, utterances, f"MOSI in {folder}")


def _problems(row: Row) -> list[str]:
    problems = unless_whole(row, "clip_id")
    if not row["video_id"].strip():
        problems.append("has no video_id")
    if row["mode"].strip() not in MODES:
        problems.append(f"has the mode {row['mode']!r}, must be one of {', '.join(MODES)}")
    if not abs(_score(row)) <= STRONGEST:
        problems.append(f"has the label {row['label']!r}, must be a number from {-STRONGEST:g} to {STRONGEST:g}")
    return problems


def _utterance(raw: Path, row: Row, zero: Zero) -> RecordedUtterance:
    video, number = row["video_id"].strip(), row["clip_id"].strip()
    path = raw / video / f"{number}.mp4"
    clip = Clip(str(path)) if path.is_file() else None
    return RecordedUtterance(
        dialogue=video,
        turn=int(number),
        speaker=video,
        split=MODES[row["mode"].strip()],
        label=_label(_score(row), zero),
        text=row["text"],
        audio=clip,
        video=clip,
    )


def _label(score: float, zero: Zero) -> str | None:
    if score == 0 and zero == "context":
        return None
    return LABELS[int(score >= 0)]


def _score(row: Row) -> float:
    """Not a number where the cell is none."""
    try:
        return float(row["label"])
    except ValueError:
        return math.nan
