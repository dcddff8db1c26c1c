"""From the transcripts of a corpus to COMET's columns in it, and to the models that read them; no Ray is needed."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast
from typer.testing import CliRunner

from dferc.corpus import Corpus
from dferc.encoders.addition import recorded
from dferc.encoders.comet import CometExtraction
from dferc.models import model_named
from dferc.models.cosmic import COMET
from dferc.models.skaig import KNOWLEDGE
from dferc_platform.cli import app
from dferc_platform.config import make_config
from dferc_platform.extract.config import ExtractionConfig
from dferc_platform.extract.corpus import extend_corpus, extract_corpus
from dferc_platform.extract.worker import DIALOGUE, Worker
from dferc_platform.saved import load_model
from dferc_platform.train import train_run

WIDTH = 16
SPECIAL = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
RELATIONS = ("xIntent", "xAttr", "xNeed", "xWant", "xEffect", "xReact", "oWant", "oEffect", "oReact")


@pytest.fixture(scope="module")
def corpus(tiny_corpus):
    return Corpus.open(tiny_corpus)


@pytest.fixture(scope="module")
def comet(corpus, tmp_path_factory):
    """Folder of a tiny COMET that knows the words of the corpus and nothing else."""
    folder = tmp_path_factory.mktemp("comet")
    split = pre_tokenizers.Whitespace()
    words = sorted({word for text in corpus.texts for word, _ in split.pre_tokenize_str(text)})
    vocabulary = {word: i for i, word in enumerate([*SPECIAL.values(), "[", "GEN", "]", *RELATIONS, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = split
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)
    torch.manual_seed(0)
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"d_model": WIDTH, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 64}
    special = {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 2, "decoder_start_token_id": 2}
    config = BartConfig(vocab_size=len(vocabulary), init_std=0.5, **layers, **sizes, **special)
    BartForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture
def config(comet):
    return ExtractionConfig(comet=CometExtraction(source=str(comet), max_tokens=64))


@pytest.fixture
def alone(monkeypatch):
    """Extraction in this process; what it was asked to do, a row a dialogue."""
    done = []

    def extracted(waiting, workers):
        worker = Worker({w.stage.name: partial(w.stage.build, "cpu") for w in waiting}, "run")
        for w in waiting:
            done.append(w.dialogue[0].dialogue)
            utterances = DIALOGUE.dump_json(w.dialogue).decode()
            yield worker({"modality": w.stage.name, "utterances": utterances, "part": str(w.part)})

    monkeypatch.setattr("dferc_platform.extract.job._extracted", extracted)
    return done


def unheard(progress):
    assert progress.name == "comet"


def test_a_corpus_gains_a_column_a_relation(corpus, tiny_corpus, config, alone, tmp_path):
    card = extend_corpus(tiny_corpus, config, tmp_path / "new.parquet", unheard)
    new = Corpus.open(tmp_path / "new.parquet")
    assert new.card == card
    assert card.widths == {**corpus.card.widths, **dict.fromkeys(config.comet.modalities, WIDTH)}
    assert len(alone) == len(corpus.dialogues)
    has_text = np.array([bool(text.strip()) for text in corpus.texts])
    for relation, name in zip(config.comet.relations, config.comet.modalities, strict=True):
        assert np.array_equal(new.present(name), has_text)
        assert card.modalities[name].parameters["relation"] == relation
        rows = new.table[f"extraction.{name}"].to_pylist()
        assert {row["extractor"] for row in rows} == {card.modalities[name].identity}
        assert [row["note"] for row in rows] == ["" if found else "no text" for found in has_text]
    assert np.abs(new.features("comet_xwant") - new.features("comet_owant"))[has_text].max(1).min() > 1e-3


def test_a_corpus_from_recordings_has_the_same_columns(corpus, tiny_corpus, config, alone, tmp_path):
    extend_corpus(tiny_corpus, config, tmp_path / "added.parquet", unheard)
    extract_corpus(recorded(corpus), config, tmp_path / "made.parquet", unheard)
    added, made = Corpus.open(tmp_path / "added.parquet"), Corpus.open(tmp_path / "made.parquet")
    assert tuple(made.card.modalities) == config.comet.modalities
    for name in config.comet.modalities:
        assert made.table[f"features.{name}"].equals(added.table[f"features.{name}"])
        assert made.card.modalities[name] == added.card.modalities[name]


def test_what_is_finished_is_not_done_again(corpus, tiny_corpus, config, alone, tmp_path):
    target = tmp_path / "new.parquet"
    first = extend_corpus(tiny_corpus, config, target, unheard)
    part = sorted((tmp_path / "new.parquet.parts").glob("comet-*/*.arrow"))[2]
    part.unlink()
    alone.clear()
    assert extend_corpus(tiny_corpus, config, target, unheard) == first
    assert len(alone) == 1
    assert part.is_file()


@pytest.mark.parametrize(("model", "reads"), [("cosmic", COMET.values()), ("skaig", KNOWLEDGE)])
def test_models_of_commonsense_find_their_columns(model, reads, tiny_corpus, config, alone, tmp_path, caplog):
    extend_corpus(tiny_corpus, config, tmp_path / "new.parquet", unheard)
    settings = {"model_name": model, "model": dict(model_named(model).small), "training": {"epochs": 1}}
    with caplog.at_level(logging.WARNING):
        train_run(make_config(settings), Corpus.open(tmp_path / "new.parquet"), tmp_path / "run")
    assert not [record.message for record in caplog.records if "without" in record.message]
    trained, _, _ = load_model(tmp_path / "run")
    assert set(reads) <= set(trained.modalities)


def test_the_command_says_what_it_would_do_and_does_it(tiny_corpus, comet, alone, tmp_path):
    (tmp_path / "settings.yaml").write_text("comet: {max_tokens: 64, relations: [xWant, oReact]}\n")
    words = ["data", "extract", "corpus", tiny_corpus, "--comet", comet, "--config", tmp_path / "settings.yaml"]

    def dferc(*more):
        done = CliRunner().invoke(app, [str(word) for word in (*words, *more)], env={"COLUMNS": "200", "TERM": "dumb"})
        assert done.exit_code == 0, done.output
        return done.output

    target = tmp_path / "new.parquet"
    assert "comet: source=" in dferc("--dry-run", "--out", target)
    assert not target.exists()
    assert "16 comet_xwant, 16 comet_oreact numbers an utterance" in dferc("--out", target)
    assert list(Corpus.open(target).card.modalities)[-2:] == ["comet_xwant", "comet_oreact"]
    assert f"to {tiny_corpus.with_stem('tiny-comet')}" in dferc("--dry-run")
