"""Transcripts as sub-tokens: hashed words, a pretrained tokenizer, and the sequences that are made of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from dferc.encoders.backbone import SCRATCH, load_backbone
from dferc.encoders.dialogue_packing import DialoguePacker
from dferc.encoders.words import HASHED, HASHED_VOCABULARY, Words, pad, transcripts
from dferc.errors import UserError

TEXTS = st.lists(st.lists(st.text("ab c?é", max_size=12), min_size=1, max_size=5), max_size=4)


@given(st.text(max_size=60))
def test_hashed_words_never_meet_special_ones(text):
    (ids,) = Words.hashed(20).ids([text])
    assert 1 <= len(ids) <= 20
    assert ids == [HASHED["unk"]] or all(max(HASHED.values()) < number < HASHED_VOCABULARY for number in ids)


def test_hashed_words_are_the_same_everywhere():
    assert Words.hashed(9).ids(["Oh my God!", "oh MY god !"]) == [[5083, 43, 5854, 1174]] * 2


@given(texts=TEXTS, length=st.integers(3, 12))
def test_every_turn_is_whole_in_one_sequence(texts, length):
    words = Words.hashed(length)
    tokens = DialoguePacker(words, length).pack_texts(texts)
    flat = [text for dialogue in texts for text in dialogue]
    assert tokens.ids.shape[1] <= length
    assert len(tokens.at) == len(flat)
    ids = tokens.ids.flatten().tolist()
    for place, text in zip(tokens.at.tolist(), flat, strict=True):
        turn = [HASHED["cls"], *words.ids([text])[0]][:length]
        assert ids[place : place + len(turn)] == turn
        assert place // tokens.ids.shape[1] == (place + len(turn) - 1) // tokens.ids.shape[1]


def test_padding_lies_behind_the_ends():
    padded = pad([[5, 6], [], [7]], 9)
    assert torch.equal(padded.ids, torch.tensor([[5, 6], [9, 9], [7, 9]]))
    assert torch.equal(padded.mask, torch.tensor([[True, True], [False, False], [True, False]]))


def test_a_corpus_without_transcripts_is_refused(make_corpus):
    corpus = make_corpus([2, 1])
    corpus.texts[:] = [""] * len(corpus.texts)
    with pytest.raises(UserError, match="has no transcripts"):
        transcripts(corpus, corpus.dialogues)


@pytest.mark.parametrize("kind", ["encoder", "xlnet", "bart", "t5"])
def test_backbones_from_scratch_are_small_and_of_their_kind(kind):
    backbone = load_backbone(SCRATCH, kind, 32)
    assert not backbone.pretrained
    assert backbone.width == 64
    assert sum(p.numel() for p in backbone.transformer.parameters()) < 1e6
    assert backbone.transformer.config.vocab_size == HASHED_VOCABULARY


def test_a_bart_with_too_few_positions_is_refused(tmp_path, save_backbone):
    folder = save_backbone(load_backbone(SCRATCH, "bart", 32).transformer)
    with pytest.raises(UserError, match="max_tokens = 40 is more than the 32 positions"):
        load_backbone(folder, "bart", 40)


def test_a_backbone_of_another_kind_is_refused(tmp_path):
    folder = str(tmp_path / "bert")
    load_backbone(SCRATCH, "encoder", 32).transformer.save_pretrained(folder)
    plain = Tokenizer(models.WordLevel({"unknown": 0}))
    PreTrainedTokenizerFast(tokenizer_object=plain).save_pretrained(folder)
    with pytest.raises(UserError, match="is a bert, but this model is built on a transformer of the kind xlnet"):
        load_backbone(folder, "xlnet", 32)
    with pytest.raises(UserError, match="the tokenizer has no cls_token, sep_token, pad_token, unk_token"):
        load_backbone(folder, "encoder", 32)
