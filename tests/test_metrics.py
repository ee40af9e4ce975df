"""Numbers that say how good a model is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.metrics.cluster import contingency_matrix

from course_utils.metrics import accuracy, band, perplexity, purity


def test_accuracy_counts_only_where_the_mask_is_true() -> None:
    assert accuracy([[1, 2, 0]], [[1, 3, 0]], [[True, True, False]]) == 0.5
    assert accuracy([1, 2], [1, 2]) == 1.0
    with pytest.raises(ValueError, match=r"shapes must be equal: predicted \(1,\), true \(2,\)"):
        accuracy([1], [1, 2])
    with pytest.raises(ValueError, match="False everywhere"):
        accuracy([1], [1], [False])


def test_perplexity_of_a_fair_die() -> None:
    assert perplexity(math.log(6)) == pytest.approx(6)


PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(PAIRS)
def test_purity_is_that_of_the_librarys_contingency_table(pairs: list[tuple[int, int]]) -> None:
    guess, truth = [a for a, _ in pairs], [b for _, b in pairs]
    table = contingency_matrix(guess, truth)
    assert purity(guess, truth) == pytest.approx(table.max(axis=1).sum() / len(pairs))


def test_bad_input_is_explained() -> None:
    with pytest.raises(ValueError, match="got 1 and 2"):
        purity([0], [0, 1])
    with pytest.raises(ValueError, match="at least one value"):
        band([])


def test_band_is_lowest_median_highest() -> None:
    assert band([3, 1, 2]) == (1, 2, 3)
    assert band(list(np.array([0.5]))) == (0.5, 0.5, 0.5)
