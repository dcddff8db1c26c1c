"""The text files of IEMOCAP: who says what when, and with which emotion."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dferc.corpus.tables import refuse, sha256
from dferc.errors import UserError

SESSIONS = range(1, 6)
EVALUATION = re.compile(r"\[([\d.]+) - ([\d.]+)\]\s+(Ses\d\d[FM]_\w+_([FM])\d+)\s+(\w+)\s+\[.*\]")
"""``[6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]``"""
TRANSCRIPT = re.compile(r"(\S+) \[[\d.]+-[\d.]+\]: ?(.*)")
"""``Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.``"""


@dataclass(frozen=True)
class Evaluated:
    """An utterance to which annotators gave an emotion."""

    id: str
    actor: str
    """F or M."""
    start: float
    """Seconds from the dialogue's begin."""
    stop: float
    emotion: str
    text: str | None

    @property
    def dialogue(self) -> str:
        """``Ses01F_script01_1`` of ``Ses01F_script01_1_F000``."""
        return self.id.rsplit("_", 1)[0]


@dataclass(frozen=True)
class Session:
    """What two actors recorded together."""

    folder: Path
    dialogues: list[list[Evaluated]]
    """Each in the order in which its utterances begin."""
    odd_lines: list[str]
    """What belongs to no evaluated utterance, each with the file that it is in."""
    lines: int
    """How many there are of transcripts and of evaluated utterances."""
    files: dict[str, str]
    """SHA-256 of the evaluation files and of the transcripts, each kind one after the other in the order of names."""


def read_sessions(folder: Path, emotions: Collection[str]) -> list[Session]:
    """All sessions below a folder.

    Raises:
        UserError: a session or its files are not there, or a line has an emotion that is none of ``emotions``.
    """
    inner = folder / "IEMOCAP_full_release"
    root = inner if inner.is_dir() else folder
    absent = [
        f"Session{number}/dialog/{name}"
        for number in SESSIONS
        for name in ("EmoEvaluation", "transcriptions")
        if not _texts(root / f"Session{number}" / "dialog" / name)
    ]
    if absent:
        raise UserError(
            f"{folder} lacks {', '.join(absent)}: name the folder IEMOCAP_full_release with all its sessions"
        )
    sessions = [_read_session(root / f"Session{number}") for number in SESSIONS]
    unknown = [
        f"{spoken.id} has the emotion {spoken.emotion!r}, must be one of {', '.join(emotions)}"
        for session in sessions
        for dialogue in session.dialogues
        for spoken in dialogue
        if spoken.emotion not in emotions
    ]
    refuse(f"IEMOCAP in {folder}", unknown)
    return sessions


def _texts(folder: Path) -> list[Path]:
    """Without the hidden ``._Ses...`` that archives made on macOS hold beside every file."""
    return sorted(folder.glob("Ses*.txt"))


def _read_session(folder: Path) -> Session:
    evaluations, transcripts = _texts(folder / "dialog" / "EmoEvaluation"), _texts(folder / "dialog" / "transcriptions")
    spoken_lines = _lines(transcripts)
    said = {found[1]: found[2].strip() for _, line in spoken_lines if (found := TRANSCRIPT.fullmatch(line))}
    # Between the lines of utterances, which begin with a time, are those of single annotators.
    evaluated_lines = [(name, line) for name, line in _lines(evaluations) if line.startswith("[")]
    dialogues: dict[str, list[Evaluated]] = {}
    odd = []
    for name, line in evaluated_lines:
        if found := EVALUATION.fullmatch(line):
            spoken = _evaluated(found, said)
            dialogues.setdefault(spoken.dialogue, []).append(spoken)
        else:
            odd.append((name, line))
    known = {spoken.id for dialogue in dialogues.values() for spoken in dialogue}
    odd += [(name, line) for name, line in spoken_lines if not _belongs(line, known)]
    return Session(
        folder=folder,
        dialogues=[sorted(dialogue, key=lambda spoken: spoken.start) for dialogue in dialogues.values()],
        odd_lines=[f"{line!r} in {name}" for name, line in odd],
        lines=len(spoken_lines) + len(evaluated_lines),
        files={
            f"{folder.name}/dialog/EmoEvaluation": sha256(*evaluations),
            f"{folder.name}/dialog/transcriptions": sha256(*transcripts),
        },
    )


def _lines(paths: list[Path]) -> list[tuple[str, str]]:
    """Each line that is not empty, after the name of the file that it is in."""
    return [(path.name, line.strip()) for path in paths for line in _decoded(path).splitlines() if line.strip()]


def _evaluated(found: re.Match[str], said: dict[str, str]) -> Evaluated:
    start, stop, name, actor, emotion = found.groups()
    return Evaluated(name, actor, float(start), float(stop), emotion.lower(), said.get(name))


def _belongs(line: str, known: set[str]) -> bool:
    found = TRANSCRIPT.fullmatch(line)
    return found is not None and found[1] in known


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
