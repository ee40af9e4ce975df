"""Lesson 01's padding and windows: what is no token, and what is no measurement."""

import numpy as np
import pytest

from from_notebook import definitions

LESSON = definitions(1)


def test_padding_keeps_ids_of_any_whole_type() -> None:
    ids, mask = LESSON["padded"]([np.array([4, 5], np.uint8), [6]])
    assert ids.tolist() == [[4, 5], [6, 0]]
    assert mask.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    "sequences, error", [([[4.7, 5.9]], TypeError), ([[], []], ValueError), ([], ValueError)]
)
def test_padding_refuses_what_is_no_batch_of_ids(sequences: list[list[int]], error: type) -> None:
    with pytest.raises(error):
        LESSON["padded"](sequences)


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_a_series_with_a_gap_is_refused(hole: float) -> None:
    with pytest.raises(ValueError, match="series"):
        LESSON["cut_windows"](np.array([1.0, hole, 3.0, 4.0]), 2)


@pytest.mark.parametrize("p", [0, 3, 4])
def test_windows_that_leave_nothing_to_forecast_are_refused(p: int) -> None:
    with pytest.raises(ValueError, match=f"3 values have no {p} before one to forecast"):
        LESSON["cut_windows"](np.array([1.0, 2.0, 3.0]), p)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan")])
def test_a_pair_never_seen_needs_a_weight(weight: float) -> None:
    with pytest.raises(ValueError, match="needs one above 0"):
        LESSON["follow"]([[2, 4, 3]], 6, weight)
