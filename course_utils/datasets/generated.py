"""Generated data: sums of numbers (lesson 11) and the adding problem (lesson 05)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MOST_DIGITS = 9  # more would not fit the random numbers of every system


def addition(n: int, digits: int = 3, seed: int = 0, min_digits: int = 1) -> list[tuple[str, str]]:
    """n different sums of two whole numbers: [("57+5", "62"), ...], in random order.

    Each number has min_digits to `digits` digits and no leading zero. Every pair of lengths gets
    the same share of the n sums as far as it has enough: there are only 100 sums of two one-digit
    numbers. (Were all numbers up to 999 equally likely, 81 % of the sums would have two three-digit
    numbers.) "57+5" and "5+57" are two questions. addition(50_000) has questions of up to 7
    characters and answers of up to 4.

    Raises ValueError unless 1 <= min_digits <= digits <= MOST_DIGITS, and for more sums than exist.
    """
    if not 1 <= min_digits <= digits <= MOST_DIGITS:
        raise ValueError(
            f"digits={digits} and min_digits={min_digits}: expected 1 <= min_digits <= digits <= "
            f"{MOST_DIGITS}"
        )
    rng = np.random.default_rng(seed)
    lowest = {size: 10 ** (size - 1) if size > 1 else 0 for size in range(min_digits, digits + 1)}
    count = {size: 10**size - low for size, low in lowest.items()}
    total = sum(count.values()) ** 2
    if n > total:
        raise ValueError(
            f"{n:,} different sums wanted, but only {total:,} exist with {min_digits} to {digits} "
            "digits"
        )
    pairs = [(i, j) for i in count for j in count]
    pairs.sort(key=lambda pair: count[pair[0]] * count[pair[1]])
    sums: list[tuple[int, int]] = []
    for k, (i, j) in enumerate(pairs):
        share = min(count[i] * count[j], -(-(n - len(sums)) // (len(pairs) - k)))
        for choice in rng.choice(count[i] * count[j], size=share, replace=False):
            sums.append((lowest[i] + int(choice) // count[j], lowest[j] + int(choice) % count[j]))
    order = rng.permutation(n)
    return [(f"{a}+{b}", f"{a + b}") for a, b in (sums[k] for k in order)]


def adding_problem(n: int, length: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """n sequences with two marked numbers, and their sums: x (N, T, 2), y (N,), float64.

    x[:, :, 0] is uniform in [0, 1]; x[:, :, 1] is 1 at two steps and 0 elsewhere: one step of the
    first half (T // 2 steps) and one of the second; T = length. y is the sum of the two marked
    numbers, so a model has to carry the first one over T / 2 steps on average. The reference:
    always answering 1 has a mean squared error of 1/6 = 0.167, the variance of the sum of two
    uniform numbers.

    Source: Hochreiter & Schmidhuber 1997 (https://doi.org/10.1162/neco.1997.9.8.1735), in the
    simpler form of Le, Jaitly & Hinton 2015 (https://arxiv.org/abs/1504.00941) and Arjovsky, Shah &
    Bengio 2016 (https://arxiv.org/abs/1511.06464), which has one marker in each half.

    Raises ValueError for length < 2 or n < 0.
    """
    if length < 2 or n < 0:
        raise ValueError(f"n={n}, length={length}: at least 2 steps and n >= 0 are needed")
    x = np.zeros((n, length, 2))  # (N, T, 2)
    x[:, :, 0] = rng.uniform(size=(n, length))
    rows, half = np.arange(n), length // 2
    x[rows, rng.integers(0, half, size=n), 1] = 1
    x[rows, rng.integers(half, length, size=n), 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1)
