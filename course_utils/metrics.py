"""Numbers that say how good a model is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def accuracy(predicted: ArrayLike, true: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Share of places where the two agree, between 0 and 1.

    predicted, true: any equal shapes. mask: the same shape, True where a place counts (padding does not).
    Raises ValueError when shapes differ or no place counts.
    """
    guess, truth = np.asarray(predicted), np.asarray(true)
    keep = np.ones(truth.shape, bool) if mask is None else np.asarray(mask, bool)
    if not guess.shape == truth.shape == keep.shape:
        raise ValueError(f"shapes must be equal: predicted {guess.shape}, true {truth.shape}, mask {keep.shape}")
    if not keep.any():
        raise ValueError("no place counts: the mask is False everywhere")
    return float(np.mean(guess[keep] == truth[keep]))


def perplexity(nats_per_token: float) -> float:
    """exp of the mean cross-entropy in nats a token: among how many equally likely tokens the model hesitates."""
    return float(np.exp(nats_per_token))


def purity(clusters: Sequence[Hashable], classes: Sequence[Hashable]) -> float:
    """Share of items that belong to the most frequent class of their cluster, between 0 and 1.

    Source: Manning, Raghavan & Schütze, Introduction to Information Retrieval (2008), section 16.3.
    Raises ValueError when the two lengths differ or are 0.
    """
    if len(clusters) != len(classes) or not classes:
        raise ValueError(f"one cluster and one class an item: got {len(clusters)} and {len(classes)}")
    counts: dict[Hashable, dict[Hashable, int]] = {}
    for cluster, true in zip(clusters, classes):
        row = counts.setdefault(cluster, {})
        row[true] = row.get(true, 0) + 1
    return sum(max(row.values()) for row in counts.values()) / len(classes)


def band(values: Sequence[float]) -> tuple[float, float, float]:
    """(lowest, median, highest) over runs with several seeds. Raises ValueError for no value."""
    if not len(values):
        raise ValueError("a band needs at least one value")
    return float(min(values)), float(np.median(values)), float(max(values))


def confusion_matrix(predicted: ArrayLike, true: ArrayLike, classes: int) -> NDArray[Any]:
    """Counts (classes, classes): row = true class, column = predicted class. Raises ValueError for an id outside."""
    guess, truth = np.asarray(predicted).ravel(), np.asarray(true).ravel()
    if guess.shape != truth.shape:
        raise ValueError(f"as many predictions as truths: got {guess.size} and {truth.size}")
    for name, ids in (("predicted", guess), ("true", truth)):
        if ids.size and (ids.min() < 0 or ids.max() >= classes):
            raise ValueError(f"{name} has the id {ids.min() if ids.min() < 0 else ids.max()}, outside 0..{classes - 1}")
    return np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)
