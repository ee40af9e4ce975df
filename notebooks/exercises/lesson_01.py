"""Exercises of lesson 01: Sequential data."""

from __future__ import annotations

import numpy as np

from course_utils import datasets
from course_utils.grading import Raised, Wrong, ask, exercise

EXERCISES = {}


# 1.1 Which shape?

TASKS = {
    "the language of a text": (
        "many-to-one",
        "a whole text is read and one answer leaves, at its end",
    ),
    "a mark for every word": (
        "aligned",
        "each word gets its own answer, so as many leave as enter, step by step",
    ),
    "English into Korean": (
        "sequence-to-sequence",
        (
            "a sequence leaves, but its length and order differ from those of the one that enters:"
            " all is read before the first word is written"
        ),
    ),
    "a melody from a composer's name": (
        "one-to-many",
        "one thing enters (a name, one vector) and a sequence of unknown length leaves",
    ),
    "next year's sunspot number": ("many-to-one", "15 numbers enter and one leaves"),
    "57+5 to 62": (
        "sequence-to-sequence",
        (
            "four characters enter and two leave; the first digit of the answer can depend on the"
            " last character of the question"
        ),
    ),
}
SHAPES = [shape for shape, _ in TASKS.values()]


def wrong_shape(given, got, right):
    if len(got) != len(right):
        return "a list of 6 names is expected, one for each task, in the order of the text"
    number = next(n for n, (name, true) in enumerate(zip(got, right)) if name != true)
    task, name = [*TASKS][number], got[number]
    if name not in SHAPES:
        names = ", ".join(sorted(set(SHAPES)))
        return f"task {number + 1} ({task}): {name!r} is none of the four names; they are {names}"
    return (
        f"task {number + 1} ({task}) is not {name}. Look again at what enters and what leaves:"
        f" {TASKS[task][1]}"
    )


EXERCISES["1.1"] = exercise(
    SHAPES,
    None,
    others={
        "tagging as translation": [SHAPES[0], "sequence-to-sequence", *SHAPES[2:]],
        "translation word by word": [*SHAPES[:2], "aligned", *SHAPES[3:]],
        "addition with one answer": [*SHAPES[:5], "many-to-one"],
        "a name that is none of the four": ["many to one", *SHAPES[1:]],
        "too few": SHAPES[:2],
    },
    names=[f"task {number}" for number in range(1, 7)],
    otherwise=wrong_shape,
    hint=(
        "Ask of each task: does an answer leave at each step, or once? If a sequence leaves, is it"
        " as long as the one that enters?"
    ),
    praise=(
        "all six. Two questions decide: is there an answer at each step or one for the whole, and"
        " is the length of what leaves known?"
    ),
)


# 1.2 A mean that knows its mask


def masked_mean(states, mask):
    real = mask[:, :, None]  # (N, T, 1)
    return np.where(real, states, 0).sum(axis=1) / real.sum(axis=1)  # (N, H) / (N, 1)


def masked_cases():
    rng = np.random.default_rng(2)
    for n, steps, size in ((3, 7, 2), (5, 9, 4), (4, 8, 3)):
        lengths = np.append(rng.integers(1, steps, size=n - 1), steps)
        mask = np.arange(steps) < lengths[:, None]  # (N, T)
        yield np.where(mask[:, :, None], rng.normal(size=(n, steps, size)), 1e6), mask


def fitted(answer, states, mask):
    try:
        return ask(answer, states, mask)
    except Raised as raised:
        if "broadcast" not in str(raised.__cause__):
            raise
        raise Wrong(
            f"two shapes do not fit: {str(raised.__cause__).strip()}. The mask (N, T) needs a third"
            " axis, mask[:, :, None], to meet states (N, T, H); the number of steps to divide by,"
            " (N,), needs a second one to meet (N, H)"
        ) from raised


EXERCISES["1.2"] = exercise(
    masked_mean,
    masked_cases,
    """
ignores the mask:
    `np.where(real, states, 0).sum(axis=1) / real.sum(axis=1)` -> `states.mean(axis=1)`
    padding is averaged as if it were real: the mask is not used. Set what is on padding to 0 and
    divide by the number of real steps
divides by T: `0).sum(axis=1) / real.sum(axis=1)` -> `0).mean(axis=1)`
    padding is out of the sum, but you divide by T, the width of the batch. Divide by the number of
    real steps of each sentence: mask.sum(axis=1)
divides by the whole batch's steps: `/ real.sum(axis=1)` -> `/ real.sum()`
    you divide by the real steps of the whole batch. Each sentence has its own number of real steps:
    mask.sum(axis=1), shape (N,)
forgets to divide: ` / real.sum(axis=1)` -> ``
    this is the sum over the real steps. Divide each sentence by the number of its own real steps
averages over sentences: `0).sum(axis=1) / real.sum(axis=1)` -> `0).sum(axis=0) / real.sum(axis=0)`
    the shape is (T, H): you averaged over the sentences (axis 0). The mean over steps is along axis
    1 and gives (N, H)
leaves padding in the sum: `np.where(real, states, 0)` -> `states`
    you divide by the right number, but what stands on padding is still in the sum. Multiply the
    states by the mask first
""",
    others={
        "no third axis": lambda states, mask: (states * mask).sum(axis=1) / mask.sum(axis=1),
        "no second axis": lambda states, mask: (states * mask[:, :, None]).sum(1) / mask.sum(1),
    },
    use=fitted,
    otherwise="Try a batch of one sentence with two steps, one of them padding, by hand",
    hint=(
        "mask[:, :, None] has shape (N, T, 1) and meets states (N, T, H). Two things need the mask:"
        " the sum and the number to divide by."
    ),
    praise=(
        "the same vector, whatever stands on padding and whoever shares the batch. Lesson 07 pools"
        " its states like this."
    ),
)


# 1.3 Windows with a horizon


def horizon_windows(series, p, horizon):
    count = len(series) - p - horizon + 1
    x = np.array([series[start : start + p] for start in range(count)])
    return x, series[p + horizon - 1 :]


def horizon_cases():
    rng = np.random.default_rng(3)
    for steps, p, horizon in ((17, 3, 2), (12, 5, 1), (23, 1, 4), (19, 4, 5)):
        yield rng.normal(size=steps), p, horizon


EXERCISES["1.3"] = exercise(
    horizon_windows,
    horizon_cases,
    """
one step too far: `horizon + 1` -> `horizon` `p + horizon - 1 :` -> `p + horizon :`
    your targets lie one step too far: the target is `horizon` steps after the window's last value,
    series[start + p - 1]
ignores the horizon: `- p - horizon + 1` -> `- p` `p + horizon - 1 :` -> `p :`
    your targets come right after the window: the horizon has no effect. The target is `horizon`
    steps after the last value
target inside its window: `series[p + horizon - 1 :]` -> `x[:, -1]`
    your target is the last number of its own window: the forecast would be a copy. That is leakage
    of the plainest kind
windows without a target: `- p - horizon + 1` -> `- p + 1`
    x has more rows than y: each window needs one target, so the last windows have to go
newest value first: `return x,` -> `return x[:, ::-1],`
    your windows run backwards. In this course the oldest value comes first
loses the last window: `horizon + 1` -> `horizon` `p + horizon - 1 :` -> `p + horizon - 1 : -1`
    the last window is lost: there are T - p - horizon + 1 windows
""",
    names=("x", "y"),
    otherwise="Row n is series[n : n + p], its target series[n + p - 1 + horizon]",
    hint=(
        "Write down T = 6, p = 2, horizon = 3 on paper: which windows have a target at all? The"
        " last value of window n is series[n + p - 1]."
    ),
    praise=(
        "every window has its target at the right distance, and none is lost. With horizon = 1"
        " these are the windows of section 5."
    ),
)


# 1.4 Find the bug


def smooth_windows_repaired(series, p):
    smooth = np.convolve(series, np.ones(3) / 3, mode="valid")  # begins with the third year
    x, _, position = datasets.windows(smooth, p)
    return x, series[2:][position]


def smooth_cases():
    rng = np.random.default_rng(4)
    return [(1 + rng.normal(size=steps), p) for steps, p in ((25, 2), (31, 5), (38, 9))]


def first_two(answer, series, p):
    got = ask(answer, series, p)
    return got[:2] if isinstance(got, (tuple, list)) else got  # the positions may come with them


EXERCISES["1.4"] = exercise(
    smooth_windows_repaired,
    smooth_cases,
    """
unchanged: `"valid"` -> `"same"` `series[2:][position]` -> `series[position]`
    this is the leaking version still: each mean is over the year before, the year and the year
    after, so the window's last one contains the target
still centred: `"valid"` -> `"same"`
    `return x, series[2:][position]` -> `return x[2:], series[position][2:]`
    it still leaks: a mean over the year before, the year and the year after contains the target at
    the window's end
centred by position: `series[2:][position]` -> `series[1:-1][position]`
    the means are right, but you take each for its middle year, so the window's last one contains
    the target: it still leaks
no smoothing:
    `x, _, position = datasets.windows(smooth, p)` -> `x, y, _ = datasets.windows(series, p)`
    `return x, series[2:][position]` -> `return x[2:], y[2:]`
    the leak is gone, but so is the smoothing: each number of a window is to be the mean of three
    years
smooths the targets: `x, _, position` -> `x, y, position` `series[2:][position]` -> `y`
    your targets are smoothed too: an easier task, and not the one that was asked. y holds values of
    the series itself
targets slip by two years: `series[2:][position]` -> `series[position]`
    windows and targets have slipped by two years: the first smoothed value belongs to the third
    year, so position k of `smooth` is position k + 2 of the series. Now the target is one of the
    three years in the window's last mean
zeros before the beginning: `, mode="valid")` -> `)[: len(series)]`
    `series[2:][position]` -> `series[position]`
    the first two means are of fewer than three years: zeros were invented before the series began.
    Start with the third year, so that x has T - 2 - p rows
""",
    names=("x", "y"),
    otherwise=(
        "Two years are spent on the first mean, p on the first window; each number of x is the mean"
        " of a year and the two years before it"
    ),
    use=first_two,
    hint=(
        "mode='same' centres the mean: the smoothed value of 1990 contains 1991. A mean that looks"
        " back only is (series[2:] + series[1:-1] + series[:-2]) / 3; mind which year its first"
        " value belongs to."
    ),
    praise=(
        "no window knows its target any more. On the sunspots the miracle is over: the test RMSE is"
        " 21.2, and smoothing has not helped at all."
    ),
)


# 1.5 Walk forward


def walk_forward(series, p, first):
    x, y, position = datasets.windows(series, p)
    forecasts = []
    for t in range(first, len(series)):
        before = position < t
        X = np.column_stack([np.ones(before.sum()), x[before]])
        w = np.linalg.lstsq(X, y[before], rcond=None)[0]
        window = x[t - p]  # its target is series[t]
        forecasts.append(w[0] + window @ w[1:])
    return np.array(forecasts)


def walk_cases():
    rng = np.random.default_rng(5)
    for steps, p, first in ((60, 2, 33), (57, 4, 38)):
        yield 20 + 3 * np.sin(0.6 * np.arange(steps)) + rng.normal(size=steps), p, first


EXERCISES["1.5"] = exercise(
    walk_forward,
    walk_cases,
    """
fits once: `position < t` -> `position < first`
    the weights are fitted once and never again. At each t, fit anew on all windows whose target
    lies before t
the target is in the fit: `position < t` -> `position <= t`
    the fit for t has seen series[t] itself as a target: that is leakage. Only windows whose target
    lies *before* t may be used
fits on everything: `position < t` -> `position > 0`
    you fit on the whole series, the years to forecast among them. At each t, only windows whose
    target lies before t are known
no bias: `np.column_stack([np.ones(before.sum()), x[before]])` -> `x[before]`
    `w[0] + window @ w[1:]` -> `window @ w`
    there is no bias: without a column of ones the forecast is forced through 0
old window: `x[t - p]` -> `x[t - p - 1]`
    you forecast from a window that ends two steps before t. The newest value that is known is
    series[t - 1]
""",
    otherwise=(
        "Compare the first one by hand: fit with bias on the targets p to first - 1, forecast from"
        " series[first - p : first]"
    ),
    hint=(
        "datasets.windows gives x, y and the position of each target. For one t: rows with position"
        " < t are known; the row to forecast from is the one whose position is t."
    ),
    praise=(
        "fitted once, the test RMSE on the sunspots is 20.4; fitted anew each year, 19.9. Newer"
        " years help a little. What stays is noise that no sum of 15 lags explains."
    ),
)
