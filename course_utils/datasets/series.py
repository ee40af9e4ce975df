"""Sunspot numbers, and how to cut a series into windows without looking ahead (lesson 01)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..expect import expect_series
from .files import data_text

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SUNSPOT_SPLIT = {"train": (1700, 1920), "validation": (1921, 1955), "test": (1956, 2008)}
"""The first and last year that is forecast in each part, for every lesson that forecasts sunspots
(lesson 01 says why)."""


def sunspots() -> tuple[Floats, Floats]:
    """Yearly mean sunspot numbers, 1700 to 2008: (years (309,), values (309,)), both float64.

    A sunspot number counts spots and groups of spots on the Sun's visible face (Wolf 1851): 10 x
    groups + spots, scaled for the observer. It has no unit, and a cycle of about 11 years. These
    are the figures of the original series (version 1.0), which was replaced in 2015 by one on
    another scale: do not join it to newer values.
    Source: National Geophysical Data Center (NOAA), public domain, as the statsmodels package
    carries them.
    """
    rows = [line.split(",") for line in data_text("sunspots.csv").splitlines()[1:]]
    years, values = ([float(row[column]) for row in rows] for column in (0, 1))
    return np.array(years), np.array(values)


def windows(series: npt.ArrayLike, length: int, horizon: int = 1) -> tuple[Floats, Floats, Ints]:
    """Every window of a series with the value to forecast from it.

    Returns x (n, length), y (n,) and position (n,). Row k of x is series[k : k + length], oldest
    value first; y[k] is series[position[k]], `horizon` steps after the window's last value. All
    windows are there, so n = len(series) - length - horizon + 1. x and y are copies, float64.
    Raises ValueError for a series that `expect.expect_series` refuses (a gap, complex numbers, more
    than one row), for length or horizon < 1, and for a series that is too short.
    """
    values = expect_series("the series", series)
    if length < 1 or horizon < 1:
        raise ValueError(f"length={length}, horizon={horizon}: both count steps, at least 1")
    if len(values) < length + horizon:
        raise ValueError(
            f"a series of {len(values)} steps has no window of {length} and a value {horizon} "
            "after it"
        )
    position = np.arange(length + horizon - 1, len(values), dtype=np.int64)
    all_windows = np.lib.stride_tricks.sliding_window_view(values, length)
    return all_windows[: len(position)].copy(), values[position], position


def sunspot_windows(length: int, horizon: int = 1) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Sunspot windows by time.

    "train", "validation", "test": each x (n, length), y (n,), years (n,).

    A window belongs to the part in whose years (SUNSPOT_SPLIT) the value to forecast lies. It may
    look back into an earlier part, as a forecaster of that year could; nothing of a later part is
    ever in an earlier one. So all lengths forecast the same 35 and 53 years of validation and test;
    training loses its first years, which have no full window.

    Raises ValueError as `windows` does, and when the training years have no full window.
    """
    years, values = sunspots()
    last = SUNSPOT_SPLIT["train"][1]
    if length + horizon > last - int(years[0]) + 1:
        raise ValueError(
            f"length={length}, horizon={horizon}: no year up to {last} has so many before it"
        )
    x, y, position = windows(values, length, horizon)
    parts = {}
    for part, (first, last) in SUNSPOT_SPLIT.items():
        inside = (years[position] >= first) & (years[position] <= last)
        parts[part] = x[inside], y[inside], years[position][inside]
    return parts
