"""A small BERT on the grammar's English: texts, masking, pre-training, fine-tuning. Lesson 16 derives and proves each part.

Ids are those of `tasks.vocabulary("english")`; [CLS], [SEP] and [MASK] follow behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from . import grammar, tasks, text
from .proofs import expect_shape

SIZE, LAYERS, HEADS, INNER, PLACES = 64, 2, 4, 128, 64  # PLACES: the most tokens of an input
CORPUS, CORPUS_SEED = 40_000, 16  # sentences
BATCH, EPOCHS, RATE = 32, 3, 5e-3  # of pre-training; the rate is the highest of one cycle
TUNE_RATE = 2e-3  # of fine-tuning, likewise; batches and updates are those of `tasks.train_labeller`
CHOSEN, MASKED, SWAPPED = 0.15, 0.8, 0.1  # share of places that are asked about; of these: [MASK], another word


@cache
def vocabulary() -> text.Vocabulary:
    """The grammar's English words, and [CLS], [SEP], [MASK] as the last three ids."""
    return text.Vocabulary([*tasks.vocabulary("english").tokens[len(text.SPECIALS) :], "[CLS]", "[SEP]", "[MASK]"])


def pack(first: Sequence[int], second: Sequence[int] | None = None) -> tuple[list[int], list[int]]:
    """Ids and segments of [CLS] first [SEP], or of [CLS] first [SEP] second [SEP]; the second's segment is 1."""
    cls, sep = vocabulary().id("[CLS]"), vocabulary().id("[SEP]")
    ids, segments = [cls, *first, sep], [0] * (len(first) + 2)
    return (ids, segments) if second is None else ([*ids, *second, sep], [*segments, *[1] * (len(second) + 1)])


def mask_words(ids: NDArray[Any], rng: np.random.Generator, share: float = CHOSEN) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Ids (N, T) with some words hidden, and where to guess (N, T): BERT's 80 % [MASK], 10 % another word, 10 % kept."""
    words = vocabulary()
    lowest, highest = len(text.SPECIALS), words.id("[CLS]")  # ids of ordinary words: lowest <= id < highest
    chosen = (rng.random(ids.shape) < share) & (ids >= lowest) & (ids < highest)
    fate = rng.random(ids.shape)
    hidden = np.where(chosen & (fate < MASKED), words.id("[MASK]"), ids)
    swapped = chosen & (fate >= MASKED) & (fate < MASKED + SWAPPED)
    return np.where(swapped, rng.integers(lowest, highest, size=ids.shape), hidden), chosen


class Encoder(nn.Module):
    """Ids and segments (N, T) with their mask to states (N, T, D); every place sees every real place."""

    def __init__(
        self, V: int, D: int = SIZE, layers: int = LAYERS, heads: int = HEADS, inner: int = INNER, places: int = PLACES, std: float = 0.1
    ) -> None:
        super().__init__()
        self.word, self.place, self.segment = nn.Embedding(V, D), nn.Embedding(places, D), nn.Embedding(2, D)
        for table in (self.word, self.place, self.segment):
            nn.init.normal_(table.weight, std=std)
        self.norm = nn.LayerNorm(D)
        layer = nn.TransformerEncoderLayer(D, heads, inner, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(D), enable_nested_tensor=False)
        for weight in self.layers.parameters():
            if weight.ndim == 2:  # the layers are copies of one; each gets weights of its own
                nn.init.xavier_uniform_(weight)

    def forward(self, ids: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
        N, T = expect_shape("ids", ids, "N T")
        expect_shape("segments", segments, "N T", N=N, T=T)
        expect_shape("mask", mask, "N T", N=N, T=T)
        text.expect_ids("ids", ids, self.word.num_embeddings)
        text.expect_ids("segments", segments, 2)
        if T > self.place.num_embeddings:
            raise ValueError(f"the input has {T} tokens, but the table of places has {self.place.num_embeddings} rows; cut the input")
        text.expect_real("mask", mask)
        x = self.word(ids) + self.place.weight[:T] + self.segment(segments)  # (N, T, D)
        states: Tensor = self.layers(self.norm(x), src_key_padding_mask=~mask)
        return states


class PreTraining(nn.Module):
    """An encoder with BERT's two questions: which word is hidden, and is the second sentence the next one?"""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        V, D = encoder.word.weight.shape
        self.encoder, self.bend, self.norm = encoder, nn.Linear(D, D), nn.LayerNorm(D)
        self.bias, self.pool, self.next = nn.Parameter(torch.zeros(V)), nn.Linear(D, D), nn.Linear(D, 2)

    def words(self, states: Tensor) -> Tensor:
        """Scores (..., V) of the word behind each state (..., D); the embeddings are the read-out."""
        return F.linear(self.norm(F.gelu(self.bend(states))), self.encoder.word.weight, self.bias)

    def forward(self, ids: Tensor, segments: Tensor, mask: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (places, V) at the chosen places alone, and scores (N, 2) of "random" and "next"."""
        states = self.encoder(ids, segments, mask)
        return self.words(states[chosen]), self.next(torch.tanh(self.pool(states[:, 0])))


class Texts(NamedTuple):
    """Unlabelled texts of two sentences each, as ids; the second says more of the noun that the first brings in."""

    first: list[list[int]]
    second: list[list[int]]


@cache
def texts(n: int = CORPUS, seed: int = CORPUS_SEED) -> Texts:
    """The texts that n sentences of the grammar give. What finds no partner, or is too long, is left out.

    "A dog runs. The dog is good.": the first sentence begins with no definite article or demonstrative, the second
    with one, and both with the same noun (singular or plural).
    """
    lemma = {form: entry.english[0] for entry in grammar.lexicon() if entry.kind == "noun" for form in entry.english}
    waiting: dict[tuple[str, bool], list[list[int]]] = {}
    found: list[tuple[list[int], list[int]]] = []
    for pair in islice(grammar.grammar().stream(seed), n):
        noun, given = lemma[pair.english[pair.agreement[0][0]]], pair.english[0] in ("the", "this", "these", "those")
        ids = vocabulary().encode(pair.english, strict=True)
        if len(ids) > PLACES // 2 - 2:
            continue
        if others := waiting.get((noun, not given)):
            other = others.pop(0)
            found.append((other, ids) if given else (ids, other))
        else:
            waiting.setdefault((noun, given), []).append(ids)
    return Texts([first for first, _ in found], [second for _, second in found])


Rows = tuple[list[list[int]], list[list[int]], list[int]]  # ids, segments, 1 where the second sentence is the next


def next_or_random(data: Texts, rng: np.random.Generator) -> Rows:
    """Each text's first sentence with its second (half of the time) or with any sentence of all texts."""
    every, packed, truth = data.first + data.second, [], []
    for first, second in zip(data.first, data.second):
        truth.append(int(rng.random() < 0.5))
        packed.append(pack(first, second if truth[-1] else every[rng.integers(len(every))]))
    return [ids for ids, _ in packed], [segments for _, segments in packed], truth


def hide(rows: Rows, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Padded tensors of some rows: hidden ids, segments, mask, chosen, true ids (N, T each) and "is next" (N,)."""
    (ids, mask), (segments, _) = text.pad(rows[0]), text.pad(rows[1])
    hidden, chosen = mask_words(ids, rng)
    return tuple(torch.from_numpy(part) for part in (hidden, segments, mask, chosen, ids, np.array(rows[2])))


def pretraining_loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
    """Nats a hidden word plus nats a pair, for what `hide` returns."""
    hidden, segments, mask, chosen, ids, is_next = batch
    words, pairs = model(hidden, segments, mask, chosen)
    guessing = F.cross_entropy(words, ids[chosen], reduction="sum") / chosen.sum().clamp(min=1)  # 0 where nothing is asked
    return guessing + F.cross_entropy(pairs, is_next)


def pretrain(seed: int, loss: Callable[..., Tensor] = pretraining_loss, epochs: int = EPOCHS) -> PreTraining:
    """A new model after `epochs` over all `texts`, with words hidden anew each time. loss: what replaces `pretraining_loss`."""
    torch.manual_seed(seed)
    draw, model = np.random.default_rng(seed), PreTraining(Encoder(len(vocabulary())))
    rows = next_or_random(texts(), draw)
    tasks.train_in_one_cycle(
        model, rows, lambda model, rows: loss(model, hide(rows, draw)), seed=seed, size=BATCH, epochs=epochs, rate=RATE,
        lengths=[len(ids) for ids in rows[0]], description=f"pre-training, seed {seed}",
    )  # fmt: skip
    return model.eval()


class BertLabeller(nn.Module):
    """An encoder with a new read-out: ids and mask (N, T) of sentences to K scores a sentence ([CLS]'s state) or a word.

    It is called like `tasks.Labeller`; [CLS] and [SEP] are added here.
    """

    def __init__(self, encoder: Encoder, K: int, each_word: bool) -> None:
        super().__init__()
        self.encoder, self.each_word = encoder, each_word
        self.head = nn.Linear(encoder.word.embedding_dim, K)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        rows = [pack(row[real].tolist())[0] for row, real in zip(ids, mask)]
        full, seen = (torch.from_numpy(part) for part in text.pad(rows))  # (N, T + 2)
        states = self.encoder(full, torch.zeros_like(full), seen)
        scores: Tensor = self.head(states[:, 1:-1] if self.each_word else states[:, 0])
        return scores


def fine_tune(data: tasks.Labelled, seed: int, encoder: Encoder | None = None, rate: float = TUNE_RATE) -> BertLabeller:
    """A `BertLabeller` trained on the data's training part, from a copy of `encoder`, or from a new one (None)."""
    torch.manual_seed(seed)
    chosen = Encoder(len(vocabulary()))
    if encoder is not None:
        chosen.load_state_dict(encoder.state_dict())
    model = BertLabeller(chosen, len(data.names), isinstance(data.train_labels[0], list))
    epochs = round(sum(updates for updates, _ in tasks.LABEL_PLAN) / -(-len(data.train) // tasks.LABEL_BATCH))
    tasks.train_in_one_cycle(
        model, (data.train, data.train_labels), tasks.label_loss, seed=seed, size=tasks.LABEL_BATCH, epochs=epochs, rate=rate,
        lengths=[len(ids) for ids in data.train], description=f"{len(data.train)} sentences, seed {seed}",
    )  # fmt: skip
    return model.eval()
