"""What is alike in every shared task, so that its models are compared with equal care.

- The same training data, updates and sentences for all models of a task, in the same batches where
  the seed is the same: runs of one seed are pairs.
- One plan: Adam, warm-up, decay (`optim/warm_up.py`).
- The plan's highest rate is chosen for each model and setting among the same five values (RATES, or
  the task's own) by the score on the development part, with CHOICE_SEED; where the best stands at
  an edge, beyond it too. Then seeds 0, 1, 2 train with it, and the test is asked once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

RATES = (0.001, 0.002, 0.004, 0.008, 0.016)
CHOICE_SEED = 100
SEEDS = 3  # 0, 1, 2; a task's MORE_SEEDS names the models that get more

Part = Literal["development", "test"]
PARTS: tuple[Part, ...] = ("development", "test")


class Outcome(NamedTuple):
    """One training and what came of it on one part of the data."""

    score: float  # by which a rate is chosen: the higher the better
    values: dict[str, float]  # by name, as data/results.json keeps them
    model: nn.Module
    updates: int
    rows: int  # sentences, sequences or texts that were read, repeats counted


def expect_part(part: str) -> None:
    """Raise ValueError unless it is "development" or "test"."""
    if part not in PARTS:
        raise ValueError(f"part is 'development' or 'test', not {part!r}")


def new(make: Any, seed: int) -> Any:
    """make(), with weights that the seed decides."""
    torch.manual_seed(seed)
    return make()


def percent_equal(written: Sequence[Any], true: Sequence[Any]) -> float:
    """Share in percent of the answers that are right as a whole."""
    right = [bool(ours == theirs) for ours, theirs in zip(written, true, strict=True)]
    return 100 * sum(right) / len(right)
