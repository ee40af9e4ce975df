"""Addition, digit by digit: "57+5" to "62" (lesson 11)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from .. import text
from ..datasets import addition
from ..models import seq2seq
from ..models.seq2seq import Seq2Seq, Translator
from ..models.transformer import TransformerTranslator
from ..optim.warm_up import train_with_warm_up
from ..training import History
from .protocol import SEEDS, Outcome, Part, expect_part, new, percent_equal

__all__ = ["MODELS", "SEEDS", "SETTINGS", "data", "exact", "ids", "new_model", "run", "train"]

SETTINGS = ("",)
TRAIN = 43_000  # sums; in all as many as in a textbook:
DEVELOPMENT = 2_000  # https://github.com/oreilly-japan/deep-learning-from-scratch-2
TEST = 5_000
SPLIT_SEED = 11
HIDDEN = 128  # units
EMBEDDING = 16  # numbers of an embedding
CHECK = ("both", "")
BATCH = 128  # sums
UPDATES = 1_760  # five times all sums, and a little more
REPORTS = 5  # how often training is interrupted to test
RATE = 0.008  # the highest, where nothing else is chosen
LONGER = 1_000  # sums of four digits, more than in training


class Variant(NamedTuple):
    """How a model of this task differs from the plain one."""

    reverse: bool = False  # reads the question from its end
    peeky: bool = False  # each step of the decoder sees the encoder's last state
    transformer: bool = False


MODELS = {
    "baseline": Variant(),
    "reversed": Variant(reverse=True),
    "peeky": Variant(peeky=True),
    "both": Variant(reverse=True, peeky=True),
    "Transformer": Variant(transformer=True),
}


class Sums(NamedTuple):
    """Questions and answers of up to three digits, such as ("57+5", "62")."""

    characters: text.Vocabulary
    train: list[tuple[str, str]]
    development: list[tuple[str, str]]
    test: list[tuple[str, str]]


@cache
def data() -> Sums:
    """TRAIN sums to train on, DEVELOPMENT and TEST others."""
    sums = addition(TRAIN + DEVELOPMENT + TEST, digits=3, seed=SPLIT_SEED)
    train, others = sums[:TRAIN], sums[TRAIN:]
    characters = text.Vocabulary("+0123456789")
    return Sums(characters, train, others[:DEVELOPMENT], others[DEVELOPMENT:])


def ids(
    sums: Sequence[tuple[str, str]], *, reverse: bool = False
) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of the questions (from the end if `reverse`), and of the answers, <sos> to <eos>."""
    encode = data().characters.encode
    source = [encode(question[::-1] if reverse else question, strict=True) for question, _ in sums]
    return source, [encode(answer, sos=True, eos=True, strict=True) for _, answer in sums]


def exact(model: Translator, sums: Sequence[tuple[str, str]], *, reverse: bool = False) -> float:
    """Share in percent of the sums whose answer, written greedily, is right in every digit."""
    source, target = ids(sums, reverse=reverse)
    written = seq2seq.greedy(model, source, most=max(map(len, target)))
    return percent_equal(written, [row[1:-1] for row in target])


def new_model(name: str) -> nn.Module:
    """One of MODELS, untrained. The Transformer has about as many parameters as "both"."""
    V, variant = len(data().characters), MODELS[name]
    if variant.transformer:
        return TransformerTranslator(V, V, HIDDEN // 2)
    return Seq2Seq(V, V, EMBEDDING, HIDDEN, peeky=variant.peeky)


def train(name: str, seed: int, rate: float = RATE, part: Part = "test") -> tuple[Any, History]:
    """One of MODELS after UPDATES; the history's metric is `exact` on the part, REPORTS times."""
    expect_part(part)
    model, reverse = new(lambda: new_model(name), seed), MODELS[name].reverse
    columns, rng = ids(data().train, reverse=reverse), np.random.default_rng(seed)
    history = train_with_warm_up(
        model,
        lambda: text.batches(*columns, size=BATCH, rng=rng),
        seq2seq.loss,
        updates=UPDATES,
        rate=rate,
        reports=REPORTS,
        evaluate=lambda model: exact(model, getattr(data(), part), reverse=reverse),
        description=f"{name}, seed {seed}",
    )
    return model, history


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """Right held-out sums in percent on the way, and of sums of four digits at the end."""
    expect_part(part)
    model, history = train(name, seed, rate, part)
    after = [UPDATES * report // REPORTS for report in range(1, REPORTS + 1)]
    values = {f"{updates} updates": share for updates, share in zip(after, history.metric)}
    longer, reverse = addition(LONGER, digits=4, min_digits=4), MODELS[name].reverse
    if part == "test":
        values["4 digits"] = exact(model, longer, reverse=reverse)
    return Outcome(history.metric[-1], values, model, UPDATES, UPDATES * BATCH)
