"""NT-Xent against numbers of the package that SACL-LSTM takes it from, and over several workers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dferc.layers.nt_xent import nt_xent
from dferc.layers.reduction import ALONE
from dferc.layers.utterances import Utterances

REFERENCE = load_file(Path(__file__).parents[2] / "golden" / "losses.safetensors")
VECTORS = REFERENCE["input.feature_representation"]
LABELS = REFERENCE["input.labels"]


def known(labels, labelled=None):
    return Utterances(
        torch.ones(1, len(labels)), labels, torch.ones(len(labels)) if labelled is None else labelled, torch.ones(6)
    )


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_is_that_of_the_release(temperature):
    vectors = VECTORS.clone().requires_grad_()
    value = nt_xent(vectors, known(LABELS), temperature, ALONE).share()
    value.backward()
    name = f"nt_xent.temperature{temperature}"
    for ours, theirs in ((value, REFERENCE[f"output.{name}"][0]), (vectors.grad, REFERENCE[f"grad.{name}"])):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(theirs.abs().max())))


def test_unlabelled_utterances_are_on_neither_side():
    some = torch.arange(len(LABELS)) % 3 > 0
    masked = nt_xent(VECTORS, known(LABELS * some, some.float()), 0.1, ALONE)
    torch.testing.assert_close(masked.share(), nt_xent(VECTORS[some], known(LABELS[some]), 0.1, ALONE).share())


@pytest.mark.parametrize("labels", [torch.arange(4), torch.zeros(4, dtype=torch.long)])
def test_without_a_pair_or_without_another_class_there_is_no_loss(labels):
    vectors = VECTORS[:4].clone().requires_grad_()
    value = nt_xent(vectors, known(labels), 0.1, ALONE).share()
    value.backward()
    assert value == 0
    assert not vectors.grad.any()


def test_several_workers_equal_one_even_if_one_has_nothing(side_by_side):
    vectors = VECTORS.clone().requires_grad_()
    alone = nt_xent(vectors, known(LABELS), 0.1, ALONE).share()
    parts = side_by_side(
        lambda part, across: nt_xent(vectors[part], known(LABELS[part]), 0.1, across).share(across),
        [(slice(0, 5),), (slice(5, 5),), (slice(5, None),)],
    )
    torch.testing.assert_close(sum(parts), alone)
    torch.testing.assert_close(torch.autograd.grad(sum(parts), vectors), torch.autograd.grad(alone, vectors))
