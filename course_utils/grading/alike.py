"""Is an answer the right one, in whatever style it was written?

Numbers are compared after a cast to float64, whatever type and container they come in: NumPy or
PyTorch, float32 or float64, a tuple or a list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from ..proofs import numbers

EXACT = 1e-6  # relative to the largest number: what an answer in float64 may differ
SINGLE = 2e-5  # the same of an answer in float32, after some hundred operations


def is_numeric(value: Any) -> bool:
    """Whether a value is one number or an array of them (a list of lists counts as one)."""
    if isinstance(value, (str, bytes, Mapping, Set)) or value is None:
        return False
    try:
        return numbers(value).dtype.kind in "biufc"
    except (TypeError, ValueError):  # rows of different lengths, or something else altogether
        return False


def is_group(value: Any) -> bool:
    """Whether a value is a tuple or list of several results, such as (h, c)."""
    return isinstance(value, (tuple, list)) and any(getattr(part, "ndim", 0) for part in value)


def misfit(got: Any, right: Any, names: Sequence[str] = (), what: str = "the result") -> str:
    """What is wrong with the form of `got`, as a sentence; "" if it has the form of `right`.

    names: of the parts, where `right` has several.
    """
    if got is ...:
        return f"{what} is not filled in yet"
    if isinstance(right, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(right):
            keys = ", ".join(map(repr, right))
            yours = ", ".join(map(repr, got)) if isinstance(got, Mapping) else _kind(got)
            return f"{what} is a dictionary with the keys {keys}; yours: {yours}"
        named = [(f"{what}'s {key!r}", got[key], right[key]) for key in right]
        return next(filter(None, (misfit(a, b, (), name) for name, a, b in named)), "")
    if is_numeric(right) and not is_group(right):
        is_row = isinstance(right, (tuple, list)) and isinstance(got, (tuple, list))
        return "" if is_row and is_numeric(got) else _misfit_of_numbers(got, right, what)
    if isinstance(right, (tuple, list)):
        if not isinstance(got, (tuple, list)):
            parts = f" ({', '.join(names)})" if len(names) == len(right) else ""
            return f"{what} is a {type(right).__name__} of {len(right)}{parts}; yours: {_kind(got)}"
        if len(got) != len(right) and isinstance(right, tuple):
            parts = f" ({', '.join(names)})" if len(names) == len(right) else ""
            return f"{what} has {len(right)} parts{parts}; yours has {len(got)}"
        labels = names if len(names) == len(right) else [f"part {i + 1}" for i in range(len(right))]
        named = list(zip(labels, got, right))
        return next(filter(None, (misfit(a, b, (), name) for name, a, b in named)), "")
    if right is not None and not isinstance(got, type(right)):
        return f"{what} is a {type(right).__name__}; yours: {_kind(got)}"
    return ""


def _misfit_of_numbers(got: Any, right: Any, what: str) -> str:
    true = numbers(right)
    expected = f"an array of shape {true.shape}" if true.ndim else "one number"
    if not is_numeric(got):
        return f"{what} is {expected}; yours: {_kind(got)}"
    ours = numbers(got)
    if ours.shape != true.shape and not (true.ndim == 0 and ours.size == 1):
        return f"{what} is {expected}; yours has the shape {ours.shape}"
    if true.dtype.kind == "b" and ours.dtype.kind != "b":
        return f"{what} holds True and False; yours holds {ours.dtype} numbers"
    if ours.dtype.kind == "c" and true.dtype.kind != "c":
        return f"{what} holds real numbers; yours holds complex ones"
    return ""


def _kind(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def distance(got: Any, right: Any) -> float:
    """The largest difference of two results, relative to the largest number of each part.

    0 where equal; infinity where form, text or a number that is not finite differs.
    """
    if isinstance(right, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(right):
            return math.inf
        return max((distance(got[key], right[key]) for key in right), default=0.0)
    if is_numeric(right) and not is_group(right):
        return _distance_of_numbers(got, right)
    if isinstance(right, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(got) != len(right):
            return math.inf
        return max((distance(a, b) for a, b in zip(got, right)), default=0.0)
    return 0.0 if got is right or (type(got) is type(right) and got == right) else math.inf


def _distance_of_numbers(got: Any, right: Any) -> float:
    if not is_numeric(got):
        return math.inf
    a, b = (numbers(part) for part in (got, right))
    if b.ndim == 0 and a.size == 1:
        a = a.reshape(())
    if a.shape != b.shape or (b.dtype.kind == "b") != (a.dtype.kind == "b"):
        return math.inf
    a, b = (part.astype(np.complex128 if part.dtype.kind == "c" else np.float64) for part in (a, b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    if not (np.isfinite(a) | same).all() or not (np.isfinite(b) | same).all():
        return math.inf
    if numbers(right).dtype.kind in "biu":
        return math.inf  # whole numbers are equal or not
    gap = np.abs(np.where(same, 0, a) - np.where(same, 0, b))
    size = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return float(gap.max()) / (size or 1.0)
