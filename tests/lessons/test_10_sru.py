"""Lesson 10's SRU by hand equals the fast layer at any shape, and wrong shapes are told."""

import dataclasses
from functools import partial

import pytest
import torch

from course_utils.models import sru
from course_utils.proofs import compare
from from_notebook import definitions
from recurrent import SIZES, SRU, TURNED, at_random_shapes

LESSON = definitions(10)


@pytest.mark.parametrize("solve", ["solve_loop", "solve_scan"])
@pytest.mark.parametrize("highway_bias", [None, 0.0, -2.0])
@at_random_shapes
def test_states_and_gradients_equal_the_fast_layer(
    solve: str, highway_bias: float | None, sizes: tuple[int, ...], seed: int
) -> None:
    """Without a bias from which to take it, alpha is 1."""
    fast, alpha = SRU, 1.0
    if highway_bias is not None:
        alpha = LESSON["highway_scale"](highway_bias)
        fast = dataclasses.replace(SRU, framework=partial(sru.SRU, highway_bias=highway_bias))
    forward = partial(LESSON["sru_forward"], alpha=alpha)
    backward = partial(LESSON["sru_backward"], solve=LESSON[solve])
    fast.equals_framework(forward, backward, sizes, seed)


@pytest.mark.parametrize("sizes", [SIZES, (3, 5, 4, 4)])
def test_weights_go_into_the_fast_layer_and_come_back(sizes: tuple[int, ...]) -> None:
    weights = dict(list(SRU.problem(sizes).items())[2:])
    layer = LESSON["fast_layer"](weights)
    tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
    compare(dict(layer.named_parameters()), SRU.parameters(**tensors), tolerance=0)
    compare(LESSON["weights_of"](layer, "l0"), weights, tolerance=0)


@pytest.mark.parametrize("name", SRU.axes)
def test_each_wrong_shape_is_told(name: str) -> None:
    SRU.refuses_each_wrong_shape(LESSON["sru_forward"], name)


def test_a_batch_in_time_major_order_is_told() -> None:
    SRU.refuses_shape(LESSON["sru_forward"], "x", (5, 3, 2), f"c0 .*{TURNED}")


def test_a_highway_without_its_weights_is_told() -> None:
    given = SRU.problem(SIZES)
    del given["W_s"]
    with pytest.raises(ValueError, match=r"D = 2 and H = 4 differ, .* W_s of shape \(D, H\)"):
        LESSON["sru_forward"](**given)
