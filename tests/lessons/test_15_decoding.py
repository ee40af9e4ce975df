"""Lesson 15's attention with a cache, its loss and its batches, at their edges."""

import numpy as np
import pytest
import torch
from torch import nn

from from_notebook import definitions

LESSON = definitions(15)


@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.uint8])
def test_a_mask_of_numbers_is_refused(kind: torch.dtype) -> None:
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.zeros(1, 2, 2, 2)
    with pytest.raises(ValueError, match=r"mask holds .* numbers; expected True"):
        LESSON["attend"](attention, x, x, x, torch.ones(1, 1, 1, 2, dtype=kind))


def test_a_query_that_may_look_nowhere_gets_zeros() -> None:
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.randn(1, 2, 2, 2)
    mixed, weights = LESSON["attend"](attention, x, x, x, torch.zeros(1, 1, 1, 2) > 0)
    assert not weights.any()
    assert torch.equal(mixed, attention.out_proj.bias.expand(1, 2, 4))


@pytest.mark.parametrize("t, warmup", [(0, 4), (1, 0), (np.array([0, 1]), 4)])
def test_updates_count_from_1(t: int, warmup: int) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        LESSON["paper_rate"](t, 16, warmup)


def test_a_sentence_longer_than_a_batch_stands_alone() -> None:
    groups = LESSON["token_batches"](np.array([3, 99, 3], np.uint8), 6, np.random.default_rng(0))
    assert sorted(sorted(group.tolist()) for group in groups) == [[0, 2], [1]]


def test_lengths_of_one_byte_do_not_overflow() -> None:
    lengths = np.full(4, 100, np.uint8)
    groups = LESSON["token_batches"](lengths, 200, np.random.default_rng(0))
    assert sorted(map(len, groups)) == [2, 2]
    assert LESSON["padding_share"](lengths, groups) == 0


def test_logits_that_are_far_apart_give_a_finite_loss() -> None:
    logits = torch.tensor([[0.0, 1000.0]], requires_grad=True)
    LESSON["smoothed_loss"](logits, torch.tensor([0]), 0.1).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
