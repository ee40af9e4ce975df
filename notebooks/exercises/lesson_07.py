"""Exercises of lesson 07: labelling and classification."""

from __future__ import annotations

import numpy as np

from course_utils.grading import ask, exercise
from course_utils.grading.alike import is_numeric
from course_utils.proofs import numbers

EXERCISES = {}


def worst(got, right):
    """Where the two arrays differ most."""
    gap = np.abs(numbers(got) - right)
    return tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))


# 7.1 Macro-F1


def macro_f1(C):
    hits, answers, truths = np.diag(C), C.sum(axis=0), C.sum(axis=1)
    f1 = 2 * hits / (answers + truths).clip(1)  # 2 P R / (P + R), and 0 without a hit
    return float(f1.mean())


def confusion_matrices():
    yield (np.array([[5, 1, 0], [2, 3, 1], [0, 3, 9]]),)
    yield (np.array([[6, 2, 0], [1, 7, 0], [2, 1, 0]]),)  # the last label is never answered
    yield (np.array([[3, 1, 0], [1, 2, 0], [0, 0, 0]]),)  # and never true


EXERCISES["7.1"] = exercise(
    macro_f1,
    confusion_matrices,
    """
accuracy: `f1.mean()` -> `hits.sum() / C.sum()`
    this is the accuracy (the mean over sentences, also called micro-F1); take F1 for each label,
    then the mean over the labels
precision: `2 * hits / (answers + truths).clip(1)` -> `hits / answers.clip(1)`
    this is the mean of the precisions (columns) alone; F1 also needs the recall (rows)
recall: `2 * hits / (answers + truths).clip(1)` -> `hits / truths.clip(1)`
    this is the mean of the recalls (rows) alone; F1 also needs the precision (columns)
arithmetic: `2 * hits /` -> `hits / 2 *`
    `(answers + truths).clip(1)` -> `(1 / answers.clip(1) + 1 / truths.clip(1))`
    this takes the arithmetic mean of precision and recall; F1 is the harmonic mean, 2 P R / (P + R)
of the means:
    `f1.mean()` -> `2 / (1 / (hits / answers.clip(1)).mean() + 1 / (hits / truths.clip(1)).mean())`
    this is the F1 of the mean precision and the mean recall; first F1 for each label, then the mean
nan: `f1.mean()` -> `np.where(hits > 0, f1, np.nan).mean()`
    a label that was never answered or never found divides 0 by 0 and gives NaN; its F1 counts as 0
skipped: `f1.mean()` -> `f1[hits > 0].mean()`
    labels without a hit are left out of your mean; they count with F1 = 0
each: `float(f1.mean())` -> `f1`
    this is the F1 of each label; return their mean, one number
weighted: `f1.mean()` -> `(f1 * truths).sum() / C.sum()`
    this weighs each label by how often it is true; in macro-F1 every label counts the same
""",
    otherwise="First F1 for each label, from its row and its column, then the mean of these",
    same=("1 -> 2",),
    hint=(
        "np.diag(C) are the hits; sums over axis 0 count the answers (precision), over axis 1 the"
        " truths (recall). What happens to a label whose column is empty?"
    ),
    praise="macro-F1 gives a rare label as much voice as a frequent one.",
)


# 7.2 Between mean and maximum


def soft_max_pool(states, mask, beta):
    kept = np.where(mask[..., None], beta * states, -np.inf)  # (N, T, H)
    top = kept.max(axis=1)  # (N, H), taken out before exp, so that nothing overflows
    total = np.exp(kept - top[:, None]).sum(axis=1)
    lengths = mask.sum(axis=1)[:, None]
    return (top + np.log(total / lengths)) / beta


def pool_cases():
    rng = np.random.default_rng(72)
    mask = np.arange(5) < np.array([[5], [2], [3], [1]])
    for beta in (0.5, 3.0, 1000.0):
        yield rng.standard_normal((4, 5, 3)), mask, beta


def overflowing(states, mask, beta):
    powers = np.exp(beta * states) * mask[..., None]
    return np.log(powers.sum(axis=1) / mask.sum(axis=1)[:, None]) / beta


def worst_unit(given, got, right):
    states, mask, beta = given
    if beta == 1000 and not np.isfinite(numbers(got)).all():
        return (
            "exp overflows for a large β; take the largest number out before exp and add it again"
            " after the logarithm"
        )
    n, i = worst(got, right)
    return (
        f"at β = {beta:g}, sentence {n} with the real states {states[n, mask[n], i].round(3)} in"
        f" unit {i} gives {right[n, i]:.4f}; yours {numbers(got)[n, i]:.4f}"
    )


EXERCISES["7.2"] = exercise(
    soft_max_pool,
    pool_cases,
    """
no mask: `np.where(mask[..., None], beta * states, -np.inf)` -> `beta * states`
    `total / lengths` -> `total / mask.shape[1]`
    padding is in your sum; only real steps may count (set the others to -inf before exp, or
    multiply exp by the mask)
zeros: `-np.inf)` -> `0)`
    padding was set to 0 before exp, and exp(0) = 1 still counts; set it to -inf, so that exp gives
    0
whole width: `total / lengths` -> `total / mask.shape[1]`
    this divides by T, the width of the batch; divide by the real length of each row
no length: `total / lengths` -> `total`
    the division by the real length is missing inside the logarithm, so long sentences get larger
    numbers
no beta: `) / beta` -> `)`
    the 1/β in front is missing
""",
    others={"overflow": overflowing},
    otherwise=worst_unit,
    hint=(
        "Set padding to -inf before exp. For a large β: ln Σ exp(a) = top + ln Σ exp(a - top), with"
        " top the largest of the a."
    ),
    praise=(
        "a small β gives the mean, a large one the maximum, and every real step gets some gradient."
    ),
)


# 7.3 Unpack


def unpack(data, batch_sizes, order):
    rows = np.zeros((len(order), len(batch_sizes), data.shape[1]))  # (N, T, D)
    start = 0
    for t, size in enumerate(batch_sizes):  # step t of the `size` longest sentences
        rows[order[:size], t] = data[start : start + size]
        start += size
    return rows


def packed_batches():
    rng = np.random.default_rng(73)
    for lengths in ([2, 5, 1, 4], [1, 3, 2, 4, 3]):
        mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
        x = rng.standard_normal((*mask.shape, 3))
        order, batch_sizes = np.argsort(-mask.sum(axis=1), kind="stable"), mask.sum(axis=0)
        data = np.concatenate([x[order[:size], t] for t, size in enumerate(batch_sizes)])
        yield data, batch_sizes, order


def worst_step(given, got, right):
    n, t, _ = worst(got, right)
    return (
        f"at sentence {n}, step {t}, for example, {right[n, t].round(2)} is right; yours has"
        f" {numbers(got)[n, t].round(2)}"
    )


EXERCISES["7.3"] = exercise(
    unpack,
    packed_batches,
    """
sorted: `[order[:size], t]` -> `[:size, t]`
    the sentences still stand longest first; `order` says which one each row was: rows[order] =
    sorted rows
order twice: `[order[:size], t]` -> `[:size, t]` `return rows` -> `return rows[order]`
    rows[order] was read where it has to be written: sorted = rows[order] when packing, so
    rows[order] = sorted when unpacking
row by row: `[start : start + size]` -> `[t + np.cumsum(lengths[:size]) - lengths[:size]]`
    `start = 0` -> `start, lengths = 0, (batch_sizes > np.arange(len(order))[:, None]).sum(axis=1)`
    you read the data sentence by sentence; it is packed time by time: the first words of all, then
    the second words, ...
time first: `return rows` -> `return rows.swapaxes(0, 1)`
    this is (T, N, D); the batch comes first, (N, T, D)
right end: `[order[:size], t]` -> `[order[:size], t + len(batch_sizes) - lengths[:size]]`
    `start = 0` -> `start, lengths = 0, (batch_sizes > np.arange(len(order))[:, None]).sum(axis=1)`
    padding belongs behind a sentence, not before it
""",
    otherwise=worst_step,
    hint=(
        "Walk through the times: the next batch_sizes[t] rows of data are step t of the longest"
        " sentences. The k-th longest is row order[k] of the batch."
    ),
    praise="now no padding is stored, and nothing is lost on the way back.",
)


# 7.4 Find the bug


def reverse_within(x, mask):
    """The lesson's: the real steps of each row in reverse order."""
    steps = np.arange(mask.shape[1])
    order = np.where(mask, mask.sum(axis=1, keepdims=True) - 1 - steps, steps)
    return np.take_along_axis(x, order[..., None], axis=1)


def repaired_states(x, mask, ahead, back):
    turned = reverse_within(x, mask)  # (N, T, D)
    behind = reverse_within(back(turned), mask)  # turned back: state t must stand at word t
    return np.concatenate([ahead(x), behind], axis=2)  # (N, T, 2H)


def reader(W):
    def states(x):
        h = np.zeros((len(x), W.shape[1]))
        return np.stack([h := np.tanh(x[:, t] @ W + 0.5 * h) for t in range(x.shape[1])], axis=1)

    return states


def reader_cases():
    rng = np.random.default_rng(74)
    mask = np.arange(6) < np.array([[6], [3], [4]])
    for _ in range(2):
        x, ahead, back = rng.standard_normal((3, 6, 4)), *rng.standard_normal((2, 4, 5))
        yield x, mask, reader(ahead), reader(back)


def at_real_words(answer, x, mask, ahead, back):
    """The states with 0 on padding, where any will do."""
    states = ask(answer, x, mask, ahead, back)
    if not is_numeric(states) or numbers(states).shape[:2] != mask.shape:
        return states
    return np.where(mask[..., None], numbers(states), 0)


def worst_word(given, got, right):
    n, t, _ = worst(got, right)
    return (
        f"wrong, for example, at step {t} of sentence {n}, whose real length is"
        f" {given[1][n].sum()}: state t must stand at word t in both halves"
    )


EXERCISES["7.4"] = exercise(
    repaired_states,
    reader_cases,
    """
unchanged: `reverse_within(back(turned), mask)` -> `back(turned)`
    this is still the doubtful version: at the first word, which words has its backward state read?
whole rows: `reverse_within(x, mask)` -> `x[:, ::-1]`
    `reverse_within(back(turned), mask)` -> `back(turned)[:, ::-1]`
    you turn whole rows, so the backward reader begins with the padding; turn within the real length
back whole rows: `reverse_within(back(turned), mask)` -> `back(turned)[:, ::-1]`
    the states come back by turning whole rows, so in a shorter sentence they stand behind their
    words; turn within the real length
never turned: `reverse_within(back(turned), mask)` -> `back(x)`
    now both readers read ahead; the second one has to read from the end
swapped: `[ahead(x), behind]` -> `[behind, ahead(x)]`
    the states that read ahead come first, then those that read back
both turned: `[ahead(x), behind]` -> `[reverse_within(ahead(x), mask), behind]`
    the states that read ahead were turned too; only the backward ones have to be turned back
summed: `np.concatenate([ahead(x), behind], axis=2)` -> `ahead(x) + behind`
    set the two side by side, (N, T, 2H); yours adds them up, and then nobody can tell them apart
""",
    use=at_real_words,
    otherwise=worst_word,
    hint=(
        "Write the words 'the dog runs' under the states that `back` returns, in the order in which"
        " it has read. Which word stands at position 0?"
    ),
    praise=(
        "state t of the second reader now stands at word t. The doubtful one gave each word the"
        " states of another word, and the first word those of the last alone."
    ),
)


# 7.5 Labels that know their neighbours


def log_partition(scores, moves):
    alpha = scores[0]  # (K,): ln of the sum over all rows up to here that end in each tag
    for score in scores[1:]:
        paths = alpha[:, None] + moves  # (K before, K now)
        alpha = np.logaddexp.reduce(paths, axis=0) + score
    return float(np.logaddexp.reduce(alpha))


def partition_cases():
    rng = np.random.default_rng(75)
    for T, K, size in ((1, 3, 1.0), (3, 2, 1.0), (5, 3, 1.0), (400, 4, 5.0)):
        yield size * rng.standard_normal((T, K)), rng.standard_normal((K, K))


def over_all_rows(scores, moves):
    """Row by row, where they can be counted."""
    if len(scores) > 5:
        return log_partition(scores, moves)
    total = scores[0]
    for score in scores[1:]:
        total = total[..., None] + moves + score  # an axis more for each word: (K, ..., K)
    return np.log(np.exp(total).sum())


def all_rows(given, got, right):
    T, K = given[0].shape
    return (
        f"for {T} words and {K} tags the {K}^{T} rows give {right:.5f}; yours"
        f" {numbers(got).item():.5f}. Write down the four rows of two words and two tags, and"
        " compare"
    )


EXERCISES["7.5"] = exercise(
    log_partition,
    partition_cases,
    """
best row: `np.logaddexp.reduce(paths, axis=0)` -> `paths.max(axis=0)`
    `np.logaddexp.reduce(alpha)` -> `alpha.max()`
    this is the score of the best row of tags (Viterbi): you take the maximum where the sum belongs,
    ln of the sum of exp
transposed: `+ moves` -> `+ moves.T`
    moves[i, j] goes from tag i to the next tag j; yours reads it the other way round
no moves: ` + moves` -> ` + 0 * moves`
    the moves between neighbouring tags are missing, so each word decides alone again
forgets first: `alpha = scores[0]` -> `alpha = 0 * scores[0]`
    the scores of the first word are missing: begin with scores[0]
vector: `float(np.logaddexp.reduce(alpha))` -> `alpha`
    these are the sums of the rows that end in each tag, (K,); sum over the last tag too
overflow: `np.logaddexp.reduce(paths, axis=0)` -> `np.log(np.exp(paths).sum(axis=0))`
    the sum overflows on a long sentence; stay in logarithms: np.logaddexp.reduce(..., axis=0)
not log: `np.logaddexp.reduce(alpha)` -> `np.exp(np.logaddexp.reduce(alpha))`
    this is the sum itself; return its logarithm (the sum overflows for long sentences)
""",
    otherwise=all_rows,
    truth=over_all_rows,
    hint=(
        "Keep, for each tag, ln of the sum over all rows so far that end in it: (K,). One word"
        " more: add moves and scores[t], then ln Σ exp over the tag before."
    ),
    praise=(
        "4^400 rows of tags, summed in 400 small steps: the same trick as the forward pass of a"
        " hidden Markov model."
    ),
)
