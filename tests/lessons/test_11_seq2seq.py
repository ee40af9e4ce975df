"""Lesson 11's encoder and decoder by hand: masks, padding, answers that are none."""

from typing import Any

import numpy as np
import pytest
import torch

from from_notebook import definitions

LESSON = definitions(11)


def problem(mask: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = (1, 3, 2), (1, 4), (2, 4), (4, 4), (4,)
    return [*(rng.standard_normal(shape) for shape in shapes), mask]


@pytest.mark.parametrize("kind", [float, int, np.uint8])
def test_a_mask_of_numbers_is_refused(kind: type) -> None:
    with pytest.raises(ValueError, match=r"mask holds .* numbers; expected True"):
        LESSON["rnn"](*problem(np.ones((1, 3), kind)))


def test_at_padding_the_state_stays_and_no_gradient_enters() -> None:
    x, *others, mask = problem(np.array([[True, False, False]]))
    states = LESSON["rnn"](x, *others, mask)
    assert np.array_equal(states[:, 1:], states[:, [0, 0]])
    h_0, W_x, W_h, _ = others
    dx, _, _ = LESSON["rnn_back"](np.ones_like(states), x, h_0, W_x, W_h, mask, states)
    assert dx[:, 0].all()
    assert not dx[:, 1:].any()


@pytest.mark.parametrize("hidden", [1000.0, np.nan, -np.inf])
def test_what_stands_on_padding_changes_nothing(hidden: float) -> None:
    logits = np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, hidden]]])
    loss, gradient = LESSON["masked_nats"](logits, np.array([[1, 0]]))
    assert np.isclose(loss, np.log(3))
    assert np.isfinite(gradient).all()
    assert not gradient[0, 1].any()


@pytest.mark.parametrize("impossible", [-1000.0, -np.inf])
def test_a_word_that_cannot_come_costs_no_nan(impossible: float) -> None:
    loss, gradient = LESSON["masked_nats"](np.array([[[0.0, 0.0, impossible]]]), np.array([[1]]))
    assert np.isclose(loss, np.log(2))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("answers, message", [([[0, 0]], "all answers"), ([[1, -1]], "0 to 2")])
def test_answers_that_are_none_are_refused(answers: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LESSON["masked_nats"](np.zeros((1, 2, 3)), np.array(answers))


@pytest.mark.parametrize(
    "ids, message", [([[0, 4, 5]], "padding before a real token"), ([[0, 0]], "padding alone")]
)
def test_the_encoder_refuses_what_it_would_misread(ids: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LESSON["Seq2Seq"](9, 9, 3, 4, True).encode(torch.tensor(ids))


def test_the_smallest_uses_of_writing() -> None:
    model = LESSON["Seq2Seq"](9, 9, 3, 4, False)
    assert LESSON["write"](model, [4], 0) == []
    with pytest.raises(ValueError, match=r"axis 1 \(S\) is empty"):
        LESSON["write"](model, [], 3)
