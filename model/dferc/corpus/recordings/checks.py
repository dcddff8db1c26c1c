"""From what a layout's files say to recordings that can be trusted: order, and what no layout may hold."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dferc.corpus.contract import CorpusCard
from dferc.corpus.recordings.contract import RecordedUtterance, Recordings
from dferc.corpus.tables import refuse
from dferc.errors import UserError


def checked(card: CorpusCard, utterances: Iterable[RecordedUtterance], where: Path | str) -> Recordings:
    """The utterances in the order of dialogues and turns.

    Raises:
        UserError: there is none, a turn occurs twice, or a dialogue is in two splits.
    """
    ordered = tuple(sorted(utterances, key=lambda u: (u.dialogue, u.turn)))
    if not ordered:
        raise UserError(f"{where} holds no utterance")
    refuse(str(where), [*_repeated_turns(ordered), *_overlaps(ordered)])
    return Recordings(card, ordered)


def _repeated_turns(utterances: tuple[RecordedUtterance, ...]) -> Iterator[str]:
    for (dialogue, turn), count in Counter((u.dialogue, u.turn) for u in utterances).items():
        if count > 1:
            yield f"turn {turn} of dialogue {dialogue!r} occurs {count} times, must be once"


def _overlaps(utterances: tuple[RecordedUtterance, ...]) -> Iterator[str]:
    splits: dict[str, set[str]] = {}
    for utterance in utterances:
        splits.setdefault(utterance.dialogue, set()).add(utterance.split)
    for dialogue, found in splits.items():
        if len(found) > 1:
            yield f"dialogue {dialogue!r} is in {' and '.join(sorted(found))}, must be in one split"


def counted(found: Sequence[str], total: int, what: str) -> Iterator[str]:
    """A sentence about what was found, if anything was: how many of how many, and where the first is."""
    if found:
        yield f"{len(found)} of {total} {what}: the first is {found[0]}"


def place(utterance: RecordedUtterance) -> str:
    """Where an utterance stands, for sentences."""
    return f"turn {utterance.turn} of {utterance.dialogue}"
