"""Lesson 03, word embeddings: checks, hints, solutions and typical wrong answers of its exercises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils.exercises import Exercise, Wrong
from course_utils.text import PAD

Array = NDArray[Any]


def same(a: Any, b: Any, tolerance: float = 1e-6) -> bool:
    """Whether two arrays have one shape and nearly the same finite numbers."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return x.shape == y.shape and bool(np.all(np.isfinite(x))) and bool(np.allclose(x, y, rtol=tolerance, atol=tolerance))


def sigmoid(x: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


# ---- 3.1 PPMI of a table -----------------------------------------------------------------------------------------


def ppmi_right(counts: Array) -> Array:
    total = counts.sum()
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / total
    result = np.zeros(counts.shape)
    seen = counts > 0
    result[seen] = np.maximum(0, np.log(counts[seen] / expected[seen]))
    return result


def ppmi_pmi(counts: Array) -> Array:
    """Wrong: negative values are kept."""
    result = np.zeros(counts.shape)
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / counts.sum()
    result[counts > 0] = np.log((counts / np.maximum(expected, 1e-300))[counts > 0])
    return result


def ppmi_bits(counts: Array) -> Array:
    """Wrong: logarithm to base 2."""
    return ppmi_right(counts) / np.log(2)


def ppmi_no_total(counts: Array) -> Array:
    """Wrong: the total is forgotten."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = counts / (counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True))
        return np.where(counts > 0, np.maximum(0, np.log(ratio)), 0)


def ppmi_infinite(counts: Array) -> Array:
    """Wrong: 0 log 0 is left as it is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(counts * counts.sum() / (counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True)))


def ppmi_one_side(counts: Array) -> Array:
    """Wrong: only the row's frequency is taken into account."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(counts > 0, np.maximum(0, np.log(counts * counts.shape[1] / counts.sum(1, keepdims=True))), 0)


def check_ppmi(answer: Callable[[Array], Any]) -> str:
    rng = np.random.default_rng(31)
    for shape in ((4, 4), (3, 6)):
        counts = rng.poisson(2.0, shape).astype(float)
        counts[0, 0], counts[1, 1], counts[-1, -1] = 0, 9, 1
        before, right = counts.copy(), ppmi_right(counts)
        given = np.asarray(answer(counts), dtype=float)
        if not np.array_equal(counts, before):
            raise Wrong("your function changes the table that it is given; work on a copy, since the counts are needed again")
        if given.shape != right.shape:
            raise Wrong(f"the result has shape {given.shape}; it has one number for each count, so the shape must be {right.shape}")
        if not np.all(np.isfinite(given)):
            raise Wrong("there is an infinite number or a nan: log 0 is -inf. A pair that was never seen gets PPMI 0")
        if (given < -1e-12).any():
            raise Wrong(f"the smallest value is {given.min():.3f}, but the first P of PPMI is 'positive': what is below 0 becomes 0")
        if same(given * np.log(2), right):
            raise Wrong("these are bits (logarithm to base 2); the course counts in nats: np.log")
        if not given.any():
            raise Wrong("all is 0: the ratio is too small by a factor. Counts become chances by dividing by the total N: N n(w,c) / (n(w) n(c))")
        if not same(given, right):
            place = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.abs(given - right))), right.shape))
            raise Wrong(
                f"at {place} of a {shape} table you give {given[place]:.3f}, right is {right[place]:.3f}: compare the count with "
                "row sum x column sum / total; both sums matter"
            )
    return "surprise is measured against what the two words' own frequencies would give; a table need not be square for that."


# ---- 3.2 the gradient of negative sampling ---------------------------------------------------------------------

Gradients = tuple[Array, Array, Array]


def gradients_right(word: Array, context: Array, negatives: Array) -> Gradients:
    pull = 1 / (1 + np.exp(-word @ context)) - 1  # below 0: descent moves the two together
    push = 1 / (1 + np.exp(-negatives @ word))  # (K,), above 0: descent moves them apart
    return pull * context + push @ negatives, pull * word, push[:, None] * word


def gradients_sign(word: Array, context: Array, negatives: Array) -> Gradients:
    """Wrong: the direction of ascent."""
    a, b, c = gradients_right(word, context, negatives)
    return -a, -b, -c


def gradients_positive_only(word: Array, context: Array, negatives: Array) -> Gradients:
    """Wrong: the word's gradient leaves the negatives out."""
    _, dcontext, dnegatives = gradients_right(word, context, negatives)
    return (sigmoid(word @ context) - 1) * context, dcontext, dnegatives


def gradients_negative_sigmoid(word: Array, context: Array, negatives: Array) -> Gradients:
    """Wrong: sigma(-s) in place of sigma(s) for the negatives."""
    pull, push = sigmoid(word @ context) - 1, sigmoid(-(negatives @ word))
    return pull * context + push @ negatives, pull * word, push[:, None] * word


def gradients_mean(word: Array, context: Array, negatives: Array) -> Gradients:
    """Wrong: the mean over the negatives."""
    pull, push = sigmoid(word @ context) - 1, sigmoid(negatives @ word) / len(negatives)
    return pull * context + push @ negatives, pull * word, push[:, None] * word


def gradients_no_minus_one(word: Array, context: Array, negatives: Array) -> Gradients:
    """Wrong: the true context is treated like a negative."""
    pull, push = sigmoid(word @ context), sigmoid(negatives @ word)
    return pull * context + push @ negatives, pull * word, push[:, None] * word


def gradients_negative_sign(word: Array, context: Array, negatives: Array) -> Gradients:
    """Wrong: the negatives' errors with their sign turned."""
    pull, push = sigmoid(word @ context) - 1, -sigmoid(negatives @ word)
    return pull * context + push @ negatives, pull * word, push[:, None] * word


def check_gradients_of_sampling(answer: Callable[[Array, Array, Array], Any]) -> str:
    rng = np.random.default_rng(32)
    for size, count in ((4, 3), (5, 6)):
        word, context, negatives = rng.normal(size=size), rng.normal(size=size), rng.normal(size=(count, size))
        right = gradients_right(word, context, negatives)
        given = answer(word.copy(), context.copy(), negatives.copy())
        if not (isinstance(given, tuple) and len(given) == 3):
            raise Wrong("return three arrays: dword, dcontext, dnegatives")
        for name, a, b in zip(("dword", "dcontext", "dnegatives"), given, right):
            if np.shape(a) != b.shape:
                raise Wrong(f"{name} has shape {np.shape(a)}; a gradient has its array's own shape, here {b.shape}")
        good = [same(a, b) for a, b in zip(given, right)]
        if all(good):
            continue
        if all(same(-np.asarray(a), b) for a, b in zip(given, right)):
            raise Wrong("every sign is turned: this is the gradient of log sigma, and the loss is minus that")
        if not good[1]:
            if same(given[1], sigmoid(word @ context) * word):
                raise Wrong("dcontext: the true context has the truth 1, so its error is sigma(score) - 1, not sigma(score)")
            raise Wrong(f"dcontext is {np.asarray(given[1]).round(3)}, right is {right[1].round(3)}: (sigma(w.c) - 1) times the word")
        if not good[2]:
            if same(given[2], sigmoid(-(negatives @ word))[:, None] * word):
                raise Wrong("dnegatives: the loss has sigma(-s), its derivative by s has sigma(+s): -log sigma(-s) grows where s is large")
            if same(np.asarray(given[2]) * count, right[2]):
                raise Wrong(f"dnegatives is too small by the factor {count}: the loss is the sum over the negatives, not the mean")
            if same(-np.asarray(given[2]), right[2]):
                raise Wrong("dnegatives has its sign turned: its error is sigma(w.n_k) - 0, above 0, so that descent moves away")
            raise Wrong("dnegatives: row k is sigma(w.n_k) times the word")
        if same(given[0], right[0] - sigmoid(negatives @ word) @ negatives):
            raise Wrong("dword hears the true context alone; the word appears in every score, so the negatives add their share")
        raise Wrong("dword: add up over all contexts, true and false, each error times that context's vector")
    return "error times the other vector, three times; with the sign of (prediction - truth)."


# ---- 3.3 the embedding layer's backward pass -------------------------------------------------------------------


def embedding_right(ids: Array, gradients: Array, size: int) -> Array:
    result = np.zeros((size, gradients.shape[-1]))
    np.add.at(result, ids, gradients)
    result[PAD] = 0
    return result


def embedding_assign(ids: Array, gradients: Array, size: int) -> Array:
    """Wrong: += with repeated indices keeps one of them."""
    result = np.zeros((size, gradients.shape[-1]))
    result[ids] += gradients
    result[PAD] = 0
    return result


def embedding_padding(ids: Array, gradients: Array, size: int) -> Array:
    """Wrong: padding learns."""
    result = np.zeros((size, gradients.shape[-1]))
    np.add.at(result, ids, gradients)
    return result


def embedding_mean(ids: Array, gradients: Array, size: int) -> Array:
    """Wrong: the mean over a word's places."""
    times = np.bincount(ids.ravel(), minlength=size)
    return embedding_right(ids, gradients, size) / np.maximum(times, 1)[:, None]


def embedding_short(ids: Array, gradients: Array, size: int) -> Array:
    """Wrong: rows up to the largest id only."""
    return embedding_right(ids, gradients, int(ids.max()) + 1)


def check_embedding(answer: Callable[[Array, Array, int], Any]) -> str:
    rng = np.random.default_rng(33)
    ids = rng.integers(1, 7, (4, 6))  # (N, T), many repetitions
    ids[0, 4:], ids[2, 3:] = PAD, PAD
    gradients = rng.normal(size=(*ids.shape, 3))  # (N, T, D)
    size = 10
    right, given = embedding_right(ids, gradients, size), np.asarray(answer(ids.copy(), gradients.copy(), size), dtype=float)
    if given.shape != right.shape:
        raise Wrong(f"the result has shape {given.shape}; the table has a row for each id, used or not, so ({size}, {gradients.shape[-1]})")
    if same(given, right):
        return "sums for repeated ids, zeros for ids that did not occur, and padding learns nothing: as nn.Embedding(padding_idx=0) does."
    if same(given[PAD + 1 :], right[PAD + 1 :]):
        raise Wrong("all is right but row 0: <pad> is no word, its gradient must be 0 (and would otherwise learn from every short sentence)")
    if same(given, embedding_assign(ids, gradients, size)) or same(given[1:], embedding_assign(ids, gradients, size)[1:]):
        raise Wrong("an id that occurs several times kept one gradient and lost the others: table[ids] += g adds once an id. Use np.add.at")
    times = np.bincount(ids.ravel(), minlength=size)
    if same(given[1:] * times[1:, None], right[1:]):
        raise Wrong("this is the mean over the places where a word stands; a gradient is the sum over all its uses")
    raise Wrong("row v must be the sum of gradients[n, t] over all places (n, t) with ids[n, t] == v")


# ---- 3.4 an analogy ----------------------------------------------------------------------------------------------


def lengths_one(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def analogy_right(vectors: Array, a: int, b: int, c: int) -> int:
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = units @ (units[b] - units[a] + units[c])
    scores[[a, b, c]] = -np.inf
    return int(scores.argmax())


def analogy_included(vectors: Array, a: int, b: int, c: int) -> int:
    """Wrong: the question's own words may be the answer."""
    units = lengths_one(vectors)
    return int((units @ (units[b] - units[a] + units[c])).argmax())


def analogy_turned(vectors: Array, a: int, b: int, c: int) -> int:
    """Wrong: a - b in place of b - a."""
    return analogy_right(vectors, b, a, c)


def analogy_dot(vectors: Array, a: int, b: int, c: int) -> int:
    """Wrong: no lengths of 1, so the longest vector wins."""
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    scores[[a, b, c]] = -np.inf
    return int(scores.argmax())


def analogy_least(vectors: Array, a: int, b: int, c: int) -> int:
    """Wrong: the least similar word."""
    units = lengths_one(vectors)
    scores = units @ (units[b] - units[a] + units[c])
    scores[[a, b, c]] = np.inf
    return int(scores.argmin())


def check_analogy(answer: Callable[[Array, int, int, int], Any]) -> str:
    rng = np.random.default_rng(34)
    wrong = {"included": 0, "turned": 0, "dot": 0, "least": 0}
    failed, questions = 0, 60
    for _ in range(questions):
        vectors = rng.normal(size=(30, 4)) * rng.uniform(0.3, 4, (30, 1))
        a, b, c = (int(i) for i in rng.choice(30, 3, replace=False))
        given = answer(vectors.copy(), a, b, c)
        if not isinstance(given, (int, np.integer)) or isinstance(given, bool):
            raise Wrong(f"return the id of one word, a whole number; this is {type(given).__name__}")
        failed += given != analogy_right(vectors, a, b, c)
        wrong["included"] += given == analogy_included(vectors, a, b, c)
        wrong["turned"] += given == analogy_turned(vectors, a, b, c)
        wrong["dot"] += given == analogy_dot(vectors, a, b, c)
        wrong["least"] += given == analogy_least(vectors, a, b, c)
    if not failed:
        return f"{questions} questions on random vectors answered. Leave a, b and c in, and the answer is often one of them."
    if wrong["included"] == questions:
        raise Wrong(f"{failed} of {questions} questions are answered by a word of the question itself: take a, b and c out before the argmax")
    if wrong["turned"] == questions:
        raise Wrong("the step goes the wrong way: a : b :: c : ? asks for b - a + c")
    if wrong["dot"] == questions:
        raise Wrong("long vectors win: a cosine needs vectors of length 1, so divide each row by its norm first")
    if wrong["least"] == questions:
        raise Wrong("this is the word that is least similar to b - a + c; the answer has the largest cosine")
    raise Wrong(f"{failed} of {questions} questions have another answer: rows of length 1, then the largest cosine with b - a + c, without a, b, c")


# ---- 3.5 find the bug: negatives that are too easy -----------------------------------------------------------


def draw_right(counts: Array, power: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    weights = counts**power
    ends = np.cumsum(weights) / weights.sum()  # the last one is 1: every number in [0, 1) finds its word
    return np.searchsorted(ends, rng.random(shape), side="right")


def draw_unscaled(counts: Array, power: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Wrong, as shown: sums that do not end at 1."""
    return np.searchsorted(np.cumsum(counts**power), rng.random(shape), side="right")


def draw_no_power(counts: Array, power: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Wrong: the power is lost."""
    return draw_right(counts, 1.0, shape, rng)


def draw_uniform(counts: Array, power: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Wrong: every id equally often."""
    return rng.integers(0, len(counts), shape)


def draw_power_late(counts: Array, power: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Wrong: the power is taken of the sums."""
    ends = (np.cumsum(counts) / counts.sum()) ** power
    return np.searchsorted(ends, rng.random(shape), side="right")


def draw_shifted(counts: Array, power: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Wrong: one id too high."""
    return draw_right(counts, power, shape, rng) + 1


def check_draw(answer: Callable[[Array, float, tuple[int, ...], np.random.Generator], Any]) -> str:
    counts = np.array([0.0, 0.0, 400.0, 100.0, 30.0, 10.0, 0.0, 3.0, 57.0])
    rng, shape, power = np.random.default_rng(35), (4000, 5), 0.75
    given = np.asarray(answer(counts.copy(), power, shape, rng))
    if given.shape != shape:
        raise Wrong(f"the result has shape {given.shape}; asked for was {shape}, one id each")
    if not np.issubdtype(given.dtype, np.integer):
        raise Wrong(f"ids are whole numbers; these are {given.dtype}")
    if given.min() < 0 or given.max() >= len(counts):
        raise Wrong(f"ids go from 0 to {len(counts) - 1}; yours from {given.min()} to {given.max()}: one too high or too low")
    share = np.bincount(given.ravel(), minlength=len(counts)) / given.size
    if share.max() > 0.999:
        raise Wrong(f"every negative is the id {share.argmax()}: the sums must end at 1, where the random numbers end; print ends[-1]")

    def near(weights: Array) -> bool:
        chance = weights / weights.sum()
        return bool(np.all(np.abs(share - chance) < 5 * np.sqrt(chance * (1 - chance) / given.size) + 1e-9))

    if near(counts**power):
        repeated = np.asarray(answer(counts.copy(), power, shape, rng))
        if np.array_equal(repeated, given):
            raise Wrong("a second call gives the same negatives again: draw from the `rng` that is given, do not make a new one")
        return "frequent words come often, as counts ** power says, and words that never occur are never drawn."
    if near(np.ones(len(counts))):
        raise Wrong("every id comes equally often, even one that never occurs in the text; the chance is proportional to counts ** power")
    if near(counts):
        raise Wrong("the chance is proportional to the counts themselves: the power is lost, so rare words come too seldom")
    if near(np.diff((np.cumsum(counts) / counts.sum()) ** power, prepend=0)):
        raise Wrong("the power was taken after the sum; each count gets its power first, then comes the cumulative sum")
    wanted = counts**power / (counts**power).sum()
    worst = int(np.argmax(np.abs(share - wanted)))
    raise Wrong(f"id {worst} makes up {share[worst]:.1%} of your negatives; counts ** power asks for {wanted[worst]:.1%}")


EXERCISES = {
    "3.1": Exercise(
        check=check_ppmi,
        hint="Three sums: over rows, over columns, over all; keepdims=True lets them be divided into the table. Then take the "
        "logarithm only where the count is above 0.",
        solution=ppmi_right,
        wrong={
            "negative values kept": ppmi_pmi, "bits": ppmi_bits, "total forgotten": ppmi_no_total,
            "log of 0": ppmi_infinite, "row sums only": ppmi_one_side,
        },
    ),
    "3.2": Exercise(
        check=check_gradients_of_sampling,
        hint="Write s = w.c. The derivative of -log sigma(s) by s is sigma(s) - 1, that of -log sigma(-s) is sigma(s). Then "
        "the derivative of s by w is c, and by c is w.",
        solution=gradients_right,
        wrong={
            "ascent": gradients_sign, "negatives left out": gradients_positive_only, "sigma(-s)": gradients_negative_sigmoid,
            "mean": gradients_mean, "no - 1": gradients_no_minus_one, "negatives turned": gradients_negative_sign,
        },
    ),
    "3.3": Exercise(
        check=check_embedding,
        hint="np.add.at(table, ids, gradients) takes ids of any shape and adds every time. Deal with row PAD afterwards.",
        solution=embedding_right,
        wrong={
            "lost duplicates": embedding_assign, "padding learns": embedding_padding, "mean": embedding_mean,
            "too few rows": embedding_short,
        },
    ),
    "3.4": Exercise(
        check=check_analogy,
        hint="Make all rows of length 1. One matrix product then gives all cosines. Put -np.inf where the answer may not be.",
        solution=analogy_right,
        wrong={
            "question's words": analogy_included, "turned": analogy_turned, "dot product": analogy_dot, "least similar": analogy_least,
        },
    ),
    "3.5": Exercise(
        check=check_draw,
        hint="Print what draw_negatives returns. Then print the last number of `ends`: between which two numbers does rng.random draw?",
        solution=draw_right,
        wrong={
            "as shown": draw_unscaled, "no power": draw_no_power, "uniform": draw_uniform,
            "power of the sums": draw_power_late, "one too high": draw_shifted,
        },
    ),
}  # fmt: skip
