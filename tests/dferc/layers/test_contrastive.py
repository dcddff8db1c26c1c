"""The contrastive loss against its formula, written out pair by pair."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dferc.layers.contrastive import class_contrast, modality_contrast, utterance_contrast
from dferc.layers.reduction import ALONE


def written_out(vectors, present, group, temperature):
    """L = mean_i -tau / |P(i)| sum_p log( exp(z_i.z_p / tau) / sum_{j != i} exp(z_i.z_j / tau) ), by loops."""
    points = [
        (F.normalize(vectors[m, n], dim=0), group(m, n))
        for m in range(len(vectors))
        for n in range(vectors.shape[1])
        if present[m, n]
    ]
    losses = []
    for i, (anchor, mine) in enumerate(points):
        others = [(p, g) for j, (p, g) in enumerate(points) if j != i]
        positives = [anchor @ p / temperature for p, g in others if g == mine]
        if positives:
            denominator = torch.logsumexp(torch.stack([anchor @ p / temperature for p, _ in others]), 0)
            losses.append(-temperature * torch.stack([p - denominator for p in positives]).mean())
    return torch.stack(losses).mean() if losses else torch.tensor(0.0)


@settings(max_examples=30, deadline=None)
@given(
    modalities=st.integers(1, 3),
    utterances=st.integers(1, 6),
    missing=st.floats(0, 0.8),
    temperature=st.sampled_from([0.1, 0.5, 1.0, 2.0]),
    seed=st.integers(0, 1000),
)
def test_both_levels_equal_the_formula(modalities, utterances, missing, temperature, seed):
    torch.manual_seed(seed)
    vectors = torch.randn(modalities, utterances, 5)
    present = (torch.rand(modalities, utterances) >= missing).float()
    groups = torch.tensor([0, 0, 1][:modalities])
    modality = modality_contrast(vectors, present, groups, temperature, ALONE).share()
    torch.testing.assert_close(
        modality, written_out(vectors, present, lambda m, _: int(groups[m]), temperature), rtol=1e-4, atol=1e-5
    )
    utterance = utterance_contrast(vectors, present, temperature, ALONE).share()
    torch.testing.assert_close(
        utterance, written_out(vectors, present, lambda _, n: n, temperature), rtol=1e-4, atol=1e-5
    )


def test_a_temperature_may_be_a_tensor_that_learns():
    temperature = torch.tensor(0.5, requires_grad=True)
    utterance_contrast(torch.randn(3, 4, 5), torch.ones(3, 4), temperature, ALONE).share().backward()
    assert temperature.grad is not None
    assert temperature.grad != 0


def raw_written_out(points, classes, temperature):
    """mean_i -1 / |P(i)| sum_p log( exp(z_i.z_p / tau) / sum_{j != i} exp(z_i.z_j / tau) ), by loops."""
    losses = []
    for i, (anchor, mine) in enumerate(zip(points, classes, strict=True)):
        others = [(anchor @ p / temperature, c) for j, (p, c) in enumerate(zip(points, classes, strict=True)) if j != i]
        denominator = torch.logsumexp(torch.stack([score for score, _ in others]), 0)
        losses.append(-torch.stack([score - denominator for score, other in others if other == mine]).mean())
    return torch.stack(losses).mean()


@settings(max_examples=30, deadline=None)
@given(
    utterances=st.integers(1, 7),
    unknown=st.floats(0, 0.8),
    temperature=st.sampled_from([0.5, 1.0, 5.0]),
    seed=st.integers(0, 1000),
)
def test_contrast_of_classes_equals_the_formula(utterances, unknown, temperature, seed):
    torch.manual_seed(seed)
    views = torch.randn(2, utterances, 5, requires_grad=True)
    labels = torch.randint(0, 3, (utterances,))
    labelled = (torch.rand(utterances) >= unknown).float()
    ours = class_contrast(views, labels, labelled, 3, temperature, ALONE).share()
    here = labelled.bool()
    theirs = (
        raw_written_out(views[:, here].flatten(0, 1), labels[here].repeat(2).tolist(), temperature)
        if here.any()
        else 0 * views.sum()
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(loss, views)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)
