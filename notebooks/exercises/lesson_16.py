"""Exercises of lesson 16: BERT."""

from __future__ import annotations

from collections import UserList
from functools import partial

import numpy as np
import torch

from course_utils.grading import Wrong, ask, exercise
from course_utils.proofs import numbers
from course_utils.tasks import pretraining

CLS, SEP, MASK = (pretraining.bert_vocabulary().id(token) for token in ("[CLS]", "[SEP]", "[MASK]"))
EXERCISES = {}


# 16.1 Make it fit


def cut(first, second, most):
    first, second = list(first), list(second)
    while len(first) + len(second) + 3 > most:
        longer = first if len(first) > len(second) else second
        longer.pop()
    return first, second


def both_lists(answer, first, second, most):
    """What the answer returns, as text, and whether it left the given lists as they were."""
    given = UserList(first), UserList(second)
    got = ask(partial(answer, *given, most))  # so `ask` makes no copies of them
    if not (isinstance(got, (tuple, list)) and len(got) == 2):
        raise Wrong("return two lists, the cut first and the cut second sentence")
    words = " and ".join(str(numbers(part).tolist()) for part in got)
    return words if given == (first, second) else f"{words}, and the given lists are changed"


EXERCISES["16.1"] = exercise(
    cut,
    lambda: [
        ([1, 2, 3], [4, 5], 20),
        ([1, 2, 3, 4, 5, 6], [7, 8], 8),
        ([1, 2], [3, 4, 5, 6, 7], 7),
        ([1, 2, 3], [4, 5, 6], 8),
        ([1, 2, 3, 4, 5], [6, 7, 8, 9], 9),  # both give way in turn
        ([*range(20)], [*range(7)], 21),
    ],
    """
no room: ` + 3 > most` -> ` > most`
    the input is too long by three: [CLS] and two [SEP] need room as well
two specials: ` + 3 > most` -> ` + 2 > most`
    the input is too long by one: [CLS] and two [SEP] are three tokens
longer once: `longer.pop()` -> `del longer[most - 3 - len(first) - len(second) :]`
    all that is too much came off one sentence; after each token ask again which is longer
halves: `longer.pop()` -> `return first[: (most - 3) // 2], second[: (most - 3) // 2]`
    each sentence got half of the room, also where the other does not fill its half; drop one token
    at a time, from the longer
second only: `first if len(first) > len(second) else second` -> `second or first`
    only the second sentence was cut; drop from whichever is longer at that moment
front: `.pop()` -> `.pop(0)`
    tokens were dropped from the front; drop the last ones
tie: `len(first) > len(second)` -> `len(first) >= len(second)`
    where both are equally long the second one gives way; yours cuts the first
in place: `list(first), list(second)` -> `first, second`
    the lists that were given are changed: work on copies, list(first)
""",
    use=both_lists,
    hint=(
        "A while loop; in each turn one token goes. How many tokens beside the two sentences must"
        " fit?"
    ),
    praise="it fits, and neither sentence gives more than it must.",
)


# 16.2 Count


def count(V, D, layers, inner, places):
    tables = (V + places + 2) * D  # words, positions, segments
    norm = 2 * D
    attention = 4 * (D * D + D)  # query, key, value, output
    forward = (D * inner + inner) + (inner * D + D)
    pooler = D * D + D
    return tables + norm + layers * (attention + forward + 2 * norm) + pooler


EXERCISES["16.2"] = exercise(
    count,
    lambda: [(100, 8, 3, 20, 30), (50, 6, 1, 4, 9), (30_522, 768, 12, 3072, 512)],
    """
no pooler: ` + pooler` -> ``
    the pooler is missing, a linear map from D to D with bias
no norms: `2 * D` -> `0`
    the layer norms are missing: two a layer and one behind the tables, 2 D each
segments or first norm: `tables + norm` -> `tables`
    2 D are missing: the table of segments has two rows of D, and the norm behind the tables has 2 D
    too
no biases: `4 * (D * D + D)` -> `4 * D * D`
    `(D * inner + inner) + (inner * D + D)` -> `2 * D * inner`
    the biases of the layers are missing: 4 D in attention, inner + D in the feed-forward part
three maps: `4 * (` -> `3 * (`
    attention has four maps: query, key, value, and the one behind the heads
output bias: ` + pooler` -> ` + pooler + V`
    V too many: a bias for each word belongs to the read-out of pre-training, which is not counted
last norm: `tables + norm` -> `tables + 2 * norm`
    2 D too many: the published model has no norm behind the last layer
no positions: `V + places + 2` -> `V + 2`
    the table of positions is missing, one row of D a position
tables and matrices: `norm = 2 * D` -> `norm = 0` `4 * (D * D + D)` -> `4 * D * D`
    `(D * inner + inner) + (inner * D + D)` -> `2 * D * inner`
    `pooler = D * D + D` -> `pooler = D * D`
    only tables and matrices are counted; biases and layer norms have parameters too
one way: `inner * D + D` -> `D`
    the feed-forward part has two maps, D to inner and inner to D; the weights of one are missing
one layer: `layers * (` -> `(`
    this counts one layer only
""",
    otherwise=lambda given, got, right: (
        f"for V, D, layers, inner, places = {given} there are {right:,} parameters; your formula"
        f" gives {float(got):,.0f} ({float(got) - right:+,.0f})"
    ),
    hint=(
        "Three tables and a norm; a layer is four maps D to D with bias, two maps D to inner and"
        " back with bias, two norms of 2 D; then the pooler."
    ),
    praise=(
        "base 109,482,240 and large 335,141,888, as on the meta device. The number of heads does"
        " not enter."
    ),
)


# 16.3 Score a sentence


def score(ids, log_p):
    total = 0.0
    for t in range(1, len(ids) - 1):
        hidden = [*ids[:t], MASK, *ids[t + 1 :]]  # one word hidden, all others there
        total += log_p(hidden)[t, ids[t]]
    return total


TABLE = np.random.default_rng(3).standard_normal((MASK + 1, MASK + 1))  # a row for each token


def log_p(ids):
    """A made-up model's log-probabilities (T, V): by the token, the one before it, and all."""
    x = TABLE[list(ids)]
    logits = x + 2 * np.roll(x, 1, axis=0) + x.sum(axis=0)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


EXERCISES["16.3"] = exercise(
    score,
    lambda: [([CLS, *words, SEP], log_p) for words in ([10, 20, 30], [7, 7, 200, 5])],
    """
not hidden: `log_p(hidden)` -> `log_p(ids)`
    the model sees the word that it is asked for: put MASK in its place first
all hidden: `[*ids[:t], MASK, *ids[t + 1 :]]` -> `[ids[0], *[MASK] * (len(ids) - 2), ids[-1]]`
    all words are hidden at once; hide one, and leave all others in sight
specials: `range(1, len(ids) - 1)` -> `range(len(ids))`
    [CLS] and [SEP] are asked for too; the sum runs over the words between them
left only: `MASK, *ids[t + 1 :]]` -> `MASK]`
    the words on the right are cut off; a masked model may see both sides
of the mask: `[t, ids[t]]` -> `[t, MASK]`
    this is the probability of [MASK]; ask for the word that stood there
stays hidden: `[*ids[:t], MASK,` -> `[ids[0], *[MASK] * t,`
    words asked for earlier are still hidden; put each back before the next is hidden
row before: `[t, ids[t]]` -> `[t - 1, ids[t]]`
    this reads the row of the position before; log_p has a row for each token, [CLS] at 0
sign: `return total` -> `return -total`
    the sign is turned: a sum of logarithms of probabilities is negative
probability: `return total` -> `return np.exp(total)`
    this is the probability; its logarithm is asked for, the sum without exp
mean: `return total` -> `return total / (len(ids) - 2)`
    this is the mean; the sum is asked for
""",
    otherwise=lambda given, got, right: (
        f"for {len(given[0]) - 2} words the sum is {right:.4f}; yours is {float(got):.4f}"
    ),
    hint=(
        "For each position between first and last: a copy of ids with MASK there, log_p of the"
        " copy, its entry [t, ids[t]]."
    ),
    praise=(
        "each word was guessed once, from all the others. Compare two sentences of one length with"
        " it: which is more natural?"
    ),
)


# 16.4 Find the bug


def word_states(states):
    return states[:, 1:-1]  # position 0 is [CLS]'s; word t stands at position t + 1


EXERCISES["16.4"] = exercise(
    word_states,
    lambda: [
        (torch.randn(shape, generator=torch.Generator().manual_seed(1)).double(),)
        for shape in ((3, 7, 4), (2, 5, 6))
    ],
    """
unchanged: `1:-1` -> `:-2`
    this is the doubtful version still: whose state stands at position 0?
too far: `1:-1` -> `2:`
    now each word gets the state of the word behind it; only [CLS] stands before the first word
with [SEP]: `1:-1` -> `1:`
    these are T + 1 states; the longest sentence has a [SEP] behind it, which is no word
with [CLS]: `1:-1` -> `:-1`
    these are T + 1 states, and the first is [CLS]'s
""",
    otherwise="From T + 2 states the words' are those at the positions 1 to T",
    hint=(
        "Write down the packed input of a sentence of two words, token by token. At which positions"
        " do the words stand?"
    ),
    praise=(
        "every word reads its own state. The shape was right all along, which is why nothing"
        " complained: only labels by position tell."
    ),
)


# 16.5 Let it write


def gibbs(ids, p, sweeps, rng):
    ids = list(ids)
    for _ in range(sweeps):
        for t in range(1, len(ids) - 1):
            ids[t] = MASK  # what stood here must not be seen
            chances = p(ids)[t]
            ids[t] = int(rng.choice(len(chances), p=chances))
    return ids


def p(ids):
    """The same model's probabilities (T, V), of ordinary words alone."""
    parts = np.exp(log_p(ids))
    parts[:, :4] = parts[:, CLS:] = 0
    return parts / parts.sum(axis=1, keepdims=True)


EXERCISES["16.5"] = exercise(
    gibbs,
    lambda: [([CLS, 10, 20, 30, 40, SEP], p, n, np.random.default_rng(n)) for n in (3, 1)],
    """
best: `int(rng.choice(len(chances), p=chances))` -> `int(np.argmax(chances))`
    always the most likely word: that is no sample; draw with rng.choice
all at once: `for _ in range(sweeps)` -> `for before in (list(ids) for _ in range(sweeps))`
    `p(ids)` -> `p([*before[:t], MASK, *before[t + 1 :]])`
    within a sweep the new words do not see each other: put each in before the next is drawn
not hidden: `ids[t] = MASK` -> `pass`
    the model sees the word that it is to replace: put MASK in its place first
all hidden: `p(ids)` -> `p([ids[0], *[MASK] * (len(ids) - 2), ids[-1]])`
    all words are hidden when one is drawn; hide this one position, and leave the others in sight
position by position: `for t in range(1, len(ids) - 1)` -> `for turn in range(sweeps)`
    `for _ in range(sweeps)` -> `for t in range(1, len(ids) - 1)`
    each position is drawn again and again before the next; a sweep goes once through all positions,
    so the loop over sweeps is the outer one
one sweep: `range(sweeps)` -> `range(1)`
    only one sweep was made
left masked: `p(ids)` -> `p([ids[0], *[MASK] * t, *ids[t + 1 :]])`
    a position stays hidden while the next one is drawn: put the new word in first
specials: `range(1, len(ids) - 1)` -> `range(len(ids))`
    [CLS] and [SEP] stay where they are, and no word is added or lost
""",
    otherwise=lambda given, got, right: (
        "with this generator other words come out: one rng.choice(V, p=...) a position, from left"
        " to right, and nothing else drawn"
    ),
    hint=(
        "Two loops: sweeps, and positions 1 to len(ids) - 2. In the inner one three lines: hide,"
        " draw, put in."
    ),
    praise=(
        "a chain of samples. Try it on the lesson's model: start from [MASK] everywhere, and see"
        " what it writes after 20 sweeps."
    ),
)
