"""Exercises of lesson 17: reading results honestly, and sharing a training among processes."""

from __future__ import annotations

import math

import numpy as np

from course_utils.grading import Raised, Wrong, ask, exercise
from course_utils.grading.blocks import changed

EXERCISES = {}


def verdict(a, b):
    if min(a) > max(b):
        return "first"
    return "second" if min(b) > max(a) else "overlap"


def gradient(w, x, y):
    return 2 * x.T @ (x @ w - y) / len(x)


# 17.1 Read two rows


def comparison(a, b):
    return {name: verdict(a[name], b[name]) for name in a if name in b}


def two_rows():
    a = {"x": [3, 9, 8], "y": [1, 2, 3], "z": [5, 6, 7], "touch": [1, 2], "mine": [1]}
    b = {"yours": [2], "touch": [2, 3], "z": [4, 3, 2], "y": [4, 5, 6], "x": [4, 5, 6]}
    return [(a, b), (b, a)]


def verdicts(answer, a, b):
    try:
        return ask(answer, a, b)
    except Raised as error:
        if isinstance(error.__cause__, KeyError):
            raise Wrong(
                f"only one of the two has the column {error.__cause__}; take the columns that both"
                " have"
            ) from error
        raise


EXERCISES["17.1"] = exercise(
    comparison,
    two_rows,
    """
by medians: `(a[name], b[name])` -> `([np.median(a[name])], [np.median(b[name])])`
    3, 9, 8 against 4, 5, 6: the higher median is not enough, for with its first seed the first
    model loses to all
exchanged: `verdict(a[name], b[name])` -> `verdict(b[name], a[name])`
    the two are exchanged: higher is better
touching: `: verdict(` -> `: "second" if min(b[name]) >= max(a[name]) else verdict(`
    bands that touch in one point (2 and 2) are not apart: there two runs are equally good
missing counts: `for name in a if name in b` -> `if name in b else "first" for name in a`
    only one of the two has some of these columns: a missing result is neither better nor worse
one column: `in a if` -> `in list(a)[:1] if`
    take all the columns that both have, not the first one alone
a list: `{name: verdict` -> `[verdict` `in b}` -> `in b]`
    return a dictionary from the column's name to one of the three words
""",
    others={"all of the first": changed(comparison, (" if name in b", ""))},
    use=verdicts,
    hint=(
        "A dictionary comprehension over the columns of a, with a condition, and verdict for the"
        " values."
    ),
    praise="three words, not two: most of the honesty of a table is in the third.",
)


# 17.2 False alarms


def false_alarms(models, n):
    return math.comb(models, 2) * 2 / math.comb(2 * n, n)


EXERCISES["17.2"] = exercise(
    false_alarms,
    lambda: [(2, 3), (7, 3), (4, 3), (7, 5), (5, 1)],
    """
one pair: `math.comb(models, 2) * ` -> ``
    this is the chance for one pair; how many pairs do so many models make?
ordered: `math.comb(models, 2)` -> `models * (models - 1)`
    each pair is counted twice: A against B is B against A
one side: `* 2 /` -> `/`
    only half: a pair stands apart when the first is above, and also when the second is
neighbours: `math.comb(models, 2)` -> `(models - 1)`
    these are the comparisons with one model alone; all pairs are asked for
with itself: `math.comb(models, 2)` -> `math.comb(models + 1, 2)`
    a model is not compared with itself: 2 models make 1 pair
at least one: `math.comb(models, 2) * 2` -> `1 - (1 - 2`
    `math.comb(2 * n, n)` -> `math.comb(2 * n, n)) ** math.comb(models, 2)`
    the chance that something happens is not asked for: how *many* pairs, on average? Averages add
    up
""",
    otherwise="For 2 models with 3 seeds it is one pair and 1/10, for 4 models 0.6",
    hint=(
        "How many pairs do so many models make (math.comb)? For each of them the chance stands in"
        " section 3."
    ),
    praise=(
        "seven models with three seeds: about two false alarms in one column, and our table has"
        " eight columns."
    ),
)


# 17.3 Unequal parts


def average(sums, tokens):
    return sum(sums) / sum(tokens)


def unequal_parts():
    rng = np.random.default_rng(3)
    for tokens in ([7, 0, 2, 6], [1, 9, 4], [5, 5]):
        yield [t * rng.standard_normal(5) for t in tokens], tokens


def average_of_tokens(sums, tokens):
    """Each process's mean once for each of its tokens, and the mean of them all."""
    means = [s / max(t, 1) for s, t in zip(sums, tokens)]
    return np.repeat(means, tokens, axis=0).mean(axis=0)


EXERCISES["17.3"] = exercise(
    average,
    unequal_parts,
    """
means: `sum(sums) / sum(tokens)` -> `sum(s / max(t, 1) for s, t in zip(sums, tokens)) / len(sums)`
    this is the mean of the processes' means: a token of a short part weighs more than one of a long
    part
sum: ` / sum(tokens)` -> ``
    this is the gradient of the sum over all tokens; the mean is asked for
processes: `sum(tokens)` -> `len(sums)`
    divided by the number of processes, not of tokens: the result would grow with the length of the
    sentences
weights: `sum(sums)` -> `sum(s * t for s, t in zip(sums, tokens))`
    these are gradients of sums already, so each token has its weight; weighting with the tokens
    counts them twice
division by zero: `sum(sums)` -> `sum(s / t * t for s, t in zip(sums, tokens))`
    a process without a token makes 0 / 0, which is nan, and nan spreads to all
""",
    otherwise="The mean over all tokens is (sum of all gradients) / (number of all tokens)",
    truth=average_of_tokens,
    hint=(
        "Write the mean over all tokens as (one sum) / (one number). Which of the two do the"
        " gradients of sums add up to?"
    ),
    praise=(
        "two all-reduces, one of the gradients and one of the counts, and nobody has to have"
        " equally much."
    ),
)


# 17.4 Find the bug


def repaired_training(parts, updates=200, rate=0.05, seed=0):
    D = parts[0][0].shape[1]
    weights = [  # here: all begin with rank 0's
        np.random.default_rng([seed, 0]).standard_normal(D) for _ in parts
    ]
    for _ in range(updates):
        own = [gradient(w, x, y) for w, (x, y) in zip(weights, parts)]
        mean = np.mean(own, axis=0)  # the all-reduce
        weights = [w - rate * mean for w in weights]
    return weights


def equal_parts():
    """Four processes with 8 pairs each, and inputs so small that 200 updates are not enough."""
    for seed, given in ((0, ()), (1, (25, 0.3, 1)), (2, (10, 0.5, 2))):
        rng = np.random.default_rng(10 + seed)
        truth, x = rng.standard_normal(5), 0.3 * rng.standard_normal((4, 8, 5))
        yield [*zip(x, x @ truth + 0.3 * rng.standard_normal((4, 8)))], *given


EXERCISES["17.4"] = exercise(
    repaired_training,
    equal_parts,
    """
doubtful: `[seed, 0]` -> `[seed, rank]` `for _ in parts` -> `for rank in range(len(parts))`
    this is the doubtful version still: all processes subtract the same, so what is different
    between them at the start stays different for ever
mean at the end: `[seed, 0]` -> `[seed, rank]` `for _ in parts` -> `for rank in range(len(parts))`
    `return weights` -> `return [np.mean(weights, axis=0)] * len(parts)`
    averaging the weights at the end only hides the fault: all along the gradients were taken at
    different points, and their mean is not the gradient at any of them
alone: `rate * mean for w in weights` -> `rate * g for w, g in zip(weights, own)`
    now each process trains alone on its part: without the all-reduce they drift apart, each with a
    quarter of the data
sum: `np.mean(own` -> `np.sum(own`
    the sum of the gradients, not their mean: with K processes the steps are K times as long; that
    line was right before
first part: `np.mean(own, axis=0)` -> `own[0]`
    only rank 0's data are used; the others' work is thrown away
another start: `np.random.default_rng([seed, 0]).standard_normal(D)` -> `np.zeros(D)`
    all have the same weights, but not those of one process that begins with rank 0's (as
    DistributedDataParallel does): change nothing but the line that is wrong
""",
    same=("0 -> 1 (4)",),  # in parts[0][0].shape[1]: all parts have one D
    otherwise="What must be equal before the first step, so that equal steps keep it equal?",
    hint=(
        "Print the difference of two processes' weights at the start and at the end. Which line"
        " makes it, and what keeps it?"
    ),
    praise=(
        "equal at the start, and equal steps: that is all of data-parallel training."
        " DistributedDataParallel copies rank 0's weights for this reason."
    ),
)


# 17.5 Fewer rounds


def doubling_all_reduce(vectors, send):
    held, reach = list(vectors), 1
    while reach < len(held):
        # k ^ reach: the partner, one bit of k turned
        received = send({(k, k ^ reach): held[k] for k in range(len(held))})
        held = [held[k] + received[k] for k in range(len(held))]
        reach *= 2
    return held


def among_processes(answer, *vectors):
    """The sums, of how many vectors each process can know, and the number of rounds."""
    K, rounds = len(vectors), 0
    known = [{k} for k in range(K)]

    def send(messages):
        nonlocal rounds, known
        ends = {"sends": [k for k, _ in messages], "receives": [k for _, k in messages]}
        for what, processes in ends.items():
            for k in processes:
                if not 0 <= k < K:
                    raise Wrong(f"there are the processes 0 to {K - 1}, and no process {k}")
                if processes.count(k) > 1:
                    raise Wrong(
                        f"process {k} {what} {processes.count(k)} arrays in one round; one is"
                        " allowed"
                    )
        rounds += 1
        before = list(known)
        for one, other in messages:
            known[other] = known[other] | before[one]
        return {other: np.array(array) for (_, other), array in messages.items()}

    return ask(answer, list(vectors), send), min(map(len, known)), rounds


def what_is_missing(given, got, right):
    K, (sums, known, rounds) = len(given), got
    correct = [np.allclose(ours, theirs) for ours, theirs in zip(sums, right[0])]
    if all(correct) and known != right[1]:
        return (
            f"the sums are right, but with {K} processes not everybody was sent what it would need:"
            " use only what arrived through send"
        )
    if all(correct):
        return f"right, but {rounds} rounds for {K} processes, where {right[2]} are enough"
    if correct[0]:
        return (
            f"process 0 has the sum, but only {sum(correct)} of {K} have it: *all* must have it in"
            " the end"
        )
    return (
        f"with {K} processes the sums are wrong: after r rounds each should hold the sum of 2**r of"
        " them, and nobody twice; is the partner another one in each round?"
    )


def ring(vectors, send):
    K, total, moving = len(vectors), list(vectors), list(vectors)
    for _ in range(K - 1):
        received = send({(k, (k + 1) % K): moving[k] for k in range(K)})
        moving = [received[k] for k in range(K)]
        total = [total[k] + moving[k] for k in range(K)]
    return total


def tree(vectors, send, back=True):
    held, K, reach = list(vectors), len(vectors), 1
    while reach < K:
        received = send({(k, k - reach): held[k] for k in range(reach, K, 2 * reach)})
        held = [held[k] + received.get(k, 0) for k in range(K)]
        reach *= 2
    while back and reach > 1:
        reach //= 2
        received = send({(k, k + reach): held[k] for k in range(0, K, 2 * reach)})
        held = [received.get(k, held[k]) for k in range(K)]
    return held


EXERCISES["17.5"] = exercise(
    doubling_all_reduce,
    lambda: [tuple(np.random.default_rng(K).standard_normal((K, 3))) for K in (4, 2, 1, 8, 16)],
    others={
        "ring": ring,
        "there and back": tree,
        "only process 0": lambda vectors, send: tree(vectors, send, back=False),
        "all to one": changed(
            doubling_all_reduce,
            ("(k, k ^ reach): held[k] for k in range(", "(k, 0): held[k] for k in range(1, "),
        ),
        "without sending": lambda vectors, send: [sum(vectors)] * len(vectors),
        "same partner": changed(doubling_all_reduce, ("(k, k ^ reach)", "(k, k ^ 1)")),
    },
    otherwise=what_is_missing,
    use=among_processes,
    hint=(
        "Round 1: neighbours (0 and 1, 2 and 3) exchange and add. Now each pair knows its sum."
        " Round 2: partners two apart. In Python k ^ 1, k ^ 2, k ^ 4 are the partners."
    ),
    praise=(
        "log2 K rounds, but whole vectors: for short ones the rounds count, for long ones the ring."
        " Libraries choose by length."
    ),
)
