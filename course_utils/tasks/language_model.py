"""The grammar's language model, and whether its verbs agree with their subjects (lesson 06)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .. import grammar, text
from ..expect import expect_ids, expect_padding, expect_shape
from ..metrics import perplexity
from ..models.layers import LAYERS, Layer
from ..optim.warm_up import train_with_warm_up
from .protocol import SEEDS, Outcome, Part, expect_part

__all__ = ["MODELS", "SEEDS", "SETTINGS", "LanguageModel", "data", "run", "train"]

MODELS = (
    "RNN",
    "LSTM",
    "GRU",
    "SRU",
    "Transformer",
    "LSTM, 2 layers",
    "GRU, 2 layers",
    "SRU, 2 layers",
    "LSTM, 4 layers",
    "GRU, 4 layers",
    "SRU, 4 layers",
)
MORE_SEEDS = {"LSTM": 5, "GRU": 5}  # lessons 09 and 10 set them side by side
SETTINGS = ("940",)  # updates
LONGER_SETTINGS = ("2820",)  # and three times as many: who learns slowly?
TRAIN = 10_000  # sentences
DEVELOPMENT = 1_000  # sentences, none of which is in the training part
TEST = 2_000  # sentences, none of which is in the other parts
SPLIT_SEED = 6
HIDDEN = 64  # units of the layer, and numbers of an embedding
BATCH = 32  # sentences
UPDATES = 940  # three times all sentences
CHECK = ("SRU", "940")
RATE = 0.004  # the highest, where nothing else is chosen
CLAUSES = 2_500  # that are asked about at each distance
AGREEMENT_SEED = 606
AGREEMENT_BINS = ((0, 0), (1, 1), (2, 3), (4, 6), (7, 10), (11, 99))  # words between the two


class Language(NamedTuple):
    """One language's side of the sentences; id lists run from <sos> to <eos>."""

    words: text.Vocabulary  # closed: no word is unknown
    train: list[list[int]]
    development: list[list[int]]
    test: list[list[int]]
    floor: float  # perplexity per token of the grammar itself on the test, <eos> included


@cache
def vocabulary(language: str) -> text.Vocabulary:
    """All words of the grammar's "english" or "korean" side, in alphabetical order."""
    forms = {getattr(rule.word, language) for rule in grammar.standard().rules} - {""}
    return text.Vocabulary(sorted(forms | ({"an"} if language == "english" else set())))


@cache
def data(language: str = "english") -> Language:
    """TRAIN sentences to train on, DEVELOPMENT and TEST others, in "english" or "korean"."""
    words = vocabulary(language)
    train, others = grammar.split(TRAIN, DEVELOPMENT + TEST, seed=SPLIT_SEED)
    test = others[DEVELOPMENT:]
    parts = [
        [words.encode(getattr(pair, language), sos=True, eos=True, strict=True) for pair in part]
        for part in (train, others[:DEVELOPMENT], test)
    ]
    return Language(words, parts[0], parts[1], parts[2], grammar.floor(test, language))


class LanguageModel(nn.Module):
    """From ids (N, T) to logits (N, T, V) of each next id, and the layer's last state.

    Equal to lesson 06's. tied: the embedding matrix is also the read-out's.
    """

    def __init__(self, V: int, H: int, layer: Layer = LAYERS["RNN"], tied: bool = True) -> None:
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(V, H), layer(H, H), nn.Linear(H, V)
        nn.init.normal_(self.embed.weight, std=0.1)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        expect_shape("ids", ids, "N T")
        states, last = self.rnn(
            self.embed(expect_ids("ids", ids, self.embed.num_embeddings)), state
        )
        return self.head(states), last


def next_token_loss(model: nn.Module, batch: tuple[list[list[int]]]) -> Tensor:
    """Nats per real token of a batch (id lists,): each token after the first from those before.

    Raises ValueError for <pad> among the tokens: the loss would leave it out without a word.
    """
    ids = torch.from_numpy(text.pad(batch[0])[0])  # (N, T + 1)
    expect_padding("ids", ids != text.PAD)
    logits, _ = model(ids[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=text.PAD)


def train(
    layer: Layer,
    seed: int,
    language: str = "english",
    tied: bool = True,
    rate: float = RATE,
    updates: int = UPDATES,
) -> LanguageModel:
    """A `LanguageModel` after the plan's `updates` on `data(language).train`."""
    torch.manual_seed(seed)
    rng, sentences = np.random.default_rng(seed), data(language).train
    model = LanguageModel(len(data(language).words), HIDDEN, layer, tied)
    lengths = [len(ids) for ids in sentences]

    def batches() -> Iterator[tuple[Any, ...]]:
        return text.batches(sentences, size=BATCH, rng=rng, lengths=lengths)

    train_with_warm_up(
        model,
        batches,
        next_token_loss,
        updates=updates,
        rate=rate,
        description=f"{language}, seed {seed}",
    )
    return model.eval()


@torch.no_grad()
def token_nats(model: nn.Module, sequences: Sequence[list[int]]) -> list[NDArray[Any]]:
    """-ln P of every token after the first, one array a sequence.

    Its mean's `metrics.perplexity` is the model's.
    """
    rows: list[NDArray[Any]] = []
    for (batch,) in text.batches(sequences, size=50):  # few at a time: (N, T, V) is large
        ids, mask = text.pad(batch)  # (N, T + 1)
        logits, _ = model(torch.from_numpy(ids[:, :-1]))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        targets = torch.from_numpy(ids[:, 1:])
        nats = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").numpy()
        rows += [row[keep] for row, keep in zip(nats, mask[:, 1:])]
    return rows


class Clause(NamedTuple):
    """One English clause, with the question whether its verb agrees."""

    words: tuple[str, ...]  # the sentence
    verb: int  # the verb's position
    wrong: str  # the verb's form that does not agree
    between: int  # words between subject and verb


@cache
def _other_forms() -> dict[str, str]:
    forms = {"is": "are", "are": "is", "does": "do", "do": "does"}
    for entry in grammar.lexicon():
        if entry.kind == "verb":
            forms |= dict(zip(entry.english, entry.english[::-1]))
    return forms


def agreement_clauses(pairs: Sequence[grammar.Pair]) -> list[Clause]:
    """Every clause of the pairs' English sentences."""
    return [
        Clause(tuple(pair.english), verb, _other_forms()[pair.english[verb]], verb - subject - 1)
        for pair in pairs
        for subject, verb in pair.agreement
    ]


@torch.no_grad()
def prefers_right(
    model: nn.Module, clauses: Sequence[Clause], words: text.Vocabulary
) -> NDArray[Any]:
    """1 where P(right form) > P(wrong form) after the true prefix, 1/2 where equal, else 0.

    Returns (clauses,). The question is Linzen, Dupoux & Goldberg's
    (2016, https://arxiv.org/abs/1611.01368).
    """
    verdicts = np.empty(len(clauses))
    order = np.argsort([clause.verb for clause in clauses], kind="stable")  # little padding
    for places in np.array_split(order, -(-len(order) // 100)):
        part = [clauses[place] for place in places]
        prefixes = [words.encode(c.words[: c.verb], sos=True, strict=True) for c in part]
        logits, _ = model(torch.from_numpy(text.pad(prefixes)[0]))  # (N, T, V)
        after = logits[torch.arange(len(part)), [clause.verb for clause in part]]  # (N, V)
        forms = [[words.id(c.words[c.verb]), words.id(c.wrong)] for c in part]
        right, wrong = after.gather(1, torch.tensor(forms)).T
        verdicts[places] = (torch.sign(right - wrong).float().numpy() + 1) / 2
    return verdicts


def by_distance(verdicts: NDArray[Any], clauses: Sequence[Clause]) -> NDArray[Any]:
    """Mean verdict in percent for each of AGREEMENT_BINS: (bins,)."""
    between = np.array([clause.between for clause in clauses])
    inside = [(between >= low) & (between <= high) for low, high in AGREEMENT_BINS]
    return np.array([100 * verdicts[places].mean() for places in inside])


@cache
def clauses() -> list[Clause]:
    """The first CLAUSES of each of AGREEMENT_BINS that the grammar writes, asked of every model."""
    kept: list[list[Clause]] = [[] for _ in AGREEMENT_BINS]
    for pair in grammar.standard().stream(AGREEMENT_SEED):
        for clause in agreement_clauses([pair]):
            place = sum(clause.between > high for _, high in AGREEMENT_BINS[:-1])
            if len(kept[place]) < CLAUSES:
                kept[place].append(clause)
        if min(map(len, kept)) == CLAUSES:
            break
    return [clause for row in kept for clause in row]


def agreement(model: nn.Module) -> NDArray[Any]:
    """Percent of clauses whose right verb form an English model prefers, by distance: (bins,)."""
    return by_distance(prefers_right(model, clauses(), vocabulary("english")), clauses())


def settings_of(name: str) -> tuple[str, ...]:
    """The budgets that one of MODELS is given, in updates: one for the slowest two, else both."""
    return SETTINGS if name in ("LSTM, 4 layers", "GRU, 4 layers") else SETTINGS + LONGER_SETTINGS


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """Perplexity on held-out English, and agreement in percent by distance.

    setting: the budget in updates, as a string; its number is part of the names of the values
    unless it is UPDATES.
    """
    expect_part(part)
    updates = int(setting)
    model = train(LAYERS[name], seed, rate=rate, updates=updates)
    nats = float(np.concatenate(token_nats(model, getattr(data(), part))).mean())
    values = {"perplexity": perplexity(nats)}
    if part == "test":
        values["floor"] = data().floor
        for (low, high), share in zip(AGREEMENT_BINS, agreement(model)):
            values[f"agreement {low}" if low == high else f"agreement {low}-{high}"] = float(share)
    if updates != UPDATES:
        values = {f"{value}, {setting} updates": number for value, number in values.items()}
    return Outcome(-nats, values, model, updates, updates * BATCH)
