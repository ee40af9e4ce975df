"""The shared tasks: data, budget and score are fixed here, so that each lesson continues the same row of numbers.

A layer is given as a function (D, H) -> module, called as `states, last = layer(x, initial=None)`, x (N, T, D) and
states (N, T, H), as `LAYERS` has them. Lesson 05 introduces the adding problem, lesson 06 the language model and the
agreement of its verbs, lesson 07 sentiment and tags from few labels, lesson 11 the translation.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from . import datasets, grammar, text
from .attention import AttentionTranslator, alignment_error, weights_on_truth
from .gnmt import GNMT
from .proofs import expect_shape
from .training import History, adam, train
from .transformer import CausalTransformer, TransformerTranslator

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
    "Transformer": lambda D, H: CausalTransformer(D, H, heads=math.gcd(H, 4)),
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
        expect_shape("x", x, "N T 2")
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
        expect_shape("ids", ids, "N T")
        text.expect_ids("ids", ids, self.embed.num_embeddings)
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
    ids, _ = text.pad([words.encode(clause.words[: clause.verb], sos=True, strict=True) for clause in clauses])
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


# Sequence to sequence (lessons 11 to 15). A translator is a module with two methods:
#   encode(source (N, S)) -> memory, state              what the decoder may look at, and the state that it starts from
#   decode(memory, state, words (N, T)) -> logits (N, T, V), state
SUMS_TRAIN, SUMS_TEST, SUMS_SEED = 45_000, 5_000, 11  # a textbook's sizes: https://github.com/oreilly-japan/deep-learning-from-scratch-2
SUMS_HIDDEN, SUMS_EMBEDDING, SUMS_BATCH = 128, 16, 128
SUMS_EPOCHS, SUMS_RATE, SUMS_SEEDS = 5, 0.012, 3  # the rate is the highest of one cycle
SUMS_MODELS = {"baseline": (False, False), "reversed": (True, False), "peeky": (False, True), "both": (True, True)}  # reverse, peeky
SUMS_TRANSFORMERS = {"Transformer": 1, "Transformer, lower rate": 3}  # SUMS_RATE, chosen for GRUs, is divided by this
TRANSLATION_LENGTHS = range(3, 13)  # English words a sentence
TRANSLATION_TRAIN, TRANSLATION_TEST, TRANSLATION_SEED, TRANSLATION_SEEDS = 1_200, 60, 11, 3  # different pairs of each length
TRANSLATION_WORDS = {"nouns": 3, "verbs": 2, "adjectives": 2, "prepositions": 2}  # first words of each list of the lexicon
TRANSLATION_HIDDEN, TRANSLATION_EMBEDDING, TRANSLATION_BATCH = 128, 64, 64
TRANSLATION_EPOCHS, TRANSLATION_RATE = 5, 0.006
TRANSFORMER_RATE, TRANSFORMER_SPREAD = 0.003, 0.3
TRANSLATION_BINS = ((3, 4), (5, 6), (7, 8), (9, 10), (11, 12))  # English words, both ends included
TRANSLATION_MOST = 24  # tokens that a decoder may write; the longest true translation has fewer
TRANSLATION_LONGER = range(13, 17)  # English words a sentence, longer than any in training (lesson 13)


class Translation(NamedTuple):
    """English-Korean pairs of a small lexicon, equally many of each length; no test sentence is in the training part."""

    english: text.Vocabulary
    korean: text.Vocabulary
    train: list[grammar.Pair]
    test: list[grammar.Pair]  # by length, TRANSLATION_TEST of each


@cache
def translation_grammar() -> grammar.Grammar:
    """The grammar of a lexicon that is cut to its most frequent words (TRANSLATION_WORDS)."""
    table = tomllib.loads((datasets.DATA / "lexicon.toml").read_text(encoding="utf-8"))
    for section, most in TRANSLATION_WORDS.items():
        for group, body in table[section].items():
            table[section][group] = body[:most] if section == "nouns" else {**body, "words": body["words"][:most]}
    return grammar.Grammar(table)


def translation_pairs(lengths: Sequence[int], each: int, seed: int) -> dict[int, list[grammar.Pair]]:
    """`each` different pairs of `translation_grammar` for each number of English words in `lengths`."""
    found: dict[int, list[grammar.Pair]] = {length: [] for length in lengths}
    seen = set()
    for pair in translation_grammar().stream(seed):
        same = found.get(len(pair.english), [])
        if pair.english not in seen and len(pair.english) in found and len(same) < each:
            seen.add(pair.english)
            same.append(pair)
            if all(len(pairs) == each for pairs in found.values()):
                break
    return found


@cache
def translation_data() -> Translation:
    """The pairs that lessons 11 to 15 translate.

    Of the cut lexicon a model can know each word within the budget, and what remains difficult is the order. Equally
    many sentences of each length, so that a long one is not rarer than a short one. Every English sentence has one
    right translation.
    """
    rules = translation_grammar().rules
    words = {name: {getattr(rule.word, name) for rule in rules} - {""} for name in grammar.LANGUAGES}
    english, korean = (text.Vocabulary(sorted(forms)) for forms in (words["english"] | {"an"}, words["korean"]))
    found = translation_pairs(TRANSLATION_LENGTHS, TRANSLATION_TEST + TRANSLATION_TRAIN, TRANSLATION_SEED)
    train_part = [pair for pairs in found.values() for pair in pairs[TRANSLATION_TEST:]]
    return Translation(english, korean, train_part, [pair for pairs in found.values() for pair in pairs[:TRANSLATION_TEST]])


@cache
def longer_pairs() -> list[grammar.Pair]:
    """TRANSLATION_TEST pairs of each of TRANSLATION_LONGER, more English words than any in training."""
    return [pair for pairs in translation_pairs(TRANSLATION_LONGER, TRANSLATION_TEST, TRANSLATION_SEED).values() for pair in pairs]


def translation_ids(pairs: Sequence[grammar.Pair]) -> tuple[list[list[int]], list[list[int]]]:
    """Id lists of the English sides, ending in <eos>, and of the Korean sides, from <sos> to <eos>."""
    data = translation_data()
    source = [data.english.encode(pair.english, eos=True, strict=True) for pair in pairs]
    return source, [data.korean.encode(pair.korean, sos=True, eos=True, strict=True) for pair in pairs]


class Seq2Seq(nn.Module):
    """Encoder and decoder with one recurrent layer each, equal to lesson 11's; memory is the last state of the encoder.

    D, H: sizes of an embedding and of a state. peeky: every step of the decoder, and its read-out, sees the memory.
    layer: one whose state is h alone (RNN, GRU). Padding of the source, at its end, changes nothing.
    """

    def __init__(self, source_size: int, V: int, D: int, H: int, *, peeky: bool = False, layer: Layer = LAYERS["GRU"]) -> None:
        super().__init__()
        self.peeky, seen = peeky, H if peeky else 0
        self.source, self.encoder = nn.Embedding(source_size, D), layer(D, H)
        self.target, self.decoder = nn.Embedding(V, D), layer(D + seen, H)
        self.head = nn.Linear(H + seen, V)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """From ids (N, S) to memory (N, H) and state (1, N, H): the encoder's state at each row's last real token."""
        lengths = text.expect_source(source, self.source.num_embeddings).sum(dim=1)  # (N,)
        states, _ = self.encoder(self.source(source))  # (N, S, H)
        memory = states[torch.arange(len(source)), lengths - 1]
        return memory, memory[None]

    def decode(self, memory: Tensor, state: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """From words (N, T) and what came before to scores (N, T, V) of the next ones, and the state after them."""
        expect_shape("words", words, "N T", N=len(memory))
        text.expect_ids("words", words, self.target.num_embeddings)
        seen = [memory[:, None].expand(-1, words.shape[1], -1)] if self.peeky else []  # (N, T, H)
        states, state = self.decoder(torch.cat([self.target(words), *seen], dim=2), state)
        return self.head(torch.cat([states, *seen], dim=2)), state


def translation_loss(model: Any, batch: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]) -> Tensor:
    """Cross-entropy in nats per real target token of a batch (source id lists, target id lists from <sos> to <eos>).

    Raises ValueError for a target that does not begin with <sos>: its first word would be given and never asked for.
    """
    source, target = (torch.from_numpy(text.pad(ids)[0]) for ids in batch)  # (N, S), (N, T + 1)
    if (wrong := target[:, 0] != text.SOS).any():
        raise ValueError(f"target {int(wrong.int().argmax())} begins with the id {int(target[wrong][0, 0])}; expected <sos>, which is {text.SOS}")
    logits, _ = model.decode(*model.encode(source), target[:, :-1])  # (N, T, V)
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=text.PAD)


@torch.no_grad()
def greedy(model: Any, sources: Sequence[Sequence[int]], most: int = TRANSLATION_MOST) -> list[list[int]]:
    """For each source the most probable token at each step, fed back, up to <eos> (left out) or `most` tokens."""
    written: list[list[int]] = []
    for (some,) in text.batches(sources, size=200):
        memory, state = model.encode(torch.from_numpy(text.pad(some)[0]))
        words = torch.full((len(some), 1), text.SOS)
        columns: list[Tensor] = []
        ended = torch.zeros(len(some), dtype=torch.bool)
        while len(columns) < most and not ended.all():
            logits, state = model.decode(memory, state, words)
            words = logits[:, -1:].argmax(dim=2)  # (N, 1)
            columns.append(words)
            ended |= words[:, 0] == text.EOS
        rows = torch.cat(columns, dim=1).tolist()
        written += [row[: row.index(text.EOS)] if text.EOS in row else row for row in rows]
    return written


def train_in_one_cycle(
    model: nn.Module, columns: Sequence[Any], loss: Callable[[Any, Any], Tensor], *, seed: int, size: int, epochs: int,
    rate: float, lengths: Sequence[int] | None = None, evaluate: Callable[[Any], float] | None = None, description: str = "training",
    fused: bool = False,
) -> History:  # fmt: skip
    """`training.train` by Adam whose rate rises to `rate` in the first fifth of all updates and falls to 0 by the end.

    columns, size, lengths: of `text.batches`, shuffled by `seed`. fused: of `training.adam`. Source of the plan: Smith & Topin 2017
    (https://arxiv.org/abs/1708.07120), in PyTorch's form (OneCycleLR).
    """
    draw, updates = np.random.default_rng(seed), -(-len(columns[0]) // size) * epochs
    optimizer = adam(model.parameters(), rate, fused=fused)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=updates + 1, pct_start=0.2)

    def some() -> Iterator[tuple[Any, ...]]:
        for batch in text.batches(*columns, size=size, rng=draw, lengths=lengths):
            yield batch
            plan.step()  # after the optimizer's step with this batch

    return train(model, some, loss, epochs=epochs, optimizer=optimizer, evaluate=evaluate, description=description)


def train_translator(
    model: nn.Module, seed: int, *, reverse: bool = False, rate: float | None = None, description: str = "translation"
) -> History:
    """The budget of lessons 11 to 15: TRANSLATION_EPOCHS over all training pairs, batches of similar length.

    The caller makes the model, after `torch.manual_seed(seed)`. reverse: the source is read from its end.
    rate: the cycle's highest; when None TRANSFORMER_RATE for a `TransformerTranslator`, else TRANSLATION_RATE.
    """
    usual = TRANSFORMER_RATE if isinstance(model, TransformerTranslator) else TRANSLATION_RATE
    source, target = translation_ids(translation_data().train)
    source = [_reversed(ids) for ids in source] if reverse else source
    return train_in_one_cycle(
        model, (source, target), translation_loss, seed=seed, size=TRANSLATION_BATCH, epochs=TRANSLATION_EPOCHS,
        rate=rate or usual, lengths=[len(ids) for ids in source], description=f"{description}, seed {seed}",
    )  # fmt: skip


def _reversed(ids: list[int]) -> list[int]:
    """The words from the last to the first; an <eos> stays at the end."""
    return [*ids[-2::-1], text.EOS] if ids[-1] == text.EOS else ids[::-1]


class TranslationScore(NamedTuple):
    """In percent. exact: sentences with every word right. tokens: places of the true sentence (<eos> too) that are right."""

    exact: float
    tokens: float
    by_length: NDArray[Any]  # exact, for each of TRANSLATION_BINS


def translation_score(written: Sequence[Sequence[int]]) -> TranslationScore:
    """Judge one translation (id list without <eos>) for each test pair, in the order of `translation_data().test`.

    Raises ValueError when there is not one for each.
    """
    pairs = translation_data().test
    if len(written) != len(pairs):
        raise ValueError(f"one translation for each of the {len(pairs)} test pairs; there are {len(written)}")
    true = [ids[1:] for ids in translation_ids(pairs)[1]]  # ends in <eos>
    ended = [[*ids, text.EOS] for ids in written]
    right = np.array([ours == theirs for ours, theirs in zip(ended, true)])
    places = sum(sum(a == b for a, b in zip(ours, theirs)) for ours, theirs in zip(ended, true))
    sizes = np.array([len(pair.english) for pair in pairs])
    bins = np.array([right[(sizes >= low) & (sizes <= high)].mean() for low, high in TRANSLATION_BINS])
    return TranslationScore(100 * float(right.mean()), 100 * places / sum(map(len, true)), 100 * bins)


def translate_test(model: Any, *, reverse: bool = False) -> TranslationScore:
    """`translation_score` of a model's greedy translations of the test sentences."""
    model.eval()
    sources = translation_ids(translation_data().test)[0]
    return translation_score(greedy(model, [_reversed(ids) for ids in sources] if reverse else sources))


def seq2seq_translator(*, peeky: bool = False) -> Seq2Seq:
    """Lesson 11's model with the sizes of the translation task."""
    data = translation_data()
    return Seq2Seq(len(data.english), len(data.korean), TRANSLATION_EMBEDDING, TRANSLATION_HIDDEN, peeky=peeky)


def attention_translator(score: str | None, *, both_ways: bool = True) -> AttentionTranslator:
    """Lesson 12's model with the sizes of the translation task."""
    data, sizes = translation_data(), (TRANSLATION_EMBEDDING, TRANSLATION_HIDDEN)
    return AttentionTranslator(len(data.english), len(data.korean), *sizes, score, both_ways=both_ways)


def transformer_translator() -> TransformerTranslator:
    """Lesson 15's model for the translation task."""
    data = translation_data()
    return TransformerTranslator(len(data.english), len(data.korean), TRANSLATION_HIDDEN, heads=8, spread=TRANSFORMER_SPREAD)


# What lesson 13's ablation trains: the parts in which a model differs from GNMT with all of them
GNMT_PARTS: dict[str, dict[str, Any]] = {
    "all parts": {},
    "one way": {"both_ways": False},
    "1 layer": {"layers": 1},  # lesson 12's model
    "no residual": {"residual": False},
    "context at the top": {"deep_context": False},
    "1 layer, fed": {"layers": 1, "feeding": True},
    "4 layers": {"layers": 4},
    "4 layers, no residual": {"layers": 4, "residual": False},
}


def gnmt_translator(name: str = "all parts") -> GNMT:
    """Lesson 13's model, one of GNMT_PARTS, with the sizes of the translation task."""
    data, sizes = translation_data(), (TRANSLATION_EMBEDDING, TRANSLATION_HIDDEN)
    return GNMT(len(data.english), len(data.korean), *sizes, **GNMT_PARTS[name])


def translation_alignment_error(model: Any) -> float:
    """`alignment_error` on the test pairs of a translator that has `decode_and_look`."""
    model.eval()
    pairs = translation_data().test
    return alignment_error(weights_on_truth(model, *translation_ids(pairs)), pairs)


# name -> a new model; lessons 12 to 15 add theirs, and `results.TASKS["translation"]` names those that are run
TRANSLATORS: dict[str, Callable[[], nn.Module]] = {
    "seq2seq": seq2seq_translator,
    "seq2seq, peeky": lambda: seq2seq_translator(peeky=True),
    "attention, dot": lambda: attention_translator("dot"),
    "attention, general": lambda: attention_translator("general"),
    "attention, additive": lambda: attention_translator("additive"),
    "attention, dot, one way": lambda: attention_translator("dot", both_ways=False),
    "GNMT": gnmt_translator,
    "Transformer": transformer_translator,
}


# Dates of many locales into ISO 8601 (lesson 12)
DATES_TRAIN, DATES_TEST, DATES_SEEDS = 20_000, 2_000, 3
DATES_HIDDEN, DATES_EMBEDDING, DATES_BATCH, DATES_EPOCHS, DATES_RATE = 64, 32, 64, 2, 0.01


class Dates(NamedTuple):
    """Date texts, all different, and the vocabularies of their characters and of the ISO form's."""

    letters: text.Vocabulary
    digits: text.Vocabulary
    train: list[datasets.DateText]
    test: list[datasets.DateText]


@cache
def dates_data() -> Dates:
    """DATES_TRAIN texts to train on and DATES_TEST others, of all of DATE_LOCALES; a day may be in both in other forms."""
    every = datasets.dates(DATES_TRAIN + DATES_TEST)
    train_part = every[:DATES_TRAIN]
    return Dates(text.Vocabulary.build(date.text for date in train_part), text.Vocabulary("-0123456789"), train_part, every[DATES_TRAIN:])


def dates_ids(some: Sequence[datasets.DateText]) -> tuple[list[list[int]], list[list[int]]]:
    """Id lists of the texts' characters, ending in <eos>, and of their ISO forms, from <sos> to <eos>."""
    data = dates_data()
    return [data.letters.encode(date.text, eos=True) for date in some], [data.digits.encode(date.iso, sos=True, eos=True) for date in some]


def dates_transformer() -> TransformerTranslator:
    """Lesson 15's model with about as many parameters as lesson 12's."""
    data = dates_data()
    return TransformerTranslator(len(data.letters), len(data.digits), DATES_HIDDEN // 2)


def dates_translator(score: str | None) -> AttentionTranslator:
    """Lesson 12's model with the sizes of the dates task; score None for the same without attention."""
    data = dates_data()
    return AttentionTranslator(len(data.letters), len(data.digits), DATES_EMBEDDING, DATES_HIDDEN, score)


def train_dates(model: nn.Module, seed: int) -> History:
    """DATES_EPOCHS over all training dates, batches of similar length. The caller makes the model, after `torch.manual_seed`."""
    source, target = dates_ids(dates_data().train)
    return train_in_one_cycle(
        model, (source, target), translation_loss, seed=seed, size=DATES_BATCH, epochs=DATES_EPOCHS, rate=DATES_RATE,
        lengths=[len(ids) for ids in source], description=f"dates, seed {seed}",
    )  # fmt: skip


def dates_exact(model: Any, some: Sequence[datasets.DateText] | None = None) -> float:
    """Share in percent of date texts (None: the test's) whose ISO form the model writes without a fault."""
    model.eval()
    source, target = dates_ids(dates_data().test if some is None else some)
    written = greedy(model, source, most=11)  # ten characters and <eos>
    return 100 * float(np.mean([ours == theirs[1:-1] for ours, theirs in zip(written, target)]))


@cache
def sums_data() -> tuple[text.Vocabulary, list[tuple[str, str]], list[tuple[str, str]]]:
    """Characters, SUMS_TRAIN sums to train on and SUMS_TEST others to test on, of up to three digits: ("57+5", "62")."""
    sums = datasets.addition(SUMS_TRAIN + SUMS_TEST, digits=3, seed=SUMS_SEED)
    return text.Vocabulary("+0123456789"), sums[:SUMS_TRAIN], sums[SUMS_TRAIN:]


def sums_ids(sums: Sequence[tuple[str, str]], *, reverse: bool = False) -> tuple[list[list[int]], list[list[int]]]:
    """Id lists of the questions (from the end if `reverse`), and of the answers, from <sos> to <eos>."""
    characters = sums_data()[0]
    source = [characters.encode(question[::-1] if reverse else question, strict=True) for question, _ in sums]
    return source, [characters.encode(answer, sos=True, eos=True, strict=True) for _, answer in sums]


def sums_exact(model: Any, sums: Sequence[tuple[str, str]], *, reverse: bool = False) -> float:
    """Share in percent of the sums whose answer, written greedily, is right in every digit."""
    source, target = sums_ids(sums, reverse=reverse)
    written = greedy(model, source, most=max(map(len, target)))
    return 100 * float(np.mean([ours == theirs[1:-1] for ours, theirs in zip(written, target)]))


def sums_backwards(name: str) -> bool:
    """Whether the model of this name reads a question from its end."""
    return name in SUMS_MODELS and SUMS_MODELS[name][0]


def sums_model(name: str) -> nn.Module:
    """A new one of SUMS_MODELS, or of SUMS_TRANSFORMERS, which has about as many parameters as "both"."""
    V = len(sums_data()[0])
    if name in SUMS_TRANSFORMERS:
        return TransformerTranslator(V, V, SUMS_HIDDEN // 2)
    return Seq2Seq(V, V, SUMS_EMBEDDING, SUMS_HIDDEN, peeky=SUMS_MODELS[name][1])


def train_sums(name: str, seed: int) -> tuple[nn.Module, History]:
    """A `sums_model` after SUMS_EPOCHS; the history's metric is the share of right held-out sums in percent."""
    _, train_part, test_part = sums_data()
    torch.manual_seed(seed)
    model, reverse, rate = sums_model(name), sums_backwards(name), SUMS_RATE / SUMS_TRANSFORMERS.get(name, 1)
    history = train_in_one_cycle(
        model, sums_ids(train_part, reverse=reverse), translation_loss, seed=seed, size=SUMS_BATCH, epochs=SUMS_EPOCHS, rate=rate,
        evaluate=lambda model: sums_exact(model, test_part, reverse=reverse), description=f"{name}, seed {seed}",
    )  # fmt: skip
    return model, history


# Few labels (lesson 07; lesson 16 fine-tunes on the same sentences)
LABEL_COUNTS, LABEL_SEEDS, LABEL_SEED, LABEL_MOST, LABEL_TEST = (10, 100, 1000), 3, 7, 5_000, 1_000
LABEL_SIZE, LABEL_BATCH, LABEL_PLAN = 32, 64, ((320, 1.5e-2), (120, 3e-3))  # (updates, learning rate), one after the other
SENTIMENTS = ("negative", "neutral", "positive")
TAGS = ("ADJ", "ADP", "ADV", "AUX", "DET", "NOUN", "PART", "PRON", "VERB")


class Labelled(NamedTuple):
    """Labelled sentences to train on and others to test on, the test the same for every n and seed."""

    words: text.Vocabulary
    names: tuple[str, ...]  # of the labels 0, 1, ...
    train: list[list[int]]  # ids
    train_labels: list[Any]  # one label a sentence (sentiment), or a list with one label a word (tags)
    test: list[list[int]]
    test_labels: list[Any]
    train_pairs: list[grammar.Pair]
    test_pairs: list[grammar.Pair]


@cache
def _label_pairs() -> tuple[list[grammar.Pair], list[grammar.Pair]]:
    return grammar.split(LABEL_SEEDS * LABEL_MOST, LABEL_TEST, seed=LABEL_SEED)


def _labelled(n: int, seed: int, name: str, names: tuple[str, ...], label: Callable[[grammar.Pair], Any]) -> Labelled:
    if not (1 <= n <= LABEL_MOST and 0 <= seed < LABEL_SEEDS):
        raise ValueError(f"n is 1 to {LABEL_MOST} and seed 0 to {LABEL_SEEDS - 1}; got n={n}, seed={seed}")
    pool, test = _label_pairs()
    train, words = pool[seed * LABEL_MOST :][:n], vocabulary(name)
    ids, labels = ([[f(pair) for pair in part] for part in (train, test)] for f in (lambda pair: words.encode(getattr(pair, name)), label))
    return Labelled(words, names, ids[0], labels[0], ids[1], labels[1], train, test)


def sentiment_data(n: int, seed: int = 0, language: str = "english") -> Labelled:
    """n sentences with their sentiment (0 negative, 1 neutral, 2 positive); another seed gives other sentences."""
    return _labelled(n, seed, language, SENTIMENTS, lambda pair: pair.sentiment + 1)


def tagging_data(n: int, seed: int = 0, language: str = "english") -> Labelled:
    """n sentences with the universal part of speech of each word, as numbers of TAGS."""
    tags = "tags" if language == "english" else "korean_tags"
    return _labelled(n, seed, language, TAGS, lambda pair: [TAGS.index(tag) for tag in getattr(pair, tags)])


def reverse_within(x: Tensor, mask: Tensor) -> Tensor:
    """x (N, T, D) with the real steps of each row in reverse order, and its padding, behind them, where it was."""
    steps = torch.arange(x.shape[1]).expand(mask.shape)  # (N, T)
    order = torch.where(mask, mask.sum(dim=1, keepdim=True) - 1 - steps, steps)
    return x.gather(1, order[..., None].expand(x.shape))


class Labeller(nn.Module):
    """Ids and mask (N, T) to scores of K labels, (N, K) for each sentence or (N, T, K) for each word.

    Two layers, one of which reads backwards; for a sentence the largest number of each unit over its real steps.
    """

    def __init__(self, V: int, K: int, layer: Layer = LAYERS["RNN"], each_word: bool = False, size: int = LABEL_SIZE) -> None:
        super().__init__()
        self.each_word, self.embed = each_word, nn.Embedding(V, size)
        self.ahead, self.back, self.head = layer(size, size), layer(size, size), nn.Linear(2 * size, K)
        nn.init.normal_(self.embed.weight, std=0.5)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        N, T = expect_shape("ids", ids, "N T")
        expect_shape("mask", mask, "N T", N=N, T=T)
        text.expect_ids("ids", ids, self.embed.num_embeddings)
        text.expect_real("mask", mask)
        x = self.embed(ids)  # (N, T, D)
        back = reverse_within(self.back(reverse_within(x, mask))[0], mask)
        states = torch.cat([self.ahead(x)[0], back], dim=2)  # (N, T, 2 H)
        if not self.each_word:
            states = states.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)  # (N, 2 H)
        scores: Tensor = self.head(states)
        return scores


def label_loss(model: nn.Module, batch: tuple[list[list[int]], list[Any]]) -> Tensor:
    """Cross-entropy in nats per label of a batch (id lists, labels)."""
    ids, mask = (torch.from_numpy(part) for part in text.pad(batch[0]))
    scores = model(ids, mask)
    return F.cross_entropy(scores if scores.ndim == 2 else scores[mask], torch.from_numpy(np.hstack(batch[1])))


def train_labeller(data: Labelled, seed: int = 0, layer: Layer = LAYERS["RNN"], model: nn.Module | None = None) -> nn.Module:
    """A model after LABEL_PLAN on the data's training part: a `Labeller`, unless another is given."""
    torch.manual_seed(seed)
    draw, lengths = np.random.default_rng(seed), [len(ids) for ids in data.train]
    chosen = model or Labeller(len(data.words), len(data.names), layer, each_word=isinstance(data.train_labels[0], list))

    def some() -> Iterator[tuple[Any, ...]]:
        return text.batches(data.train, data.train_labels, size=LABEL_BATCH, rng=draw, lengths=lengths)

    for updates, rate in LABEL_PLAN:
        epochs = round(updates / -(-len(data.train) // LABEL_BATCH))
        train(chosen, some, label_loss, epochs=epochs, lr=rate, description=f"{len(data.train)} sentences, seed {seed}")
    return chosen.eval()


@torch.no_grad()
def predicted_labels(model: nn.Module, sentences: Sequence[list[int]]) -> NDArray[Any]:
    """The label of the highest score: one a sentence, (sentences,), or one a word, all in a row, (words,)."""
    best: list[NDArray[Any]] = []
    for (some,) in text.batches(sentences, size=100):  # few at a time: (N, T, H) is large
        ids, mask = (torch.from_numpy(part) for part in text.pad(some))
        scores = model(ids, mask)
        best.append((scores if scores.ndim == 2 else scores[mask]).argmax(dim=-1).numpy())
    return np.concatenate(best)


def label_accuracy(model: nn.Module, data: Labelled) -> float:
    """Share in percent of the test's labels that the model gives."""
    return 100 * float((predicted_labels(model, data.test) == np.hstack(data.test_labels)).mean())
