"""Beam search for every translator of the course, and the two penalties by which GNMT ranks what the search found.

Lesson 13 builds and proves it; lesson 15 uses it. Source of the penalties: Wu et al. 2016, Google's Neural Machine
Translation System, section 7, formula (14) (https://arxiv.org/abs/1609.08144).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import text
from .tasks import TRANSLATION_MOST

TINY = 1e-9  # the least attention that counts: a source place that got none at all is no reason for minus infinity


class Hypothesis(NamedTuple):
    """One translation that a search has found."""

    words: list[int]  # without <sos> and <eos>
    log_probability: float  # nats, <eos> included if it ended
    ended: bool  # False where the search was cut off before <eos>
    coverage: NDArray[Any] | None  # attention that each source place got over all steps, (S,); None without attention


def length_penalty(length: int, alpha: float) -> float:
    """lp = ((5 + length) / 6) ** alpha, by which the log-probability is divided; length counts <eos>."""
    return math.pow((5 + length) / 6, alpha)


def coverage_penalty(coverage: NDArray[Any], beta: float) -> float:
    """cp = beta * the sum over source places of ln(min(attention, 1)): 0 where each got 1 or more, negative else."""
    return beta * float(np.log(np.clip(coverage, TINY, 1)).sum())


def score(found: Hypothesis, alpha: float = 0, beta: float = 0) -> float:
    """log P / lp + cp, the higher the better. Raises ValueError for beta other than 0 without attention weights."""
    penalty = 0.0
    if beta:
        if found.coverage is None:
            raise ValueError(f"a coverage penalty (beta = {beta}) needs attention weights, which this translator does not give")
        penalty = coverage_penalty(found.coverage, beta)
    return found.log_probability / length_penalty(len(found.words) + found.ended, alpha) + penalty


def best(found: Sequence[Hypothesis], alpha: float = 0, beta: float = 0) -> Hypothesis:
    """The hypothesis of the highest score among those that ended, or among all where none did."""
    return max([one for one in found if one.ended] or found, key=lambda one: score(one, alpha, beta))


def rows(part: Any, chosen: Tensor, axis: int) -> Any:
    """The chosen rows of a tensor, or of each tensor in a tuple, list or dictionary; None stays None."""
    if isinstance(part, dict):
        return {name: rows(one, chosen, axis) for name, one in part.items()}
    if isinstance(part, (tuple, list)):
        return type(part)(rows(one, chosen, axis) for one in part)
    return None if part is None else part.index_select(axis, chosen)


@torch.no_grad()
def beam_search(model: Any, sources: Sequence[Sequence[int]], width: int, most: int = TRANSLATION_MOST) -> list[list[Hypothesis]]:
    """For each source (id list) up to `width` hypotheses, the most probable first.

    At each step every unfinished hypothesis is continued by every word, and the most probable continuations stay, as
    many as there are places left; one that ends in <eos> keeps its place. After `most` words the search is cut off.
    With width 1 it is `tasks.greedy`; with a width of at least all possible sentences it is exhaustive.

    model: has encode and decode as the translators in `tasks`, or decode_and_look, whose weights give the coverage.
    Every tensor of its memory has the batch at axis 0, every tensor of its state at axis 1 (as a recurrent layer's).
    Raises ValueError when width or most is below 1.
    """
    if width < 1 or most < 1:
        raise ValueError(f"a beam keeps at least 1 hypothesis of at least 1 word; width is {width}, most is {most}")
    found: list[list[Hypothesis]] = []
    for (some,) in text.batches(sources, size=max(1, 400 // width)):
        found += _search(model, some, width, most)
    return found


def _search(model: Any, sources: Sequence[Sequence[int]], width: int, most: int) -> list[list[Hypothesis]]:
    found: list[list[Hypothesis]] = [[] for _ in sources]
    memory, state = model.encode(torch.from_numpy(text.pad(sources)[0]))
    owners, written = list(range(len(sources))), [[text.SOS] for _ in sources]  # of each unfinished hypothesis, (R,)
    total, covered = torch.zeros(len(sources)), None  # (R,), (R, S)
    for step in range(1, most + 1):
        words = torch.tensor([row[-1:] for row in written])  # (R, 1)
        if hasattr(model, "decode_and_look"):
            logits, state, weights = model.decode_and_look(memory, state, words)
            if weights is not None:
                covered = weights[:, 0] if covered is None else covered + weights[:, 0]
        else:
            logits, state = model.decode(memory, state, words)
        totals = total[:, None] + logits[:, -1].log_softmax(dim=1)  # (R, V)
        kept: list[tuple[int, int, float]] = []  # (row, next word, log-probability)
        for owner, mine in _runs(owners):
            place = totals[mine].flatten().topk(min(width - len(found[owner]), totals[mine].numel()))
            for value, at in zip(place.values.tolist(), place.indices.tolist()):
                row, word = mine.start + at // totals.shape[1], at % totals.shape[1]
                if word != text.EOS and step < most:
                    kept.append((row, word, value))
                    continue
                coverage = None if covered is None else covered[row, : len(sources[owner])].numpy()
                ended = word == text.EOS
                found[owner].append(Hypothesis(written[row][1:] + [word] * (not ended), value, ended, coverage))
        if not kept:
            break
        chosen = torch.tensor([row for row, _, _ in kept])
        total, owners = torch.tensor([value for _, _, value in kept]), [owners[row] for row, _, _ in kept]
        written = [[*written[row], word] for row, word, _ in kept]
        memory, covered, state = rows(memory, chosen, 0), rows(covered, chosen, 0), rows(state, chosen, 1)
    return [sorted(some, key=lambda one: -one.log_probability) for some in found]


def _runs(owners: Sequence[int]) -> list[tuple[int, slice]]:
    """Each source that has unfinished hypotheses, and where they stand; they stand together."""
    starts = [row for row in range(len(owners)) if row == 0 or owners[row] != owners[row - 1]]
    return [(owners[start], slice(start, end)) for start, end in zip(starts, [*starts[1:], len(owners)])]
