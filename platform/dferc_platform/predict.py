"""A trained model on dialogues: emotions with probabilities, and why: fusion weights and context gate."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from dferc.corpus import Corpus, CorpusCard, Modality, collate, corpus_schema, vector_array
from dferc.corpus.batch import TEXT
from dferc.errors import UserError
from dferc.models import Model, Output, Task

FORM = '{"utterances": [{"speaker": "A", "text": "...", "features": {"text": [0.1, ...], "audio": null}}]}'
"""What a dialogue looks like; a modality that an utterance lacks is null."""
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Utterance:
    """One turn of a dialogue that is to be labelled."""

    speaker: str
    text: str | None
    features: Mapping[str, tuple[float, ...] | None]


@dataclass(frozen=True)
class Needs:
    """What a model must be given of every utterance."""

    widths: Mapping[str, int]
    """Width of the vector of each modality that it uses."""
    text: bool
    """Whether it reads the transcript."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one utterance."""

    speaker: str
    text: str | None
    emotion: str
    probabilities: dict[str, float]
    fusion_weights: dict[str, float]
    """Share of each modality in the fused vector; empty for a model that has none."""
    context_gate: float | None
    """How much of the neighbours' context is let in; None for a model that has no gate."""


def model_needs(model: Model, task: Task) -> Needs:
    """What this model must be given."""
    reads = model.text_packer() is not None
    return Needs({name: task.widths[name] for name in model.modalities if not (reads and name == TEXT)}, reads)


def read_dialogue(path: Path, needs: Needs) -> list[Utterance]:
    """The dialogue in a JSON file.

    Raises:
        UserError: it is no such file, or does not fit the model; every problem is named.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON ({error}): write {FORM}") from None
    return parse_dialogue(content, needs, str(path))


def parse_dialogue(content: Any, needs: Needs, where: str = "the dialogue") -> list[Utterance]:
    """The dialogue that a JSON value describes.

    Raises:
        UserError: it does not have that form, or does not fit the model; every problem is named.
    """
    turns = content.get("utterances") if isinstance(content, dict) else None
    if not isinstance(turns, list) or not turns:
        raise UserError(f"{where} has no utterances: write {FORM}")
    problems = [f"utterance {i}: {line}" for i, turn in enumerate(turns, 1) for line in _problems(turn, needs)]
    if problems:
        raise UserError.collected(where, problems)
    return [_utterance(turn, needs) for turn in turns]


def predict(model: Model, task: Task, dialogue: Sequence[Utterance]) -> list[Prediction]:
    """Label every utterance of a dialogue."""
    corpus = _as_corpus(dialogue, task.labels, model_needs(model, task))
    return next(predict_corpus(model, task, corpus))[1]


def predict_corpus(model: Model, task: Task, corpus: Corpus) -> Iterator[tuple[str, list[Prediction]]]:
    """Label every utterance of every dialogue of a corpus; the dialogue's id with its predictions.

    Raises:
        UserError: the corpus lacks what the model needs.
    """
    _refuse_unfit(model_needs(model, task), corpus)
    model.eval()
    for dialogue in corpus.dialogues:
        with torch.inference_mode():
            output = model(collate(corpus, [dialogue], model.modalities, model.text_packer()))
        who = [(corpus.speakers[row], corpus.texts[row] or None) for row in range(dialogue.start, dialogue.stop)]
        yield dialogue.id, [_prediction(output, model, task.labels, turn, *said) for turn, said in enumerate(who)]


def _refuse_unfit(needs: Needs, corpus: Corpus) -> None:
    has = corpus.card.widths
    problems = [
        f"it has no vectors of {name}; the model was trained on {width} numbers of it"
        if name not in has
        else f"its vectors of {name} have {has[name]} numbers; the model was trained on {width}"
        for name, width in needs.widths.items()
        if has.get(name) != width
    ]
    if needs.text and not any(corpus.texts):
        problems.append("it has no transcripts, which this model reads")
    if problems:
        raise UserError.collected(f"corpus {corpus.card.name}", problems)


def _problems(turn: Any, needs: Needs) -> Iterator[str]:
    if not isinstance(turn, dict) or not isinstance(turn.get("speaker"), str):
        yield "speaker is missing; it is the name of who speaks"
        return
    if needs.text and not isinstance(turn.get("text"), str):
        yield "text is missing; this model reads the transcript"
    features = turn.get("features", {})
    if not isinstance(features, dict):
        yield "features must map each modality to its numbers"
        return
    unknown = [name for name in features if name not in needs.widths]
    for name in unknown:
        yield f"modality {name!r} is unknown to this model; it takes {', '.join(needs.widths) or 'none'}"
    for name, width in needs.widths.items():
        if name not in features:
            yield f"features.{name} is missing; give {width} numbers, or null where the utterance lacks it"
        elif features[name] is not None:
            yield from _vector_problems(name, features[name], width)


def _vector_problems(name: str, vector: Any, width: int) -> Iterator[str]:
    if not isinstance(vector, list) or any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in vector):
        yield f"features.{name} must be a list of {width} numbers, or null"
    elif len(vector) != width:
        yield f"features.{name} has {len(vector)} numbers, this model was trained on {width}"
    elif not all(abs(x) <= LARGEST for x in vector):  # false for NaN, too
        yield f"features.{name} has a number that is NaN or infinite"


def _utterance(turn: Mapping[str, Any], needs: Needs) -> Utterance:
    features = turn.get("features", {})
    vectors = {name: None if features[name] is None else tuple(map(float, features[name])) for name in needs.widths}
    return Utterance(turn["speaker"], turn.get("text"), vectors)


def _as_corpus(dialogue: Sequence[Utterance], labels: Sequence[str], needs: Needs) -> Corpus:
    """A corpus of one dialogue without labels, so that it goes the way on which the model was trained."""
    note = "given to predict"
    card = CorpusCard(
        name="dialogue",
        labels=tuple(labels),
        modalities={name: Modality(width=width, extractor=note) for name, width in needs.widths.items()},
        source=note,
        licence=note,
        split_note="one dialogue",
    )
    turns = len(dialogue)
    columns: dict[str, pa.Array] = {
        "dialogue": pa.array(["dialogue"] * turns),
        "turn": pa.array(range(turns), pa.int32()),
        "speaker": pa.array([u.speaker for u in dialogue]),
        "label": pa.nulls(turns, pa.int32()),
        "split": pa.array(["test"] * turns),
        "text": pa.array([u.text for u in dialogue], pa.string()),
    }
    for name, width in needs.widths.items():
        vectors = np.array([u.features[name] or (0.0,) * width for u in dialogue], dtype=np.float32)
        present = np.array([u.features[name] is not None for u in dialogue])
        columns[f"features.{name}"] = vector_array(vectors, present)
    schema = corpus_schema(card)
    return Corpus.from_table(pa.Table.from_arrays([columns[n] for n in schema.names], schema=schema), "the dialogue")


def _prediction(
    output: Output, model: Model, labels: Sequence[str], turn: int, speaker: str, text: str | None
) -> Prediction:
    probabilities = torch.softmax(output.logits[0, turn].float(), -1).tolist()
    weights, gate = output.diagnostics.get("fusion_weights"), output.diagnostics.get("context_gate")
    return Prediction(
        speaker=speaker,
        text=text,
        emotion=labels[int(np.argmax(probabilities))],
        probabilities=dict(zip(labels, probabilities, strict=True)),
        fusion_weights={} if weights is None else dict(zip(model.modalities, weights[0, turn].tolist(), strict=True)),
        context_gate=None if gate is None else float(gate[0, turn]),
    )
