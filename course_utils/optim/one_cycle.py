"""Training by a rate that rises at the start and then falls to 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import text
from ..training import History, adam, train

if TYPE_CHECKING:
    import torch


def train_in_one_cycle(
    model: torch.nn.Module,
    columns: Sequence[Any],
    loss: Callable[[Any, Any], torch.Tensor],
    *,
    seed: int,
    size: int,
    epochs: int,
    rate: float,
    lengths: Sequence[int] | None = None,
    evaluate: Callable[[Any], float] | None = None,
    description: str = "training",
    fused: bool = False,
) -> History:
    """`train` by Adam whose rate rises to `rate` in a fifth of all updates, then falls to 0.

    columns, size, lengths: of `text.batches`, shuffled by `seed`. fused: of `adam`.
    Source of the schedule: Smith & Topin 2017 (https://arxiv.org/abs/1708.07120), in PyTorch's form
    (OneCycleLR), which with Adam also moves beta1 from 0.95 down to 0.85 and back.
    """
    import torch

    rng, updates = np.random.default_rng(seed), -(-len(columns[0]) // size) * epochs
    optimizer = adam(model.parameters(), rate, fused=fused)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=updates + 1, pct_start=0.2
    )

    def batches() -> Iterator[tuple[Any, ...]]:
        for batch in text.batches(*columns, size=size, rng=rng, lengths=lengths):
            yield batch
            schedule.step()  # after the optimizer's step with this batch

    return train(
        model,
        batches,
        loss,
        epochs=epochs,
        optimizer=optimizer,
        evaluate=evaluate,
        description=description,
    )
