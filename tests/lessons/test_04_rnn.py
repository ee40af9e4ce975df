"""Lesson 04's Elman RNN equals PyTorch's at any shape, and wrong shapes are told."""

from typing import Any

import numpy as np
import pytest
import torch

from course_utils.proofs import compare
from from_notebook import definitions
from recurrent import RNN, RNN_COMPLAINTS, SIZES, at_random_shapes

LESSON = definitions(4)


def forward(x: Any, h0: Any, W_x: Any, W_h: Any, b: Any) -> tuple[Any, Any, Any]:
    """With the arguments of the later lessons."""
    states, last = LESSON["rnn_forward"](x, W_x, W_h, b, h_0=h0)
    return states, last, (x, h0, states, W_x, W_h)


def backward(dstates: Any, dlast: Any, cache: Any) -> dict[str, Any]:
    """The lesson has the gradients of one step; here one step after the other, from the last."""
    x, h0, states, W_x, W_h = cache
    before = np.concatenate([h0[:, None], states[:, :-1]], axis=1)
    message, dx, total = dlast, np.empty_like(x), {"W_x": 0, "W_h": 0, "b": 0}
    for t in reversed(range(x.shape[1])):
        dh = dstates[:, t] + message
        step = LESSON["rnn_cell_backward"](dh, x[:, t], before[:, t], states[:, t], W_x, W_h)
        message, dx[:, t] = step["h_prev"], step["x_t"]
        total = {name: total[name] + step[name] for name in total}
    return {**total, "x": dx, "h0": message}


@at_random_shapes
def test_states_and_gradients_equal_the_framework(sizes: tuple[int, ...], seed: int) -> None:
    RNN.equals_framework(forward, backward, sizes, seed)


@at_random_shapes
def test_the_first_state_is_zero_when_none_is_given(sizes: tuple[int, ...], seed: int) -> None:
    x, h0, *weights = RNN.problem(sizes, seed).values()
    states, last = LESSON["rnn_forward"](x, *weights)
    expected, expected_last = LESSON["rnn_forward"](x, *weights, h_0=0 * h0)
    assert np.array_equal(states, expected)
    assert np.array_equal(last, expected_last)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_weights_under_the_frameworks_names(share: float) -> None:
    _, _, *weights = RNN.problem(SIZES).values()
    ours = LESSON["framework_weights"](*weights, share)
    expected = RNN.parameters(*map(torch.from_numpy, weights))
    bias = ours["bias_ih_l0"] + ours["bias_hh_l0"]
    compare(ours["bias_ih_l0"], share * weights[2], tolerance=1e-15)
    compare(ours | {"bias_ih_l0": bias, "bias_hh_l0": 0 * bias}, expected, tolerance=1e-15)


@pytest.mark.parametrize("name", ["x", "h0"])
def test_each_wrong_shape_is_told(name: str) -> None:
    RNN.refuses_each_wrong_shape(forward, name)


@pytest.mark.parametrize("name, shape, message", RNN_COMPLAINTS)
def test_a_wrong_shape_is_told_with_the_expected_one(
    name: str, shape: tuple[int, ...], message: str
) -> None:
    RNN.refuses_shape(forward, name, shape, message)
