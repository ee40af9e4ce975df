"""The rules of the two-language grammar, made from the words and numbers of data/lexicon.toml.

A rule says what a symbol becomes in English and, with the same children in another order, in
Korean. Symbols carry what must agree: class and number of a noun phrase, its role (which Korean
marks by a particle), number of a verb and whether it ends the sentence or stands before a noun. How
to draw and parse sentences: `course_utils.grammar`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Symbol = tuple[str, ...]
INHERIT, PARENT = -1, -2  # where a child's link leads, if not to a sibling (see Rule)
BRINGS_IN = ("a", "some")  # determiners whose noun is new: as a subject it takes 이/가, not 은/는
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


def takes_short_negation(stem: str) -> bool:
    """Whether *not* is 안 before the word (안 본다), as it is where the stem has one syllable.

    A longer stem takes -지 않다 behind it: 지켜보지 않는다.
    """
    return len(stem) == 1


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

    def share_of(kind: str, group: str, belongs: Callable[[Entry], bool]) -> float:
        """The share of the entries that belong, by their weights."""
        row = words[kind, group]
        return sum(weight for weight, entry in row if belongs(entry)) / sum(w for w, _ in row)

    def brings_in(entry: Entry) -> bool:
        return entry.english[0] in BRINGS_IN

    def is_short(entry: Entry) -> bool:
        return takes_short_negation(entry.korean)

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
            if kind in ("preposition", "adverb"):
                add_word(weight, (kind, group), *entry.english, entry.korean, *entry.tags)
            if kind == "preposition":  # 근처의 before a noun, 근처에서는 at the head of a sentence
                topic = entry.korean.removesuffix("의") + "에서는"
                add_word(weight, ("setting", group), *entry.english, topic, *entry.tags)
            elif kind == "determiner":
                news = "new" if brings_in(entry) else "known"
                add_word(weight, (kind, group, news), *entry.english, entry.korean, *entry.tags)
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
        add_word(1, ("not", "short", mode), "not", "안", "PART", "ADV", negative=is_main)
        add_word(1, ("never", mode), "never", "결코", "ADV", "ADV", negative=is_main)
        for group in adjectives:
            for weight, entry in words["adjective", group]:
                ended = entry.korean + "다" if is_main else entry.attributive
                forms = {"never": entry.korean + "지"}
                forms |= {"plain": ended} if is_main else {}
                forms |= {"short": ended} if is_short(entry) else {"long": forms["never"]}
                for form, korean in forms.items():
                    word = (*entry.english, korean, *entry.tags, entry.polarity * is_main)
                    add_word(weight, ("adjective", group, form, mode), *word)
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
                form, korean = ("short", mode) if is_short(entry) else ("long", "negated")
                base = "base", group, form, mode
                add_word(weight, base, entry.english[1], forms[korean], *more)
            short = share_of("verb", group, is_short)
            for n in share:
                left, chance, verb = (
                    ("verb phrase", group, n, mode),
                    chances["verb"],
                    ("verb", group, n, mode),
                )
                add(chance["plain"], left, verb)
                add(chance["adverb"], left, ("adverb", "manner"), verb)
                no = ("do", n), ("not", "short", mode), ("base", group, "short", mode)
                add(chance["not"] * short, left, *no)
                no = ("do", n), ("not", "verb", mode), ("base", group, "long", mode)
                add(chance["not"] * (1 - short), left, *no, korean=(0, 2, 1))
                never = ("never", mode), ("never verb", group, n, mode), ("auxiliary", "verb", mode)
                add(chance["never"], left, *never, leans={2: 0})
                if group in transitive:
                    add(1, ("does to", group, n, mode), left, ("what", group), korean=(1, 0))
        for c, about in classes.items():
            qualities = {
                g: body["weight"] * likes(body["class"], c) for g, body in adjectives.items()
            }
            shorts = {g: share_of("adjective", g, is_short) for g in adjectives}
            short = sum(qualities[g] * shorts[g] for g in adjectives) / sum(qualities.values())
            for group, weight in qualities.items():
                parts = {"never": 1, "short": shorts[group], "long": 1 - shorts[group]}
                for form, part in (parts | {"plain": 1 * is_main}).items():
                    quality = "quality", c, form, mode
                    add(weight * part, quality, ("adjective", group, form, mode))
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
                    weight = about[kind] / (about["transitive"] + about["intransitive"])
                    weight *= does[group] / sum(
                        does[g] for g in verbs if (g in transitive) is (group in transitive)
                    )
                    add(weight * (1 - copula), ("predicate", c, n, mode), (phrase, group, n, mode))
                    add(weight * is_main, ("action", c, n, mode), (phrase, group, n, mode))
                # "the film that is good" is missing on purpose: its Korean is that of "the good
                # film".
                copula_phrase, chance = ("copula", c, n, mode), chances["copula"]
                is_are, auxiliary = ("be", n), ("auxiliary", "adjective", mode)
                is_so, is_no_short, is_no_long, is_never = (
                    ("quality", c, form, mode) for form in ("plain", "short", "long", "never")
                )
                add(chance["plain"] * is_main, copula_phrase, is_are, is_so)
                add(chance["degree"] * is_main, copula_phrase, is_are, ("adverb", "degree"), is_so)
                negation: tuple[Symbol, ...] = (is_are, ("not", "short", mode), is_no_short)
                add(chance["not"] * short, copula_phrase, *negation)
                negation = (is_are, ("not", "adjective", mode), is_no_long)
                add(chance["not"] * (1 - short), copula_phrase, *negation, korean=(0, 2, 1))
                negation = (is_are, ("never", mode), is_never, auxiliary)
                add(chance["never"], copula_phrase, *negation, leans={3: 1})

    # Sentences, noun phrases, what stands behind a noun in English and before it in Korean
    for weight, c, n in phrases:
        frequency, setting = weight * classes[c]["weight"], chances["setting"]
        sentence: tuple[Symbol, ...]
        sentence = ("noun phrase", c, n, "topic"), ("predicate", c, n, "main")
        add(frequency * (1 - setting), ("sentence",), *sentence, leans={1: 0})
        # "near the park a dog runs": the place is the topic, so the subject takes 이/가
        sentence = ("setting",), ("noun phrase", c, n, "subject"), ("action", c, n, "main")
        add(frequency * setting, ("sentence",), *sentence, leans={2: 1})
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
            where: tuple[Symbol, ...] = (("preposition", group), ("noun phrase", c, n, "bare"))
            add(weight * likes(body["object"], c), ("place", group), *where, korean=(1, 0))
            portion = body["weight"] / sum(other["weight"] for other in places.values())
            where = (("setting", group), ("short noun phrase", c, n))
            add(portion * weight * likes(body["object"], c), ("setting",), *where, korean=(1, 0))
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
            some, new = 1 - chances["bare"] * (n == "plural"), share_of("determiner", n, brings_in)
            articles = {"new": some * new, "known": some * (1 - new), "": 1 - some}
            adjectival, modified = chances["adjective"], sum(chance.values())
            for role in ("topic", "subject", "object", "bare"):
                for weight, entry in words["noun", c]:
                    korean = entry.korean + "들" * (n == "plural")
                    written = entry.english[n == "plural"], korean + particle(korean, role)
                    add_word(weight, ("noun", c, n, role), *written, *entry.tags)
                for (article, p), adjective in itertools.product(articles.items(), (0, 1)):
                    weight = p * (adjectival if adjective else 1 - adjectival)
                    front: list[Symbol] = [("determiner", n, article)] * (article != "")
                    front += [("attribute", c)] * adjective
                    marked = "subject" if (role, article) == ("topic", "new") else role
                    words_of, k = (*front, ("noun", c, n, marked)), len(front)
                    whole, order = ("noun phrase", c, n, role), (k + 1, *range(k + 1))
                    add(weight * (1 - modified), whole, *words_of, head=k)
                    leans = {k + 1: PARENT}
                    add(
                        weight * modified,
                        whole,
                        *words_of,
                        behind,
                        korean=order,
                        leans=leans,
                        head=k,
                    )
                    if role == "bare":
                        add(weight, ("short noun phrase", c, n), *words_of, head=k)
    total: defaultdict[Symbol, float] = defaultdict(float)
    for rule in rules:
        total[rule.left] += rule.probability
    rules.sort(key=lambda rule: rule.left)
    return [rule._replace(probability=rule.probability / total[rule.left]) for rule in rules]
