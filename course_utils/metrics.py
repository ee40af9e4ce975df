"""Numbers that say how good a model is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .expect import expect_mask


def accuracy(predicted: ArrayLike, true: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Share of positions where the two agree, between 0 and 1.

    predicted, true: any equal shapes. mask: the same shape, True where a position counts (padding
    does not). Raises ValueError when shapes differ, for a mask of numbers, and when no position
    counts.
    """
    guess, truth = np.asarray(predicted), np.asarray(true)
    keep = np.ones(truth.shape, bool) if mask is None else np.asarray(mask)
    expect_mask("mask", keep)
    if not guess.shape == truth.shape == keep.shape:
        shapes = f"predicted {guess.shape}, true {truth.shape}, mask {keep.shape}"
        raise ValueError(f"shapes must be equal: {shapes}")
    if not keep.any():
        raise ValueError("no position counts: the mask is False everywhere")
    return float(np.mean(guess[keep] == truth[keep]))


def perplexity(nats_per_token: float) -> float:
    """exp of the mean cross-entropy in nats a token.

    Among how many equally likely tokens the model hesitates.
    """
    return float(np.exp(nats_per_token))


def purity(clusters: Sequence[Hashable], classes: Sequence[Hashable]) -> float:
    """Share of items that belong to the most frequent class of their cluster, between 0 and 1.

    clusters, classes: one of each an item; lists or arrays.
    Source: Manning, Raghavan & Schütze, Introduction to Information Retrieval (2008), 16.3.
    Raises ValueError when the two lengths differ or are 0.
    """
    if len(clusters) != len(classes) or len(classes) == 0:
        sizes = f"got {len(clusters)} and {len(classes)}"
        raise ValueError(f"one cluster and one class an item: {sizes}")
    counts: dict[Hashable, dict[Hashable, int]] = {}
    for cluster, true in zip(clusters, classes):
        row = counts.setdefault(cluster, {})
        row[true] = row.get(true, 0) + 1
    return sum(max(row.values()) for row in counts.values()) / len(classes)


def band(values: Sequence[float]) -> tuple[float, float, float]:
    """(lowest, median, highest) over runs with several seeds. Raises ValueError for no value."""
    if len(values) == 0:
        raise ValueError("a band needs at least one value")
    return float(min(values)), float(np.median(values)), float(max(values))
