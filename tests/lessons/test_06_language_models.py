"""Lesson 06's loss and its ways of writing, at their edges: far logits, masks, temperature 0."""

from typing import Any

import numpy as np
import pytest
import torch

from from_notebook import definitions

LESSON = definitions(6)
FAR = np.array([[[0.0, 1.0], [0.0, 1000.0]]])  # (N, T, V)
NONE = np.zeros((1, 2), int)


@pytest.mark.parametrize("shape", [(5, 3), (3, 1), (5,)])
def test_the_hand_written_loss_tells_a_wrong_mask(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"mask has shape .*; expected \(N=3, T=5\)"):
        LESSON["cross_entropy"](np.zeros((3, 5, 7)), np.zeros((3, 5), int), np.ones(shape) > 0)


@pytest.mark.parametrize("kind", [float, int, np.uint8])
def test_a_mask_of_numbers_is_refused(kind: type) -> None:
    with pytest.raises(ValueError, match=r"mask holds .* numbers; expected True"):
        LESSON["cross_entropy"](FAR, NONE, np.ones((1, 2), kind))


def test_logits_that_are_far_apart_give_a_finite_loss() -> None:
    loss, gradient = LESSON["cross_entropy"](FAR[:, 1:], NONE[:, 1:], np.ones((1, 1)) > 0)
    assert loss == 1000
    assert gradient.tolist() == [[[-1, 1]]]


@pytest.mark.parametrize("hidden", [1000.0, np.inf, np.nan])
def test_what_stands_under_the_mask_changes_nothing(hidden: float) -> None:
    logits = FAR.copy()
    logits[0, 1, 1] = hidden
    loss, gradient = LESSON["cross_entropy"](logits, NONE, np.array([[True, False]]))
    assert np.isclose(loss, np.log(1 + np.e))
    assert np.isfinite(gradient).all()
    assert not gradient[0, 1].any()


def test_a_loss_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="False everywhere"):
        LESSON["cross_entropy"](FAR, NONE, NONE > 0)


def test_temperature_0_is_greedy_and_a_small_one_close_to_it() -> None:
    logits = np.array([[0.0, 3.0, 3.0, -1e4], [5.0, 1e4, 0.0, 0.0]])
    greedy = [[0, 1, 0, 0], [0, 1, 0, 0]]  # of equals, the lower id
    assert LESSON["at_temperature"](logits, 0).tolist() == greedy
    assert np.allclose(LESSON["at_temperature"](logits[1:], 1e-300), greedy[1:])
    assert np.allclose(LESSON["at_temperature"](logits, 1e300)[0], 1 / 4)


@pytest.mark.parametrize(
    "name, value",
    [
        ("top_k", 0),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", float("nan")),
        ("at_temperature", -1.0),
        ("at_temperature", float("nan")),
    ],
)
def test_a_knob_that_leaves_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"(k|mass|tau) is {value}; "):
        LESSON[name](np.array([[0.5, 0.5]]), value)


def test_a_knob_that_takes_nothing_away_keeps_all() -> None:
    p = np.array([[0.5, 0.2, 0.3]])
    assert np.allclose(LESSON["top_k"](p, 9), p)
    assert np.allclose(LESSON["top_p"](p, 1.5), p)


@pytest.mark.parametrize("row", [[0.0, 0.0], [np.nan, 1.0]])
def test_nothing_is_drawn_from_nothing(row: list[float]) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        LESSON["draw_ids"](np.array([[0.5, 0.5], row]), np.random.default_rng(0))


@pytest.mark.parametrize("most", [0, 1, 5])
def test_greedy_writing_says_the_same_whatever_the_generator(most: int) -> None:
    torch.manual_seed(0)
    model = LESSON["LanguageModel"](9, 4)
    with torch.no_grad():
        written = [
            LESSON["write"](model, [[2]], np.random.default_rng(seed), tau=0.0, most=most)
            for seed in range(3)
        ]
    assert written[0] == written[1] == written[2]
    assert len(written[0][0]) <= most


@pytest.mark.parametrize("call", ["add_k", "interpolated"])
def test_a_smoothing_that_would_give_0_is_refused(call: str) -> None:
    table: dict[Any, Any] = {}
    tables = table if call == "add_k" else [table]
    with pytest.raises(ValueError, match="is -1; expected"):
        LESSON[call](tables, (), 5, -1)
