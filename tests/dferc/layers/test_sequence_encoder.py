"""LSTMs over sequences of any lengths, without packing."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dferc.corpus import collate
from dferc.layers.sequence_encoder import SequenceEncoder, UtteranceSequences


@pytest.mark.parametrize("both", [False, True])
def test_equals_torchs_lstm_over_packed_sequences(both):
    torch.manual_seed(0)
    encoder = SequenceEncoder(3, 4, 5, both, dropout=0.5).eval()
    lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=both)
    weights = dict(encoder.ahead.state_dict())
    if both:
        weights |= {f"{name}_reverse": weight for name, weight in encoder.back.state_dict().items()}
    lstm.load_state_dict(weights)
    lengths = torch.tensor([2, 5, 1, 4])
    sequences = torch.randn(4, 5, 3)
    packed, (last, _) = lstm(pack_padded_sequence(sequences, lengths, batch_first=True, enforce_sorted=False))
    states, _ = pad_packed_sequence(packed, batch_first=True)
    vectors, means = encoder(sequences, lengths)
    torch.testing.assert_close(vectors, encoder.output(torch.cat(list(last), -1)))
    torch.testing.assert_close(means, states.sum(1) / lengths.unsqueeze(1))


@pytest.mark.parametrize("past", [0, 2])
def test_steps_are_the_utterances_up_to_the_current_one(corpus, past):
    torch.manual_seed(0)
    encoders = UtteranceSequences({"audio": 5, "visual": 4}, past, 3, 2, False, dropout=0.0)
    dialogues = corpus.split("train")
    batch = collate(corpus, dialogues, ("audio", "visual"))
    inputs = {name: batch.flat(vectors) for name, vectors in batch.features.items()}
    vectors, means = encoders(inputs, batch)
    row = 0
    for dialogue in dialogues:
        for turn in range(len(dialogue)):
            steps = slice(row - min(turn, past), row + 1)
            for place, (name, encoder) in enumerate(encoders.encoders.items()):
                states = encoder.ahead(inputs[name][None, steps])[0][0]
                ours = vectors[row, 2 * place : 2 * place + 2]
                torch.testing.assert_close(ours, encoder.output(states[-1]))
                torch.testing.assert_close(means[name][row], states.mean(0))
            row += 1
    assert row == len(vectors)
