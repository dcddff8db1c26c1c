"""UniMSE's inputs: an utterance between its neighbours, cut far from it first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dferc.encoders.uni_mse_packing import PROMPT, WindowPacker
from dferc.encoders.words import HASHED, Words

WORDS = Words.hashed(40)
(PROMPT_IDS,) = WORDS.ids([PROMPT])


def read(tokens, n):
    """The sub-tokens of an utterance's input, and those of them that are its own."""
    return tokens.ids[n][tokens.mask[n]].tolist(), tokens.ids[n][tokens.current[n]].tolist()


def ids(text):
    return WORDS.ids([text])[0]


def test_an_utterance_stands_between_its_neighbours():
    tokens = WindowPacker(WORDS, 40, 2, 1, speaker_names=False).pack_texts([["a b", "c", "", "e f g", "h"], ["i"]])
    end = HASHED["eos"]
    assert read(tokens, 3) == ([*PROMPT_IDS, *ids("c"), HASHED["unk"], *ids("e f g h"), end], ids("e f g"))
    assert read(tokens, 0) == ([*PROMPT_IDS, *ids("a b c"), end], ids("a b"))
    assert read(tokens, 5) == ([*PROMPT_IDS, *ids("i"), end], ids("i"))


@pytest.mark.parametrize(
    ("length", "kept", "own"),
    [
        (40, "a b c d e f", "d"),
        (10, "a b c d e f", "d"),
        (9, "b c d e f", "d"),
        (8, "c d e f", "d"),
        (5, "d e", "d"),
        (4, "d", "d"),
    ],
)
def test_what_is_cut_is_far_from_the_utterance(length, kept, own):
    tokens = WindowPacker(WORDS, length, 1, 1, speaker_names=False).pack_texts([["a b c", "d", "e f"]])
    prompt = PROMPT_IDS[: length // 2]
    assert read(tokens, 1) == ([*prompt, *ids(kept), HASHED["eos"]], ids(own))


TEXTS = st.lists(st.lists(st.text("ab c", max_size=30), min_size=1, max_size=4), max_size=3)


@given(texts=TEXTS, length=st.integers(16, 30), past=st.integers(0, 3), future=st.integers(0, 3))
def test_no_input_is_too_long_or_without_its_utterance(texts, length, past, future):
    tokens = WindowPacker(WORDS, length, past, future, speaker_names=False).pack_texts(texts)
    flat = [text for dialogue in texts for text in dialogue]
    assert tokens.ids.shape == (max(1, len(flat)), tokens.ids.shape[1])
    assert tokens.ids.shape[1] <= length
    assert not (tokens.current & ~tokens.mask).any()
    assert tokens.current.any(1).all()
    for n, text in enumerate(flat):
        assert read(tokens, n)[1] == ids(text)[: length - len(PROMPT_IDS) - 1]


def test_speakers_are_named_where_it_is_asked_for(corpus):
    dialogue = corpus.split("train")[1]
    tokens = WindowPacker(WORDS, 40, 0, 0, speaker_names=True).pack(corpus, [dialogue])
    row = dialogue.start + 2
    assert read(tokens, 2)[1] == ids(f"{corpus.speakers[row]}: {corpus.texts[row]}")
