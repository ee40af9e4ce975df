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

from .. import grammar, text, training
from ..expect import expect_ids, expect_padding, expect_shape
from ..metrics import perplexity
from ..models.layers import LAYERS, Layer

MODELS = ("RNN", "LSTM", "GRU", "SRU", "Transformer", "SRU, 2 layers", "SRU, 4 layers")
SEEDS = 3
TRAIN = 10_000  # sentences
TEST = 500  # sentences, none of which is in the training part
SPLIT_SEED = 6
HIDDEN = 64  # units of the layer, and numbers of an embedding
BATCH = 32  # sentences
PLAN = ((2, 5e-3), (1, 1e-3))  # (epochs, learning rate), one after the other
AGREEMENT_PAIRS = 3_000  # sentences whose clauses are asked about
AGREEMENT_SEED = 606
AGREEMENT_BINS = ((0, 0), (1, 1), (2, 3), (4, 6), (7, 10), (11, 99))  # words between the two


class Language(NamedTuple):
    """One language's side of the sentences; id lists run from <sos> to <eos>."""

    words: text.Vocabulary  # closed: no word is unknown
    train: list[list[int]]
    test: list[list[int]]
    floor: float  # perplexity per token of the grammar itself on the test, <eos> included


@cache
def vocabulary(language: str) -> text.Vocabulary:
    """All words of the grammar's "english" or "korean" side, in alphabetical order."""
    forms = {getattr(rule.word, language) for rule in grammar.standard().rules} - {""}
    return text.Vocabulary(sorted(forms | ({"an"} if language == "english" else set())))


@cache
def data(language: str = "english") -> Language:
    """TRAIN sentences to train on and TEST others to test on, in "english" or "korean"."""
    words, parts = vocabulary(language), grammar.split(TRAIN, TEST, seed=SPLIT_SEED)
    ids = [
        [words.encode(getattr(pair, language), sos=True, eos=True, strict=True) for pair in part]
        for part in parts
    ]
    return Language(words, ids[0], ids[1], grammar.floor(parts[1], language))


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


def train(layer: Layer, seed: int, language: str = "english", tied: bool = True) -> LanguageModel:
    """A `LanguageModel` after PLAN on `data(language).train`."""
    torch.manual_seed(seed)
    rng, sentences = np.random.default_rng(seed), data(language).train
    model = LanguageModel(len(data(language).words), HIDDEN, layer, tied)
    lengths = [len(ids) for ids in sentences]

    def batches() -> Iterator[tuple[Any, ...]]:
        return text.batches(sentences, size=BATCH, rng=rng, lengths=lengths)

    description = f"{language}, seed {seed}"
    for epochs, rate in PLAN:
        training.train(
            model, batches, next_token_loss, epochs=epochs, lr=rate, description=description
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
    prefixes = [words.encode(c.words[: c.verb], sos=True, strict=True) for c in clauses]
    ids = torch.from_numpy(text.pad(prefixes)[0])
    last = torch.tensor([clause.verb for clause in clauses])  # where each prefix ends
    parts = zip(torch.split(ids, 100), torch.split(last, 100))
    logits = torch.cat([model(part)[0][torch.arange(len(part)), end] for part, end in parts])
    right_ids = torch.tensor([words.id(clause.words[clause.verb]) for clause in clauses])
    wrong_ids = torch.tensor([words.id(clause.wrong) for clause in clauses])
    right, wrong = (logits.gather(1, column[:, None])[:, 0] for column in (right_ids, wrong_ids))
    return (torch.sign(right - wrong).float().numpy() + 1) / 2


def by_distance(verdicts: NDArray[Any], clauses: Sequence[Clause]) -> NDArray[Any]:
    """Mean verdict in percent for each of AGREEMENT_BINS: (bins,)."""
    between = np.array([clause.between for clause in clauses])
    inside = [(between >= low) & (between <= high) for low, high in AGREEMENT_BINS]
    return np.array([100 * verdicts[places].mean() for places in inside])


def agreement(model: nn.Module) -> NDArray[Any]:
    """Percent of clauses whose right verb form an English model prefers, by distance: (bins,)."""
    clauses = agreement_clauses(grammar.sample(AGREEMENT_PAIRS, AGREEMENT_SEED))
    return by_distance(prefers_right(model, clauses, vocabulary("english")), clauses)


def run(name: str, seed: int) -> tuple[dict[str, float], nn.Module]:
    """Perplexity on held-out English, and agreement in percent by distance."""
    model = train(LAYERS[name], seed)
    nats = np.concatenate(token_nats(model, data().test))
    values = {"perplexity": perplexity(float(nats.mean())), "floor": data().floor}
    for (low, high), share in zip(AGREEMENT_BINS, agreement(model)):
        values[f"agreement {low}" if low == high else f"agreement {low}-{high}"] = float(share)
    return values, model
