"""Dates of twenty locales into ISO 8601 (lesson 12)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from torch import nn

from .. import datasets, text
from ..models import seq2seq
from ..models.attention import AttentionTranslator
from ..models.seq2seq import Translator
from ..models.transformer import TransformerTranslator
from ..optim.warm_up import train_with_warm_up
from ..training import History
from .protocol import SEEDS, Outcome, Part, expect_part, new, percent_equal

__all__ = ["MODELS", "SEEDS", "SETTINGS", "data", "exact", "ids", "new_model", "run", "train"]

MODELS = (
    "no attention",
    "attention, dot",
    "attention, general",
    "attention, additive",
    "Transformer",
    "Transformer, 64 wide",
)
SETTINGS = ("313", "626", "1252")  # updates
CHECK = ("attention, dot", "626")
TRAIN = 20_000  # texts
DEVELOPMENT = 1_000  # texts
TEST = 2_000  # texts
HIDDEN = 64  # units
EMBEDDING = 32  # numbers of an embedding
BATCH = 64  # texts
UPDATES = 626  # twice all texts
RATE = 0.008  # the highest, where nothing else is chosen


class Dates(NamedTuple):
    """Date texts, all different, and the vocabularies of their characters and of the ISO form."""

    letters: text.Vocabulary
    digits: text.Vocabulary
    train: list[datasets.DateText]
    development: list[datasets.DateText]
    test: list[datasets.DateText]


@cache
def data() -> Dates:
    """TRAIN texts, DEVELOPMENT and TEST others, of all DATE_LOCALES.

    A day may be in several parts in other forms.
    """
    texts = datasets.dates(TRAIN + TEST + DEVELOPMENT)
    train, test, development = texts[:TRAIN], texts[TRAIN : TRAIN + TEST], texts[TRAIN + TEST :]
    letters = text.Vocabulary.build(date.text for date in train)
    return Dates(letters, text.Vocabulary("-0123456789"), train, development, test)


def ids(dates: Sequence[datasets.DateText]) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of the texts' characters, ending in <eos>, and of their ISO forms, <sos> to <eos>."""
    letters, digits = data().letters, data().digits
    source = [letters.encode(date.text, eos=True) for date in dates]
    return source, [digits.encode(date.iso, sos=True, eos=True) for date in dates]


def new_model(name: str) -> nn.Module:
    """One of MODELS, untrained; the Transformer has about as many parameters as the others."""
    source_size, V = len(data().letters), len(data().digits)
    if name.startswith("Transformer"):
        width = HIDDEN if name.endswith("64 wide") else HIDDEN // 2
        return TransformerTranslator(source_size, V, width)
    score = None if name == "no attention" else name.removeprefix("attention, ")
    return AttentionTranslator(source_size, V, EMBEDDING, HIDDEN, score)


def train(model: nn.Module, seed: int, *, updates: int = UPDATES, rate: float = RATE) -> History:
    """The plan's `updates`, in batches of similar length.

    The caller makes the model, after `torch.manual_seed`.
    """
    columns, rng = ids(data().train), np.random.default_rng(seed)
    lengths = [len(row) for row in columns[0]]
    return train_with_warm_up(
        model,
        lambda: text.batches(*columns, size=BATCH, rng=rng, lengths=lengths),
        seq2seq.loss,
        updates=updates,
        rate=rate,
        description=f"dates, seed {seed}",
    )


def exact(model: Translator, dates: Sequence[datasets.DateText] | None = None) -> float:
    """Share in percent of texts (None: the test's) whose ISO form is written without a fault."""
    source, target = ids(data().test if dates is None else dates)
    model.eval()
    written = seq2seq.greedy(model, source, most=11)  # ten characters and <eos>
    return percent_equal(written, [row[1:-1] for row in target])


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """Dates read without a fault, in percent, after so many updates as the setting says."""
    expect_part(part)
    model = new(lambda: new_model(name), seed)
    train(model, seed, updates=int(setting), rate=rate)
    share = exact(model, getattr(data(), part))
    value = "exact" if int(setting) == UPDATES else f"exact, {setting} updates"
    return Outcome(share, {value: share}, model, int(setting), int(setting) * BATCH)
