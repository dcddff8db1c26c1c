"""MELD as published: the transcripts of declare-lab/MELD and the clips of the archive MELD.Raw.

Known of the archive, from the issues of declare-lab/MELD: dev dia110_utt7 is not in it (22, 27), train dia125_utt3
cannot be decoded (39, 52), some clips have no row (22), and clips that were cut by wrong times last minutes (20). Some
test clips occur a second time as ``final_videos_testdia{D}_utt{U}.mp4``: users found that these hold what the
transcript says and that their plain namesakes do not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dferc.corpus.contract import CorpusCard
from dferc.corpus.meld_csv import LICENCE, PARTS, SOURCE, SPLIT_NOTE, MeldRow, csv_name, read_part
from dferc.corpus.published import MELD_LABELS
from dferc.corpus.recordings.checks import checked, counted
from dferc.corpus.recordings.contract import Clip, RecordedUtterance, Recordings
from dferc.corpus.recordings.folders import files_below, named
from dferc.corpus.tables import sha256

CLIP = re.compile(r"(final_videos_test)?dia(\d+)_utt(\d+)\.mp4")
"""The whole name: archives made on macOS hold a ``._dia0_utt0.mp4`` beside every clip."""
LONGEST = 60.0
"""Seconds above which a duration is not believed; MELD's utterances last 3.6 on average (its README)."""


@dataclass(frozen=True)
class Clips:
    """The clips that lie below a folder."""

    paths: dict[tuple[str, int, int], Path]
    """Of each part, dialogue and turn."""
    recut: int
    """How many are taken from ``final_videos_test...``."""

    def of(self, row: MeldRow) -> Clip | None:
        """The clip of a row, which is the whole of a file."""
        path = self.paths.get((row.part, row.number, row.turn))
        return None if path is None else Clip(str(path))


def read_meld(folder: Path | str) -> Recordings:
    """MELD with its clips, where they are; what has none goes without audio and video.

    Raises:
        UserError: a transcript is missing or not what it should be.
    """
    names = {part: csv_name(part) for part in PARTS}
    tables = named(files_below(folder, ".csv"), names.values(), folder, "MELD")
    rows = [row for part, name in names.items() for row in read_part(tables[name], part)]
    clips = _clips(Path(folder).absolute())
    card = CorpusCard(
        name="meld",
        labels=MELD_LABELS,
        modalities={},
        source=f"{SOURCE}, with the clips of the archive MELD.Raw",
        licence=LICENCE,
        split_note=SPLIT_NOTE,
        speaker_note="a character's name; minor ones share names such as Woman over dialogues",
        files={name: sha256(path) for name, path in tables.items()},
        repairs=tuple(_repairs(rows, clips)),
    )
    return checked(card, [_utterance(row, clips.of(row)) for row in rows], f"MELD in {folder}")


def _utterance(row: MeldRow, clip: Clip | None) -> RecordedUtterance:
    return RecordedUtterance(
        row.dialogue, row.turn, row.speaker, row.split, row.label, row.text, audio=clip, video=clip
    )


def _clips(folder: Path) -> Clips:
    plain: dict[tuple[str, int, int], Path] = {}
    recut: dict[tuple[str, int, int], Path] = {}
    for path in files_below(folder, ".mp4"):
        found, part = CLIP.fullmatch(path.name), _part_of(path.relative_to(folder))
        if found and part:
            again, dialogue, turn = found.groups()
            (recut if again else plain).setdefault((part, int(dialogue), int(turn)), path)
    return Clips(plain | recut, len(recut))


def _part_of(path: Path) -> str | None:
    """The part whose name the nearest folder has in its own, as train_splits or output_repeated_splits_test do."""
    words = [word for name in path.parts[-2::-1] for word in re.split("[^a-z]+", name.lower())]
    return next((word for word in words if word in PARTS), None)


def _repairs(rows: list[MeldRow], clips: Clips) -> Iterator[str]:
    mended = [_file_name(row) for row in rows if row.mended]
    strange = [_file_name(row) for row in rows if row.duration is not None and not 0 < row.duration <= LONGEST]
    without = [_file_name(row) for row in rows if clips.of(row) is None]
    yield from counted(mended, len(rows), "utterances had a broken encoding, which is mended")
    yield from counted(
        strange,
        len(rows),
        f"utterances last 0 seconds or more than {LONGEST:.0f} by the CSV files, whose times are not used",
    )
    yield from counted(without, len(rows), "utterances have no clip and go without audio and video")
    if clips.recut:
        yield f"{clips.recut} clips are taken from final_videos_testdia{{D}}_utt{{U}}.mp4, the plain ones being wrong"


def _file_name(row: MeldRow) -> str:
    return f"{row.part} dia{row.number}_utt{row.turn}"
