"""Exercises of lesson 12: attention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from course_utils.exercises import Exercise, Wrong
from course_utils.proofs import relative_error

Array = NDArray[Any]
Links = set[tuple[int, int]]


def same(a: Any, b: Any) -> bool:
    """Equal shapes and nearly equal numbers."""
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))


# ---------------------------------------------------------------- 12.1 one query


def one_context(scores: Array, value: Array, length: int) -> Array:
    if length == 0:
        return np.zeros(value.shape[1])
    parts = np.exp(scores[:length] - scores[:length].max())  # the highest becomes exp(0) = 1
    return parts / parts.sum() @ value[:length]


def _soft(scores: Array) -> Array:
    parts = np.exp(scores - scores.max())
    return parts / parts.sum()


CONTEXT_MISTAKES: dict[str, tuple[str, Callable[[Array, Array, int], Array]]] = {
    "ignores the length": ("padding got weight: only the first `length` places are real", lambda s, v, n: _soft(s) @ v),
    "zero after the softmax": (
        "the weights of the real places do not sum to 1: padding was cut off after the softmax; cut it off before",
        lambda s, v, n: _soft(s)[:n] @ v[:n],
    ),
    "score 0": (
        "padding got the score 0, and exp(0) = 1 is a weight like any other; its score must be minus infinity, or be left out",
        lambda s, v, n: _soft(np.where(np.arange(len(s)) < n, s, 0.0)) @ v,
    ),
    "plain mean": ("this is the plain mean of the real values; the weights come from the scores", lambda s, v, n: v[:n].mean(axis=0)),
    "not divided": (
        "the exponentials are not divided by their sum, so the weights do not sum to 1",
        lambda s, v, n: np.exp(s[:n] - s[:n].max()) @ v[:n],
    ),
    "scores as weights": ("these are the scores themselves, not their softmax", lambda s, v, n: s[:n] @ v[:n]),
}


def _overflowing(scores: Array, value: Array, length: int) -> Array:
    parts = np.exp(scores[:length])
    return np.zeros(value.shape[1]) if length == 0 else parts / parts.sum() @ value[:length]


def _nan_when_empty(scores: Array, value: Array, length: int) -> Array:
    parts = np.exp(scores[:length] - scores[:length].max(initial=-np.inf))
    return parts @ value[:length] / parts.sum()


def _highest_of_all(scores: Array, value: Array, length: int) -> Array:
    parts = np.exp(scores - scores.max())[:length]
    return parts / (parts.sum() or 1) @ value[:length]


def check_context(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(0)
    for size, length in ((5, 3), (4, 4), (6, 1)):
        scores, value = rng.standard_normal(size), rng.standard_normal((size, 3))
        got, right = answer(scores.copy(), value.copy(), length), one_context(scores, value, length)
        if same(got, right):
            continue
        for sentence, mistake in CONTEXT_MISTAKES.values():
            if same(got, mistake(scores, value, length)) and not same(mistake(scores, value, length), right):
                raise Wrong(sentence)
        raise Wrong(f"for scores {scores.round(2)} and length {length} the context is {right.round(3)}; yours is {np.round(got, 3)}")
    with np.errstate(all="ignore"):
        big, value = np.array([1000.0, 1000.0 + np.log(3), 0.0]), np.array([[8.0], [4.0], [1.0]])
        if not same(answer(big.copy(), value.copy(), 2), [5.0]):
            raise Wrong("with scores near 1,000 the exponential overflows; subtract the highest real score first, which changes no weight")
        if not same(answer(np.array([0.0, np.log(3), 1000.0]), value.copy(), 2), [5.0]):
            raise Wrong("padding with a score of 1,000 changed the context: the score to subtract is the highest of the real places, not of all")
        try:
            empty = answer(rng.standard_normal(4), rng.standard_normal((4, 3)), 0)
        except Exception as error:
            raise Wrong(f"with length 0 your code raised {type(error).__name__}; nothing is real, so return zeros of shape (E,)") from error
    if not same(empty, np.zeros(3)):
        raise Wrong("with length 0 nothing is real: return zeros of shape (E,), no NaN")
    return "the weights of the real places sum to 1, no score is too large, and who can look nowhere sees nothing."


# ---------------------------------------------------------------- 12.2 alignment error rate


def error_rate(found: Links, sure: Links, possible: Links) -> float:
    allowed = possible | sure
    return 1 - (len(found & sure) + len(found & allowed)) / (len(found) + len(sure))


AER_MISTAKES: dict[str, tuple[str, Callable[[Links, Links, Links], float]]] = {
    "sure links only": (
        "this is the formula without possible links: a found link that is only possible is no mistake",
        lambda a, r, p: 1 - 2 * len(a & r) / (len(a) + len(r)),
    ),
    "possible without sure": (
        "every sure link is also possible, even where `possible` does not list it: use possible | sure",
        lambda a, r, p: 1 - (len(a & r) + len(a & p)) / (len(a) + len(r)),
    ),
    "possible in the denominator": (
        "the denominator is |A| + |R|: possible links need not be found, so they are not counted there",
        lambda a, r, p: 1 - (len(a & r) + len(a & (p | r))) / (len(a) + len(p | r)),
    ),
    "not subtracted from 1": (
        "this is the share of agreement; the error rate is 1 minus it",
        lambda a, r, p: (len(a & r) + len(a & (p | r))) / (len(a) + len(r)),
    ),
    "precision only": (
        "this only asks whether the found links are allowed; sure links that were not found must count too",
        lambda a, r, p: 1 - len(a & (p | r)) / len(a),
    ),
    "recall only": (
        "this only asks whether the sure links were found; found links that are not allowed must count too",
        lambda a, r, p: 1 - len(a & r) / len(r),
    ),
}


def check_aer(answer: Callable[..., Any]) -> str:
    cases: list[tuple[Links, Links, Links]] = [
        ({(0, 0), (1, 1), (2, 2), (3, 1)}, {(0, 0), (1, 1), (4, 4)}, {(2, 2), (5, 5)}),
        ({(0, 0), (1, 2)}, {(0, 0), (1, 1), (2, 2)}, {(0, 0), (1, 1), (2, 2), (1, 2), (3, 3)}),
        ({(0, 0)}, {(0, 0)}, set()),
    ]
    for found, sure, possible in cases:
        given = set(found), set(sure), set(possible)
        got, right = answer(*given), error_rate(found, sure, possible)
        if given != (found, sure, possible):
            raise Wrong("the sets that were given are changed; use | and & and not |= or update")
        if same(got, right):
            continue
        for sentence, mistake in AER_MISTAKES.values():
            if same(got, mistake(found, sure, possible)):
                raise Wrong(sentence)
        raise Wrong(f"for found {sorted(found)}, sure {sorted(sure)}, possible {sorted(possible)} the AER is {right:.3f}; yours is {got}")
    return "without links that are only possible it is the formula of the lesson, 1 minus F1."


# ---------------------------------------------------------------- 12.3 the cosine score


def cosine_backward(dscores: Array, query: Array, key: Array, beta: float) -> dict[str, Any]:
    query_size, key_size = (np.linalg.norm(array, axis=2, keepdims=True) for array in (query, key))  # (N, T, 1), (N, S, 1)
    q, k = query / query_size, key / key_size  # of length 1
    cosines = q @ k.transpose(0, 2, 1)  # (N, T, S)
    dq, dk = beta * dscores @ k, beta * dscores.transpose(0, 2, 1) @ q
    dquery = (dq - q * (dq * q).sum(axis=2, keepdims=True)) / query_size  # what points along q only changes its length
    dkey = (dk - k * (dk * k).sum(axis=2, keepdims=True)) / key_size
    return {"query": dquery, "key": dkey, "beta": float((dscores * cosines).sum())}


def _cosine_wrong(mistake: str) -> Callable[..., dict[str, Any]]:
    def answer(dscores: Array, query: Array, key: Array, beta: float) -> dict[str, Any]:
        right = cosine_backward(dscores, query, key, beta)
        sizes = {name: np.linalg.norm(array, axis=2, keepdims=True) for name, array in (("query", query), ("key", key))}
        q, k = query / sizes["query"], key / sizes["key"]
        if mistake == "norms as constants":
            back = beta * dscores
            return {**right, "query": back @ k / sizes["query"], "key": back.transpose(0, 2, 1) @ q / sizes["key"]}
        if mistake == "not divided by the norm":
            return {**right, "query": right["query"] * sizes["query"], "key": right["key"] * sizes["key"]}
        if mistake == "beta forgotten":
            return {**right, "query": right["query"] / beta, "key": right["key"] / beta}
        if mistake == "as for the dot score":
            return {**right, "query": dscores @ key, "key": dscores.transpose(0, 2, 1) @ query}
        if mistake == "beta times cosine":
            return {**right, "beta": right["beta"] * beta}
        return {**right, "beta": float(dscores.sum())}

    return answer


COSINE_MISTAKES = {
    "norms as constants": "the norms are treated as constants; they depend on query and key too: take away the part of the gradient that points along the vector",
    "not divided by the norm": "the last step is missing: from the vector of length 1 back to the vector itself, which divides by its norm",
    "beta forgotten": "the gradients by query and key lack the factor beta",
    "as for the dot score": "these are the dot score's gradients; here both vectors are first divided by their norms",
    "beta times cosine": "the gradient by beta is the sum of dscores times the cosine, without beta: the derivative of beta times c by beta is c",
    "beta without cosine": "the gradient by beta is the sum of dscores times the cosine; yours is the sum of dscores alone",
}


def check_cosine(answer: Callable[..., Any]) -> str:
    for seed, beta in ((1, 2.5), (2, 0.7)):
        rng = np.random.default_rng(seed)
        query, key, dscores = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 5, 4)), rng.standard_normal((2, 3, 5))
        q, k, b = (torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in (query, key, beta))
        scores = b * (q / q.norm(dim=2, keepdim=True)) @ (k / k.norm(dim=2, keepdim=True)).transpose(1, 2)
        (scores * torch.from_numpy(dscores)).sum().backward()  # type: ignore[no-untyped-call]
        true = {"query": q.grad, "key": k.grad, "beta": b.grad}
        got = answer(dscores.copy(), query.copy(), key.copy(), beta)
        if not isinstance(got, dict) or set(got) != set(true):
            raise Wrong("return a dictionary with exactly the keys query, key and beta")
        for name, shape in (("query", query.shape), ("key", key.shape), ("beta", ())):
            if np.shape(got[name]) != shape:
                raise Wrong(f"the gradient by {name} has shape {np.shape(got[name])}; it must be {shape}")
        wrong = [name for name in true if not relative_error(np.asarray(got[name]), np.asarray(true[name])) < 1e-8]
        if not wrong:
            continue
        for mistake, sentence in COSINE_MISTAKES.items():
            theirs = _cosine_wrong(mistake)(dscores, query, key, beta)
            if all(relative_error(np.asarray(got[name]), np.asarray(theirs[name])) < 1e-8 for name in wrong) and not all(
                relative_error(np.asarray(theirs[name]), np.asarray(true[name])) < 1e-8 for name in wrong
            ):
                raise Wrong(sentence)
        raise Wrong(f"wrong: the gradients by {', '.join(wrong)}. Go in two steps: vectors of length 1 first, then their dot product")
    return "all three equal autograd's. A gradient along the vector itself would only change its length, which the cosine does not see."


# ---------------------------------------------------------------- 12.4 find the bug


class RepairedAttention(nn.Module):
    def forward(self, query: Tensor, key: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        scores = query @ key.transpose(1, 2)  # (N, T, S)
        scores = scores.masked_fill(~mask[:, None], -1e9)
        weights = torch.softmax(scores, dim=2)  # here: over the source places; dim=1 runs over the target steps
        return weights @ key, weights


def _repair(dim: int, mask_when: str = "before") -> type[nn.Module]:
    class Attention(nn.Module):
        def forward(self, query: Tensor, key: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
            scores = query @ key.transpose(1, 2)
            weights = torch.softmax(scores.masked_fill(~mask[:, None], -1e9) if mask_when == "before" else scores, dim=dim)
            weights = weights * mask[:, None] if mask_when == "after" else weights
            return weights @ key, weights

    return Attention


def check_repair(answer: Any) -> str:
    generator = torch.Generator().manual_seed(3)
    query, key = (torch.randn(2, steps, 4, generator=generator) for steps in (3, 5))
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    module = answer() if isinstance(answer, type) else answer
    result = module(query, key, mask)
    if not isinstance(result, tuple) or len(result) != 2:
        raise Wrong("return the context and the weights, both, as the doubtful version does")
    (context, weights), (right, right_weights) = result, RepairedAttention()(query, key, mask)
    if weights.shape != right_weights.shape:
        raise Wrong(f"the weights have shape {tuple(weights.shape)}; they must be (N, T, S) = {tuple(right_weights.shape)}")
    if torch.allclose(context, right, atol=1e-5) and torch.allclose(weights, right_weights, atol=1e-5):
        return "a step must not depend on the other steps: one at a time, a softmax over the steps gives every place the weight 1."
    total = weights.sum(dim=2)
    if torch.allclose(weights, _repair(1)()(query, key, mask)[1], atol=1e-5):
        raise Wrong("this is the doubtful version still: give it all three steps, then the first step alone, and compare the first row of weights")
    if torch.allclose(weights, _repair(0)()(query, key, mask)[1], atol=1e-5):
        raise Wrong("now the softmax runs over the sequences of the batch; over which axis must the weights of one query sum to 1?")
    if (weights * ~mask[:, None]).abs().max() > 1e-6:
        raise Wrong("padding has weight: the line with the mask was right before")
    if not torch.allclose(total, torch.ones_like(total), atol=1e-5):
        raise Wrong("the weights of a step do not sum to 1 over the real places: the mask must act before the softmax, as it did")
    if torch.allclose(weights, right_weights, atol=1e-5):
        raise Wrong("the weights are right now, the context is not: it is weights @ key, as before")
    raise Wrong("the weights sum to 1 now, but they are not the softmax of the scores; only one line had to change")


# ---------------------------------------------------------------- 12.5 in one pass


def streaming_attention(query: Array, pieces: Iterable[tuple[Array, Array]]) -> Any:
    highest, total, context = -np.inf, 0.0, 0.0
    for key, value in pieces:
        scores = key @ query  # (S',)
        new = max(highest, scores.max())
        old, parts = np.exp(highest - new), np.exp(scores - new)  # old: how much what was summed up so far shrinks
        total = old * total + parts.sum()
        context = old * context + parts @ value  # (E,)
        highest = new
    return context / total


def _streaming_wrong(mistake: str) -> Callable[[Array, Iterable[tuple[Array, Array]]], Any]:
    def answer(query: Array, pieces: Iterable[tuple[Array, Array]]) -> Any:
        if mistake == "kept":
            kept = list(pieces)
            return _soft(np.concatenate([key for key, _ in kept]) @ query) @ np.concatenate([value for _, value in kept])
        highest, total, context, means = -np.inf, 0.0, 0.0, []
        for key, value in pieces:
            scores = key @ query
            new = 0.0 if mistake == "overflow" else scores.max() if mistake == "own highest" else max(highest, scores.max())
            old, parts = 1.0 if mistake in ("overflow", "own highest", "no rescaling") else np.exp(highest - new), np.exp(scores - new)
            total = old * total + parts.sum()
            context = (context if mistake == "sum only" else old * context) + parts @ value
            means.append(parts @ value / parts.sum())
            highest = new
        return means[-1] if mistake == "last piece" else np.mean(means, axis=0) if mistake == "mean of pieces" else context / total

    return answer


STREAMING_MISTAKES = {
    "no rescaling": "when a higher score comes, what was summed up before was scaled by the old highest score: multiply it by exp(old highest - new highest)",
    "own highest": "each piece is scaled by its own highest score, so pieces with low scores count too much; one common scale is needed",
    "sum only": "the sum of the exponentials is rescaled when a higher score comes, the weighted sum of the values is not",
    "mean of pieces": "this is the mean of the pieces' own contexts; a piece with high scores must count more",
    "last piece": "only the last piece counts in this; the pieces before it must be in the sums too",
}


def check_streaming(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(4)
    query, key, value = rng.standard_normal(3), rng.standard_normal((12, 3)), rng.standard_normal((12, 2))

    def pieces(keys: Array, reuse: bool) -> Iterator[tuple[Array, Array]]:
        """Pieces of 5, 4 and 3 places; reuse: each piece is overwritten when the next is asked for."""
        for places in (slice(0, 5), slice(5, 9), slice(9, 12)):
            piece = keys[places].copy(), value[places].copy()
            yield piece
            if reuse:
                piece[0][:], piece[1][:] = 0, 0

    for keys in (key, key[::-1] * 2):
        got, right = answer(query, pieces(keys, False)), _soft(keys @ query) @ value
        if same(got, right):
            continue
        for mistake, sentence in STREAMING_MISTAKES.items():
            if same(got, _streaming_wrong(mistake)(query, pieces(keys, False))):
                raise Wrong(sentence)
        raise Wrong(f"over all pieces together the context is {right.round(3)}; yours is {np.round(got, 3)}")
    if not same(answer(query, pieces(key, True)), _soft(key @ query) @ value):
        raise Wrong("a piece is gone once the next one is asked for, and your answer changed: keep running sums, not the pieces")
    with np.errstate(all="ignore"):
        large = np.array([[0.0], [900.0], [1000.0]]) * query / (query @ query)  # scores 0, 900, 1000
        if not same(answer(query, ((row[None], np.array([[k]])) for k, row in zip((1.0, 2.0, 3.0), large))), [3.0]):
            raise Wrong("with scores up to 1,000 the exponentials overflow: subtract the highest score seen so far")
    return "the same context, with one running maximum and two running sums: memory no longer grows with the source."


EXERCISES = {
    "12.1": Exercise(
        check=check_context,
        hint="Work on scores[:length] alone: subtract its maximum, take exp, divide by the sum. What does .max() say of an empty array?",
        solution=one_context,
        wrong={**{name: mistake for name, (_, mistake) in CONTEXT_MISTAKES.items()}, "overflow": _overflowing, "NaN for length 0": _nan_when_empty,
               "highest of all": _highest_of_all},  # fmt: skip
    ),
    "12.2": Exercise(
        check=check_aer,
        hint="Sets know & and |. First make the set of all links that are allowed.",
        solution=error_rate,
        wrong={name: mistake for name, (_, mistake) in AER_MISTAKES.items()},
    ),
    "12.3": Exercise(
        check=check_cosine,
        hint="Name the vectors of length 1: q / |q| and k / |k|. Their dot product you know. For one vector u = q / |q|: du/dq is (1 - u uᵀ) / |q|.",
        solution=cosine_backward,
        wrong={mistake: _cosine_wrong(mistake) for mistake in (*COSINE_MISTAKES,)},
    ),
    "12.4": Exercise(
        check=check_repair,
        hint="Ask of each line: does the result for step t depend on any other step? Over which axis should the weights sum to 1?",
        solution=RepairedAttention,
        wrong={
            "unchanged": _repair(1),
            "over the batch": _repair(0),
            "mask dropped": _repair(2, "never"),
            "mask after the softmax": _repair(2, "after"),
        },
    ),
    "12.5": Exercise(
        check=check_streaming,
        hint="Keep three things: the highest score so far, the sum of exp(score - highest), and the same sum with the values. What happens to both sums when a higher score comes?",
        solution=streaming_attention,
        wrong={mistake: _streaming_wrong(mistake) for mistake in ("overflow", *STREAMING_MISTAKES, "kept")},
    ),
}
