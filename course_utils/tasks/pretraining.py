"""Pre-training on text without labels, then fine-tuning on few (lesson 16).

Ids are those of `language_model.vocabulary("english")`; [CLS], [SEP] and [MASK] follow them.
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

from .. import grammar, text
from ..models.bert import POSITIONS, Encoder, PreTraining
from ..optim.one_cycle import train_in_one_cycle
from . import labelling, sentiment, tagging
from .labelling import Labelled
from .language_model import vocabulary

MODELS = ("BERT", "BERT, from scratch")
SEEDS = 3
SENTENCES = 40_000  # from which the texts are made
TEXT_SEED = 16
BATCH = 32  # texts
EPOCHS = 3
RATE = 5e-3  # of pre-training, the highest of one cycle
TUNE_RATE = 2e-3  # of fine-tuning, likewise; batches and updates are those of `labelling.train`
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


def train(seed: int, loss: Callable[..., Tensor] = loss, epochs: int = EPOCHS) -> PreTraining:
    """A new model after `epochs` over all `data()`, with words hidden anew each time.

    loss: what replaces this module's `loss`.
    """
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), PreTraining(Encoder(len(bert_vocabulary())))
    rows = next_or_random(data(), rng)
    train_in_one_cycle(
        model,
        rows,
        lambda model, rows: loss(model, hide(rows, rng)),
        seed=seed,
        size=BATCH,
        epochs=epochs,
        rate=RATE,
        lengths=[len(ids) for ids in rows[0]],
        description=f"pre-training, seed {seed}",
    )
    return model.eval()


class BertLabeller(nn.Module):
    """An encoder with a new read-out: K logits a sentence, from [CLS]'s state, or for each word.

    Called with ids and mask (N, T) like `labelling.Labeller`; [CLS] and [SEP] are added here.
    """

    def __init__(self, encoder: Encoder, K: int, each_word: bool) -> None:
        super().__init__()
        self.encoder, self.each_word = encoder, each_word
        self.head = nn.Linear(encoder.word.embedding_dim, K)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        rows = [pack(row[real].tolist())[0] for row, real in zip(ids, mask)]
        full, seen = (torch.from_numpy(part) for part in text.pad(rows))  # (N, T + 2)
        states = self.encoder(full, torch.zeros_like(full), seen)
        logits: Tensor = self.head(states[:, 1:-1] if self.each_word else states[:, 0])
        return logits


def fine_tune(
    data: Labelled, seed: int, encoder: Encoder | None = None, rate: float = TUNE_RATE
) -> BertLabeller:
    """A `BertLabeller` trained on the data's training part.

    encoder: what it starts from a copy of; a new one when None.
    """
    torch.manual_seed(seed)
    own_encoder = Encoder(len(bert_vocabulary()))
    if encoder is not None:
        own_encoder.load_state_dict(encoder.state_dict())
    each_word = isinstance(data.train_labels[0], list)
    model = BertLabeller(own_encoder, len(data.names), each_word)
    updates = sum(updates for updates, _ in labelling.PLAN)
    train_in_one_cycle(
        model,
        (data.train, data.train_labels),
        labelling.loss,
        seed=seed,
        size=labelling.BATCH,
        epochs=labelling.epochs_of(updates, len(data.train)),
        rate=rate,
        lengths=[len(ids) for ids in data.train],
        description=f"{len(data.train)} sentences, seed {seed}",
    )
    return model.eval()


def run(name: str, seed: int) -> tuple[dict[str, float], nn.Module]:
    """Right labels in percent on the test, by task and number of labelled sentences.

    One pre-training serves them all.
    """
    encoder = train(seed).encoder if name == "BERT" else None
    values: dict[str, float] = {}
    for task, make in (("sentiment", sentiment.data), ("tagging", tagging.data)):
        for n in labelling.COUNTS:
            labelled = make(n, seed)
            model = fine_tune(labelled, seed, encoder)
            values[f"{task} {n}"] = labelling.accuracy(model, labelled)
    return values, model
