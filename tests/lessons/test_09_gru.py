"""Lesson 09's GRU equals PyTorch's at any shape, and wrong shapes are told."""

import pytest
import torch

from course_utils.proofs import compare
from from_notebook import definitions
from recurrent import GRU, SIZES, at_random_shapes, stays_finite_far_out

LESSON = definitions(9)


@pytest.mark.parametrize("suffix", ["", "_fast"])
@at_random_shapes
def test_states_and_gradients_equal_the_framework(
    suffix: str, sizes: tuple[int, ...], seed: int
) -> None:
    forward, backward = LESSON["gru_forward" + suffix], LESSON["gru_backward" + suffix]
    GRU.equals_framework(forward, backward, sizes, seed)


def test_any_weights_of_the_frameworks_layer_in_our_arrangement() -> None:
    x, h0, *_ = GRU.problem(SIZES).values()
    torch.manual_seed(0)
    layer = GRU.framework(*SIZES[2:]).double()  # both of its biases differ from 0 everywhere
    states, _ = LESSON["gru_forward"](x, h0, **LESSON["from_framework"](layer))
    compare(states, layer(torch.from_numpy(x), torch.from_numpy(h0)[None])[0], tolerance=1e-12)


@pytest.mark.parametrize("suffix", ["", "_fast"])
@pytest.mark.parametrize("name", GRU.axes)
def test_each_wrong_shape_is_told(suffix: str, name: str) -> None:
    GRU.refuses_each_wrong_shape(LESSON["gru_forward" + suffix], name)


@pytest.mark.parametrize("suffix", ["", "_fast"])
def test_a_batch_in_time_major_order_is_told(suffix: str) -> None:
    message = r"x has shape \(5, 3, 2\); expected \(N=3, T, D=2\): axes 0 and 1 look swapped"
    GRU.refuses_shape(LESSON["gru_forward" + suffix], "x", (5, 3, 2), message)


def test_gates_that_are_far_out_stay_finite() -> None:
    stays_finite_far_out(LESSON["sigmoid"], LESSON["half_life"])


@pytest.mark.parametrize("suffix", ["", "_fast"])
def test_whole_numbers_are_measurements_too(suffix: str) -> None:
    GRU.takes_whole_numbers(LESSON["gru_forward" + suffix], LESSON["gru_backward" + suffix])
