"""Lesson 07's exercises: macro-F1, a soft maximum with masks, unpacking, a bidirectional layer that trains badly, a CRF's sum."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils.exercises import Exercise, Wrong

Array = NDArray[Any]


def _told(got: Array, mistakes: dict[str, Array]) -> None:
    """Raise `Wrong` with the sentence of the mistake that gives this very answer."""
    for sentence, wrong in mistakes.items():
        if got.shape == np.shape(wrong) and np.allclose(got, wrong, rtol=1e-6, atol=1e-9, equal_nan=True):
            raise Wrong(sentence)


# ---------------------------------------------------------------- 7.1 macro-F1


def macro_f1(C: Array) -> float:
    hits = np.diag(C)
    sums = C.sum(axis=0) + C.sum(axis=1)  # F1 = 2 hits / (answers + truths)
    return float(np.mean(2 * hits / np.maximum(sums, 1)))


def _f1_with(C: Array, kind: str) -> Any:
    with np.errstate(all="ignore"):
        hits, rows, columns = np.diag(C).astype(float), C.sum(axis=1), C.sum(axis=0)
        precision, recall = hits / columns, hits / rows
        f1 = 2 * precision * recall / (precision + recall)
        clean_p, clean_r = np.nan_to_num(precision), np.nan_to_num(recall)
        harmonic = 2 * clean_p.mean() * clean_r.mean() / (clean_p.mean() + clean_r.mean())
        return {
            "accuracy": hits.sum() / C.sum(),
            "precision": clean_p.mean(),
            "recall": clean_r.mean(),
            "arithmetic": ((clean_p + clean_r) / 2).mean(),
            "of the means": harmonic,
            "nan": f1.mean(),
            "skipped": np.nanmean(f1),
            "each": np.nan_to_num(f1),
            "weighted": (np.nan_to_num(f1) * rows).sum() / C.sum(),
        }[kind]


F1_MISTAKES = {
    "accuracy": "this is the accuracy (the mean over sentences, also called micro-F1); take F1 for each label, then the mean over the labels",
    "precision": "this is the mean of the precisions (columns) alone; F1 also needs the recall (rows)",
    "recall": "this is the mean of the recalls (rows) alone; F1 also needs the precision (columns)",
    "arithmetic": "this takes the arithmetic mean of precision and recall; F1 is the harmonic mean, 2 P R / (P + R)",
    "of the means": "this is the F1 of the mean precision and the mean recall; first F1 for each label, then the mean",
    "nan": "a label that was never answered or never found divides 0 by 0 and gives NaN; its F1 counts as 0",
    "skipped": "labels without a hit are left out of your mean; they count with F1 = 0",
    "each": "this is the F1 of each label; return their mean, one number",
    "weighted": "this weighs each label by how often it is true; in macro-F1 every label counts the same",
}


def check_f1(answer: Callable[..., Any]) -> str:
    for C in (np.array([[5, 1, 0], [2, 3, 1], [0, 3, 9]]), np.array([[6, 2, 0], [1, 7, 0], [2, 1, 0]]), np.array([[3, 1, 0], [1, 2, 0], [0, 0, 0]])):
        with np.errstate(all="ignore"):
            got = np.asarray(answer(C.copy()), dtype=float)
        if got.shape == () and np.isclose(got, macro_f1(C)):
            continue
        _told(got, {sentence: np.asarray(_f1_with(C, kind)) for kind, sentence in F1_MISTAKES.items()})
        raise Wrong(f"for the matrix {C.tolist()} the F1 of the labels are {np.round(_f1_with(C, 'each'), 3).tolist()}; return their mean, {macro_f1(C):.4f}")
    return "macro-F1 gives a rare label as much voice as a frequent one."


# ---------------------------------------------------------------- 7.2 soft maximum


def soft_max_pool(states: Array, mask: Array, beta: float) -> Array:
    kept = np.where(mask[..., None], beta * states, -np.inf)  # (N, T, H)
    top = kept.max(axis=1)  # (N, H), taken out before exp, so that nothing overflows
    total = np.exp(kept - top[:, None]).sum(axis=1)
    return (top + np.log(total / mask.sum(axis=1)[:, None])) / beta


def _soft_wrong(kind: str) -> Callable[[Array, Array, float], Array]:
    def answer(states: Array, mask: Array, beta: float) -> Array:
        m, lengths = mask[..., None], mask.sum(axis=1)[:, None]
        with np.errstate(all="ignore"):
            if kind == "overflow":
                return np.log((np.exp(beta * states) * m).sum(axis=1) / lengths) / beta
            powers = np.logaddexp.reduce(np.where(m, beta * states, 0.0 if kind == "zeros" else -np.inf), axis=1)
            if kind == "no mask":
                powers = np.logaddexp.reduce(beta * states, axis=1)
            if kind in ("no mask", "whole width"):
                return (powers - np.log(mask.shape[1])) / beta
            if kind == "no length":
                return powers / beta
            if kind == "no beta":
                return powers - np.log(lengths)
            return (powers - np.log(lengths)) / beta

    return answer


SOFT_MISTAKES = {
    "no mask": "padding is in your sum; only real steps may count (set the others to -inf before exp, or multiply exp by the mask)",
    "zeros": "padding was set to 0 before exp, and exp(0) = 1 still counts; set it to -inf, so that exp gives 0",
    "whole width": "this divides by T, the width of the batch; divide by the real length of each row",
    "no length": "the division by the real length is missing inside the logarithm, so long sentences get larger numbers",
    "no beta": "the 1/β in front is missing",
    "overflow": "exp overflows for a large β; take the largest number out before exp and add it again after the logarithm",
}


def check_soft(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(72)
    mask = np.arange(5) < np.array([[5], [2], [3], [1]])
    for beta in (0.5, 3.0, 1000.0):
        states = rng.standard_normal((4, 5, 3))
        with np.errstate(all="ignore"):
            got, true = np.asarray(answer(states.copy(), mask.copy(), beta)), soft_max_pool(states, mask, beta)
        if got.shape != true.shape:
            raise Wrong(f"one number for each sentence and unit is asked, shape {true.shape}; yours has {got.shape}: sum over the steps, axis 1")
        if np.allclose(got, true, rtol=1e-7, atol=1e-9):
            continue
        _told(got, {sentence: _soft_wrong(kind)(states, mask, beta) for kind, sentence in SOFT_MISTAKES.items()})
        if not np.isfinite(got).all():
            raise Wrong(SOFT_MISTAKES["overflow"])
        n, i = (int(k) for k in np.unravel_index(int(np.argmax(np.abs(got - true))), true.shape))
        raise Wrong(f"at β = {beta}, sentence {n} (real states {np.round(states[n, : int(mask[n].sum()), i], 3).tolist()} in unit {i}) gives {true[n, i]:.4f}; yours {got[n, i]:.4f}")
    return "a small β gives the mean, a large one the maximum, and every real step gets some gradient."


# ---------------------------------------------------------------- 7.3 unpack


def unpack(data: Array, batch_sizes: Array, order: Array) -> Array:
    sorted_rows = np.zeros((len(order), len(batch_sizes), data.shape[1]))  # (N, T, D), longest first
    start = 0
    for t, size in enumerate(batch_sizes):
        sorted_rows[:size, t] = data[start : start + size]
        start += size
    rows = np.zeros_like(sorted_rows)
    rows[order] = sorted_rows
    return rows


def _unpack_wrong(kind: str) -> Callable[[Array, Array, Array], Array]:
    def answer(data: Array, batch_sizes: Array, order: Array) -> Array:
        identity = np.arange(len(order))
        if kind == "sorted":
            return unpack(data, batch_sizes, identity)
        if kind == "order twice":
            return unpack(data, batch_sizes, identity)[order]
        if kind == "time first":
            return unpack(data, batch_sizes, order).swapaxes(0, 1)
        if kind == "row by row":  # as if one sentence stood behind the other
            lengths = (batch_sizes[None] > identity[:, None]).sum(axis=1)
            rows, start = np.zeros((len(order), len(batch_sizes), data.shape[1])), 0
            for n, length in zip(order, lengths):
                rows[n, :length] = data[start : start + length]
                start += length
            return rows
        rows = unpack(data, batch_sizes, order)
        lengths = (batch_sizes[None] > identity[:, None]).sum(axis=1)
        for n, length in zip(order, lengths):  # at the right end
            rows[n] = np.roll(rows[n], len(batch_sizes) - length, axis=0)
        return rows

    return answer


UNPACK_MISTAKES = {
    "sorted": "the sentences stand longest first still; `order` says which one each row was: rows[order] = sorted rows",
    "order twice": "rows[order] was read where it has to be written: sorted = rows[order] when packing, so rows[order] = sorted when unpacking",
    "row by row": "you read the data sentence by sentence; it is packed time by time: the first words of all, then the second words, ...",
    "time first": "this is (T, N, D); the batch comes first, (N, T, D)",
    "right end": "padding belongs behind a sentence, not before it",
}


def check_unpack(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(73)
    for lengths in ([2, 5, 1, 4], [1, 3, 2, 4, 3]):
        mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
        x = rng.standard_normal((*mask.shape, 3)) * mask[..., None]
        order, batch_sizes = np.argsort(-mask.sum(axis=1), kind="stable"), mask.sum(axis=0)
        data = np.concatenate([x[order[:size], t] for t, size in enumerate(batch_sizes)])
        got = np.asarray(answer(data.copy(), batch_sizes.copy(), order.copy()))
        if got.shape == x.shape and np.allclose(got, x):
            continue
        _told(got, {sentence: _unpack_wrong(kind)(data, batch_sizes, order) for kind, sentence in UNPACK_MISTAKES.items()})
        if got.shape != x.shape:
            raise Wrong(f"the batch has the shape (N, T, D) = {x.shape}; yours has {got.shape}")
        n, t = (int(k) for k in np.argwhere(np.abs(got - x).max(axis=2) > 1e-8)[0])
        raise Wrong(f"lengths {lengths}: the first wrong place is sentence {n}, step {t}; it should hold {np.round(x[n, t], 2).tolist()}, yours {np.round(got[n, t], 2).tolist()}")
    return "now no padding is stored, and nothing is lost on the way back."


# ---------------------------------------------------------------- 7.4 find the bug

Reads = Callable[[Array], Array]


def reverse_within(x: Array, mask: Array) -> Array:
    """Section 5's."""
    steps = np.arange(mask.shape[1])
    order = np.where(mask, mask.sum(axis=1, keepdims=True) - 1 - steps, steps)
    return np.take_along_axis(x, order[..., None], axis=1)


def repaired_states(x: Array, mask: Array, ahead: Reads, back: Reads) -> Array:
    turned = reverse_within(x, mask)
    behind = reverse_within(back(turned), mask)  # turned back: state t must stand at word t
    return np.concatenate([ahead(x), behind], axis=2)


def _states_wrong(kind: str) -> Callable[[Array, Array, Reads, Reads], Array]:
    def answer(x: Array, mask: Array, ahead: Reads, back: Reads) -> Array:
        if kind == "unchanged":
            return np.concatenate([ahead(x), back(reverse_within(x, mask))], axis=2)
        if kind == "whole rows":
            return np.concatenate([ahead(x), back(x[:, ::-1])[:, ::-1]], axis=2)
        if kind == "back whole rows":
            return np.concatenate([ahead(x), back(reverse_within(x, mask))[:, ::-1]], axis=2)
        if kind == "never turned":
            return np.concatenate([ahead(x), back(x)], axis=2)
        behind = reverse_within(back(reverse_within(x, mask)), mask)
        if kind == "swapped":
            return np.concatenate([behind, ahead(x)], axis=2)
        if kind == "both turned":
            return reverse_within(np.concatenate([ahead(x), back(reverse_within(x, mask))], axis=2), mask)
        return ahead(x) + behind  # "summed"

    return answer


STATES_MISTAKES = {
    "unchanged": "this is the doubtful version still: at the first word, which words has its backward state read?",
    "whole rows": "you turn whole rows, so the backward reader begins with the padding; turn within the real length",
    "back whole rows": "the states come back by turning whole rows, so in a shorter sentence they stand behind their words; turn within the real length",
    "never turned": "now both readers go ahead; the second one has to read from the end",
    "swapped": "the states that read ahead come first, then those that read back",
    "both turned": "the states that read ahead were turned too; only the backward ones have to be turned back",
    "summed": "set the two side by side, (N, T, 2H); yours adds them up, and then nobody can tell them apart",
}


def check_states(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(74)
    mask = np.arange(6) < np.array([[6], [3], [4]])
    for _ in range(2):
        x, W = rng.standard_normal((3, 6, 4)), rng.standard_normal((2, 4, 5))

        def reads(weights: Array) -> Reads:
            def states(x: Array) -> Array:
                h, found = np.zeros((len(x), 5)), []
                for t in range(x.shape[1]):
                    h = np.tanh(x[:, t] @ weights + 0.5 * h)
                    found.append(h)
                return np.stack(found, axis=1)

            return states

        given = (x, mask, reads(W[0]), reads(W[1]))
        got = np.asarray(answer(*given))
        true = np.concatenate([given[2](x), reverse_within(given[3](reverse_within(x, mask)), mask)], axis=2)
        if got.shape == true.shape and np.allclose(got[mask], true[mask]):
            continue
        for kind, sentence in STATES_MISTAKES.items():
            wrong = _states_wrong(kind)(*given)
            if got.shape == wrong.shape and np.allclose(got[mask], wrong[mask]):
                raise Wrong(sentence)
        if got.shape != true.shape:
            raise Wrong(f"states of both readers side by side have the shape (N, T, 2H) = {true.shape}; yours has {got.shape}")
        n, t = (int(k) for k in np.argwhere((np.abs(got - true).max(axis=2) > 1e-8) & mask)[0])
        raise Wrong(f"the first wrong states are at sentence {n} (real length {int(mask[n].sum())}), step {t}: state t must stand at word t in both halves")
    return "state t of the second reader now stands at word t. The doubtful one gave each word the states of another word, and the first word those of the last alone."


# ---------------------------------------------------------------- 7.5 a CRF's sum over all rows of tags


def log_partition(scores: Array, moves: Array) -> float:
    alpha = scores[0]  # (K,): ln of the sum over all rows up to here that end in each tag
    for t in range(1, len(scores)):
        paths = alpha[:, None] + moves + scores[t]  # (K before, K now)
        top = paths.max(axis=0)
        alpha = top + np.log(np.exp(paths - top).sum(axis=0))
    top = alpha.max()
    return float(top + np.log(np.exp(alpha - top).sum()))


def _partition_wrong(kind: str) -> Callable[[Array, Array], Any]:
    def answer(scores: Array, moves: Array) -> Any:
        if kind == "transposed":
            return log_partition(scores, moves.T)
        if kind == "no moves":
            return log_partition(scores, 0 * moves)
        alpha = scores[0] if kind != "forgets first" else 0 * scores[0]
        for t in range(1, len(scores)):
            paths = alpha[:, None] + moves + scores[t]
            alpha = paths.max(axis=0) if kind == "best row" else np.logaddexp.reduce(paths, axis=0)
        if kind == "best row":
            return alpha.max()
        if kind == "vector":
            return alpha
        if kind == "not log":
            return np.exp(np.logaddexp.reduce(alpha))
        if kind == "overflow":
            with np.errstate(all="ignore"):
                alpha = np.exp(scores[0])
                for t in range(1, len(scores)):
                    alpha = alpha @ np.exp(moves) * np.exp(scores[t])
                return np.log(alpha.sum())
        return np.logaddexp.reduce(alpha)

    return answer


PARTITION_MISTAKES = {
    "best row": "this is the score of the best row of tags (Viterbi): you take the maximum where the sum belongs, ln of the sum of exp",
    "transposed": "moves[i, j] goes from tag i to the next tag j; yours reads it the other way round",
    "no moves": "the moves between neighbouring tags are missing, so each word decides alone again",
    "forgets first": "the scores of the first word are missing: begin with scores[0]",
    "vector": "these are the sums of the rows that end in each tag, (K,); sum over the last tag too",
    "not log": "this is the sum itself; return its logarithm (the sum overflows for long sentences)",
    "overflow": "the sum overflows on a long sentence; stay in logarithms: np.logaddexp.reduce(..., axis=0)",
}


def check_partition(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(75)
    for T, K, size in ((1, 3, 1.0), (3, 2, 1.0), (5, 3, 1.0), (400, 4, 5.0)):
        scores, moves = size * rng.standard_normal((T, K)), rng.standard_normal((K, K))
        true = log_partition(scores, moves)
        if T <= 5:  # by hand: every row of tags
            rows = list(itertools.product(range(K), repeat=T))
            totals = [sum(scores[t, row[t]] for t in range(T)) + sum(moves[a, b] for a, b in itertools.pairwise(row)) for row in rows]
            assert np.isclose(true, np.logaddexp.reduce(totals))
        with np.errstate(all="ignore"):
            got = np.asarray(answer(scores.copy(), moves.copy()), dtype=float)
            if got.shape == () and np.isclose(got, true, rtol=1e-8):
                continue
            if not np.isfinite(got).all():
                raise Wrong(PARTITION_MISTAKES["overflow"])
            _told(got, {sentence: np.asarray(_partition_wrong(kind)(scores, moves)) for kind, sentence in PARTITION_MISTAKES.items()})
        raise Wrong(f"for {T} words and {K} tags the {K}^{T} rows give {true:.5f}; yours {np.round(got, 5)}. Write down the four rows of two words and two tags, and compare")
    return "4^400 rows of tags, summed in 400 small steps: the same trick as the forward pass of a hidden Markov model."


EXERCISES = {
    "7.1": Exercise(
        check=check_f1,
        hint="np.diag(C) are the hits; sums over axis 0 count the answers (precision), over axis 1 the truths (recall). What happens to a label whose column is empty?",
        solution=macro_f1,
        wrong={kind: lambda C, kind=kind: _f1_with(C, kind) for kind in F1_MISTAKES},
    ),
    "7.2": Exercise(
        check=check_soft,
        hint="Set padding to -inf before exp. For a large β: ln Σ exp(a) = top + ln Σ exp(a - top), with top the largest of the a.",
        solution=soft_max_pool,
        wrong={kind: _soft_wrong(kind) for kind in SOFT_MISTAKES},
    ),
    "7.3": Exercise(
        check=check_unpack,
        hint="Walk through the times: the next batch_sizes[t] rows of data are step t of the longest sentences. At the end put row k of the sorted ones to place order[k].",
        solution=unpack,
        wrong={kind: _unpack_wrong(kind) for kind in UNPACK_MISTAKES},
    ),
    "7.4": Exercise(
        check=check_states,
        hint="Write the words 'the dog runs' under the states that `back` returns, in the order in which it has read. Which word stands at place 0?",
        solution=repaired_states,
        wrong={kind: _states_wrong(kind) for kind in STATES_MISTAKES},
    ),
    "7.5": Exercise(
        check=check_partition,
        hint="Keep, for each tag, ln of the sum over all rows so far that end in it: (K,). One word more: add moves and scores[t], then ln Σ exp over the tag before.",
        solution=log_partition,
        wrong={kind: _partition_wrong(kind) for kind in PARTITION_MISTAKES},
    ),
}
