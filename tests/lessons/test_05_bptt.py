"""Lesson 05's backward passes equal PyTorch's at any shape, and wrong shapes are told."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from course_utils.proofs import compare
from from_notebook import definitions
from recurrent import RNN, RNN_COMPLAINTS, at_random_shapes

LESSON = definitions(5)


@pytest.mark.parametrize("suffix", ["", "_fast"])
@at_random_shapes
def test_states_and_gradients_equal_the_framework(
    suffix: str, sizes: tuple[int, ...], seed: int
) -> None:
    forward, backward = LESSON["rnn_forward" + suffix], LESSON["rnn_backward" + suffix]
    RNN.equals_framework(forward, backward, sizes, seed)


@pytest.mark.parametrize("forward", ["rnn_forward", "rnn_forward_fast"])
@pytest.mark.parametrize("name", RNN.axes)
def test_each_wrong_shape_is_told(forward: str, name: str) -> None:
    RNN.refuses_each_wrong_shape(LESSON[forward], name)


@pytest.mark.parametrize("forward", ["rnn_forward", "rnn_forward_fast"])
@pytest.mark.parametrize(
    "name, shape, message",
    [
        *RNN_COMPLAINTS,
        ("W_h", (4, 3), r"W_h has shape \(4, 3\); expected \(H=4, H=4\)"),
        ("b", (1, 4), r"b has shape \(1, 4\); expected \(H=4,\)"),
    ],
)
def test_a_wrong_shape_is_told_with_the_expected_one(
    forward: str, name: str, shape: tuple[int, ...], message: str
) -> None:
    RNN.refuses_shape(LESSON[forward], name, shape, message)


@pytest.mark.parametrize("k", range(1, 13))
@at_random_shapes
def test_truncation_keeps_one_segment_and_is_exact_within_the_last(
    k: int, sizes: tuple[int, ...], seed: int
) -> None:
    N, T, D, H = sizes
    network = RNN.problem(sizes, seed)
    dstates = np.zeros((N, T, H))
    dstates[:, -1] = np.random.default_rng(seed).standard_normal((N, H))
    cut, most = LESSON["rnn_truncated"](**network, dstates=dstates, k=k)
    full, _ = LESSON["rnn_truncated"](**network, dstates=dstates, k=T)
    border = (T - 1) // k * k  # where the last segment starts
    assert most == N * (min(k, T) * (D + H) + H)
    assert not cut["x"][:, :border].any()
    compare(cut["x"][:, border:], full["x"][:, border:], tolerance=1e-12)


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


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_that_would_not_clip_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match=f"limit is {limit}; expected a norm above 0"):
        LESSON["clip_by_norm"]({"a": np.ones(2)}, limit)


def test_gradients_of_0_stay_0() -> None:
    clipped, norm = LESSON["clip_by_norm"]({"a": np.zeros(2)}, 1.0)
    assert norm == 0
    assert clipped["a"].tolist() == [0, 0]


def test_a_gradient_of_0_has_no_norm_to_divide_by() -> None:
    with pytest.raises(ValueError, match="0 everywhere"):
        LESSON["norms_back"](np.zeros((1, 2)), np.ones((1, 3, 2)), np.eye(2))


def test_answering_0_costs_1() -> None:
    """What the echo's loss starts at, for its read-out is 0 then."""
    assert LESSON["echo_losses"](100, 1.0, 0, updates=1) == pytest.approx([1], abs=0.1)
