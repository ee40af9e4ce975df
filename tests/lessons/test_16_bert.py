"""Lesson 16's packing, hiding and gap loss, at their edges."""

from typing import Any

import numpy as np
import pytest
import torch

from from_notebook import definitions

LESSON = definitions(16)
LESSON.update(CLS=9, SEP=10)  # the page takes them from its vocabulary


@pytest.mark.parametrize("second", [[], (), np.array([], int), torch.tensor([]).long()])
def test_an_empty_second_sentence_is_one(second: Any) -> None:
    assert LESSON["pack"]([4, 5], second) == ([9, 4, 5, 10, 10], [0, 0, 0, 0, 1])


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_sentences_of_any_container_are_packed(make: Any) -> None:
    ids, segments = LESSON["pack"](make([4, 5]), make([6]))
    assert [int(i) for i in ids] == [9, 4, 5, 10, 6, 10]
    assert segments == [0, 0, 0, 0, 1, 1]


def test_without_a_second_sentence_there_is_one_end() -> None:
    assert LESSON["pack"]([4]) == ([9, 4, 10], [0, 0, 0])


@pytest.mark.parametrize("kind", [torch.float32, torch.int64])
def test_places_given_as_numbers_are_refused(kind: torch.dtype) -> None:
    h, E = torch.zeros(1, 2, 3), torch.zeros(5, 3)
    ids = torch.tensor([[1, 2]])
    with pytest.raises(ValueError, match=r"chosen holds .* numbers; expected True"):
        LESSON["gap_loss"](h, ids, torch.ones(1, 2, dtype=kind), E, torch.zeros(5))


def test_a_loss_over_nothing_is_refused() -> None:
    h, E = torch.zeros(1, 2, 3), torch.zeros(5, 3)
    with pytest.raises(ValueError, match="no place is chosen"):
        LESSON["gap_loss"](h, torch.tensor([[1, 2]]), torch.zeros(1, 2) > 0, E, torch.zeros(5))


def test_logits_that_are_far_apart_give_a_finite_loss() -> None:
    h, E = torch.full((1, 1, 1), 1000.0), torch.tensor([[0.0], [1.0]])
    chosen, ids = torch.ones(1, 1) > 0, torch.tensor([[0]])
    loss, d = LESSON["gap_loss"](h, ids, chosen, E, torch.zeros(2))
    assert loss == 1000
    assert all(part.isfinite().all() for part in d.values())


@pytest.mark.parametrize("ids", [[[-1]], [[12]], [[1.0]], [[True]]])
def test_ids_that_are_none_are_refused(ids: list[list[Any]]) -> None:
    with pytest.raises(ValueError, match="whole numbers from 0 to 11"):
        LESSON["hide_words"](np.array(ids), np.random.default_rng(0), 12)


def test_ids_of_one_byte_are_ids_and_no_mask() -> None:
    E, P, S = torch.randn(6, 3), torch.randn(4, 3), torch.randn(2, 3)
    ids, segments = torch.tensor([[1, 0, 3, 1]]), torch.tensor([[0, 0, 1, 1]])
    small = LESSON["embed"](ids.to(torch.uint8), segments.to(torch.uint8), E, P, S)
    assert torch.equal(small, LESSON["embed"](ids, segments, E, P, S))


def test_a_text_longer_than_the_places_is_refused() -> None:
    ids = torch.zeros(1, 5).long()
    with pytest.raises(ValueError, match="5 tokens, the table of places 4 rows"):
        LESSON["embed"](ids, ids, torch.randn(6, 3), torch.randn(4, 3), torch.randn(2, 3))
