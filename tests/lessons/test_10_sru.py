"""Lesson 10's SRU by hand equals the fast layer at any shape, and wrong shapes are told."""

import dataclasses
from functools import partial

import numpy as np
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


def test_candidates_of_whole_numbers_are_not_cut_off() -> None:
    u, z, c0 = np.ones((1, 3, 2), int), np.zeros((1, 3, 2)), np.zeros((1, 2), int)
    _, c = LESSON["light_recurrence"](u, z, c0, 0.5)
    _, expected = LESSON["light_recurrence"](u * 1.0, z, c0 * 1.0, 0.5)
    compare(c, expected, tolerance=0)


@pytest.mark.parametrize("solve", ["solve_loop", "solve_scan"])
def test_factors_and_terms_of_two_lengths_are_refused(solve: str) -> None:
    with pytest.raises(ValueError, match=r"shorter|broadcast"):
        LESSON[solve](np.ones((4, 2)), np.ones((3, 2)), np.zeros(2))


def test_the_smallest_and_a_long_scan() -> None:
    assert LESSON["scan_cost"](1) == (0, 0)
    assert LESSON["scan_cost"](20_000)[0] == 15
    ones = np.ones((1, 2))
    compare(LESSON["solve_scan"](ones, ones, ones[0]), 2 * ones, tolerance=0)


@pytest.mark.parametrize("b_f, steps", [(-1000.0, 1), (0.0, 1), (20.0, 1000)])
def test_a_unit_that_forgets_at_once_or_never(b_f: float, steps: int) -> None:
    assert LESSON["half_life"](1, b_f, 0) == steps
