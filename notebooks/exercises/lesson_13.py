"""Exercises of lesson 13: deep attention, beam search, scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache

import numpy as np
import torch
from torch import nn

from course_utils.grading import Raised, Wrong, ask, autograd, exercise
from course_utils.grading.blocks import changed
from course_utils.models.gnmt import GNMT
from course_utils.text import EOS, SOS

EXERCISES = {}


# 13.1 Rank them


def ranking(found, alpha):
    def score(pair):
        return pair[0] / ((5 + len(pair[1])) / 6) ** alpha

    return sorted(found, key=score, reverse=True)


def rankings():
    """The scores lie so close together that another formula gives another order."""
    for seed, alpha in ((1, 0.7), (2, 1.6)):
        rng = np.random.default_rng(seed)
        lengths, scores = rng.permutation(7) + 1, -1 - 0.03 * rng.permutation(7)
        totals = scores * ((5 + lengths) / 6) ** alpha
        written = [[9] * (length - 1) + [EOS] for length in lengths]
        yield list(zip(totals.round(4).tolist(), written)), alpha


def order(answer, found, alpha):
    """Where each pair of the answer stands in `found`."""
    ranked = ask(answer, found, alpha)
    if ranked is None:
        raise Wrong("return the ordered list; list.sort() changes the list and returns None")
    pairs = list(ranked) if isinstance(ranked, Iterable) else []
    places = [found.index(p) if isinstance(p, tuple) and p in found else -1 for p in pairs]
    if sorted(places) != [*range(len(found))]:
        raise Wrong(
            "return all the pairs (log-probability, words) as they were given, in the new order; "
            "the scores only decide the order"
        )
    return places


def right_order(given, got, right):
    found, alpha = given
    ours, theirs = ([(found[k][0], len(found[k][1])) for k in places] for places in (got, right))
    return f"for alpha {alpha} the order of (log P, length) is {theirs}; yours is {ours}"


EXERCISES["13.1"] = exercise(
    ranking,
    rankings,
    """
by probability: ` / ((5 + len(pair[1])) / 6) ** alpha` -> ``
    this is the order of the log-probabilities alone; divide by lp first
multiplied: `pair[0] / (` -> `pair[0] * (`
    log P is negative and must be divided by lp; multiplied, long sentences lose even more
per token: `((5 + len(pair[1])) / 6)` -> `len(pair[1])`
    this divides by the length itself; lp is ((5 + length) / 6) to the power alpha
without <eos>: `5 + len(pair[1])` -> `4 + len(pair[1])`
    |Y| counts <eos> as well: take the length of the words as they are given
worst first: `reverse=True` -> `reverse=False`
    the order is reversed: the highest score comes first
no alpha: ` ** alpha` -> ``
    alpha plays no part in this order; lp is ((5 + length) / 6) to the power alpha
alpha as a factor: `((5 + len(pair[1])) / 6) ** alpha` -> `(1 + alpha * (len(pair[1]) - 1) / 6)`
    alpha is an exponent, and no factor: lp is ((5 + length) / 6) to the power alpha
""",
    others={"the scores instead": lambda found, alpha: [pair[0] / alpha for pair in found]},
    use=order,
    otherwise=right_order,
    hint="`sorted` takes a key, and reverse=True. lp of n tokens is ((5 + n) / 6) ** alpha.",
    praise="one search, many rankings: nothing has to be translated again.",
    same=(  # the 6 divides all scores by the same number
        "(5 + len(pair[1])) / 6 -> 5 + len(pair[1])",
        "(5 + len(pair[1])) / 6 -> (5 + len(pair[1])) * 6",
        "6 -> 7",
    ),
)


# 13.2 A chrF of your own


def character_f(ours, true, n, beta):
    def runs(text):
        text = text.replace(" ", "")
        return Counter(text[k : k + n] for k in range(len(text) - n + 1))

    a, b = runs(ours), runs(true)
    matches = sum((a & b).values())
    if matches == 0:
        return 0.0
    precision, recall = matches / sum(a.values()), matches / sum(b.values())
    weight = beta**2
    return (1 + weight) * precision * recall / (weight * precision + recall)


def mean_up_to_n(ours, true, n, beta):
    return sum(character_f(ours, true, k, beta) for k in range(1, n + 1)) / n


def f_score(answer, ours, true, n, beta):
    try:
        return ask(answer, ours, true, n, beta)
    except Raised as raised:
        if isinstance(raised.__cause__, ZeroDivisionError):
            raise Wrong(
                "where nothing matches, P and R are 0 and the formula divides by 0; return 0 there"
            ) from None
        raise


EXERCISES["13.2"] = exercise(
    character_f,
    lambda: [
        ("개가 개를 본다", "개는 개를 안 본다", 1, 2.0),
        ("aabab ab", "abab b", 2, 2.0),
        ("the the the", "the cat", 3, 0.5),
        ("a b c", "a b c d e", 2, 3.0),
        ("abc", "xyz", 1, 2.0),
    ],
    """
spaces: `text.replace(" ", "")` -> `text`
    spaces count as characters here; take them out of both strings first
set: `Counter(text[k : k + n]` -> `Counter({text[k : k + n]` `- n + 1))` -> `- n + 1)})`
    each run counts once here; count how often it occurs, as a Counter does
not clipped: `sum((a & b).values())` -> `sum(a[run] for run in a if run in b)`
    a run may match at most as often as the other string has it: clip the counts with &
precision: `return (1 + weight)` -> `return precision or (1 + weight)`
    this is the precision alone; what ours left out must cost too
F1: `weight = beta**2` -> `weight = 1`
    this is F1, whatever beta is; beta squared, in both positions, is what gives recall its weight
beta, not squared: `beta**2` -> `beta`
    beta is squared in the formula, in both positions
turned: `(weight * precision + recall)` -> `(precision + weight * recall)`
    precision and recall are exchanged: beta squared multiplies P in the denominator
words: `text.replace(" ", "")` -> `text.split()`
    `Counter(text[k : k + n]` -> `Counter(" ".join(text[k : k + n])`
    these are runs of words; cut the strings into runs of characters
percent: `return (1` -> `return 100 * (1`
    this is in percent; the formula gives a number between 0 and 1
""",
    others={
        "up to n": (
            mean_up_to_n,
            "this is the mean over all lengths up to n; only runs of exactly n characters count",
        ),
        "nothing matches": changed(character_f, ("matches == 0", "matches < 0")),
    },
    use=f_score,
    hint=(
        "`ngrams` counts runs of anything that can be cut, a string too. What do you divide the "
        "matches by for P, and by what for R?"
    ),
    praise="with recall counting double, a word that was left out costs more than one too many.",
)


# 13.3 A gate on the residual


def highway_backward(dy, x, W, W_g):
    g, h = 1 / (1 + np.exp(-x @ W_g)), np.tanh(x @ W)  # (N, H)
    dz = dy * g * (1 - h**2)  # with respect to x @ W
    dz_g = dy * (h - x) * g * (1 - g)  # to x @ W_g: g multiplies h, and 1 - g multiplies x
    dx = dy * (1 - g) + dz @ W.T + dz_g @ W_g.T
    return {"x": dx, "W": x.T @ dz, "W_g": x.T @ dz_g}


def highway_cases():
    for seed in (5, 6):
        rng = np.random.default_rng(seed)
        yield tuple(rng.standard_normal(shape) for shape in ((3, 4), (3, 4), (4, 4), (4, 4)))


def highway_autograd(dy, x, W, W_g):
    def loss(x, W, W_g):
        g, h = (x @ W_g).sigmoid(), (x @ W).tanh()
        return ((g * h + (1 - g) * x) * torch.from_numpy(dy)).sum()

    return dict(zip(("x", "W", "W_g"), autograd(loss, x, W, W_g)))


EXERCISES["13.3"] = exercise(
    highway_backward,
    highway_cases,
    """
no straight path: `dy * (1 - g) + dz @` -> `dz @`
    the straight path is missing: x also goes into y directly, times 1 - g
straight path whole: `dy * (1 - g) + dz @` -> `dy + dz @`
    the straight path passes only the share 1 - g of dy
gate is a constant: ` + dz_g @ W_g.T` -> ``
    x moves the gate too: its gradient has a third part, through W_g
carry forgotten: `(h - x)` -> `h`
    g also takes away from x: y changes by h - x when g grows
plus: `(h - x)` -> `(h + x)`
    1 - g multiplies x, so the derivative of y with respect to g is h minus x
no slope: `(h - x) * g * (1 - g)` -> `(h - x)`
    the gradient with respect to x @ W_g needs the sigmoid's slope, g (1 - g)
g for 1 - g: `dy * (1 - g) + dz @` -> `dy * g + dz @`
    x is multiplied by 1 - g in y; g is the share of h
no tanh slope: ` * (1 - h**2)` -> ``
    the gradient with respect to x @ W needs the tanh's slope, 1 - h squared
not transposed: `dz @ W.T` -> `dz @ W` `dz_g @ W_g.T` -> `dz_g @ W_g`
    back through x @ W goes @ W.T; with square matrices a forgotten .T raises no error
gate forgotten: `dy * g * (1 - h**2)` -> `dy * (1 - h**2)`
    h enters y multiplied by g, so what goes back into h is dy times g
""",
    otherwise="Name the three paths from x to y, and go back along each",
    truth=highway_autograd,
    hint=(
        "From x to y there are three paths: straight, times 1 - g; through h; and through g, which "
        "acts on both h and x."
    ),
    praise=(
        "all three equal autograd's. Where g is near 0 the gradient passes straight, as over a "
        "residual connection."
    ),
)


# 13.4 Find the bug


@torch.no_grad()
def repaired_beam(model, source, width, most=24):
    memory, state = model.encode(torch.tensor([source] * width))
    totals, written, done = torch.tensor([0.0] + [-torch.inf] * (width - 1)), [[SOS]] * width, []
    for _ in range(most):
        logits, state = model.decode(memory, state, torch.tensor([row[-1:] for row in written]))
        every = totals[:, None] + logits[:, -1].log_softmax(dim=1)  # (width, V)
        totals, places = every.flatten().topk(width)
        rows, words = places // every.shape[1], places % every.shape[1]  # (width,) each
        state = state[:, rows]  # here: each place needs the state of the hypothesis it continues
        written = [[*written[row], word] for row, word in zip(rows.tolist(), words.tolist())]
        done += [
            (total, row[1:-1])
            for total, row in zip(totals.tolist(), written)
            if row[-1] == EOS and total > -torch.inf
        ]
        totals[words == EOS] = -torch.inf
        if len(done) >= width:
            break
    return max(done)[1] if done else written[0][1:]


@cache
def tiny_model(seed, endless=False):
    """Untrained, with probabilities that differ much; an endless one never writes <eos>."""
    with torch.random.fork_rng(devices=[]):
        model = GNMT(9, 7, 5, 8, "dot")
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7, generator=generator)
    if endless:
        model.head.bias.data[EOS] = -torch.inf
    return model


def beam_searches():
    """One case of several searches: a single one does not tell the mistakes apart."""
    three, four = [5, 8, EOS], [4, 5, 6, EOS]
    searches = (0, four, 2), (44, [6, 4, EOS], 4), (47, three, 3), (97, [6, 4, EOS], 4)
    endless = tiny_model(2, endless=True), four, 43  # wider than the first step has words
    return [(*((tiny_model(seed), *rest, 6) for seed, *rest in searches), endless)]


def hypotheses(answer, *searches):
    """What the answer writes, as text: a hypothesis of another length is a wrong one, no more."""
    try:
        return [str(np.asarray(ask(answer, *search)).tolist()) for search in searches]
    except Raised as raised:
        if "for dimension 0" in str(raised.__cause__):
            raise Wrong(
                f"{raised.__cause__}: the state is (L, N, H), so the hypotheses of the beam are "
                "its axis 1"
            ) from None
        raise


def first_that_differs(given, got, right):
    (_, source, width, *_), ours, theirs = next(
        case for case in zip(given, got, right) if case[1] != case[2]
    )
    return (
        f"with a tiny model, source {source} and width {width} the best hypothesis is {theirs}, "
        f"yours is {ours}; only one line is missing in the doubtful version"
    )


EXERCISES["13.4"] = exercise(
    repaired_beam,
    beam_searches,
    """
unchanged: `state = state[:, rows]` -> `pass`
    this is the doubtful version still: after topk, position 0 of the beam may continue the
    hypothesis of position 2; whose state does it read next?
by rank: `state[:, rows]` -> `state[:, rows.sort().values]`
    the states are sorted by their old positions now; each position needs the state of the
    hypothesis that it continues, in the new order
first state: `state[:, rows]` -> `model.encode(torch.tensor([source] * width))[1]`
    every step starts again from the encoder's last state; keep the new states, in the new order
not summed:
    `words == EOS] = -torch.inf` -> `words == EOS] = -torch.inf; totals[totals.isfinite()] = 0`
    the log-probabilities are no longer added up; that line was right
worst: `max(done)` -> `min(done)`
    the states are right now, but the least probable of the finished hypotheses is returned
greedy: `memory, state = model` -> `width = 1; memory, state = model`
    this is greedy at any width; a beam must keep `width` hypotheses
""",
    others={"first axis": changed(repaired_beam, ("state[:, rows]", "state[rows]"))},
    use=hypotheses,
    same=("0.0 -> 1.0",),  # all log-probabilities are higher by 1
    otherwise=first_that_differs,
    hint=(
        "Follow position 0 of the beam for two steps with width 2. Which hypothesis does it "
        "continue, which words has it, and whose state?"
    ),
    praise=(
        "a state belongs to a hypothesis, not to a position of the beam: the package's `rows` "
        "moves it along."
    ),
)


# 13.5 The true best


def exact_search(step, most):
    import heapq

    waiting = [(0.0, [])]  # (-log P, words), the most probable first
    while True:
        cost, words = heapq.heappop(waiting)
        if words and words[-1] == EOS:
            return -cost, words  # all others are less probable already, and can only fall
        for word, value in enumerate(step(words).tolist()):
            if word == EOS or len(words) + 1 < most:  # others could not end in time
                heapq.heappush(waiting, (cost - value, [*words, word]))


def beam_of(width):
    """A beam search of this width; the best of all sentences where it is None."""

    def answer(step, most):
        alive, done = [(0.0, [])], []
        for _ in range(most):
            every = [
                (total + value, [*words, word])
                for total, words in alive
                for word, value in enumerate(step(words).tolist())
            ]
            kept = sorted(every, reverse=True)[:width]
            done += [pair for pair in kept if pair[1][-1] == EOS]
            alive = [pair for pair in kept if pair[1][-1] != EOS]
        return max(done) if done else alive[0]

    return answer


@lru_cache(maxsize=5000)
def log_chances(seed, *words):
    chances = np.random.default_rng([seed, *words]).random(6) ** 4
    chances[EOS] *= 0.05 if len(words) < 2 else 0.6  # the shortest is not the best
    return np.log(chances / chances.sum())


def language(seed, most):
    """A step that counts its calls, and a quarter of what all beginnings need as `allowed`."""
    every = sum(5**k for k in range(most))

    def uncounted(words):
        return torch.tensor(log_chances(seed, *(int(word) for word in words)))

    def step(words):
        step.calls += 1
        if step.calls > 2 * every:
            raise Wrong("your search does not end: it has called step for more than all beginnings")
        return uncounted(words)

    step.uncounted, step.allowed = uncounted, every // 4
    return step


def true_best(step, most):
    return beam_of(None)(step.uncounted, most)


def sentence(answer, step, most):
    """log P, the words as text, and the calls of step if they are too many, or 0."""
    step.calls = 0
    pair = ask(answer, step, most)
    try:
        total, words = pair
        total, words = float(total), " ".join(str(int(word)) for word in words)
    except (TypeError, ValueError):
        raise Wrong("return the pair (log-probability, words)") from None
    return total, words, step.calls if step.calls > step.allowed else 0


def why_not_the_best(given, got, right):
    (step, most), (total, words, calls), (best, best_words, _) = given, got, right
    length = len(words.split())
    if length > most:
        return f"this sentence has {length} tokens, but at most {most} were allowed, <eos> included"
    if words.split()[-1:] != [str(EOS)]:
        return (
            "this sentence has not ended: only word lists that end in <eos> within `most` tokens "
            "count"
        )
    if words != best_words:
        return (
            f"a sentence of probability {np.exp(best):.4f} exists; yours has {np.exp(total):.4f}. A"
            " narrow search misses it, and so does one that stops at the first finished sentence it"
            " meets"
        )
    if not np.isclose(total, best):
        return f"the words are right; their log-probability is {best:.4f}, yours is {total:.4f}"
    return (
        f"right, but step was called {calls} times, and {step.allowed} are allowed; leave out what "
        "is already less probable than a finished sentence"
    )


EXERCISES["13.5"] = exercise(
    exact_search,
    lambda: [(language(seed, most), most) for seed, most in ((20, 4), (22, 4), (22, 5), (16, 5))],
    """
no <eos>: `return -cost, words` -> `return -cost, words[:-1]`
    the words must end in <eos>, as they do in `beam`
the first met:
    `cost, words =` -> `waiting.sort(key=lambda pair: (pair[1][-1:] != [EOS], pair)); cost, words =`
    a more probable sentence exists: this search stops at the first finished sentence that it meets
""",
    others={
        "greedy": beam_of(1),
        "beam of 2": beam_of(2),
        "all sentences": beam_of(None),
        "too long": lambda step, most: exact_search(step, most + 3),
    },
    use=sentence,
    otherwise=why_not_the_best,
    truth=true_best,
    hint=(
        "Keep all beginnings in a heap (heapq), the most probable on top, and always continue that "
        "one. When may you stop?"
    ),
    praise=(
        "the most probable beginning first: when a finished sentence comes out, nothing left can "
        "beat it."
    ),
)
