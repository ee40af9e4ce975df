"""Exercises of lesson 00: Start here."""

from __future__ import annotations

from functools import cache

import numpy as np

from course_utils.grading import ask, exercise
from course_utils.grammar import sample
from course_utils.text import EOS, PAD

EXERCISES = {}


@cache
def plain_pairs():
    """English words to their pair: 100 plain main clauses, those with an adverb first.

    Plain: with an object and a known subject (without a, an, some), without negation, without
    anything behind a noun.
    """
    plain = {"DET", "PRON", "ADJ", "NOUN", "VERB", "ADV"}
    pairs = []
    for pair in sample(1500, seed=31):
        main = [tag for tag in pair.tags if tag in ("NOUN", "VERB")] == ["NOUN", "VERB", "NOUN"]
        subject = pair.english[: pair.tags.index("VERB")] if main else ()
        new = {"a", "an", "some"} & set(subject)  # their particle is 이/가
        left_out = {"never", "not", "that"} & set(pair.english)
        if main and set(pair.tags) <= plain and not new and not left_out:
            pairs.append(pair)
    pairs.sort(key=lambda pair: "ADV" not in pair.tags)
    return {pair.english: pair for pair in pairs[:100]}


# 0.1 The shape of a padded batch

EXERCISES["0.1"] = exercise(
    ((3, 6), 5),
    None,
    others={
        "no position for eos": (
            ((3, 5), 5),
            (
                "T counts the words of the longest sentence, but each sentence ends with <eos>,"
                " which needs a position too"
            ),
        ),
        "axes exchanged": (
            ((6, 3), 5),
            "(6, 3) has the axes the wrong way round: the batch comes first, so it is (N, T)",
        ),
        "sos as well": (
            ((3, 7), 5),
            (
                "T is one too many: English only gets <eos> at its end; <sos> is for the side that"
                " is written, Korean"
            ),
        ),
        "real tokens": (
            ((3, 6), 13),
            "13 is the number of real tokens; the padding is what remains of the N x T positions",
        ),
        "padding as if nothing had an eos": ((3, 6), 8),
    },
    names=("the shape", "the padding"),
    otherwise=(
        "N counts the sentences, T the tokens of the longest one with its <eos>; for the padding"
        " subtract the real tokens, <eos> included, from the N x T positions"
    ),
    hint=(
        "Count the tokens of each sentence with its <eos>. The longest gives T; the others are"
        " filled up to it."
    ),
    praise=(
        "3 sentences in 6 steps; a mask will tell the 5 positions of padding from the 13 real ones."
    ),
    text=(
        "Lengths with <eos>: 3, 6, 4. So (N, T) = (3, 6), 18 positions, 13 real tokens and 5"
        " positions of padding:\n((3, 6), 5)"
    ),
)


# 0.2 What kind of task

TASKS = {
    "sentiment": ("many-to-one", "NLU"),
    "caption": ("one-to-many", "NLG"),
    "tagging": ("aligned", "NLU"),
    "translation": ("sequence-to-sequence", "both"),
    "spam": ("many-to-one", "NLU"),
    "summary": ("sequence-to-sequence", "both"),
}
SHAPES, KINDS = zip(*TASKS.values())


def wrong_word(given, got, right):
    number = next(n for n, (word, true) in enumerate(zip(got, right)) if word != true)
    task, words = [*TASKS][number % len(TASKS)], SHAPES if number < len(TASKS) else KINDS
    if got[number] not in words:
        choice = ", ".join(sorted(set(words)))
        return f"{got[number]!r} is none of the words to choose from: {choice}"
    return f"{task} is not {got[number]}: {reason({got[number], right[number]}, right[number])}"


def reason(pair, true):
    if pair == {"aligned", "sequence-to-sequence"}:
        return (
            "aligned means exactly one output for each input, at the same step; ask whether the"
            " lengths may differ"
        )
    if pair == {"one-to-many", "many-to-one"}:
        return (
            "the name says input first, then output: one-to-many has one input and a sequence as"
            " output"
        )
    if true in SHAPES:
        return "ask how many inputs come in one after the other, and how many outputs go out"
    if true == "both":
        return "a text must be understood before another text can be written, so it is both"
    if pair == {"both", "NLG"}:
        return "its input is a picture, and no text is read"
    if pair == {"both", "NLU"}:
        return "its output is labels, and no text is written"
    return "understanding (NLU) reads text, generation (NLG) writes it"


EXERCISES["0.2"] = exercise(
    (*SHAPES, *KINDS),
    None,
    others={
        "tagging as sequence-to-sequence": [*SHAPES[:2], SHAPES[3], *SHAPES[3:], *KINDS],
        "caption and sentiment exchanged": ["one-to-many", "many-to-one", *SHAPES[2:], *KINDS],
        "summary has one output": [*SHAPES[:5], "many-to-one", *KINDS],
        "translation is generation only": [*SHAPES, *KINDS[:3], "NLG", *KINDS[4:]],
        "NLU and NLG exchanged": [*SHAPES, "NLG", *KINDS[1:]],
        "a word of its own": [*SHAPES[:2], "N:N", *SHAPES[3:], *KINDS],
        "caption is both": [*SHAPES, "NLU", "both", *KINDS[2:]],
        "spam filter is both": [*SHAPES, *KINDS[:4], "both", KINDS[5]],
    },
    names=[*TASKS, *TASKS],
    otherwise=wrong_word,
    hint=(
        "Ask twice: what comes in (one thing, or a sequence), and what goes out (one thing, a"
        " sequence of the same length, or of any length)? Then: is text read, written, or both?"
    ),
    praise=(
        "you know the four shapes of lesson 01, and that translation needs both, understanding and"
        " generation."
    ),
    text="\n".join(f"{task:12} {shape:21} {kind}" for task, (shape, kind) in TASKS.items()),
)


# 0.3 Korean word order


def verb_last(words, tags):
    front = [word for word, tag in zip(words, tags) if tag not in ("ADV", "VERB")]
    back = [word for word, tag in zip(words, tags) if tag in ("ADV", "VERB")]
    return front + back


def as_list(answer, *given):
    got = ask(answer, *given)
    return list(got) if isinstance(got, np.ndarray) else got


def aligned_order(words, tags):
    """The English words, each at the position of its Korean word."""
    links = plain_pairs()[words].alignment
    return [words[i] for i, _ in sorted(links, key=lambda link: link[1])]


EXERCISES["0.3"] = exercise(
    verb_last,
    lambda: [(pair.english, pair.tags) for pair in plain_pairs().values()],
    """
English order: `front + back` -> `list(words)`
    that is still the English order; in Korean the verb stands last
backwards: `front + back` -> `list(words)[::-1]`
    Korean is not English backwards; subject before object stays, only the verb moves
verb first: `not in ("ADV", "VERB")` -> `!= "VERB"` `tag in ("ADV", "VERB")` -> `tag == "VERB"`
    `front + back` -> `back + front`
    the verb must be the last word; yours puts it first
adverb left behind: `not in ("ADV", "VERB")` -> `!= "VERB"`
    `tag in ("ADV", "VERB")` -> `tag == "VERB"`
    an adverb stays directly before its verb, so it moves to the end with it
adverb last: `front + back` -> `front + back[::-1]`
    the verb must be the last word, and its adverb stands directly before it
adverb lost: `tag in ("ADV", "VERB")` -> `tag == "VERB"`
    the adverb is lost: the words that went in must all come out, in another order
""",
    others={
        "one text": (
            lambda words, tags: " ".join(verb_last(words, tags)),
            (
                "your function gives one text; it should give a list of words, so leave the words"
                " apart"
            ),
        )
    },
    otherwise="Only the verb and its adverb move; all other words keep their order",
    use=as_list,
    truth=aligned_order,
    hint=(
        "Go through words and tags together. Which tags move to the end, and in which order do they"
        " stand there?"
    ),
    praise=(
        "one rule puts every plain sentence with an object into Korean order. Relative clauses and"
        " negation need more rules."
    ),
)


# 0.4 Find the bug: a score that counts padding


def word_accuracy(predicted, true):
    real = true != PAD  # (N, T)
    hits = (predicted == true) & real
    return float(hits.sum() / real.sum())


def score_cases():
    rng = np.random.default_rng(4)
    for n, steps in ((3, 8), (6, 9), (5, 11)):
        ends = rng.integers(1, steps - 2, size=(n, 1))
        place = np.arange(steps)
        true = np.where(place < ends, rng.integers(4, 9, size=(n, steps)), PAD)
        true = np.where(place == ends, EOS, true)
        wrong = rng.random((n, steps)) < 0.4
        # also writes on where padding should be, and stops too early once
        predicted = np.where(wrong, rng.integers(9, 12, size=(n, steps)), true)
        predicted[0, ends[0, 0] :] = PAD
        yield predicted, true


EXERCISES["0.4"] = exercise(
    word_accuracy,
    score_cases,
    """
padding counts: ` & real` -> `` `real.sum()` -> `real.size`
    padding still counts: where both have <pad> you call it right. Leave out the positions at which
    `true` is <pad>
divided by all: `real.sum()` -> `real.size`
    padding is no hit any more, but you still divide by all N x T positions; divide by the number of
    true tokens
mask of the prediction: `true != PAD` -> `predicted != PAD`
    your mask comes from `predicted`: a model that stops early then hides the words that it left
    out. Take it from `true`
either is padding: `true != PAD` -> `(true != PAD) & (predicted != PAD)`
    you leave out a position when either of the two is <pad>: a word that was left out must count as
    an error
eos left out: `true != PAD` -> `(true != PAD) & (true != EOS)`
    you leave out <eos> as well; it is a token that the model must predict, so it counts
mean of sentences: `hits.sum() / real.sum()` -> `(hits.sum(axis=1) / real.sum(axis=1)).mean()`
    you average the sentences' shares: a word in a short sentence then weighs more. Divide all hits
    by all true tokens
whole sentences: `hits.sum() / real.sum()` -> `(hits == real).all(axis=1).mean()`
    that is the share of whole sentences that are right; the question is about single tokens
errors: `predicted == true` -> `predicted != true`
    that is the share of errors; the share of hits is asked for
""",
    otherwise=(
        "It is the number of hits among the true tokens, divided by the number of true tokens"
    ),
    hint=(
        "Make a mask (N, T) that is True at the true tokens, and take the mean of the hits under"
        " that mask alone."
    ),
    praise="padding earns nothing now. The empty translator falls to the 0 that it deserves.",
)


# 0.5 Translation by rules


def rules(words, tags, lexicon):
    front, back = [], []
    after_consonant, after_vowel = "은", "는"  # of the subject
    for word, tag in zip(words, tags):
        korean = lexicon[word, tag]
        if tag == "VERB":
            after_consonant, after_vowel = "을", "를"  # of the object, which follows
        if tag == "NOUN":
            final = (ord(korean[-1]) - ord("가")) % 28  # 0: the last syllable ends in a vowel
            korean += after_consonant if final else after_vowel
        (back if tag in ("ADV", "VERB") else front).append(korean)
    return front + back


def rules_cases():
    """Each with its lexicon: (English word, tag) to Korean word, nouns without particle."""
    for pair in plain_pairs().values():
        lexicon = {}
        for i, j in pair.alignment:
            noun = pair.tags[i] == "NOUN"
            lexicon[pair.english[i], pair.tags[i]] = pair.korean[j][: -1 if noun else None]
        yield pair.english, pair.tags, lexicon


EXERCISES["0.5"] = exercise(
    rules,
    rules_cases,
    """
no particles: `korean += after_consonant if final else after_vowel` -> `pass`
    the nouns have no particle: the subject needs 은 or 는, the object 을 or 를
English order: `(back if tag in ("ADV", "VERB") else front)` -> `front`
    the words are all right, their order is not: adverb and verb go to the end
adverb left behind: `tag in ("ADV", "VERB")` -> `tag == "VERB"`
    the words are all right, but the adverb goes to the end too, directly before the verb
one form for all: ` if final else after_vowel` -> ``
    these are the forms after a final consonant, 은 and 을; a noun that ends in a vowel needs the
    other form, 는 or 를
forms exchanged: `if final` -> `if not final`
    a noun needs the other form: 은 and 을 stand after a final consonant, 는 and 를 after a vowel
roles exchanged: `"은", "는"` -> `"을", "를"` `"을", "를"  # of the o` -> `"은", "는"  # of the o`
    은/는 marks the subject (before the verb in English), 을/를 the object (after the verb)
verb left out: `front + back` -> `(front + back)[:-1]`
    a word is missing: there is one Korean word for each English word, and yours leaves out the verb
""",
    others={
        "not from the lexicon": (
            lambda words, tags, lexicon: verb_last(words, tags),
            "a word in yours is not from the lexicon: look it up as lexicon[word, tag]",
        ),
        "one text": (
            lambda words, tags, lexicon: " ".join(rules(words, tags, lexicon)),
            (
                "your function gives one text; it should give a list of Korean words, so leave the"
                " words apart"
            ),
        ),
    },
    use=as_list,
    truth=lambda words, tags, lexicon: list(plain_pairs()[words].korean),
    hint=(
        "Start from 0.3. Where a noun stands in the English sentence, before or after the verb,"
        " tells its particle; (ord(syllable) - ord('가')) % 28 is 0 for a syllable that ends in a"
        " vowel."
    ),
    praise=(
        "your rules translate all 100 plain sentences. Now count the rules that negation and"
        " relative clauses would need."
    ),
)
