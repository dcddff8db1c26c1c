"""Who has an edge to whom, and the convolution over relations against a sum over edges."""

import pytest
import torch

from dferc.corpus import collate
from dferc.layers.graphs import RelationalConvolution, equal, predecessors, window


@pytest.mark.parametrize(("past", "future"), [(0, 0), (2, 1), (1, None), (None, 0), (None, None)])
def test_a_window_reaches_so_far_and_stays_in_the_dialogue(past, future):
    mask = torch.arange(7) < torch.tensor([[5], [7], [0]])
    near = window(mask, past, future)
    for dialogue, length in enumerate([5, 7, 0]):
        for i in range(7):
            first = 0 if past is None else max(0, i - past)
            last = length - 1 if future is None else min(length - 1, i + future)
            expected = list(range(first, last + 1)) if i < length else []
            assert near[dialogue, i].nonzero().flatten().tolist() == expected


@pytest.mark.parametrize("back", [1, 2, 3])
def test_predecessors_reach_back_to_the_same_speaker(back):
    torch.manual_seed(back)
    speakers = torch.randint(0, 3, (5, 12))
    heard = predecessors(torch.ones(5, 12, 12, dtype=torch.bool), equal(speakers), back)
    for row, said in enumerate(speakers.tolist()):
        for i, speaker in enumerate(said):
            own = [j for j in range(i) if said[j] == speaker][-back:]
            first = own[0] if len(own) == back else 0
            assert heard[row, i].nonzero().flatten().tolist() == list(range(first, i))


def test_a_message_takes_the_matrix_of_its_relation(corpus):
    torch.manual_seed(0)
    batch = collate(corpus, corpus.split("train")[:3], ("text",))
    convolution = RelationalConvolution(4, 3, parties=3, bases=2)
    nodes = torch.randn(len(batch.valid), 4)
    edges = torch.rand(batch.mask.shape[0], *[batch.mask.shape[1]] * 2) * window(batch.mask, None, None)
    matrices = torch.einsum("rk,kio->rio", convolution.coefficients, convolution.bases)
    expected = nodes @ convolution.self_weight + convolution.bias
    turn, dialogue, speaker = batch.valid % batch.mask.shape[1], batch.dialogue, batch.flat(batch.speakers)
    for i in range(len(nodes)):
        for j in range(len(nodes)):
            if dialogue[i] == dialogue[j]:
                relation = 2 * (3 * speaker[i] + speaker[j]) + (turn[i] >= turn[j]).long()
                message = edges[dialogue[i], turn[i], turn[j]] * nodes[i] @ matrices[relation]
                expected = expected.index_add(0, torch.tensor([j]), message.unsqueeze(0))
    torch.testing.assert_close(convolution(nodes, edges, batch), expected)
