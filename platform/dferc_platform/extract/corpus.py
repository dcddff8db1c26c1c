"""The whole way: recordings to parts, parts to one corpus file."""

from collections.abc import Callable
from pathlib import Path

from dferc.corpus.contract import CorpusCard, Scaling
from dferc.corpus.recordings import RecordedUtterance, Recordings
from dferc.encoders.assembly import Made, write_corpus
from dferc.encoders.extractor import Extracted
from dferc_platform.extract.config import ExtractionConfig
from dferc_platform.extract.job import ExtractionJob, Progress
from dferc_platform.extract.parts import Parts, load_part


def extract_corpus(
    recordings: Recordings,
    config: ExtractionConfig,
    target: Path,
    on_progress: Callable[[Progress], None],
    *,
    workers: int | None = None,
    like: CorpusCard | None = None,
) -> CorpusCard:
    """Extract what is not extracted yet and write the corpus; its card.

    Args:
        recordings: the conversations.
        config: what is extracted, and how.
        target: the corpus file; finished dialogues are kept beside it, in TARGET.parts.
        on_progress: told when a dialogue is finished.
        workers: of one modality; by default as many as there are GPUs or CPUs.
        like: the corpus that is followed: same extractors, or nothing is done, and same standardisation.

    Raises:
        UserError: a library or weights are missing, nothing could be extracted, or the file cannot be written.
    """
    followed = {} if like is None else like.modalities
    parts = plan(recordings, config, target, workers).run(
        on_progress, {name: modality.identity for name, modality in followed.items()}
    )
    rules: dict[str, Scaling | float | None] = dict.fromkeys(config.standardise, config.clip)
    rules |= {name: modality.scaling for name, modality in followed.items()}
    made = {name: Made(of.made_by, _loader(of), rules.get(name)) for name, of in parts.items()}
    return write_corpus(recordings, made, target)


def plan(recordings: Recordings, config: ExtractionConfig, target: Path, workers: int | None = None) -> ExtractionJob:
    """What is to be done for a corpus file, beside which its finished dialogues are kept."""
    return ExtractionJob(recordings, target.with_name(f"{target.name}.parts"), config.stages(), workers)


def _loader(parts: Parts) -> Callable[[list[RecordedUtterance]], Extracted]:
    return lambda dialogue: load_part(parts.path(dialogue))
