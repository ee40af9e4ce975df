"""Addition, digit by digit: "57+5" to "62" (lesson 11)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from .. import text
from ..datasets import addition
from ..models import seq2seq
from ..models.seq2seq import Seq2Seq, Translator
from ..models.transformer import TransformerTranslator
from ..optim.one_cycle import train_in_one_cycle
from ..training import History

SEEDS = 3
TRAIN = 45_000  # sums; with TEST a textbook's sizes:
TEST = 5_000  # https://github.com/oreilly-japan/deep-learning-from-scratch-2
SPLIT_SEED = 11
HIDDEN = 128  # units
EMBEDDING = 16  # numbers of an embedding
BATCH = 128  # sums
EPOCHS = 5
RATE = 0.012  # the highest of one cycle, chosen for GRUs
LONGER = 1_000  # sums of four digits, more than in training


class Variant(NamedTuple):
    """How a model of this task differs from the plain one."""

    reverse: bool = False  # reads the question from its end
    peeky: bool = False  # each step of the decoder sees the encoder's last state
    transformer: bool = False
    rate: float = RATE


MODELS = {
    "baseline": Variant(),
    "reversed": Variant(reverse=True),
    "peeky": Variant(peeky=True),
    "both": Variant(reverse=True, peeky=True),
    "Transformer": Variant(transformer=True),
    "Transformer, lower rate": Variant(transformer=True, rate=RATE / 3),
}


class Sums(NamedTuple):
    """Questions and answers of up to three digits, such as ("57+5", "62")."""

    characters: text.Vocabulary
    train: list[tuple[str, str]]
    test: list[tuple[str, str]]


@cache
def data() -> Sums:
    """TRAIN sums to train on and TEST others to test on."""
    sums = addition(TRAIN + TEST, digits=3, seed=SPLIT_SEED)
    return Sums(text.Vocabulary("+0123456789"), sums[:TRAIN], sums[TRAIN:])


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
    return 100 * float(np.mean([ours == theirs[1:-1] for ours, theirs in zip(written, target)]))


def new_model(name: str) -> nn.Module:
    """One of MODELS, untrained. The Transformer has about as many parameters as "both"."""
    V, variant = len(data().characters), MODELS[name]
    if variant.transformer:
        return TransformerTranslator(V, V, HIDDEN // 2)
    return Seq2Seq(V, V, EMBEDDING, HIDDEN, peeky=variant.peeky)


def train(name: str, seed: int) -> tuple[nn.Module, History]:
    """One of MODELS after EPOCHS; the history's metric is `exact` on the test after each."""
    torch.manual_seed(seed)
    model, variant = new_model(name), MODELS[name]
    history = train_in_one_cycle(
        model,
        ids(data().train, reverse=variant.reverse),
        seq2seq.loss,
        seed=seed,
        size=BATCH,
        epochs=EPOCHS,
        rate=variant.rate,
        evaluate=lambda model: exact(model, data().test, reverse=variant.reverse),
        description=f"{name}, seed {seed}",
    )
    return model, history


def run(name: str, seed: int) -> tuple[dict[str, float], nn.Module]:
    """Right held-out sums in percent after each epoch, and of sums of four digits at the end."""
    model, history = train(name, seed)
    values = {f"epoch {epoch}": share for epoch, share in enumerate(history.metric, 1)}
    longer, reverse = addition(LONGER, digits=4, min_digits=4), MODELS[name].reverse
    return {**values, "4 digits": exact(model, longer, reverse=reverse)}, model  # type: ignore[arg-type]
