"""Beam search for every translator of the course, and the two penalties by which GNMT ranks.

Lesson 13 builds and proves it; lesson 15 uses it. Source of the penalties: Wu et al. 2016, Google's
Neural Machine Translation System, section 7, formula (14) (https://arxiv.org/abs/1609.08144).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import text
from ..proofs import numbers
from .seq2seq import MOST, Translator

TINY = 1e-9  # attention; less counts as this, so that a source position with none costs no infinity


class Hypothesis(NamedTuple):
    """One translation that a search has found."""

    words: list[int]  # without <sos> and <eos>
    log_probability: float  # nats, <eos> included if it ended
    ended: bool  # False where the search was cut off before <eos>
    coverage: NDArray[Any] | None  # attention of each source position, summed over steps, (S,)


def length_penalty(length: int, alpha: float) -> float:
    """lp = ((5 + length) / 6) ** alpha, by which log P is divided; length counts <eos>."""
    return math.pow((5 + length) / 6, alpha)


def coverage_penalty(coverage: NDArray[Any], beta: float) -> float:
    """cp = beta * the sum over source positions of ln(min(attention, 1)).

    0 where each got 1 or more, negative else.
    """
    return beta * float(np.log(np.clip(coverage, TINY, 1)).sum())


def ranking_score(hypothesis: Hypothesis, alpha: float = 0, beta: float = 0) -> float:
    """log P / lp + cp, the higher the better.

    Raises ValueError for beta other than 0 without attention weights.
    """
    penalty = 0.0
    if beta:
        if hypothesis.coverage is None:
            raise ValueError(
                f"a coverage penalty (beta = {beta}) needs attention weights, which this "
                "translator does not give"
            )
        penalty = coverage_penalty(hypothesis.coverage, beta)
    length = len(hypothesis.words) + hypothesis.ended
    return hypothesis.log_probability / length_penalty(length, alpha) + penalty


def best_of(hypotheses: Sequence[Hypothesis], alpha: float = 0, beta: float = 0) -> Hypothesis:
    """The one with the highest score among those that ended, or among all where none did."""
    ended = [hypothesis for hypothesis in hypotheses if hypothesis.ended]
    return max(ended or hypotheses, key=lambda one: ranking_score(one, alpha, beta))


def take_rows(part: Any, rows: Tensor, axis: int) -> Any:
    """Rows of a tensor, or of each tensor in a tuple, list or dictionary; None stays None."""
    if isinstance(part, dict):
        return {name: take_rows(value, rows, axis) for name, value in part.items()}
    if isinstance(part, (tuple, list)):
        values = [take_rows(value, rows, axis) for value in part]
        return type(part)(*values) if hasattr(part, "_fields") else type(part)(values)
    return None if part is None else part.index_select(axis, rows)


@torch.no_grad()
def beam_search(
    model: Translator, sources: Sequence[Sequence[int]], width: int, most: int = MOST
) -> list[list[Hypothesis]]:
    """For each source (id list) up to `width` hypotheses, the most probable first.

    At each step every unfinished hypothesis is continued by every word, and the most probable
    continuations stay, as many as there are places left; one that ends in <eos> keeps its place.
    After `most` words the search is cut off. With width 1 it is `seq2seq.greedy`; with a width of
    at least all possible sentences it is exhaustive.

    model: where it has decode_and_look, its weights give the coverage.
    Raises ValueError when width or most is below 1.
    """
    if width < 1 or most < 1:
        raise ValueError(
            f"a beam keeps at least 1 hypothesis of at least 1 word; width is {width}, most {most}"
        )
    beams: list[list[Hypothesis]] = []
    for (batch,) in text.batches(sources, size=max(1, 400 // width)):
        beams += _search(model, batch, width, most)
    return beams


def _search(
    model: Any, sources: Sequence[Sequence[int]], width: int, most: int
) -> list[list[Hypothesis]]:
    finished: list[list[Hypothesis]] = [[] for _ in sources]
    memory, state = model.encode(torch.from_numpy(text.pad(sources)[0]))
    owners = list(range(len(sources)))  # the source of each unfinished hypothesis, (R,)
    written = [[text.SOS] for _ in sources]  # its words so far
    log_p, coverage = torch.zeros(len(sources)), None  # (R,), (R, S)
    for step in range(1, most + 1):
        words = torch.tensor([row[-1:] for row in written])  # (R, 1)
        if hasattr(model, "decode_and_look"):
            logits, state, weights = model.decode_and_look(memory, state, words)
            if weights is not None:
                coverage = weights[:, 0] if coverage is None else coverage + weights[:, 0]
        else:
            logits, state = model.decode(memory, state, words)
        last = logits[:, -1].to(torch.promote_types(logits.dtype, torch.float32))
        totals = log_p[:, None] + last.log_softmax(dim=1)  # (R, V)
        unfinished: list[tuple[int, int, float]] = []  # row, next word, log-probability
        for owner, rows in _runs(owners):
            places = min(width - len(finished[owner]), totals[rows].numel())
            top = totals[rows].flatten().topk(places)
            for value, index in zip(top.values.tolist(), top.indices.tolist()):
                row, word = rows.start + index // totals.shape[1], index % totals.shape[1]
                if word != text.EOS and step < most:
                    unfinished.append((row, word, value))
                    continue
                attended = (
                    None if coverage is None else numbers(coverage[row, : len(sources[owner])])
                )
                ended = word == text.EOS
                ids = written[row][1:] + [word] * (not ended)
                finished[owner].append(Hypothesis(ids, value, ended, attended))
        if not unfinished:
            break
        going_on = torch.tensor([row for row, _, _ in unfinished])
        log_p = torch.tensor([value for _, _, value in unfinished])
        owners = [owners[row] for row, _, _ in unfinished]
        written = [[*written[row], word] for row, word, _ in unfinished]
        memory, coverage = take_rows(memory, going_on, 0), take_rows(coverage, going_on, 0)
        state = take_rows(state, going_on, 1)
    return [sorted(beam, key=lambda one: -one.log_probability) for beam in finished]


def _runs(owners: Sequence[int]) -> list[tuple[int, slice]]:
    """Each source that has unfinished hypotheses, and where they stand; they stand together."""
    starts = [row for row in range(len(owners)) if row == 0 or owners[row] != owners[row - 1]]
    ends = [*starts[1:], len(owners)]
    return [(owners[start], slice(start, end)) for start, end in zip(starts, ends)]
