"""Utterances a second of a training step of DF-ERC (forward, backward, clipping, AdamW) at the published sizes, on CPU.

    python benchmarks/throughput.py [--against CHECKOUT]

CHECKOUT is a folder with the released implementation (github.com/unikcc/DFERC). It then takes turns with ours, on the
same batches, and the ratio is taken in each round.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from common import WIDTHS, dialogue_lengths, interleaved, random_corpus, show, spread
from release import release_step

from dferc.corpus import Corpus, DialogueBatch, collate
from dferc.corpus.batching import Plan, training_plan
from dferc.models import model_named
from dferc.training import TrainingConfig, backward, make_learner, make_task, step

Step = Callable[[DialogueBatch], object]
OURS, BFLOAT16, SORTED, RELEASE = "dferc", "dferc, bfloat16", "dferc, its own batches", "the release"


def our_step(corpus: Corpus, precision: str) -> Step:
    """One training step of ours with every default of the model."""
    model_type = model_named("df_erc")
    training = TrainingConfig.model_validate({"precision": precision})
    model = model_type(model_type.config_type(), make_task(corpus)).train()
    learner = make_learner(model, training, steps=1000, device=torch.device("cpu"))

    def train(batch: DialogueBatch) -> None:
        backward(learner, batch)
        step(learner)

    return train


def sides(corpus: Corpus, batch_dialogues: int, checkout: Path | None) -> dict[str, Callable[[], None]]:
    """What takes turns: each side trains once on every dialogue of the corpus."""
    dialogues = corpus.dialogues
    drawn = [dialogues[i : i + batch_dialogues] for i in range(0, len(dialogues), batch_dialogues)]
    given = _collated(corpus, [list(batch) for batch in drawn])
    alike = _collated(corpus, training_plan(dialogues, batch_dialogues, seed=0, epoch=0))
    ours = our_step(corpus, "float32")
    chosen: dict[str, tuple[Step, list[DialogueBatch]]] = {
        OURS: (ours, given),
        SORTED: (ours, alike),
        BFLOAT16: (our_step(corpus, "bfloat16"), given),
    }
    if checkout is not None:
        chosen[RELEASE] = (release_step(checkout, WIDTHS, corpus.card.labels), given)
    return {name: partial(_pass, train, batches) for name, (train, batches) in chosen.items()}


def _collated(corpus: Corpus, plan: Plan) -> list[DialogueBatch]:
    return [collate(corpus, batch, list(WIDTHS)) for batch in plan]


def _pass(train: Step, batches: list[DialogueBatch]) -> None:
    for batch in batches:
        train(batch)


def rows(corpus: Corpus, batch_dialogues: int, checkout: Path | None, rounds: int) -> list[list[str]]:
    """One row a side: utterances a second, and how many times the release's or the first side's."""
    utterances = corpus.table.num_rows
    times = interleaved(sides(corpus, batch_dialogues, checkout), rounds)
    reference = times[RELEASE if checkout else OURS]
    return [
        [
            f"{name}, {batch_dialogues} dialogues",
            spread([utterances / s for s in took], 0),
            spread([theirs / s for theirs, s in zip(reference, took, strict=True)]),
        ]
        for name, took in times.items()
    ]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--against", type=Path, metavar="CHECKOUT", help="folder with the released implementation")
    options.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    options.add_argument("--dialogues", type=int, default=32, help="dialogues in one round (32)")
    options.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    options.add_argument("--batch", type=int, nargs="+", default=[2, 16], help="dialogues in a batch (2 16)")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    lengths = dialogue_lengths(chosen.dialogues)
    corpus = random_corpus(lengths)
    table = [row for size in chosen.batch for row in rows(corpus, size, chosen.against, chosen.rounds)]
    compared = "times the release" if chosen.against else "times the first"
    show(
        "Training step at the published sizes",
        ["side", "utterances/s", compared],
        table,
        f"median [lowest .. highest] of {chosen.rounds} rounds; {len(lengths)} dialogues of {min(lengths)} to "
        f"{max(lengths)} utterances, mean {statistics.mean(lengths):.0f}; {chosen.threads} threads",
    )


if __name__ == "__main__":
    main()
