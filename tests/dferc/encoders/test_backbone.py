"""Backbones of real architectures, small, random, loaded from folders: what fits trains, what does not is refused."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dferc.corpus import collate
from dferc.encoders.backbone import load_backbone
from dferc.errors import UserError
from dferc.models import model_named, objective
from dferc.training import TrainingConfig, backward, make_learner, make_task, step

SPECIAL = {f"{name}_token": f"<{name}>" for name in ("cls", "pad", "sep", "unk", "bos", "eos", "mask")}
WORDS = ["utterance", "of", *map(str, range(9)), "neutral", "joy", "anger", "sadness"]
VOCABULARY = 24
ENCODER = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
XLNET = {"d_model": 8, "n_layer": 2, "n_head": 4, "d_inner": 8}
SIDES = {f"{side}_{part}": 2 for side in ("encoder", "decoder") for part in ("layers", "attention_heads")}
BART = {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, **SIDES}
T5 = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 2, "num_heads": 2}
ARCHITECTURES = {
    "bert": (transformers.BertForMaskedLM, ENCODER),
    "roberta": (transformers.RobertaModel, ENCODER | {"max_position_embeddings": 66}),
    "distilbert": (transformers.DistilBertModel, {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 8}),
    "albert": (transformers.AlbertModel, ENCODER | {"embedding_size": 4}),
    "deberta": (transformers.DebertaV2Model, ENCODER | {"relative_attention": True, "position_biased_input": False}),
    "xlnet": (transformers.XLNetLMHeadModel, XLNET),
    "bart": (transformers.BartForConditionalGeneration, BART),
    "mbart": (transformers.MBartModel, BART | {"scale_embedding": True}),
    "t5": (transformers.T5ForConditionalGeneration, T5),
    "t5 v1.1": (transformers.T5ForConditionalGeneration, T5 | {"feed_forward_proj": "gated-gelu"}),
    "mt5": (transformers.MT5ForConditionalGeneration, T5),
    "umt5": (transformers.UMT5ForConditionalGeneration, T5),
}
"""What is saved, and its sizes."""
ENCODERS = ("bert", "roberta", "distilbert", "albert", "deberta", "xlnet")
TRAINED = [
    *((model, kind) for model in ("hitrans", "comp_m", "todkat", "skaig") for kind in ENCODERS),
    *(("cog_bart", kind) for kind in ("bart", "mbart")),
    *(("uni_mse", kind) for kind in ("t5", "t5 v1.1", "mt5")),
    ("dialog_xl", "xlnet"),
]


def tokenizer(words, **options):
    """Whole words by number; pad has number 1, as with RoBERTa."""
    numbers = {word: number for number, word in enumerate([*SPECIAL.values(), *words])}
    plain = Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL["unk_token"]))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=plain, **SPECIAL, **options)


@pytest.fixture
def saved(tmp_path):
    """Saves an architecture, with a tokenizer where there are words, and gives its folder."""

    def save(kind, words=WORDS, **options):
        architecture, sizes = ARCHITECTURES[kind]
        config = architecture.config_class(vocab_size=VOCABULARY, pad_token_id=1, **sizes)
        torch.manual_seed(0)
        architecture(config).save_pretrained(tmp_path)
        if words:
            tokenizer(words, **options).save_pretrained(tmp_path)
        return str(tmp_path)

    return save


def reads(model_type):
    """The setting that names what reads the text."""
    return "backbone" if "backbone" in model_type.config_type.model_fields else "text_encoder"


@pytest.mark.parametrize(("name", "kind"), TRAINED)
def test_it_learns_on_every_backbone_of_its_kind(name, kind, saved, corpus):
    model_type = model_named(name)
    smaller = {"dialogue_heads": 2} if name == "cog_bart" else {}
    settings = {**model_type.small, **smaller, reads(model_type): saved(kind)}
    torch.manual_seed(0)
    model = model_type(model_type.config_type(**settings), make_task(corpus))
    rates = dict.fromkeys(("learning_rate", "encoder_learning_rate"), 1e-4)
    learner = make_learner(model, TrainingConfig(**rates, warmup_steps=0), 10, torch.device("cpu"))
    batch = collate(corpus, corpus.split("train"), model.modalities, model.text_packer())
    before = objective(model.eval(), model(batch))[0].item()
    backward(learner, batch)
    moved = [parameter.grad.any() for parameter in model.encoder_parameters() if parameter.grad is not None]
    assert any(moved)
    step(learner)
    assert objective(model, model(batch))[0].item() < before


@pytest.mark.parametrize(
    ("kind", "found"),
    [("encoder", "bart"), ("encoder", "t5"), ("xlnet", "bert"), ("bart", "t5"), ("t5", "bert"), ("t5", "umt5")],
)
def test_another_kind_is_refused_before_its_weights_are_read(kind, found, saved):
    folder = Path(saved(found))
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=f"is a {found}, but this model is built on a transformer of the kind {kind}"):
        load_backbone(str(folder), kind, 32)


@pytest.mark.parametrize("kind", ["bert", "roberta", "t5"])
def test_a_folder_without_the_files_of_its_tokenizer_is_refused(kind, saved):
    """The library makes a tokenizer of nothing, to which every word is unknown."""
    with pytest.raises(UserError, match=r"the tokenizer of '.*' knows no word: its files are missing"):
        load_backbone(saved(kind, words=()), "t5" if kind == "t5" else "encoder", 32, ())


def test_a_tokenizer_of_another_model_is_refused(saved):
    folder = saved("bert", words=[f"word {i}" for i in range(30)])
    with pytest.raises(UserError, match=r"the tokenizer of '.*' has 37 sub-tokens, its weights have only 24"):
        load_backbone(folder, "encoder", 32)


def test_of_what_is_too_long_the_end_is_cut_however_the_tokenizer_was_saved(saved):
    words = load_backbone(saved("xlnet", truncation_side="left", padding_side="left"), "xlnet", 3).words
    (cut,) = words.ids(["utterance 1 of 2"])
    assert cut == words.ids(["utterance 1 of"])[0]
    assert len(cut) == 3


@pytest.mark.parametrize("name", ["hitrans", "skaig"])
def test_a_backbone_that_cannot_compute_its_states_again_is_refused(name, saved, corpus):
    model_type = model_named(name)
    asked = {reads(model_type): saved("albert"), "gradient_checkpointing": True}
    config = model_type.config_type(**model_type.small | asked)
    with pytest.raises(UserError, match="gradient_checkpointing is not possible with the library's albert"):
        model_type(config, make_task(corpus))


def test_a_t5_that_does_not_say_where_it_starts_starts_at_padding(saved, corpus):
    folder = Path(saved("t5"))
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert "decoder_start_token_id" not in content
    model_type = model_named("uni_mse")
    model = model_type(model_type.config_type(**{**model_type.small, "backbone": str(folder)}), make_task(corpus))
    assert model.names.inputs[0] == 1
