"""Extraction as a Ray Data pipeline: one modality after the other, dialogues streaming to a pool of workers.

Only transcripts and file names travel to the workers and only counts travel back; vectors go from a worker to a file.
So memory does not grow with the corpus, and a stopped extraction goes on with the dialogues that have no file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dferc.corpus.contract import Modality
from dferc.corpus.recordings import RecordedUtterance, Recordings
from dferc.encoders.extractor import Extractor
from dferc.errors import UserError
from dferc_platform.cluster import connect
from dferc_platform.extract.parts import Parts
from dferc_platform.extract.quiet import messages_to
from dferc_platform.extract.worker import DIALOGUE, Worker, new_run

BLOCKS = 500
"""At most so many pieces of work: enough that progress moves and workers share evenly."""


@dataclass(frozen=True)
class Stage:
    """The extraction of one modality."""

    name: str
    build: Callable[[str], Extractor]
    """Makes the extractor on a device."""
    neural: bool
    """Whether it is a network, which a GPU helps."""


@dataclass(frozen=True)
class Progress:
    """How far a modality is."""

    name: str
    done: int
    """Dialogues, those of earlier starts included."""
    total: int
    utterances: int
    """Extracted since this start."""
    present: int
    """Of these, the ones that have a vector."""


class ExtractionJob:
    """Vectors of recordings, for as many modalities as there are stages."""

    def __init__(self, recordings: Recordings, folder: Path, stages: tuple[Stage, ...], workers: int | None) -> None:
        """Plan; nothing runs yet.

        Args:
            recordings: the conversations.
            folder: where finished dialogues are kept; every machine of the cluster must see it.
            stages: what is extracted, one after the other.
            workers: of one stage; by default as many as the cluster has GPUs or CPUs for.
        """
        self._dialogues = recordings.dialogues()
        self._folder = folder.resolve()
        self._stages = stages
        self._workers = workers

    def run(
        self, on_progress: Callable[[Progress], None], expected: Mapping[str, str] | None = None
    ) -> dict[str, Parts]:
        """Extract what is not extracted yet; the parts of each modality, all finished.

        Args:
            on_progress: told when a dialogue is finished.
            expected: modality to the identity that its extractor must have.

        Raises:
            UserError: an extractor cannot be built, or is another than expected.
        """
        with connect(), messages_to(self._folder / "ray.log"):
            described = _describe(self._stages)
            _refuse_others(described, expected or {})
            made = {stage.name: Parts(self._folder, stage.name, described[stage.name]) for stage in self._stages}
            for stage in self._stages:
                self._stage(stage, made[stage.name], on_progress)
        return made

    def _stage(self, stage: Stage, parts: Parts, on_progress: Callable[[Progress], None]) -> None:
        waiting = {name: path for name, path in self._paths(parts) if not path.is_file()}
        total = len(self._dialogues)
        done, utterances, present = total - len(waiting), 0, 0
        on_progress(Progress(stage.name, done, total, utterances, present))
        for counts in self._stream(stage, waiting) if waiting else ():
            done += len(counts["dialogue"])
            utterances += int(counts["utterances"].sum())
            present += int(counts["present"].sum())
            on_progress(Progress(stage.name, done, total, utterances, present))

    def _paths(self, parts: Parts) -> Iterator[tuple[str, Path]]:
        for name, dialogue in self._dialogues.items():
            yield name, parts.path(dialogue)

    def _stream(self, stage: Stage, waiting: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
        import pyarrow as pa
        import ray

        gpus = int(ray.cluster_resources().get("GPU", 0)) if stage.neural else 0
        cpus = int(ray.cluster_resources().get("CPU", 1))
        workers = min(self._workers or gpus or cpus, len(waiting))
        rows = pa.table(
            {
                "dialogue": list(waiting),
                "utterances": [_as_json(self._dialogues[name]) for name in waiting],
                "part": [str(path) for path in waiting.values()],
            }
        )
        counts = ray.data.from_arrow(rows, override_num_blocks=min(BLOCKS, len(waiting))).map_batches(
            Worker,
            fn_constructor_kwargs={"build": partial(stage.build, "cuda" if gpus else "cpu"), "run": new_run()},
            batch_size=1,
            concurrency=workers,
            num_cpus=1,
            num_gpus=1 if gpus else 0,
        )
        yield from counts.iter_batches(batch_size=None, prefetch_batches=0)


def _describe(stages: tuple[Stage, ...]) -> dict[str, Modality]:
    """What each extractor says of itself; asked in a worker, so that no model stays in this process."""
    import ray

    ask = ray.remote(num_cpus=1, max_retries=0)(_description)
    asked = {stage.name: ask.remote(stage.build) for stage in stages}
    return {name: ray.get(answer) for name, answer in asked.items()}


def _description(build: Callable[[str], Extractor]) -> Modality:
    return build("cpu").described()


def _refuse_others(described: Mapping[str, Modality], expected: Mapping[str, str]) -> None:
    problems = [
        f"vectors of {name} would come from {described[name].identity!r}, must come from {identity!r}"
        for name, identity in expected.items()
        if name in described and described[name].identity != identity
    ]
    if problems:
        raise UserError.collected("the extraction", problems)


def _as_json(dialogue: list[RecordedUtterance]) -> str:
    return DIALOGUE.dump_json(dialogue).decode()
