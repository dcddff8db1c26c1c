"""``dferc predict``: the emotions of dialogues, and why the model thinks so."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dferc.errors import UserError
from dferc_platform.cli.report import say, study_folder

if TYPE_CHECKING:
    from dferc_platform.predict import Prediction

MLFLOW_RUN = "runs:/"


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run folder, or an MLflow run as runs:/ID.")],
    dialogues: Annotated[
        str, typer.Argument(metavar="DIALOGUE.json|CORPUS", help="A dialogue in the form shown below, or a corpus.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all probabilities.")] = False,
) -> None:
    """Predict the emotions of dialogues, with the fusion weight of each modality and the gate on the context.

    Example: dferc predict results/beta-sensitivity/runs/3f0a dialogue.json

    The dialogue: {"utterances": [{"speaker": "A", "text": "Great.", "features": {"text": [0.1, 0.7], "audio": null}}]}
    with the features that the model was trained on, and null where an utterance lacks a modality.

    A corpus of recordings is made with `dferc data extract ... --like` the corpus that the model was trained on.
    """
    folder = run_folder(model)
    one = dialogues.endswith(".json")
    found = _dialogue(folder, Path(dialogues)) if one else list(_corpus(folder, dialogues))
    if as_json:
        listed = [{"dialogue": name, "utterances": [asdict(p) for p in said]} for name, said in found]
        typer.echo(json.dumps({"utterances": listed[0]["utterances"]} if one else {"dialogues": listed}, indent=1))
        return
    for name, said in found:
        if not one:
            say(f"\n{name}")
        Console().print(table(said))


def _dialogue(folder: Path, file: Path) -> "list[tuple[str, list[Prediction]]]":
    from dferc_platform.predict import model_needs, predict, read_dialogue
    from dferc_platform.saved import load_model

    trained, _, task = load_model(folder)
    return [(file.stem, predict(trained, task, read_dialogue(file, model_needs(trained, task))))]


def _corpus(folder: Path, name: str) -> "Iterator[tuple[str, list[Prediction]]]":
    from dferc_platform.predict import model_needs, predict_corpus
    from dferc_platform.saved import load_model, open_corpus, refuse_other_vectors

    trained, _, task = load_model(folder)
    corpus = open_corpus(name)
    refuse_other_vectors(folder, corpus, model_needs(trained, task).widths)
    return predict_corpus(trained, task, corpus)


def run_folder(named: str) -> Path:
    """The folder of a trained run, fetched from MLflow where it is named so.

    Raises:
        UserError: nothing trained is there.
    """
    folder = _fetched(named.removeprefix(MLFLOW_RUN)) if named.startswith(MLFLOW_RUN) else study_folder(named)
    if (folder / "study.json").is_file():
        raise UserError(f"{named} is a study: choose one of its runs, a folder under {folder / 'runs'}")
    if not (folder / "best" / "model.safetensors").is_file():
        raise UserError(f"{named} holds no trained model: it has no best/model.safetensors")
    return folder


def table(predictions: "list[Prediction]") -> Table:
    """One row an utterance."""
    modalities = list(predictions[0].fusion_weights)
    gated = predictions[0].context_gate is not None
    made = Table(box=None, pad_edge=False)
    made.add_column("speaker", no_wrap=True)
    made.add_column("text", ratio=1)
    made.add_column("emotion", no_wrap=True)
    for title in ("p", *(f"{name}\nweight" for name in modalities), *(["context\ngate"] if gated else [])):
        made.add_column(title, justify="right", no_wrap=True)
    for p in predictions:
        gate = [f"{p.context_gate:.2f}"] if p.context_gate is not None else []
        numbers = [f"{p.probabilities[p.emotion]:.2f}", *(f"{p.fusion_weights[m]:.2f}" for m in modalities), *gate]
        made.add_row(Text(p.speaker), Text(p.text or ""), Text(p.emotion, style="bold"), *numbers)
    return made


def _fetched(run: str) -> Path:
    from dferc_platform.secrecy import without_secrets
    from dferc_platform.tracking.store import import_mlflow, store_uri

    mlflow, uri = import_mlflow(), store_uri(None)
    where = Path(tempfile.mkdtemp(prefix="dferc-model-"))
    try:
        mlflow.artifacts.download_artifacts(run_id=run, artifact_path="best", dst_path=str(where), tracking_uri=uri)
    except (mlflow.MlflowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"MLflow at {without_secrets(uri)} has no trained model of run {run} ({reason})") from None
    return where
