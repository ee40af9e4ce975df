"""Checks, hints, solutions and typical wrong answers of lesson 01, Sequential data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils import datasets
from course_utils.datasets import SUNSPOT_SPLIT, sunspots
from course_utils.exercises import Exercise, Wrong

Array = NDArray[np.float64]
Pair = tuple[Array, Array]


def same(ours: Any, theirs: Any) -> bool:
    """Whether two arrays have one shape and (nearly) the same numbers."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6, atol=1e-8))


# 1.1 Which shape?

TASKS = {
    "the language of a text": "many-to-one",
    "a mark for every word": "aligned",
    "English into Korean": "sequence-to-sequence",
    "a melody from a composer's name": "one-to-many",
    "next year's sunspot number": "many-to-one",
    "57+5 to 62": "sequence-to-sequence",
}
REASONS = {
    "the language of a text": "a whole text is read and one answer leaves, at its end",
    "a mark for every word": "each word gets its own answer, so as many leave as enter, step by step",
    "English into Korean": "a sequence leaves, but with another length and order than the one that enters: all is read before the first word is written",
    "a melody from a composer's name": "one thing enters (a name, one vector) and a sequence of unknown length leaves",
    "next year's sunspot number": "15 numbers enter and one leaves",
    "57+5 to 62": "four characters enter and two leave; the first digit of the answer can depend on the last character of the question",
}


def check_shapes(answer: Any) -> str:
    names = sorted(set(TASKS.values()))
    if not isinstance(answer, (list, tuple)) or len(answer) != len(TASKS):
        raise Wrong(f"a list of {len(TASKS)} names is wanted, one for each task, in the order of the text")
    for number, (given, (task, right)) in enumerate(zip(answer, TASKS.items(), strict=True), start=1):
        if given not in names:
            raise Wrong(f"task {number} ({task}): {given!r} is none of the four names; they are {', '.join(names)}")
        if given != right:
            raise Wrong(f"task {number} ({task}) is not {given}. Look again at what enters and what leaves: {REASONS[task]}.")
    return "all six. The two questions that decide: an answer at each step or one for the whole, and is the length of what leaves known?"


# 1.2 A mean that knows its mask


def masked_mean(states: Array, mask: NDArray[np.bool_]) -> Array:
    real = mask[:, :, None]  # (N, T, 1)
    return np.where(real, states, 0).sum(axis=1) / real.sum(axis=1)  # (N, H) / (N, 1)


def mean_over_everything(states: Array, mask: NDArray[np.bool_]) -> Array:
    return states.mean(axis=1)


def mean_by_length_of_batch(states: Array, mask: NDArray[np.bool_]) -> Array:
    return (states * mask[:, :, None]).mean(axis=1)


def mean_by_all_masks(states: Array, mask: NDArray[np.bool_]) -> Array:
    return (states * mask[:, :, None]).sum(axis=1) / mask.sum()


def sum_only(states: Array, mask: NDArray[np.bool_]) -> Array:
    return (states * mask[:, :, None]).sum(axis=1)


def mean_over_batch(states: Array, mask: NDArray[np.bool_]) -> Array:
    return (states * mask[:, :, None]).sum(axis=0) / mask.sum(axis=0)[:, None]


def padding_in_sum(states: Array, mask: NDArray[np.bool_]) -> Array:
    return states.sum(axis=1) / mask.sum(axis=1)[:, None]


def check_masked_mean(answer: Any) -> str:
    rng = np.random.default_rng()
    for _ in range(5):
        n, steps, size = int(rng.integers(3, 6)), int(rng.integers(7, 10)), int(rng.integers(2, 5))
        lengths = np.append(rng.integers(1, steps, size=n - 1), steps)
        mask = np.arange(steps) < lengths[:, None]  # (N, T)
        states = np.where(mask[:, :, None], rng.normal(size=(n, steps, size)), 1e6)  # (N, T, H)
        right = masked_mean(states, mask)
        clean = states * mask[:, :, None]
        try:
            given = np.asarray(answer(states.copy(), mask.copy()))
        except ValueError as error:
            if "broadcast" not in str(error):
                raise
            raise Wrong(f"two shapes do not fit: {error}. The mask (N, T) needs a third axis, mask[:, :, None], to meet states (N, T, H); so does the number of steps to divide by, (N,), to meet (N, H).") from error
        if given.shape == (steps, size):
            raise Wrong(f"the shape is (T, H) = {given.shape}: you averaged over the sentences (axis 0). The mean over steps is along axis 1 and gives (N, H) = {right.shape}.")
        if given.shape != right.shape:
            raise Wrong(f"the shape is {given.shape}; (N, H) = {right.shape} is wanted. The mask (N, T) needs a third axis, mask[:, :, None], to meet states (N, T, H).")
        if same(given, right):
            continue
        if same(given, clean.sum(axis=1)):
            raise Wrong("this is the sum over the real steps. Divide each sentence by the number of its own real steps.")
        if same(given, clean.mean(axis=1)):
            raise Wrong("padding is out of the sum, but you divide by T, the width of the batch. Divide by the number of real steps of each sentence: mask.sum(axis=1).")
        if same(given, clean.sum(axis=1) / mask.sum()):
            raise Wrong("you divide by the real steps of the whole batch. Each sentence has its own number of real steps: mask.sum(axis=1), shape (N,).")
        if same(given, states.mean(axis=1)):
            raise Wrong("padding is averaged as if it were real: the mask is not used. Set what is on padding to 0 and divide by the number of real steps.")
        if same(given, states.sum(axis=1) / mask.sum(axis=1)[:, None]):
            raise Wrong("you divide by the right number, but what stands on padding is still in the sum. Multiply the states by the mask first.")
        raise Wrong("the numbers differ from the mean over each sentence's real steps. Try a batch of one sentence with two steps, one of them padding, by hand.")
    return "the same vector, whatever stands on padding and whoever shares the batch. Lesson 07 pools its states like this."


# 1.3 Windows with a horizon


def horizon_windows(series: Array, p: int, horizon: int) -> Pair:
    count = len(series) - p - horizon + 1
    x = np.array([series[start : start + p] for start in range(count)])
    return x, np.asarray(series[p + horizon - 1 :])


def horizon_one_too_far(series: Array, p: int, horizon: int) -> Pair:
    count = len(series) - p - horizon
    return np.array([series[start : start + p] for start in range(count)]), series[p + horizon :]


def horizon_ignored(series: Array, p: int, horizon: int) -> Pair:
    return np.array([series[start : start + p] for start in range(len(series) - p)]), series[p:]


def horizon_inside(series: Array, p: int, horizon: int) -> Pair:
    x, _ = horizon_windows(series, p, horizon)
    return x, x[:, -1].copy()


def horizon_newest_first(series: Array, p: int, horizon: int) -> Pair:
    x, y = horizon_windows(series, p, horizon)
    return x[:, ::-1], y


def horizon_last_lost(series: Array, p: int, horizon: int) -> Pair:
    x, y = horizon_windows(series, p, horizon)
    return x[:-1], y[:-1]


def check_horizon_windows(answer: Any) -> str:
    rng = np.random.default_rng()
    for p, horizon in ((3, 2), (5, 1), (1, 4), (4, 5)):
        series = rng.normal(size=int(rng.integers(p + horizon + 3, 40)))
        x, y = horizon_windows(series, p, horizon)
        given = answer(series.copy(), p, horizon)
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise Wrong("return two arrays, (x, y)")
        mine, target = (np.asarray(part, dtype=np.float64) for part in given)
        where = f"with T = {len(series)}, p = {p}, horizon = {horizon}"
        if len(mine) != len(target):
            raise Wrong(f"{where}, x has {len(mine)} rows and y {len(target)}: each window needs one target.")
        if horizon > 1 and len(target) == len(series) - p and same(target, series[p:]):
            raise Wrong(f"{where}, your targets come right after the window: the horizon has no effect. The target is `horizon` steps after the last value.")
        if len(target) and same(target, series[p + horizon :]):
            raise Wrong(f"{where}, your targets lie {horizon + 1} steps after the window's last value, one too far: the last value is series[start + p - 1].")
        if mine.shape == x.shape and same(target, x[:, -1]):
            raise Wrong(f"{where}, your target is the last number of its own window: the forecast would be a copy. That is leakage of the plainest kind.")
        if mine.shape == (len(x) - 1, p) and same(mine, x[:-1]):
            raise Wrong(f"{where}, there are {len(x)} windows and you have {len(mine)}: the last one is lost. T - p - horizon + 1 is the number.")
        if mine.shape == x.shape and p > 1 and same(mine, x[:, ::-1]):
            raise Wrong("your windows run backwards. In this course the oldest value comes first.")
        if mine.shape != x.shape:
            raise Wrong(f"{where}, x has shape {mine.shape}; {x.shape} is wanted.")
        if not (same(mine, x) and same(target, y)):
            raise Wrong(f"{where}, shapes are right and numbers are not. Row n is series[n : n + p], its target series[n + p - 1 + horizon].")
    return "every window has its target at the right distance, and none is lost. With horizon = 1 these are the windows of section 5."


# 1.4 Find the bug


def smooth_windows(series: Array, p: int) -> Pair:
    smooth = (series[2:] + series[1:-1] + series[:-2]) / 3  # of a year and the two before it; begins with the third year
    x, _, position = datasets.windows(smooth, p)
    return x, series[2:][position]


def smooth_still_centred(series: Array, p: int) -> Pair:
    x, _, position = datasets.windows(np.convolve(series, np.ones(3) / 3, mode="same"), p)
    return x[2:], series[position][2:]


def smooth_not_at_all(series: Array, p: int) -> Pair:
    x, y, _ = datasets.windows(series, p)
    return x[2:], y[2:]


def smooth_targets_too(series: Array, p: int) -> Pair:
    x, y, _ = datasets.windows((series[2:] + series[1:-1] + series[:-2]) / 3, p)
    return x, y


def smooth_misplaced(series: Array, p: int) -> Pair:
    x, _, position = datasets.windows((series[2:] + series[1:-1] + series[:-2]) / 3, p)
    return x, series[position]


def smooth_from_zeros(series: Array, p: int) -> Pair:
    x, _, position = datasets.windows(np.convolve(series, np.ones(3) / 3)[: len(series)], p)
    return x, series[position]


def check_smooth_windows(answer: Any) -> str:
    rng = np.random.default_rng()
    for p in (2, 5, 9):
        series = rng.normal(size=int(rng.integers(25, 40))) + np.arange(1, 2)
        x, y = smooth_windows(series, p)
        given = answer(series.copy(), p)
        if not isinstance(given, (tuple, list)) or len(given) < 2:
            raise Wrong("return two arrays, (x, y)")
        mine, target = np.asarray(given[0], dtype=np.float64), np.asarray(given[1], dtype=np.float64)
        if mine.shape == (len(x) + 2, p) and same(mine[2:], x):
            raise Wrong("the first two means are of fewer than three years: zeros were invented before the series began. Start with the third year, so that x has T - 2 - p rows.")
        if mine.shape != x.shape or target.shape != y.shape:
            raise Wrong(f"for T = {len(series)} and p = {p}, x has shape {mine.shape} and y {target.shape}; {x.shape} and {y.shape} are wanted: two years are spent on the first mean, p on the first window.")
        if same(mine, x) and same(target, y):
            continue
        if same(mine, x) and same(target, smooth_targets_too(series, p)[1]):
            raise Wrong("your targets are smoothed too: an easier task, and not the one that was asked. y holds values of the series itself.")
        if same(mine, x) and same(target, series[p : p + len(y)]):
            raise Wrong("windows and targets have slipped by two years: the first smoothed value belongs to the third year, so position k of `smooth` is position k + 2 of the series. Now the target is one of the three years in the window's last mean.")
        if same(mine, smooth_not_at_all(series, p)[0]):
            raise Wrong("the leak is gone, but so is the smoothing: each number of a window is to be the mean of three years.")
        changed = series.copy()
        changed[p + 5 :] += 10  # rows whose target lies at p + 5 or before may not see this
        moved = np.abs(np.asarray(answer(changed, p)[0], dtype=np.float64) - mine)[:4].max()
        if moved > 1e-9:
            raise Wrong("it still leaks: when values from the target's year on are changed, the windows before change with them. A mean over the year before, the year and the year after contains the target at the window's end.")
        raise Wrong("no leak is left, but the numbers are not the means of a year and the two years before it.")
    years, values = sunspots()
    x, y = smooth_windows(values, 15)
    known, late = years[17:] <= SUNSPOT_SPLIT["train"][1], years[17:] >= SUNSPOT_SPLIT["test"][0]
    error = float(np.sqrt(np.mean((linear(x[known], y[known], x[late]) - y[late]) ** 2)))
    return f"no window knows its target any more. On the sunspots the miracle is over: the test RMSE is {error:.1f}, and smoothing has not helped at all."


# 1.5 Walk forward


def linear(x: Array, y: Array, new: Array) -> Array:
    """Forecasts of a linear autoregression with bias, fitted by least squares."""
    w = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
    return np.asarray(np.column_stack([np.ones(len(new)), new]) @ w)


def walk_forward(series: Array, p: int, first: int) -> Array:
    x, y, position = datasets.windows(series, p)
    forecasts = []
    for t in range(first, len(series)):
        before = position < t
        X = np.column_stack([np.ones(before.sum()), x[before]])
        w = np.linalg.lstsq(X, y[before], rcond=None)[0]
        forecasts.append(w[0] + x[t - p] @ w[1:])  # x[t - p] is the window whose target is series[t]
    return np.array(forecasts)


def walk_never_refits(series: Array, p: int, first: int) -> Array:
    x, y, position = datasets.windows(series, p)
    return linear(x[position < first], y[position < first], x[position >= first])


def walk_includes_target(series: Array, p: int, first: int) -> Array:
    x, y, position = datasets.windows(series, p)
    return np.array([linear(x[position <= t], y[position <= t], x[[t - p]])[0] for t in range(first, len(series))])


def walk_knows_all(series: Array, p: int, first: int) -> Array:
    x, y, position = datasets.windows(series, p)
    return linear(x, y, x[position >= first])


def walk_without_bias(series: Array, p: int, first: int) -> Array:
    x, y, position = datasets.windows(series, p)
    rows = [np.linalg.lstsq(x[position < t], y[position < t], rcond=None)[0] @ x[t - p] for t in range(first, len(series))]
    return np.array(rows)


def walk_last_window(series: Array, p: int, first: int) -> Array:
    x, y, position = datasets.windows(series, p)
    return np.array([linear(x[position < t], y[position < t], x[[t - p - 1]])[0] for t in range(first, len(series))])


def check_walk_forward(answer: Any) -> str:
    rng = np.random.default_rng()
    slips = {
        walk_never_refits: "the weights are fitted once and never again. At each t, fit anew on all windows whose target lies before t.",
        walk_includes_target: "the fit for t has seen series[t] itself as a target: that is leakage. Only windows whose target lies *before* t may be used.",
        walk_knows_all: "you fit on the whole series, the years to forecast among them. At each t, only windows whose target lies before t are known.",
        walk_without_bias: "there is no bias: without a column of ones the forecast is forced through 0.",
        walk_last_window: "you forecast from a window that ends two steps before t. The newest value that is known is series[t - 1].",
    }
    for p in (2, 4):
        series = 20 + 3 * np.sin(np.arange(60) * rng.uniform(0.4, 0.8)) + rng.normal(size=60)
        first = int(rng.integers(30, 40))
        right, given = walk_forward(series, p, first), np.asarray(answer(series.copy(), p, first))
        if given.shape != right.shape:
            raise Wrong(f"for a series of {len(series)} and first = {first} you returned shape {given.shape}; {right.shape} is wanted, one forecast for each t from first to the end.")
        for slip, sentence in slips.items():
            if same(given, slip(series, p, first)):
                raise Wrong(sentence)
        if not same(given, right):
            raise Wrong("the forecasts differ from those of a fit with bias on all windows before t. Compare the first one by hand: fit on targets p to first - 1, forecast from series[first - p : first].")
    years, values = sunspots()
    first = int(SUNSPOT_SPLIT["test"][0] - years[0])
    once_train = years[15:] <= SUNSPOT_SPLIT["train"][1]
    x, y, position = datasets.windows(values, 15)
    once = linear(x[once_train], y[once_train], x[position >= first])
    errors = [float(np.sqrt(np.mean((f - values[first:]) ** 2))) for f in (once, walk_forward(values, 15, first))]
    return (
        f"fitted once: test RMSE {errors[0]:.1f}; fitted anew each year: {errors[1]:.1f}. Newer years help a little. "
        "What stays is noise that no sum of 15 lags explains."
    )


EXERCISES = {
    "1.1": Exercise(
        check_shapes,
        hint="Ask of each task: does an answer leave at each step, or once? If a sequence leaves, has it the length of what enters?",
        solution=list(TASKS.values()),
        wrong={
            "tagging as translation": ["many-to-one", "sequence-to-sequence", "sequence-to-sequence", "one-to-many", "many-to-one", "sequence-to-sequence"],
            "translation word by word": ["many-to-one", "aligned", "aligned", "one-to-many", "many-to-one", "sequence-to-sequence"],
            "addition with one answer": ["many-to-one", "aligned", "sequence-to-sequence", "one-to-many", "many-to-one", "many-to-one"],
            "a name that is none of the four": ["many to one", "aligned", "sequence-to-sequence", "one-to-many", "many-to-one", "sequence-to-sequence"],
            "too few": ["many-to-one", "aligned"],
        },
    ),
    "1.2": Exercise(
        check_masked_mean,
        hint="mask[:, :, None] has shape (N, T, 1) and meets states (N, T, H). Two things need the mask: the sum and the number to divide by.",
        solution=masked_mean,
        wrong={
            "ignores the mask": mean_over_everything,
            "divides by T": mean_by_length_of_batch,
            "divides by the whole batch's steps": mean_by_all_masks,
            "forgets to divide": sum_only,
            "averages over sentences": mean_over_batch,
            "leaves padding in the sum": padding_in_sum,
        },
    ),
    "1.3": Exercise(
        check_horizon_windows,
        hint="Write down T = 6, p = 2, horizon = 3 on paper: which windows have a target at all? The last value of window n is series[n + p - 1].",
        solution=horizon_windows,
        wrong={
            "one step too far": horizon_one_too_far,
            "ignores the horizon": horizon_ignored,
            "target inside its window": horizon_inside,
            "newest value first": horizon_newest_first,
            "loses the last window": horizon_last_lost,
        },
    ),
    "1.4": Exercise(
        check_smooth_windows,
        hint="mode='same' centres the mean: the smoothed value of 1990 contains 1991. A mean that looks back only is (series[2:] + series[1:-1] + series[:-2]) / 3; mind which year its first value belongs to.",
        solution=smooth_windows,
        wrong={
            "still centred": smooth_still_centred,
            "no smoothing": smooth_not_at_all,
            "smooths the targets": smooth_targets_too,
            "targets slip by two years": smooth_misplaced,
            "zeros before the beginning": smooth_from_zeros,
        },
    ),
    "1.5": Exercise(
        check_walk_forward,
        hint="datasets.windows gives x, y and the position of each target. For one t: rows with position < t are known; the row to forecast from is the one whose position is t.",
        solution=walk_forward,
        wrong={
            "fits once": walk_never_refits,
            "the target is in the fit": walk_includes_target,
            "fits on everything": walk_knows_all,
            "no bias": walk_without_bias,
            "old window": walk_last_window,
        },
    ),
}
