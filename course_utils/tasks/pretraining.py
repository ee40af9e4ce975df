"""Pre-training on text without labels, then fine-tuning on few (lesson 16).

Ids are those of `language_model.vocabulary("english")`; [CLS], [SEP] and [MASK] follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .. import grammar, text
from ..models.bert import POSITIONS, Encoder, PreTraining
from ..optim.warm_up import train_with_warm_up
from . import labelling, sentiment, tagging
from .labelling import Labelled
from .language_model import vocabulary
from .protocol import SEEDS, Outcome, Part, expect_part

__all__ = ["MODELS", "SEEDS", "SETTINGS", "data", "fine_tune", "run", "train"]

MODELS = ("BERT", "BERT, from scratch", "BERT, [CLS]", "BERT, from scratch, [CLS]")
SETTINGS = tuple(f"{task} {n}" for task in ("sentiment", "tagging") for n in labelling.COUNTS)
MORE_SEEDS = {"BERT": 5, "BERT, from scratch": 5}  # lesson 16 sets them side by side
CHECK = ("BERT", "tagging 100")
SENTENCES = 40_000  # from which the texts are made
TEXT_SEED = 16
BATCH = 32  # texts
UPDATES = 1_500  # of pre-training
RATE = 0.004  # of pre-training, the highest
TUNE_RATE = 0.002  # of fine-tuning, the highest, where nothing else is chosen
CHOSEN = 0.15  # share of the words that are asked about; of these:
MASKED = 0.8  # become [MASK]
SWAPPED = 0.1  # become another word


@cache
def bert_vocabulary() -> text.Vocabulary:
    """The grammar's English words, and [CLS], [SEP], [MASK] as the last three ids."""
    words = vocabulary("english").tokens[len(text.SPECIALS) :]
    return text.Vocabulary([*words, "[CLS]", "[SEP]", "[MASK]"])


def pack(first: Sequence[int], second: Sequence[int] | None = None) -> tuple[list[int], list[int]]:
    """Ids and segments of [CLS] first [SEP], or of [CLS] first [SEP] second [SEP].

    The second's segment is 1.
    """
    cls, sep = bert_vocabulary().id("[CLS]"), bert_vocabulary().id("[SEP]")
    ids, segments = [cls, *first, sep], [0] * (len(first) + 2)
    if second is None:
        return ids, segments
    return [*ids, *second, sep], [*segments, *[1] * (len(second) + 1)]


def mask_words(
    ids: NDArray[Any], rng: np.random.Generator, share: float = CHOSEN
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Ids (N, T) with some words hidden, and where to guess (N, T).

    BERT's rule: 80 % become [MASK], 10 % another word, 10 % stay.
    """
    words = bert_vocabulary()
    lowest, highest = len(text.SPECIALS), words.id("[CLS]")  # ordinary: lowest <= id < highest
    chosen = (rng.random(ids.shape) < share) & (ids >= lowest) & (ids < highest)
    fate = rng.random(ids.shape)
    hidden = np.where(chosen & (fate < MASKED), words.id("[MASK]"), ids)
    swapped = chosen & (fate >= MASKED) & (fate < MASKED + SWAPPED)
    return np.where(swapped, rng.integers(lowest, highest, size=ids.shape), hidden), chosen


class Texts(NamedTuple):
    """Unlabelled texts of two sentences each, as ids; the second says more of the first's noun."""

    first: list[list[int]]
    second: list[list[int]]


@cache
def data(n: int = SENTENCES, seed: int = TEXT_SEED) -> Texts:
    """The texts that n sentences of the grammar give.

    "A dog runs. The dog is good.": the first sentence begins with no definite article or
    demonstrative, the second with one, and both with the same noun (singular or plural). What finds
    no partner, or is too long, is left out.
    """
    nouns = [entry for entry in grammar.lexicon() if entry.kind == "noun"]
    lemma = {form: entry.english[0] for entry in nouns for form in entry.english}
    waiting: dict[tuple[str, bool], list[list[int]]] = {}
    texts: list[tuple[list[int], list[int]]] = []
    for pair in islice(grammar.standard().stream(seed), n):
        noun = lemma[pair.english[pair.agreement[0][0]]]
        given = pair.english[0] in ("the", "this", "these", "those")
        ids = bert_vocabulary().encode(pair.english, strict=True)
        if len(ids) > POSITIONS // 2 - 2:
            continue
        if partners := waiting.get((noun, not given)):
            partner = partners.pop(0)
            texts.append((partner, ids) if given else (ids, partner))
        else:
            waiting.setdefault((noun, given), []).append(ids)
    return Texts([first for first, _ in texts], [second for _, second in texts])


Rows = tuple[list[list[int]], list[list[int]], list[int]]
"""Ids, segments, and 1 where the second sentence is the next."""


def next_or_random(data: Texts, rng: np.random.Generator) -> Rows:
    """Each text's first sentence with its second (half of the time) or any sentence of all."""
    sentences = data.first + data.second
    packed, truth = [], []
    for first, second in zip(data.first, data.second):
        truth.append(int(rng.random() < 0.5))
        packed.append(pack(first, second if truth[-1] else sentences[rng.integers(len(sentences))]))
    return [ids for ids, _ in packed], [segments for _, segments in packed], truth


def hide(rows: Rows, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Padded tensors of some rows.

    Hidden ids, segments, mask, chosen, true ids (N, T each) and "is next" (N,).
    """
    (ids, mask), (segments, _) = text.pad(rows[0]), text.pad(rows[1])
    hidden, chosen = mask_words(ids, rng)
    arrays = (hidden, segments, mask, chosen, ids, np.array(rows[2]))
    return tuple(torch.from_numpy(array) for array in arrays)


def loss(model: nn.Module, batch: Sequence[Tensor]) -> Tensor:
    """Nats a hidden word plus nats a pair, for what `hide` returns."""
    hidden, segments, mask, chosen, ids, is_next = batch
    words, pairs = model(hidden, segments, mask, chosen)
    nats = F.cross_entropy(words, ids[chosen], reduction="sum")
    return nats / chosen.sum().clamp(min=1) + F.cross_entropy(pairs, is_next)  # 0 if none is hidden


def train(
    seed: int,
    loss: Callable[..., Tensor] = loss,
    updates: int = UPDATES,
    rate: float = RATE,
) -> PreTraining:
    """A new model after the plan's `updates` on `data()`, with words hidden anew each time.

    loss: what replaces this module's `loss`.
    """
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), PreTraining(Encoder(len(bert_vocabulary())))
    rows, order = next_or_random(data(), rng), np.random.default_rng(seed)
    lengths = [len(ids) for ids in rows[0]]
    train_with_warm_up(
        model,
        lambda: text.batches(*rows, size=BATCH, rng=order, lengths=lengths),
        lambda model, batch: loss(model, hide(batch, rng)),
        updates=updates,
        rate=rate,
        description=f"pre-training, seed {seed}",
    )
    return model.eval()


@lru_cache(maxsize=1)
def pretrained(seed: int) -> PreTraining:
    """`train(seed)`, kept until another seed is asked for."""
    return train(seed)


class BertLabeller(nn.Module):
    """An encoder with a new read-out: K logits a sentence or for each word.

    A sentence is summed up by the largest number of each unit over its words, as in
    `labelling.Labeller`, or by [CLS]'s state where `pooled` is False. Called with ids and mask
    (N, T) like that; [CLS] and [SEP] are added here.
    """

    def __init__(self, encoder: Encoder, K: int, each_word: bool, pooled: bool = True) -> None:
        super().__init__()
        self.encoder, self.each_word, self.pooled = encoder, each_word, pooled
        self.head = nn.Linear(encoder.word.embedding_dim, K)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        rows = [pack(row[real].tolist())[0] for row, real in zip(ids, mask)]
        full, seen = (torch.from_numpy(part) for part in text.pad(rows))  # (N, T + 2)
        states = self.encoder(full, torch.zeros_like(full), seen)
        if self.each_word:
            read = states[:, 1:-1]
        elif self.pooled:
            read = states[:, 1:-1].masked_fill(~mask[..., None], -torch.inf).amax(dim=1)
        else:
            read = states[:, 0]
        logits: Tensor = self.head(read)
        return logits


def fine_tune(
    data: Labelled,
    seed: int,
    encoder: Encoder | None = None,
    rate: float = TUNE_RATE,
    pooled: bool = True,
) -> nn.Module:
    """A `BertLabeller` after `labelling.train`.

    encoder: what it starts from a copy of; a new one when None.
    """
    torch.manual_seed(seed)
    own_encoder = Encoder(len(bert_vocabulary()))
    if encoder is not None:
        own_encoder.load_state_dict(encoder.state_dict())
    each_word = isinstance(data.train_labels[0], list)
    model = BertLabeller(own_encoder, len(data.names), each_word, pooled)
    return labelling.train(data, seed, model=model, rate=rate)


def settings_of(name: str) -> tuple[str, ...]:
    """Where [CLS] is read there is nothing to tag."""
    return SETTINGS[:3] if name.endswith("[CLS]") else SETTINGS


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """Right labels in percent, by task and number of labelled sentences.

    One pre-training serves all settings of a seed.
    """
    expect_part(part)
    task, n = setting.split()
    labelled = {"sentiment": sentiment, "tagging": tagging}[task].data(int(n), seed)
    encoder = None if "from scratch" in name else pretrained(seed).encoder
    model = fine_tune(labelled, seed, encoder, rate, pooled=not name.endswith("[CLS]"))
    return labelling.outcome(model, labelled, setting, part)
