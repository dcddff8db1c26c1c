"""Two-way recurrences against torch's own cells, one utterance of one dialogue at a time."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dferc.corpus import collate
from dferc.layers.both_ways import BothWays, TwoWayGRU
from dferc.layers.commonsense_recurrence import INFERENCES, CommonsenseRecurrence
from dferc.layers.dialogue_recurrence import DialogueRecurrence
from dferc.layers.earlier import BLOCK, EarlierAttention
from dferc.layers.party_states import Parties

STATES = {"global": 4, "internal": 3, "external": 5, "intent": 2, "emotion": 6}


def batch_of(make_corpus, lengths):
    corpus = make_corpus(lengths)
    return collate(corpus, corpus.dialogues, ())


@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_what_is_laid_out_both_ways_comes_back(make_corpus, lengths):
    batch = batch_of(make_corpus, lengths)
    ways = BothWays(batch)
    utterances = torch.randn(2, sum(lengths), 3)
    laid = ways.laid_out(utterances)
    torch.testing.assert_close(ways.side_by_side(laid), torch.cat([*utterances], dim=-1))
    ends = batch.lengths.cumsum(0)
    torch.testing.assert_close(laid[1, 0], utterances[1, ends - 1])


def cells(gru):
    """torch's own, with the same weights."""
    for way in range(2):
        cell = nn.GRUCell(gru.weight_ih.shape[2], gru.weight_hh.shape[2])
        cell.load_state_dict({name: parameter[way] for name, parameter in gru.named_parameters()})
        yield cell


@pytest.mark.parametrize("known", [0, 3])
def test_the_cell_is_torchs_own_with_the_same_gradients(make_corpus, known):
    lengths = [5, 2, 4]
    batch = batch_of(make_corpus, lengths)
    ways, gru = BothWays(batch), TwoWayGRU(known, 2, 4)
    utterances = torch.randn(sum(lengths), known + 2)
    found = ways.laid_out(utterances[:, known:].expand(2, -1, -1))
    steps, state, states = gru.over(utterances[:, :known], ways), torch.zeros(2, 3, 4), []
    for turn in range(5):
        state = steps(turn, found[:, turn], state)
        states.append(state)
    ours = ways.side_by_side(torch.stack(states, 1))
    weight = torch.randn(ours.shape)
    ours_back = torch.autograd.grad((ours * weight).sum(), list(gru.parameters()))

    both = list(cells(gru))
    expected = []
    for dialogue in utterances.split(lengths):
        ways_of_one = []
        for cell, order in zip(both, (1, -1), strict=True):
            state, states = torch.zeros(1, 4), []
            for utterance in dialogue.split(1)[::order]:
                state = cell(utterance, state)
                states.append(state)
            ways_of_one.append(torch.cat(states[::order]))
        expected.append(torch.cat(ways_of_one, dim=1))
    theirs = torch.cat(expected)
    torch.testing.assert_close(ours, theirs)
    theirs_back = [torch.autograd.grad((theirs * weight).sum(), cell.parameters(), retain_graph=True) for cell in both]
    torch.testing.assert_close(list(ours_back), [torch.stack(pair) for pair in zip(*theirs_back, strict=True)])


@pytest.mark.parametrize("kind", ["simple", "general", "general2"])
def test_attention_over_more_states_than_a_block(make_corpus, kind):
    """Against the formula over all states at once, and its gradients."""
    turns = 2 * BLOCK + 3
    batch = batch_of(make_corpus, [turns, 4])
    ways, attention = BothWays(batch), EarlierAttention(kind, 3, 4, squash=True)
    utterances = torch.randn(turns + 4, 3)
    states = torch.randn(2, turns, 2, 4, requires_grad=True)
    earlier, attended = attention.over(utterances, ways), []
    for turn in range(turns):
        attended.append(earlier.attended(turn))
        earlier.add(states[:, turn])
    ours = torch.stack(attended, 1)

    heard = ways.laid_out(utterances.expand(2, -1, -1))
    if kind == "simple":
        scores = torch.einsum("wxg,wkbg->wbk", attention.weight, states).unsqueeze(2).expand(-1, -1, turns, -1)
    else:
        queries = torch.einsum("wgd,wtbd->wtbg", attention.weight, heard)
        if kind == "general2":
            queries = queries + (heard.abs().sum(-1, keepdim=True) > 0) * attention.bias[:, None, None]
        scores = torch.einsum("wtbg,wkbg->wbtk", queries, states)
    scores = torch.tanh(scores) if kind == "general2" else scores
    before = torch.ones(turns, turns).tril(-1).bool()
    weights = torch.softmax(scores.masked_fill(~before, -1e9), dim=-1) * before
    theirs = torch.einsum("wbtk,wkbg->wtbg", weights, states)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(earlier.table(), weights.detach())
    given_weight = torch.randn(ours.shape)
    wanted = [states, *attention.parameters()]
    gradients = [torch.autograd.grad((c * given_weight).sum(), wanted) for c in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("listeners", [True, False])
def test_dialogues_of_one_batch_do_not_hear_each_other(make_corpus, listeners):
    """A dialogue's states are those that it has alone, whatever the lengths and parties of the others."""
    corpus = make_corpus([BLOCK + 4, 1, 7])
    first = DialogueRecurrence(3, 4, 3, 2, active_listener=listeners)
    second = CommonsenseRecurrence(3, dict.fromkeys(INFERENCES, 2), STATES, active_listener=listeners)
    utterances = torch.randn(len(corpus.labels), 3)
    inferred = {name: torch.randn(len(corpus.labels), 2) for name in INFERENCES}

    def states(dialogues):
        batch = collate(corpus, dialogues, ())
        rows = batch.flat(batch.rows)
        known = {name: vectors[rows] for name, vectors in inferred.items()}
        return torch.cat([first(utterances[rows], batch)[0], second(utterances[rows], known, batch)], dim=1)

    alone = torch.cat([states([dialogue]) for dialogue in corpus.dialogues])
    torch.testing.assert_close(states(corpus.dialogues), alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("backward", [True, False])
def test_streams_are_read_each_for_itself(make_corpus, backward):
    """Each as a recurrence of its own would, and on over the padding: forwards it goes on, backwards it is not."""
    batch = batch_of(make_corpus, [5, 1, 4])
    recurrence = DialogueRecurrence(3, 4, 3, 2, "simple", streams=2, backward=backward)
    streams = torch.randn(2, 10, 3)
    states = recurrence.over_padding(streams, batch)
    for i, stream in enumerate(streams):
        alone = DialogueRecurrence(3, 4, 3, 2, "simple")
        ways = [i, i + 2] if backward else [i, i]
        alone.load_state_dict({name: weights[ways] for name, weights in recurrence.state_dict().items()})
        ours = batch.flat(states[i])
        torch.testing.assert_close(ours, alone(stream, batch)[0][:, : ours.shape[1]])
    at_padding = states[:, ~batch.mask]
    assert at_padding[..., :2].all()
    assert not at_padding[..., 2:].any()
    assert states.shape[-1] == 2 + 2 * backward


def test_parties_are_counted_where_nobody_did(make_corpus):
    batch = batch_of(make_corpus, [2, 9, 5])
    assert batch.parties == len(batch.speakers[batch.mask].unique())
    assert Parties(replace(batch, parties=None), BothWays(batch)).count == batch.parties


def test_what_was_not_inferred_is_as_good_as_zeros(make_corpus):
    batch = batch_of(make_corpus, [3, 4])
    utterances = torch.randn(7, 3)
    without = CommonsenseRecurrence(3, dict.fromkeys(INFERENCES, 0), STATES)
    with_zeros = CommonsenseRecurrence(3, dict.fromkeys(INFERENCES, 2), STATES)
    for cell, other in zip(without.children(), with_zeros.children(), strict=True):
        known = getattr(cell, "known", None)
        for (name, parameter), wide in zip(cell.named_parameters(), other.parameters(), strict=True):
            with torch.no_grad():
                if name == "weight_ih" and parameter.shape != wide.shape:
                    wide[..., :known], wide[..., known + 2 :] = parameter[..., :known], parameter[..., known:]
                else:
                    wide.copy_(parameter)
    nothing, zeros = torch.zeros(7, 0), torch.zeros(7, 2)
    torch.testing.assert_close(
        without(utterances, dict.fromkeys(INFERENCES, nothing), batch),
        with_zeros(utterances, dict.fromkeys(INFERENCES, zeros), batch),
    )
