"""Is a hand-written gradient right, and does a hand-written layer equal the framework's?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]


def numeric_gradient(f: Callable[[], float], x: Array, step: float = 1e-5, places: Array | None = None) -> Array:
    """The gradient of f by the array x, by central differences: (f(x + step) - f(x - step)) / (2 step) for each number.

    f reads x, which is changed in place and restored. The error is of order step**2 from the series and of
    order 1e-16 / step from rounding, so about 1e-10 at 1e-5 (Nocedal & Wright, Numerical Optimization, ch. 8).
    places: flat positions to measure; the others are 0 in the result. Returns x's shape.
    Raises TypeError unless x is float64 (float32 leaves 2 correct digits at best).
    """
    if x.dtype != np.float64:
        raise TypeError(f"finite differences need float64, this array is {x.dtype}: use x.astype(np.float64)")
    result = np.zeros_like(x)
    for flat in range(x.size) if places is None else places:
        place = np.unravel_index(int(flat), x.shape)
        before = x[place]
        x[place] = before + step
        above = f()
        x[place] = before - step
        below = f()
        x[place] = before
        result[place] = (above - below) / (2 * step)
    return result


def relative_error(a: Array, b: Array) -> float:
    """||a - b|| / (||a|| + ||b||): 0 when equal, 1 when opposite or one of them is 0, 0 when both are, nan where a number is nan."""
    size = float(np.linalg.norm(a) + np.linalg.norm(b))
    return 0.0 if size == 0 else float(np.linalg.norm(np.asarray(a) - np.asarray(b))) / size


def check_gradients(
    loss: Callable[[], float],
    parameters: Mapping[str, Array],
    gradients: Mapping[str, Array],
    *,
    tolerance: float = 1e-7,
    most: int = 200,
    step: float = 1e-5,
) -> dict[str, float]:
    """Compare each gradient with central differences of the loss; returns the relative error by name.

    loss: reads the arrays in `parameters` (float64, changed in place and restored).
    most: in a larger array so many places are measured, evenly spread.
    Raises AssertionError that names the worst parameter, the place and both numbers; ValueError when a
    parameter has no gradient or the shapes differ.
    """
    errors, complaint, worst = {}, "", tolerance
    for name, x in parameters.items():
        if name not in gradients:
            raise ValueError(f"no gradient for {name!r}; there are gradients for {sorted(gradients)}")
        given = np.asarray(gradients[name])
        if given.shape != x.shape:
            raise ValueError(f"the gradient of {name!r} has shape {given.shape}, the parameter has {x.shape}")
        places = np.unique(np.linspace(0, x.size - 1, min(most, x.size)).astype(int))
        numeric = numeric_gradient(loss, x, step, places).ravel()[places]
        ours = given.ravel()[places]
        errors[name] = relative_error(ours, numeric)
        if not errors[name] <= worst:
            worst = errors[name] if np.isfinite(errors[name]) else np.inf
            at = int(np.argmax(np.abs(ours - numeric)))
            place = tuple(int(i) for i in np.unravel_index(places[at], x.shape))
            complaint = (
                f"the gradient of {name!r} is wrong by {errors[name]:.1e} (relative, allowed {tolerance:.0e}); "
                f"most at {place}: given {ours[at]:.6g}, by finite differences {numeric[at]:.6g}"
            )
    if complaint:
        raise AssertionError(complaint)
    return errors


def _numbers(value: Any) -> Array:
    """A tensor or array-like as a NumPy array."""
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def compare(ours: Any, theirs: Any, *, tolerance: float, what: str = "values") -> float:
    """The largest difference between two arrays, tensors, or mappings of them, relative to the largest number.

    Raises AssertionError that names the one that differs, where and by how much, or says that shapes or names differ.
    """
    if isinstance(ours, Mapping):
        if set(ours) != set(theirs):
            raise AssertionError(f"{what}: names differ, only on one side: {sorted(set(ours) ^ set(theirs))}")
        return max(compare(ours[name], theirs[name], tolerance=tolerance, what=f"{what} {name!r}") for name in ours)
    a, b = _numbers(ours), _numbers(theirs)
    if a.shape != b.shape:
        raise AssertionError(f"{what}: shapes differ, ours {a.shape}, theirs {b.shape}")
    if not a.size:
        raise AssertionError(f"{what}: both are empty, so nothing is compared")
    gap = np.abs(a - b)
    error = float(gap.max()) / max(1.0, float(np.abs(b).max()))
    if not error <= tolerance:
        place = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), a.shape))
        raise AssertionError(
            f"{what}: differ by {error:.1e} (allowed {tolerance:.0e}); most at {place}: ours {a[place]:.6g}, theirs {b[place]:.6g}"
        )
    return error


def load_weights(layer: torch.nn.Module, weights: Mapping[str, Any]) -> torch.nn.Module:
    """Copy arrays into a framework layer's parameters by their names there, and return the layer.

    Every parameter must be given. Raises KeyError for a missing or unknown name, ValueError for a wrong shape.
    """
    import torch

    slots = dict(layer.named_parameters())
    if set(slots) != set(weights):
        raise KeyError(f"the layer has {sorted(slots)}; missing {sorted(set(slots) - set(weights))}, unknown {sorted(set(weights) - set(slots))}")
    with torch.no_grad():
        for name, value in weights.items():
            array = _numbers(value)
            if tuple(slots[name].shape) != array.shape:
                raise ValueError(f"{name} has shape {tuple(slots[name].shape)}, the given array {array.shape}; a transpose is often what is missing")
            slots[name].copy_(torch.as_tensor(array))
    return layer


def _misfit(shape: tuple[int, ...], axes: list[str], known: Mapping[str, int]) -> str:
    """What is wrong (nothing: "") when axes such as ["N", "T", "4H"] are read as this shape."""
    found = dict(known)
    for place, (size, axis) in enumerate(zip(shape, axes)):
        letter = axis.lstrip("0123456789")
        factor = int(axis.removesuffix(letter) or 1)
        wanted = factor * found.setdefault(letter, size // factor if letter else 1)
        if size != wanted:
            return f"axis {place} ({axis}) is {size}, not {wanted}"
    return "" if len(shape) == len(axes) else f"{len(shape)} axes, not {len(axes)}"


def expect_shape(name: str, array: Any, axes: str, **known: int) -> tuple[int, ...]:
    """The array's shape, when it is what `axes` says: N, T, D = expect_shape("x", x, "N T D", D=W_x.shape[0]).

    axes: a letter for each axis ("N T D"), a multiple ("D 4H") or a number ("1 N H"); a letter that stands twice
    has one size. known: sizes by letter; a letter without one may have any size of at least 1. A known letter that
    is not in `axes`, such as T beside "N H", is only used to tell what went wrong.
    array: anything with a shape (array or tensor).

    Raises ValueError that names the array, what was expected and what came, and says so when an axis is empty, when
    two axes look swapped, or when a size is another letter's: expect_shape("h_0", h_0, "N H", N=N, T=T, H=H).
    """
    letters = axes.split()
    shape = tuple(int(size) for size in getattr(array, "shape", ()))
    wrong = _misfit(shape, letters, known)
    if not wrong and min(shape, default=1):
        return shape
    named = ", ".join(f"{axis}={known[axis]}" if axis in known else axis for axis in letters)
    complaint = f"{name} has shape {shape}; expected ({named}{',' * (len(letters) == 1)})"
    if not wrong:
        raise ValueError(f"{complaint}, each at least 1: axis {shape.index(0)} ({letters[shape.index(0)]}) is empty")
    if len(shape) == len(letters):
        for i, j in itertools.combinations(range(len(shape)), 2):
            swapped = list(shape)
            swapped[i], swapped[j] = shape[j], shape[i]
            if not _misfit(tuple(swapped), letters, known):
                raise ValueError(f"{complaint}: axes {i} and {j} look swapped, {name}.swapaxes({i}, {j}) would fit")
        for size, axis in zip(shape, letters):
            for other in known:
                if other not in letters and known[other] == size != known.get(axis, size):
                    wrong += f"; {size} is {other} here" + (", is a batch (T, N, ..) given for (N, T, ..)?" if axis + other == "NT" else "")
    raise ValueError(f"{complaint}: {wrong}")


def refuses(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
    """Print the error with which the function meets bad input: refuses(rnn_forward, x, W_x, W_h, b, h_0=wrong).

    Raises AssertionError when the call is accepted; an error other than ValueError passes through, as it tells no reader
    what would be right.
    """
    try:
        function(*args, **kwargs)
    except ValueError as error:
        print(error)
    else:
        raise AssertionError(f"{getattr(function, '__name__', 'the function')} accepted what it should refuse")
