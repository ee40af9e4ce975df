"""Dates of twenty locales into ISO 8601 (lesson 12)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from .. import datasets, text
from ..models import seq2seq
from ..models.attention import AttentionTranslator
from ..models.seq2seq import Translator
from ..models.transformer import TransformerTranslator
from ..optim.one_cycle import train_in_one_cycle
from ..training import History

MODELS = (
    "no attention",
    "attention, dot",
    "attention, general",
    "attention, additive",
    "Transformer",
)
SEEDS = 3
TRAIN = 20_000  # texts
TEST = 2_000  # texts
HIDDEN = 64  # units
EMBEDDING = 32  # numbers of an embedding
BATCH = 64  # texts
EPOCHS = 2
RATE = 0.01  # the highest of one cycle


class Dates(NamedTuple):
    """Date texts, all different, and the vocabularies of their characters and of the ISO form."""

    letters: text.Vocabulary
    digits: text.Vocabulary
    train: list[datasets.DateText]
    test: list[datasets.DateText]


@cache
def data() -> Dates:
    """TRAIN texts and TEST others, of all DATE_LOCALES; a day may be in both in other forms."""
    texts = datasets.dates(TRAIN + TEST)
    letters = text.Vocabulary.build(date.text for date in texts[:TRAIN])
    return Dates(letters, text.Vocabulary("-0123456789"), texts[:TRAIN], texts[TRAIN:])


def ids(dates: Sequence[datasets.DateText]) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of the texts' characters, ending in <eos>, and of their ISO forms, <sos> to <eos>."""
    letters, digits = data().letters, data().digits
    source = [letters.encode(date.text, eos=True) for date in dates]
    return source, [digits.encode(date.iso, sos=True, eos=True) for date in dates]


def new_model(name: str) -> nn.Module:
    """One of MODELS, untrained; the Transformer has about as many parameters as the others."""
    source_size, V = len(data().letters), len(data().digits)
    if name == "Transformer":
        return TransformerTranslator(source_size, V, HIDDEN // 2)
    score = None if name == "no attention" else name.removeprefix("attention, ")
    return AttentionTranslator(source_size, V, EMBEDDING, HIDDEN, score)


def train(model: nn.Module, seed: int) -> History:
    """EPOCHS over all training dates, batches of similar length.

    The caller makes the model, after `torch.manual_seed`.
    """
    source, target = ids(data().train)
    return train_in_one_cycle(
        model,
        (source, target),
        seq2seq.loss,
        seed=seed,
        size=BATCH,
        epochs=EPOCHS,
        rate=RATE,
        lengths=[len(row) for row in source],
        description=f"dates, seed {seed}",
    )


def exact(model: Translator, dates: Sequence[datasets.DateText] | None = None) -> float:
    """Share in percent of texts (None: the test's) whose ISO form is written without a fault."""
    source, target = ids(data().test if dates is None else dates)
    model.eval()
    written = seq2seq.greedy(model, source, most=11)  # ten characters and <eos>
    return 100 * float(np.mean([ours == theirs[1:-1] for ours, theirs in zip(written, target)]))


def run(name: str, seed: int) -> tuple[dict[str, float], nn.Module]:
    """Dates read without a fault, in percent."""
    torch.manual_seed(seed)
    model = new_model(name)
    train(model, seed)
    return {"exact": exact(model)}, model  # type: ignore[arg-type]
