"""Is a hand-written gradient right, and does a hand-written layer equal the framework's?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
FLOOR = 1e-9  # of the largest gradient or the loss: what is below is rounding


def numeric_gradient(
    f: Callable[[], float], x: Array, step: float = 1e-5, places: Array | None = None
) -> Array:
    """The gradient of f with respect to the array x, by central differences.

    For each number (f(x + step) - f(x - step)) / (2 step). f reads x, which is changed in place and
    restored. The error is of order step**2 from the series and of order 1e-16 / step from rounding,
    so about 1e-10 at 1e-5 (Nocedal & Wright, Numerical Optimization, ch. 8).

    places: flat positions to measure; the others are 0 in the result. Returns x's shape.
    Raises TypeError unless x is float64 (float32 leaves 2 correct digits at best).
    """
    if x.dtype != np.float64:
        cure = "use x.astype(np.float64)"
        raise TypeError(f"finite differences need float64, this array is {x.dtype}: {cure}")
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
    """||a - b|| / (||a|| + ||b||): 0 when equal, 1 when opposite or one of them is 0.

    0 when both are 0, nan where a number is nan.
    """
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
    """Compare each gradient with central differences of the loss; the relative error by name.

    loss: reads the arrays in `parameters` (float64, changed in place and restored).
    most: in a larger array so many places are measured, evenly spread. A gradient that is 0 on
    paper is rounding on both sides: where both are below FLOOR of the largest gradient and of the
    loss, the error is 0.

    Raises AssertionError that names the worst parameter, the place and both numbers; ValueError
    when a parameter has no gradient or the shapes differ.
    """
    measured: dict[str, tuple[Array, Array, Array]] = {}  # places, ours, numeric
    for name, x in parameters.items():
        if name not in gradients:
            raise ValueError(f"no gradient for {name!r}; there are gradients for {[*gradients]}")
        given = np.asarray(gradients[name])
        if given.shape != x.shape:
            raise ValueError(
                f"the gradient of {name!r} has shape {given.shape}, the parameter has {x.shape}"
            )
        places = np.unique(np.linspace(0, x.size - 1, min(most, x.size)).astype(int))
        numeric = numeric_gradient(loss, x, step, places).ravel()[places]
        measured[name] = places, given.ravel()[places], numeric
    largest = max((np.abs(numeric).max() for _, _, numeric in measured.values()), default=0.0)
    floor = FLOOR * max(largest, abs(loss()))
    errors, complaint, worst = {}, "", tolerance
    for name, (places, ours, numeric) in measured.items():
        is_rounding = max(np.abs(ours).max(), np.abs(numeric).max()) <= floor
        errors[name] = 0.0 if is_rounding else relative_error(ours, numeric)
        if not errors[name] <= worst:
            worst = errors[name] if np.isfinite(errors[name]) else np.inf
            at = int(np.argmax(np.abs(ours - numeric)))
            place = tuple(int(i) for i in np.unravel_index(places[at], parameters[name].shape))
            complaint = (
                f"the gradient of {name!r} is wrong by {errors[name]:.1e} (relative, allowed "
                f"{tolerance:.0e}); most at {place}: given {ours[at]:.6g}, by finite differences "
                f"{numeric[at]:.6g}"
            )
    if complaint:
        raise AssertionError(complaint)
    return errors


def numbers(value: Any) -> Array:
    """A tensor (any type, any device), or what holds some, as an array; bfloat16 as float32."""
    if isinstance(value, (tuple, list)):
        return np.asarray([numbers(part) for part in value])
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    return np.asarray(value)


def _is_group(value: Any) -> bool:
    """Whether a value is a tuple or list of arrays (such as output and state), not of numbers."""
    return isinstance(value, (tuple, list)) and any(
        part is None or isinstance(part, (tuple, list, Mapping)) or getattr(part, "ndim", 0)
        for part in value
    )


def compare(ours: Any, theirs: Any, *, tolerance: float, what: str = "values") -> float:
    """The largest difference between two results, relative to the largest number.

    ours, theirs: arrays or tensors of any type of number (True counts as 1), or tuples, lists and
    mappings of them. Equal infinities differ by 0; nan equals nothing.
    Raises AssertionError that names the one that differs, where and by how much, or says that
    shapes, lengths or names differ.
    """
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        if set(ours) != set(theirs):
            alone = sorted(set(ours) ^ set(theirs))
            raise AssertionError(f"{what}: names differ, only on one side: {alone}")
        pairs = [(f"{what} {name!r}", ours[name], theirs[name]) for name in ours]
        return max(compare(a, b, tolerance=tolerance, what=name) for name, a, b in pairs)
    if _is_group(ours) or _is_group(theirs):
        if len(ours) != len(theirs):
            raise AssertionError(f"{what}: ours has {len(ours)} parts, theirs {len(theirs)}")
        parts = [(f"{what}, part {i}", a, b) for i, (a, b) in enumerate(zip(ours, theirs))]
        return max(compare(a, b, tolerance=tolerance, what=name) for name, a, b in parts)
    if ours is None and theirs is None:
        return 0.0
    if ours is None or theirs is None:
        raise AssertionError(f"{what}: {'ours' if ours is None else 'theirs'} is None")
    a, b = numbers(ours), numbers(theirs)
    if a.shape != b.shape:
        raise AssertionError(f"{what}: shapes differ, ours {a.shape}, theirs {b.shape}")
    if not a.size:
        raise AssertionError(f"{what}: both are empty, so nothing is compared")
    a, b = (part.astype(np.float64) if part.dtype.kind in "biuf" else part for part in (a, b))
    with np.errstate(invalid="ignore"):  # inf - inf
        gap = np.where(a == b, 0.0, np.abs(a - b))
    finite = np.abs(b[np.isfinite(b)])
    error = float(gap.max()) / max(1.0, float(finite.max(initial=0)))
    if not error <= tolerance:
        place = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), a.shape))
        raise AssertionError(
            f"{what}: differ by {error:.1e} (allowed {tolerance:.0e}); most at {place}: "
            f"ours {a[place]:.6g}, theirs {b[place]:.6g}"
        )
    return error


def load_weights(layer: torch.nn.Module, weights: Mapping[str, Any]) -> torch.nn.Module:
    """Copy arrays into a framework layer's parameters by their names there; returns the layer.

    Every parameter must be given. Raises KeyError for a missing or unknown name, ValueError for a
    wrong shape.
    """
    import torch

    slots = dict(layer.named_parameters())
    if missing_or_unknown := set(slots) ^ set(weights):
        missing, unknown = missing_or_unknown & set(slots), missing_or_unknown & set(weights)
        raise KeyError(
            f"the layer has {[*slots]}; missing {sorted(missing)}, unknown {sorted(unknown)}"
        )
    with torch.no_grad():
        for name, value in weights.items():
            array, shape = numbers(value), tuple(slots[name].shape)
            if shape != array.shape:
                raise ValueError(
                    f"{name} has shape {shape}, the given array {array.shape}; "
                    "a transpose is often what is missing"
                )
            slots[name].copy_(torch.as_tensor(array))
    return layer
