"""A run that trains its text encoder end to end, from transcripts to predictions."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from dferc.corpus import Corpus
from dferc.models import model_named
from dferc_platform.config import make_config
from dferc_platform.saved import load_model
from dferc_platform.train import train_run

SPECIAL = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}


@pytest.fixture(scope="module")
def spoken(tiny_corpus) -> Corpus:
    return Corpus.open(tiny_corpus)


@pytest.fixture(scope="module")
def encoder(spoken, tmp_path_factory):
    """A tiny random RoBERTa that knows every word of the corpus."""
    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in spoken.texts for word in text.lower().split()})
    vocabulary = {word: i for i, word in enumerate([*SPECIAL.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = RobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=1,
    )
    RobertaModel(sizes, add_pooling_layer=False).save_pretrained(folder)
    return folder


def test_the_encoder_learns_at_its_own_rate_and_is_saved(spoken, encoder, tmp_path):
    config = make_config(
        {
            "model": {"hidden": 8, "align": 6, "text_encoder": str(encoder), "max_tokens": 64},
            "training": {"epochs": 2, "batch_dialogues": 4, "encoder_learning_rate": 1e-3, "warmup_steps": 1},
        }
    )
    before = RobertaModel.from_pretrained(encoder, add_pooling_layer=False).state_dict()
    result = train_run(config, spoken, tmp_path)
    model, _, _ = load_model(tmp_path)
    weights = model.text.transformer.state_dict()
    moved = [name for name, w in weights.items() if w.dtype.is_floating_point and not w.equal(before[name])]
    assert len(moved) > len(before) // 2
    assert model.encoders["text"].linear.in_features == 16
    assert set(result.metrics) >= {"validation/weighted_f1", "test/weighted_f1"}
    assert {id(p) for p in model.encoder_parameters()} == {id(p) for p in model.text.parameters()}


@pytest.mark.parametrize(
    "asked",
    [
        {"model": {"hidden": 8, "align": 6, "text_encoder": "ENCODER", "max_tokens": 64}},
        {"model_name": "skaig", "model": {**model_named("skaig").small, "text_encoder": "scratch", "max_tokens": 32}},
        {"model_name": "uni_mse", "model": model_named("uni_mse").small},
    ],
    ids=["df_erc", "skaig", "uni_mse"],
)
def test_text_that_is_read_needs_no_vectors(make_corpus, encoder, tmp_path, asked):
    corpus = make_corpus([4, 3, 5, 2, 3], widths={"audio": 5})
    chosen = {"modalities": ("text", "audio")}
    if "text_encoder" in asked["model"]:
        chosen["text_encoder"] = str(encoder)
    config = make_config({**asked, "model": {**asked["model"], **chosen}, "training": {"epochs": 1}})
    train_run(config, corpus, tmp_path)
    assert load_model(tmp_path)[0].modalities == ("text", "audio")
