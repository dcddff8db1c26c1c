"""What recordings of conversations are, before anything is extracted from them: utterances that point into media files.

Every layout in which a data set is published is read into this one form; extraction knows nothing else.
"""

from dataclasses import dataclass
from typing import Literal

from dferc.corpus.contract import CorpusCard, Split


@dataclass(frozen=True)
class Clip:
    """A stretch of a media file."""

    path: str
    start: float | None = None
    """Seconds from the file's begin; None is the begin."""
    stop: float | None = None
    """Seconds from the file's begin; None is the end."""
    region: Literal["left", "right"] | None = None
    """Half of the picture in which the speaker is; None is all of it."""


@dataclass(frozen=True)
class RecordedUtterance:
    """One turn, who takes it, and where it can be heard and seen."""

    dialogue: str
    turn: int
    speaker: str
    split: Split
    label: str | None
    """Name of its class; None where it has none, so that it is context only."""
    text: str | None
    audio: Clip | None = None
    video: Clip | None = None


@dataclass(frozen=True)
class Recordings:
    """Conversations whose vectors are still to be made."""

    card: CorpusCard
    """Without modalities: extraction adds them."""
    utterances: tuple[RecordedUtterance, ...]
    """In the order of dialogues and turns."""

    def dialogues(self) -> dict[str, list[RecordedUtterance]]:
        """Dialogue id to its utterances in the order of turns."""
        found: dict[str, list[RecordedUtterance]] = {}
        for utterance in sorted(self.utterances, key=lambda u: (u.dialogue, u.turn)):
            found.setdefault(utterance.dialogue, []).append(utterance)
        return found
