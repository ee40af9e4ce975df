"""Exercises of lesson 12: attention."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import nn

from course_utils.grading import Raised, Wrong, ask, autograd, exercise
from course_utils.grading.alike import SINGLE, distance
from course_utils.grading.blocks import changed
from course_utils.proofs import numbers

EXERCISES = {}


# 12.1 One query, by hand


def one_context(scores, value, length):
    if length == 0:
        return np.zeros(value.shape[1])
    scores, value = scores[:length], value[:length]
    parts = np.exp(scores - scores.max())  # the highest becomes exp(0) = 1
    return parts / parts.sum() @ value


def context_cases():
    rng = np.random.default_rng(0)
    for size, length in ((5, 3), (4, 4), (6, 1)):
        yield rng.standard_normal(size), rng.standard_normal((size, 3)), length
    value = np.array([[8.0], [4.0], [1.0], [2.0]])
    yield np.array([1000.0, 1000.0 + np.log(3), 0.0, 1.0]), value, 3
    yield np.array([0.0, np.log(3), 1000.0, 1.0]), value, 2
    yield rng.standard_normal(4), rng.standard_normal((4, 3)), 0


def context_of(answer, scores, value, length):
    try:
        with np.errstate(all="ignore"):
            return ask(answer, scores, value, length)
    except Raised as raised:
        if length > 0:
            raise
        error = type(raised.__cause__).__name__
        raise Wrong(
            f"with length 0 your code raised {error}; nothing is real, so return zeros of shape"
            " (E,)"
        ) from raised


def extreme_cases(given, got):
    scores, _, length = given
    if length == 0 and distance(got, np.zeros(3)) > 0:
        raise Wrong("with length 0 nothing is real: return zeros of shape (E,), no NaN")
    if scores[0] > 900 and distance(got, [5.0]) > SINGLE:
        raise Wrong(
            "with scores near 1,000 the exponential overflows; subtract the highest real score"
            " first, which changes no weight"
        )
    if scores.max() > 900 and distance(got, [5.0]) > SINGLE:
        raise Wrong(
            "padding with a score of 1,000 changed the context: the score to subtract is the"
            " highest of the real positions, not of all"
        )


EXERCISES["12.1"] = exercise(
    one_context,
    context_cases,
    """
ignores the length: `scores, value = scores[:length], value[:length]` -> `pass`
    padding got weight: only the first `length` positions are real
zero after the softmax: `scores, value = scores[:length], value[:length]` -> `pass`
    `parts / parts.sum() @ value` -> `parts[:length] / parts.sum() @ value[:length]`
    the weights of the real positions do not sum to 1: padding was cut off after the softmax; cut it
    off before
score 0: `scores[:length], value[:length]` -> `scores * (np.arange(len(scores)) < length), value`
    padding got the score 0, and exp(0) = 1 is a weight like any other; its score must be minus
    infinity, or be left out
plain mean: `parts / parts.sum() @ value` -> `value.mean(axis=0)`
    this is the plain mean of the real values; the weights come from the scores
not divided: `parts / parts.sum() @ value` -> `parts @ value`
    the exponentials are not divided by their sum, so the weights do not sum to 1
scores as weights: `parts / parts.sum() @ value` -> `scores @ value`
    these are the scores themselves, not their softmax
""",
    others={
        "overflow": changed(one_context, ("scores - scores.max()", "scores")),
        "raises for length 0": changed(one_context, ("length == 0", "False")),
        "NaN for length 0": changed(
            one_context,
            ("length == 0", "False"),
            ("scores.max()", "scores.max(initial=-np.inf)"),
            ("parts / parts.sum() @ value", "parts @ value / parts.sum()"),
        ),
        "highest of all": changed(
            one_context,
            ("scores, value =", "highest, scores, value = scores.max(),"),
            ("scores - scores.max()", "scores - highest"),
        ),
    },
    form=extreme_cases,
    use=context_of,
    hint=(
        "Work on scores[:length] alone: subtract its maximum, take exp, divide by the sum. What"
        " does .max() say of an empty array?"
    ),
    praise=(
        "the weights of the real positions sum to 1, no score is too large, and who can look"
        " nowhere sees nothing."
    ),
)


# 12.2 Sure and possible links


def error_rate(found, sure, possible):
    allowed = possible | sure
    return 1 - (len(found & sure) + len(found & allowed)) / (len(found) + len(sure))


EXERCISES["12.2"] = exercise(
    error_rate,
    lambda: [
        ({(0, 0), (1, 1), (2, 2), (3, 1)}, {(0, 0), (1, 1), (4, 4)}, {(2, 2), (5, 5)}),
        ({(0, 0), (1, 2)}, {(0, 0), (1, 1), (2, 2)}, {(0, 0), (1, 1), (2, 2), (1, 2), (3, 3)}),
        ({(0, 0)}, {(0, 0)}, set()),
    ],
    """
sure links only: `found & allowed` -> `found & sure`
    this is the formula without possible links: a found link that is only possible is no mistake
possible without sure: `possible | sure` -> `possible`
    every sure link is also possible, even where `possible` does not list it: use possible | sure
possible in the denominator: `len(found) + len(sure)` -> `len(found) + len(allowed)`
    the denominator is |A| + |R|: possible links need not be found, so they are not counted there
not subtracted from 1: `return 1 - ` -> `return `
    this is the share of agreement; the error rate is 1 minus it
precision only: `len(found & sure) + ` -> `` `len(found) + len(sure)` -> `len(found)`
    this only asks whether the found links are allowed; sure links that were not found must count
    too
recall only: ` + len(found & allowed)` -> `` `len(found) + len(sure)` -> `len(sure)`
    this only asks whether the sure links were found; found links that are not allowed must count
    too
""",
    hint="Sets know & and |. First make the set of all links that are allowed.",
    praise="without links that are only possible it is the formula of the lesson, 1 minus F1.",
)


# 12.3 A fourth score


def cosine_backward(dscores, query, key, beta):
    query_size = np.linalg.norm(query, axis=2, keepdims=True)  # (N, T, 1)
    key_size = np.linalg.norm(key, axis=2, keepdims=True)  # (N, S, 1)
    q, k = query / query_size, key / key_size  # of length 1
    cosines = q @ k.transpose(0, 2, 1)  # (N, T, S)
    dq, dk = beta * dscores @ k, beta * dscores.transpose(0, 2, 1) @ q
    # what points along a vector only changes its length
    dq = dq - q * (dq * q).sum(axis=2, keepdims=True)
    dk = dk - k * (dk * k).sum(axis=2, keepdims=True)
    dbeta = float((dscores * cosines).sum())
    return {"query": dq / query_size, "key": dk / key_size, "beta": dbeta}


def cosine_cases():
    for seed, beta in ((1, 2.5), (2, 0.7)):
        rng = np.random.default_rng(seed)  # N = 2, T = 3, S = 5, D = 4
        yield *(rng.standard_normal(shape) for shape in ((2, 3, 5), (2, 3, 4), (2, 5, 4))), beta


def cosine_autograd(dscores, query, key, beta):
    def loss(query, key, beta):
        cosines = torch.cosine_similarity(query[:, :, None], key[:, None], dim=3)
        return (torch.from_numpy(dscores) * beta * cosines).sum()

    return dict(zip(("query", "key", "beta"), autograd(loss, query, key, beta)))


EXERCISES["12.3"] = exercise(
    cosine_backward,
    cosine_cases,
    """
norms as constants: `dq - q * (dq * q).sum(axis=2, keepdims=True)` -> `dq`
    `dk - k * (dk * k).sum(axis=2, keepdims=True)` -> `dk`
    the norms are treated as constants; they depend on query and key too: take away the part of the
    gradient that points along the vector
not divided by the norm: `dq / query_size` -> `dq` `dk / key_size` -> `dk`
    the last step is missing: from the vector of length 1 back to the vector itself, which divides
    by its norm
beta forgotten: `beta * dscores @ k` -> `dscores @ k` `beta * dscores.tr` -> `dscores.tr`
    the gradients with respect to query and key lack the factor beta
as for the dot score: `dq / query_size` -> `dscores @ key`
    `dk / key_size` -> `dscores.transpose(0, 2, 1) @ query`
    these are the dot score's gradients; here both vectors are first divided by their norms
beta times cosine: `float(` -> `beta * float(`
    the gradient with respect to beta is the sum of dscores times the cosine, without beta: the
    derivative of beta times c with respect to beta is c
beta without cosine: `(dscores * cosines)` -> `dscores`
    the gradient with respect to beta is the sum of dscores times the cosine; yours is the sum of
    dscores alone
""",
    otherwise="Go in two steps: vectors of length 1 first, then their dot product",
    truth=cosine_autograd,
    hint=(
        "Name the vectors of length 1: q / |q| and k / |k|. Their dot product you know. For one"
        " vector u = q / |q|: du/dq is (1 - u uᵀ) / |q|."
    ),
    praise=(
        "all three equal autograd's. A gradient along the vector itself would only change its"
        " length, which the cosine does not see."
    ),
)


# 12.4 Find the bug


class RepairedAttention(nn.Module):
    def forward(self, query, key, mask):
        scores = query @ key.transpose(1, 2)  # (N, T, S)
        scores = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)
        # here: over the source positions; dim=1 runs over the target steps
        weights = torch.softmax(scores, dim=2)
        return weights @ key, weights


def attention_cases():
    for seed, lengths in ((3, (5, 3)), (4, (2, 5, 1, 4))):  # S = 5, T = 3, D = 4
        rng, N = np.random.default_rng(seed), len(lengths)
        query, key = rng.standard_normal((N, 3, 4)), rng.standard_normal((N, 5, 4))
        mask = np.arange(5) < np.array(lengths)[:, None]
        yield tuple(torch.from_numpy(part) for part in (query, key, mask))


def attend(answer, query, key, mask):
    module = ask(answer) if isinstance(answer, type) else answer
    return ask(module, query, key, mask)


EXERCISES["12.4"] = exercise(
    RepairedAttention,
    attention_cases,
    """
unchanged: `dim=2` -> `dim=1`
    this is the doubtful version still: give it all three steps, then the first step alone, and
    compare the first row of weights
over the batch: `dim=2` -> `dim=0`
    now the softmax runs over the sequences of the batch; over which axis must the weights of one
    query sum to 1?
mask dropped: `scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)` -> `scores`
    padding has weight: the line with the mask was right before
mask after the softmax: `torch.softmax(scores, dim=2)` -> `scores.softmax(2) * mask[:, None]`
    `scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)` -> `scores`
    the weights of a step do not sum to 1 over the real positions: the mask must act before the
    softmax, as it did
""",
    names=("the context", "the weights"),
    otherwise="Only one line had to change",
    use=attend,
    hint=(
        "Ask of each line: does the result for step t depend on any other step? Over which axis"
        " should the weights sum to 1?"
    ),
    praise=(
        "a step must not depend on the other steps: one at a time, a softmax over the steps gives"
        " every position the weight 1."
    ),
)


# 12.5 Attention in one pass


def streaming_attention(query, pieces):
    highest, total, context = -np.inf, 0.0, 0.0
    for key, value in pieces:
        scores = key @ query  # (S',)
        new = max(highest, scores.max())
        shrink = np.exp(highest - new)  # of what was summed up so far; 0 at first
        parts = np.exp(scores - new)
        total = shrink * total + parts.sum()
        context = shrink * context + parts @ value  # (E,)
        highest = new
    return context / total


def kept(query, pieces):
    keys, values = map(np.concatenate, zip(*pieces))
    return one_context(keys @ query, values, len(keys))


def streaming_cases():
    rng = np.random.default_rng(4)
    query, key, value = (rng.standard_normal(shape) for shape in (3, (12, 3), (12, 2)))
    yield query, key, value, (5, 4, 3), False
    yield query, key[::-1] * 2, value, (5, 4, 3), False
    yield query, key, value, (5, 4, 3), True
    large = np.array([[0.0], [900.0], [1000.0]]) * query / (query @ query)
    yield query, large, np.array([[1.0], [2.0], [3.0]]), (2, 1), False


def one_pass(answer, query, key, value, sizes, reuse):
    """The context over pieces of these sizes; reuse: the next piece overwrites the one before."""

    def pieces():
        for end, size in zip(np.cumsum(sizes), sizes):
            piece = key[end - size : end].copy(), value[end - size : end].copy()
            yield piece
            if reuse:
                piece[0][:], piece[1][:] = 0, 0

    with np.errstate(all="ignore"):
        return ask(partial(answer, query.copy(), pieces()))


def which_pieces(given, got, right):
    if given[-1]:
        return (
            "a piece is gone once the next one is asked for, and your answer changed: keep running"
            " sums, not the pieces"
        )
    right, got = (numbers(part).round(3) for part in (right, got))
    return f"over all pieces together the context is {right}; yours is {got}"


EXERCISES["12.5"] = exercise(
    streaming_attention,
    streaming_cases,
    """
no rescaling: `np.exp(highest - new)` -> `1.0`
    when a higher score comes, what was summed up before was scaled by the old highest score:
    multiply it by exp(old highest - new highest)
own highest: `max(highest, scores.max())` -> `scores.max()` `np.exp(highest - new)` -> `1.0`
    each piece is scaled by its own highest score, so pieces with low scores count too much; one
    common scale is needed
sum only: `shrink * context` -> `context`
    the sum of the exponentials is rescaled when a higher score comes, the weighted sum of the
    values is not
mean of pieces: `shrink * total + parts.sum()` -> `total + 1`
    `shrink * context + parts @ value` -> `context + parts @ value / parts.sum()`
    this is the mean of the pieces' own contexts; a piece with high scores must count more
last piece: `shrink * total + ` -> `` `shrink * context + ` -> ``
    only the last piece counts in this; the pieces before it must be in the sums too
overflow: `max(highest, scores.max())` -> `0.0`
    with scores up to 1,000 the exponentials overflow: subtract the highest score seen so far
""",
    others={"kept": kept},
    otherwise=which_pieces,
    use=one_pass,
    same=("0.0 -> 1.0", "0.0 -> 1.0 (2)"),  # at the first piece both are multiplied by exp(-inf)
    hint=(
        "Keep three things: the highest score so far, the sum of exp(score - highest), and the same"
        " sum with the values. What happens to both sums when a higher score comes?"
    ),
    praise=(
        "the same context, with one running maximum and two running sums: memory no longer grows"
        " with the source."
    ),
)
