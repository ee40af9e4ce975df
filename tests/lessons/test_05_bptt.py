"""Lesson 05's backward passes equal PyTorch's at any shape, and wrong shapes are told."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from course_utils.proofs import compare, load_weights
from from_notebook import definitions

LESSON = definitions(5)
sizes = st.tuples(*(st.integers(1, most) for most in (4, 9, 4, 6)))  # N, T, D, H


def problem(N: int, T: int, D: int, H: int, seed: int) -> tuple[list[Any], Any, Any]:
    """([x, h0, W_x, W_h, b], dstates, dlast)."""
    rng = np.random.default_rng(seed)
    shapes = [(N, T, D), (N, H), (D, H), (H, H), (H,), (N, T, H), (N, H)]
    *network, dstates, dlast = [rng.standard_normal(shape) for shape in shapes]
    return network, dstates, dlast


@pytest.mark.parametrize("suffix", ["", "_fast"])
@settings(deadline=None, max_examples=60)
@given(sizes=sizes, seed=st.integers(0, 2**32 - 1))
def test_states_and_gradients_equal_the_framework(suffix: str, sizes: tuple[int, int, int, int], seed: int) -> None:
    _, _, D, H = sizes
    (x, h0, W_x, W_h, b), dstates, dlast = problem(*sizes, seed)
    states, cache = LESSON["rnn_forward" + suffix](x, h0, W_x, W_h, b)
    gradients = LESSON["rnn_backward" + suffix](dstates, dlast, cache)

    layer = nn.RNN(D, H, batch_first=True, dtype=torch.float64)
    load_weights(layer, {"weight_ih_l0": W_x.T, "weight_hh_l0": W_h.T, "bias_ih_l0": b, "bias_hh_l0": 0 * b})
    x_tensor, h0_tensor = (torch.tensor(value, requires_grad=True) for value in (x, h0))
    outputs, last = layer(x_tensor, h0_tensor[None])
    ((torch.from_numpy(dstates) * outputs).sum() + (torch.from_numpy(dlast) * last[0]).sum()).backward()
    theirs = {
        "x": x_tensor.grad, "h0": h0_tensor.grad, "b": layer.bias_ih_l0.grad,
        "W_x": layer.weight_ih_l0.grad.T, "W_h": layer.weight_hh_l0.grad.T,
    }  # fmt: skip
    compare(states, outputs, tolerance=1e-12, what="states")
    compare(gradients, theirs, tolerance=1e-10, what="gradient by")


@settings(deadline=None, max_examples=40)
@given(sizes=sizes, k=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_truncation_keeps_one_segment_and_is_exact_within_the_last(sizes: tuple[int, int, int, int], k: int, seed: int) -> None:
    N, T, D, H = sizes
    network, dstates, _ = problem(*sizes, seed)
    dstates[:, :-1] = 0
    cut, most = LESSON["rnn_truncated"](*network, dstates, k)
    full, _ = LESSON["rnn_truncated"](*network, dstates, T)
    border = (T - 1) // k * k  # where the last segment starts
    assert most == N * (min(k, T) * (D + H) + H)
    assert not cut["x"][:, :border].any()
    compare(cut["x"][:, border:], full["x"][:, border:], tolerance=1e-12)


@pytest.mark.parametrize("forward", ["rnn_forward", "rnn_forward_fast"])
@pytest.mark.parametrize(
    ("place", "shape", "told"),
    [
        (0, (7, 3, 2), r"h0 has shape \(3, 5\); expected \(N=7, H=5\): .* is a batch \(T, N, ..\) given"),  # time-major
        (0, (3, 2), r"x has shape \(3, 2\); expected \(N, T, D=2\)"),
        (0, (3, 7, 4), r"axis 2 \(D\) is 4, not 2"),
        (0, (3, 0, 2), r"axis 1 \(T\) is empty"),
        (1, (4, 5), r"h0 has shape \(4, 5\); expected \(N=3, H=5\): axis 0 \(N\) is 4, not 3"),  # another batch's state
        (1, (3, 4), r"h0 has shape \(3, 4\); expected \(N=3, H=5\)"),
        (3, (5, 4), r"W_h has shape \(5, 4\); expected \(H=5, H=5\)"),
        (4, (1, 5), r"b has shape \(1, 5\); expected \(H=5,\)"),
    ],
)
def test_a_wrong_shape_is_told_with_the_expected_one(forward: str, place: int, shape: tuple[int, ...], told: str) -> None:
    network, _, _ = problem(3, 7, 2, 5, 0)
    network[place] = np.ones(shape)
    with pytest.raises(ValueError, match=told):
        LESSON[forward](*network)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), limit=st.floats(1e-3, 1e3))
def test_clipping_keeps_the_direction_and_the_small(seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    gradients = {"a": rng.standard_normal((3, 2)), "b": rng.standard_normal(4) * 10}
    clipped, norm = LESSON["clip_by_norm"](gradients, limit)
    after = np.sqrt(sum((value**2).sum() for value in clipped.values()))
    assert np.isclose(after, min(norm, limit))
    for name, value in gradients.items():
        np.testing.assert_allclose(clipped[name] * norm, value * after)
