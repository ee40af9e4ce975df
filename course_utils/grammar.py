"""A two-language grammar that writes English and Korean sentence pairs and knows everything about them.

A synchronous probabilistic context-free grammar: each rule says what a symbol becomes in English and, with the same
children in another order, in Korean. A pair's probability is the product of its rules' probabilities. The grammar is
built so that a sentence of either language has one derivation at most (tests/test_grammar.py shows it), hence this is
the probability of the English sentence and of the Korean sentence as well, and no model of either language can have a
lower perplexity than `floor_perplexity`. Sentences are tuples of words (Korean: eojeol, that is noun with particle)
and have no final punctuation: the end-of-sentence token does that work. Words, weights: `data/lexicon.toml`.
Inside probabilities and expected counts follow Booth and Thompson (1973), https://doi.org/10.1109/T-C.1973.223746
"""

from __future__ import annotations

import functools
import itertools
import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "LANGUAGES", "Entry", "Grammar", "Pair", "Rule", "Word", "derivations", "entropy", "expected_length", "floor",
    "floor_perplexity", "grammar", "lexicon", "log_probability", "noun_classes", "number", "particle", "sample", "split",
    "word_classes",
]  # fmt: skip

Symbol = tuple[str, ...]
Ints = npt.NDArray[np.int64]
LANGUAGES = ("english", "korean")
_PARTICLES = {"topic": "은는", "subject": "이가", "object": "을를"}  # behind a consonant, behind a vowel
_INHERIT, _PARENT = -1, -2  # where a child's link leads, if not to a sibling (see Rule)
_CHUNK = 1024  # sentences drawn at a time; fixed, so that sample(10) begins sample(1000)


class Pair(NamedTuple):
    """One English and Korean sentence pair and what is true of it. Indices count words from 0."""

    english: tuple[str, ...]
    korean: tuple[str, ...]
    tags: tuple[str, ...]  # universal part of speech of each English word
    korean_tags: tuple[str, ...]  # and of each Korean word
    alignment: tuple[tuple[int, int], ...]  # (English index, Korean index) of words that translate each other
    sentiment: int  # +1, 0, -1: what the main clause says, negation applied
    log_probability: float  # nats
    agreement: tuple[tuple[int, int], ...]  # (subject noun, finite verb) of each clause, English indices
    depth: int  # relative clauses inside one another


class Word(NamedTuple):
    """What a symbol becomes in the end: an English word and a Korean one; one of the two may be empty."""

    english: str = ""
    korean: str = ""
    tag: str = ""
    korean_tag: str = ""
    polarity: int = 0  # of the main clause's verb or adjective
    negative: bool = False  # negates the main clause
    finite: bool = False  # an English verb that agrees with its subject


class Rule(NamedTuple):
    """`left` becomes `children` (English order), or a word if there are none.

    korean: the children's order in Korean. links: for each child the node that it leans on: a sibling's number,
    _PARENT or _INHERIT; a verb leans on its subject, a Korean word that has no English word of its own (않는다 of
    "never") on the English word that it belongs to. head: number of the child that holds the head noun.
    deeper: the children stand inside one relative clause more.
    """

    left: Symbol
    probability: float
    children: tuple[Symbol, ...] = ()
    korean: tuple[int, ...] = ()
    links: tuple[int, ...] = ()
    head: int = 0
    deeper: bool = False
    word: Word = Word()


class Entry(NamedTuple):
    """One line of the lexicon. english: the forms (noun: singular, plural; verb: he-form, they-form; else one)."""

    kind: str
    group: str
    english: tuple[str, ...]
    korean: str  # a noun, another whole word, or a stem (verb, adjective: the dictionary form without 다)
    attributive: str = ""  # of an adjective: 좋은
    polarity: int = 0
    tags: tuple[str, str] = ("", "")  # English, Korean


def _final(word: str) -> int:
    """The number of the last syllable's final consonant, 0 if none: syllables are 0xAC00 + 28 * onset-vowel + final."""
    return (ord(word[-1]) - 0xAC00) % 28


def particle(noun: str, role: str) -> str:
    """은/는, 이/가 or 을/를 for a Korean noun: role "topic", "subject" or "object"; "" for "bare"."""
    return "" if role == "bare" else _PARTICLES[role][0 if _final(noun) else 1]


def _verb_forms(stem: str) -> dict[str, str]:
    """Present (본다, 먹는다, 만든다), adnominal (보는, 먹는, 만드는) and the form before 않다 (보지) of a verb stem."""
    bare = stem[:-1] + chr(ord(stem[-1]) - 8) if _final(stem) == 8 else stem  # ㄹ falls before ㄴ
    present = stem + "는다" if _final(bare) else bare[:-1] + chr(ord(bare[-1]) + 4) + "다"
    return {"main": present, "adnominal": bare + "는", "negated": stem + "지"}


def _with_s(word: str) -> str:
    """An English plural or he-form: dogs, watches, flies."""
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if word[-1] == "y" and word[-2] not in "aeiou" else word + "s"


def _entries(table: Mapping[str, Any]) -> Iterator[Entry]:
    """The lexicon's lines as entries, in the order of the file."""
    for group, lines in table["nouns"].items():
        for english, korean, *plural in map(str.split, lines):
            yield Entry("noun", group, (english, *(plural or [_with_s(english)])), korean, tags=("NOUN", "NOUN"))
    for group, verbs in table["verbs"].items():
        for english, korean, *form in map(str.split, verbs["words"]):
            forms = (*(form or [_with_s(english)]), english)
            yield Entry("verb", group, forms, korean, polarity=verbs.get("polarity", 0), tags=("VERB", "VERB"))
    for group, adjectives in table["adjectives"].items():
        for english, korean, attributive, *sign in map(str.split, adjectives["words"]):
            polarity = {"+": 1, "-": -1}[sign[0]] if sign else 0
            yield Entry("adjective", group, (english,), korean, attributive, polarity, ("ADJ", "ADJ"))
    for group, lines in table["determiners"].items():
        for english, korean, *tags in map(str.split, lines):
            yield Entry("determiner", group, (english,), korean, tags=(tags[0], tags[1]))
    for group, words in table["prepositions"].items():
        for english, korean in map(str.split, words["words"]):
            yield Entry("preposition", group, (english,), korean, tags=("ADP", "NOUN"))
    for group, lines in table["adverbs"].items():
        for english, korean in map(str.split, lines):
            yield Entry("adverb", group, (english,), korean, tags=("ADV", "ADV"))


def _rules(table: Mapping[str, Any], entries: Iterable[Entry]) -> list[Rule]:
    """All rules, their weights normalised for each left side."""
    rules: list[Rule] = []
    words: defaultdict[tuple[str, str], list[tuple[float, Entry]]] = defaultdict(list)
    chances, classes, verbs = table["chances"], table["classes"], table["verbs"]
    for entry in entries:
        row = words[entry.kind, entry.group]
        row.append(((len(row) + 1.0) ** -chances["zipf"], entry))

    def add(weight: float, left: Symbol, *children: Symbol, **more: Any) -> None:
        if weight > 0:
            order = more.pop("korean", tuple(range(len(children))))
            links = more.pop("links", {})
            rules.append(Rule(left, weight, children, order, tuple(links.get(k, _INHERIT) for k in range(len(children))), **more))

    def add_word(left: Symbol, *word: Any, weight: float = 1.0, **more: Any) -> None:
        rules.append(Rule(left, weight, word=Word(*word, **more)))

    def likes(weights: Mapping[str, float], of: str) -> float:
        """The share of class `of` where `weights` are liked, a part of the choices being blind to class."""
        liked = weights.get(of, 0.0) / sum(weights.values())
        return float((1 - chances["noise"]) * liked + chances["noise"] / len(classes))

    share = {"singular": 1 - chances["plural"], "plural": chances["plural"]}
    phrases = [(weight, c, n) for c in classes for n, weight in share.items()]  # kinds of noun phrase
    transitive = [group for group in verbs if "object" in verbs[group]]
    modifier = chances["modifier"]
    add_word(("that",), "that", "", "PRON")
    for n, be, do in (("singular", "is", "does"), ("plural", "are", "do")):
        add_word(("be", n), be, "", "AUX", finite=True)
        add_word(("do", n), do, "", "AUX", finite=True)
        for weight, entry in words["determiner", n]:
            add_word(("determiner", n), entry.english[0], entry.korean, *entry.tags, weight=weight)
    for (kind, group), row in list(words.items()):
        for weight, entry in row:
            if kind in ("preposition", "adverb"):
                add_word((kind, group), entry.english[0], entry.korean, *entry.tags, weight=weight)
            elif kind == "adjective":
                add_word((kind, group, "attributive"), entry.english[0], entry.attributive, *entry.tags, weight=weight)

    for mode in ("main", "adnominal"):  # Korean: the form that ends a sentence, the form before a noun
        main = mode == "main"
        for kind, ending in (("verb", "않는다" if main else "않는"), ("adjective", "않다" if main else "않은")):
            add_word(("not", kind, mode), "not", ending, "PART", "AUX", negative=main)
            add_word(("않", kind, mode), "", ending, "", "AUX")
        add_word(("never", mode), "never", "결코", "ADV", "ADV", negative=main)
        for group in table["adjectives"]:
            for form, end in (("plain", "다"), ("negated", "지")):
                for weight, entry in words["adjective", group]:
                    good = entry.polarity if main else 0
                    add_word(("adjective", group, form, mode), entry.english[0], entry.korean + end, *entry.tags, good, weight=weight)
        for group in verbs:
            for weight, entry in words["verb", group]:
                forms, good = _verb_forms(entry.korean), entry.polarity if main else 0
                for i, n in enumerate(share):
                    add_word(("verb", group, n, mode), entry.english[i], forms[mode], *entry.tags, good, finite=True, weight=weight)
                    add_word(("never verb", group, n, mode), entry.english[i], forms["negated"], *entry.tags, good, finite=True, weight=weight)
                add_word(("base", group, mode), entry.english[1], forms["negated"], *entry.tags, good, weight=weight)
            for n in share:
                left, chance = ("verb phrase", group, n, mode), chances["verb"]
                add(chance["plain"], left, ("verb", group, n, mode))
                add(chance["adverb"], left, ("adverb", "manner"), ("verb", group, n, mode))
                add(chance["not"], left, ("do", n), ("not", "verb", mode), ("base", group, mode), korean=(0, 2, 1))
                add(chance["never"], left, ("never", mode), ("never verb", group, n, mode), ("않", "verb", mode), links={2: 0})
                if group in transitive:
                    add(1, ("does to", group, n, mode), left, ("what", group), korean=(1, 0))
        for c, about in classes.items():
            for form in ("plain", "negated"):
                for group, adjectives in table["adjectives"].items():
                    weight = adjectives["weight"] * likes(adjectives["class"], c)
                    add(weight, ("quality", c, form, mode), ("adjective", group, form, mode))
            does = {group: verbs[group]["weight"] * likes(verbs[group]["subject"], c) for group in verbs}
            total = {"transitive": sum(does[g] for g in transitive), "intransitive": sum(does[g] for g in verbs if g not in transitive)}
            for n in share:
                left, chance = ("predicate", c, n, mode), chances["copula"]
                copula = about["copula"] if main else chances["relative_copula"]
                add(copula, left, ("copula", c, n, mode))
                for group in verbs:
                    kind, phrase = ("transitive", "does to") if group in transitive else ("intransitive", "verb phrase")
                    weight = (1 - copula) * about[kind] / (about["transitive"] + about["intransitive"])
                    add(weight * does[group] / total[kind], left, (phrase, group, n, mode))
                # "the film that is good" is missing on purpose: its Korean is that of "the good film".
                left, quality = ("copula", c, n, mode), ("quality", c, "negated", mode)
                add(chance["plain"] * main, left, ("be", n), ("quality", c, "plain", mode))
                add(chance["degree"] * main, left, ("be", n), ("adverb", "degree"), ("quality", c, "plain", mode))
                add(chance["not"], left, ("be", n), ("not", "adjective", mode), quality, korean=(0, 2, 1))
                add(chance["never"], left, ("be", n), ("never", mode), quality, ("않", "adjective", mode), links={3: 1})

    for group in transitive:
        for weight, c, n in phrases:
            add(weight * likes(verbs[group]["object"], c), ("what", group), ("noun phrase", c, n, "object"))
            whom = ("that",), ("noun phrase", c, n, "subject"), ("verb phrase", group, n, "adnominal")
            add(weight * likes(verbs[group]["subject"], c), ("whom", group), *whom, links={2: 1}, deeper=True)
    for group, preposition in table["prepositions"].items():
        for weight, c, n in phrases:
            where = ("preposition", group), ("noun phrase", c, n, "bare")
            add(weight * likes(preposition["object"], c), ("place", group), *where, korean=(1, 0))
    for weight, c, n in phrases:
        add(weight * classes[c]["weight"], ("sentence",), ("noun phrase", c, n, "topic"), ("predicate", c, n, "main"), links={1: 0})
        if n == "singular":
            for group, adjectives in table["adjectives"].items():
                add(adjectives["weight"] * likes(adjectives["class"], c), ("attribute", c), ("adjective", group, "attributive"))
        add(modifier["subject_relative"], ("modifier", c, n), ("that",), ("predicate", c, n, "adnominal"), deeper=True)
        total_weight = sum(verbs[g]["weight"] * likes(verbs[g]["object"], c) for g in transitive)
        for group in transitive:
            portion = verbs[group]["weight"] * likes(verbs[group]["object"], c) / total_weight
            add(modifier["object_relative"] * portion, ("modifier", c, n), ("whom", group))
        for group, preposition in table["prepositions"].items():
            portion = preposition["weight"] / sum(other["weight"] for other in table["prepositions"].values())
            add(modifier["place"] * portion, ("modifier", c, n), ("place", group))
        modified, bare = sum(modifier.values()), chances["bare"] if n == "plural" else 0.0
        for role in ("topic", "subject", "object", "bare"):
            noun = ("noun", c, n, role)
            for weight, entry in words["noun", c]:
                form = entry.korean + ("들" if n == "plural" else "")
                english = entry.english[n == "plural"]
                add_word(noun, english, form + particle(form, role), *entry.tags, weight=weight)
            for determiner, adjective, modifier_ in np.ndindex(2, 2, 2):
                weight = (1 - bare if determiner else bare) * (modified if modifier_ else 1 - modified)
                weight *= chances["adjective"] if adjective else 1 - chances["adjective"]
                front = [("determiner", n)] * determiner + [("attribute", c)] * adjective
                children = (*front, noun, *[("modifier", c, n)] * modifier_)
                k, last = len(front), len(children) - 1
                order = (last, *range(last)) if modifier_ else tuple(range(last + 1))  # Korean: modifier first
                add(weight, ("noun phrase", c, n, role), *children, korean=order, links={k + 1: _PARENT}, head=k)
    weights: defaultdict[Symbol, float] = defaultdict(float)
    for rule in rules:
        weights[rule.left] += rule.probability
    return [rule._replace(probability=rule.probability / weights[rule.left]) for rule in rules]


def _spell(words: Sequence[str]) -> list[str]:
    """The words with every a as a or an, as the next word's first letter asks (no word of the lexicon is an exception)."""
    following = [*words[1:], ""]
    return [("an" if after[:1] in tuple("aeiou") else "a") if word in ("a", "an") else word
            for word, after in zip(words, following, strict=True)]  # fmt: skip


class _Parser:
    """Chart parser of one language: sums the probabilities and counts the derivations of a sequence of words.

    Works from short spans to long ones; rules are kept as a trie of their children, so that rules which begin alike
    are followed together; rules with one child are applied when that child is found, chains of them in one step.
    """

    SCALE = 4.0  # nats that every word is raised by, so that a product over hundreds of words stays within a float

    def __init__(self, rules: Sequence[Rule], language: str) -> None:
        by_left: defaultdict[Symbol, list[Rule]] = defaultdict(list)
        for rule in rules:
            by_left[rule.left].append(rule)
        empty = {s for s, own in by_left.items() if not any(r.children or getattr(r.word, language) for r in own)}

        def ordered(rule: Rule) -> list[Symbol]:
            children = rule.children if language == "english" else [rule.children[k] for k in rule.korean]
            return [child for child in children if child not in empty]

        # Symbols that write the same sentences with the same probabilities become one (English: all roles of a noun).
        body = {s: [(r.probability, ordered(r), getattr(r.word, language)) for r in own] for s, own in by_left.items() if s not in empty}
        kind, count = dict.fromkeys(body, 0), 0
        while count != len(set(kind.values())):
            count = len(set(kind.values()))
            signs = {s: tuple(sorted((p, tuple(kind[c] for c in cs), w) for p, cs, w in own)) for s, own in body.items()}
            numbers = {sign: i for i, sign in enumerate(dict.fromkeys(signs.values()))}
            kind = {s: numbers[sign] for s, sign in signs.items()}
        self.top, self.root = kind["sentence",], {}  # type: int, dict[int, int]
        self.trie: list[dict[int, int]] = [self.root]
        self.ends: list[list[tuple[int, float]]] = [[]]
        self.words: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        above: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        for left, symbol in {kind[s]: s for s in body}.items():
            for p, children, text in body[symbol]:
                if text:
                    self.words[text].append((left, p * math.exp(self.SCALE)))
                elif len(children) == 1:
                    above[kind[children[0]]].append((left, p))
                else:
                    state = 0
                    for child in children:
                        if kind[child] not in self.trie[state]:
                            self.trie[state][kind[child]] = len(self.trie)
                            self.trie.append({})
                            self.ends.append([])
                        state = self.trie[state][kind[child]]
                    self.ends[state].append((left, p))

        def chains(symbol: int, p: float) -> list[tuple[int, float]]:
            return [(symbol, p), *(found for left, q in above[symbol] for found in chains(left, p * q))]

        self.words = defaultdict(list, {w: [f for s, p in own for f in chains(s, p)] for w, own in self.words.items()})
        self.ends = [[found for s, p in own for found in chains(s, p)] for own in self.ends]

    def parse(self, words: Sequence[str]) -> tuple[float, int]:
        """Scaled probability and number of derivations."""
        waiting: list[defaultdict[int, list[tuple[int, int, float, int]]]] = [defaultdict(list) for _ in words]
        found: list[dict[int, list[float]]] = []
        for end, word in enumerate(words, 1):
            found = [{} for _ in range(end)]  # found[start][symbol] = probability and number, for the span start:end
            for symbol, p in self.words.get(word, ()):
                cell = found[end - 1].setdefault(symbol, [0.0, 0])
                cell[0], cell[1] = cell[0] + p, cell[1] + 1
            for start in range(end - 1, -1, -1):
                for symbol, (p, n) in found[start].items():
                    steps = waiting[start].get(symbol, [])
                    if symbol in self.root:
                        steps = [*steps, (self.root[symbol], start, 1.0, 1)]
                    for state, begin, q, m in steps:
                        for left, r in self.ends[state]:
                            cell = found[begin].setdefault(left, [0.0, 0])
                            cell[0], cell[1] = cell[0] + p * q * r, cell[1] + n * m
                        if end < len(words):
                            for expected, then in self.trie[state].items():
                                waiting[end][expected].append((then, begin, p * q, int(n * m)))
        probability, number = found[0].get(self.top, [0.0, 0]) if found else [0.0, 0]
        return probability, int(number)


class Grammar:
    """The grammar of a lexicon: a mapping as in data/lexicon.toml. `rules` are all there is to it."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.entries = tuple(_entries(table))
        self.rules = _rules(table, self.entries)
        self.rules.sort(key=lambda rule: rule.left)
        symbols = {symbol: i for i, symbol in enumerate(dict.fromkeys(rule.left for rule in self.rules))}
        left = np.array([symbols[rule.left] for rule in self.rules])
        chance = np.array([rule.probability for rule in self.rules])
        self._start = symbols["sentence",]
        self._last: Ints = np.searchsorted(left, np.arange(len(symbols)), side="right") - 1  # last rule of each symbol
        ends = np.cumsum(chance)
        self._cumulative = ends - (ends - chance)[np.searchsorted(left, left)] + left  # symbol + share so far: one search
        self._nats = np.array([math.log(rule.probability) for rule in self.rules])
        self._arity = np.array([len(rule.children) for rule in self.rules])
        self._first = np.cumsum(self._arity) - self._arity
        flat = [(symbols[child], rule.korean.index(k), rule.links[k]) for rule in self.rules for k, child in enumerate(rule.children)]
        self._child, self._rank, self._link = np.array(flat).T  # of each child of each rule
        self._head = np.array([rule.head for rule in self.rules])
        self._deeper = np.array([rule.deeper for rule in self.rules], dtype=np.int64)
        self._polarity = np.array([rule.word.polarity for rule in self.rules])
        self._negative = np.array([rule.word.negative for rule in self.rules])
        self._finite = np.array([rule.word.finite for rule in self.rules])
        self._text = {key: np.array([getattr(rule.word, key) for rule in self.rules], dtype=object)
                      for key in ("english", "korean", "tag", "korean_tag")}  # fmt: skip
        self._full = {language: self._text[language].astype(bool) for language in LANGUAGES}
        self._vowel = np.array([rule.word.english[:1] in tuple("aeiou") for rule in self.rules])
        self._parsers: dict[str, _Parser] = {}
        # Expected number of times that each symbol is used in a sentence: counts = start + counts @ mean.
        self.mean = np.zeros((len(symbols), len(symbols)))  # mean[i, j]: symbols j that one symbol i becomes
        np.add.at(self.mean, (np.repeat(left, self._arity), self._child), np.repeat(chance, self._arity))
        start = np.eye(len(symbols))[self._start]
        self.uses = np.linalg.solve(np.eye(len(symbols)) - self.mean.T, start)[left] * chance  # of each rule

    def sample(self, n: int, seed: int = 0) -> list[Pair]:
        """n independent pairs. The same seed gives the same pairs everywhere, and n pairs begin with those of a smaller n."""
        if n < 0:
            raise ValueError(f"n is the number of pairs, 0 or more, not {n}")
        return list(itertools.islice(self.stream(seed), n))

    def stream(self, seed: int = 0) -> Iterator[Pair]:
        """Independent pairs without end."""
        rng = np.random.Generator(np.random.PCG64(seed))
        while True:
            yield from self._draw(rng)

    def _draw(self, rng: np.random.Generator) -> Iterator[Pair]:
        """_CHUNK pairs, grown together, one level of all their trees at a time."""
        symbol, sentence = np.full(_CHUNK, self._start), np.arange(_CHUNK)
        link, depth, base = np.full(_CHUNK, -1), np.zeros(_CHUNK, dtype=np.int64), 0
        levels: list[tuple[Ints, ...]] = []  # rule, sentence, link, depth of each node; parent, place of its children
        while symbol.size:
            rule = np.minimum(np.searchsorted(self._cumulative, symbol + rng.random(symbol.size), side="right"), self._last[symbol])
            arity = self._arity[rule]
            parent = np.repeat(np.arange(symbol.size), arity)
            first = (np.cumsum(arity) - arity)[parent]  # the first child of the same parent
            child = self._first[rule][parent] + np.arange(parent.size) - first
            levels.append((rule, sentence, link, depth, parent, first, first + self._rank[child]))
            to = self._link[child]
            link = np.where(to == _INHERIT, link[parent], np.where(to == _PARENT, base + parent, base + symbol.size + first + to))
            base, symbol, sentence = base + symbol.size, self._child[child], sentence[parent]
            depth = depth[parent] + self._deeper[rule][parent]
        rule, sentence, link, depth = (np.concatenate([level[k] for level in levels]) for k in range(4))

        at, starts = {}, {}  # where each node's words begin, all sentences in a row; where each sentence begins
        for language, full in self._full.items():
            sizes = [full[levels[-1][0]].astype(np.int64)]  # words under each node, from the deepest level up
            for level in levels[-2::-1]:
                under = np.bincount(level[4], sizes[0], level[0].size).astype(np.int64)
                sizes.insert(0, under + full[level[0]])
            places = [np.cumsum(sizes[0]) - sizes[0]]
            for (*_, parent, first, place), size in zip(levels[:-1], sizes[1:], strict=True):
                place = np.arange(first.size) if language == "english" else place
                ordered = np.empty_like(size)
                ordered[place] = size
                before = np.cumsum(ordered) - ordered
                places.append(places[-1][parent] + before[place] - before[first])
            at[language], starts[language] = np.concatenate(places), [*places[0].tolist(), int(sizes[0].sum())]

        text: dict[str, list[str]] = {}
        for language, tag in (("english", "tag"), ("korean", "korean_tag")):
            nodes = np.flatnonzero(self._full[language][rule])
            written = np.empty(nodes.size, dtype=np.int64)
            written[at[language][nodes]] = rule[nodes]
            text[language], text[tag] = self._text[language][written].tolist(), self._text[tag][written].tolist()
            if language == "english":
                for k in np.flatnonzero((self._text["english"][written[:-1]] == "a") & self._vowel[written[1:]]):
                    text["english"][k] = "an"

        def couples(nodes: Ints, a: Ints, b: Ints, key: str, other: str) -> tuple[list[tuple[int, int]], list[int]]:
            """(a, b) of the nodes within their sentences, in order, and where each sentence's couples begin."""
            nodes, a, b = (column[np.lexsort((b, a, sentence[nodes]))] for column in (nodes, a, b))
            offset_a, offset_b = np.array(starts[key])[sentence[nodes]], np.array(starts[other])[sentence[nodes]]
            counts = np.bincount(sentence[nodes], minlength=_CHUNK)
            return list(zip((a - offset_a).tolist(), (b - offset_b).tolist(), strict=True)), [0, *np.cumsum(counts).tolist()]

        korean = np.flatnonzero(self._full["korean"][rule])  # every Korean word has an English one
        source = np.where(self._full["english"][rule[korean]], korean, link[korean])
        joined, cuts = couples(korean, at["english"][source], at["korean"][korean], "english", "korean")
        verbs = np.flatnonzero(self._finite[rule])
        subject = at["english"][link[verbs]] + self._head[rule[link[verbs]]]
        agreeing, bounds = couples(verbs, subject, at["english"][verbs], "english", "english")
        polarity = np.bincount(sentence, self._polarity[rule], _CHUNK)
        negative = np.bincount(sentence, self._negative[rule], _CHUNK)
        sentiment = np.where(negative > 0, -polarity, polarity).astype(np.int64).tolist()
        nats = np.bincount(sentence, self._nats[rule], _CHUNK).tolist()
        deepest = np.zeros(_CHUNK, dtype=np.int64)
        np.maximum.at(deepest, sentence, depth)
        begins, korean_begins, deep = starts["english"], starts["korean"], deepest.tolist()
        for i in range(_CHUNK):
            here, there = slice(begins[i], begins[i + 1]), slice(korean_begins[i], korean_begins[i + 1])
            yield Pair(
                tuple(text["english"][here]), tuple(text["korean"][there]), tuple(text["tag"][here]), tuple(text["korean_tag"][there]),
                tuple(joined[cuts[i] : cuts[i + 1]]), sentiment[i], nats[i], tuple(agreeing[bounds[i] : bounds[i + 1]]), deep[i],
            )  # fmt: skip

    def _parse(self, words: Sequence[str], language: str) -> tuple[float, int]:
        if language not in LANGUAGES:
            raise ValueError(f"language is one of {', '.join(LANGUAGES)}, not {language!r}")
        if isinstance(words, str):
            raise ValueError(f"words is a sequence of words; split the text first: {words!r}.split()")  # noqa: TRY004
        if language not in self._parsers:
            self._parsers[language] = _Parser(self.rules, language)
        if language == "english":
            if list(words) != _spell(words):
                return 0.0, 0
            words = ["a" if word == "an" else word for word in words]
        return self._parsers[language].parse(words)

    def log_probability(self, words: Sequence[str], language: str = "english") -> float:
        """Nats; -inf for what is no sentence of the language (an unknown word, a verb that does not agree, ...)."""
        probability, _ = self._parse(words, language)
        return math.log(probability) - _Parser.SCALE * len(words) if probability else -math.inf

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

    def number(self, word: str, tag: str) -> str:
        """"singular" or "plural" for an English noun or finite verb and its tag (walks: plural as NOUN, singular as VERB)."""
        return self._numbers.get((word, tag), "")

    @functools.cached_property
    def _numbers(self) -> dict[tuple[str, str], str]:
        numbers = {("is", "AUX"): "singular", ("does", "AUX"): "singular", ("are", "AUX"): "plural", ("do", "AUX"): "plural"}
        for entry in self.entries:
            if entry.kind in ("noun", "verb"):
                numbers |= {(form, entry.tags[0]): n for form, n in zip(entry.english, ("singular", "plural"), strict=True)}
        return numbers


@functools.cache
def grammar() -> Grammar:
    """The grammar of data/lexicon.toml; made at the first call, a third of a second, and kept."""
    path = Path(__file__).resolve().parents[1] / "data" / "lexicon.toml"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; `git checkout -- data/lexicon.toml` brings it back")
    return Grammar(tomllib.loads(path.read_text(encoding="utf-8")))


def sample(n: int, seed: int = 0) -> list[Pair]:
    """n independent pairs. The same seed gives the same pairs everywhere; a smaller n gives the first of them."""
    return grammar().sample(n, seed)


def log_probability(words: Sequence[str], language: str = "english") -> float:
    """Nats of a sentence; -inf for what is no sentence of the language. ValueError: unknown language, unsplit text."""
    return grammar().log_probability(words, language)


def derivations(words: Sequence[str], language: str = "english") -> int:
    """Number of derivations: 1 for a sentence, 0 for anything else (an unknown word too)."""
    return grammar().derivations(words, language)


def entropy() -> float:
    """Nats per sentence, of either language and of the pair: each side says everything about the other."""
    return grammar().entropy()


def expected_length(language: str = "english") -> float:
    """Expected words per sentence, <eos> not counted."""
    return grammar().expected_length(language)


def floor_perplexity(language: str = "english", eos: bool = True) -> float:
    """The perplexity per token that no model can beat: exp(entropy / (expected length + 1)).

    It is what the grammar itself reaches on endlessly many fresh sentences: all nats over all tokens, where each
    sentence also predicts its <eos> (eos=False: the same nats shared among the words alone). Of given sentences: `floor`.
    """
    return math.exp(entropy() / (expected_length(language) + eos))


def floor(pairs: Iterable[Pair], language: str = "english", eos: bool = True) -> float:
    """The grammar's own perplexity per token on these very pairs: exp(all nats / all tokens), <eos> counted as a token."""
    expected_length(language)  # refuses an unknown language
    rows = [(-pair.log_probability, len(getattr(pair, language)) + eos) for pair in pairs]
    if not rows:
        raise ValueError("pairs is empty; a perplexity needs one sentence at least")
    return math.exp(math.fsum(nats for nats, _ in rows) / sum(tokens for _, tokens in rows))


def split(n_train: int, n_test: int, seed: int = 0, held_out: Literal["unseen", "fresh"] = "unseen") -> tuple[list[Pair], list[Pair]]:
    """Training and test pairs.

    The training pairs are an ordinary sample, repeats included, for without them it would follow another distribution.
    held_out="unseen": test sentences are all different and none occurs in training; frequent, short sentences are
    therefore rare among them, and the perplexity to compare with is `floor(test)`, above `floor_perplexity()`.
    held_out="fresh": the test is a sample as drawn; what it shares with training is the grammar's own doing.
    """
    if n_train < 0 or n_test < 0:
        raise ValueError(f"n_train and n_test are numbers of pairs, 0 or more, not {n_train} and {n_test}")
    if held_out not in ("unseen", "fresh"):
        raise ValueError(f"held_out is 'unseen' or 'fresh', not {held_out!r}")
    drawn = grammar().stream(seed)
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
    return grammar().entries


def noun_classes() -> dict[str, str]:
    """The class of each noun, by its singular: {"dog": "animals", ...}."""
    return {entry.english[0]: entry.group for entry in lexicon() if entry.kind == "noun"}


def word_classes() -> dict[str, str]:
    """The class of each noun form: {"dog": "animals", "dogs": "animals", ...}. Some forms are verbs too: cook, watches."""
    return {form: entry.group for entry in lexicon() if entry.kind == "noun" for form in entry.english}


def number(word: str, tag: str) -> str:
    """"singular", "plural" or "" of an English word with its tag: ("walks", "VERB") is singular."""
    return grammar().number(word, tag)
