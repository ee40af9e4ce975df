"""Exercises of lesson 15: the Transformer, trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from course_utils.exercises import Exercise, Wrong
from course_utils.models.transformer import TransformerTranslator, step
from course_utils.text import EOS, SOS

Array = NDArray[Any]


# ---------------------------------------------------------------- 15.1 another plan


def cosine_plan(t: int, warmup: int, total: int) -> float:
    if t <= warmup:
        return t / warmup
    share = min(1.0, (t - warmup) / (total - warmup))  # of the way down
    return float(0.5 * (1 + np.cos(np.pi * share)))


def _plan_wrong(mistake: str) -> Callable[[int, int, int], float]:
    def answer(t: int, warmup: int, total: int) -> float:
        if mistake == "no warm-up" and t <= warmup:
            return 1.0
        if t <= warmup:
            return (t - 1) / warmup if mistake == "from zero" else t / warmup
        if mistake in ("of the whole", "of the whole, then 0"):
            share = t / total if mistake == "of the whole" else min(1.0, t / total)
        elif mistake == "again upwards":
            share = (t - warmup) / (total - warmup)
        else:
            share = min(1.0, (t - warmup) / (total - warmup))
        if mistake == "no pi":
            return float(0.5 * (1 + np.cos(share))) if t <= total else 0.0
        if mistake == "too high":
            return float(1 + np.cos(np.pi * share))
        return float(1 - share if mistake == "straight" else np.cos(np.pi / 2 * share) if mistake == "quarter" else 0.5 * (1 + np.cos(np.pi * share)))

    return answer


PLAN_MISTAKES = {
    "from zero": "update 1 must not have the rate 0: t counts from 1, and the factor is t / warmup",
    "no warm-up": "during warm-up the factor rises in a straight line; yours is 1 from the start",
    "of the whole": "the cosine begins where warm-up ends: u is (t - warmup) / (total - warmup), not t / total",
    "of the whole, then 0": "the cosine begins where warm-up ends, at 1: u is (t - warmup) / (total - warmup), and yours is t / total",
    "no pi": "half a cosine ends at cos(pi) = -1; yours leaves out the pi, so the factor is far from 0 when t reaches total",
    "too high": "the cosine runs from 1 to -1, so 1 + cos(pi u) runs from 2 to 0: take half of it",
    "straight": "this falls in a straight line; the plan follows half a cosine: slow, fast, slow",
    "quarter": "this is a quarter of a cosine, which ends at its steepest; half of one goes from 1 to -1: (1 + cos(pi u)) / 2",
    "again upwards": "after the last update the cosine would climb again; the factor stays 0 there",
}


def check_plan(answer: Callable[..., Any]) -> str:
    cases = [(t, 10, 50) for t in (1, 5, 10, 11, 20, 30, 41, 50, 60, 75)] + [(3, 4, 8)]
    given, right = ([f(*case) for case in cases] for f in (answer, cosine_plan))
    for case, factor in zip(cases, given):
        if factor is None:
            raise Wrong(f"for t, warmup, total = {case} your function returns nothing: there are three cases, and each has a factor")
    got = np.array([float(factor) for factor in given])
    if np.allclose(got, right, atol=1e-9):
        return "a straight line up, half a cosine down: its slope is 0 at the top and at the end."
    for name, sentence in PLAN_MISTAKES.items():
        if np.allclose(got, [_plan_wrong(name)(*case) for case in cases], atol=1e-9):
            raise Wrong(sentence)
    worst = int(np.argmax(np.abs(got - right)))
    raise Wrong(f"for t, warmup, total = {cases[worst]} the factor is {right[worst]:.4f}; yours is {got[worst]:.4f}")


# ---------------------------------------------------------------- 15.2 the gradient of the smoothed loss


def smoothed_gradient(logits: Array, target: Array, mask: Array, smoothing: float) -> Array:
    V = logits.shape[2]
    parts = np.exp(logits - logits.max(axis=2, keepdims=True))
    p = parts / parts.sum(axis=2, keepdims=True)  # (N, T, V)
    q = (1 - smoothing) * np.eye(V)[target] + smoothing / V
    return (p - q) * mask[:, :, None] / mask.sum()


def _gradient_wrong(mistake: str) -> Callable[..., Array]:
    def answer(logits: Array, target: Array, mask: Array, smoothing: float) -> Array:
        V = logits.shape[2]
        parts = np.exp(logits if mistake == "overflow" else logits - logits.max(axis=2, keepdims=True))
        p = parts / parts.sum(axis=2, keepdims=True)
        one = np.eye(V)[target]
        q = (1 - smoothing) * one + smoothing / V
        if mistake == "not smoothed":
            q = one
        if mistake == "others only":
            q = (1 - smoothing) * one + smoothing / (V - 1) * (1 - one)
        if mistake == "sums to more":
            q = one + smoothing / V
        d = (q - p if mistake == "sign" else p - q) * (1 if mistake in ("padding learns", "no mask") else mask[:, :, None])
        many = {"sum": 1, "all places": mask.size, "no mask": mask.size, "sentences": len(logits)}
        return d / many.get(mistake, mask.sum())

    return answer


GRADIENT_MISTAKES = {
    "not smoothed": "this is the gradient without smoothing: the target of every word v is (1 - smoothing) [v = y] + smoothing / V",
    "others only": "here the true word gets no part of the share `smoothing`; the formula gives smoothing / V to all V words, the true one too",
    "sums to more": "the target must sum to 1: what is given to all words is taken from the true one, which keeps 1 - smoothing",
    "sign": "the sign is turned: a probability that is too high has a positive gradient, p - q",
    "padding learns": "padding has a gradient: where the mask is False it must be 0",
    "sum": "this is the gradient of the sum over the words; the loss is their mean, so divide by the number of real words",
    "all places": "divide by the number of real words, not of all places",
    "no mask": "the mask is not used: where it is False the gradient must be 0, and the mean is over the real words alone",
    "sentences": "divide by the number of real words (mask.sum()), not of sentences: the loss is a mean over words",
}


def check_gradient(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(2)
    logits, target = rng.standard_normal((2, 3, 5)), rng.integers(0, 5, (2, 3))
    mask, smoothing = np.array([[True, True, True], [True, False, False]]), 0.2
    got, right = np.asarray(answer(logits.copy(), target.copy(), mask.copy(), smoothing)), smoothed_gradient(logits, target, mask, smoothing)
    if got.shape != right.shape:
        raise Wrong(f"the gradient has the shape of the logits, {right.shape}; yours is {got.shape}")
    if not np.allclose(got, right, atol=1e-9):
        for name, sentence in GRADIENT_MISTAKES.items():
            if np.allclose(got, _gradient_wrong(name)(logits, target, mask, smoothing), atol=1e-9):
                raise Wrong(sentence)
        raise Wrong(f"at the first word the gradient is {right[0, 0].round(3)}; yours is {got[0, 0].round(3)}")
    with np.errstate(all="ignore"):
        if not np.allclose(answer(1000 * logits, target.copy(), mask.copy(), smoothing), smoothed_gradient(1000 * logits, target, mask, smoothing)):
            raise Wrong("with logits near 1,000 the exponential overflows; subtract each row's highest logit first")
    return "p - q at real words, 0 at padding, and the whole sums to 0: what one word gains the others lose."


# ---------------------------------------------------------------- 15.3 what a cache costs


def cache_bytes(N: int, T: int, layers: int, heads: int, key_heads: int, d: int, size: int) -> int:
    return 2 * layers * N * T * key_heads * d * size  # 2: a key and a value


BYTES_MISTAKES: dict[str, tuple[str, Callable[..., int]]] = {
    "keys alone": ("a position keeps two vectors in each layer, a key and a value", lambda N, T, L, h, k, d, s: L * N * T * k * d * s),
    "query heads": (
        "the queries are not kept: count the key heads, of which there may be fewer",
        lambda N, T, L, h, k, d, s: 2 * L * N * T * h * d * s,
    ),
    "numbers": ("these are numbers, not bytes: each takes `size` bytes", lambda N, T, L, h, k, d, s: 2 * L * N * T * k * d),
    "one layer": ("every layer has its own keys and values", lambda N, T, L, h, k, d, s: 2 * N * T * k * d * s),
    "one sentence": ("each of the N sentences has a cache of its own", lambda N, T, L, h, k, d, s: 2 * L * T * k * d * s),
    "attention weights": (
        "the attention weights (T x T) are not kept: only keys and values, so the cache grows in a line with T",
        lambda N, T, L, h, k, d, s: L * N * T * T * h * s,
    ),
    "queries too": ("the queries are not kept: two vectors a head, a key and a value", lambda N, T, L, h, k, d, s: 3 * L * N * T * k * d * s),
    "values of their own": ("values are shared as keys are: key_heads of each", lambda N, T, L, h, k, d, s: L * N * T * (h + k) * d * s),
    "heads on a key": (
        "heads / key_heads is how many query heads share one key head; what is kept are the key heads, key_heads of them",
        lambda N, T, L, h, k, d, s: 2 * L * N * T * (h // k) * d * s,
    ),
    "d shared out": (
        "d is already the size of one head; it is not divided by the number of heads",
        lambda N, T, L, h, k, d, s: 2 * L * N * T * k * d * s // h,
    ),
}


def check_bytes(answer: Callable[..., Any]) -> str:
    cases = ((3, 7, 5, 12, 4, 16, 4), (8, 4096, 80, 64, 8, 128, 2), (1, 5, 3, 4, 4, 6, 4))  # no two mistakes agree in all of them
    found = [answer(*case) for case in cases]
    for sentence, mistake in BYTES_MISTAKES.values():
        if found == [mistake(*case) for case in cases]:
            raise Wrong(sentence)
    for case, got in zip(cases, found):
        right = cache_bytes(*case)
        if got == right:
            continue
        raise Wrong(f"for (N, T, layers, heads, key_heads, d, size) = {case} the cache takes {right:,} bytes; you have {got}")
    return "10.7 gigabytes with 8 key heads, 85.9 with 64: sharing them is what lets such a model serve several readers."


# ---------------------------------------------------------------- 15.4 find the bug


class RepairedTranslator(TransformerTranslator):
    def decode(self, memory: tuple[Tensor, Tensor], state: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        seen, mask = memory
        first = state.shape[2]  # here: the new words stand behind those in the cache
        x, caches = self.target(words) + self.table[first : first + words.shape[1]], []
        for layer, past, keys in zip(self.decoder, state, seen.unbind(1)):
            x, past = step(layer, x, past, keys, mask)
            caches.append(past)
        return self.head(self.decoder_norm(x)), torch.stack(caches)


def _translator(mistake: str) -> type[TransformerTranslator]:
    class Wrongly(TransformerTranslator):
        def decode(self, memory: tuple[Tensor, Tensor], state: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
            (seen, mask), T, P = memory, words.shape[1], state.shape[2]
            first = {"unchanged": 0, "one too far": P + 1, "one too near": max(P - 1, 0), "none": 0, "sentences": state.shape[1]}.get(mistake, P)
            x, caches = self.target(words), []
            last = first + 1 if mistake == "one for all" else T if mistake == "cut short" else first + T
            x = x if mistake == "none" else x + self.table[first:last]
            for layer, past, keys in zip(self.decoder, state, seen.unbind(1)):
                x, past = step(layer, x, 0 * past if mistake == "empty cache" else past, keys, mask)
                caches.append(torch.cat([past, past], dim=1) if mistake == "twice" else past)
            return self.head(self.decoder_norm(x)), state if mistake == "old cache" else torch.stack(caches)

    return Wrongly


def check_translator(answer: Any) -> str:
    torch.manual_seed(5)
    sound = RepairedTranslator(9, 8, 12, heads=3).double().eval()
    source, words = torch.tensor([[4, 5, 6, EOS], [7, 8, EOS, 0]]), torch.tensor([[SOS, 4, 6, 7], [SOS, 5, 4, 4]])

    def logits(model: Any, cuts: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        memory, state = model.encode(source)
        parts = []
        for some in words.split(list(cuts), dim=1):
            part, state = model.decode(memory, state, some)
            parts.append(part)
        return torch.cat(parts, dim=1), state

    def given(kind: Any) -> Any:
        model = kind(9, 8, 12, heads=3).double().eval()
        model.load_state_dict(sound.state_dict())
        return model

    model = given(answer)
    with torch.no_grad():
        right, cache = logits(sound, (4,))
        whole, _ = logits(model, (4,))
        if not torch.allclose(whole, right, atol=1e-9):
            for mistake, sentence in (
                ("none", "now the words have no positions at all; training needs them"),
                ("one for all", "all words of a call have the same position now, and a call may bring many: T words need the T rows that begin at P"),
                ("sentences", "axis 1 of `state` counts the sentences; the words in the cache stand on axis 2"),
            ):
                if whole.shape == right.shape and torch.allclose(whole, logits(given(_translator(mistake)), (4,))[0], atol=1e-9):
                    raise Wrong(sentence)
            raise Wrong(
                "all words in one call gave the right logits before, and do not now: with an empty cache T words have positions 0 to T - 1, "
                "and `step` still needs the source's keys and its mask"
            )
        for cuts in ((1, 1, 1, 1), (1, 3), (2, 2)):
            try:
                step_by_step, state = logits(model, cuts)
            except RuntimeError as error:
                raise Wrong(
                    f"with the words cut into parts of {cuts} a call fails ({str(error)[:60]}...): "
                    "T words behind P others need the rows P to P + T - 1 of the table"
                ) from error
            if state.shape != cache.shape:
                longer = "`step` hands back the cache with the new words in it: add them once" if state.shape[2] > 4 else "hand back the longer one"
                raise Wrong(f"after 4 words the cache has shape {tuple(state.shape)}; expected {tuple(cache.shape)}: {longer}")
            if torch.allclose(step_by_step, right, atol=1e-9):
                continue
            for mistake, sentence in (
                ("unchanged", "this is the doubtful version still: give it four words at once, then one at a time, and compare what `x` is before the first layer"),
                ("one too far", "the second word has position 2 now; P words before it have positions 0 to P - 1, so it has P"),
                ("one too near", "the second word has position 0, as the first: P words before it have positions 0 to P - 1, so it has P"),
                ("empty cache", "the positions are right, but the cache of the words before no longer reaches the layers"),
            ):
                if torch.allclose(step_by_step, logits(given(_translator(mistake)), cuts)[0], atol=1e-9):
                    raise Wrong(sentence)
            raise Wrong(f"with the words cut into parts of {cuts} the logits differ from those of one call; only one line had to change")
    return "a word's position is the number of words before it, and in training, where all come at once, that fault cannot be seen."


# ---------------------------------------------------------------- 15.5 several words at a time


def speculation(model: Any, source: Tensor, draft: Callable[[list[int]], list[int]], most: int) -> list[int]:
    memory, state = model.encode(source)
    written: list[int] = []
    while len(written) < most:
        guesses = list(draft(list(written)))
        last = written[-1] if written else SOS  # not in the cache yet
        logits, longer = model.decode(memory, state, torch.tensor([[last, *guesses]]))
        own = logits[0].argmax(dim=1).tolist()  # what the model says after `last`, after the first guess, ...
        right = 0
        while right < len(guesses) and guesses[right] == own[right]:
            right += 1
        state = longer[:, :, : state.shape[2] + 1 + right]  # `last` and the right guesses
        new = own[: right + 1]  # the right guesses, and one word more from the same call
        if EOS in new:
            return (written + new[: new.index(EOS)])[:most]
        written += new
    return written[:most]


def _speculation_wrong(mistake: str) -> Callable[..., list[int]]:
    def answer(model: Any, source: Tensor, draft: Callable[[list[int]], list[int]], most: int) -> list[int]:
        memory, state = model.encode(source)
        written: list[int] = []
        while len(written) < most:
            guesses = [] if mistake == "no draft" else list(draft(list(written)))
            last = written[-1] if written else SOS
            logits, longer = model.decode(memory, state, torch.tensor([[last, *guesses]]))
            own = logits[0].argmax(dim=1).tolist()
            right = 0
            while right < len(guesses) and guesses[right] == own[right]:
                right += 1
            if mistake == "trusts the draft":
                right = len(guesses)
            new = [*guesses[:right], own[right]]
            if mistake == "one by one":
                right, new = 0, own[:1]
            if mistake == "no word of its own":
                new = guesses[:right]
            state = longer if mistake == "cache of wrong guesses" else longer[:, :, : state.shape[2] + 1 + right]
            if EOS in new and mistake != "past the end":
                return (written + new[: new.index(EOS)])[:most]
            written += new
        return written if mistake == "too many" else written[:most]

    return answer


class _Chain:
    """A translator that writes a fixed text: after P words, all as they must be, word P + 1; it counts its calls.

    Its cache notes the words that it was given; a wrong one in it makes every further answer word 4.
    """

    def __init__(self, text: list[int]) -> None:
        self.text, self.calls = text, 0

    def encode(self, source: Tensor) -> tuple[None, Tensor]:
        return None, torch.zeros(1, 1, 0, 1)

    def decode(self, memory: None, state: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        if self.calls > 60:
            raise Wrong("decode has been called 60 times for 11 words, and no end: even where no guess is right, a call gives one word, the model's own")
        every = torch.cat([state, words[None, :, :, None].float()], dim=2)
        known = every[0, 0, :, 0].long().tolist()
        logits = torch.zeros(1, words.shape[1], 12)
        for row, place in enumerate(range(state.shape[2], len(known))):
            sound = known[: place + 1] == [SOS, *self.text][: place + 1] and place < len(self.text)
            logits[0, row, self.text[place] if sound else 4] = 1
        return logits, every


def check_speculation(answer: Callable[..., Any]) -> str:
    text = [5, 6, 7, 8, 9, 10, 11, 5, 6, 7, EOS]
    drafts: dict[str, Callable[[list[int]], list[int]]] = {
        "is always right": lambda words: text[len(words) : len(words) + 4],
        "is always wrong": lambda words: [4, 4, 4],
        "is right twice, then wrong": lambda words: [*text[len(words) : len(words) + 2], 4, 4],
        "says nothing": lambda words: [],
    }
    source = torch.tensor([[4, EOS]])
    for most in (20, 10, 6):
        for name, draft in drafts.items():
            model, sound = _Chain(text), _Chain(text)
            got, right = answer(model, source, draft, most), speculation(sound, source, draft, most)
            if not isinstance(got, list) or any(not isinstance(word, int) for word in got):
                raise Wrong("return a list of ids (whole numbers); a tensor's `tolist()` or `item()` gives them")
            if got != right:
                if len(got) > most:
                    raise Wrong(f"with most={most} you return {len(got)} words: the last call may give more than is asked for")
                if EOS in got:
                    raise Wrong("the words go on behind <eos>: the model's last word ends the text and is left out")
                if name == "is always wrong" and got[:1] == [4]:
                    raise Wrong("wrong guesses of the draft stand in your answer: keep a guess only if the model would have written the same")
                raise Wrong(f"with a draft that {name} and most={most} greedy gives {right}; yours is {got} (what does the cache still hold?)")
            if model.calls > sound.calls:
                raise Wrong(f"with a draft that {name} you called decode {model.calls} times; {sound.calls} are enough: one call checks all guesses (the first ones behind <sos>), and gives one word more")
    return "the same words with fewer calls; the draft decides how fast it goes, never what is written."


EXERCISES = {
    "15.1": Exercise(
        check=check_plan,
        hint="Three cases: up to warmup, between, after total. In the second, u goes from 0 to 1. What is (1 + cos(pi u)) / 2 at 0, 1/2 and 1?",
        solution=cosine_plan,
        wrong={mistake: _plan_wrong(mistake) for mistake in PLAN_MISTAKES},
    ),
    "15.2": Exercise(
        check=check_gradient,
        hint="The gradient of one word's loss is p - q. Only real words count, and the loss is their mean. np.eye(V)[target] has the shape (N, T, V).",
        solution=smoothed_gradient,
        wrong={mistake: _gradient_wrong(mistake) for mistake in (*GRADIENT_MISTAKES, "overflow")},
    ),
    "15.3": Exercise(
        check=check_bytes,
        hint="Count the numbers that one position keeps in one layer: a key and a value for each key head. Then multiply.",
        solution=cache_bytes,
        wrong={name: mistake for name, (_, mistake) in BYTES_MISTAKES.items()},
    ),
    "15.4": Exercise(
        check=check_translator,
        hint="In training P is 0. What is different at the second word, when P is 1? Compare with CachedTranslator, line by line.",
        solution=RepairedTranslator,
        wrong={mistake: _translator(mistake) for mistake in ("unchanged", "one too far", "one too near", "none", "old cache", "empty cache",
                                                              "one for all", "sentences", "cut short", "twice")},
    ),
    "15.5": Exercise(
        check=check_speculation,
        hint="Feed the last word, which is not in the cache yet, and the guesses in one call. The logits after each of them say what the model would write there. How many guesses agree from the left? One more word comes free.",
        solution=speculation,
        wrong={
            mistake: _speculation_wrong(mistake)
            for mistake in ("trusts the draft", "cache of wrong guesses", "one by one", "no draft", "past the end", "too many", "no word of its own")
        },
    ),
}
