"""What sentiment and tagging from few labels share: sentences, model, budget, score (lesson 07).

Lesson 16 fine-tunes BERT on the same sentences.
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

from .. import grammar, text, training
from ..expect import expect_ids, expect_padding, expect_shape
from ..models.layers import LAYERS, Layer
from .language_model import vocabulary

MODELS = ("RNN", "LSTM", "GRU", "SRU", "Transformer")
SEEDS = 3
COUNTS = (10, 100, 1000)  # labelled sentences
MOST = 5_000  # labelled sentences that there are for a seed
TEST = 1_000  # sentences
SPLIT_SEED = 7
HIDDEN = 32  # units of each of the two layers, and numbers of an embedding
BATCH = 64  # sentences
PLAN = ((320, 1.5e-2), (120, 3e-3))  # (updates, learning rate), one after the other


class Labelled(NamedTuple):
    """Labelled sentences to train on, and others to test on, the same for every n and seed."""

    words: text.Vocabulary
    names: tuple[str, ...]  # of the labels 0, 1, ...
    train: list[list[int]]  # ids
    train_labels: list[Any]  # one label a sentence (sentiment), or a list, one a word (tags)
    test: list[list[int]]
    test_labels: list[Any]
    train_pairs: list[grammar.Pair]
    test_pairs: list[grammar.Pair]


@cache
def _pairs() -> tuple[list[grammar.Pair], list[grammar.Pair]]:
    return grammar.split(SEEDS * MOST, TEST, seed=SPLIT_SEED)


def labelled(
    n: int, seed: int, language: str, names: tuple[str, ...], label: Callable[[grammar.Pair], Any]
) -> Labelled:
    """n sentences in "english" or "korean" with what `label` says of each pair.

    Another seed gives other sentences. Raises ValueError for n outside 1 to MOST, and for a seed
    outside 0 to SEEDS - 1.
    """
    if not (1 <= n <= MOST and 0 <= seed < SEEDS):
        raise ValueError(f"n is 1 to {MOST} and seed 0 to {SEEDS - 1}; got n={n}, seed={seed}")
    pool, test = _pairs()
    train_part, words = pool[seed * MOST :][:n], vocabulary(language)
    train_ids, test_ids = (
        [words.encode(getattr(pair, language)) for pair in part] for part in (train_part, test)
    )
    train_labels, test_labels = ([label(pair) for pair in part] for part in (train_part, test))
    return Labelled(words, names, train_ids, train_labels, test_ids, test_labels, train_part, test)


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


def epochs_of(updates: int, sentences: int) -> int:
    """How many epochs of `sentences` in batches of BATCH make about so many updates."""
    return round(updates / -(-sentences // BATCH))


def train(
    data: Labelled, seed: int = 0, layer: Layer = LAYERS["RNN"], model: nn.Module | None = None
) -> nn.Module:
    """A model after PLAN on the data's training part: a `Labeller`, unless another is given."""
    torch.manual_seed(seed)
    rng, lengths = np.random.default_rng(seed), [len(ids) for ids in data.train]
    each_word = isinstance(data.train_labels[0], list)
    if model is None:
        model = Labeller(len(data.words), len(data.names), layer, each_word)

    def batches() -> Iterator[tuple[Any, ...]]:
        return text.batches(data.train, data.train_labels, size=BATCH, rng=rng, lengths=lengths)

    description = f"{len(data.train)} sentences, seed {seed}"
    for updates, rate in PLAN:
        epochs = epochs_of(updates, len(data.train))
        training.train(model, batches, loss, epochs=epochs, lr=rate, description=description)
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


def accuracy(model: nn.Module, data: Labelled) -> float:
    """Share in percent of the test's labels that the model gives."""
    return 100 * float((predict(model, data.test) == np.hstack(data.test_labels)).mean())


def run(
    name: str, seed: int, data: Callable[[int, int], Labelled]
) -> tuple[dict[str, float], nn.Module]:
    """Right labels in percent on the test, by the number of labelled sentences."""
    models = {n: train(data(n, seed), seed, LAYERS[name]) for n in COUNTS}
    values = {str(n): accuracy(model, data(n, seed)) for n, model in models.items()}
    return values, models[COUNTS[0]]
