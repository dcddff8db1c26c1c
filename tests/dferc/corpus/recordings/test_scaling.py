"""Standardising: in pieces as at once, exact in float64, whatever the numbers."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from dferc.corpus.recordings.scaling import ScalingFit, apply_scaling


def fitted(pieces, clip=10.0):
    fit = ScalingFit()
    for piece in pieces:
        fit.add(piece)
    return fit.scaling(clip)


def test_pieces_give_what_all_at_once_gives():
    vectors = np.random.default_rng(0).normal(3, [1e-8, 1, 1e8], (60, 3))
    scaling = fitted(np.split(vectors, [1, 7, 7, 40]))
    assert np.allclose(scaling.mean, vectors.mean(0), rtol=1e-12)
    assert np.allclose(scaling.scale, vectors.std(0), rtol=1e-9)
    expected = StandardScaler().fit_transform(vectors)
    assert np.allclose(apply_scaling(vectors, scaling), expected, atol=1e-6)


def test_huge_numbers_do_not_overflow_and_are_clipped():
    vectors = np.array([[1e30], [-1e30], [0]], np.float32)
    scaling = fitted([vectors])
    assert np.all(np.isfinite(apply_scaling(vectors, scaling)))
    assert apply_scaling(np.array([[3e38]], np.float32), scaling).tolist() == [[10]]


@pytest.mark.parametrize("value", [0.0, 7.0, 1e20])
def test_a_constant_becomes_zero(value):
    vectors = np.full((5, 1), value, np.float32)
    assert np.all(apply_scaling(vectors, fitted([vectors])) == 0)


def test_nothing_to_fit_gives_nothing():
    assert fitted([]) is None
    assert fitted([np.zeros((0, 3))]) is None
