"""Seed and threads in one place, a progress bar that leaves no trace, and the training loop."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
_limits: list[Any] = []  # keeps threadpoolctl's limit on NumPy's threads alive


def threads() -> int:
    """How many threads to compute with: COURSE_THREADS, else 2, never more than the cores.

    Raises ValueError when COURSE_THREADS is not a whole number of at least 1.
    """
    wanted = os.environ.get("COURSE_THREADS", "")
    if not wanted:
        return min(2, os.cpu_count() or 1)
    if not wanted.isdigit() or int(wanted) < 1:
        raise ValueError(
            f"COURSE_THREADS is {wanted!r}; it must be a whole number of at least 1, such as 2"
        )
    return int(wanted)


def setup(seed: int = 0, *, framework: bool = True) -> np.random.Generator:
    """Fix every source of chance and the number of threads; the first line of every lesson.

    seed: for Python's `random`, for PyTorch and for the generator that is returned.
    framework: False in a lesson without PyTorch, which then is not imported (1 to 2 seconds).
    Returns the NumPy generator that the lesson draws from.
    """
    from threadpoolctl import threadpool_limits

    random.seed(seed)
    _limits[:] = [threadpool_limits(threads())]
    if framework:
        import torch

        torch.manual_seed(seed)
        torch.set_num_threads(threads())
    return np.random.default_rng(seed)


def watched() -> bool:
    """Whether a person looks on: a notebook that could be asked for input, or a terminal.

    A machine that runs a notebook does not allow input, so what is shown only to a person (progress
    bars, seconds) never enters the stored outputs.
    """
    if "ipykernel" in sys.modules:
        from IPython.core.getipython import get_ipython

        kernel = getattr(get_ipython(), "kernel", None)
        return bool(getattr(kernel, "_allow_stdin", False))
    return sys.stderr.isatty()


def progress_bar(
    items: Iterable[Item], description: str = "", total: int | None = None
) -> Iterator[Item]:
    """The same items, with a bar and the seconds while a person looks on (see `watched`)."""
    from tqdm.auto import tqdm

    yield from tqdm(items, description, total=total, disable=not watched(), leave=False)


@dataclass
class History:
    """What happened during training."""

    loss: list[float] = field(default_factory=list)  # one an epoch: mean over its batches
    metric: list[float] = field(default_factory=list)  # one an epoch, if asked for
    gradient_norm: list[float] = field(default_factory=list)  # one a step, before clipping
    seconds: float = 0.0

    def __repr__(self) -> str:  # what holds on every machine: a cell may end in a call of `train`
        return f"History({len(self.loss)} epochs, {len(self.gradient_norm)} steps)"


def adam(
    parameters: Iterable[torch.nn.Parameter], lr: float, fused: bool = False
) -> torch.optim.Adam:
    """`torch.optim.Adam`, without the marks for PyTorch's compiler on its methods.

    They import the compiler, which takes 2 seconds and 70 MB, and the course does not use it.
    fused: one operation a step for all weights; quicker for models of many small ones, the same up
    to rounding.
    """
    from .optim.adam import Adam

    return Adam(parameters, lr=lr, fused=fused or None)


def train(
    model: torch.nn.Module,
    batches: Callable[[], Iterable[Any]],
    loss: Callable[[Any, Any], torch.Tensor],
    *,
    epochs: int,
    lr: float = 1e-3,
    optimizer: torch.optim.Optimizer | None = None,
    clip: float | None = 1.0,
    evaluate: Callable[[Any], float] | None = None,
    description: str = "training",
) -> History:
    """Gradient descent: for each batch loss, backward, clip, step.

    batches: called once an epoch, gives the epoch's batches, of any kind that `loss` understands.
    loss: (model, batch) to a scalar tensor.
    optimizer: Adam with rate `lr` when None.
    clip: the largest norm of all gradients together; None leaves them as they are.
    evaluate: called after each epoch without gradients and in evaluation mode; its numbers are the
    metric.

    Raises FloatingPointError, with the step and the gradient norm, as soon as the loss or the norm
    is not a finite number (the weights are then those before the bad step), and ValueError for a
    clip of 0 or below and when an epoch has no batch.
    """
    import torch

    if clip is not None and not clip > 0:
        raise ValueError(
            f"clip is {clip}; expected a norm above 0, or None to leave gradients alone"
        )
    if optimizer is None:
        optimizer = adam(model.parameters(), lr)
    history, start = History(), time.perf_counter()
    for epoch in range(epochs):
        model.train()
        losses: list[float] = []
        total = len(history.gradient_norm) // epoch if epoch else None  # known after one epoch
        for batch in progress_bar(
            batches(), f"{description}, epoch {epoch + 1} of {epochs}", total
        ):
            optimizer.zero_grad()
            value = loss(model, batch)
            value.backward()  # type: ignore[no-untyped-call]
            norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip or float("inf")))
            if not (np.isfinite(float(value.detach())) and np.isfinite(norm)):
                step = len(history.gradient_norm)
                raise FloatingPointError(
                    f"training stopped at step {step} (epoch {epoch}): loss"
                    f" {float(value.detach())}, gradient norm {norm}; try a smaller learning rate"
                    " or a smaller clip, and look for a log of 0 or a division by 0"
                )
            optimizer.step()
            history.gradient_norm.append(norm)
            losses.append(float(value.detach()))
        if not losses:
            raise ValueError(
                "an epoch had no batch: `batches` must return a fresh iterable each time it is "
                "called"
            )
        history.loss.append(float(np.mean(losses)))
        if evaluate is not None:
            model.eval()
            with torch.no_grad():
                history.metric.append(float(evaluate(model)))
    history.seconds = time.perf_counter() - start
    return history
