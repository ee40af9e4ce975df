"""Exercises of lesson 13: deep attention, beam search, scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from course_utils.exercises import Exercise, Wrong
from course_utils.models.gnmt import GNMT
from course_utils.proofs import relative_error
from course_utils.text import EOS, SOS

Array = NDArray[Any]
Found = list[tuple[float, list[int]]]


def close(a: Any, b: Any) -> bool:
    """Nearly equal numbers."""
    return bool(np.isclose(a, b, rtol=1e-6, atol=1e-9))


# ---------------------------------------------------------------- 13.1 rank


def ranking(found: Found, alpha: float) -> Found:
    return sorted(found, key=lambda one: one[0] / ((5 + len(one[1])) / 6) ** alpha, reverse=True)


RANKING_MISTAKES: dict[str, tuple[str, Callable[[Found, float], Found]]] = {
    "by probability": ("this is the order of the log-probabilities alone; divide by lp first", lambda f, a: ranking(f, 0)),
    "multiplied": (
        "log P is negative and must be divided by lp; multiplied, long sentences lose even more",
        lambda f, a: ranking(f, -a),
    ),
    "per token": (
        "this divides by the length itself; lp is ((5 + length) / 6) to the power alpha",
        lambda f, a: sorted(f, key=lambda one: one[0] / len(one[1]) ** a, reverse=True),
    ),
    "without <eos>": (
        "|Y| counts <eos> as well: take the length of the words as they are given",
        lambda f, a: sorted(f, key=lambda one: one[0] / ((4 + len(one[1])) / 6) ** a, reverse=True),
    ),
    "worst first": ("the order is turned round: the highest score comes first", lambda f, a: ranking(f, a)[::-1]),
}


def _scores(found: Found, alpha: float) -> Found:
    return [(one[0] / ((5 + len(one[1])) / 6) ** alpha, one[1]) for one in ranking(found, alpha)]


def check_ranking(answer: Callable[..., Any]) -> str:
    cases: list[tuple[list[tuple[float, int]], float]] = [
        ([(-2.0, 1), (-3.0, 7), (-3.9, 13)], 0.7),
        ([(-1.0, 1), (-1.48, 4), (-3.1, 12)], 1.0),
        ([(-1.0, 1), (-1.9, 7), (-2.4, 4)], 1.0),
        ([(-1.0, 2), (-1.22, 4)], 0.8),
    ]
    every = [([(value, [9] * (length - 1) + [EOS]) for value, length in parts], alpha) for parts, alpha in cases]
    got, right = [answer(list(found), alpha) for found, alpha in every], [ranking(*case) for case in every]
    if any(one is None for one in got):
        raise Wrong("return the ordered list; list.sort() changes the list and returns None")
    got = [list(one) for one in got]
    if got == right:
        return "one search, many rankings: nothing has to be translated again."
    for sentence, mistake in RANKING_MISTAKES.values():
        if got == [mistake(*case) for case in every]:
            raise Wrong(sentence)
    if any(len(one) != len(found) or any(pair not in found for pair in one) for one, (found, _) in zip(got, every)):
        raise Wrong("return all the pairs (log-probability, words) as they were given, in the new order; the scores only decide the order")
    (parts, alpha), order = next((case, r) for case, y, r in zip(cases, got, right) if y != r)
    raise Wrong(f"for (log P, length) {parts} and alpha {alpha} the order is {[(v, len(w)) for v, w in order]}")


# ---------------------------------------------------------------- 13.2 a character F-score


def character_f(ours: str, true: str, n: int, beta: float) -> float:
    def runs(text: str) -> Counter[str]:
        text = text.replace(" ", "")
        return Counter(text[k : k + n] for k in range(len(text) - n + 1))

    a, b = runs(ours), runs(true)
    matches = sum((a & b).values())
    if matches == 0:
        return 0.0
    precision, recall = matches / sum(a.values()), matches / sum(b.values())
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _character_wrong(mistake: str) -> Callable[[str, str, int, float], float]:
    def answer(ours: str, true: str, n: int, beta: float) -> float:
        originals = ours, true
        if mistake == "up to n":
            return float(np.mean([character_f(ours, true, k, beta) for k in range(1, n + 1)]))
        if mistake == "percent":
            return 100 * character_f(ours, true, n, beta)
        if mistake != "spaces":
            ours, true = ours.replace(" ", ""), true.replace(" ", "")
        a, b = (Counter(text[k : k + n] for k in range(len(text) - n + 1)) for text in (ours, true))
        if mistake == "words":
            a, b = (Counter(" ".join(text.split()[k : k + n]) for k in range(len(text.split()) - n + 1)) for text in originals)
        matches = len(a.keys() & b.keys()) if mistake == "set" else sum((a & b).values())
        if mistake == "not clipped":
            matches = sum(count for run, count in a.items() if run in b)
        if not matches:
            return 0.0
        sizes = (len(a), len(b)) if mistake == "set" else (sum(a.values()), sum(b.values()))
        precision, recall = matches / sizes[0], matches / sizes[1]
        if mistake == "precision":
            return precision
        weight = {"F1": 1.0, "beta, not squared": beta, "turned": 1 / beta**2}.get(mistake, beta**2)
        return (1 + weight) * precision * recall / (weight * precision + recall)

    return answer


CHARACTER_MISTAKES = {
    "spaces": "spaces count as characters in this; take them out of both strings first",
    "set": "each run counts once in this; count how often it stands there, as a Counter does",
    "not clipped": "a run may match at most as often as the other string has it: clip the counts with &",
    "precision": "this is the precision alone; what ours left out must cost too",
    "F1": "this is F1, whatever beta is; beta squared, in both places, is what gives recall its weight",
    "beta, not squared": "beta stands squared in the formula, in both places",
    "turned": "precision and recall are exchanged: beta squared multiplies P in the denominator",
    "words": "these are runs of words; cut the strings into runs of characters",
    "up to n": "this is the mean over all lengths up to n; only runs of exactly n characters count",
    "percent": "this is in percent; the formula gives a number between 0 and 1",
}


def check_character_f(answer: Callable[..., Any]) -> str:
    cases = [("개가 개를 본다", "개는 개를 안 본다", 1, 2.0), ("aabab ab", "abab b", 2, 2.0), ("the the the", "the cat", 3, 0.5), ("a b c", "a b c d e", 2, 3.0)]
    for case in cases:
        got, right = answer(*case), character_f(*case)
        if close(got, right):
            continue
        for mistake, sentence in CHARACTER_MISTAKES.items():
            if close(got, _character_wrong(mistake)(*case)):
                raise Wrong(sentence)
        raise Wrong(f"for {case} the F-score is {right:.4f}; yours is {got}")
    try:
        nothing = answer("abc", "xyz", 1, 2.0)
    except ZeroDivisionError:
        raise Wrong("where nothing matches, P and R are 0 and the formula divides by 0; return 0 there") from None
    if not close(nothing, 0):
        raise Wrong("where nothing matches the F-score is 0")
    return "with recall counting double, a word that was left out costs more than one too many."


# ---------------------------------------------------------------- 13.3 the highway layer


def highway_backward(dy: Array, x: Array, W: Array, W_g: Array) -> dict[str, Array]:
    g, h = 1 / (1 + np.exp(-x @ W_g)), np.tanh(x @ W)  # (N, H)
    dz = dy * g * (1 - h**2)  # by x @ W
    dz_g = dy * (h - x) * g * (1 - g)  # by x @ W_g: g multiplies h, and 1 - g multiplies x
    return {"x": dy * (1 - g) + dz @ W.T + dz_g @ W_g.T, "W": x.T @ dz, "W_g": x.T @ dz_g}


def _highway_wrong(mistake: str) -> Callable[..., dict[str, Array]]:
    def answer(dy: Array, x: Array, W: Array, W_g: Array) -> dict[str, Array]:
        g, h = 1 / (1 + np.exp(-x @ W_g)), np.tanh(x @ W)
        dz = dy * (1 if mistake == "gate forgotten" else g) * (1 if mistake == "no tanh slope" else 1 - h**2)
        by_gate = h if mistake == "carry forgotten" else h + x if mistake == "plus" else h - x
        dz_g = dy * by_gate * (1 if mistake == "no slope" else g * (1 - g))
        straight = dy * {"no straight path": 0, "straight path whole": 1, "g for 1 - g": g}.get(mistake, 1 - g)
        through_gate = 0 if mistake == "gate is a constant" else dz_g @ (W_g if mistake == "not transposed" else W_g.T)
        return {"x": straight + dz @ (W if mistake == "not transposed" else W.T) + through_gate, "W": x.T @ dz, "W_g": x.T @ dz_g}

    return answer


HIGHWAY_MISTAKES = {
    "no straight path": "the straight path is missing: x also goes into y directly, times 1 - g",
    "straight path whole": "the straight path passes only the share 1 - g of dy",
    "gate is a constant": "x moves the gate too: its gradient has a third part, through W_g",
    "carry forgotten": "g also takes away from x: y changes by h - x when g grows",
    "plus": "1 - g multiplies x, so the derivative of y by g is h minus x",
    "no slope": "the gradient by x @ W_g needs the sigmoid's slope, g (1 - g)",
    "g for 1 - g": "x stands in y times 1 - g; g is the share of h",
    "no tanh slope": "the gradient by x @ W needs the tanh's slope, 1 - h squared",
    "not transposed": "back through x @ W goes @ W.T; with square matrices a forgotten .T raises no error",
    "gate forgotten": "h enters y multiplied by g, so what goes back into h is dy times g",
}


def check_highway(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(5)
    arrays = {"x": rng.standard_normal((3, 4)), "W": rng.standard_normal((4, 4)), "W_g": rng.standard_normal((4, 4))}
    dy = rng.standard_normal((3, 4))
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    g, h = torch.sigmoid(leaves["x"] @ leaves["W_g"]), torch.tanh(leaves["x"] @ leaves["W"])
    ((g * h + (1 - g) * leaves["x"]) * torch.from_numpy(dy)).sum().backward()  # type: ignore[no-untyped-call]
    got = answer(dy.copy(), *(array.copy() for array in arrays.values()))
    if not isinstance(got, dict) or set(got) != set(arrays):
        raise Wrong("return a dictionary with exactly the keys x, W and W_g")
    for name, array in arrays.items():
        if np.shape(got[name]) != array.shape:
            raise Wrong(f"the gradient by {name} has shape {np.shape(got[name])}; it must be {array.shape}")
    true = {name: np.asarray(leaf.grad) for name, leaf in leaves.items()}
    if all(relative_error(got[name], true[name]) < 1e-8 for name in arrays):
        return "all three equal autograd's. Where g is near 0 the gradient passes straight, as over a residual connection."
    for mistake, sentence in HIGHWAY_MISTAKES.items():
        theirs = _highway_wrong(mistake)(dy, *arrays.values())
        if all(relative_error(np.asarray(got[name]), theirs[name]) < 1e-8 for name in arrays):
            raise Wrong(sentence)
    wrong = [name for name in arrays if not relative_error(np.asarray(got[name]), true[name]) < 1e-8]
    raise Wrong(f"wrong: the gradients by {', '.join(wrong)}. Name the three ways from x to y, and go back along each")


# ---------------------------------------------------------------- 13.4 find the bug


@torch.no_grad()
def repaired_beam(model: Any, source: list[int], width: int, most: int = 24) -> list[int]:
    memory, state = model.encode(torch.tensor([source] * width))
    totals, written, done = torch.tensor([0.0] + [-torch.inf] * (width - 1)), [[SOS]] * width, []
    for _ in range(most):
        logits, state = model.decode(memory, state, torch.tensor([row[-1:] for row in written]))
        every = totals[:, None] + logits[:, -1].log_softmax(dim=1)
        totals, places = every.flatten().topk(width)
        rows, words = places // every.shape[1], places % every.shape[1]
        state = state[:, rows]  # here: each place goes on with the state of the hypothesis that it continues
        written = [[*written[row], word] for row, word in zip(rows.tolist(), words.tolist())]
        done += [(total, row[1:-1]) for total, row in zip(totals.tolist(), written) if row[-1] == EOS and total > -torch.inf]
        totals[words == EOS] = -torch.inf
        if len(done) >= width:
            break
    return max(done)[1] if done else written[0][1:]


def _beam_wrong(mistake: str) -> Callable[..., list[int]]:
    @torch.no_grad()
    def answer(model: Any, source: list[int], width: int, most: int = 24) -> list[int]:
        width = 1 if mistake == "greedy" else width
        memory, state = model.encode(torch.tensor([source] * width))
        first = state
        totals, written, done = torch.tensor([0.0] + [-torch.inf] * (width - 1)), [[SOS]] * width, list[tuple[float, list[int]]]()
        for _ in range(most):
            logits, state = model.decode(memory, state, torch.tensor([row[-1:] for row in written]))
            every = totals[:, None] + logits[:, -1].log_softmax(dim=1)
            totals, places = every.flatten().topk(width)
            rows, words = places // every.shape[1], places % every.shape[1]
            written = [[*written[row], word] for row, word in zip(rows.tolist(), words.tolist())]
            if mistake in ("by rank", "not summed"):
                state = state[:, rows.sort().values if mistake == "by rank" else rows]
            if mistake == "first state":
                state = first
            if mistake in ("worst", "first axis"):
                state = state[:, rows] if mistake == "worst" else state[rows]
            done += [(total, row[1:-1]) for total, row in zip(totals.tolist(), written) if row[-1] == EOS and total > -torch.inf]
            totals[words == EOS] = -torch.inf
            if mistake == "not summed":
                totals = torch.where(totals > -torch.inf, torch.zeros(()), totals)
            if len(done) >= width:
                break
        chosen = min(done) if mistake == "worst" and done else max(done) if done else (0.0, written[0][1:])
        return chosen[1]

    return answer


BEAM_MISTAKES = {
    "unchanged": "this is the doubtful version still: after topk, place 0 may continue the hypothesis of place 2; whose state does it read next?",
    "by rank": "the states are sorted by their old places now; each place needs the state of the hypothesis that it continues, in the new order",
    "first state": "every step starts again from the encoder's last state; keep the new states, in the new order",
    "not summed": "the log-probabilities are no longer added up; that line was right",
    "worst": "the states are right now, but the least probable of the finished hypotheses is returned",
    "greedy": "this is greedy at any width; a beam must keep `width` hypotheses",
}


def tiny_model(seed: int) -> nn.Module:
    """An untrained translator whose probabilities differ much."""
    torch.manual_seed(seed)
    model = GNMT(9, 7, 3, 4)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=1.5)
    return model


BEAM_CASES: Sequence[tuple[int, list[int], int]] = [(seed, source, width) for seed in range(12) for source, width in (([4, 5, 6, 3], 2), ([5, 8, 3], 3), ([6, 4, 3], 4))]


def check_beam(answer: Callable[..., Any]) -> str:
    before = torch.get_rng_state()
    results: dict[str, list[Any]] = {"yours": [], "right": [], **{mistake: [] for mistake in BEAM_MISTAKES}}
    for seed, source, width in BEAM_CASES:
        model = tiny_model(seed)
        try:
            results["yours"].append(answer(model, list(source), width, 6))
        except IndexError as error:
            raise Wrong(f"{error}: the state is (L, N, H), so the places of the beam are its axis 1") from None
        results["right"].append(repaired_beam(model, source, width, 6))
        for mistake in BEAM_MISTAKES:
            results[mistake].append(_beam_wrong(mistake)(model, source, width, 6))
    torch.set_rng_state(before)
    yours = [one.tolist() if isinstance(one, Tensor) else one for one in results["yours"]]
    if yours == results["right"]:
        return "a state belongs to a hypothesis, not to a place of the beam: the package's `rows` moves it along."
    for mistake, sentence in BEAM_MISTAKES.items():
        if yours == results[mistake]:
            raise Wrong(sentence)
    (_, source, width), got, right = next((case, y, r) for case, y, r in zip(BEAM_CASES, yours, results["right"]) if y != r)
    raise Wrong(f"with a tiny model, source {source} and width {width} the best hypothesis is {right}, yours is {got}; only one line is missing in the doubtful version")


# ---------------------------------------------------------------- 13.5 the true best


def exact_search(step: Callable[[list[int]], Any], most: int) -> tuple[float, list[int]]:
    import heapq

    waiting: list[tuple[float, list[int]]] = [(0.0, [])]  # (-log P, words), the most probable first
    while True:
        cost, words = heapq.heappop(waiting)
        if words and words[-1] == EOS:
            return -cost, words  # all others are less probable already, and can only fall
        for word, value in enumerate(step(words).tolist()):
            if word == EOS or len(words) + 1 < most:  # a beginning of `most` words cannot end in time
                heapq.heappush(waiting, (cost - value, [*words, word]))


def _every(step: Callable[[list[int]], Any], most: int) -> tuple[float, list[int]]:
    alive: list[tuple[float, list[int]]] = [(0.0, [])]
    done: list[tuple[float, list[int]]] = []
    for _ in range(most):
        new = [(total + value, [*words, word]) for total, words in alive for word, value in enumerate(step(words).tolist())]
        done += [one for one in new if one[1][-1] == EOS]
        alive = [one for one in new if one[1][-1] != EOS]
    return max(done)


def _narrow(width: int) -> Callable[..., tuple[float, list[int]]]:
    def answer(step: Callable[[list[int]], Any], most: int) -> tuple[float, list[int]]:
        alive: list[tuple[float, list[int]]] = [(0.0, [])]
        done: list[tuple[float, list[int]]] = []
        for _ in range(most):
            new = sorted(((total + value, [*words, word]) for total, words in alive for word, value in enumerate(step(words).tolist())), reverse=True)
            done += [one for one in new[:width] if one[1][-1] == EOS]
            alive = [one for one in new[:width] if one[1][-1] != EOS]
        return max(done) if done else alive[0]

    return answer


def _too_long(step: Callable[[list[int]], Any], most: int) -> tuple[float, list[int]]:
    return exact_search(step, most + 3)


def _first_met(step: Callable[[list[int]], Any], most: int) -> tuple[float, list[int]]:
    waiting: list[tuple[float, list[int]]] = [(0.0, [])]
    while True:
        total, words = waiting.pop(waiting.index(max(waiting)))
        for word, value in enumerate(step(words).tolist()):
            if word == EOS:
                return total + value, [*words, word]
            waiting.append((total + value, [*words, word]))


def _no_eos(step: Callable[[list[int]], Any], most: int) -> tuple[float, list[int]]:
    total, words = exact_search(step, most)
    return total, words[:-1]


def check_exact(answer: Callable[..., Any]) -> str:
    calls = every = 0
    for seed, most in ((1, 4), (2, 5), (3, 5), (4, 3), (5, 4), (6, 5)):

        def step(words: list[int], seed: int = seed) -> Tensor:
            rng = np.random.default_rng([seed, *words])
            chances = rng.random(6) ** 4
            chances[EOS] *= 0.05 if len(words) < 2 or seed == 4 else 0.6  # the best is not the shortest; seed 4 ends late
            return torch.from_numpy(np.log(chances / chances.sum()))

        def counted(words: list[int], step: Callable[[list[int]], Tensor] = step) -> Tensor:
            nonlocal calls
            calls += 1
            return step(list(words))

        got, right = answer(counted, most), _every(step, most)
        if not (isinstance(got, tuple) and len(got) == 2):
            raise Wrong("return the pair (log-probability, words)")
        if list(got[1]) == right[1][:-1]:
            raise Wrong("the words must end in <eos>, as they do in `beam`")
        if len(got[1]) > most:
            raise Wrong(f"this sentence has {len(got[1])} tokens, but at most {most} were allowed, <eos> included")
        if list(got[1]) != right[1]:
            if not got[1] or got[1][-1] != EOS:
                raise Wrong("this sentence has not ended: only word lists that end in <eos> within `most` tokens count")
            raise Wrong(f"a sentence of probability {np.exp(right[0]):.4f} exists; yours has {np.exp(float(got[0])):.4f}. A narrow search misses it, and so does one that stops at the first finished sentence it meets")
        if not close(got[0], right[0]):
            raise Wrong(f"the words are right; their log-probability is {right[0]:.4f}, yours is {float(got[0]):.4f}")
        every += sum(5**k for k in range(most))
    if calls > every / 4:
        raise Wrong(f"right, but step was called {calls} times for six searches, and {every // 4} are allowed; leave out what is already less probable than a finished sentence")
    return "the most probable beginning first: when a finished sentence comes out, nothing left can beat it."


EXERCISES = {
    "13.1": Exercise(
        check=check_ranking,
        hint="`sorted` takes a key, and reverse=True. lp of n tokens is ((5 + n) / 6) ** alpha.",
        solution=ranking,
        wrong={name: mistake for name, (_, mistake) in RANKING_MISTAKES.items()} | {"the scores instead": _scores},
    ),
    "13.2": Exercise(
        check=check_character_f,
        hint="`ngrams` counts runs of anything that can be cut, a string too. What do you divide the matches by for P, and by what for R?",
        solution=character_f,
        wrong={name: _character_wrong(name) for name in CHARACTER_MISTAKES},
    ),
    "13.3": Exercise(
        check=check_highway,
        hint="From x to y there are three ways: straight, times 1 - g; through h; and through g, which acts on both h and x.",
        solution=highway_backward,
        wrong={name: _highway_wrong(name) for name in HIGHWAY_MISTAKES},
    ),
    "13.4": Exercise(
        check=check_beam,
        hint="Follow place 0 for two steps with width 2. Which hypothesis does it continue, which words has it, and whose state?",
        solution=repaired_beam,
        wrong={name: _beam_wrong(name) for name in (*BEAM_MISTAKES, "first axis")},
    ),
    "13.5": Exercise(
        check=check_exact,
        hint="Keep all beginnings in a heap (heapq), the most probable on top, and always continue that one. When may you stop?",
        solution=exact_search,
        wrong={"greedy": _narrow(1), "beam of 2": _narrow(2), "all sentences": _every, "too long": _too_long, "no <eos>": _no_eos, "the first met": _first_met},
    ),
}
