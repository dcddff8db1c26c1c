"""Extraction as a Ray Data pipeline: dialogues stream through a pool of workers, one modality after the other.

Only transcripts and file names travel to the workers and only counts travel back; vectors go from a worker to a file.
So memory does not grow with the corpus, and a stopped extraction goes on with the dialogues that have no file.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """The extraction of one modality, or of several whose vectors one extractor makes side by side."""

    name: str
    build: Callable[[str], Extractor]
    """Makes the extractor on a device."""
    neural: bool
    """Whether it is a network, which a GPU helps."""
    apart: Callable[[Modality], Mapping[str, Modality]] | None = None
    """Takes what the extractor describes apart into its modalities, in order; None where there is but one."""

    def modalities(self, made_by: Modality) -> Mapping[str, Modality]:
        """Name to each modality in what the extractor makes."""
        return {self.name: made_by} if self.apart is None else self.apart(made_by)


@dataclass(frozen=True)
class Progress:
    """How far a modality is."""

    name: str
    done: int
    """Dialogues, those of earlier starts included."""
    total: int
    utterances: int = 0
    """Extracted since this start."""
    present: int = 0
    """Of these, the ones that have a vector."""


@dataclass(frozen=True)
class Waiting:
    """A dialogue that has no vectors of a modality yet."""

    stage: Stage
    dialogue: list[RecordedUtterance]
    part: Path


@dataclass(frozen=True)
class Cost:
    """What is left of a modality, and what it takes on one CPU of this machine."""

    name: str
    done: int
    """Dialogues."""
    total: int
    utterances: int
    """Of the dialogues that are not done."""
    seconds: float
    """For an utterance, measured on one dialogue; 0 where nothing is left."""


class ExtractionJob:
    """Vectors of recordings, for as many modalities as there are stages."""

    def __init__(self, recordings: Recordings, folder: Path, stages: tuple[Stage, ...], workers: int | None) -> None:
        """Plan; nothing runs yet.

        Args:
            recordings: the conversations.
            folder: where finished dialogues are kept; every machine of the cluster must see it.
            stages: what is extracted, one after the other.
            workers: by default as many as the cluster has CPUs, or GPUs for networks.
        """
        self._dialogues = recordings.dialogues()
        self._folder = folder.resolve()
        self._stages = stages
        self._workers = workers

    def run(
        self, on_progress: Callable[[Progress], None], expected: Mapping[str, str] | None = None
    ) -> dict[str, Parts]:
        """Extract what is not extracted yet; the parts of each stage, all finished.

        Args:
            on_progress: told when a dialogue is finished.
            expected: modality to the identity that its extractor must have.

        Raises:
            UserError: an extractor cannot be built, or is another than expected.
        """
        with messages_to(self._folder / "messages.log"):
            described = {stage.name: stage.build("cpu").described() for stage in self._stages}
            made = {name: m for stage in self._stages for name, m in stage.modalities(described[stage.name]).items()}
            _refuse_others(made, expected or {})
            parts = {name: Parts(self._folder, name, modality) for name, modality in described.items()}
            waiting = [w for stage in self._stages for w in self._waiting(stage, parts[stage.name])]
            progress = {stage.name: self._at_start(stage, waiting) for stage in self._stages}
            for at_start in progress.values():
                on_progress(at_start)
            for counts in _extracted(waiting, self._workers):
                progress[counts["modality"]] = _further(progress[counts["modality"]], counts)
                on_progress(progress[counts["modality"]])
        return parts

    def estimate(self) -> list[Cost]:
        """Extract one dialogue of middling length of each modality, keep nothing, and say what all would take.

        Raises:
            UserError: an extractor cannot be built.
        """
        with messages_to(Path(os.devnull)):
            return [self._cost(stage) for stage in self._stages]

    def _cost(self, stage: Stage) -> Cost:
        extractor = stage.build("cpu")
        parts = Parts(self._folder, stage.name, extractor.described())
        left = sorted((w.dialogue for w in self._waiting(stage, parts)), key=len)
        seconds = 0.0
        if left:
            middling = left[len(left) // 2]
            started = time.perf_counter()
            extractor.extract(middling)
            seconds = (time.perf_counter() - started) / len(middling)
        total = len(self._dialogues)
        return Cost(stage.name, total - len(left), total, sum(map(len, left)), seconds)

    def _waiting(self, stage: Stage, parts: Parts) -> Iterator[Waiting]:
        for dialogue in self._dialogues.values():
            part = parts.path(dialogue)
            if not part.is_file():
                yield Waiting(stage, dialogue, part)

    def _at_start(self, stage: Stage, waiting: Sequence[Waiting]) -> Progress:
        total = len(self._dialogues)
        return Progress(stage.name, total - sum(w.stage == stage for w in waiting), total)


def _refuse_others(made: Mapping[str, Modality], expected: Mapping[str, str]) -> None:
    problems = [
        f"vectors of {name} would come from {made[name].identity!r}, must come from {identity!r}"
        for name, identity in expected.items()
        if name in made and made[name].identity != identity
    ]
    if problems:
        raise UserError.collected("the extraction", problems)


def _further(progress: Progress, counts: Mapping[str, Any]) -> Progress:
    return Progress(
        progress.name,
        progress.done + 1,
        progress.total,
        progress.utterances + int(counts["utterances"]),
        progress.present + int(counts["present"]),
    )


def _extracted(waiting: Sequence[Waiting], workers: int | None) -> Iterator[dict[str, Any]]:
    """Counts of one dialogue after the other: networks on GPUs where there are any, all the rest on CPUs."""
    if not waiting:
        return
    with connect():
        import ray

        ray.data.DataContext.get_current().enable_progress_bars = False  # ours are shown instead
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        cpus = int(ray.cluster_resources().get("CPU", 1))
        on_gpu = [w for w in waiting if gpus and w.stage.neural]
        on_cpu = [w for w in waiting if not (gpus and w.stage.neural)]
        for some, device, room in ((on_gpu, "cuda", gpus), (on_cpu, "cpu", cpus)):
            if some:
                yield from _stream(some, device, min(workers or room, len(some)))


def _stream(waiting: Sequence[Waiting], device: str, workers: int) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import ray

    rows = pa.table(
        {
            "modality": [w.stage.name for w in waiting],
            "utterances": [DIALOGUE.dump_json(w.dialogue).decode() for w in waiting],
            "part": [str(w.part) for w in waiting],
        }
    )
    builders = {w.stage.name: partial(w.stage.build, device) for w in waiting}
    counts = ray.data.from_arrow(rows, override_num_blocks=min(BLOCKS, len(waiting))).map(
        Worker,
        fn_constructor_kwargs={"builders": builders, "run": new_run()},
        concurrency=workers,
        num_cpus=1,
        num_gpus=1 if device == "cuda" else 0,
    )
    yield from counts.iter_rows()
