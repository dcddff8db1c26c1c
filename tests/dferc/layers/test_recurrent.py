"""The dialogue LSTM against torch's own over packed sequences, and its two dropouts."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dferc.layers.recurrent import DialogueLSTM


def packed(model, inputs, lengths):
    outputs = inputs
    for layer in model.layers:
        sequence = pack_padded_sequence(outputs, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(layer(sequence)[0], batch_first=True, total_length=inputs.shape[1])
    return outputs


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5), extra=st.integers(0, 3))
def test_it_equals_packed_sequences(lengths, extra):
    torch.manual_seed(0)
    model = DialogueLSTM(4, 3, 2, input_dropout=0, recurrent_dropout=0)
    inputs = torch.randn(len(lengths), max(lengths) + extra, 4)
    lengths = torch.tensor(lengths)
    torch.testing.assert_close(model(inputs, lengths), packed(model, inputs, lengths), rtol=1e-5, atol=1e-6)


def test_variational_dropout_holds_over_a_dialogue():
    model = DialogueLSTM(50, 3, 1, input_dropout=0.5, recurrent_dropout=0)
    dropped = model._variational(torch.ones(4, 6, 50))
    assert (dropped == dropped[:, :1]).all()
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(dropped[0], dropped[1])


def test_dropconnect_drops_whole_columns(monkeypatch):
    model = DialogueLSTM(4, 40, 1, input_dropout=0, recurrent_dropout=0.5)
    caught = []
    honest = torch.lstm
    monkeypatch.setattr(torch, "lstm", lambda *given: caught.append(given[2][1]) or honest(*given))
    model(torch.randn(2, 3, 4), torch.tensor([3, 2]))
    for weight in caught:
        lost = (weight == 0).all(0)
        assert 0 < lost.sum() < 40
        assert ((weight != 0).all(0) | lost).all()


def test_dropout_is_off_in_evaluation():
    model = DialogueLSTM(4, 3, 2, input_dropout=0.5, recurrent_dropout=0.5).eval()
    inputs, lengths = torch.randn(2, 5, 4), torch.tensor([5, 3])
    assert torch.equal(model(inputs, lengths), model(inputs, lengths))
    torch.testing.assert_close(model(inputs, lengths), packed(model, inputs, lengths), rtol=1e-5, atol=1e-6)


def test_parameters_are_those_of_torch():
    names = {name for name, _ in DialogueLSTM(4, 3, 1, 0, 0).layers[0].named_parameters()}
    assert names == {name for name, _ in nn.LSTM(4, 3, bidirectional=True).named_parameters()}
