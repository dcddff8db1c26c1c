"""DialogXL beside XLNet itself, in blocks and alone; who is seen by which heads."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import XLNetConfig, XLNetModel

from dferc.corpus import collate
from dferc.encoders import dialog_xl_packing
from dferc.encoders.dialog_xl_packing import TurnPacker
from dferc.encoders.words import HASHED_VOCABULARY, Words
from dferc.layers.dialogue_xlnet import DialogueXLNet, shared_out
from dferc.models import objective
from dferc.models.dialog_xl import DialogXL, DialogXLConfig
from dferc.training import make_task

TURNS = ["we never talk", "oh", "what did you say ?", "I said we never talk any more", "fine !"]


@pytest.fixture(scope="module")
def corpus(make_corpus):
    return make_corpus([3, 6, 1, 4, 2, 5])


def build(corpus, **changes):
    torch.manual_seed(0)
    return DialogXL(DialogXLConfig(**DialogXL.small | changes), make_task(corpus))


def batch_of(corpus, model, dialogues=None):
    return collate(corpus, dialogues or corpus.split("train"), model.modalities, model.text_packer())


def gradients(corpus, model):
    model.zero_grad()
    total, _ = objective(model, model(batch_of(corpus, model)))
    total.backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.fixture(scope="module")
def xlnet():
    torch.manual_seed(0)
    size = {"d_model": 12, "n_layer": 3, "n_head": 6, "d_inner": 8, "initializer_range": 0.3}
    return XLNetModel(XLNetConfig(vocab_size=HASHED_VOCABULARY, clamp_len=5, **size)).eval()


def states_of(xlnet, kinds, parties, window=2, memory=99, turns=TURNS, layers=3):
    """States of the turns of one dialogue, spoken by these, behind some of the layers; and how they were laid out."""
    tokens = TurnPacker(Words.hashed(9), 10, memory).pack_texts([turns])
    model = DialogueXLNet(xlnet, kinds, window, recompute=False).eval()
    model.layers = model.layers[:layers]
    return model(tokens, torch.arange(len(turns)), torch.tensor(parties)), tokens


def test_with_global_heads_alone_it_is_an_xlnet_with_memory(xlnet):
    """That of the library, turn by turn, its memory what each of its layers was given."""
    ours, tokens = states_of(xlnet, (0, 6, 0, 0), [0, 1, 0, 1, 1], memory=9)
    mems = None
    for turn, ids in enumerate(tokens.ids.split(tokens.length.tolist())):
        theirs = xlnet(ids.unsqueeze(0), mems=mems, use_mems=True, output_hidden_states=True)
        torch.testing.assert_close(ours[turn], theirs.last_hidden_state[0, 0], rtol=0, atol=1e-5)
        given = [states[0, 1:].unsqueeze(1) for states in theirs.hidden_states[:-1]]
        mems = [torch.cat(both)[-9:] for both in zip(mems, given, strict=True)] if mems else given


@pytest.mark.parametrize(
    ("kinds", "parties", "window", "seen"),
    [
        ((6, 0, 0, 0), [0, 1, 0, 1, 1], 2, {2, 3}),
        ((0, 6, 0, 0), [0, 1, 0, 1, 1], 2, {0, 1, 2, 3}),
        ((0, 0, 6, 0), [0, 1, 0, 1, 1], 2, {1, 3}),
        ((0, 0, 0, 6), [0, 1, 0, 1, 1], 2, {0, 2}),
        ((1, 0, 5, 0), [0, 1, 0, 1, 1], 1, {1, 3}),
        ((0, 0, 3, 3), [0, 0, 0, 0, 0], 2, {0, 1, 2, 3}),
    ],
)
def test_what_the_last_turn_sees(xlnet, kinds, parties, window, seen):
    """Behind one layer, so that nothing is seen by way of a turn between."""
    before, _ = states_of(xlnet, kinds, parties, window, layers=1)
    for turn in range(len(TURNS) - 1):
        changed = [*TURNS[:turn], "other " * len(TURNS[turn].split()), *TURNS[turn + 1 :]]
        after, _ = states_of(xlnet, kinds, parties, window, turns=changed, layers=1)
        assert torch.allclose(after[-1], before[-1], atol=1e-6) == (turn not in seen), turn


def test_a_dialogue_alone_is_as_in_company(corpus):
    model = build(corpus).eval()
    together = model(batch_of(corpus, model)).logits
    for number, dialogue in enumerate(corpus.split("train")):
        alone = model(batch_of(corpus, model, [dialogue])).logits[0]
        torch.testing.assert_close(together[number, : len(dialogue)], alone, rtol=1e-4, atol=1e-5)


def test_neither_blocks_nor_computing_again_change_a_gradient(corpus, monkeypatch):
    expected = gradients(corpus, build(corpus).eval())
    torch.testing.assert_close(gradients(corpus, build(corpus, gradient_checkpointing=True).eval()), expected)
    monkeypatch.setattr(dialog_xl_packing, "MOST_CELLS", 100)
    model = build(corpus).eval()
    assert len(batch_of(corpus, model).tokens.blocks) > 3
    torch.testing.assert_close(gradients(corpus, model), expected, rtol=1e-4, atol=1e-6)


def test_loss_over_turns_is_a_sum_of_means(corpus):
    model = build(corpus, loss_over="turns").eval()
    batch = batch_of(corpus, model)
    output = model(batch)
    turns = [
        torch.nn.functional.cross_entropy(output.logits[running, turn], batch.labels[running, turn])
        for turn, running in enumerate(batch.mask.T)
    ]
    torch.testing.assert_close(output.losses["classification"].share(), torch.stack(turns).sum())


@given(heads=st.integers(1, 24), shares=st.tuples(*[st.integers(0, 9)] * 4).filter(any))
def test_heads_are_shared_out_in_proportion(heads, shares):
    counts = shared_out(heads, shares)
    assert sum(counts) == heads
    assert all(abs(count - heads * share / sum(shares)) < 1 for count, share in zip(counts, shares, strict=True))


@pytest.mark.parametrize("shares", [(2, 2, 4, 4), (5, 5, 1, 1), (1, 2, 5, 4), (0, 12, 0, 0)])
def test_heads_that_add_up_are_taken_as_they_are(shares):
    assert shared_out(12, shares) == list(shares)


@pytest.mark.parametrize("heads", ["3 3 3", "0 0 0 0", "a b c d", "3 3 3 -3"])
def test_heads_that_are_none(heads):
    with pytest.raises(ValueError, match="heads"):
        DialogXLConfig(heads=heads)
