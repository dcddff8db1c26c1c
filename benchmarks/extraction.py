"""Extraction from recordings: utterances a second of each modality, and peak memory as the corpus grows ten times.

    python benchmarks/extraction.py [--text ENCODER] [--video FILE] [--dialogues 20]

Sound is made here. Transcripts need an encoder, a name or a folder; pictures need a video with a face, which the
network sees with random weights, as fast as with trained ones. What is not given is not measured. Memory is the sum of
the proportional set sizes of the driver, Ray and all workers, sampled every 3 seconds. Linux only.
"""

import argparse
import os
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from common import show

from dferc.corpus import CorpusCard
from dferc.corpus.recordings import Clip, RecordedUtterance, Recordings
from dferc_platform.extract.config import ExtractionConfig
from dferc_platform.extract.corpus import extract_corpus
from dferc_platform.extract.job import Progress

UTTERANCES = 10
"""Of a dialogue."""
SECONDS, RATE = 3.0, 16_000
"""Length of an utterance's sound, which is MELD's mean, and its samples a second."""
GROWTH = 10
MB = 2**20
WORDS = (
    "well",
    "I",
    "never",
    "thought",
    "that",
    "you",
    "would",
    "say",
    "such",
    "a",
    "thing",
    "after",
    "all",
    "these",
    "years",
)


@dataclass
class Memory:
    """Peak of a process tree, bytes."""

    peak: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Sample until told to stop."""
        me = psutil.Process()
        while not self.stop.wait(3):
            self.peak = max(self.peak, sum(map(_proportional, [me, *me.children(recursive=True)])))


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


@contextmanager
def watched() -> Iterator[Memory]:
    """Watch the memory of this process and its children during the block."""
    memory = Memory()
    thread = threading.Thread(target=memory.watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        memory.stop.set()
        thread.join()


def sounds(folder: Path) -> list[str]:
    """Files of buzzing sound with changing pitch and loudness, which openSMILE takes for voiced speech."""
    paths = []
    for number in range(20):
        draw = np.random.default_rng(number)
        clock = np.arange(round(SECONDS * RATE)) / RATE
        pitch = 120 + 40 * draw.random() + 15 * np.sin(2 * np.pi * clock * (1 + draw.random()))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        signal = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * clock))
        path = folder / f"{number}.wav"
        with wave.open(str(path), "wb") as out:
            out.setparams((1, 2, RATE, 0, "NONE", ""))
            out.writeframes((signal / np.abs(signal).max() * 20_000).astype("<i2").tobytes())
        paths.append(str(path))
    return paths


def recordings(dialogues: int, audio: list[str], video: str | None) -> Recordings:
    """Conversations over these files."""
    draw = np.random.default_rng(0)
    card = CorpusCard(
        name="benchmark", labels=("calm", "glad"), modalities={}, source="benchmarks/extraction.py", licence="none",
        split_note="all train",
    )  # fmt: skip
    utterances = tuple(
        RecordedUtterance(
            dialogue=f"{d:05d}",
            turn=t,
            speaker="AB"[t % 2],
            split="train",
            label="calm",
            text=" ".join(draw.choice(WORDS, draw.integers(3, 16))),
            audio=Clip(audio[(d * UTTERANCES + t) % len(audio)]),
            video=None if video is None else Clip(video, 0.0, SECONDS),
        )
        for d in range(dialogues)
        for t in range(UTTERANCES)
    )
    return Recordings(card, utterances)


def clock(times: list[float]) -> Callable[[Progress], None]:
    """Notes when the first and the last dialogue are finished: starting workers is not extraction."""

    def note(progress: Progress) -> None:
        if progress.utterances:
            times.append(time.perf_counter())

    return note


def measure(config: ExtractionConfig, talks: Recordings, folder: Path) -> tuple[float, int]:
    """Utterances a second once workers run, and peak memory in bytes."""
    times: list[float] = []
    with watched() as memory:
        extract_corpus(talks, config, folder / "corpus.parquet", clock(times))
    return (len(times) - 1) * UTTERANCES / (times[-1] - times[0]), memory.peak


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--text", help="text encoder")
    options.add_argument("--video", help="video with a face, at least 3 s long")
    options.add_argument("--dialogues", type=int, default=20, help="of the smaller corpus")
    chosen = options.parse_args()
    configs = {
        "text": chosen.text and ExtractionConfig.model_validate({"text": {"source": chosen.text}}),
        "audio": ExtractionConfig.model_validate({"audio": {}}),
        "visual": chosen.video and ExtractionConfig.model_validate({"visual": {"weights": "random"}}),
    }
    rows = []
    with tempfile.TemporaryDirectory() as name:
        audio = sounds(Path(name))
        for modality, config in configs.items():
            if not config:
                continue
            measured = []
            for dialogues in (chosen.dialogues, GROWTH * chosen.dialogues):
                folder = Path(name) / f"{modality}-{dialogues}"
                folder.mkdir()
                measured.append(measure(config, recordings(dialogues, audio, chosen.video), folder))
            (_, small), (speed, large) = measured
            rows.append([modality, f"{speed:,.1f}", f"{small / MB:,.0f}", f"{large / MB:,.0f}", f"{large / small:.2f}"])
    columns = ["modality", "utterances/s", f"peak MB, {chosen.dialogues} dialogues", f"{GROWTH} times as many", "ratio"]
    show("Extraction", columns, rows, f"{os.cpu_count()} CPUs, {UTTERANCES} utterances a dialogue, {SECONDS:g} s each")


if __name__ == "__main__":
    main()
