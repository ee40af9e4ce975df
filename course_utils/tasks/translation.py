"""English to Korean, in sentences of a small lexicon of the grammar (lessons 11 to 15)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .. import datasets, grammar, text
from ..models import seq2seq
from ..models.attention import AttentionTranslator, alignment_error, weights_on_truth
from ..models.gnmt import GNMT
from ..models.seq2seq import LookingTranslator, Seq2Seq, Translator
from ..models.transformer import TransformerTranslator
from ..optim.warm_up import WARM_UP, train_with_warm_up
from ..training import History
from .protocol import SEEDS, Outcome, Part, expect_part, new, percent_equal

__all__ = ["MODELS", "SEEDS", "SETTINGS", "data", "ids", "run", "score", "train"]

LENGTHS = range(3, 13)  # English words a sentence
LONGER = range(13, 17)  # English words a sentence, longer than any in training (lesson 13)
CHECK = ("attention, additive", "940")
TRAIN = 1_200  # different pairs of each length
DEVELOPMENT = 60  # pairs of each length
TEST = 200  # pairs of each length
SPLIT_SEED = 11
WORDS = {"nouns": 3, "verbs": 2, "adjectives": 2, "prepositions": 2}  # first of each list
HIDDEN = 128  # units
EMBEDDING = 64  # numbers of an embedding
BATCH = 32  # pairs
UPDATES = 1_875  # five times all pairs
SETTINGS = ("940", "1875")  # updates: half the budget and the whole
LONGER_SETTINGS = ("7500",)  # and four times as many for seq2seq: is its bottleneck a budget?
RATE = 0.004  # the highest, where nothing else is chosen
TRANSFORMER_SPREAD = 0.3  # standard deviation of its embeddings at the start
BINS = ((3, 4), (5, 6), (7, 8), (9, 10), (11, 12))  # English words, both ends included


class Translation(NamedTuple):
    """Pairs of a small lexicon, equally many of each length; no test sentence is trained on."""

    english: text.Vocabulary
    korean: text.Vocabulary
    train: list[grammar.Pair]
    development: list[grammar.Pair]  # by length, DEVELOPMENT of each
    test: list[grammar.Pair]  # by length, TEST of each


@cache
def small_grammar() -> grammar.Grammar:
    """The grammar of a lexicon that is cut to its most frequent words (WORDS)."""
    table = tomllib.loads((datasets.DATA / "lexicon.toml").read_text(encoding="utf-8"))
    for section, most in WORDS.items():
        for group, body in table[section].items():
            if section == "nouns":
                table[section][group] = body[:most]
            else:
                table[section][group] = {**body, "words": body["words"][:most]}
    return grammar.Grammar(table)


def draw_pairs(lengths: Sequence[int], each: int, seed: int) -> dict[int, list[grammar.Pair]]:
    """`each` different pairs of `small_grammar` for each number of English words in `lengths`."""
    by_length: dict[int, list[grammar.Pair]] = {length: [] for length in lengths}
    seen = set()
    for pair in small_grammar().stream(seed):
        pairs = by_length.get(len(pair.english))
        if pairs is not None and len(pairs) < each and pair.english not in seen:
            seen.add(pair.english)
            pairs.append(pair)
            if all(len(pairs) == each for pairs in by_length.values()):
                break
    return by_length


@cache
def data() -> Translation:
    """The pairs that lessons 11 to 15 translate.

    Of the cut lexicon a model can know each word within the budget, and what remains difficult is
    the order. Equally many sentences of each length, so that a long one is not rarer than a short
    one. Every English sentence has one right translation.
    """
    rules = small_grammar().rules
    forms = {
        name: {getattr(rule.word, name) for rule in rules} - {""} for name in grammar.LANGUAGES
    }
    by_length = draw_pairs(LENGTHS, DEVELOPMENT + TEST + TRAIN, SPLIT_SEED)
    cuts = slice(DEVELOPMENT + TEST, None), slice(DEVELOPMENT), slice(DEVELOPMENT, -TRAIN)
    return Translation(
        text.Vocabulary(sorted(forms["english"] | {"an"})),
        text.Vocabulary(sorted(forms["korean"])),
        *([pair for pairs in by_length.values() for pair in pairs[cut]] for cut in cuts),
    )


@cache
def longer_pairs() -> list[grammar.Pair]:
    """TEST pairs of each of LONGER, more English words than any in training."""
    by_length = draw_pairs(LONGER, TEST, SPLIT_SEED)
    return [pair for pairs in by_length.values() for pair in pairs]


def ids(pairs: Sequence[grammar.Pair]) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of the English sides, ending in <eos>, and of the Korean sides, from <sos> to <eos>."""
    english, korean = data().english, data().korean
    source = [english.encode(pair.english, eos=True, strict=True) for pair in pairs]
    return source, [korean.encode(pair.korean, sos=True, eos=True, strict=True) for pair in pairs]


def reverse_ids(ids: list[int]) -> list[int]:
    """The words from the last to the first; an <eos> stays at the end."""
    return [*ids[-2::-1], text.EOS] if ids[-1] == text.EOS else ids[::-1]


def train(
    model: nn.Module,
    seed: int,
    *,
    updates: int = UPDATES,
    rate: float = RATE,
    warm_up: float = WARM_UP,
    reverse: bool = False,
    description: str = "translation",
) -> History:
    """The plan of lessons 11 to 15, in batches of similar length.

    The caller makes the model, after `torch.manual_seed(seed)`. reverse: the source is read from
    its end.
    """
    source, target = ids(data().train)
    source = [reverse_ids(row) for row in source] if reverse else source
    rng, lengths = np.random.default_rng(seed), [len(row) for row in source]
    return train_with_warm_up(
        model,
        lambda: text.batches(source, target, size=BATCH, rng=rng, lengths=lengths),
        seq2seq.loss,
        updates=updates,
        rate=rate,
        warm_up=warm_up,
        description=f"{description}, seed {seed}",
    )


class Score(NamedTuple):
    """In percent."""

    exact: float  # sentences with every word right
    tokens: float  # positions of the true sentence (<eos> too) that are right
    by_length: NDArray[Any]  # exact, for each of BINS


def score(written: Sequence[Sequence[int]]) -> Score:
    """The score of one translation (ids without <eos>) for each pair of `data().test`, in order.

    Raises ValueError when there is not one for each.
    """
    pairs = data().test
    if len(written) != len(pairs):
        raise ValueError(
            f"one translation for each of the {len(pairs)} test pairs; there are {len(written)}"
        )
    true = [row[1:] for row in ids(pairs)[1]]  # ends in <eos>
    ended = [[*row, text.EOS] for row in written]
    right = np.array([ours == theirs for ours, theirs in zip(ended, true)])
    tokens = sum(sum(a == b for a, b in zip(ours, theirs)) for ours, theirs in zip(ended, true))
    sizes = np.array([len(pair.english) for pair in pairs])
    bins = [right[(sizes >= low) & (sizes <= high)].mean() for low, high in BINS]
    share = 100 * tokens / sum(map(len, true))
    return Score(100 * float(right.mean()), share, 100 * np.array(bins))


def written_by(
    model: Translator, pairs: Sequence[grammar.Pair], *, reverse: bool = False
) -> list[list[int]]:
    """A model's greedy translations of some pairs."""
    model.eval()
    sources = ids(pairs)[0]
    return seq2seq.greedy(model, [reverse_ids(row) for row in sources] if reverse else sources)


def exact(model: Translator, pairs: Sequence[grammar.Pair], *, reverse: bool = False) -> float:
    """Share in percent of the pairs that the model translates with every word right."""
    true = [row[1:-1] for row in ids(pairs)[1]]
    return percent_equal(written_by(model, pairs, reverse=reverse), true)


def score_on_test(model: Translator, *, reverse: bool = False) -> Score:
    """`score` of a model's greedy translations of the test sentences."""
    return score(written_by(model, data().test, reverse=reverse))


def alignment_error_on_test(model: LookingTranslator) -> float:
    """`attention.alignment_error` of the model on the test pairs."""
    model.eval()
    pairs = data().test
    return alignment_error(weights_on_truth(model, *ids(pairs)), pairs)


def seq2seq_translator(*, peeky: bool = False) -> Seq2Seq:
    """Lesson 11's model with the sizes of this task."""
    return Seq2Seq(len(data().english), len(data().korean), EMBEDDING, HIDDEN, peeky=peeky)


def attention_translator(score: str | None, *, both_ways: bool = True) -> AttentionTranslator:
    """Lesson 12's model with the sizes of this task."""
    sizes = len(data().english), len(data().korean), EMBEDDING, HIDDEN
    return AttentionTranslator(*sizes, score, both_ways=both_ways)


def gnmt_translator(**parts: Any) -> GNMT:
    """Lesson 13's model with the sizes of this task; parts: keywords of `GNMT`."""
    return GNMT(len(data().english), len(data().korean), EMBEDDING, HIDDEN, **parts)


def transformer_translator() -> TransformerTranslator:
    """Lesson 15's model with the sizes of this task."""
    sizes = len(data().english), len(data().korean), HIDDEN
    return TransformerTranslator(*sizes, heads=8, spread=TRANSFORMER_SPREAD)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "seq2seq": seq2seq_translator,
    "seq2seq, reversed": seq2seq_translator,
    "seq2seq, peeky": lambda: seq2seq_translator(peeky=True),
    "attention, dot": lambda: attention_translator("dot"),
    "attention, general": lambda: attention_translator("general"),
    "attention, additive": lambda: attention_translator("additive"),
    "attention, dot, one way": lambda: attention_translator("dot", both_ways=False),
    "GNMT": gnmt_translator,
    "Transformer": transformer_translator,
    "Transformer, no warm-up": transformer_translator,
}


def settings_of(name: str) -> tuple[str, ...]:
    """The budgets that one of MODELS is given, in updates."""
    return SETTINGS + LONGER_SETTINGS if name == "seq2seq" else SETTINGS


def values_on_test(model: Any, *, reverse: bool = False) -> dict[str, float]:
    """Exact translations and right tokens in percent, and the alignment error.

    Exact ones of all test sentences, by English words, and of `longer_pairs`; the error of a model
    that has attention weights to look at.
    """
    result = score_on_test(model, reverse=reverse)
    values = {"exact": result.exact, "tokens": result.tokens}
    for (low, high), share in zip(BINS, result.by_length):
        values[f"exact {low}-{high}"] = float(share)
    values["longer"] = exact(model, longer_pairs(), reverse=reverse)
    if hasattr(model, "decode_and_look"):
        values["alignment error"] = alignment_error_on_test(model)
    return values


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """`values_on_test` of one of MODELS after so many updates as the setting says."""
    expect_part(part)
    model, reverse = new(MODELS[name], seed), name.endswith("reversed")
    warm_up = 0.0 if name.endswith("no warm-up") else WARM_UP
    train(model, seed, updates=int(setting), rate=rate, warm_up=warm_up, reverse=reverse)
    if part == "development":
        values = {"exact": exact(model, data().development, reverse=reverse)}
    else:
        values = values_on_test(model, reverse=reverse)
    share = values["exact"]
    if int(setting) != UPDATES:
        values = {f"{value}, {setting} updates": number for value, number in values.items()}
    return Outcome(share, values, model, int(setting), int(setting) * BATCH)
