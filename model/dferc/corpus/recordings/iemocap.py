"""IEMOCAP as released: ``Session{1..5}/dialog`` and ``sentences``.

The label of an utterance is the one that its EmoEvaluation file gives. These hold 595 happy utterances; the field's
feature files hold 648 (143, 125, 171, 65 and 144 a session) and the same numbers of the other five classes. Nobody says
where the 53 come from, so counts of a corpus made here and of those files differ.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from dferc.corpus.contract import CorpusCard, Split
from dferc.corpus.published import IEMOCAP_CODES, IEMOCAP_LABELS, IEMOCAP_TEST_SESSION, IEMOCAP_VALIDATION
from dferc.corpus.recordings.checks import checked, counted, place
from dferc.corpus.recordings.contract import Clip, RecordedUtterance, Recordings
from dferc.corpus.recordings.iemocap_files import SESSIONS, Evaluated, Session, read_sessions
from dferc.errors import UserError

CODES = {str(code): label for code, label in IEMOCAP_CODES.items()}
OTHER_CODES = ("xxx", "sur", "fea", "dis", "oth")
"""Of utterances that the field leaves out: no majority of annotators (xxx), and classes that are too rare."""
MAPPINGS: dict[str, dict[str, str]] = {
    "6-way": CODES,
    "4-way": {code: "happy" if code == "exc" else name for code, name in CODES.items() if code != "fru"},
}
PUBLISHED = "published"
SPLITS = (PUBLISHED, *(f"session-{number}" for number in SESSIONS))

Side = Literal["left", "right"]


def read_iemocap(
    folder: Path | str,
    *,
    labels: Literal["6-way", "4-way"] = "6-way",
    unlabelled: Literal["drop", "context"] = "drop",
    split: str = PUBLISHED,
    markers: Side | None = None,
) -> Recordings:
    """IEMOCAP with a wave file an utterance and stretches of the dialogues' videos.

    Args:
        folder: IEMOCAP_full_release, or the folder that it is in.
        labels: 6-way, or 4-way with excited counted as happy and without frustrated.
        unlabelled: whether utterances without one of these labels are left out, as the field does, or kept as context.
        split: "published" has session 5 as test and COSMIC's 12 validation dialogues, whose speakers are in train too;
            "session-K" has session K as test and the next one as validation, so that no speaker is in two splits.
        markers: half of the picture in which the actor with the markers sits, after whom a dialogue is named; left at
            None, whole pictures are used, with both actors in them.

    Raises:
        UserError: a session is missing, a line has an unknown emotion, or there is no such split.
    """
    for what, asked, known in (("split", split, SPLITS), ("labels", labels, tuple(MAPPINGS))):
        if asked not in known:
            raise UserError(f"IEMOCAP has no {what} {asked!r}, must be one of {', '.join(known)}")
    sessions = read_sessions(Path(folder).absolute(), (*CODES, *OTHER_CODES))
    names = MAPPINGS[labels]
    utterances = [
        _utterance(session, spoken, turn, names.get(spoken.emotion), _split_of(spoken.dialogue, split), markers)
        for session in sessions
        for dialogue in session.dialogues
        for turn, spoken in enumerate(dialogue)
    ]
    kept = [u for u in utterances if u.label is not None or unlabelled == "context"]
    card = CorpusCard(
        name=_name(labels, split),
        labels=tuple(name for name in IEMOCAP_LABELS if name in names.values()),
        modalities={},
        source="IEMOCAP_full_release of the Signal Analysis and Interpretation Laboratory, sail.usc.edu/iemocap",
        licence="for research only, under the release form that each group signs; recordings may not be passed on",
        split_note=_split_note(split),
        speaker_note="session and F or M: one of ten actors",
        files={name: digest for session in sessions for name, digest in session.files.items()},
        repairs=tuple(_repairs(sessions, names, kept)),
    )
    return checked(card, kept, f"IEMOCAP in {folder}")


def _name(labels: str, split: str) -> str:
    """The plain name belongs to what the published counts are of."""
    return "-".join(["iemocap", *([labels] if labels != "6-way" else []), *([split] if split != PUBLISHED else [])])


def _split_of(dialogue: str, split: str) -> Split:
    if split == PUBLISHED:
        if dialogue.startswith(IEMOCAP_TEST_SESSION):
            return "test"
        return "validation" if dialogue in IEMOCAP_VALIDATION else "train"
    test, session = int(split.removeprefix("session-")), int(dialogue[3:5])
    return "test" if session == test else "validation" if session == test % len(SESSIONS) + 1 else "train"


def _split_note(split: str) -> str:
    if split == PUBLISHED:
        return "session 5 is test; validation is COSMIC's 12 dialogues, whose speakers are in train too"
    test = int(split.removeprefix("session-"))
    return f"session {test} is test, session {test % len(SESSIONS) + 1} validation: no speaker is in two splits"


def _utterance(
    session: Session, spoken: Evaluated, turn: int, label: str | None, split: Split, markers: Side | None
) -> RecordedUtterance:
    wave = session.folder / "sentences" / "wav" / spoken.dialogue / f"{spoken.id}.wav"
    video = session.folder / "dialog" / "avi" / "DivX" / f"{spoken.dialogue}.avi"
    region = None if markers is None else _region(spoken, markers)
    return RecordedUtterance(
        dialogue=spoken.dialogue,
        turn=turn,
        speaker=f"{spoken.dialogue[:5]}_{spoken.actor}",
        split=split,
        label=label,
        text=spoken.text,
        audio=Clip(str(wave)) if wave.is_file() else None,
        video=Clip(str(video), spoken.start, spoken.stop, region) if video.is_file() else None,
    )


def _region(spoken: Evaluated, markers: Side) -> Side:
    """The letter after the session is the actor with the markers: F in ``Ses01F_impro01`` (README of the release)."""
    if spoken.actor == spoken.dialogue[5]:
        return markers
    return "left" if markers == "right" else "right"


def _repairs(sessions: Sequence[Session], names: Mapping[str, str], kept: Sequence[RecordedUtterance]) -> Iterator[str]:
    codes = Counter(s.emotion for session in sessions for dialogue in session.dialogues for s in dialogue)
    if len(kept) < codes.total():
        others = ", ".join(f"{count} {code}" for code, count in codes.most_common() if code not in names)
        yield f"{codes.total() - len(kept)} of {codes.total()} utterances are left out for their label ({others})"
    odd = [line for session in sessions for line in session.odd_lines]
    lines = sum(session.lines for session in sessions)
    yield from counted(odd, lines, "lines of transcripts and evaluations belong to no evaluated utterance")
    without = {
        "text in the transcripts": [place(u) for u in kept if u.text is None],
        "wave file": [place(u) for u in kept if u.audio is None],
        "video of their dialogue": [place(u) for u in kept if u.video is None],
    }
    for what, places in without.items():
        yield from counted(places, len(kept), f"utterances have no {what} and go without")
