"""The whole way: recordings to parts, parts to one corpus file; or transcripts of a corpus to further columns of it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from dferc.corpus.contract import CorpusCard, Scaling
from dferc.corpus.recordings import RecordedUtterance, Recordings
from dferc.corpus.store import Corpus
from dferc.encoders.addition import add_vectors, recorded
from dferc.encoders.assembly import Made, write_corpus
from dferc.encoders.extractor import Extracted
from dferc.errors import UserError
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
    made = _made(config, parts, {name: modality.scaling for name, modality in followed.items()})
    return write_corpus(recordings, made, target)


def extend_corpus(
    source: Path,
    config: ExtractionConfig,
    target: Path,
    on_progress: Callable[[Progress], None],
    *,
    workers: int | None = None,
) -> CorpusCard:
    """Extract what is not extracted yet of a corpus's transcripts and write the corpus with it; its new card.

    Args:
        source: file of the corpus, which stays as it is.
        config: what is extracted, and how.
        target: file of the new corpus; finished dialogues are kept beside it, in TARGET.parts.
        on_progress: told when a dialogue is finished.
        workers: of one modality; by default as many as there are GPUs or CPUs.

    Raises:
        UserError: the corpus cannot be extended so, weights are missing, or the file cannot be written.
    """
    corpus = Corpus.open(source)
    check_addition(corpus.card, config)
    parts = plan(recorded(corpus), config, target, workers).run(on_progress)
    return add_vectors(corpus, _made(config, parts, {}), source, target)


def check_addition(card: CorpusCard, config: ExtractionConfig) -> None:
    """Refuse what transcripts cannot give, and what the corpus has.

    Raises:
        UserError: all that is wrong.
    """
    asked = config.modalities()
    problems = [] if asked else ["nothing is asked for: give --comet or --text"]
    problems += [f"{name} needs recordings" for name in asked if name in ("audio", "visual")]
    problems += [f"{name} is there already, and nothing is replaced" for name in asked if name in card.modalities]
    if problems:
        raise UserError.collected(f"adding to corpus {card.name}", problems)


def plan(recordings: Recordings, config: ExtractionConfig, target: Path, workers: int | None = None) -> ExtractionJob:
    """What is to be done for a corpus file, beside which its finished dialogues are kept."""
    return ExtractionJob(recordings, target.with_name(f"{target.name}.parts"), config.stages(), workers)


def _made(
    config: ExtractionConfig, parts: Mapping[str, Parts], followed: Mapping[str, Scaling | None]
) -> dict[str, Made]:
    """Each modality of each stage, standardised as followed or, where nothing is, as configured."""
    rules: dict[str, float] = dict.fromkeys(config.standardise, config.clip)
    made = {}
    for stage in config.stages():
        of, start = parts[stage.name], 0
        for name, modality in stage.modalities(of.made_by).items():
            scaling = followed[name] if name in followed else rules.get(stage.name)
            made[name] = Made(modality, _loader(of, start, start + modality.width), scaling)
            start += modality.width
    return made


def _loader(parts: Parts, start: int, stop: int) -> Callable[[list[RecordedUtterance]], Extracted]:
    """Loads the numbers from ``start`` to ``stop`` of each vector."""

    def load(dialogue: list[RecordedUtterance]) -> Extracted:
        whole = load_part(parts.path(dialogue))
        return replace(whole, vectors=whole.vectors[:, start:stop])

    return load
