"""Memory of a training worker with an IEMOCAP-sized corpus mapped, and what a second worker adds.

    python benchmarks/memory.py

RSS counts pages that processes share once in each of them; USS counts only what would come free if the process ended.
Linux only: the numbers come from /proc.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from common import WIDTHS, dialogue_lengths, random_corpus, show

from dferc.corpus import Corpus, collate
from dferc.models import model_named
from dferc.training import TrainingConfig, backward, make_learner, make_task, step

DIALOGUES = 151
MB = 1e6
STAGES = ("imports", "corpus mapped", "every vector read", "model and one step")


def worker(path: str) -> None:
    """Do what a trial does, print the memory after each stage as a line of JSON, and stay until the input is closed."""
    _say()
    corpus = Corpus.open(path)
    _say()
    for name in WIDTHS:
        corpus.features(name).sum()
    _say()
    model_type = model_named("df_erc")
    model = model_type(model_type.config_type(), make_task(corpus)).train()
    learner = make_learner(model, TrainingConfig(), steps=10, device=torch.device("cpu"))
    backward(learner, collate(corpus, list(corpus.dialogues[:2]), list(WIDTHS)))
    step(learner)
    _say()
    sys.stdin.read()


def _say() -> None:
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:])
    memory = {name: int(kilobytes) * 1024 for name, kilobytes, *_ in lines}
    private = memory["Private_Clean:"] + memory["Private_Dirty:"]
    sys.stdout.write(json.dumps([memory["Rss:"], private]) + "\n")
    sys.stdout.flush()


def start(path: Path) -> tuple[subprocess.Popen[str], list[list[float]]]:
    """A worker, and its RSS and USS in bytes after each stage."""
    command = [sys.executable, __file__, "--worker", str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, [json.loads(process.stdout.readline()) for _ in STAGES]


def measure(folder: Path) -> tuple[int, list[list[list[float]]]]:
    """Bytes of the vectors, and the stages of two workers, the second started while the first lives."""
    corpus = random_corpus(dialogue_lengths(DIALOGUES))
    size = corpus.table.num_rows * sum(WIDTHS.values()) * 4
    path = corpus.save(folder / "corpus.parquet")
    os.environ["DFERC_CACHE"] = str(folder / "cache")
    Corpus.open(path)  # decodes it once, as the driver does
    workers = []
    try:
        for _ in range(2):
            workers.append(start(path))
        return size, [stages for _, stages in workers]
    finally:
        for process, _ in workers:
            process.communicate(timeout=60)


def table(stages: Sequence[Sequence[Sequence[float]]]) -> list[list[str]]:
    """A row a stage: RSS and USS of each worker in MB."""
    return [
        [name, *(f"{value / MB:,.0f}" for worker_stages in stages for value in worker_stages[i])]
        for i, name in enumerate(STAGES)
    ]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--worker", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.worker:
        worker(chosen.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        size, stages = measure(Path(folder))
    columns = ["after", "first: RSS", "USS", "second: RSS", "USS"]
    show("Memory of a worker, MB", columns, table(stages), f"{DIALOGUES} dialogues, {size / MB:,.0f} MB of vectors")


if __name__ == "__main__":
    main()
