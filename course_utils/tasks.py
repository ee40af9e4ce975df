"""The shared tasks: data, budget and score are fixed here, so that each lesson continues the same row of numbers.

A layer is given as a function (D, H) -> module, called as `states, last = layer(x, initial=None)`, x (N, T, D) and
states (N, T, H), as `LAYERS` has them. Lesson 05 introduces the adding problem, lesson 06 the language model and the
agreement of its verbs, lesson 11 the translation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from . import datasets, grammar, text
from .training import train

Layer = Callable[[int, int], nn.Module]


def _sru(layers: int) -> Layer:
    def make(D: int, H: int) -> nn.Module:
        from .sru import SRU

        return SRU(D, H, num_layers=layers)

    return make


LAYERS: dict[str, Layer] = {
    "RNN": lambda D, H: nn.RNN(D, H, batch_first=True),
    "LSTM": lambda D, H: nn.LSTM(D, H, batch_first=True),
    "GRU": lambda D, H: nn.GRU(D, H, batch_first=True),
    "SRU": _sru(1),
    "SRU, 2 layers": _sru(2),  # lesson 10: depth gives back what the light recurrence took
    "SRU, 4 layers": _sru(4),
}

# The adding problem (lesson 05)
ADDING_LENGTHS = (5, 10, 20, 40, 60)
ADDING_HIDDEN, ADDING_BATCH, ADDING_UPDATES, ADDING_RATE, ADDING_SEEDS = 32, 32, 500, 0.01, 3
ADDING_TEST, ADDING_BASELINE = 1000, 1 / 6  # test examples; mean squared error of always answering 1
ADDING_SOLVED = ADDING_BASELINE / 2  # a length is solved where the median error over the seeds is below


def adding_tensors(n: int, length: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """x (n, length, 2) and y (n,) of `datasets.adding_problem` as float32 tensors."""
    x, y = datasets.adding_problem(n, length, rng)
    return torch.from_numpy(x).float(), torch.from_numpy(y).float()


class Adder(nn.Module):
    """A recurrent layer and a linear read-out of its last state: x (N, T, 2) to sums (N,)."""

    def __init__(self, layer: Layer, hidden: int = ADDING_HIDDEN) -> None:
        super().__init__()
        self.layer, self.head = layer(2, hidden), nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x)  # (N, T, H)
        sums: Tensor = self.head(states[:, -1])[:, 0]
        return sums


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean squared error of model(x), (N,), against y (N,), for a batch (x, y)."""
    x, y = batch
    return F.mse_loss(model(x), y)


def train_adder(layer: Layer, length: int, seed: int, updates: int = ADDING_UPDATES) -> Adder:
    """An `Adder` after `updates` steps of Adam on fresh batches of this length."""
    torch.manual_seed(seed)
    draw, model = np.random.default_rng(seed), Adder(layer)
    examples = lambda: (adding_tensors(ADDING_BATCH, length, draw) for _ in range(updates))  # noqa: E731
    train(model, examples, squared_error, epochs=1, lr=ADDING_RATE, description=f"{length} steps, seed {seed}")
    return model.eval()


@torch.no_grad()
def adding_error(model: nn.Module, length: int) -> float:
    """Mean squared error on ADDING_TEST held-out examples of this length, the same for every model."""
    return float(squared_error(model, adding_tensors(ADDING_TEST, length, np.random.default_rng(99))))


def longest_solved(errors: dict[int, Sequence[float]]) -> int:
    """The longest length up to which every length is solved, 0 for none. errors: length to one error a seed."""
    solved = 0
    for length in sorted(errors):
        if np.median(errors[length]) >= ADDING_SOLVED:
            break
        solved = length
    return solved


# The grammar's language model (lesson 06)
LM_HIDDEN, LM_BATCH, LM_PLAN = 64, 32, ((2, 5e-3), (1, 1e-3))  # (epochs, learning rate), one after the other
LM_TRAIN, LM_TEST, LM_SEED, LM_SEEDS = 10_000, 500, 6, 3


class Language(NamedTuple):
    """One language's side of the sentences: closed vocabulary, id lists from <sos> to <eos>, the floor on the test."""

    words: text.Vocabulary
    train: list[list[int]]
    test: list[list[int]]
    floor: float  # perplexity per token, <eos> included


@cache
def vocabulary(language: str) -> text.Vocabulary:
    """All words of the grammar's "english" or "korean" side, in alphabetical order after the special tokens."""
    forms = {getattr(rule.word, language) for rule in grammar.grammar().rules} - {""}
    return text.Vocabulary(sorted(forms | ({"an"} if language == "english" else set())))


@cache
def language(name: str = "english") -> Language:
    """LM_TRAIN sentences to train on and LM_TEST others to test on, in "english" or "korean"."""
    words, parts = vocabulary(name), grammar.split(LM_TRAIN, LM_TEST, seed=LM_SEED)
    ids = [[words.encode(getattr(pair, name), sos=True, eos=True, strict=True) for pair in part] for part in parts]
    return Language(words, ids[0], ids[1], grammar.floor(parts[1], name))


class LanguageModel(nn.Module):
    """From ids (N, T) to scores (N, T, V) of each next id, and the layer's last state; equal to lesson 06's.

    tied: the embedding matrix is also the read-out's.
    """

    def __init__(self, V: int, H: int, layer: Layer = LAYERS["RNN"], tied: bool = True) -> None:
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(V, H), layer(H, H), nn.Linear(H, V)
        nn.init.normal_(self.embed.weight, std=0.1)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        states, last = self.rnn(self.embed(ids), state)  # (N, T, H)
        return self.head(states), last


def next_token_loss(model: nn.Module, batch: tuple[list[list[int]]]) -> Tensor:
    """Cross-entropy in nats per real token of a batch (id lists,): each token after the first from those before it."""
    ids = torch.from_numpy(text.pad(batch[0])[0])  # (N, T + 1)
    logits, _ = model(ids[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=text.PAD)


def train_language_model(layer: Layer, seed: int, name: str = "english", tied: bool = True) -> LanguageModel:
    """A `LanguageModel` after LM_PLAN on `language(name).train`."""
    torch.manual_seed(seed)
    draw, data = np.random.default_rng(seed), language(name)
    model, lengths = LanguageModel(len(data.words), LM_HIDDEN, layer, tied), [len(ids) for ids in data.train]

    def some() -> Iterator[tuple[Any, ...]]:
        return text.batches(data.train, size=LM_BATCH, rng=draw, lengths=lengths)

    for epochs, rate in LM_PLAN:
        train(model, some, next_token_loss, epochs=epochs, lr=rate, description=f"{name}, seed {seed}")
    return model.eval()


@torch.no_grad()
def token_nats(model: nn.Module, sequences: Sequence[list[int]]) -> list[NDArray[Any]]:
    """-ln P of every token after the first, one array a sequence. Its mean's `perplexity` is the model's."""
    every: list[NDArray[Any]] = []
    for (some,) in text.batches(sequences, size=50):  # few at a time: (N, T, V) is large
        ids, mask = text.pad(some)  # (N, T + 1)
        logits, _ = model(torch.from_numpy(ids[:, :-1]))
        nats = F.cross_entropy(logits.transpose(1, 2), torch.from_numpy(ids[:, 1:]), reduction="none").numpy()
        every += [row[keep] for row, keep in zip(nats, mask[:, 1:])]
    return every


# Agreement of verb and subject (lesson 06; the question is Linzen, Dupoux & Goldberg's, 2016)
AGREEMENT_PAIRS, AGREEMENT_SEED = 3_000, 606
AGREEMENT_BINS = ((0, 0), (1, 1), (2, 3), (4, 6), (7, 10), (11, 99))  # words between subject and verb


class Clause(NamedTuple):
    """One English clause: its sentence, the verb's place in it, the verb's wrong form, words between subject and verb."""

    words: tuple[str, ...]
    verb: int
    wrong: str
    between: int


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
def prefers_right(model: nn.Module, clauses: Sequence[Clause], words: text.Vocabulary) -> NDArray[Any]:
    """1 where P(right form) > P(wrong form) after the true prefix, 1/2 where equal, else 0: (clauses,)."""
    ids, _ = text.pad([words.encode(clause.words[: clause.verb], sos=True) for clause in clauses])
    at = torch.tensor([clause.verb for clause in clauses])
    parts = zip(torch.split(torch.from_numpy(ids), 100), torch.split(at, 100))
    logits = torch.cat([model(part)[0][torch.arange(len(part)), places] for part, places in parts])  # (clauses, V)
    forms = [(words.id(clause.words[clause.verb]), words.id(clause.wrong)) for clause in clauses]
    right, wrong = (logits.gather(1, torch.tensor(column)[:, None])[:, 0] for column in zip(*forms))
    return (torch.sign(right - wrong).numpy() + 1) / 2


def by_distance(verdicts: NDArray[Any], clauses: Sequence[Clause]) -> NDArray[Any]:
    """Mean verdict in percent for each of AGREEMENT_BINS: (bins,)."""
    between = np.array([clause.between for clause in clauses])
    return np.array([100 * verdicts[(between >= low) & (between <= high)].mean() for low, high in AGREEMENT_BINS])


def agreement(model: nn.Module) -> NDArray[Any]:
    """Share in percent of clauses whose right verb form an English language model prefers, by distance: (bins,)."""
    clauses = agreement_clauses(grammar.sample(AGREEMENT_PAIRS, AGREEMENT_SEED))
    return by_distance(prefers_right(model, clauses, vocabulary("english")), clauses)
