"""Lesson 06, language models: checks, hints, solutions and typical wrong answers of its exercises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from course_utils import text
from course_utils.exercises import Exercise, Wrong

Array = NDArray[Any]


def same(a: Any, b: Any) -> bool:
    """Whether two arrays have one shape and the same numbers."""
    return np.shape(a) == np.shape(b) and bool(np.allclose(np.asarray(a, float), b))


# ---- 6.1 perplexity ----------------------------------------------------------------------------------------------


def right_perplexity(probabilities: Array) -> float:
    return float(np.exp(-np.log(probabilities).mean()))


def check_perplexity(answer: Callable[[Array], float]) -> str:
    rng = np.random.default_rng(61)
    for count in (1, 4, 9):
        p = rng.uniform(0.01, 0.9, count)
        nats = -np.log(p).mean()
        given = answer(p.copy())
        if np.shape(given) != ():
            raise Wrong(f"a perplexity is one number; yours has the shape {np.shape(given)}")
        if same(given, np.exp(nats)):
            continue
        if same(given, nats):
            raise Wrong("that is the cross-entropy in nats; the perplexity is its exponential")
        if same(given, np.exp(-nats)):
            raise Wrong("that is the geometric mean of the probabilities; a minus sign is missing in the exponent")
        if same(given, 1 / np.prod(p)):
            raise Wrong("that grows with the number of tokens: take the mean of the -ln p, not the sum")
        if same(given, 1 / p.mean()) or same(given, (1 / p).mean()):
            raise Wrong("the mean must be taken of the logarithms, not of the probabilities or of their inverses")
        if same(given, np.exp(nats / np.log(2))) or same(given, 2**nats):
            raise Wrong("bits and nats are mixed: exp goes with ln, 2** goes with log2; the result is then the same")
        raise Wrong(f"for the probabilities {p.round(3)} it is {np.exp(nats):.3f}, yours is {float(given):.3f}")
    return "the perplexity is the inverse of the geometric mean: equal to V for a model that gives each of V words 1/V."


# ---- 6.2 temperature ---------------------------------------------------------------------------------------------


def right_temperature(p: Array, tau: float) -> Array:
    powers = p ** (1 / tau)  # exp(ln p / tau): ln p differs from the logits by a constant alone
    return np.asarray(powers / powers.sum())


def check_temperature(answer: Callable[[Array, float], Array]) -> str:
    rng = np.random.default_rng(62)
    for tau in (0.5, 2.0, 1.0):
        p = rng.dirichlet(np.ones(6))
        right, given = right_temperature(p, tau), answer(p.copy(), tau)
        if np.shape(given) != p.shape:
            raise Wrong(f"p has the shape {p.shape}, so has the result; yours has {np.shape(given)}")
        if same(given, right):
            continue
        if same(given, p ** (1 / tau)):
            raise Wrong("the powers are right, but they do not sum to 1: divide by their sum")
        if same(given, p**tau / (p**tau).sum()):
            raise Wrong("upside down: a temperature below 1 must make the distribution sharper; the exponent is 1 / tau")
        if same(given, p):
            raise Wrong("nothing has changed: dividing the probabilities themselves by tau is undone by the scaling to 1")
        soft = np.exp(p / tau) / np.exp(p / tau).sum()
        if same(given, soft):
            raise Wrong("softmax expects logits, and p are probabilities: take ln p first, which is as good as the logits")
        raise Wrong(f"for tau = {tau} and p = {p.round(3)} the result is {right.round(3)}")
    return "ln p differs from the logits by one constant, and softmax does not see constants."


# ---- 6.3 min-p ---------------------------------------------------------------------------------------------------


def right_min_p(p: Array, share: float) -> Array:
    kept = np.where(p >= share * p.max(), p, 0)
    return np.asarray(kept / kept.sum())


def check_min_p(answer: Callable[[Array, float], Array]) -> str:
    cases = [(np.array([0.125, 0.5, 0.25, 0.125]), 0.5), (np.array([0.125, 0.5, 0.25, 0.125]), 0.25)]
    cases += [(np.random.default_rng(63).dirichlet(np.ones(8)), 0.3), (np.full(4, 0.25), 1.0)]
    for p, share in cases:
        right, given = right_min_p(p, share), answer(p.copy(), share)
        told = f"p = {p.round(3)}, share = {share}"
        if np.shape(given) != p.shape:
            raise Wrong(f"keep the shape {p.shape}, with 0 for what is cut; yours is {np.shape(given)}")
        if same(given, right):
            continue
        if same(given, np.where(right > 0, p, 0)):
            raise Wrong("the right words are kept, but they do not sum to 1: divide by their sum")
        strict = np.where(p > share * p.max(), p, 0)
        if (strict.sum() == 0 and not np.isfinite(given).all()) or (strict.sum() and same(given, strict / strict.sum())):
            raise Wrong(f"the border belongs to it: 'at least' is >=, not > ({told})")
        absolute = np.where(p >= share, p, 0)
        if (absolute.sum() and same(given, absolute / absolute.sum())) or (not absolute.sum() and not np.isfinite(given).all()):
            raise Wrong("the threshold is relative: share times the largest probability, not share itself")
        if np.isfinite(given).all() and (np.asarray(given) > 0).sum() == 1 < (right > 0).sum():
            raise Wrong(f"only one word is left; all that reach the threshold stay, ties too ({told})")
        raise Wrong(f"for {told} the result is {right.round(3)}")
    return "like the nucleus it is wide where the model hesitates and narrow where it is sure, with no sorting."


def only_one(p: Array, share: float) -> Array:
    return np.eye(len(p))[p.argmax()]


# ---- 6.4 find the bug --------------------------------------------------------------------------------------------


def right_loss(model: Any, batch: Any) -> torch.Tensor:
    ids = torch.from_numpy(text.pad(batch[0])[0])  # (N, T + 1)
    logits, _ = model(ids[:, :-1])  # reads all but the last ...
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=text.PAD)  # ... and predicts all but the first


class Table(torch.nn.Module):
    """A bigram model: scores depend on the current id alone."""

    def __init__(self, V: int) -> None:
        super().__init__()
        self.scores = torch.nn.Parameter(torch.randn(V, V, generator=torch.Generator().manual_seed(64)))

    def forward(self, ids: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, None]:
        return self.scores[ids], None


def loss_by(inputs: slice, targets: slice, ignore: bool = True) -> Callable[[Any, Any], torch.Tensor]:
    """A loss that reads ids[:, inputs] and is held against ids[:, targets]."""

    def loss(model: Any, batch: Any) -> torch.Tensor:
        ids = torch.from_numpy(text.pad(batch[0])[0])
        logits, _ = model(ids[:, inputs])
        skip = text.PAD if ignore else -100
        return F.cross_entropy(logits.flatten(0, 1), ids[:, targets].flatten(), ignore_index=skip)

    return loss


ALL, FRONT, BACK = slice(None), slice(None, -1), slice(1, None)


def check_loss(answer: Callable[[Any, Any], torch.Tensor]) -> str:
    model, batch = Table(9), ([[2, 4, 5, 6, 7, 3], [2, 8, 3], [2, 5, 4, 3]],)
    given = answer(model, batch)
    if not isinstance(given, torch.Tensor) or given.ndim != 0:
        raise Wrong("return the loss as one tensor without axes, as F.cross_entropy gives it, so that backward() can start from it")
    if not given.requires_grad:
        raise Wrong("the loss has lost its way back to the weights: no detach, item or no_grad inside")
    value = float(given.detach())
    typical = {
        "still the bug: each input is its own target, so copying is enough; the target is the NEXT token": (loss_by(ALL, ALL), loss_by(FRONT, FRONT), loss_by(BACK, BACK)),
        "shifted the wrong way: the model reads a token and is asked for the one before it": (loss_by(BACK, FRONT),),
        "shifted rightly, but padding is counted as if it were text: ignore_index=text.PAD": (loss_by(FRONT, BACK, ignore=False),),
    }
    for message, wrongs in typical.items():
        if any(np.isclose(value, float(wrong(model, batch).detach())) for wrong in wrongs):
            raise Wrong(message)
    if not np.isclose(value, float(right_loss(model, batch).detach())):
        raise Wrong("not the mean over all real next tokens: <eos> is a target as well, <sos> is none, and each real token weighs the same")
    return "inputs are all but the last token, targets all but the first; a perplexity below the floor had given it away."


# ---- 6.5 Kneser-Ney ----------------------------------------------------------------------------------------------


def right_kneser_ney(pairs: Array, d: float) -> Array:
    seen = pairs > 0  # (V, V)
    continuation = seen.sum(axis=0) / seen.sum()  # (V,): after how many different words
    total = pairs.sum(axis=1, keepdims=True)  # (V, 1)
    mixed = np.maximum(pairs - d, 0) + d * seen.sum(axis=1, keepdims=True) * continuation
    return np.asarray(np.where(total > 0, mixed / np.maximum(total, 1), continuation))


def fall_back(pairs: Array, d: float, kind: str) -> Array:
    """Wrong in one place, named by kind."""
    seen, total = pairs > 0, pairs.sum(axis=1, keepdims=True)
    shorter = {"often": pairs.sum(axis=0) / pairs.sum(), "rows": seen.sum(axis=1) / seen.sum()}.get(kind, seen.sum(axis=0) / seen.sum())
    weight = total if kind == "all" else seen.sum(axis=1, keepdims=True)
    mixed = np.maximum(pairs - d, 0) + (0 if kind == "lost" else d * weight * shorter)
    result = mixed / np.maximum(total, 1)
    return np.asarray(result if kind == "empty" else np.where(total > 0, result, shorter))


def check_kneser_ney(answer: Callable[[Array, float], Array]) -> str:
    rng = np.random.default_rng(65)
    for d in (0.75, 0.4):
        pairs = rng.poisson(0.9, (6, 6)).astype(float) * rng.integers(1, 4, (6, 6))
        pairs[2] = 0
        pairs[:, 4] = 0
        right, given = right_kneser_ney(pairs, d), answer(pairs.copy(), d)
        if np.shape(given) != pairs.shape:
            raise Wrong(f"one row of probabilities for each context: the shape is {pairs.shape}, yours is {np.shape(given)}")
        if same(given, right):
            continue
        if same(given, fall_back(pairs, d, "often")):
            raise Wrong("the fallback is the plain unigram, how often a word came; count the different words before it")
        if same(given, fall_back(pairs, d, "rows")):
            raise Wrong("wrong axis: you count how many words came after w; P_cont counts how many different ones came before it")
        if same(given, fall_back(pairs, d, "lost")):
            raise Wrong("what the discount takes away is lost: deal it out, d times the number of different words after the context, by P_cont")
        if same(np.nan_to_num(np.asarray(given, float)[[0, 1, 3, 4, 5]]), right[[0, 1, 3, 4, 5]]):
            raise Wrong("all is right but the context that never came: its row must be P_cont, and nothing may be divided by 0")
        sums = np.asarray(given, float).sum(axis=1)
        if not np.allclose(sums, 1):
            raise Wrong(f"the rows sum to {sums.round(2)}, not to 1: how much does the discount take from a row in all?")
        raise Wrong("the rows sum to 1, the numbers are not those of the formula: check P_cont, and that counts are discounted once, not below 0")
    return "your bigram falls back on how much company a word keeps. Put it on the grammar's sentences beside the plain one."


EXERCISES = {
    "6.1": Exercise(
        check=check_perplexity,
        hint="First the surprise of each token, -ln p; then one mean over them; then back from the logarithm.",
        solution=right_perplexity,
        wrong={
            "nats": lambda p: -np.log(p).mean(),
            "sign lost": lambda p: np.exp(np.log(p).mean()),
            "sum, not mean": lambda p: np.exp(-np.log(p).sum()),
            "mean of probabilities": lambda p: 1 / p.mean(),
            "bits under exp": lambda p: np.exp(-np.log2(p).mean()),
            "one for each token": lambda p: 1 / p,
        },
    ),
    "6.2": Exercise(
        check=check_temperature,
        hint="p is proportional to exp(a). What is exp(a / tau) in terms of exp(a)? And what must the result sum to?",
        solution=right_temperature,
        wrong={
            "not scaled": lambda p, tau: p ** (1 / tau),
            "upside down": lambda p, tau: p**tau / (p**tau).sum(),
            "softmax of probabilities": lambda p, tau: np.exp(p / tau) / np.exp(p / tau).sum(),
            "divided": lambda p, tau: (p / tau) / (p / tau).sum(),
        },
    ),
    "6.3": Exercise(
        check=check_min_p,
        hint="One comparison of the whole array with one number; np.where puts 0 elsewhere; then divide by the sum.",
        solution=right_min_p,
        wrong={
            "border left out": lambda p, share: np.where(p > share * p.max(), p, 0) / max(np.where(p > share * p.max(), p, 0).sum(), 1e-300),
            "absolute threshold": lambda p, share: np.where(p >= share * 0.8, p, 0) / max(np.where(p >= share * 0.8, p, 0).sum(), 1e-300),
            "share itself": lambda p, share: np.where(p >= share / 2, p, 0),
            "not scaled": lambda p, share: np.where(p >= share * p.max(), p, 0),
            "the best alone": only_one,
            "cut out": lambda p, share: p[p >= share * p.max()],
        },
    ),
    "6.4": Exercise(
        check=check_loss,
        hint="At which step does the model read 'dogs', and which token is its logits row held against? In a language model, which should it be?",
        solution=right_loss,
        wrong={
            "nothing changed": loss_by(ALL, ALL),
            "shifted backwards": loss_by(BACK, FRONT),
            "padding counted": loss_by(FRONT, BACK, ignore=False),
            "eos never a target": loss_by(slice(None, -2), slice(1, -1)),
            "a plain number": lambda model, batch: float(right_loss(model, batch).detach()),
        },
    ),
    "6.5": Exercise(
        check=check_kneser_ney,
        hint="seen = pairs > 0 holds all that is needed beside the counts: its column sums are P_cont's counts, its row sums are U(c).",
        solution=right_kneser_ney,
        wrong={
            "plain unigram": lambda pairs, d: fall_back(pairs, d, "often"),
            "wrong axis": lambda pairs, d: fall_back(pairs, d, "rows"),
            "discount lost": lambda pairs, d: fall_back(pairs, d, "lost"),
            "too much dealt out": lambda pairs, d: fall_back(pairs, d, "all"),
            "empty context": lambda pairs, d: fall_back(pairs, d, "empty"),
        },
    ),
}
