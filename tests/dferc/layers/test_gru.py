"""The dialogue GRU against torch's own over each dialogue by itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dferc.corpus import collate
from dferc.layers.gru import DialogueGRU


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
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), scale=st.sampled_from([1.0, 1e3]))
def test_dialogues_that_share_lanes_do_not_hear_each_other(make_corpus, lengths, scale):
    torch.manual_seed(0)
    model = DialogueGRU(4, 3, 2)
    utterances = (scale * torch.randn(sum(lengths), 4)).requires_grad_()
    weight = torch.randn(sum(lengths), 6)
    found, expected = model(utterances, batch_of(make_corpus, lengths)), one_by_one(model, utterances, lengths)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    ours = torch.autograd.grad((found * weight).sum(), [utterances, *model.parameters()], retain_graph=True)
    theirs = torch.autograd.grad((expected * weight).sum(), [utterances, *model.parameters()])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("at_padding", [None, torch.randn(4)])
def test_over_padding_the_way_back_begins_behind_the_end(make_corpus, at_padding):
    model = DialogueGRU(4, 3, 2, over_padding=True)
    utterances = torch.randn(8, 4)
    longer = torch.zeros(3, 4) if at_padding is None else at_padding.expand(3, 4)
    expected = one_by_one(model, torch.cat([utterances, longer]), [5, 6])
    torch.testing.assert_close(
        model(utterances, batch_of(make_corpus, [5, 3]), at_padding),
        one_by_one(model, torch.cat([utterances, longer[:2]]), [5, 5])[:8],
    )
    assert not torch.allclose(expected[5:8], one_by_one(model, utterances, [5, 3])[5:])


def test_dropout_between_layers_is_for_training_only(make_corpus):
    model = DialogueGRU(4, 3, 2, layer_dropout=0.5)
    utterances, batch = torch.randn(8, 4), batch_of(make_corpus, [5, 3])
    assert not torch.equal(model(utterances, batch), model(utterances, batch))
    torch.testing.assert_close(model.eval()(utterances, batch), one_by_one(model, utterances, [5, 3]))
