"""Lesson 07: whatever stands on padding changes nothing; a mask is True first, then False."""

from typing import Any

import numpy as np
import pytest
import torch

from from_notebook import definitions

LESSON = definitions(7)
POOLS = ["pool_last", "pool_mean", "pool_max"]
MASK = np.array([[True, True, False], [True, True, True]])


def states(padding: float) -> Any:
    values = np.random.default_rng(0).standard_normal((2, 3, 4))
    values[~MASK] = padding
    return values


@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("pool", POOLS)
def test_what_stands_on_padding_changes_nothing(pool: str, padding: float) -> None:
    upstream = np.ones((2, 4))
    assert np.array_equal(LESSON[pool](states(padding), MASK), LESSON[pool](states(0), MASK))
    back = LESSON[pool + "_backward"](upstream, states(padding), MASK)
    assert np.array_equal(back, LESSON[pool + "_backward"](upstream, states(0), MASK))
    assert not back[~MASK].any()
    tensors = [torch.from_numpy(states(number)) for number in (padding, 0)]
    name = pool.removeprefix("pool_")
    pooled = [LESSON["pool_states"](name, part, torch.from_numpy(MASK)) for part in tensors]
    assert torch.equal(*pooled)


@pytest.mark.parametrize(
    "mask, message",
    [
        ([[False, True, True], [True] * 3], "padding before a real"),
        ([[True, False, True], [True] * 3], "padding before a real"),
        ([[False] * 3, [True] * 3], "padding alone"),
        (MASK.astype(float), "mask holds .* numbers; expected True"),
        (MASK.astype(int), "mask holds .* numbers; expected True"),
    ],
)
@pytest.mark.parametrize("pool", POOLS)
def test_a_mask_that_would_be_misread_is_refused(pool: str, mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LESSON[pool](states(0), np.array(mask))
    tensors = torch.from_numpy(states(0)), torch.from_numpy(np.array(mask))
    with pytest.raises(ValueError, match=message):
        LESSON["pool_states"](pool.removeprefix("pool_"), *tensors)


@pytest.mark.parametrize("kind", [np.uint8, np.int16])
def test_labels_of_any_whole_type_are_counted(kind: type) -> None:
    labels = np.random.default_rng(0).integers(0, 17, 1000).astype(kind)
    assert np.trace(LESSON["confusion"](labels, labels, 17)) == 1000


def test_a_class_that_never_comes_gets_0_and_no_nan() -> None:
    for scores in LESSON["precision_recall_f1"](np.array([[3, 0], [0, 0]])):
        assert scores.tolist() == [1, 0]


def test_scores_that_are_far_apart_give_a_finite_loss() -> None:
    W, labels = np.array([[1000.0, 0.0]]), np.array([1])
    loss, d = LESSON["regression"](np.ones((1, 1)), labels, W, np.zeros(2))
    assert loss == 1000 + 1000**2 / 2
    assert np.isfinite(d["W"]).all()
