"""Exercises of lesson 17: reading results honestly, and sharing a training among processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils.exercises import Exercise, Wrong

Array = NDArray[Any]
Runs = dict[str, list[float]]


def verdict(a: Sequence[float], b: Sequence[float]) -> str:
    if min(a) > max(b):
        return "first"
    return "second" if min(b) > max(a) else "overlap"


def gradient(w: Array, x: Array, y: Array) -> Array:
    return np.asarray(2 * x.T @ (x @ w - y) / len(x))


# ---------------------------------------------------------------- 17.1 read two rows


def comparison(a: Runs, b: Runs) -> dict[str, str]:
    return {column: verdict(a[column], b[column]) for column in a if column in b}


def check_comparison(answer: Callable[..., Any]) -> str:
    a = {"x": [3.0, 9.0, 8.0], "y": [1.0, 2.0, 3.0], "z": [5.0, 6.0, 7.0], "touch": [1.0, 2.0], "mine": [1.0]}
    b = {"yours": [2.0], "touch": [2.0, 3.0], "z": [4.0, 3.0, 2.0], "y": [4.0, 5.0, 6.0], "x": [4.0, 5.0, 6.0]}
    true = comparison(a, b)
    try:
        got = answer(dict(a), dict(b))
    except KeyError as column:
        raise Wrong(f"only one of the two has the column {column}; take the columns that both have") from None
    if not isinstance(got, dict):
        raise Wrong("return a dictionary from the column's name to one of the three words")
    if not set(got) <= set(true):
        raise Wrong(f"only one of the two has the columns {', '.join(sorted(set(got) - set(true)))}: a missing result is neither better nor worse")
    if set(got) != set(true):
        raise Wrong(f"both have the columns {', '.join(sorted(true))}; yours lack {', '.join(sorted(set(true) - set(got)))}")
    if got == {column: {"first": "second", "second": "first"}.get(word, word) for column, word in true.items()}:
        raise Wrong("the two are exchanged: higher is better")
    if got["x"] != "overlap":
        raise Wrong("3, 9, 8 against 4, 5, 6: the higher median is not enough, for with its first seed the first model loses to all")
    if got["touch"] != "overlap":
        raise Wrong("bands that touch in one point (2 and 2) are not apart: there two runs are equally good")
    if got != true:
        raise Wrong(f"expected {true}, got {got}")
    return "three words, not two: most of the honesty of a table is in the third."


# ---------------------------------------------------------------- 17.2 false alarms


def false_alarms(models: int, n: int) -> float:
    return math.comb(models, 2) * 2 / math.comb(2 * n, n)


ALARM_MISTAKES: dict[str, tuple[Callable[[int, int], float], str]] = {
    "one pair": (lambda models, n: 2 / math.comb(2 * n, n), "this is the chance for one pair; how many pairs do so many models make?"),
    "ordered": (lambda models, n: models * (models - 1) * 2 / math.comb(2 * n, n), "each pair is counted twice: A against B is B against A"),
    "one side": (
        lambda models, n: math.comb(models, 2) / math.comb(2 * n, n),
        "only half: a pair stands apart when the first is above, and also when the second is",
    ),
    "neighbours": (
        lambda models, n: (models - 1) * 2 / math.comb(2 * n, n),
        "these are the comparisons with one model alone; all pairs are asked for",
    ),
    "with itself": (
        lambda models, n: models * (models + 1) / math.comb(2 * n, n),
        "a model is not compared with itself: 2 models make 1 pair",
    ),
    "at least one": (
        lambda models, n: 1 - (1 - 2 / math.comb(2 * n, n)) ** math.comb(models, 2),
        "a chance that something happens is asked nowhere: how *many* pairs, on average? Averages add up",
    ),
}


def check_alarms(answer: Callable[..., Any]) -> str:
    cases = [(2, 3), (4, 3), (7, 3), (7, 5), (5, 1)]
    got = [float(answer(*case)) for case in cases]
    if np.allclose(got, [false_alarms(*case) for case in cases]):
        return "seven models with three seeds: about two false alarms in one column, and our table has eight columns."
    for mistake, sentence in ALARM_MISTAKES.values():
        if np.allclose(got, [mistake(*case) for case in cases]):
            raise Wrong(sentence)
    raise Wrong(f"for 2 models with 3 seeds it is one pair and 1/10, so 0.1; yours is {got[0]:.4g}, and for 4 models {got[1]:.4g} in place of 0.6")


# ---------------------------------------------------------------- 17.3 unequal parts


def average(sums: list[Array], tokens: list[int]) -> Array:
    return np.asarray(sum(sums) / sum(tokens))


def _average_of(kind: str) -> Callable[..., Any]:
    def answer(sums: list[Array], tokens: list[int]) -> Any:
        if kind == "means":
            return sum(s / t for s, t in zip(sums, tokens) if t) / len(sums)
        if kind == "sum":
            return sum(sums)
        if kind == "processes":
            return sum(sums) / len(sums)
        if kind == "weights":
            return sum(s * t for s, t in zip(sums, tokens)) / sum(tokens)
        return np.mean(np.array(sums) / np.array(tokens)[:, None], axis=0)  # "division by zero"

    return answer


AVERAGE_MISTAKES = {
    "means": "this is the mean of the processes' means: a token of a short part weighs more than one of a long part",
    "sum": "this is the gradient of the sum over all tokens; the mean is asked for",
    "processes": "divided by the number of processes, not of tokens: the result would grow with the length of the sentences",
    "weights": "these are gradients of sums already, so each token has its weight; weighting with the tokens counts them twice",
}


def check_average(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(3)
    for tokens in ([5, 5, 5], [1, 9, 4], [7, 0, 2, 6]):
        sums = [t * rng.standard_normal(4) for t in tokens]
        with np.errstate(divide="ignore", invalid="ignore"):
            got = np.asarray(answer([s.copy() for s in sums], list(tokens)), dtype=float)
        if got.shape != (4,):
            raise Wrong(f"return one array of the gradients' shape, (4,); yours has {got.shape}")
        if np.allclose(got, average(sums, tokens)):
            continue
        if np.isnan(got).any():
            raise Wrong("a process without a token makes 0 / 0, which is nan, and nan spreads to all")
        for kind, sentence in AVERAGE_MISTAKES.items():
            if np.allclose(got, _average_of(kind)(sums, tokens)):
                raise Wrong(sentence)
        raise Wrong(f"with {tokens} tokens it differs: the mean over all tokens is (sum of all gradients) / (number of all tokens)")
    return "two all-reduces, one of the gradients and one of the counts, and nobody has to have equally much."


# ---------------------------------------------------------------- 17.4 find the bug

Parts = list[tuple[Array, Array]]


def repaired_training(parts: Parts, updates: int = 200, rate: float = 0.05, seed: int = 0) -> list[Array]:
    D = parts[0][0].shape[1]
    weights = [np.random.default_rng([seed, 0]).standard_normal(D) for _ in parts]  # all begin with rank 0's weights
    for _ in range(updates):
        own = [gradient(w, x, y) for w, (x, y) in zip(weights, parts)]
        mean = np.mean(own, axis=0)  # the all-reduce
        weights = [w - rate * mean for w in weights]
    return weights


def _training(mistake: str) -> Callable[..., list[Array]]:
    def answer(parts: Parts, updates: int = 200, rate: float = 0.05, seed: int = 0) -> list[Array]:
        D = parts[0][0].shape[1]
        same = 0 if mistake in ("alone", "sum", "first part") else 1
        weights = [np.random.default_rng([seed, rank * same]).standard_normal(D) for rank in range(len(parts))]
        for _ in range(updates):
            own = [gradient(w, x, y) for w, (x, y) in zip(weights, parts)]
            if mistake == "alone":
                weights = [w - rate * g for w, g in zip(weights, own)]
                continue
            if mistake == "first part":
                own = own[:1]
            mean = np.sum(own, axis=0) if mistake == "sum" else np.mean(own, axis=0)
            weights = [w - rate * mean for w in weights]
        return [np.mean(weights, axis=0)] * len(parts) if mistake == "mean at the end" else weights

    return answer


TRAINING_MISTAKES = {
    "doubtful": "this is the doubtful version still: all processes subtract the same, so what is different between them at the start stays different for ever",
    "mean at the end": "averaging the weights at the end is a plaster: all along the gradients were taken at different places, and their mean is not the gradient at any of them",
    "alone": "now each process trains alone on its part: without the all-reduce they drift apart, each with a quarter of the data",
    "sum": "the sum of the gradients, not their mean: with K processes the steps are K times as long; that line was right before",
    "first part": "only rank 0's data are used; the others' work is thrown away",
}


def check_training(answer: Callable[..., Any]) -> str:
    for seed in (0, 1):
        rng = np.random.default_rng(10 + seed)
        truth = rng.standard_normal(4)
        inputs = rng.standard_normal((4, 8, 4))
        parts = [(x, x @ truth + 0.3 * rng.standard_normal(8)) for x in inputs]
        got = answer([(x.copy(), y.copy()) for x, y in parts], updates=25, rate=0.03, seed=seed)
        if not isinstance(got, (list, tuple)) or len(got) != 4 or any(np.shape(w) != (4,) for w in got):
            raise Wrong("return a list with the weights of each process: 4 arrays of shape (4,) here")
        for mistake, sentence in TRAINING_MISTAKES.items():
            if all(np.allclose(ours, theirs, atol=1e-9) for ours, theirs in zip(got, _training(mistake)(parts, 25, 0.03, seed))):
                raise Wrong(sentence)
        if any(not np.allclose(w, got[0], atol=1e-9) for w in got):
            raise Wrong("the processes end with different weights; what must be equal before the first step, so that equal steps keep it equal?")
        if not np.allclose(got[0], repaired_training(parts, 25, 0.03, seed)[0], atol=1e-9):
            raise Wrong("all have the same weights, but not those of one process that begins with rank 0's (as DistributedDataParallel does): change nothing but the line that is wrong")
    return "equal at the start, and equal steps: that is all of data-parallel training. DistributedDataParallel copies rank 0's weights for this reason."


# ---------------------------------------------------------------- 17.5 fewer rounds


def doubling_all_reduce(vectors: list[Array], send: Callable[[dict[tuple[int, int], Array]], dict[int, Array]]) -> list[Array]:
    held, reach = list(vectors), 1
    while reach < len(held):
        received = send({(k, k ^ reach): held[k] for k in range(len(held))})  # k ^ reach: the partner, one bit of k turned
        held = [held[k] + received[k] for k in range(len(held))]
        reach *= 2
    return held


def _ring(vectors: list[Array], send: Callable[..., dict[int, Array]]) -> list[Array]:
    K = len(vectors)
    total, moving = [v.copy() for v in vectors], [v.copy() for v in vectors]
    for _ in range(K - 1):
        received = send({(k, (k + 1) % K): moving[k] for k in range(K)})
        moving = [received[k] for k in range(K)]
        total = [t + m for t, m in zip(total, moving)]
    return total


def _to_one(vectors: list[Array], send: Callable[..., dict[int, Array]]) -> list[Array]:
    K = len(vectors)
    if K > 1:
        send({(k, 0): vectors[k] for k in range(1, K)})
    return [np.sum(vectors, axis=0)] * K


def _cheat(vectors: list[Array], send: Callable[..., dict[int, Array]]) -> list[Array]:
    return [np.sum(vectors, axis=0)] * len(vectors)


def _tree(vectors: list[Array], send: Callable[..., dict[int, Array]], back: bool = True) -> list[Array]:
    held, K, reach = list(vectors), len(vectors), 1
    while reach < K:
        received = send({(k, k - reach): held[k] for k in range(reach, K, 2 * reach)})
        held = [held[k] + received[k] if k in received else held[k] for k in range(K)]
        reach *= 2
    while back and reach > 1:
        reach //= 2
        received = send({(k, k + reach): held[k] for k in range(0, K, 2 * reach)})
        held = [received.get(k, held[k]) for k in range(K)]
    return held


def _same_partner(vectors: list[Array], send: Callable[..., dict[int, Array]]) -> list[Array]:
    held, K = list(vectors), len(vectors)
    for _ in range(K.bit_length() - 1):
        received = send({(k, k ^ 1): held[k] for k in range(K)})
        held = [held[k] + received[k] for k in range(K)]
    return held


def check_all_reduce(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(5)
    for K in (2, 4, 1, 8, 16):
        vectors, rounds = [rng.standard_normal(3) for _ in range(K)], 0
        reached = [{k} for k in range(K)]  # whose numbers each process can know

        def send(messages: dict[tuple[int, int], Array]) -> dict[int, Array]:
            nonlocal rounds, reached
            senders, receivers = [one for one, _ in messages], [other for _, other in messages]
            for what, ends in (("sends", senders), ("receives", receivers)):
                twice = [k for k in ends if ends.count(k) > 1]
                if twice:
                    raise Wrong(f"process {twice[0]} {what} {ends.count(twice[0])} arrays in one round; one is allowed")
            if any(not 0 <= k < K for k in senders + receivers):
                raise Wrong(f"there are the processes 0 to {K - 1}; somebody sends to {max(senders + receivers)}")
            rounds += 1
            before = [set(known) for known in reached]
            for one, other in messages:
                reached[other] |= before[one]
            return {other: np.array(array) for (_, other), array in messages.items()}

        got = answer([v.copy() for v in vectors], send)
        if not isinstance(got, (list, tuple)) or len(got) != K or any(np.shape(v) != (3,) for v in got):
            raise Wrong(f"return one array for each of the {K} processes, of the shape that they had")
        right = [bool(np.allclose(v, np.sum(vectors, axis=0))) for v in got]
        if all(right) and not all(len(known) == K for known in reached):
            raise Wrong(f"the sums are right, but with {K} processes not everybody was sent what it would need: use only what arrived through send")
        if right[0] and not all(right):
            raise Wrong(f"process 0 has the sum, but only {sum(right)} of {K} have it: *all* must have it in the end")
        if not all(right):
            raise Wrong(f"with {K} processes the sums are wrong: after r rounds each should hold the sum of 2**r of them, and nobody twice; is the partner another one in each round?")
        if rounds > K.bit_length() - 1:
            raise Wrong(f"right, but {rounds} rounds for {K} processes, where {K.bit_length() - 1} are enough")
    return "log2 K rounds, but whole vectors: for short ones the rounds count, for long ones the ring. Libraries choose by length."


EXERCISES = {
    "17.1": Exercise(
        check=check_comparison,
        hint="A dictionary comprehension over the columns of a, with a condition, and verdict for the values.",
        solution=comparison,
        wrong={
            "by medians": lambda a, b: {c: "first" if np.median(a[c]) > np.median(b[c]) else "second" for c in a if c in b},
            "exchanged": lambda a, b: {c: verdict(b[c], a[c]) for c in a if c in b},
            "touching": lambda a, b: {
                c: "first" if min(a[c]) >= max(b[c]) else "second" if min(b[c]) >= max(a[c]) else "overlap" for c in a if c in b
            },
            "missing counts": lambda a, b: {c: verdict(a[c], b[c]) if c in b else "first" for c in a},
            "all of the first": lambda a, b: {c: verdict(a[c], b[c]) for c in a},
            "one column": lambda a, b: {c: verdict(a[c], b[c]) for c in list(a)[:1]},
            "a list": lambda a, b: [verdict(a[c], b[c]) for c in a if c in b],
        },
    ),
    "17.2": Exercise(
        check=check_alarms,
        hint="How many pairs do so many models make (math.comb)? For each of them the chance stands in section 3.",
        solution=false_alarms,
        wrong={name: function for name, (function, _) in ALARM_MISTAKES.items()},
    ),
    "17.3": Exercise(
        check=check_average,
        hint="Write the mean over all tokens as (one sum) / (one number). Which of the two do the gradients of sums add up to?",
        solution=average,
        wrong={kind: _average_of(kind) for kind in (*AVERAGE_MISTAKES, "division by zero")},
    ),
    "17.4": Exercise(
        check=check_training,
        hint="Print the difference of two processes' weights at the start and at the end. Which line makes it, and what keeps it?",
        solution=repaired_training,
        wrong={mistake: _training(mistake) for mistake in TRAINING_MISTAKES},
    ),
    "17.5": Exercise(
        check=check_all_reduce,
        hint="Round 1: neighbours (0 and 1, 2 and 3) exchange and add. Now each pair knows its sum. Round 2: partners two apart. In Python k ^ 1, k ^ 2, k ^ 4 are the partners.",
        solution=doubling_all_reduce,
        wrong={
            "ring": _ring,
            "all to one": _to_one,
            "without sending": _cheat,
            "only process 0": lambda vectors, send: _tree(vectors, send, back=False),
            "there and back": _tree,
            "same partner": _same_partner,
        },
    ),
}
