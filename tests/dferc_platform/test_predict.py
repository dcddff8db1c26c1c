"""A trained model on a dialogue in JSON: the same as on the corpus, and a sentence for every bad dialogue."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dferc.corpus import Corpus, collate
from dferc.corpus.contract import Scaling
from dferc.corpus.synthetic import TINY, generate
from dferc.errors import UserError
from dferc_platform.cli import app
from dferc_platform.config import make_config
from dferc_platform.predict import Needs, model_needs, parse_dialogue, predict, predict_corpus, read_dialogue
from dferc_platform.saved import load_model, refuse_other_vectors
from dferc_platform.train import train_run

NEEDS = Needs({"text": 2, "audio": 1}, text=False)
GOOD = {"speaker": "A", "text": "Oh, [great].", "features": {"text": [0.1, 0.2], "audio": None}}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return generate(TINY.model_copy(update={"missing": 0.3}))


@pytest.fixture(scope="module")
def run(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict") / "run"
    config = make_config({"model": {"hidden": 8, "align": 8}, "training": {"epochs": 1, "batch_dialogues": 6}})
    train_run(config, corpus, folder)
    return folder


def as_json(corpus: Corpus, number: int) -> dict[str, Any]:
    dialogue = corpus.dialogues[number]
    turns = []
    for row in range(dialogue.start, dialogue.stop):
        has = {name: bool(corpus.present(name)[row]) for name in corpus.card.modalities}
        vectors = {name: corpus.features(name)[row].tolist() if here else None for name, here in has.items()}
        turns.append({"speaker": corpus.speakers[row], "text": corpus.texts[row], "features": vectors})
    return {"utterances": turns}


def test_a_dialogue_in_json_gives_what_the_corpus_gives(corpus: Corpus, run: Path) -> None:
    model, _, task = load_model(run)
    said = predict(model, task, parse_dialogue(as_json(corpus, 3), model_needs(model, task)))
    with torch.inference_mode():
        batch = collate(corpus, [corpus.dialogues[3]], model.modalities)
        output = model(batch)
    expected = torch.softmax(output.logits[0], -1).numpy()
    assert np.allclose([list(p.probabilities.values()) for p in said], expected, atol=1e-6)
    assert [p.emotion for p in said] == [task.labels[i] for i in expected.argmax(-1)]
    gates, weights = output.diagnostics["context_gate"][0], output.diagnostics["fusion_weights"][0]
    assert np.allclose([p.context_gate for p in said], gates, atol=1e-6)
    assert np.allclose([list(p.fusion_weights.values()) for p in said], weights, atol=1e-6)
    assert list(said[0].fusion_weights) == list(model.modalities)


def test_a_missing_modality_weighs_nothing(corpus: Corpus, run: Path) -> None:
    model, _, task = load_model(run)
    dialogue = as_json(corpus, 0)
    dialogue["utterances"][0]["features"] |= {"audio": None, "visual": None}
    said = predict(model, task, parse_dialogue(dialogue, model_needs(model, task)))
    assert said[0].fusion_weights["audio"] == 0
    assert said[0].fusion_weights["text"] == pytest.approx(1)


def test_probabilities_sum_to_one(corpus: Corpus, run: Path) -> None:
    model, _, task = load_model(run)
    said = predict(model, task, parse_dialogue(as_json(corpus, 1), model_needs(model, task)))
    assert all(sum(p.probabilities.values()) == pytest.approx(1, abs=1e-5) for p in said)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ("no object", "speaker is missing"),
        (without("speaker"), "speaker is missing"),
        ({**GOOD, "features": {"audio": None}}, "features.text is missing; give 2 numbers, or null"),
        ({**GOOD, "features": [1]}, "features must map each modality"),
        (
            {**GOOD, "features": {"text": [0.1], "audio": None}},
            "features.text has 1 numbers, this model was trained on 2",
        ),
        ({**GOOD, "features": {"text": [0.1, float("nan")], "audio": None}}, "NaN or infinite"),
        ({**GOOD, "features": {"text": [0.1, 1e999], "audio": None}}, "NaN or infinite"),
        ({**GOOD, "features": {"text": [0.1, 10**400], "audio": None}}, "NaN or infinite"),
        ({**GOOD, "features": {"text": [0.1, "b"], "audio": None}}, "features.text must be a list of 2 numbers"),
        ({**GOOD, "features": {"text": [0.1, True], "audio": None}}, "features.text must be a list of 2 numbers"),
        ({**GOOD, "features": {"text": [1, 2], "audio": None, "smell": [1]}}, "modality 'smell' is unknown"),
    ],
)
def test_bad_utterances(turn: Any, said: str) -> None:
    with pytest.raises(UserError, match=said.replace(".", r"\.")) as caught:
        parse_dialogue({"utterances": [GOOD, turn]}, NEEDS, "d.json")
    assert str(caught.value).startswith("d.json: utterance 2: ")


@pytest.mark.parametrize("content", [[], {}, {"utterances": []}, {"utterances": "A"}, 3, None])
def test_no_utterances(content: Any) -> None:
    with pytest.raises(UserError, match=r"d\.json has no utterances: write"):
        parse_dialogue(content, NEEDS, "d.json")


def test_all_problems_are_named_at_once() -> None:
    worse = {"speaker": "B", "features": {"text": [1], "audio": [float("inf")]}}
    with pytest.raises(UserError, match="has 3 problems"):
        parse_dialogue({"utterances": [worse, "x"]}, NEEDS)


def test_a_model_that_reads_needs_the_transcript() -> None:
    with pytest.raises(UserError, match="text is missing; this model reads the transcript"):
        parse_dialogue({"utterances": [without("text")]}, Needs({"text": 2, "audio": 1}, text=True))


def test_files_that_are_no_dialogue(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        read_dialogue(tmp_path / "none.json", NEEDS)
    for name, content in (("a.json", b"{not json"), ("b.json", b"\xff\xfe")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="is not JSON"):
            read_dialogue(tmp_path / name, NEEDS)


def test_the_command_prints_a_table_or_json(corpus: Corpus, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "dialogue.json"
    path.write_text(json.dumps(as_json(corpus, 0)))
    shown = CliRunner().invoke(app, ["predict", str(run), str(path)], env={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    assert all(word in shown.output for word in ("audio", "weight", "context", "gate"))
    assert len(re.findall(r"\b[01]\.\d\d\b", shown.output)) >= 5 * len(corpus.dialogues[0])  # nothing is cut off
    printed = CliRunner().invoke(app, ["predict", str(run), str(path), "--json"])
    turns = json.loads(printed.stdout)["utterances"]
    assert len(turns) == len(corpus.dialogues[0])
    assert turns[0]["emotion"] in corpus.card.labels


def test_the_command_refuses_what_holds_no_model(run: Path, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    for folder, said in ((tmp_path, "is a study: choose one of its runs"), (tmp_path.parent, "holds no trained model")):
        shown = CliRunner().invoke(app, ["predict", str(folder), "d.json"])
        assert shown.exit_code == 2
        assert said in shown.stderr


def test_a_corpus_is_predicted_dialogue_by_dialogue(corpus: Corpus, run: Path) -> None:
    model, _, task = load_model(run)
    refuse_other_vectors(run, corpus, model.modalities)
    said = dict(predict_corpus(model, task, corpus))
    assert list(said) == [dialogue.id for dialogue in corpus.dialogues]
    alone = predict(model, task, parse_dialogue(as_json(corpus, 3), model_needs(model, task)))
    assert [p.emotion for p in said[corpus.dialogues[3].id]] == [p.emotion for p in alone]
    assert [p.speaker for p in said[corpus.dialogues[3].id]] == [p.speaker for p in alone]


def changed(corpus: Corpus, **changes: Any) -> Corpus:
    """The same rows, whose audio is said to have been made otherwise."""
    audio = corpus.card.modalities["audio"].model_copy(update=changes)
    return Corpus(
        corpus.table, corpus.card.model_copy(update={"modalities": {**corpus.card.modalities, "audio": audio}})
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extractor": "another"}, "vectors of audio come from 'another', the model knows those from"),
        ({"scaling": Scaling(mean=(0.0,), scale=(1.0,), clip=1.0)}, "vectors of audio are standardised by other means"),
    ],
)
def test_vectors_of_another_making_are_refused(corpus: Corpus, run: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        refuse_other_vectors(run, changed(corpus, **changes), ("text", "audio"))
    refuse_other_vectors(run, changed(corpus, **changes), ("text",))


def test_a_corpus_that_lacks_a_modality_is_refused(corpus: Corpus, run: Path) -> None:
    model, _, task = load_model(run)
    only = {
        "text": corpus.card.modalities["text"],
        "audio": corpus.card.modalities["audio"].model_copy(update={"width": 1}),
    }
    with pytest.raises(UserError) as caught:
        next(predict_corpus(model, task, Corpus(corpus.table, corpus.card.model_copy(update={"modalities": only}))))
    assert "it has no vectors of visual" in str(caught.value)
    assert "its vectors of audio have 1 numbers" in str(caught.value)
