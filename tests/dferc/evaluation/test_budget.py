from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dferc.errors import UserError
from dferc.evaluation.budget import expected_best


@given(st.lists(st.sampled_from([40.0, 50.0, 50.5, 61.0]), min_size=1, max_size=5))
def test_it_is_the_mean_over_all_ways_to_draw(scores) -> None:
    found = expected_best(scores)
    assert len(found) == len(scores)
    for trials in range(1, len(scores) + 1):
        brute = np.mean([max(drawn) for drawn in product(scores, repeat=trials)])
        assert found[trials - 1] == pytest.approx(brute)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_it_starts_at_the_mean_never_falls_and_stays_below_the_best(scores) -> None:
    found = expected_best(scores)
    assert found[0] == pytest.approx(np.mean(scores))
    assert (np.diff(found) >= -1e-9).all()
    assert found[-1] <= max(scores) + 1e-9


def test_no_score_is_refused() -> None:
    with pytest.raises(UserError, match="no trial with a score"):
        expected_best([])
