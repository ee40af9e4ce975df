"""Exercises of lesson 16: BERT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from course_utils.exercises import Exercise, Wrong
from course_utils.tasks import pretraining

Array = NDArray[Any]
Ids = list[int]
CLS, SEP, MASK = (pretraining.bert_vocabulary().id(token) for token in ("[CLS]", "[SEP]", "[MASK]"))


# ---------------------------------------------------------------- 16.1 make it fit


def cut(first: Ids, second: Ids, most: int) -> tuple[Ids, Ids]:
    first, second = list(first), list(second)
    while len(first) + len(second) + 3 > most:
        longer = first if len(first) > len(second) else second
        longer.pop()
    return first, second


def _cut_by(rule: str) -> Callable[[Ids, Ids, int], Any]:
    def answer(first: Ids, second: Ids, most: int) -> Any:
        first, second = (first, second) if rule == "in place" else (list(first), list(second))
        over = max(len(first) + len(second) + 3 - most, 0)
        if rule == "longer once":
            return (first[: len(first) - over], second) if len(first) > len(second) else (first, second[: len(second) - over])
        if rule == "halves" and over:
            return first[: (most - 3) // 2], second[: (most - 3) // 2]
        while len(first) + len(second) + {"no room": 0, "two specials": 2}.get(rule, 3) > most:
            longer = first if len(first) > len(second) or (rule == "tie" and len(first) == len(second)) else second
            longer = second if rule == "second only" and second else longer
            longer.pop(0 if rule == "front" else -1)
        return first, second

    return answer


CUT_MISTAKES = {
    "no room": "the input is too long by three: [CLS] and two [SEP] need room as well",
    "two specials": "the input is too long by one: [CLS] and two [SEP] are three tokens",
    "longer once": "all that is too much came off one sentence; after each token ask again which is longer",
    "halves": "each sentence got half of the room, also where the other does not fill its half; drop one token at a time, from the longer",
    "second only": "only the second sentence was cut; drop from whichever is longer at that moment",
    "front": "tokens were dropped from the front; drop the last ones",
    "tie": "where both are equally long the second one gives way; yours cuts the first",
}


def check_cut(answer: Callable[..., Any]) -> str:
    cases = (
        ([1, 2, 3], [4, 5], 20),
        ([1, 2, 3, 4, 5, 6], [7, 8], 8),
        ([1, 2], [3, 4, 5, 6, 7], 7),
        ([1, 2, 3], [4, 5, 6], 8),
        ([1, 2, 3, 4, 5], [6, 7, 8, 9], 8),  # both give way in turn
    )
    for first, second, most in cases:
        given = list(first), list(second)
        got = answer(*given, most)
        if given != (first, second):
            raise Wrong("the lists that were given are changed: work on copies, list(first)")
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong("return two lists, the cut first and the cut second sentence")
        got, right = (list(got[0]), list(got[1])), cut(first, second, most)
        if got == right:
            continue
        for mistake, sentence in CUT_MISTAKES.items():
            if got == _cut_by(mistake)(list(first), list(second), most):
                raise Wrong(sentence)
        raise Wrong(f"for {first}, {second} and most={most} it is {right}; yours is {got}")
    return "it fits, and neither sentence gives more than it must."


# ---------------------------------------------------------------- 16.2 count


def count(V: int, D: int, layers: int, inner: int, places: int) -> int:
    tables = (V + places + 2) * D + 2 * D  # words, places, segments, and the norm behind their sum
    attention = 4 * (D * D + D)  # query, key, value, output
    forward = D * inner + inner + inner * D + D
    norms = 2 * (2 * D)
    return tables + layers * (attention + forward + norms) + D * D + D  # the last: the pooler


COUNT_MISTAKES: dict[str, tuple[str, Callable[..., int]]] = {
    "no pooler": ("the pooler is missing, a linear map from D to D with bias", lambda V, D, n, i, p: count(V, D, n, i, p) - D * D - D),
    "no norms": ("the layer norms are missing: two a layer and one behind the tables, 2 D each", lambda V, D, n, i, p: count(V, D, n, i, p) - 2 * D - 4 * D * n),
    "segments or first norm": ("2 D are missing: the table of segments has two rows of D, and the norm behind the tables has 2 D too", lambda V, D, n, i, p: count(V, D, n, i, p) - 2 * D),
    "no biases": (
        "the biases of the layers are missing: 4 D in attention, inner + D in the feed-forward part",
        lambda V, D, n, i, p: count(V, D, n, i, p) - n * (5 * D + i),
    ),
    "three maps": ("attention has four maps: query, key, value, and the one behind the heads", lambda V, D, n, i, p: count(V, D, n, i, p) - n * (D * D + D)),
    "output bias": ("V too many: a bias a word belongs to the read-out of pre-training, which is not counted", lambda V, D, n, i, p: count(V, D, n, i, p) + V),
    "last norm": ("2 D too many: the published model has no norm behind the last layer", lambda V, D, n, i, p: count(V, D, n, i, p) + 2 * D),
    "no places": ("the table of places is missing, one row of D a place", lambda V, D, n, i, p: count(V, D, n, i, p) - p * D),
    "tables and matrices": (
        "only tables and matrices are counted; biases and layer norms have parameters too",
        lambda V, D, n, i, p: (V + p + 2) * D + n * (4 * D * D + 2 * D * i) + D * D,
    ),
    "one way": (
        "the feed-forward part has two maps, D to inner and inner to D; the weights of one are missing",
        lambda V, D, n, i, p: count(V, D, n, i, p) - n * D * i,
    ),
    "one layer": ("this counts one layer only", lambda V, D, n, i, p: count(V, D, 1, i, p)),
}


def check_count(answer: Callable[..., Any]) -> str:
    for case in ((30_522, 768, 12, 3072, 512), (30_522, 1024, 24, 4096, 512), (100, 8, 3, 20, 30)):
        got, right = answer(*case), count(*case)
        if got == right:
            continue
        for sentence, mistake in COUNT_MISTAKES.values():
            if got == mistake(*case):
                raise Wrong(sentence)
        raise Wrong(f"for V, D, layers, inner, places = {case} there are {right:,} parameters; your formula gives {got:,} ({got - right:+,})")
    return "base 109,482,240 and large 335,141,888, as on the meta device. The number of heads does not enter."


# ---------------------------------------------------------------- 16.3 score a sentence


def score(ids: Ids, log_p: Callable[[Ids], Array]) -> float:
    total = 0.0
    for place in range(1, len(ids) - 1):
        hidden = [*ids[:place], MASK, *ids[place + 1 :]]  # one word hidden, all others there
        total += log_p(hidden)[place, ids[place]]
    return float(total)


def _score_by(mistake: str) -> Callable[[Ids, Callable[[Ids], Array]], float]:
    def answer(ids: Ids, log_p: Callable[[Ids], Array]) -> float:
        inner = range(1, len(ids) - 1)
        if mistake == "not hidden":
            return float(sum(log_p(ids)[place, ids[place]] for place in inner))
        if mistake == "all hidden":
            table = log_p([ids[0], *[MASK] * (len(ids) - 2), ids[-1]])
            return float(sum(table[place, ids[place]] for place in inner))
        if mistake == "specials":
            return float(sum(log_p([*ids[:k], MASK, *ids[k + 1 :]])[k, ids[k]] for k in range(len(ids))))
        if mistake == "left only":
            return float(sum(log_p([*ids[:k], MASK])[k, ids[k]] for k in inner))
        if mistake == "of the mask":
            return float(sum(log_p([*ids[:k], MASK, *ids[k + 1 :]])[k, MASK] for k in inner))
        if mistake == "stays hidden":
            return float(sum(log_p([ids[0], *[MASK] * k, *ids[k + 1 :]])[k, ids[k]] for k in inner))
        if mistake == "row before":
            return float(sum(log_p([*ids[:k], MASK, *ids[k + 1 :]])[k - 1, ids[k]] for k in inner))
        if mistake == "sign":
            return -score(ids, log_p)
        if mistake == "probability":
            return float(np.exp(score(ids, log_p)))
        return score(ids, log_p) / len(inner)

    return answer


SCORE_MISTAKES = {
    "not hidden": "the model sees the word that it is asked for: put MASK in its place first",
    "all hidden": "all words are hidden at once; hide one, and leave all others in sight",
    "specials": "[CLS] and [SEP] are asked for too; the sum runs over the words between them",
    "left only": "the words on the right are cut off; a masked model may see both sides",
    "of the mask": "this is the probability of [MASK]; ask for the word that stood there",
    "stays hidden": "words asked for earlier are hidden still; put each back before the next is hidden",
    "row before": "this reads the row of the place before; log_p has a row for each token, [CLS] at 0",
    "sign": "the sign is turned: a sum of logarithms of probabilities is negative",
    "probability": "this is the probability; its logarithm is asked for, the sum without exp",
    "mean": "this is the mean; the sum is asked for",
}


def check_score(answer: Callable[..., Any]) -> str:
    V = MASK + 1
    table = np.random.default_rng(3).standard_normal((V, 5))

    def log_p(ids: Sequence[int]) -> Array:
        context = np.cumsum(table[list(ids)], axis=0) + table[list(ids)][::-1].cumsum(axis=0)[::-1] * 2  # (T, 5): both sides matter
        logits = context @ table.T
        return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))

    for words in ([10, 20, 30], [7, 7, 200, 5]):
        ids = [CLS, *words, SEP]
        given = list(ids)
        got, right = answer(given, log_p), score(ids, log_p)
        if given != ids:
            raise Wrong("the list that was given is changed: a hidden word was not put back")
        if np.shape(got) == () and np.isclose(float(got), right):
            continue
        for mistake, sentence in SCORE_MISTAKES.items():
            if np.shape(got) == () and np.isclose(float(got), _score_by(mistake)(ids, log_p), atol=0):
                raise Wrong(sentence)
        if np.shape(got) != ():
            raise Wrong(f"return one number, the sum; yours has shape {np.shape(got)}")
        raise Wrong(f"for {len(words)} words the sum is {right:.4f}; yours is {got}")
    return "each word was guessed once, from all the others. Compare two sentences of one length with it: which is more natural?"


# ---------------------------------------------------------------- 16.4 find the bug


def word_states(states: Tensor) -> Tensor:
    return states[:, 1:-1]  # place 0 is [CLS]; word t stands at place t + 1


WORD_MISTAKES: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "unchanged": ("this is the doubtful version still: whose state stands at place 0?", lambda states: states[:, :-2]),
    "too far": ("now each word gets the state of the word behind it; only [CLS] stands before the first word", lambda states: states[:, 2:]),
    "with [SEP]": ("these are T + 1 states; the longest sentence has a [SEP] behind it, which is no word", lambda states: states[:, 1:]),
    "with [CLS]": ("these are T + 1 states, and the first is [CLS]'s", lambda states: states[:, :-1]),
}


def check_word_states(answer: Callable[..., Any]) -> str:
    states = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(1))
    got, right = answer(states.clone()), word_states(states)
    if torch.is_tensor(got) and got.shape == right.shape and torch.equal(got, right):
        return "every word reads its own state. The shape was right all along, which is why nothing complained: only labels by place tell."
    for sentence, mistake in WORD_MISTAKES.values():
        if torch.is_tensor(got) and got.shape == mistake(states).shape and torch.equal(got, mistake(states)):
            raise Wrong(sentence)
    raise Wrong(f"from (3, 7, 4) states the words' are (3, 5, 4), those at places 1 to 5; yours has shape {tuple(getattr(got, 'shape', ()))}")


# ---------------------------------------------------------------- 16.5 let it write


def gibbs(ids: Ids, p: Callable[[Ids], Array], sweeps: int, rng: np.random.Generator) -> Ids:
    ids = list(ids)
    for _ in range(sweeps):
        for place in range(1, len(ids) - 1):
            ids[place] = MASK  # what stood here must not be seen
            chances = p(ids)[place]
            ids[place] = int(rng.choice(len(chances), p=chances))
    return ids


def _gibbs_by(mistake: str) -> Callable[..., Ids]:
    def answer(ids: Ids, p: Callable[[Ids], Array], sweeps: int, rng: np.random.Generator) -> Ids:
        ids = list(ids)
        if mistake == "place by place":
            for place in range(1, len(ids) - 1):
                for _ in range(sweeps):
                    chances = p([*ids[:place], MASK, *ids[place + 1 :]])[place]
                    ids[place] = int(rng.choice(len(chances), p=chances))
            return ids
        for _ in range(1 if mistake == "one sweep" else sweeps):
            before = list(ids)
            for place in range(1, len(ids) - 1):
                if mistake == "all at once":
                    chances = p([*before[:place], MASK, *before[place + 1 :]])[place]
                elif mistake == "all hidden":
                    chances = p([ids[0], *[MASK] * (len(ids) - 2), ids[-1]])[place]
                elif mistake == "not hidden":
                    chances = p(ids)[place]
                else:
                    chances = p([*ids[:place], MASK, *ids[place + 1 :]])[place]
                ids[place] = int(np.argmax(chances)) if mistake == "best" else int(rng.choice(len(chances), p=chances))
                if mistake == "left masked":
                    before[place] = ids[place]
                    ids[place] = MASK
            if mistake == "left masked":
                ids = before
        return ids

    return answer


GIBBS_MISTAKES = {
    "best": "always the most likely word: that is no sample; draw with rng.choice",
    "all at once": "within a sweep the new words do not see each other: put each in before the next is drawn",
    "not hidden": "the model sees the word that it shall replace: put MASK in its place first",
    "all hidden": "all words are hidden when one is drawn; hide this one place, and leave the others in sight",
    "place by place": "each place is drawn again and again before the next; a sweep goes once through all places, so the loop over sweeps is the outer one",
    "one sweep": "only one sweep was made",
    "left masked": "a place stays hidden while the next one is drawn: put the new word in first",
}


def check_gibbs(answer: Callable[..., Any]) -> str:
    V = MASK + 1
    table = 0.5 * np.random.default_rng(4).standard_normal((V, V))

    def p(ids: Sequence[int]) -> Array:
        every = table[list(ids)]
        logits = 2 * (every.sum(axis=0) + 2 * np.roll(every, 1, axis=0) + every)  # its own word, its left one, and all
        parts = np.exp(logits - logits.max(axis=1, keepdims=True))
        parts[:, : 4], parts[:, CLS:] = 0, 0
        return np.asarray(parts / parts.sum(axis=1, keepdims=True))

    start = [CLS, 10, 20, 30, SEP]
    for sweeps in (1, 3):
        given = list(start)
        got, right = answer(given, p, sweeps, np.random.default_rng(sweeps)), gibbs(start, p, sweeps, np.random.default_rng(sweeps))
        if given != start:
            raise Wrong("the list that was given is changed: work on a copy")
        got = [int(number) for number in got]
        if got == right:
            continue
        if [got[0], got[-1]] != [CLS, SEP] or len(got) != len(start):
            raise Wrong("[CLS] and [SEP] stay where they are, and no word is added or lost")
        for mistake, sentence in GIBBS_MISTAKES.items():
            if got == _gibbs_by(mistake)(start, p, sweeps, np.random.default_rng(sweeps)):
                raise Wrong(sentence)
        raise Wrong("with this generator other words come out: one rng.choice(V, p=...) a place, from left to right, and nothing else drawn")
    return "a chain of samples. Try it on the lesson's model: start from [MASK] everywhere, and see what it writes after 20 sweeps."


EXERCISES = {
    "16.1": Exercise(
        check=check_cut,
        hint="A while loop; in each turn one token goes. How many tokens beside the two sentences must fit?",
        solution=cut,
        wrong={mistake: _cut_by(mistake) for mistake in (*CUT_MISTAKES, "in place")},
    ),
    "16.2": Exercise(
        check=check_count,
        hint="Three tables and a norm; a layer is four maps D to D with bias, two maps D to inner and back with bias, two norms of 2 D; then the pooler.",
        solution=count,
        wrong={name: mistake for name, (_, mistake) in COUNT_MISTAKES.items()},
    ),
    "16.3": Exercise(
        check=check_score,
        hint="For each place between first and last: a copy of ids with MASK there, log_p of the copy, its entry [place, ids[place]].",
        solution=score,
        wrong={mistake: _score_by(mistake) for mistake in SCORE_MISTAKES},
    ),
    "16.4": Exercise(
        check=check_word_states,
        hint="Write down the packed input of a sentence of two words, token by token. At which places do the words stand?",
        solution=word_states,
        wrong={name: mistake for name, (_, mistake) in WORD_MISTAKES.items()},
    ),
    "16.5": Exercise(
        check=check_gibbs,
        hint="Two loops: sweeps, and places 1 to len(ids) - 2. In the inner one three lines: hide, draw, put in.",
        solution=gibbs,
        wrong={mistake: _gibbs_by(mistake) for mistake in GIBBS_MISTAKES},
    ),
}
