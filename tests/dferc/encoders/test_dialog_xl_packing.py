"""Turns end to end: what is remembered, how turns are blocked, and the padding of the release."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dferc.encoders import dialog_xl_packing
from dferc.encoders.dialog_xl_packing import TurnPacker, in_blocks
from dferc.encoders.words import HASHED, Words

TEXTS = st.lists(st.lists(st.text("ab c?", max_size=16), min_size=1, max_size=6), max_size=4)
CLS, PAD = HASHED["cls"], HASHED["pad"]


@given(texts=TEXTS, room=st.integers(1, 6), memory=st.integers(1, 9), released=st.booleans())
def test_turns_and_their_memories(texts, room, memory, released):
    words = Words.hashed(99)
    tokens = TurnPacker(words, room + 1, memory, released).pack_texts(texts)
    said = [[ids[:room] for ids in dialogue] for dialogue in words.dialogues(texts)]
    ids, turn = tokens.ids.tolist(), 0
    for dialogue in said:
        for number, spoken in enumerate(dialogue):
            others = [len(d[number]) for d in said if number < len(d)] if released else [0]
            start, length = int(tokens.start[turn]), int(tokens.length[turn])
            padding = max(0, max(others) - len(spoken))
            assert ids[start : start + length] == [CLS, *spoken, *[PAD] * padding]
            kept = slice(int(tokens.memory_start[turn]), int(tokens.memory_stop[turn]))
            before = [word for earlier in dialogue[:number] for word in earlier]
            assert tokens.ids[tokens.remembered[kept]].tolist() == before[-memory:]
            ages = [number - k for k, earlier in enumerate(dialogue[:number]) for _ in earlier]
            assert (turn - tokens.said_in[kept]).tolist() == ages[-memory:]
            turn += 1
    assert turn == len(tokens.start)


@given(texts=TEXTS, most=st.integers(1, 300))
def test_every_sub_token_has_a_place_in_the_block_of_its_turn(texts, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialog_xl_packing, "MOST_CELLS", most)
        tokens = TurnPacker(Words.hashed(8), 9, 7).pack_texts(texts)
    assert sum(count for count, _, _ in tokens.blocks) == len(tokens.order)
    corner, members = 0, tokens.order.tolist()
    for count, longest, memory in tokens.blocks:
        for turn in members[:count]:
            assert tokens.length[turn] <= longest
            assert tokens.memory_stop[turn] - tokens.memory_start[turn] <= memory
            own = torch.arange(int(tokens.length[turn]))
            assert torch.equal(tokens.place[tokens.start[turn] + own], corner + own)
            corner += longest
        members = members[count:]
        assert count <= 1 or count * longest * (longest + memory) <= most


def test_blocks_are_as_few_as_the_limit_allows(monkeypatch):
    monkeypatch.setattr(dialog_xl_packing, "MOST_CELLS", 2 * 3 * (3 + 4))
    assert list(in_blocks([2, 3, 3, 9], [4, 0, 1, 5])) == [(2, 3, 4), (1, 3, 1), (1, 9, 5)]
    assert list(in_blocks([], [])) == [(0, 1, 0)]
