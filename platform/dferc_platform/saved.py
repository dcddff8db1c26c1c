"""Models as they lie in a run folder, and corpora by name."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dferc.corpus import Corpus, CorpusCard
from dferc.errors import UserError
from dferc.models import Model, Task, model_named
from dferc_platform.checkpoint import DESCRIPTION, WEIGHTS, DamagedError, load_best
from dferc_platform.config import RunConfig, make_config
from dferc_platform.storage import fetched, is_uri

SYNTHETIC = "synthetic"


def open_corpus(name: str) -> Corpus:
    """A corpus by path or URI, or the embedded synthetic one by the name ``synthetic``.

    Raises:
        UserError: there is none, or it is no corpus.
        StoreAwayError: the store of the URI does not answer.
    """
    if name != SYNTHETIC:
        return Corpus.open(fetched(name) if is_uri(name) else name)
    from dferc.corpus.synthetic import default_path

    return Corpus.open(default_path())


def build_model(config: RunConfig, task: Task) -> Model:
    """A fresh model.

    Raises:
        UserError: the config asks for a modality that the corpus lacks.
    """
    return model_named(config.model_name)(config.model, task)


def describe_model(config: RunConfig, task: Task, card: CorpusCard) -> dict[str, Any]:
    """What is needed beside the weights to build the model again, and how the vectors that it knows were made."""
    return {
        "config": config.model_dump(mode="json"),
        "task": {"widths": dict(task.widths), "labels": task.labels, "train_counts": task.train_counts},
        "vectors": {name: [modality.identity, modality.key] for name, modality in card.modalities.items()},
    }


def load_model(run_folder: Path) -> tuple[Model, RunConfig, Task]:
    """The chosen model of a run, ready to predict.

    Raises:
        UserError: the folder holds no trained model, or a damaged one.
    """
    best = run_folder / "best"
    if not (best / WEIGHTS).is_file():
        raise UserError(f"{run_folder} holds no trained model: name the folder of a run, which has best/{WEIGHTS}")
    try:
        weights, described = load_best(best)
    except DamagedError as damage:
        raise UserError(f"{damage}: train the run again, or take its copy from MLflow") from None
    config = make_config(described["config"], f"{best}/{DESCRIPTION}")
    saved = described["task"]
    task = Task(saved["widths"], tuple(saved["labels"]), tuple(saved["train_counts"]))
    model = build_model(config, task)
    model.load_state_dict(weights)
    return model.eval(), config, task


def refuse_other_vectors(run_folder: Path, corpus: Corpus, modalities: Iterable[str]) -> None:
    """Vectors of another extractor fit by width and mean nothing: refuse them.

    Raises:
        UserError: vectors of these modalities were not made as those that the model was trained on.
    """
    described = json.loads((run_folder / "best" / DESCRIPTION).read_text(encoding="utf-8"))
    known: dict[str, list[str]] = described["vectors"]
    problems = []
    for name in modalities:
        identity, key = known[name]
        here = corpus.card.modalities.get(name)
        if here is not None and here.identity != identity:
            problems.append(f"vectors of {name} come from {here.identity!r}, the model knows those from {identity!r}")
        elif here is not None and here.key != key:
            problems.append(f"vectors of {name} are standardised by other means than those that the model knows")
    if problems:
        way = "`dferc data extract ... --like CORPUS`, with the corpus of the training, makes vectors that fit"
        raise UserError.collected(f"corpus {corpus.card.name}", [f"{problem}; {way}" for problem in problems])
