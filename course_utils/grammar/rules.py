"""The rules of the two-language grammar, made from the words and numbers of data/lexicon.toml.

A rule says what a symbol becomes in English and, with the same children in another order, in
Korean. Symbols carry what must agree: class and number of a noun phrase, its role (which Korean
marks by a particle), number of a verb and whether it ends the sentence or stands before a noun. How
to draw and parse sentences: `course_utils.grammar`.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Symbol = tuple[str, ...]
INHERIT, PARENT = -1, -2  # where a child's link leads, if not to a sibling (see Rule)
_PARTICLES = {
    "topic": "은는",
    "subject": "이가",
    "object": "을를",
}  # behind a consonant, behind a vowel


class Word(NamedTuple):
    """What a symbol becomes in the end: an English word and a Korean one.

    One of the two may be empty.
    """

    english: str = ""
    korean: str = ""
    tag: str = ""
    korean_tag: str = ""
    polarity: int = 0  # of the main clause's verb or adjective
    negative: bool = False  # negates the main clause
    finite: bool = False  # an English verb that agrees with its subject


class Rule(NamedTuple):
    """`left` becomes `children` (English order), or a word if there are none.

    korean: the children's order in Korean. links: for each child the node that it leans on: a
    sibling's number, PARENT or INHERIT; a verb leans on its subject, a Korean word that has no
    English word of its own (않는다 of "never") on the English word that it belongs to.
    head: number of the child that holds the head noun. deeper: the children stand inside one
    relative clause more.
    """

    left: Symbol
    probability: float
    children: tuple[Symbol, ...] = ()
    korean: tuple[int, ...] = ()
    links: tuple[int, ...] = ()
    head: int = 0
    deeper: bool = False
    word: Word = Word()

    def ordered(self, language: str) -> tuple[Symbol, ...]:
        """The children in the order of a language."""
        return (
            self.children if language == "english" else tuple(self.children[k] for k in self.korean)
        )


class Entry(NamedTuple):
    """One line of the lexicon.

    english: the forms (noun: singular, plural; verb: he-form, they-form; else one).
    """

    kind: str
    group: str
    english: tuple[str, ...]
    korean: str  # a noun, another whole word, or a stem (of verb or adjective: what is left of 다)
    tags: tuple[str, str]  # part of speech in English and in Korean
    polarity: int = 0
    attributive: str = ""  # of an adjective: 좋은


def _final(word: str) -> int:
    """The number of the last syllable's final consonant, 0 if none.

    Syllables are 0xAC00 + 28 * onset-vowel + final.
    """
    return (ord(word[-1]) - 0xAC00) % 28


def particle(noun: str, role: str) -> str:
    """은/는, 이/가 or 을/를 of a Korean noun: role "topic", "subject", "object"; "" for "bare"."""
    return "" if role == "bare" else _PARTICLES[role][0 if _final(noun) else 1]


def _verb_forms(stem: str) -> dict[str, str]:
    """Of a stem: present (본다, 먹는다), adnominal (보는, 먹는), form before 않다 (보지)."""
    bare = stem[:-1] + chr(ord(stem[-1]) - 8) if _final(stem) == 8 else stem  # ㄹ falls before ㄴ
    present = stem + "는다" if _final(bare) else bare[:-1] + chr(ord(bare[-1]) + 4) + "다"
    return {"main": present, "adnominal": bare + "는", "negated": stem + "지"}


def _with_s(word: str) -> str:
    """An English plural or he-form: dogs, watches, flies."""
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if word[-1] == "y" and word[-2] not in "aeiou" else word + "s"


def read_entries(table: Mapping[str, Any]) -> Iterator[Entry]:
    """The lexicon's lines as entries, in the order of the file."""
    plain = {"nouns": "noun", "adverbs": "adverb", "determiners": "determiner"}
    lists = [
        (kind, group, lines, 0)
        for section, kind in plain.items()
        for group, lines in table[section].items()
    ]
    for section, kind in {
        "verbs": "verb",
        "adjectives": "adjective",
        "prepositions": "preposition",
    }.items():
        lists += [
            (kind, group, body["words"], body.get("polarity", 0))
            for group, body in table[section].items()
        ]
    same = {
        "noun": ("NOUN", "NOUN"),
        "verb": ("VERB", "VERB"),
        "adverb": ("ADV", "ADV"),
        "preposition": ("ADP", "NOUN"),
    }
    for kind, group, lines, polarity in lists:
        for english, korean, *more in map(str.split, lines):
            if kind == "adjective":
                sign = {"+": 1, "-": -1}[more[1]] if more[1:] else 0
                yield Entry(kind, group, (english,), korean, ("ADJ", "ADJ"), sign, more[0])
            elif kind == "determiner":
                yield Entry(kind, group, (english,), korean, (more[0], more[1]))
            else:
                with_s = {
                    "noun": (english, *more, _with_s(english))[:2],
                    "verb": ((*more, _with_s(english))[0], english),
                }
                yield Entry(kind, group, with_s.get(kind, (english,)), korean, same[kind], polarity)


def build_rules(table: Mapping[str, Any], entries: Iterable[Entry]) -> list[Rule]:
    """All rules, their weights normalised for each left side."""
    chances, classes, verbs, adjectives = (
        table["chances"],
        table["classes"],
        table["verbs"],
        table["adjectives"],
    )
    places, transitive = (
        table["prepositions"],
        [group for group in verbs if "object" in verbs[group]],
    )
    share = {"singular": 1 - chances["plural"], "plural": chances["plural"]}
    phrases = [
        (weight, c, n) for c in classes for n, weight in share.items()
    ]  # kinds of noun phrase
    words: defaultdict[tuple[str, str], list[tuple[float, Entry]]] = defaultdict(list)
    for entry in entries:
        row = words[entry.kind, entry.group]
        row.append(((len(row) + 1.0) ** -chances["zipf"], entry))
    rules: list[Rule] = []

    def add(
        weight: float, left: Symbol, *children: Symbol, korean: Sequence[int] = (), **more: Any
    ) -> None:
        if weight > 0:
            leans = more.pop("leans", {})
            links = tuple(leans.get(k, INHERIT) for k in range(len(children)))
            rules.append(
                Rule(left, weight, children, tuple(korean or range(len(children))), links, **more)
            )

    def add_word(weight: float, left: Symbol, *word: Any, **more: Any) -> None:
        rules.append(Rule(left, weight, word=Word(*word, **more)))

    def likes(weights: Mapping[str, float], of: str) -> float:
        """The share of class `of` where `weights` are liked.

        A part of the choices is blind to class.
        """
        liked = weights.get(of, 0.0) / sum(weights.values())
        return float((1 - chances["noise"]) * liked + chances["noise"] / len(classes))

    # Words whose form depends on number alone, or on nothing
    add_word(1, ("that",), "that", "", "PRON")
    for n, be, do in (("singular", "is", "does"), ("plural", "are", "do")):
        add_word(1, ("be", n), be, "", "AUX", finite=True)
        add_word(1, ("do", n), do, "", "AUX", finite=True)
    for (kind, group), row in words.items():
        for weight, entry in row:
            if kind in ("determiner", "preposition", "adverb"):
                add_word(weight, (kind, group), *entry.english, entry.korean, *entry.tags)
            elif kind == "adjective":
                add_word(
                    weight,
                    (kind, group, "attributive"),
                    *entry.english,
                    entry.attributive,
                    *entry.tags,
                )

    # Predicates. Korean has a form that ends a sentence (main) and one before a noun (adnominal: a
    # relative clause).
    for mode, is_main in (("main", True), ("adnominal", False)):
        for kind, *endings in (("verb", "않는", "않는다"), ("adjective", "않은", "않다")):
            ending = endings[is_main]
            add_word(1, ("not", kind, mode), "not", ending, "PART", "AUX", negative=is_main)
            add_word(1, ("auxiliary", kind, mode), "", ending, "", "AUX")
        add_word(1, ("never", mode), "never", "결코", "ADV", "ADV", negative=is_main)
        endings_of = {"plain": "다", "negated": "지"} if is_main else {"negated": "지"}
        for group in adjectives:
            for weight, entry in words["adjective", group]:
                for form, end in endings_of.items():
                    more = (*entry.tags, entry.polarity * is_main)
                    add_word(
                        weight,
                        ("adjective", group, form, mode),
                        *entry.english,
                        entry.korean + end,
                        *more,
                    )
        for group in verbs:
            for weight, entry in words["verb", group]:
                forms, more = _verb_forms(entry.korean), (*entry.tags, entry.polarity * is_main)
                for english, n in zip(entry.english, share, strict=True):
                    add_word(
                        weight, ("verb", group, n, mode), english, forms[mode], *more, finite=True
                    )
                    add_word(
                        weight,
                        ("never verb", group, n, mode),
                        english,
                        forms["negated"],
                        *more,
                        finite=True,
                    )
                add_word(weight, ("base", group, mode), entry.english[1], forms["negated"], *more)
            for n in share:
                left, chance, verb = (
                    ("verb phrase", group, n, mode),
                    chances["verb"],
                    ("verb", group, n, mode),
                )
                add(chance["plain"], left, verb)
                add(chance["adverb"], left, ("adverb", "manner"), verb)
                add(
                    chance["not"],
                    left,
                    ("do", n),
                    ("not", "verb", mode),
                    ("base", group, mode),
                    korean=(0, 2, 1),
                )
                never = ("never", mode), ("never verb", group, n, mode), ("auxiliary", "verb", mode)
                add(chance["never"], left, *never, leans={2: 0})
                if group in transitive:
                    add(1, ("does to", group, n, mode), left, ("what", group), korean=(1, 0))
        for c, about in classes.items():
            for form in endings_of:
                for group, body in adjectives.items():
                    weight = body["weight"] * likes(body["class"], c)
                    add(weight, ("quality", c, form, mode), ("adjective", group, form, mode))
            does = {
                group: body["weight"] * likes(body["subject"], c) for group, body in verbs.items()
            }
            copula = about["copula"] if is_main else chances["relative_copula"]
            for n in share:
                add(copula, ("predicate", c, n, mode), ("copula", c, n, mode))
                for group in verbs:
                    kind, phrase = (
                        ("transitive", "does to")
                        if group in transitive
                        else ("intransitive", "verb phrase")
                    )
                    weight = (
                        (1 - copula) * about[kind] / (about["transitive"] + about["intransitive"])
                    )
                    weight *= does[group] / sum(
                        does[g] for g in verbs if (g in transitive) is (group in transitive)
                    )
                    add(weight, ("predicate", c, n, mode), (phrase, group, n, mode))
                # "the film that is good" is missing on purpose: its Korean is that of "the good
                # film".
                left, chance, quality = (
                    ("copula", c, n, mode),
                    chances["copula"],
                    ("quality", c, "negated", mode),
                )
                add(chance["plain"] * is_main, left, ("be", n), ("quality", c, "plain", mode))
                add(
                    chance["degree"] * is_main,
                    left,
                    ("be", n),
                    ("adverb", "degree"),
                    ("quality", c, "plain", mode),
                )
                add(
                    chance["not"],
                    left,
                    ("be", n),
                    ("not", "adjective", mode),
                    quality,
                    korean=(0, 2, 1),
                )
                add(
                    chance["never"],
                    left,
                    ("be", n),
                    ("never", mode),
                    quality,
                    ("auxiliary", "adjective", mode),
                    leans={3: 1},
                )

    # Sentences, noun phrases, what stands behind a noun in English and before it in Korean
    for weight, c, n in phrases:
        sentence = ("noun phrase", c, n, "topic"), ("predicate", c, n, "main")
        add(weight * classes[c]["weight"], ("sentence",), *sentence, leans={1: 0})
        for group in transitive:
            add(
                weight * likes(verbs[group]["object"], c),
                ("what", group),
                ("noun phrase", c, n, "object"),
            )
            whom = (
                ("that",),
                ("noun phrase", c, n, "subject"),
                ("verb phrase", group, n, "adnominal"),
            )
            add(
                weight * likes(verbs[group]["subject"], c),
                ("whom", group),
                *whom,
                leans={2: 1},
                deeper=True,
            )
        for group, body in places.items():
            where = ("preposition", group), ("noun phrase", c, n, "bare")
            add(weight * likes(body["object"], c), ("place", group), *where, korean=(1, 0))
    for c in classes:
        for group, body in adjectives.items():
            add(
                body["weight"] * likes(body["class"], c),
                ("attribute", c),
                ("adjective", group, "attributive"),
            )
        undergoes = {
            group: verbs[group]["weight"] * likes(verbs[group]["object"], c) for group in transitive
        }
        for n in share:
            chance, behind = chances["modifier"], ("modifier", c, n)
            add(
                chance["subject_relative"],
                behind,
                ("that",),
                ("predicate", c, n, "adnominal"),
                deeper=True,
            )
            for group, weight in undergoes.items():
                add(
                    chance["object_relative"] * weight / sum(undergoes.values()),
                    behind,
                    ("whom", group),
                )
            for group, body in places.items():
                portion = body["weight"] / sum(other["weight"] for other in places.values())
                add(chance["place"] * portion, behind, ("place", group))
            odds = (
                (1.0 if n == "singular" else 1 - chances["bare"]),
                chances["adjective"],
                sum(chance.values()),
            )
            for role in ("topic", "subject", "object", "bare"):
                for weight, entry in words["noun", c]:
                    noun = entry.korean + "들" * (n == "plural")
                    english = entry.english[n == "plural"]
                    add_word(
                        weight,
                        ("noun", c, n, role),
                        english,
                        noun + particle(noun, role),
                        *entry.tags,
                    )
                for has in itertools.product(
                    (0, 1), repeat=3
                ):  # a determiner, an adjective, a modifier
                    weight = math.prod(
                        odd if one else 1 - odd for one, odd in zip(has, odds, strict=True)
                    )
                    front = [("determiner", n)] * has[0] + [("attribute", c)] * has[1]
                    children, k = (*front, ("noun", c, n, role), *[behind] * has[2]), len(front)
                    order = [k + 1] * has[2] + list(range(k + 1))
                    add(
                        weight,
                        ("noun phrase", c, n, role),
                        *children,
                        korean=order,
                        leans={k + 1: PARENT},
                        head=k,
                    )
    total: defaultdict[Symbol, float] = defaultdict(float)
    for rule in rules:
        total[rule.left] += rule.probability
    rules.sort(key=lambda rule: rule.left)
    return [rule._replace(probability=rule.probability / total[rule.left]) for rule in rules]
