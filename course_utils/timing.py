"""How long two pieces of work take, side by side in one process."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def in_turn(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    pairs: int = 7,
    seconds: float = 0.0,
    warm: int = 2,
    runs: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> NDArray[np.float64]:
    """Seconds of each run, one row a pair: (runs, 2).

    The two run one after the other, so that a slow moment meets both.

    runs: so many of each one after the other in a turn, as steps of training follow each other (the
    first run of a small layer after another's work finds nothing of its own in the processor's
    caches); the seconds are those of one. pairs: so many pairs at least, after `warm` that are not
    counted; seconds: and so long at least, all in all. Other work on the machine only ever adds
    time: where one number is wanted, take a column's `min`
    (https://docs.python.org/3/library/timeit.html#timeit.Timer.repeat says why), or the median of
    the rows' ratios. Raises ValueError for fewer than 1 pair, or run of each.
    """
    if min(pairs, runs) < 1:
        raise ValueError(
            f"at least 1 pair of at least 1 run is needed; pairs is {pairs}, runs is {runs}"
        )
    rows: list[tuple[float, float]] = []
    end = clock() + seconds
    while len(rows) < warm + pairs or clock() < end:
        start = clock()
        for _ in range(runs):
            first()
        middle = clock()
        for _ in range(runs):
            second()
        rows.append((middle - start, clock() - middle))
    return np.array(rows[warm:]) / runs


def speedup(
    slow: Callable[[], object],
    fast: Callable[[], object],
    *,
    pairs: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How many times faster `fast` is than `slow`.

    The quickest run of each, out of `pairs` in turn.
    """
    first, second = in_turn(slow, fast, pairs=pairs, clock=clock).min(axis=0)
    return float(first / second)
