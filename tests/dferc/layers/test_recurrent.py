"""The dialogue LSTM against torch's own over each dialogue by itself, and its two dropouts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dferc.corpus import collate
from dferc.layers.recurrent import DialogueLSTM


def one_by_one(model, utterances, lengths):
    """Each dialogue through torch's own bidirectional layers, alone."""
    outputs = []
    for dialogue in utterances.split(lengths):
        states = dialogue.unsqueeze(0)
        for layer in model.layers:
            states, _ = layer(states)
        outputs.append(states.squeeze(0))
    return torch.cat(outputs)


def batch_of(make_corpus, lengths):
    corpus = make_corpus(lengths)
    return collate(corpus, corpus.dialogues, ())


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_dialogues_that_share_lanes_do_not_hear_each_other(make_corpus, lengths):
    torch.manual_seed(0)
    model = DialogueLSTM(4, 3, 2, input_dropout=0, recurrent_dropout=0)
    batch = batch_of(make_corpus, lengths)
    utterances = torch.randn(sum(lengths), 4, requires_grad=True)
    weight = torch.randn(sum(lengths), 6)
    found, expected = model(utterances, batch), one_by_one(model, utterances, lengths)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    ours = torch.autograd.grad((found * weight).sum(), [utterances, *model.parameters()], retain_graph=True)
    theirs = torch.autograd.grad((expected * weight).sum(), [utterances, *model.parameters()])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_huge_states_are_forgotten_too(make_corpus, scale):
    model = DialogueLSTM(4, 3, 1, input_dropout=0, recurrent_dropout=0)
    utterances = scale * torch.randn(9, 4)
    torch.testing.assert_close(
        model(utterances, batch_of(make_corpus, [4, 2, 1, 2])),
        one_by_one(model, utterances, [4, 2, 1, 2]),
        rtol=1e-5,
        atol=1e-6,
    )


def test_variational_dropout_holds_over_a_dialogue(make_corpus):
    model = DialogueLSTM(50, 3, 1, input_dropout=0.5, recurrent_dropout=0)
    first, second = model._variational(torch.ones(9, 50), batch_of(make_corpus, [4, 5])).split([4, 5])
    assert (first == first[0]).all()
    assert (second == second[0]).all()
    assert set(first.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(first[0], second[0])


def test_dropconnect_drops_whole_columns(make_corpus, monkeypatch):
    model = DialogueLSTM(4, 40, 1, input_dropout=0, recurrent_dropout=0.5)
    caught = []
    honest = torch.lstm
    monkeypatch.setattr(torch, "lstm", lambda *given: caught.append(given[2][1]) or honest(*given))
    model(torch.randn(5, 4), batch_of(make_corpus, [3, 2]))
    assert len(caught) == 2
    for weight in caught:
        lost = (weight == 0).all(0)
        assert 0 < lost.sum() < 40
        assert ((weight != 0).all(0) | lost).all()


def test_dropout_is_off_in_evaluation(make_corpus):
    model = DialogueLSTM(4, 3, 2, input_dropout=0.5, recurrent_dropout=0.5).eval()
    utterances, batch = torch.randn(8, 4), batch_of(make_corpus, [5, 3])
    torch.testing.assert_close(model(utterances, batch), one_by_one(model, utterances, [5, 3]), rtol=1e-5, atol=1e-6)


def test_parameters_are_those_of_torch():
    names = {name for name, _ in DialogueLSTM(4, 3, 1, 0, 0).layers[0].named_parameters()}
    assert names == {name for name, _ in nn.LSTM(4, 3, bidirectional=True).named_parameters()}
