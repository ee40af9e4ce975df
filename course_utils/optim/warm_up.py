"""The one plan by which every model of a shared task is trained: Adam, warm-up, decay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..training import History, adam, train

if TYPE_CHECKING:
    import torch

WARM_UP = 0.1  # share of the updates in which the rate rises
CLIP = 1.0  # the largest norm of all gradients together


def rate_at(update: int, updates: int, top: float, warm_up: float = WARM_UP) -> float:
    """The learning rate of update 0, 1, ..., updates - 1: up to `top` in a line, then down to 0."""
    rising = max(1, round(warm_up * updates))
    if update < rising:
        return top * (update + 1) / rising
    return top * (updates - update) / (updates - rising + 1)


def train_with_warm_up(
    model: torch.nn.Module,
    batches: Callable[[], Iterable[Any]],
    loss: Callable[[Any, Any], torch.Tensor],
    *,
    updates: int,
    rate: float,
    warm_up: float = WARM_UP,
    reports: int = 1,
    evaluate: Callable[[Any], float] | None = None,
    description: str = "training",
    fused: bool = False,
) -> History:
    """`train` by Adam for so many updates, at `rate_at(update, updates, rate, warm_up)`.

    Adam's betas are (0.9, 0.999) and its epsilon 1e-8 all the time, without weight decay; gradients
    are clipped at CLIP. batches: called anew whenever its batches are used up. reports: the parts
    of equal size after which loss and metric are noted. fused: of `adam`.
    Raises ValueError for fewer updates than reports, and where `batches` gives none.
    """
    if not 1 <= reports <= updates:
        raise ValueError(f"{updates} updates cannot be told in {reports} parts")
    optimizer = adam(model.parameters(), rate, fused=fused)

    def without_end() -> Iterator[Any]:
        done, given = 0, True
        while given:
            given = False
            for batch in batches():
                given = True
                for group in optimizer.param_groups:
                    group["lr"] = rate_at(done, updates, rate, warm_up)
                done += 1
                yield batch

    stream, ends = without_end(), [updates * part // reports for part in range(reports + 1)]
    sizes = iter([end - start for start, end in zip(ends, ends[1:])])
    return train(
        model,
        lambda: islice(stream, next(sizes)),
        loss,
        epochs=reports,
        optimizer=optimizer,
        clip=CLIP,
        evaluate=evaluate,
        description=description,
    )
