"""What sentiment and tagging from few labels share: sentences, model, budget, score (lesson 07).

Lesson 16 fine-tunes BERT on the same sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .. import grammar, text
from ..expect import expect_ids, expect_padding, expect_shape
from ..models.layers import LAYERS, Layer
from ..optim.warm_up import WARM_UP, train_with_warm_up
from .language_model import vocabulary
from .protocol import CHOICE_SEED, SEEDS, Outcome, Part

MODELS = ("RNN", "LSTM", "GRU", "SRU", "Transformer")
COUNTS = (10, 100, 1000)  # labelled sentences
SETTINGS = tuple(map(str, COUNTS))
FIRST_POOLS = (*range(SEEDS), CHOICE_SEED)  # seeds whose labelled sentences are one sample
MORE_POOLS = (3, 4)  # seeds with a sample of their own
MOST = 5_000  # labelled sentences of a pool
DEVELOPMENT = 2_000  # sentences
TEST = 4_000  # sentences
SPLIT_SEED = 7
HIDDEN = 32  # units of each of the two layers, and numbers of an embedding
BATCH = 64  # sentences
UPDATES = 440
RATE = 0.016  # the highest, where nothing else is chosen


class Labelled(NamedTuple):
    """Labelled sentences to train on, and others to test on, the same for every n and seed."""

    words: text.Vocabulary
    names: tuple[str, ...]  # of the labels 0, 1, ...
    train: list[list[int]]  # ids
    train_labels: list[Any]  # one label a sentence (sentiment), or a list, one a word (tags)
    development: list[list[int]]
    development_labels: list[Any]
    test: list[list[int]]
    test_labels: list[Any]
    train_pairs: list[grammar.Pair]
    test_pairs: list[grammar.Pair]


@cache
def _pairs() -> tuple[list[grammar.Pair], list[grammar.Pair]]:
    return grammar.split(len(FIRST_POOLS) * MOST, DEVELOPMENT + TEST, seed=SPLIT_SEED)


@cache
def _pool(seed: int) -> list[grammar.Pair]:
    """The MOST labelled sentences of a seed, none of which is held out."""
    pairs, held_out = _pairs()
    if seed in FIRST_POOLS:
        return pairs[FIRST_POOLS.index(seed) * MOST :][:MOST]
    known = {pair.english for pair in held_out}
    fresh = grammar.standard().stream(SPLIT_SEED + seed)
    return list(islice((pair for pair in fresh if pair.english not in known), MOST))


def labelled(
    n: int, seed: int, language: str, names: tuple[str, ...], label: Callable[[grammar.Pair], Any]
) -> Labelled:
    """n sentences in "english" or "korean" with what `label` says of each pair.

    Another seed gives other sentences. Raises ValueError for n outside 1 to MOST, and for a seed
    that has no pool.
    """
    seeds = (*FIRST_POOLS, *MORE_POOLS)
    if not (1 <= n <= MOST and seed in seeds):
        raise ValueError(f"n is 1 to {MOST} and seed one of {seeds}; got n={n}, seed={seed}")
    held_out = _pairs()[1]
    pool, words = _pool(seed)[:n], vocabulary(language)
    development, test = held_out[:DEVELOPMENT], held_out[DEVELOPMENT:]
    ids, labels = [], []
    for part in (pool, development, test):
        ids.append([words.encode(getattr(pair, language)) for pair in part])
        labels.append([label(pair) for pair in part])
    return Labelled(
        words=words,
        names=names,
        train=ids[0],
        train_labels=labels[0],
        development=ids[1],
        development_labels=labels[1],
        test=ids[2],
        test_labels=labels[2],
        train_pairs=pool,
        test_pairs=test,
    )


def reverse_steps(x: Tensor, mask: Tensor) -> Tensor:
    """x (N, T, D) with the real steps of each row in reverse order; padding stays at the end.

    mask (N, T): bool, True where a step is real.
    """
    N, T, _ = expect_shape("x", x, "N T D")
    expect_padding("mask", mask, N=N, T=T)
    steps = torch.arange(T).expand(mask.shape)  # (N, T)
    order = torch.where(mask, mask.sum(dim=1, keepdim=True) - 1 - steps, steps)
    return x.gather(1, order[..., None].expand(x.shape))


class Labeller(nn.Module):
    """Ids and mask (N, T) to logits of K labels, (N, K) a sentence or (N, T, K) for each word.

    Two layers, one of which reads backwards; for a sentence the largest number of each unit over
    its real steps.
    """

    def __init__(
        self,
        V: int,
        K: int,
        layer: Layer = LAYERS["RNN"],
        each_word: bool = False,
        size: int = HIDDEN,
    ) -> None:
        super().__init__()
        self.each_word, self.embed = each_word, nn.Embedding(V, size)
        self.ahead, self.back, self.head = (
            layer(size, size),
            layer(size, size),
            nn.Linear(2 * size, K),
        )
        nn.init.normal_(self.embed.weight, std=0.5)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        N, T = expect_shape("ids", ids, "N T")
        expect_padding("mask", mask, N=N, T=T)
        x = self.embed(expect_ids("ids", ids, self.embed.num_embeddings))  # (N, T, D)
        back = reverse_steps(self.back(reverse_steps(x, mask))[0], mask)
        states = torch.cat([self.ahead(x)[0], back], dim=2)  # (N, T, 2H)
        if not self.each_word:
            states = states.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)  # (N, 2H)
        logits: Tensor = self.head(states)
        return logits


def loss(model: nn.Module, batch: tuple[list[list[int]], list[Any]]) -> Tensor:
    """Cross-entropy in nats per label of a batch (id lists, labels)."""
    ids, mask = (torch.from_numpy(part) for part in text.pad(batch[0]))
    logits = model(ids, mask)
    targets = torch.from_numpy(np.hstack(batch[1]))
    return F.cross_entropy(logits if logits.ndim == 2 else logits[mask], targets)


def train(
    data: Labelled,
    seed: int = 0,
    layer: Layer = LAYERS["RNN"],
    model: nn.Module | None = None,
    rate: float = RATE,
    warm_up: float = WARM_UP,
) -> nn.Module:
    """A model after the plan's UPDATES on the data's training part: a `Labeller`, unless given."""
    torch.manual_seed(seed)
    rng, lengths = np.random.default_rng(seed), [len(ids) for ids in data.train]
    each_word = isinstance(data.train_labels[0], list)
    if model is None:
        model = Labeller(len(data.words), len(data.names), layer, each_word)

    def batches() -> Iterator[tuple[Any, ...]]:
        return text.batches(data.train, data.train_labels, size=BATCH, rng=rng, lengths=lengths)

    train_with_warm_up(
        model,
        batches,
        loss,
        updates=UPDATES,
        rate=rate,
        warm_up=warm_up,
        description=f"{len(data.train)} sentences, seed {seed}",
    )
    return model.eval()


@torch.no_grad()
def predict(model: nn.Module, sentences: Sequence[list[int]]) -> NDArray[Any]:
    """The label of the highest logit: one a sentence, (sentences,), or one a word, (words,)."""
    labels: list[NDArray[Any]] = []
    for (batch,) in text.batches(sentences, size=100):  # few at a time: (N, T, H) is large
        ids, mask = (torch.from_numpy(part) for part in text.pad(batch))
        logits = model(ids, mask)
        labels.append((logits if logits.ndim == 2 else logits[mask]).argmax(dim=-1).numpy())
    return np.concatenate(labels)


def accuracy(model: nn.Module, data: Labelled, part: Part = "test") -> float:
    """Share in percent of the part's labels that the model gives."""
    labels = np.hstack(getattr(data, f"{part}_labels"))
    return 100 * float((predict(model, getattr(data, part)) == labels).mean())


def outcome(model: nn.Module, data: Labelled, setting: str, part: Part) -> Outcome:
    """The share of right labels as the one value of this setting."""
    share, n = accuracy(model, data, part), len(data.train)
    rows = round(UPDATES * n / ceil(n / BATCH))  # in batches of BATCH and one of what is left
    return Outcome(share, {setting: share}, model, UPDATES, rows)
