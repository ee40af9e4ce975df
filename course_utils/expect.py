"""What meets bad input: each function lets the right thing through, or says what would be right."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Ids = TypeVar("Ids")


def _misfit(shape: tuple[int, ...], axes: list[str], known: Mapping[str, int]) -> str:
    """What is wrong (nothing: "") when axes such as ["N", "T", "4H"] are read as this shape."""
    sizes = dict(known)
    for place, (size, axis) in enumerate(zip(shape, axes)):
        letter = axis.lstrip("0123456789")
        factor = int(axis.removesuffix(letter) or 1)
        wanted = factor * sizes.setdefault(letter, size // factor if letter else 1)
        if size != wanted:
            return f"axis {place} ({axis}) is {size}, not {wanted}"
    return "" if len(shape) == len(axes) else f"{len(shape)} axes, not {len(axes)}"


def expect_shape(name: str, array: Any, axes: str, **known: int) -> tuple[int, ...]:
    """The array's shape, when it is what `axes` says.

    For example N, T, D = expect_shape("x", x, "N T D", D=W_x.shape[0]).

    axes: a letter for each axis ("N T D"), a multiple ("D 4H") or a number ("1 N H"); a letter that
    stands twice has one size. known: sizes by letter; a letter without one may have any size of at
    least 1. A known letter that is not in `axes`, such as T beside "N H", is only used to tell what
    went wrong. array: anything with a shape (array or tensor).

    Raises ValueError that names the array, what was expected and what came, and says so when an
    axis is empty, when two axes look swapped, or when a size is another letter's.
    """
    letters = axes.split()
    shape = tuple(int(size) for size in getattr(array, "shape", ()))
    wrong = _misfit(shape, letters, known)
    if not wrong and min(shape, default=1):
        return shape
    named = ", ".join(f"{axis}={known[axis]}" if axis in known else axis for axis in letters)
    complaint = f"{name} has shape {shape}; expected ({named}{',' * (len(letters) == 1)})"
    if not wrong:
        empty = shape.index(0)
        raise ValueError(f"{complaint}, each at least 1: axis {empty} ({letters[empty]}) is empty")
    if len(shape) == len(letters):
        for i, j in itertools.combinations(range(len(shape)), 2):
            swapped = list(shape)
            swapped[i], swapped[j] = shape[j], shape[i]
            if not _misfit(tuple(swapped), letters, known):
                cure = f"{name}.swapaxes({i}, {j}) would fit"
                raise ValueError(f"{complaint}: axes {i} and {j} look swapped, {cure}")
        for size, axis in zip(shape, letters):
            for other in known:
                if other not in letters and known[other] == size != known.get(axis, size):
                    wrong += f"; {size} is {other} here"
                    if axis + other == "NT":
                        wrong += ", is a batch (T, N, ..) given for (N, T, ..)?"
    raise ValueError(f"{complaint}: {wrong}")


def _array(values: Any) -> NDArray[Any]:
    """A tensor (on any device) or array-like as a NumPy array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def expect_ids(name: str, ids: Ids, V: int) -> Ids:
    """The ids (array or tensor) as int64, when all of them are of a vocabulary of V.

    Raises ValueError, saying where and what was expected, for numbers that are no whole numbers
    and for an id outside 0 to V - 1.
    """
    numbers = _array(ids)
    expected = f"whole numbers from 0 to {V - 1}"
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {numbers.dtype} numbers; expected ids, {expected}")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < V):
        place = tuple(int(i) for i in np.argwhere((numbers < 0) | (numbers >= V))[0])
        raise ValueError(
            f"{name} has the id {numbers[place]} at {place}; expected ids of this vocabulary, "
            f"{expected}"
        )
    if hasattr(ids, "long"):
        result: Ids = ids.long()
        return result
    return numbers.astype(np.int64)  # type: ignore[return-value]


def expect_mask(name: str, mask: Any) -> None:
    """Raise ValueError unless the mask (array or tensor, any shape) holds True and False.

    Numbers are refused, 0 and 1 too: added to scores, or inverted bit by bit, they would change
    results without a word.
    """
    kind = str(getattr(mask, "dtype", type(mask).__name__)).removeprefix("torch.")
    if kind != "bool":
        raise ValueError(
            f"{name} holds {kind} numbers; expected True (real) and False (padding): {name} == 1"
        )


def expect_padding(name: str, mask: Any, **known: int) -> None:
    """Raise ValueError unless the mask (N, T) is True at the real steps and False after them.

    known: sizes by letter, as for `expect_shape`. Refused, naming the row: one of padding alone,
    and one with padding before a real step (recurrent layers would read it).
    """
    expect_shape(name, mask, "N T", **known)
    expect_mask(name, mask)
    real = _array(mask)
    if not real.any(1).all():
        row = int(np.argmin(real.any(1)))
        raise ValueError(f"{name} row {row} is padding alone; expected at least one real token")
    if (real[:, 1:] & ~real[:, :-1]).any():
        row = int((real[:, 1:] & ~real[:, :-1]).any(1).argmax())
        raise ValueError(
            f"{name} row {row} has padding before a real token; expected padding at the end alone"
        )


def expect_series(name: str, series: Any) -> NDArray[np.float64]:
    """A measured series (T,) as float64, when it is one row of finite real numbers.

    Raises ValueError that names the first gap (nan, infinity, or a masked value), for complex
    numbers, and for another shape than one row.
    """
    if np.iscomplexobj(series):
        raise ValueError(f"{name} holds complex numbers; expected real ones")
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name} has shape {values.shape}; expected one row of numbers, (T,)")
    masked: Any = np.ma
    gaps = ~np.isfinite(values) | masked.getmaskarray(series)
    if gaps.any():
        place = int(gaps.argmax())
        what = "masked" if np.isfinite(values[place]) else values[place]
        raise ValueError(
            f"{name} has a gap at step {place} ({what}); expected a number at each step: fill the "
            "gaps, or cut the series there"
        )
    return values


def refuses(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
    """Print the error with which the function meets bad input.

    For example refuses(rnn_forward, x, W_x, W_h, b, h_0=wrong). Raises AssertionError when the call
    is accepted; an error other than ValueError passes through, as it tells no reader what would be
    right.
    """
    try:
        function(*args, **kwargs)
    except ValueError as error:
        print(error)
    else:
        name = getattr(function, "__name__", "the function")
        raise AssertionError(f"{name} accepted what it should refuse")
