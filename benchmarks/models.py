"""Utterances a second of every model, forward alone and with backward and step, at the published sizes, on CPU.

    python benchmarks/models.py [--models A,B] [--backbone SETTING]

Models over sub-tokens have a small backbone with random weights unless --backbone names another: what they add to it is
measured, for what the backbone itself costs is known.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from common import WIDTHS, dialogue_lengths, random_corpus, seconds, show, spread

from dferc.corpus import Corpus, DialogueBatch, collate
from dferc.encoders.backbone import SCRATCH
from dferc.models import Model, model_named, models
from dferc.models.token_model import TokenConfig
from dferc.training import Learner, TrainingConfig, backward, make_learner, make_task, step

COMET, COMET_WIDTH = ("xintent", "xeffect", "xwant", "xreact", "owant", "oeffect", "oreact"), 768
"""What the commonsense models read beside the text."""
REFERENCE = "df_erc"


def settings(name: str, backbone: str) -> dict[str, Any]:
    """The published settings on IEMOCAP where the model has some, else its defaults; its backbone if it has one."""
    model_type = model_named(name)
    fields = model_type.config_type.model_fields
    published = {k: v for k, v in model_type.recipes.get("iemocap", {}).items() if k in fields}
    return published | ({"backbone": backbone} if issubclass(model_type.config_type, TokenConfig) else {})


def learner_of(name: str, corpus: Corpus, backbone: str) -> Learner:
    """The model and what trains it."""
    model_type = model_named(name)
    model = model_type(model_type.config_type(**settings(name, backbone)), make_task(corpus)).train()
    return make_learner(model, TrainingConfig(), steps=1000, device=torch.device("cpu"))


def forward(learner: Learner, batches: list[DialogueBatch]) -> None:
    """Every batch once, as in an evaluation."""
    learner.model.eval()
    with torch.no_grad():
        for batch in batches:
            learner.model(batch)


def training(learner: Learner, batches: list[DialogueBatch]) -> None:
    """Every batch once, with a step each."""
    learner.model.train()
    for batch in batches:
        backward(learner, batch)
        step(learner)


def batches_of(model: Model, corpus: Corpus, size: int) -> list[DialogueBatch]:
    """The whole corpus in batches."""
    dialogues = corpus.dialogues
    parts = [list(dialogues[i : i + size]) for i in range(0, len(dialogues), size)]
    return [collate(corpus, part, model.modalities, model.text_packer()) for part in parts]


def measured(names: list[str], corpus: Corpus, size: int, backbone: str, rounds: int) -> Mapping[str, Any]:
    """Of each model its parameters, and its seconds in each round for both passes; models take turns in a round."""
    sides: dict[str, tuple[Learner, dict[str, Callable[[], None]]]] = {}
    for name in names:
        learner = learner_of(name, corpus, backbone)
        batches = batches_of(learner.model, corpus, size)
        passes: dict[str, Callable[[], None]] = {
            "forward": partial(forward, learner, batches),
            "training": partial(training, learner, batches),
        }
        sides[name] = learner, passes
    times: dict[str, dict[str, list[float]]] = {name: {"forward": [], "training": []} for name in names}
    for number in range(rounds + 1):  # the first warms up
        for name, (_, actions) in sides.items():
            for kind, action in actions.items():
                took = seconds(action)
                if number:
                    times[name][kind].append(took)
    return {n: (sum(p.numel() for p in sides[n][0].model.parameters()), times[n]) for n in names}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", help="names, comma-separated (all)")
    options.add_argument("--backbone", default=SCRATCH, help="of models over sub-tokens: folder or name (scratch)")
    options.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    options.add_argument("--dialogues", type=int, default=16, help="dialogues in one round (16)")
    options.add_argument("--batch", type=int, default=16, help="dialogues in a batch (16)")
    options.add_argument("--rounds", type=int, default=3, help="rounds (3)")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    names = chosen.models.split(",") if chosen.models else sorted(models())
    lengths = dialogue_lengths(chosen.dialogues)
    corpus = random_corpus(lengths, {**WIDTHS, **{f"comet_{relation}": COMET_WIDTH for relation in COMET}})
    found = measured(names, corpus, chosen.batch, chosen.backbone, chosen.rounds)
    reference = found[REFERENCE if REFERENCE in found else names[0]][1]["training"]
    ordered = sorted(found.items(), key=lambda item: statistics.median(item[1][1]["training"]))
    table = [
        [
            name,
            f"{parameters / 1e6:.1f}",
            spread([sum(lengths) / s for s in times["forward"]], 0),
            spread([sum(lengths) / s for s in times["training"]], 0),
            spread([theirs / s for theirs, s in zip(reference, times["training"], strict=True)], 2),
        ]
        for name, (parameters, times) in ordered
    ]
    show(
        "Every model at its published sizes",
        ["model", "million parameters", "forward, utterances/s", "training, utterances/s", f"times {REFERENCE}"],
        table,
        f"median [lowest .. highest] of {chosen.rounds} rounds; {len(lengths)} dialogues of {min(lengths)} to "
        f"{max(lengths)} utterances, {chosen.batch} a batch; {chosen.threads} threads; backbone {chosen.backbone}",
    )


if __name__ == "__main__":
    main()
