"""Transcripts as vectors: what each option means, against transformers itself and against published vectors."""

import csv
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from dferc.encoders.text import TextPacker, load_encoder
from dferc.encoders.utterance_text import TextExtraction, TextExtractor
from dferc.errors import UserError

SPECIAL = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
WORDS = [*SPECIAL.values(), "oh", "my", "god", "what", "happened", "nothing", "at", "all", "you", "are", "so", "funny"]
TEXTS = ["oh my god", "nothing", "what happened at all", "you are so so funny", "god"]


def save_encoder(folder, seed=0, **saving):
    torch.manual_seed(seed)
    sizes = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
    more = {"intermediate_size": 24, "max_position_embeddings": 34, "type_vocab_size": 1, "pad_token_id": 1}
    RobertaModel(RobertaConfig(**sizes, **more)).save_pretrained(folder, **saving)
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("text") / "tiny")


def extract(conversation, texts, source, **options):
    config = TextExtraction(source=source, max_tokens=32, **options)
    return TextExtractor(config).extract(conversation(texts=texts))


def states(source, text):
    """States [layers, L, D] of one text with its markers."""
    tokenizer, encoder = load_encoder(source, 32)
    ids = [tokenizer.cls_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.sep_token_id]
    with torch.inference_mode():
        return torch.stack(encoder.eval()(torch.tensor([ids]), output_hidden_states=True).hidden_states)[:, 0].numpy()


@pytest.mark.parametrize("layer", [-1, -2, -4])
@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [("first", lambda s: s[0]), ("mean", lambda s: s.mean(0)), ("ends", lambda s: (s[1] + s[-2]) / 2)],
)
def test_an_utterance_alone(source, conversation, pooling, pooled, layer):
    extracted = extract(conversation, TEXTS, source, pooling=pooling, layer=layer, batch=2)
    expected = np.stack([pooled(states(source, text)[layer]) for text in TEXTS])
    assert extracted.vectors.dtype == np.float32
    assert extracted.vectors == pytest.approx(expected, abs=1e-5)
    assert extracted.present.all()
    assert extracted.notes == ("",) * len(TEXTS)


@pytest.mark.parametrize(("pooling", "pooled"), [("mean", lambda s: s.mean(0)), ("ends", lambda s: (s[0] + s[-1]) / 2)])
def test_an_utterance_among_its_neighbours(source, conversation, pooling, pooled):
    extracted = extract(conversation, TEXTS, source, context="dialogue", pooling=pooling)
    together = states(source, " ".join(TEXTS))[-1]
    ends = np.cumsum([0, *(len(text.split()) for text in TEXTS)]) + 1
    expected = np.stack([pooled(together[start:stop]) for start, stop in pairwise(ends)])
    assert extracted.vectors == pytest.approx(expected, abs=1e-5)
    alone = extract(conversation, TEXTS, source, pooling="ends").vectors
    assert np.abs(extracted.vectors - alone).max() > 1e-2


@pytest.mark.parametrize("context", ["none", "dialogue"])
def test_batches_change_nothing(source, conversation, context):
    options = {"context": context, "pooling": "mean"}
    many = extract(conversation, TEXTS * 9, source, batch=16, **options).vectors
    assert extract(conversation, TEXTS * 9, source, batch=1, **options).vectors == pytest.approx(many, abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"context": "dialogue", "pooling": "ends"}])
def test_an_utterance_without_text_is_absent_and_no_neighbour(source, conversation, options):
    extracted = extract(conversation, [None, TEXTS[0], "  ", TEXTS[1], ""], source, **options)
    assert extracted.present.tolist() == [False, True, False, True, False]
    assert extracted.notes == ("no text", "", "no text", "", "no text")
    assert not extracted.vectors[[0, 2, 4]].any()
    assert extracted.vectors[[1, 3]] == pytest.approx(extract(conversation, TEXTS[:2], source, **options).vectors)
    assert not extract(conversation, [None, ""], source, **options).present.any()


def test_normalised_vectors_have_length_one(source, conversation):
    plain = extract(conversation, TEXTS, source).vectors
    unit = extract(conversation, TEXTS, source, normalise=True).vectors
    assert unit == pytest.approx(plain / np.linalg.norm(plain, axis=1, keepdims=True), abs=1e-6)


def test_a_long_text_is_cut_to_a_block(source, conversation):
    long = " ".join(["oh my god"] * 30)
    cut = " ".join(["oh my god"] * 10)  # 30 words and two markers
    assert extract(conversation, [long], source).vectors == pytest.approx(extract(conversation, [cut], source).vectors)


def test_settings_that_make_no_sense_are_refused(source):
    with pytest.raises(ValidationError, match="take `ends` or `mean`"):
        TextExtraction(context="dialogue")
    with pytest.raises(UserError, match="max_tokens = 512 is more than the 32 positions"):
        TextExtractor(TextExtraction(source=source))
    with pytest.raises(UserError, match="the pretrained model '/nowhere' cannot be loaded"):
        TextExtractor(TextExtraction(source="/nowhere"))


def test_hash_is_of_the_numbers_not_of_the_files(source, tmp_path):
    def hashed(folder):
        return TextExtractor(TextExtraction(source=folder, max_tokens=32)).described().weights

    pieces = save_encoder(tmp_path / "pieces", max_shard_size="4KB")
    assert len(list((tmp_path / "pieces").glob("*.safetensors"))) > 1
    assert hashed(pieces) == hashed(source)
    assert hashed(save_encoder(tmp_path / "other", seed=1)) != hashed(source)


def test_memory_does_not_grow_with_the_texts(source, conversation, monkeypatch):
    packers = []
    original = TextPacker.__init__
    monkeypatch.setattr(TextPacker, "__init__", lambda self, *args: packers.append(self) or original(self, *args))
    extractor = TextExtractor(TextExtraction(source=source, max_tokens=32))
    for text in TEXTS:
        extractor.extract(conversation(texts=[text]))
    assert max(len(packer._words._known) for packer in packers) == 1


@pytest.mark.real
def test_minilm_gives_the_published_vectors_of_meld(minilm, conversation):
    meld = Path(os.environ.get("DFERC_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "meld"
    if not meld.is_dir():
        pytest.skip(f"the real MELD is not at {meld}; set DFERC_SHARED")
    extractor = TextExtractor(TextExtraction(source=str(minilm), pooling="mean", normalise=True))
    with np.load(meld / "all-minilm-l6-v2.npz") as arrays:
        for part in ("train", "dev", "test"):
            with (meld / f"{part}_sent_emo.csv").open(encoding="utf-8-sig", newline="") as lines:
                texts = [row["Utterance"] for row in csv.DictReader(lines)]
            rows = np.random.default_rng(0).choice(len(texts), 70, replace=False)
            vectors = extractor.extract(conversation(texts=[texts[row] for row in rows])).vectors.astype(np.float64)
            published = arrays[part][rows].astype(np.float64)
            cosines = (vectors * published).sum(1) / np.linalg.norm(published, axis=1)
            assert cosines.min() > 0.999
