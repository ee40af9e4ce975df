"""Lesson 12's masked softmax by hand, and what it makes of a text that is no date."""

from typing import Any

import numpy as np
import pytest
import torch

from course_utils.tasks import dates
from from_notebook import definitions

NOT_WRITTEN_SO = "looks like 1994-09-27, but no locale writes that day so"


@pytest.fixture
def lesson() -> dict[str, Any]:
    return definitions(12)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_masked_softmax_on_random_masks(lesson: dict[str, Any], length: int) -> None:
    rng = np.random.default_rng(length)
    for _ in range(20):
        scores, mask = rng.standard_normal((3, 2, length)) * 100, rng.random((3, length)) < 0.6
        weights = lesson["masked_softmax"](scores, mask)
        assert np.allclose(weights.sum(axis=2), mask.any(axis=1)[:, None])
        assert not weights[~np.repeat(mask[:, None], 2, axis=1)].any()
        any_real = mask.any(axis=1)
        theirs = torch.tensor(np.where(mask[:, None], scores, -np.inf)[any_real]).softmax(dim=2)
        assert np.allclose(weights[any_real], theirs.numpy())


@pytest.mark.parametrize(
    "written, answered, message",
    [
        ("", "1994-09-27", "'' is no date: it is empty"),
        ("5 May €2000", "2000-05-05", r"no date: none has \['€'\]"),
        ("30 February 1994", "1994-02-30", "looks like 1994-02-30, a day that no calendar has"),
        ("tomorrow", "1994-09", "looks like 1994-09, a day that no calendar has"),
        ("27 the September 1994", "1994-09-27", NOT_WRITTEN_SO),
        ("28 September 1994", "1994-09-27", NOT_WRITTEN_SO),
    ],
)
def test_a_date_that_no_format_knows_is_refused(
    lesson: dict[str, Any], written: str, answered: str, message: str
) -> None:
    """The reader's answer is given here, the checks behind it are the lesson's."""
    lesson |= {"data": dates.data(), "look": lambda model, text: (answered, None)}
    with pytest.raises(ValueError, match=message):
        lesson["read_date"](None, written)


def test_a_date_in_a_known_format_is_read(lesson: dict[str, Any]) -> None:
    lesson |= {"data": dates.data(), "look": lambda model, text: ("1994-09-27", None)}
    assert lesson["read_date"](None, "1994년 9월 27일 화요일") == "1994-09-27"


@pytest.mark.parametrize("kind", [float, int, np.uint8])
def test_a_mask_of_numbers_is_refused(lesson: dict[str, Any], kind: Any) -> None:
    lesson["SCORES"] = {"dot": (lesson["dot_scores"], lesson["dot_backward"])}
    mask = np.array([[1, 1, 0]], kind)
    one, three = np.ones((1, 1, 2)), np.ones((1, 3, 2))
    with pytest.raises(ValueError, match=r"mask holds .* numbers; expected True"):
        lesson["masked_softmax"](np.zeros((1, 1, 3)), mask)
    with pytest.raises(ValueError, match=r"mask holds .* numbers; expected True"):
        lesson["attention"](one, three, three, mask)
    module = lesson["Attention"]("dot", 2)
    with pytest.raises(ValueError, match=r"mask holds .* numbers; expected True"):
        module(torch.ones(1, 1, 2), torch.ones(1, 3, 2), torch.from_numpy(mask))


def test_the_module_gives_0_where_nothing_is_real(lesson: dict[str, Any]) -> None:
    lesson["SCORES"] = {"dot": None}
    query = torch.randn(1, 2, 4, requires_grad=True)
    context, weights = lesson["Attention"]("dot", 4)(query, query, torch.zeros(1, 2) > 0)
    context.sum().backward()
    assert not context.any()
    assert not weights.any()
    assert not query.grad.any()


def test_an_unknown_score_is_told(lesson: dict[str, Any]) -> None:
    lesson["SCORES"] = {"dot": None, "general": None}
    with pytest.raises(ValueError, match="score is one of dot, general, not 'Dot'"):
        lesson["Attention"]("Dot", 4)


@pytest.mark.parametrize(
    "ids, message", [([[0, 4, 5, 3]], "padding before a real token"), ([[0, 0]], "padding alone")]
)
def test_the_encoder_refuses_what_it_would_misread(
    lesson: dict[str, Any], ids: list[list[int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lesson["Encoder"](9, 3, 4).encode(torch.tensor(ids))


def test_a_lookup_with_large_scores(lesson: dict[str, Any]) -> None:
    key = np.array([[1.0, 0.0], [0.0, 1.0]])
    weights, answer = lesson["soft_lookup"](np.array([0.0, 1000.0]), key, np.array([1.0, 5.0]))
    assert weights.tolist() == [0, 1]
    assert answer == 5


def test_no_links_at_all_are_no_error(lesson: dict[str, Any]) -> None:
    assert lesson["alignment_error_rate"](set(), set()) == 0
    assert lesson["alignment_error_rate"](set(), {(0, 0)}) == 1


def test_without_the_only_weight_nothing_is_left(lesson: dict[str, Any]) -> None:
    weights = torch.tensor([[[1.0, 0.0], [0.25, 0.75]]])
    assert lesson["without"](weights, torch.tensor([[0, 0]])).tolist() == [[[0, 0], [0, 1]]]


def test_clues_and_truths_of_two_lengths_are_refused(lesson: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        lesson["best_guess"]("ab", [1])
