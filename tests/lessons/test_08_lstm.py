"""Lesson 08's LSTM equals PyTorch's at any shape, and wrong shapes are told."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from course_utils.proofs import compare, load_weights
from from_notebook import definitions

LESSON = definitions(8)
sizes = st.tuples(*(st.integers(1, most) for most in (4, 9, 4, 6)))  # N, T, D, H


def problem(N: int, T: int, D: int, H: int, seed: int) -> list[Any]:
    """[x, h0, c0, W_x, W_h, b, dstates, dh, dc]."""
    rng = np.random.default_rng(seed)
    shapes = [(N, T, D), (N, H), (N, H), (D, 4 * H), (H, 4 * H), (4 * H,), (N, T, H), (N, H), (N, H)]
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("suffix", ["", "_fast"])
@settings(deadline=None, max_examples=60)
@given(sizes=sizes, seed=st.integers(0, 2**32 - 1))
def test_states_and_gradients_equal_the_framework(suffix: str, sizes: tuple[int, int, int, int], seed: int) -> None:
    x, h0, c0, W_x, W_h, b, *above = problem(*sizes, seed)
    states, last, cache = LESSON["lstm_forward" + suffix](x, h0, c0, W_x, W_h, b)
    gradients = LESSON["lstm_backward" + suffix](above[0], above[1:], cache)

    layer = nn.LSTM(sizes[2], sizes[3], batch_first=True, dtype=torch.float64)
    load_weights(layer, {"weight_ih_l0": W_x.T, "weight_hh_l0": W_h.T, "bias_ih_l0": b, "bias_hh_l0": 0 * b})
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in (("x", x), ("h0", h0), ("c0", c0))}
    outputs, (h, c) = layer(leaves["x"], (leaves["h0"][None], leaves["c0"][None]))
    sum((torch.from_numpy(weight) * part).sum() for weight, part in zip(above, (outputs, h[0], c[0]))).backward()
    theirs = {name: leaf.grad for name, leaf in leaves.items()} | {
        "b": layer.bias_ih_l0.grad, "W_x": layer.weight_ih_l0.grad.T, "W_h": layer.weight_hh_l0.grad.T,
    }  # fmt: skip
    compare({"states": states, "h": last[0], "c": last[1]}, {"states": outputs, "h": h[0], "c": c[0]}, tolerance=1e-12)
    compare(gradients, theirs, tolerance=1e-10, what="gradient by")


@pytest.mark.parametrize("suffix", ["", "_fast"])
@pytest.mark.parametrize("place, shape", list(enumerate([(3, 3, 2), (3, 5), (4, 4), (2, 12), (5, 16), (4,)])))
def test_each_wrong_shape_is_told(suffix: str, place: int, shape: tuple[int, ...]) -> None:
    given = problem(2, 3, 2, 4, 0)[:6]
    given[place] = np.zeros(shape)
    with pytest.raises(ValueError, match="expected"):
        LESSON["lstm_forward" + suffix](*given)


def test_a_batch_in_time_major_order_is_told() -> None:
    x, *others = problem(2, 3, 2, 4, 0)[:6]
    with pytest.raises(ValueError, match=r"\(T, N, \.\.\) given for \(N, T, \.\.\)"):
        LESSON["lstm_forward"](x.swapaxes(0, 1), *others)
