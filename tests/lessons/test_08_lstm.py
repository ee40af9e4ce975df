"""Lesson 08's LSTM equals PyTorch's at any shape, and wrong shapes are told."""

import pytest
import torch

from course_utils.models.layers import chrono_lstm
from course_utils.proofs import compare
from from_notebook import definitions
from recurrent import LSTM, SIZES, TURNED, at_random_shapes, stays_finite_far_out

LESSON = definitions(8)


@pytest.mark.parametrize("suffix", ["", "_fast"])
@at_random_shapes
def test_states_and_gradients_equal_the_framework(
    suffix: str, sizes: tuple[int, ...], seed: int
) -> None:
    forward, backward = LESSON["lstm_forward" + suffix], LESSON["lstm_backward" + suffix]
    LSTM.equals_framework(forward, backward, sizes, seed)


def test_the_frameworks_layer_has_our_weights() -> None:
    _, _, _, *weights = LSTM.problem(SIZES).values()
    layer = LESSON["framework_lstm"](*weights, torch.float64)
    expected = LSTM.parameters(*map(torch.from_numpy, weights))
    compare(dict(layer.named_parameters()), expected, tolerance=0)


@pytest.mark.parametrize("suffix", ["", "_fast"])
@pytest.mark.parametrize("name", LSTM.axes)
def test_each_wrong_shape_is_told(suffix: str, name: str) -> None:
    LSTM.refuses_each_wrong_shape(LESSON["lstm_forward" + suffix], name)


@pytest.mark.parametrize("suffix", ["", "_fast"])
def test_a_batch_in_time_major_order_is_told(suffix: str) -> None:
    LSTM.refuses_shape(LESSON["lstm_forward" + suffix], "x", (5, 3, 2), f"h0 .*{TURNED}")


def test_gates_that_are_far_out_stay_finite() -> None:
    stays_finite_far_out(LESSON["sigmoid"], LESSON["half_life"])


@pytest.mark.parametrize("suffix", ["", "_fast"])
def test_whole_numbers_are_measurements_too(suffix: str) -> None:
    LSTM.takes_whole_numbers(LESSON["lstm_forward" + suffix], LESSON["lstm_backward" + suffix])


def test_gates_of_two_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="unpack"):
        LESSON["gates_and_cells"](torch.nn.LSTM(2, 3, 2, batch_first=True), torch.zeros(1, 2, 2))


def test_the_packages_chrono_lstm_is_the_lessons() -> None:
    layers = []
    for make in (LESSON["chrono_lstm"], chrono_lstm):
        torch.manual_seed(3)
        layers.append(dict(make(2, 5, 40).named_parameters()))
    compare(*layers, tolerance=0)
