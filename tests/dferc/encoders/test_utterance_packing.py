import pytest
from hypothesis import given
from hypothesis import strategies as st

from dferc.encoders.utterance_packing import UtterancePacker
from dferc.encoders.words import HASHED, Words

LENGTH = 8
CLS, SEP = HASHED["cls"], HASHED["sep"]
TEXT = st.text("ab ", max_size=30)


def packer():
    return UtterancePacker(Words.hashed(LENGTH), LENGTH)


@given(st.lists(st.lists(TEXT, min_size=1, max_size=5), max_size=4))
def test_an_utterance_is_a_sequence(texts):
    tokens = packer().pack_texts(texts)
    flat = [text for dialogue in texts for text in dialogue]
    words = Words.hashed(LENGTH).ids(flat)
    rows = [ids[mask].tolist() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]
    assert rows == [[CLS, *said[: LENGTH - 2], SEP] for said in words] or (not flat and rows == [[CLS, SEP]])
    assert tokens.ids.flatten()[tokens.at].tolist() == [CLS] * len(flat)
    assert (tokens.at // tokens.ids.shape[1]).tolist() == list(range(len(flat)))


def test_what_is_too_long_is_cut_before_its_last_marker():
    tokens = packer().pack_texts([["a " * 20]])
    assert tokens.ids.shape == (1, LENGTH)
    assert tokens.ids[0, -1] == SEP


def test_the_transcripts_of_dialogues_are_read(make_corpus):
    corpus = make_corpus([2, 3])
    tokens = packer().pack(corpus, corpus.split("train"))
    assert tokens.ids.shape == (5, 2 + 4)  # "utterance 0 of 1"


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_utterance_without_words_is_an_unknown_one(empty):
    assert packer().pack_texts([[empty]]).ids.tolist() == [[CLS, HASHED["unk"], SEP]]
