"""What ``dferc data extract`` does once it knows what is wanted: say what it would take, or extract and write."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dferc_platform.cli.durations import duration
from dferc_platform.cli.report import say

if TYPE_CHECKING:
    from dferc.corpus import CorpusCard
    from dferc.corpus.recordings import Recordings
    from dferc_platform.extract.config import ExtractionConfig

Make = Callable[..., "CorpusCard"]
"""Extracts and writes: given the file, what is told of progress, and how many workers."""


def write(make: Make, target: Path, workers: int | None) -> None:
    """Extract, write the corpus, and say what came of it."""
    from dferc_platform.cli.progress import ExtractionBars

    with ExtractionBars() as bars:
        card = make(target, bars.show, workers=workers)
    made = ", ".join(f"{modality.width} {name}" for name, modality in card.modalities.items())
    say(f"Wrote {target}: {f'{made} numbers an utterance' if made else 'transcripts alone'}")
    for repair in card.repairs:
        say(f"Note: {repair}")
    say(f"What could not be extracted, and why: dferc data verify {target}")


def say_plan(recordings: "Recordings", config: "ExtractionConfig", target: Path) -> None:
    """Say what would be extracted, and about how long it would take."""
    from dferc_platform.extract.corpus import plan

    size = f"{len(recordings.utterances)} utterances in {len(recordings.dialogues())} dialogues"
    say(f"Would read {recordings.card.name}: {size}")
    for repair in recordings.card.repairs:
        say(f"Note: {repair}")
    for cost in plan(recordings, config, target).estimate():
        settings = ", ".join(f"{name}={value}" for name, value in getattr(config, cost.name).model_dump().items())
        say(f"{cost.name}: {settings}")
        left = f"{duration(cost.utterances * cost.seconds)} on one CPU, less on more" if cost.utterances else "nothing"
        say(f"  {cost.done} of {cost.total} dialogues are done; the rest: about {left}")
    say(f"It would be written to {target}, and its finished dialogues kept in {target}.parts")
