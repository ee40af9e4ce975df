"""Exercises of lesson 15: the Transformer, trained."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.grading import Raised, Wrong, ask, autograd, exercise
from course_utils.grading.alike import is_numeric
from course_utils.grading.blocks import changed
from course_utils.models.transformer import TransformerTranslator, step
from course_utils.proofs import numbers
from course_utils.text import EOS, SOS

EXERCISES = {}


# 15.1 Another plan


def cosine_plan(t, warmup, total):
    if t <= warmup:
        return t / warmup
    u = min(1, (t - warmup) / (total - warmup))  # the share of the way down
    return 0.5 * (1 + np.cos(np.pi * u))


EXERCISES["15.1"] = exercise(
    cosine_plan,
    lambda: [*((t, 10, 50) for t in (75, 60, 1, 5, 10, 11, 20, 30, 41, 50)), (3, 4, 8)],
    """
from zero: `return t / warmup` -> `return (t - 1) / warmup`
    update 1 must not have the rate 0: t counts from 1, and the factor is t / warmup
no warm-up: `return t / warmup` -> `return 1`
    during warm-up the factor rises in a straight line; yours is 1 from the start
of the whole, then 0: `(t - warmup) / (total - warmup)` -> `t / total`
    the cosine begins where warm-up ends, at 1: u is (t - warmup) / (total - warmup), and yours is
    t / total
of the whole: `min(1, (t - warmup) / (total - warmup))` -> `t / total`
    the cosine begins where warm-up ends: u is (t - warmup) / (total - warmup), not t / total
no pi: `np.cos(np.pi * u)` -> `np.cos(u)`
    half a cosine ends at cos(pi) = -1; yours leaves out the pi, so the factor is far from 0 when t
    reaches total
too high: `0.5 * (1 +` -> `1 * (1 +`
    the cosine runs from 1 to -1, so 1 + cos(pi u) runs from 2 to 0: take half of it
straight: `0.5 * (1 + np.cos(np.pi * u))` -> `1 - u`
    this falls in a straight line; the plan follows half a cosine: slow, fast, slow
quarter: `0.5 * (1 + np.cos(np.pi * u))` -> `np.cos(np.pi / 2 * u)`
    this is a quarter of a cosine, which ends at its steepest; half of one goes from 1 to -1:
    (1 + cos(pi u)) / 2
again upwards: `min(1, (t - warmup) / (total - warmup))` -> `(t - warmup) / (total - warmup)`
    after the last update the cosine would climb again; the factor stays 0 there
""",
    otherwise=(
        "There are three cases, up to warmup, up to total and after it, and each has a factor"
    ),
    same=("t <= warmup -> t < warmup",),  # at the top both formulas give 1
    hint=(
        "Three cases: up to warmup, between, after total. In the second, u goes from 0 to 1. What"
        " is (1 + cos(pi u)) / 2 at 0, 1/2 and 1?"
    ),
    praise="a straight line up, half a cosine down: its slope is 0 at the top and at the end.",
)


# 15.2 The gradient of the smoothed loss


def smoothed_gradient(logits, target, mask, smoothing):
    V = logits.shape[2]
    parts = np.exp(logits - logits.max(axis=2, keepdims=True))
    p = parts / parts.sum(axis=2, keepdims=True)  # (N, T, V)
    q = (1 - smoothing) * np.eye(V)[target] + smoothing / V
    return (p - q) * mask[:, :, None] / mask.sum()


def smoothed_cases():
    """Sentences of 3 and 1 words, then of 2, 4 and 1, then logits as large as 1,000."""
    rng = np.random.default_rng(2)
    specs = ([3, 1], 5, 0.2, 1), ([2, 4, 1], 6, 0.1, 1), ([2, 3], 4, 0.3, 1000)
    for lengths, V, smoothing, size in specs:
        mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
        logits = size * rng.standard_normal((*mask.shape, V))
        yield logits, rng.integers(0, V, mask.shape), mask, smoothing


def smoothed_autograd(logits, target, mask, smoothing):
    def loss(logits):
        words = torch.from_numpy(target[mask])
        return F.cross_entropy(logits[torch.from_numpy(mask)], words, label_smoothing=smoothing)

    return autograd(loss, logits)[0]


EXERCISES["15.2"] = exercise(
    smoothed_gradient,
    smoothed_cases,
    """
not smoothed: `(1 - smoothing) * np.eye(V)[target] + smoothing / V` -> `np.eye(V)[target]`
    this is the gradient without smoothing: the target of every word v is
    (1 - smoothing) [v = y] + smoothing / V
others only: `smoothing / V` -> `smoothing / (V - 1) * (1 - np.eye(V)[target])`
    here the true word gets no part of the share `smoothing`; the formula gives smoothing / V to all
    V words, the true one too
sums to more: `(1 - smoothing) * ` -> ``
    the target must sum to 1: what is given to all words is taken from the true one, which keeps
    1 - smoothing
sign: `(p - q)` -> `(q - p)`
    the sign is turned: a probability that is too high has a positive gradient, p - q
padding learns: ` * mask[:, :, None]` -> ``
    padding has a gradient: where the mask is False it must be 0
sum: ` / mask.sum()` -> ``
    this is the gradient of the sum over the words; the loss is their mean, so divide by the number
    of real words
all positions: `mask.sum()` -> `mask.size`
    divide by the number of real words, not of all positions
no mask: ` * mask[:, :, None] / mask.sum()` -> ` / mask.size`
    the mask is not used: where it is False the gradient must be 0, and the mean is over the real
    words alone
sentences: `mask.sum()` -> `len(mask)`
    divide by the number of real words (mask.sum()), not of sentences: the loss is a mean over words
overflow: `logits - logits.max(axis=2, keepdims=True)` -> `logits`
    with logits near 1,000 the exponential overflows; subtract each row's highest logit first
""",
    truth=smoothed_autograd,
    hint=(
        "The gradient of one word's loss is p - q. Only real words count, and the loss is their"
        " mean. np.eye(V)[target] has the shape (N, T, V)."
    ),
    praise=(
        "p - q at real words, 0 at padding, and the whole sums to 0: what one word gains the others"
        " lose."
    ),
)


# 15.3 What a cache costs


def cache_bytes(N, T, layers, heads, key_heads, d, size):
    return 2 * layers * N * T * key_heads * d * size  # 2: a key and a value


EXERCISES["15.3"] = exercise(
    cache_bytes,
    lambda: [(3, 7, 9, 15, 5, 16, 4), (8, 4096, 80, 64, 8, 128, 2), (1, 5, 3, 4, 4, 6, 4)],
    """
keys alone: `2 * layers` -> `layers`
    a position keeps two vectors in each layer, a key and a value
query heads: `* key_heads` -> `* heads`
    the queries are not kept: count the key heads, of which there may be fewer
numbers: `d * size` -> `d`
    these are numbers, not bytes: each takes `size` bytes
one layer: `2 * layers` -> `2`
    every layer has its own keys and values
one sentence: `layers * N` -> `layers`
    each of the N sentences has a cache of its own
attention weights: `2 * layers * N * T * key_heads * d` -> `layers * N * T * T * heads`
    the attention weights (T x T) are not kept: only keys and values, so the cache grows in
    proportion to T
queries too: `2 * layers` -> `3 * layers`
    the queries are not kept: two vectors a head, a key and a value
values of their own: `2 * layers * N * T * key_heads` -> `layers * N * T * (heads + key_heads)`
    values are shared as keys are: key_heads of each
heads on a key: `* key_heads` -> `* (heads // key_heads)`
    heads / key_heads is how many query heads share one key head; what is kept are the key heads,
    key_heads of them
d shared out: `d * size` -> `d * size // heads`
    d is already the size of one head; it is not divided by the number of heads
""",
    hint=(
        "Count the numbers that one position keeps in one layer: a key and a value for each key"
        " head. Then multiply."
    ),
    praise=(
        "10.7 gigabytes with 8 key heads, 85.9 with 64: sharing them is what lets such a model"
        " serve several readers."
    ),
)


# 15.4 Find the bug


class RepairedTranslator(TransformerTranslator):
    def decode(self, memory, state, words):
        seen, mask = memory
        P = state.shape[2]  # here: the new words stand behind those in the cache
        x, caches = self.target(words) + self.table[P : P + words.shape[1]], []
        for layer, past, keys in zip(self.decoder, state, seen.unbind(1)):
            x, past = step(layer, x, past, keys, mask)
            caches.append(past)
        return self.head(self.decoder_norm(x)), torch.stack(caches)


def in_parts(answer, parts):
    """The logits and the cache of a class of translators that reads its words in such parts."""
    with torch.random.fork_rng(devices=[]):  # the same weights for all, and the reader's draws stay
        torch.default_generator.manual_seed(5)
        model = ask(answer, 9, 8, 12, layers=3, heads=4).double().eval().requires_grad_(False)
    memory, state = ask(model.encode, torch.tensor([[4, 5, 6, EOS], [7, 8, EOS, 0]]))
    words, logits = torch.tensor([[SOS, 4, 6, 7, 5], [SOS, 5, 4, 4, 6]]), []
    for part in words.split(parts, dim=1):
        try:
            result = ask(model.decode, memory, state, part)
        except Raised as error:
            if not isinstance(error.__cause__, RuntimeError):
                raise
            raise Wrong(
                f"with the words cut into parts of {parts} a call fails"
                f" ({str(error.__cause__)[:60]}...): T words behind P others need the rows P to P +"
                " T - 1 of the table"
            ) from error
        if not (
            isinstance(result, (tuple, list)) and [*map(torch.is_tensor, result)] == [True] * 2
        ):
            raise Wrong("decode returns two tensors: the logits and the longer cache")
        new, state = result
        logits.append(new)
    return torch.cat(logits, dim=1), state


EXERCISES["15.4"] = exercise(
    RepairedTranslator,
    lambda: [([5],), ([1, 1, 1, 1, 1],), ([1, 4],), ([2, 3],)],
    """
unchanged: `P = state.shape[2]` -> `P = 0`
    this is the doubtful version still: give it four words at once, then one at a time, and compare
    what `x` is before the first layer
one too far: `P = state.shape[2]` -> `P = state.shape[2] + 1`
    each position is one too large: the P words before have positions 0 to P - 1, so the next word
    has P
one too near: `P = state.shape[2]` -> `P = max(state.shape[2] - 1, 0)`
    the second word has position 0, as the first: the P words before have positions 0 to P - 1, so
    the next word has P
none: ` + self.table[P : P + words.shape[1]]` -> ``
    now the words have no positions at all; training needs them
one for all: `P : P + words.shape[1]` -> `P : P + 1`
    all words of a call have the same position now, and a call may bring many: T words need the T
    rows that begin at P
sentences: `state.shape[2]` -> `state.shape[1]`
    axis 1 of `state` counts the sentences; the words in the cache stand on axis 2
empty cache: `x, past, keys, mask` -> `x, 0 * past, keys, mask`
    the positions are right, but the cache of the words before no longer reaches the layers
twice: `caches.append(past)` -> `caches.append(torch.cat([past, past], dim=1))`
    the cache is too long: `step` hands back the cache with the new words in it, so add them once
old cache: `torch.stack(caches)` -> `state`
    the cache has no new words in it: hand back the longer one, which `step` gives
""",
    others={"cut short": changed(RepairedTranslator, ("P + words.shape[1]", "words.shape[1]"))},
    names=("the logits", "the cache"),
    otherwise=(
        "T words behind P others have the positions P to P + T - 1; only one line had to change"
    ),
    use=in_parts,
    truth=TransformerTranslator,
    hint=(
        "In training P is 0. What is different at the second word, when P is 1? Compare with"
        " CachedTranslator, line by line."
    ),
    praise=(
        "a word's position is the number of words before it, and in training, where all come at"
        " once, that fault cannot be seen."
    ),
)


# 15.5 Several words at a time


def speculation(model, source, draft, most):
    memory, state = model.encode(source)
    written = []
    while len(written) < most:
        guesses = draft(written)
        last = written[-1] if written else SOS  # not in the cache yet
        logits, longer = model.decode(memory, state, torch.tensor([[last, *guesses]]))
        own = logits[0].argmax(dim=1).tolist()  # the model's word after `last`, after each guess
        right = 0
        while right < len(guesses) and guesses[right] == own[right]:
            right += 1
        state = longer[:, :, : state.shape[2] + 1 + right]  # `last` and the right guesses
        new = own[: right + 1]  # the right guesses, and one word more from the same call
        if EOS in new:
            return (written + new[: new.index(EOS)])[:most]
        written += new
    return written[:most]


TEXT = [5, 6, 7, 8, 9, 10, 11, 5, 6, 7, EOS]
WRONG = 4  # the one word that is nowhere in TEXT


def guessing(right, wrong):
    """A draft of so many right guesses, and so many wrong ones behind them."""
    return lambda words: [*TEXT[len(words) :][:right], *[WRONG] * wrong]


DRAFTS = {  # with the fewest calls for at most 20, 10 and 6 words
    "is always right": (guessing(4, 0), (3, 2, 2)),
    "is always wrong": (guessing(0, 3), (11, 10, 6)),
    "is right once, then wrong": (guessing(1, 2), (6, 5, 3)),
    "is right twice, then wrong": (guessing(2, 2), (4, 4, 2)),
    "says nothing": (guessing(0, 0), (11, 10, 6)),
}


def speculate(answer, most, name, fewest):
    """The words, and the number of calls, with a translator that writes TEXT.

    Its cache holds the words that it was given; a wrong one makes each further word WRONG.
    """
    calls = 0

    def encode(source):
        return None, torch.zeros(1, 1, 0, 1)

    def decode(memory, state, words):
        nonlocal calls
        calls += 1
        if calls > 60:
            raise Wrong(
                "decode has been called 60 times for 11 words, and no end: even where no guess is"
                " right, a call gives one word, the model's own"
            )
        longer = torch.cat([state, words[None, :, :, None].float()], dim=2)
        known = longer.flatten().tolist()
        logits = torch.zeros(1, words.shape[1], 12)
        for row, t in enumerate(range(state.shape[2], len(known))):
            sound = t < len(TEXT) and known[: t + 1] == [SOS, *TEXT][: t + 1]
            logits[0, row, TEXT[t] if sound else WRONG] = 1
        return logits, longer

    model = SimpleNamespace(encode=encode, decode=decode)
    words = ask(answer, model, torch.tensor([[4, EOS]]), DRAFTS[name][0], most)
    words = numbers(words).tolist() if is_numeric(words) else words
    return str(words), max(calls, fewest)


def not_greedy(given, got, right):
    (most, name, fewest), (words, calls), (true, _) = given, got, right
    if words == true:
        return (
            f"with a draft that {name} you called decode {calls} times; {fewest} are enough: one"
            " call checks all guesses (the first ones behind <sos>), and gives one word more"
        )
    return (
        f"with a draft that {name} and most={most} greedy gives {true}; yours is {words} (what does"
        " the cache still hold?)"
    )


EXERCISES["15.5"] = exercise(
    speculation,
    lambda: [
        (most, name, fewest[k])
        for k, most in enumerate((20, 10, 6))
        for name, (_, fewest) in DRAFTS.items()
    ],
    """
trusts the draft: `guesses[right] == own[right]` -> `True`
    `own[: right + 1]` -> `[*guesses, own[-1]]`
    wrong guesses of the draft stand in your answer: keep a guess only if the model would have
    written the same
cache of wrong guesses: `longer[:, :, : state.shape[2] + 1 + right]` -> `longer`
    the wrong guesses are still in the cache, and the model reads them as the words before: keep
    `last` and the right guesses, state[:, :, :P]
past the end: `EOS in new` -> `False`
    the words go on behind <eos>: the model's last word ends the text and is left out
with the end: `new.index(EOS)]` -> `new.index(EOS) + 1]`
    <eos> stands in your answer: the model's last word ends the text and is left out
too many: `return written[:most]` -> `return written`
    you return more words than `most`: the last call may give more than is asked for
""",
    others={
        "one by one": changed(speculation, ("own[: right + 1]", "own[:1]"), ("+ 1 + right", "+ 1")),
        "no draft": changed(speculation, ("draft(written)", "[]")),
        "no word of its own": changed(speculation, ("own[: right + 1]", "own[:right]")),
    },
    otherwise=not_greedy,
    use=speculate,
    hint=(
        "Feed the last word, which is not in the cache yet, and the guesses in one call. The logits"
        " after each of them say what the model would write there. How many guesses agree from the"
        " left? One more word comes free."
    ),
    praise=(
        "the same words with fewer calls; the draft decides how fast it goes, never what is"
        " written."
    ),
)
