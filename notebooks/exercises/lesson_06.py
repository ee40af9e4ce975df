"""Exercises of lesson 06: language models and generation."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from course_utils import text
from course_utils.grading import Wrong, exercise
from course_utils.proofs import numbers

EXERCISES = {}

# 6.1 Perplexity


def perplexity_of(probabilities):
    return float(np.exp(-np.log(probabilities).mean()))


EXERCISES["6.1"] = exercise(
    perplexity_of,
    lambda: [(np.random.default_rng(61).uniform(0.01, 0.9, count),) for count in (4, 9, 1)],
    """
nats: `np.exp(-np.log(probabilities).mean())` -> `-np.log(probabilities).mean()`
    that is the cross-entropy in nats; the perplexity is its exponential
sign lost: `-np.log` -> `np.log`
    that is the geometric mean of the probabilities; a minus sign is missing in the exponent
sum, not mean: `.mean()` -> `.sum()`
    that grows with the number of tokens: take the mean of the -ln p, not the sum
mean of probabilities: `np.exp(-np.log(probabilities).mean())` -> `1 / probabilities.mean()`
    take the mean of the logarithms, not of the probabilities
mean of inverses: `np.exp(-np.log(probabilities).mean())` -> `(1 / probabilities).mean()`
    take the mean of the logarithms, not of the inverse probabilities
bits under exp: `np.log(` -> `np.log2(`
    bits and nats are mixed: exp goes with ln, and 2** goes with log2; the result is then the same
nats under 2: `np.exp(` -> `2 ** (`
    nats and bits are mixed: ln goes with exp, and log2 goes with 2**; the result is then the same
""",
    others={"one for each token": lambda probabilities: 1 / probabilities},
    hint=(
        "First the surprise of each token, -ln p; then one mean over them; then back from the"
        " logarithm."
    ),
    praise=(
        "the perplexity is the inverse of the geometric mean: equal to V for a model that gives"
        " each of V words 1/V."
    ),
)


# 6.2 Temperature without logits


def with_temperature(p, tau):
    powers = p ** (1 / tau)  # exp(ln p / tau): ln p differs from the logits by a constant alone
    return powers / powers.sum()


EXERCISES["6.2"] = exercise(
    with_temperature,
    lambda: [(np.random.default_rng(62).dirichlet(np.ones(6)), tau) for tau in (0.5, 2.0, 1.3)],
    """
not scaled: `powers / powers.sum()` -> `powers`
    the powers are right, but they do not sum to 1: divide by their sum
upside down: `(1 / tau)` -> `tau`
    upside down: a temperature below 1 must make the distribution sharper; the exponent is 1 / tau
softmax of probabilities: `p ** (1 / tau)` -> `np.exp(p / tau)`
    softmax expects logits, and p are probabilities: take ln p first, which is as good as the logits
divided: `p ** (1 / tau)` -> `p / tau`
    nothing has changed: dividing the probabilities themselves by tau is undone by the scaling to 1
""",
    hint=(
        "p is proportional to exp(a). What is exp(a / tau) in terms of exp(a)? And what must the"
        " result sum to?"
    ),
    praise="ln p differs from the logits by one constant, and softmax does not see constants.",
)


# 6.3 Min-p


def min_p(p, share):
    kept = np.where(p >= share * p.max(), p, 0)
    return kept / kept.sum()


def min_p_cases():
    yield np.array([0.06, 0.4, 0.15, 0.25, 0.04, 0.1]), 0.2
    yield np.array([0.125, 0.5, 0.25, 0.125]), 0.5  # 0.25 stands on the border
    yield np.array([0.125, 0.5, 0.25, 0.125]), 0.25
    yield np.full(4, 0.25), 1.0  # all are tied


EXERCISES["6.3"] = exercise(
    min_p,
    min_p_cases,
    """
border left out: `>=` -> `>`
    the border is included: "at least" is >=, not >
absolute threshold: `share * p.max()` -> `share`
    the threshold is relative: share times the largest probability, not share itself
not scaled: `kept / kept.sum()` -> `kept`
    the right words are kept, but they do not sum to 1: divide by their sum
the best alone: `p >= share * p.max()` -> `np.arange(len(p)) == p.argmax()`
    only one word is left; all that reach the threshold stay, ties too
cut out: `np.where(p >= share * p.max(), p, 0)` -> `p[p >= share * p.max()]`
    keep the shape of p, with 0 for what is cut; yours takes these entries out
cut out, not scaled: `np.where(p >= share * p.max(), p, 0)` -> `p[p >= share * p.max()]`
    `kept / kept.sum()` -> `kept`
    keep the shape of p, with 0 for what is cut, and divide by the sum; yours takes entries out
""",
    hint=(
        "One comparison of the whole array with one number; np.where puts 0 elsewhere; then divide"
        " by the sum."
    ),
    praise=(
        "like the nucleus it is wide where the model hesitates and narrow where it is sure, with no"
        " sorting."
    ),
)


# 6.4 Find the bug


def next_token_loss(model, batch):
    ids = torch.from_numpy(text.pad(batch[0])[0])  # (N, T + 1)
    logits, _ = model(ids[:, :-1])  # reads all but the last ...
    targets = ids[:, 1:]  # ... and predicts all but the first
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=text.PAD)


class Table(torch.nn.Module):
    """A bigram model: scores depend on the current id alone."""

    def __init__(self, V):
        super().__init__()
        scores = np.random.default_rng(64).standard_normal((V, V))
        self.scores = torch.nn.Parameter(torch.from_numpy(scores))

    def forward(self, ids, state=None):
        return self.scores[ids], None


def loss_cases():
    yield Table(9), ([[2, 4, 5, 6, 7, 3], [2, 8, 3], [2, 5, 4, 3]],)
    yield Table(9), ([[2, 6, 3], [2, 7, 7, 8, 3]],)


def starts_a_gradient(given, got):
    if not isinstance(got, torch.Tensor) or got.ndim != 0:
        raise Wrong(
            "return the loss as one tensor without axes, as F.cross_entropy gives it, so that"
            " backward() can start from it"
        )
    if not got.requires_grad:
        raise Wrong(
            "the loss has lost its way back to the weights: no detach, item or no_grad inside"
        )


EXERCISES["6.4"] = exercise(
    next_token_loss,
    loss_cases,
    """
nothing changed: `model(ids[:, :-1])` -> `model(ids)` `targets = ids[:, 1:]` -> `targets = ids`
    still the bug: each input is its own target, so copying is enough; the target is the NEXT token
cut alike at the end: `ids[:, 1:]` -> `ids[:, :-1]`
    still the bug: inputs and targets are both cut at the end, so that each input is its own target;
    the target is the NEXT token
cut alike at the front: `ids[:, :-1]` -> `ids[:, 1:]`
    still the bug: inputs and targets are both cut at the front, so that each input is its own
    target; the target is the NEXT token
shifted backwards: `model(ids[:, :-1])` -> `model(ids[:, 1:])`
    `targets = ids[:, 1:]` -> `targets = ids[:, :-1]`
    shifted the wrong way: the model reads a token and is asked for the one before it
padding counted: `ignore_index=text.PAD` -> `ignore_index=-100`
    the shift is right, but padding is counted as if it were text: ignore_index=text.PAD
eos never a target: `ids[:, :-1]` -> `ids[:, :-2]` `ids[:, 1:]` -> `ids[:, 1:-1]`
    the last column is never a target; but <eos> is one as well: the model must learn where to end
""",
    others={
        "a plain number": lambda model, batch: next_token_loss(model, batch).item(),
        "detached": lambda model, batch: next_token_loss(model, batch).detach(),
    },
    otherwise=lambda given, got, right: (
        "not the mean over all real next tokens: <eos> is a target as well, <sos> is none, and each"
        " real token weighs the same"
    ),
    form=starts_a_gradient,
    hint=(
        "At which step does the model read 'dogs', and which token is its logits row held against?"
        " In a language model, which should it be?"
    ),
    praise=(
        "inputs are all but the last token, targets all but the first; a perplexity below the floor"
        " gave the bug away."
    ),
)


# 6.5 Kneser-Ney


def kneser_ney(pairs, d):
    seen = pairs > 0  # (V, V)
    continuation = seen.sum(axis=0) / seen.sum()  # (V,): after how many different words
    total = pairs.sum(axis=1, keepdims=True)  # (V, 1)
    fallback = d * seen.sum(axis=1, keepdims=True) * continuation  # what the discount takes away
    mixed = (np.maximum(pairs - d, 0) + fallback) / np.maximum(total, 1)
    return np.where(total > 0, mixed, continuation)


def pair_counts():
    rng = np.random.default_rng(65)
    for d in (0.75, 0.4):
        pairs = 1.0 * rng.poisson(0.9, (6, 6)) * rng.integers(1, 4, (6, 6))
        pairs[[2, 5]] = 0  # context 2 never came, 5 only once, with word 0 behind it
        pairs[5, 0] = 1
        pairs[:, 4] = 0
        yield pairs, d


def rows_that_differ(given, got, right):
    got, came = numbers(got), given[0].sum(axis=1) > 0
    if np.allclose(got[came], right[came]):
        return (
            "all is right but the context that never came: its row must be P_cont, and nothing may"
            " be divided by 0"
        )
    sums = got.sum(axis=1)
    if not np.allclose(sums, 1):
        return (
            f"the rows sum to {sums.round(2)}, not to 1: how much does the discount take from a row"
            " in all?"
        )
    return (
        "the rows sum to 1, but the numbers are not those of the formula: check P_cont, and that"
        " counts are discounted once, not below 0"
    )


EXERCISES["6.5"] = exercise(
    kneser_ney,
    pair_counts,
    """
plain unigram: `seen.sum(axis=0) / seen.sum()` -> `pairs.sum(axis=0) / pairs.sum()`
    the fallback is the plain unigram, how often a word came; count the different words before it
wrong axis: `seen.sum(axis=0)` -> `seen.sum(axis=1)`
    wrong axis: you count how many different words came after w; P_cont counts how many came before
    it
discount lost: ` + fallback` -> ``
    what the discount takes away is lost: deal it out, d times the number of different words after
    the context, by P_cont
too much dealt out: `d * seen.sum(axis=1, keepdims=True)` -> `d * total`
    the rows sum to more than 1: the discount takes d from each *different* word after the context,
    so deal out d times their number, not d times how often the context came
""",
    others={
        "empty context": lambda pairs, d: kneser_ney(pairs, d) * (pairs.sum(axis=1)[:, None] > 0)
    },
    otherwise=rows_that_differ,
    hint=(
        "seen = pairs > 0 holds all that is needed beside the counts: its column sums are P_cont's"
        " counts, its row sums are U(c)."
    ),
    praise=(
        "your bigram falls back on how much company a word keeps. Put it on the grammar's sentences"
        " beside the plain one."
    ),
)
