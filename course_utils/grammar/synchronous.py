"""A two-language grammar that writes sentence pairs and knows everything about them.

A synchronous probabilistic context-free grammar: each rule says what a symbol becomes in English
and, with the same children in another order, in Korean. A pair's probability is the product of its
rules' probabilities. The grammar is built so that a sentence of either language has one derivation
at most (tests/test_grammar.py shows it), hence this is the probability of the English sentence and
of the Korean sentence as well, and no model of either language can have a lower perplexity than
`floor_perplexity`. Sentences are tuples of words (Korean: eojeol, that is noun with particle) and
have no final punctuation: the end-of-sentence token does that work. Words, weights:
`data/lexicon.toml`. Expected counts and entropy: Soule (1974), Entropies of Probabilistic Grammars,
Information and Control 25, 57-74.
"""

from __future__ import annotations

import functools
import itertools
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..datasets.files import DATA
from .parser import Parser
from .rules import INHERIT, PARENT, Entry, Word, build_rules, read_entries

Ints = npt.NDArray[np.int64]
LANGUAGES = ("english", "korean")
_CHUNK = 1024  # sentences drawn at a time; fixed, so that sample(10) begins sample(1000)


class Pair(NamedTuple):
    """One English and Korean sentence pair and what is true of it. Indices count words from 0."""

    english: tuple[str, ...]
    korean: tuple[str, ...]
    tags: tuple[str, ...]  # universal part of speech of each English word
    korean_tags: tuple[str, ...]  # and of each Korean word
    alignment: tuple[
        tuple[int, int], ...
    ]  # (English index, Korean index) of words that translate each other
    sentiment: int  # +1, 0, -1: what the main clause says, negation applied
    log_probability: float  # nats
    agreement: tuple[
        tuple[int, int], ...
    ]  # (subject noun, finite verb) of each clause, English indices
    depth: int  # relative clauses inside one another


def _spell(words: Sequence[str]) -> list[str]:
    """The words with each a or an as the next word's first letter asks.

    The lexicon has no exception, such as hour.
    """
    article = ["an" if after[:1] in tuple("aeiou") else "a" for after in (*words[1:], "")]
    return [
        right if word in ("a", "an") else word for word, right in zip(words, article, strict=False)
    ]


class _Level(NamedTuple):
    """One level of many trees: its nodes, sentence by sentence, and their children's level."""

    rule: Ints
    sentence: Ints
    link: Ints  # the node that this one leans on (see Rule), counted over all levels
    depth: Ints
    parent: Ints  # of each child
    first: Ints  # the first child of the same parent
    korean: Ints  # the child's place if children stand in Korean order


class Grammar:
    """The grammar of a lexicon: a mapping as in data/lexicon.toml.

    Its `rules` are all there is to it.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.entries = tuple(read_entries(table))
        self.rules = build_rules(table, self.entries)
        symbols = {
            symbol: i for i, symbol in enumerate(dict.fromkeys(rule.left for rule in self.rules))
        }
        left = np.array([symbols[rule.left] for rule in self.rules])
        chance = np.array([rule.probability for rule in self.rules])
        ends = np.cumsum(chance)
        # Symbol + share of its rules so far, so that one search finds the rule of (symbol + uniform
        # number), for all symbols
        self._cumulative = left + ends - (ends - chance)[np.searchsorted(left, left)]
        self._last = (
            np.searchsorted(left, np.arange(len(symbols)), side="right") - 1
        )  # last rule of each symbol
        self._start, self._parsers = symbols["sentence",], dict[str, Parser]()
        self._nats = np.array([math.log(rule.probability) for rule in self.rules])
        self._head = np.array([rule.head for rule in self.rules])
        self._deeper = np.array([int(rule.deeper) for rule in self.rules])
        self._arity = np.array([len(rule.children) for rule in self.rules])
        self._first = (
            np.cumsum(self._arity) - self._arity
        )  # where a rule's children stand in the three columns that follow
        flat = [
            (symbols[child], r.korean.index(k), r.links[k])
            for r in self.rules
            for k, child in enumerate(r.children)
        ]
        self._child, self._rank, self._link = np.array(flat).T
        columns = zip(
            Word._fields, zip(*(rule.word for rule in self.rules), strict=True), strict=True
        )
        self._word = {
            key: np.array(column, dtype=object if isinstance(column[0], str) else int)
            for key, column in columns
        }
        self._full = {language: self._word[language].astype(bool) for language in LANGUAGES}
        self._vowel = np.array([rule.word.english[:1] in tuple("aeiou") for rule in self.rules])
        # mean[i, j]: expected number of symbols j that one symbol i becomes in one step; uses =
        # start + mean.T @ uses
        self.mean = np.zeros((len(symbols), len(symbols)))
        np.add.at(
            self.mean, (np.repeat(left, self._arity), self._child), np.repeat(chance, self._arity)
        )
        start = np.eye(len(symbols))[self._start]
        self.uses = (
            np.linalg.solve(np.eye(len(symbols)) - self.mean.T, start)[left] * chance
        )  # of each rule, in a sentence

    def sample(self, n: int, seed: int = 0) -> list[Pair]:
        """n independent pairs.

        The same seed gives the same pairs everywhere; a smaller n gives the first of them.
        """
        if n < 0:
            raise ValueError(f"n is the number of pairs, 0 or more, not {n}")
        return list(itertools.islice(self.stream(seed), n))

    def stream(self, seed: int = 0) -> Iterator[Pair]:
        """Independent pairs without end."""
        rng = np.random.Generator(np.random.PCG64(seed))
        while True:
            yield from self._draw(rng)

    def _grow(self, rng: np.random.Generator) -> list[_Level]:
        """The trees of _CHUNK sentences, grown together, one level of all of them at a time."""
        symbol, sentence, link = (
            np.full(_CHUNK, self._start),
            np.arange(_CHUNK),
            np.full(_CHUNK, -1),
        )
        depth, base, levels = np.zeros(_CHUNK, dtype=np.int64), 0, list[_Level]()
        while symbol.size:
            rule = np.searchsorted(self._cumulative, symbol + rng.random(symbol.size), side="right")
            rule = np.minimum(
                rule, self._last[symbol]
            )  # for a sum that was rounded up to the next symbol
            arity = self._arity[rule]
            parent = np.repeat(np.arange(symbol.size), arity)
            first = (np.cumsum(arity) - arity)[parent]
            child = self._first[rule][parent] + np.arange(parent.size) - first
            levels.append(
                _Level(rule, sentence, link, depth, parent, first, first + self._rank[child])
            )
            to = self._link[child]
            link = np.where(
                to == INHERIT,
                link[parent],
                base + np.where(to == PARENT, parent, symbol.size + first + to),
            )
            base, symbol, sentence = base + symbol.size, self._child[child], sentence[parent]
            depth = depth[parent] + self._deeper[rule][parent]
        return levels

    def _places(self, levels: Sequence[_Level], language: str) -> tuple[Ints, Ints]:
        """Where each node's words begin, all sentences in one row, and where each sentence does.

        The last entry of the second is where the last sentence ends.
        """
        full = self._full[language].astype(np.int64)
        sizes = [full[levels[-1].rule]]  # words under each node, from the deepest level up
        for level in levels[-2::-1]:
            under = np.bincount(level.parent, sizes[0], level.rule.size).astype(np.int64)
            sizes.insert(0, under + full[level.rule])
        places = [np.cumsum(sizes[0]) - sizes[0]]
        for level, size in zip(
            levels[:-1], sizes[1:], strict=True
        ):  # behind what stands before it under the same parent
            order = np.arange(size.size) if language == "english" else level.korean
            ordered = np.empty_like(size)
            ordered[order] = size
            before = np.cumsum(ordered) - ordered
            places.append(places[-1][level.parent] + before[order] - before[level.first])
        return np.concatenate(places), np.append(places[0], sizes[0].sum())

    def _draw(self, rng: np.random.Generator) -> Iterator[Pair]:
        """_CHUNK pairs with all that is known of them: trees, read off in both languages."""
        levels = self._grow(rng)
        rule, sentence, link, depth = (
            np.concatenate([level[k] for level in levels]) for k in range(4)
        )
        places = {language: self._places(levels, language) for language in LANGUAGES}
        at, starts = ({language: both[k] for language, both in places.items()} for k in (0, 1))
        text: dict[str, list[str]] = {}
        for language, tag in (("english", "tag"), ("korean", "korean_tag")):
            nodes = np.flatnonzero(self._full[language][rule])
            written = np.empty(nodes.size, dtype=np.int64)
            written[at[language][nodes]] = rule[nodes]
            text[language], text[tag] = (
                self._word[language][written].tolist(),
                self._word[tag][written].tolist(),
            )
            if language == "english":
                for k in np.flatnonzero(
                    (self._word["english"][written[:-1]] == "a") & self._vowel[written[1:]]
                ):
                    text["english"][k] = "an"

        def couples(
            nodes: Ints, a: Ints, b: Ints, key: str, other: str
        ) -> tuple[list[tuple[int, int]], list[int]]:
            """(a, b) of the nodes within their sentences, and where each sentence's begin."""
            order = np.argsort(a * (b.max(initial=0) + 1) + b)  # a counts through all sentences
            nodes, a, b = nodes[order], a[order], b[order]
            a, b = a - starts[key][sentence[nodes]], b - starts[other][sentence[nodes]]
            counts = np.bincount(sentence[nodes], minlength=_CHUNK)
            return list(zip(a.tolist(), b.tolist(), strict=True)), [0, *np.cumsum(counts).tolist()]

        words = np.flatnonzero(self._full["korean"][rule])  # every Korean word has an English one
        source = np.where(self._full["english"][rule[words]], words, link[words])
        joined, cuts = couples(
            words, at["english"][source], at["korean"][words], "english", "korean"
        )
        verbs = np.flatnonzero(self._word["finite"][rule])
        subject = at["english"][link[verbs]] + self._head[rule[link[verbs]]]
        agreeing, bounds = couples(verbs, subject, at["english"][verbs], "english", "english")
        polarity = np.bincount(sentence, self._word["polarity"][rule], _CHUNK)
        negative = np.bincount(sentence, self._word["negative"][rule], _CHUNK)
        sentiment = np.where(negative > 0, -polarity, polarity).astype(np.int64).tolist()
        nats = np.bincount(sentence, self._nats[rule], _CHUNK).tolist()
        deepest = np.zeros(_CHUNK, dtype=np.int64)
        np.maximum.at(deepest, sentence, depth)
        english, korean, tags, korean_tags = (
            text[column] for column in ("english", "korean", "tag", "korean_tag")
        )
        ends = (starts["english"].tolist(), starts["korean"].tolist(), cuts, bounds)
        borders = zip(*map(itertools.pairwise, ends))
        known = zip(borders, sentiment, nats, deepest.tolist(), strict=True)
        for ((a, b), (c, d), (e, f), (g, h)), opinion, probability, depth_of in known:
            yield Pair(
                tuple(english[a:b]),
                tuple(korean[c:d]),
                tuple(tags[a:b]),
                tuple(korean_tags[c:d]),
                tuple(joined[e:f]),
                opinion,
                probability,
                tuple(agreeing[g:h]),
                depth_of,
            )

    def _parse(self, words: Sequence[str], language: str) -> tuple[float, int]:
        if language not in LANGUAGES:
            raise ValueError(f"language is one of {', '.join(LANGUAGES)}, not {language!r}")
        if isinstance(words, str):
            raise ValueError(
                f"words is a sequence of words; split the text first: {words!r}.split()"
            )
        if language not in self._parsers:
            self._parsers[language] = Parser(self.rules, language)
        if language == "english":
            if list(words) != _spell(words):
                return 0.0, 0
            words = ["a" if word == "an" else word for word in words]
        return self._parsers[language].parse(words)

    def log_probability(self, words: Sequence[str], language: str = "english") -> float:
        """Nats; -inf for what is no sentence of the language.

        No sentence: an unknown word, a verb that does not agree, ...
        """
        probability, _ = self._parse(words, language)
        return math.log(probability) - Parser.SCALE * len(words) if probability else -math.inf

    def derivations(self, words: Sequence[str], language: str = "english") -> int:
        """The number of derivations: 1 for a sentence, 0 for anything else."""
        return self._parse(words, language)[1]

    def entropy(self) -> float:
        """Nats per sentence: the sum over rules of expected uses times -log probability."""
        return float(-self.uses @ self._nats)

    def expected_length(self, language: str = "english") -> float:
        """Words per sentence, without the end-of-sentence token."""
        if language not in LANGUAGES:
            raise ValueError(f"language is one of {', '.join(LANGUAGES)}, not {language!r}")
        return float(self.uses @ self._full[language])


@functools.cache
def standard() -> Grammar:
    """The grammar of data/lexicon.toml; made at the first call, a third of a second, and kept."""
    path = DATA / "lexicon.toml"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing; `git checkout -- data/lexicon.toml` brings it back"
        )
    return Grammar(tomllib.loads(path.read_text(encoding="utf-8")))


def sample(n: int, seed: int = 0) -> list[Pair]:
    """n independent pairs.

    The same seed gives the same pairs everywhere; a smaller n gives the first of them.
    """
    return standard().sample(n, seed)


def log_probability(words: Sequence[str], language: str = "english") -> float:
    """Nats of a sentence; -inf for what is no sentence of the language.

    ValueError: unknown language, unsplit text.
    """
    return standard().log_probability(words, language)


def derivations(words: Sequence[str], language: str = "english") -> int:
    """Number of derivations: 1 for a sentence, 0 for anything else (an unknown word too)."""
    return standard().derivations(words, language)


def entropy() -> float:
    """Nats per sentence, of either language and of the pair.

    Each side says everything about the other.
    """
    return standard().entropy()


def expected_length(language: str = "english") -> float:
    """Expected words per sentence, <eos> not counted."""
    return standard().expected_length(language)


def floor_perplexity(language: str = "english", eos: bool = True) -> float:
    """The perplexity per token that no model can beat: exp(entropy / (expected length + 1)).

    It is what the grammar itself reaches on endlessly many fresh sentences: all nats over all
    tokens, where each sentence also predicts its <eos> (eos=False: the same nats shared among the
    words alone). Of given sentences: `floor`.
    """
    return math.exp(entropy() / (expected_length(language) + eos))


def floor(pairs: Iterable[Pair], language: str = "english", eos: bool = True) -> float:
    """The grammar's own perplexity per token on these very pairs.

    exp(all nats / all tokens), <eos> counted as a token.
    """
    expected_length(language)  # refuses an unknown language
    rows = [(-pair.log_probability, len(getattr(pair, language)) + eos) for pair in pairs]
    if not rows:
        raise ValueError("pairs is empty; a perplexity needs one sentence at least")
    return math.exp(math.fsum(nats for nats, _ in rows) / sum(tokens for _, tokens in rows))


def split(
    n_train: int, n_test: int, seed: int = 0, held_out: Literal["unseen", "fresh"] = "unseen"
) -> tuple[list[Pair], list[Pair]]:
    """Training and test pairs.

    The training pairs are an ordinary sample, repeats included, for without them it would follow
    another distribution. held_out="unseen": test sentences are all different and none occurs in
    training; frequent, short sentences are therefore rare among them, and the perplexity to compare
    with is `floor(test)`, above `floor_perplexity()`. held_out="fresh": the test is a sample as
    drawn; what it shares with training is the grammar's own doing.
    """
    if n_train < 0 or n_test < 0:
        raise ValueError(
            f"n_train and n_test are numbers of pairs, 0 or more, not {n_train} and {n_test}"
        )
    if held_out not in ("unseen", "fresh"):
        raise ValueError(f"held_out is 'unseen' or 'fresh', not {held_out!r}")
    drawn = standard().stream(seed)
    train = [next(drawn) for _ in range(n_train)]
    seen = {pair.english for pair in train}
    test: list[Pair] = []
    while len(test) < n_test:
        pair = next(drawn)
        if held_out == "fresh" or pair.english not in seen:
            test.append(pair)
            seen.add(pair.english)
    return train, test


def lexicon() -> tuple[Entry, ...]:
    """Every line of the lexicon."""
    return standard().entries


def noun_classes() -> dict[str, str]:
    """The class of each noun, by its singular: {"dog": "animals", ...}."""
    return {entry.english[0]: entry.group for entry in lexicon() if entry.kind == "noun"}


def word_classes() -> dict[str, str]:
    """The class of each noun form: {"dog": "animals", "dogs": "animals", ...}.

    Some forms are verbs too: cook, watches.
    """
    return {
        form: entry.group for entry in lexicon() if entry.kind == "noun" for form in entry.english
    }


@functools.cache
def _numbers() -> dict[tuple[str, str], str]:
    place = {"noun": 2, "verb": 2, "be": 1, "do": 1}  # of the number within the symbol
    rules = [rule for rule in standard().rules if rule.word.english and rule.left[0] in place]
    return {(rule.word.english, rule.word.tag): rule.left[place[rule.left[0]]] for rule in rules}


def number(word: str, tag: str) -> str:
    """Number of a noun or finite verb with its tag: "singular", "plural", or "" for other words.

    walks is plural as NOUN, singular as VERB.
    """
    return _numbers().get((word, tag), "")
