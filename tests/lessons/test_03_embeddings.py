"""Lesson 03's losses and tables at their edges: nothing around a word, no pair, no count."""

from typing import Any

import numpy as np
import pytest

from from_notebook import definitions

LESSON = definitions(3)


@pytest.fixture
def tables() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((6, 3)), rng.standard_normal((6, 3))


def test_a_word_without_neighbours_is_left_out(tables: tuple[Any, Any]) -> None:
    around, choices = np.array([[0, 0], [4, 5]]), np.array([[4, 5], [4, 5]])
    with_it = LESSON["cbow"](*tables, around, choices)
    without = LESSON["cbow"](*tables, around[1:], choices[1:])
    for ours, expected in zip(with_it, without, strict=True):
        assert np.isfinite(ours).all()
        assert np.allclose(ours, expected)


def test_a_batch_without_neighbours_costs_nothing(tables: tuple[Any, Any]) -> None:
    loss, dW, dC = LESSON["cbow"](*tables, np.zeros((2, 2), int), np.array([[4, 5], [4, 5]]))
    assert loss == 0
    assert not dW.any()
    assert not dC.any()


def test_scores_that_are_far_apart_give_a_finite_loss() -> None:
    hidden, C = np.array([[1000.0]]), np.array([[-1.0], [1.0]])
    loss, dhidden, dC = LESSON["negative_sampling"](hidden, C, np.array([[0, 1]]))
    assert loss == 2000
    assert np.isfinite(dhidden).all()
    assert np.isfinite(dC).all()


def test_a_window_of_nothing_has_no_pairs() -> None:
    centres, contexts = LESSON["window_pairs"]([[4, 5], [6]], 0)
    assert len(centres) == len(contexts) == 0
    assert LESSON["cooccurrence"](centres.astype(int), contexts.astype(int), 7).sum() == 0


def test_a_vector_of_zeros_has_no_direction_and_no_nan() -> None:
    assert LESSON["unit"](np.zeros((2, 3))).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("ids", [[[1.0]], [[-1]], [[6]], [[True]]])
def test_ids_that_are_none_are_refused(ids: list[list[Any]]) -> None:
    with pytest.raises(ValueError, match="whole numbers from 0 to 5"):
        LESSON["scatter_add"](np.array(ids), np.ones((1, 1, 3)), 6)
