"""Exercises of lesson 03: word embeddings."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.grading import Wrong, ask, autograd, exercise
from course_utils.proofs import numbers
from course_utils.text import PAD

EXERCISES = {}


# 3.1 PPMI of a table


def positive_pmi(counts):
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    result = np.zeros(counts.shape)
    seen = counts > 0
    result[seen] = np.maximum(0, np.log(counts[seen] / expected[seen]))
    return result


def tables():
    rng = np.random.default_rng(31)
    for shape in ((4, 4), (3, 6)):
        counts = rng.poisson(2.0, shape).astype(float)
        counts[0, 0], counts[1, 1], counts[-1, -1] = 0, 9, 1
        counts[:, 2] *= shape == (4, 4)  # in the second table one word never occurs
        yield (counts,)


EXERCISES["3.1"] = exercise(
    positive_pmi,
    tables,
    """
negative values kept: `np.maximum(0,` -> `np.maximum(-np.inf,`
    there are values below 0, but the first P of PPMI is “positive”: what is below 0 becomes 0
bits: `np.log(` -> `np.log2(`
    these are bits (logarithm to base 2); the course counts in nats: np.log
total forgotten: ` / counts.sum()` -> ``
    all is 0: the ratio is too small by a factor. Counts become chances by dividing by the total N:
    N n(w,c) / (n(w) n(c))
log of 0: `counts > 0` -> `counts >= 0` `np.maximum(0,` -> `np.maximum(-np.inf,`
    there is an infinite number or a nan: log 0 is -inf. A pair that was never seen gets PPMI 0
0 / 0: `counts > 0` -> `counts >= 0`
    there is a nan: for a word that never occurs the ratio is 0 / 0. A pair that was never seen gets
    PPMI 0
row sums only: `counts.sum(0) / counts.sum()` -> `np.full(counts.shape[1], 1 / counts.shape[1])`
    this compares the count with the row sum alone; compare it with row sum x column sum / total
""",
    otherwise="Compare the count with row sum x column sum / total; both sums matter",
    hint=(
        "Three sums: over rows, over columns, over all; keepdims=True lets them be divided into "
        "the table. Then take the logarithm only where the count is above 0."
    ),
    praise=(
        "surprise is measured against what the two words' own frequencies would give; a table "
        "need not be square for that."
    ),
)


# 3.2 The gradient of negative sampling


def sampling_gradients(word, context, negatives):
    pull = 1 / (1 + np.exp(-word @ context)) - 1  # below 0: descent moves the two together
    push = 1 / (1 + np.exp(-negatives @ word))  # (K,), above 0: descent moves them apart
    return pull * context + push @ negatives, pull * word, push[:, None] * word


def pairs():
    rng = np.random.default_rng(32)
    for D, K in ((4, 3), (5, 6)):
        yield rng.normal(size=D), rng.normal(size=D), rng.normal(size=(K, D))


def sampling_loss(word, context, negatives):
    return -F.logsigmoid(word @ context) - F.logsigmoid(-negatives @ word).sum()


EXERCISES["3.2"] = exercise(
    sampling_gradients,
    pairs,
    """
ascent: `np.exp(-word @ context)) - 1` -> `np.exp(word @ context))` `push = 1 /` -> `push = -1 /`
    every sign is turned: this is the gradient of log sigma, and the loss is minus that
negatives left out: ` + push @ negatives` -> ``
    dword hears the true context alone; the word appears in every score, so the negatives add their
    share
sigma(-s): `np.exp(-negatives @ word)` -> `np.exp(negatives @ word)`
    dnegatives: the loss has sigma(-s), its derivative with respect to s has sigma(+s): -log
    sigma(-s) grows where s is large
mean: `push = 1 /` -> `push = 1 / len(negatives) /`
    dnegatives is too small, by the number of negatives: the loss is the sum over them, not the mean
no - 1: ` - 1  #` -> `  #`
    dcontext: the true context has the truth 1, so its error is sigma(score) - 1, not sigma(score)
negatives turned: `push = 1 /` -> `push = -1 /`
    dnegatives has its sign turned: its error is sigma(w.n_k) - 0, above 0, so that descent
    moves away
""",
    names=("dword", "dcontext", "dnegatives"),
    otherwise=(
        "dcontext is (sigma(w.c) - 1) times the word, row k of dnegatives is sigma(w.n_k) times the"
        " word, and dword adds up over all contexts, true and false: each error times that "
        "context's vector"
    ),
    truth=lambda *given: autograd(sampling_loss, *given),
    hint=(
        "Write s = w.c. The derivative of -log sigma(s) with respect to s is sigma(s) - 1, that of "
        "-log sigma(-s) is sigma(s). Then the derivative of s with respect to w is c, and with "
        "respect to c it is w."
    ),
    praise="error times the other vector, three times; with the sign of (prediction - truth).",
)


# 3.3 The embedding layer's backward pass


def embedding_backward(ids, gradients, size):
    result = np.zeros((size, gradients.shape[-1]))
    np.add.at(result, ids, gradients)
    result[PAD] = 0
    return result


def padded_batches():
    for seed, size in ((33, 10), (34, 9)):
        rng = np.random.default_rng(seed)
        ids = rng.integers(1, 7, (4, 6))  # (N, T), many repetitions
        ids[0, 4:], ids[2, 3:] = PAD, PAD
        yield ids, rng.normal(size=(4, 6, 3)), size  # gradients: (N, T, D)


def embedding_autograd(ids, gradients, size):
    def loss(table, gradients):
        return (F.embedding(torch.from_numpy(ids), table, padding_idx=PAD) * gradients).sum()

    return autograd(loss, np.zeros((size, 3)), gradients)[0]


EXERCISES["3.3"] = exercise(
    embedding_backward,
    padded_batches,
    """
padding learns: `result[PAD] = 0` -> ``
    all is right but row 0: <pad> is no word, its gradient must be 0 (and would otherwise learn from
    every short sentence)
lost duplicates: `np.add.at(result, ids, gradients)` -> `result[ids] += gradients`
    an id that occurs several times kept one gradient and lost the others: table[ids] += g adds once
    for each id. Use np.add.at
both: `np.add.at(result, ids, gradients)` -> `result[ids] += gradients` `result[PAD] = 0` -> ``
    both traps: an id that occurs several times kept one gradient and lost the others (table[ids] +=
    g adds once for each id, use np.add.at), and row 0, <pad>, must be 0
mean: `gradients)` -> `gradients / np.bincount(ids.ravel())[ids][..., None])`
    this is the mean over the positions where a word stands; a gradient is the sum over all its uses
too few rows: `(size, ` -> `(ids.max() + 1, `
    rows are missing: the table has a row for each id, used or not, so the result is (size, D)
""",
    otherwise="Row v must be the sum of gradients[n, t] over all (n, t) with ids[n, t] == v",
    truth=embedding_autograd,
    hint=(
        "np.add.at(table, ids, gradients) takes ids of any shape and adds every time. Deal with "
        "row PAD afterwards."
    ),
    praise=(
        "sums for repeated ids, zeros for ids that did not occur, and padding learns nothing: as "
        "nn.Embedding(padding_idx=0) does."
    ),
)


# 3.4 An analogy


def analogy(vectors, a, b, c):
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = units @ (units[b] - units[a] + units[c])
    scores[[a, b, c]] = -np.inf
    return int(scores.argmax())


def analogy_questions():
    for seed in (34, 35):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(30, 4)) * rng.uniform(0.3, 4, (30, 1))
        yield vectors, [rng.choice(30, 3, replace=False).tolist() for _ in range(40)]


def all_answers(answer, vectors, questions):
    ids = [numbers(ask(answer, vectors, *question)) for question in questions]
    if any(one.size != 1 or one.dtype.kind not in "iuf" for one in ids):
        raise Wrong("return the id of one word, a whole number")
    return np.array([one.item() for one in ids])


EXERCISES["3.4"] = exercise(
    analogy,
    analogy_questions,
    """
question's words: `scores[[a, b, c]] = -np.inf` -> ``
    some questions are answered by a word of the question itself: take a, b and c out before the
    argmax
turned: `units[b] - units[a]` -> `units[a] - units[b]`
    the step goes the wrong way: a : b :: c : ? asks for b - a + c
dot product: `vectors / np.linalg.norm(vectors, axis=1, keepdims=True)` -> `vectors`
    long vectors win: a cosine needs vectors of length 1, so divide each row by its norm first
least similar: `-np.inf` -> `np.inf` `argmax` -> `argmin`
    this is the word that is least similar to b - a + c; the answer has the largest cosine
""",
    others={"the vector": lambda vectors, a, b, c: vectors[b] - vectors[a] + vectors[c]},
    use=all_answers,
    otherwise=lambda given, got, right: (
        f"{np.sum(got != right)} of {len(right)} questions have another answer: rows of length 1, "
        "then the largest cosine with b - a + c, without a, b, c"
    ),
    hint=(
        "Make all rows of length 1. One matrix product then gives all cosines. Put -np.inf where "
        "the answer may not be."
    ),
    praise=(
        "80 questions on random vectors answered. Leave a, b and c in, and the answer is often one "
        "of them."
    ),
)


# 3.5 Find the bug: negatives that are too easy


def repaired_draw(counts, power, shape, rng):
    weights = counts**power
    ends = np.cumsum(weights) / weights.sum()  # the last is 1: every number in [0, 1) has its word
    return np.searchsorted(ends, rng.random(shape), side="right")


def roots_of_shares(answer, counts, power, shape):
    """The square root of each id's share: chance moves all of these by about as much."""

    def draw(shape, seed):
        return numbers(ask(answer, counts, power, shape, np.random.default_rng(seed)))

    drawn = draw(shape, 35)
    if drawn.shape != shape or drawn.dtype.kind not in "iu":
        yours = f"{drawn.dtype} of shape {drawn.shape}"
        raise Wrong(f"wanted are ids, whole numbers, of shape {shape}; yours are {yours}")
    if drawn.min() < 0 or drawn.max() >= len(counts):
        raise Wrong(
            f"ids go from 0 to {len(counts) - 1}; yours from {drawn.min()} to {drawn.max()}: one "
            "too high or too low"
        )
    same, other = (draw((50,), 1) == draw((50,), seed) for seed in (1, 2))
    if not same.all() or (other.all() and np.ptp(drawn)):
        raise Wrong(
            "another `rng` gives the same negatives, or the same one gives others: draw from the "
            "`rng` that is given, do not make a new one"
        )
    return np.sqrt(np.bincount(drawn.ravel(), minlength=len(counts)) / drawn.size)


def wrong_share(given, got, right):
    worst = np.argmax(np.abs(got**2 - right**2))
    return (
        f"with the power {given[1]}, id {worst} makes up {got[worst] ** 2:.1%} of your negatives; "
        f"counts ** power asks for {right[worst] ** 2:.1%}"
    )


COUNTS = np.array([0.0, 0.0, 400.0, 100.0, 30.0, 10.0, 0.0, 3.0, 57.0])
EXERCISES["3.5"] = exercise(
    repaired_draw,
    lambda: [(COUNTS, 0.75, (20000, 5)), (COUNTS, 0.4, (100000,))],
    """
as shown: ` / weights.sum()` -> ``
    every negative is the same id, the first that occurs in the text: the sums must end at 1, where
    the random numbers end; print ends[-1]
no power: `counts**power` -> `counts`
    the chance is proportional to the counts themselves: the power is lost, so rare words come too
    seldom
fixed power: `counts**power` -> `counts**0.75`
    the power is always 0.75; it is an argument, and may be another one
uniform: `counts**power` -> `counts**0`
    every id comes equally often, even one that never occurs in the text; the chance is proportional
    to counts ** power
power late: `np.cumsum(weights) / weights.sum()` -> `(np.cumsum(counts) / counts.sum()) ** power`
    the power was taken after the sum; each count gets its power first, then comes the cumulative
    sum
""",
    others={
        "one too high": lambda *given: repaired_draw(*given) + 1,
        "own generator": lambda *given: repaired_draw(*given[:3], np.random.default_rng(0)),
    },
    use=roots_of_shares,
    tolerance=0.02,  # 5 standard deviations
    otherwise=wrong_share,
    hint=(
        "Print what draw_negatives returns. Then print the last number of `ends`: between which "
        "two numbers does rng.random draw?"
    ),
    praise=(
        "frequent words come often, as counts ** power says, and words that never occur are never "
        "drawn."
    ),
)
