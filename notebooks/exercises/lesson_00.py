"""Lesson 00, start here: checks, hints, solutions and typical wrong answers of its exercises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from course_utils.exercises import Exercise, Wrong
from course_utils.grammar import Pair, sample
from course_utils.text import PAD

Words = Sequence[str]


# ---- 0.1 the shape of a padded batch ---------------------------------------------------------------------------

SENTENCES = ("dogs run", "the girl loves the piano", "this cake rots")


def check_shape(answer: Any) -> str:
    shape, padding = answer
    rows = [len(sentence.split()) + 1 for sentence in SENTENCES]
    right = (len(rows), max(rows))
    if shape == right[::-1]:
        raise Wrong(f"{shape} has the axes the wrong way round: a batch comes first, so it is (N, T)")
    if shape == (right[0], right[1] - 1):
        raise Wrong("T counts the words of the longest sentence, but each sentence is ended by <eos>, which needs a place too")
    if shape == (right[0], right[1] + 1):
        raise Wrong("T is one too many: English is only ended by <eos>; <sos> is for the side that is written, Korean")
    if not (isinstance(shape, tuple) and len(shape) == 2):
        raise Wrong("a shape is a tuple of two numbers here, such as (4, 7): sentences, then steps")
    if shape != right:
        raise Wrong(f"N = {shape[0]}, T = {shape[1]} is not it: count the sentences for N, the longest one with its <eos> for T")
    if padding == sum(rows):
        raise Wrong("that is the number of real tokens; the padding is what remains of the N x T places")
    if padding != right[0] * right[1] - sum(rows):
        raise Wrong(f"{padding} places of padding is not it: take the real tokens, <eos> included, from the N x T places")
    return f"{right[0]} sentences in {right[1]} steps; a mask will tell the {padding} places of padding from the {sum(rows)} real ones."


# ---- 0.2 what kind of task ---------------------------------------------------------------------------------------

TASKS = ("sentiment", "caption", "tagging", "translation", "spam", "summary")
SHAPES = ("many-to-one", "one-to-many", "aligned", "sequence-to-sequence", "many-to-one", "sequence-to-sequence")
KINDS = ("NLU", "NLG", "NLU", "both", "NLU", "both")


def check_kinds(answer: Any) -> str:
    given = [str(word).strip() for word in answer]
    if len(given) != len(TASKS) * 2:
        raise Wrong(f"{len(TASKS)} tasks need {len(TASKS)} shapes and {len(TASKS)} kinds; {len(given)} answers came")
    for words, allowed in ((given[: len(TASKS)], set(SHAPES)), (given[len(TASKS) :], set(KINDS))):
        for word in words:
            if word not in allowed:
                raise Wrong(f"{word!r} is none of the words to choose from: {', '.join(sorted(allowed))}")
    for task, mine, right in zip(TASKS, given, SHAPES):
        if mine == right:
            continue
        if {mine, right} == {"aligned", "sequence-to-sequence"}:
            raise Wrong(f"{task}: aligned means exactly one output for each input, at the same step; ask whether the lengths may differ")
        if {mine, right} == {"one-to-many", "many-to-one"}:
            raise Wrong(f"{task}: the name says input first, then output: one-to-many has one input and a sequence as output")
        raise Wrong(f"{task} is not {mine}: ask how many inputs come in one after the other, and how many outputs go out")
    for task, mine, right in zip(TASKS, given[len(TASKS) :], KINDS):
        if mine == right:
            continue
        if right == "both":
            raise Wrong(f"{task} is more than {mine}: a text must be understood before another text can be written")
        if mine == "both":
            reason = "its input is a picture, and no text is read" if right == "NLG" else "its output is labels, and no text is written"
            raise Wrong(f"{task} is not both: {reason}")
        raise Wrong(f"{task} is not {mine}: understanding (NLU) reads text, generation (NLG) writes it")
    return "you know the four shapes of lesson 01, and that translation needs both, understanding and generation."


# ---- 0.3 Korean word order ---------------------------------------------------------------------------------------

PLAIN = {"DET", "PRON", "ADJ", "NOUN", "VERB", "ADV"}


@cache
def plain_pairs(adverbs: bool) -> tuple[Pair, ...]:
    """Main clauses with an object, without negation and without anything behind a noun."""
    tags = PLAIN if adverbs else PLAIN - {"ADV"}
    chosen = []
    for pair in sample(12_000, seed=31):
        names = [tag for tag in pair.tags if tag in ("NOUN", "VERB")]
        if set(pair.tags) <= tags and names == ["NOUN", "VERB", "NOUN"] and not {"never", "not", "that"} & set(pair.english):
            chosen.append(pair)
    return tuple(chosen[:300])


def korean_order(pair: Pair) -> list[str]:
    """The English words, each at the place of its Korean word."""
    return [pair.english[i] for i, _ in sorted(pair.alignment, key=lambda link: link[1])]


def verb_last(words: Words, tags: Words) -> list[str]:
    """The words in Korean order: what belongs to the verb (its adverb, then the verb) goes to the end."""
    front = [word for word, tag in zip(words, tags) if tag not in ("ADV", "VERB")]
    back = [word for word, tag in zip(words, tags) if tag in ("ADV", "VERB")]
    return front + back


def check_order(answer: Callable[[Words, Words], Any]) -> str:
    for pair in plain_pairs(adverbs=True):
        given, right = answer(pair.english, pair.tags), korean_order(pair)
        if isinstance(given, str):
            raise Wrong("your function gives one text; a list of words is wanted, so leave the words apart")
        got = list(given)
        if got == right:
            continue
        english, told = list(pair.english), f"'{' '.join(pair.english)}' becomes '{' '.join(got)}'"
        verb = english[pair.tags.index("VERB")]
        if sorted(got) != sorted(english):
            raise Wrong(f"{told}: {len(english)} words went in, so the same {len(english)} words must come out, in another order")
        if got == english:
            raise Wrong(f"{told}: that is the English order still; in Korean the verb stands last")
        if got == english[::-1]:
            raise Wrong(f"{told}: Korean is not English backwards; subject before object stays, only the verb moves")
        if got[-1] != verb:
            raise Wrong(f"{told}: the verb '{verb}' must be the last word")
        if "ADV" in pair.tags:
            raise Wrong(f"{told}: an adverb stays directly before its verb, so it moves to the end with it: '{' '.join(right)}'")
        raise Wrong(f"{told}: only the verb moves, all other words keep their order: '{' '.join(right)}'")
    return "one rule puts every plain sentence with an object into Korean order. Relative clauses and negation need more rules."


def order_without_adverb(words: Words, tags: Words) -> list[str]:
    return [w for w, tag in zip(words, tags) if tag != "VERB"] + [w for w, tag in zip(words, tags) if tag == "VERB"]


def order_loses_adverb(words: Words, tags: Words) -> list[str]:
    return [w for w, tag in zip(words, tags) if tag not in ("ADV", "VERB")] + [w for w, tag in zip(words, tags) if tag == "VERB"]


def order_verb_first(words: Words, tags: Words) -> list[str]:
    return [w for w, tag in zip(words, tags) if tag == "VERB"] + [w for w, tag in zip(words, tags) if tag != "VERB"]


# ---- 0.4 find the bug: a score that counts padding --------------------------------------------------------------

def word_accuracy(predicted: np.ndarray, true: np.ndarray) -> float:
    """Share of the true tokens (the words and <eos>) that are predicted at their place. Both (N, T)."""
    real = true != PAD  # (N, T)
    return float((predicted == true)[real].mean())


def check_score(answer: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    rng = np.random.default_rng()
    for _ in range(20):
        n, steps = int(rng.integers(3, 8)), int(rng.integers(6, 11))
        lengths = rng.integers(1, steps - 2, size=n)
        true = np.where(np.arange(steps) < lengths[:, None], rng.integers(3, 9, size=(n, steps)), PAD)
        wrong = rng.random((n, steps)) < 0.4
        predicted = np.where(wrong, rng.integers(9, 12, size=(n, steps)), true)  # also writes on where padding should be
        predicted[0, lengths[0] - 1 :] = PAD  # and stops too early once
        hit, real = predicted == true, true != PAD
        right = float(hit[real].mean())
        got = answer(predicted.copy(), true.copy())
        if np.ndim(got) != 0:
            raise Wrong(f"one number is wanted for the whole batch; yours has the shape {np.shape(got)}")
        if np.isclose(float(got), right):
            continue
        guesses = {
            "padding still counts: where both have <pad> you call it right. Leave the places out at which `true` is <pad>": hit.mean(),
            "padding is no hit any more, but you still divide by all N x T places; divide by the number of true tokens": hit[real].sum() / hit.size,
            "your mask comes from `predicted`: a model that stops early then hides the words that it left out. Take it from `true`":
                hit[predicted != PAD].mean(),
            "you leave out a place when either of the two is <pad>: a word that was left out must count as an error":
                hit[real & (predicted != PAD)].mean(),
            "you average the sentences' shares: a word in a short sentence then weighs more. Divide all hits by all true tokens":
                np.mean([hit[row][real[row]].mean() for row in range(n)]),
            "that is the share of whole sentences that are right; the question is about single tokens":
                np.mean([hit[row][real[row]].all() for row in range(n)]),
            "that is the share of errors; the share of hits is wanted": 1 - right,
        }  # fmt: skip
        for message, value in guesses.items():
            if np.isclose(float(got), value):
                raise Wrong(message)
        raise Wrong(f"on a random batch the score is {float(got):.3f} and should be {right:.3f}: hits among true tokens / true tokens")
    return "padding earns nothing now. The empty translator falls to the 0 that it deserves."


# ---- 0.5 an evening: translation by rules -----------------------------------------------------------------------

Lexicon = dict[tuple[str, str], str]


@cache
def plain_lexicon() -> Lexicon:
    """(English word, its tag) -> Korean word, nouns without their particle."""
    found: Lexicon = {}
    for pair in plain_pairs(adverbs=True):
        for i, j in pair.alignment:
            korean = pair.korean[j][:-1] if pair.tags[i] == "NOUN" else pair.korean[j]
            found[pair.english[i], pair.tags[i]] = korean
    return found


def rules(words: Words, tags: Words, lexicon: Lexicon) -> list[str]:
    """Korean by rules: verb last; 은/는 behind the subject, 을/를 behind the object, by the noun's last sound."""
    verb = list(tags).index("VERB")
    front, back = [], []
    for place, (word, tag) in enumerate(zip(words, tags)):
        korean = lexicon[word, tag]
        if tag == "NOUN":
            closed = (ord(korean[-1]) - ord("가")) % 28 != 0  # the last syllable ends in a consonant
            korean += ("은" if closed else "는") if place < verb else ("을" if closed else "를")
        (back if tag in ("ADV", "VERB") else front).append(korean)
    return front + back


def check_rules(answer: Callable[[Words, Words, Lexicon], Any]) -> str:
    lexicon, pairs = plain_lexicon(), plain_pairs(adverbs=True)
    for pair in pairs:
        given, right = answer(pair.english, pair.tags, dict(lexicon)), list(pair.korean)
        if isinstance(given, str):
            raise Wrong("your function gives one text; a list of Korean words is wanted, so leave the words apart")
        got = list(given)
        if got == right:
            continue
        told = f"'{' '.join(pair.english)}' becomes '{' '.join(map(str, got))}', and right is '{' '.join(right)}'"
        bare = [lexicon[word, tag] for word, tag in zip(pair.english, pair.tags)]
        if any(word not in lexicon.values() and word[:-1] not in lexicon.values() for word in map(str, got)):
            raise Wrong(f"{told}. A word in yours is not from the lexicon: look it up as lexicon[word, tag]")
        if sorted(got) == sorted(right) and [word[:-1] for word in got] != [word[:-1] for word in right]:
            raise Wrong(f"{told}. The words are all right, their order is not: adverb and verb go to the end")
        if sorted(got) == sorted(bare):
            raise Wrong(f"{told}. The nouns have no particle: the subject wants 은 or 는, the object 을 or 를")
        if len(got) != len(right):
            raise Wrong(f"{told}. It has {len(got)} words, and should have {len(right)}: one for each English word")
        swap = str.maketrans("은는을를", "는은를을")
        roles = str.maketrans("은는을를", "을를은는")
        for mine, true in zip(got, right):
            if mine == true:
                continue
            if mine[:-1] == true[:-1] and mine[-1].translate(swap) == true[-1]:
                raise Wrong(f"{told}. {true[:-1]} wants the other form: 은 and 을 after a final consonant, 는 and 를 after a vowel")
            if mine[:-1] == true[:-1] and mine[-1].translate(roles) == true[-1]:
                raise Wrong(f"{told}. 은/는 marks the subject (before the verb in English), 을/를 the object (behind it)")
            raise Wrong(f"{told}. The first difference is {mine}, where {true} should stand")
    return f"your rules translate all of {len(pairs)} plain sentences. Now count the rules that negation and relative clauses would need."


def rules_with(order: Callable[[Words, Words], list[str]], subject: str, object_: str) -> Callable[[Words, Words, Lexicon], list[str]]:
    """A typical wrong answer: one fixed pair of forms (consonant, vowel) for each role, and an order."""

    def wrong(words: Words, tags: Words, lexicon: Lexicon) -> list[str]:
        verb, korean = list(tags).index("VERB"), {}
        for place, (word, tag) in enumerate(zip(words, tags)):
            found = lexicon[word, tag]
            forms = (subject if place < verb else object_) if tag == "NOUN" else ""
            closed = (ord(found[-1]) - ord("가")) % 28 != 0
            korean[str(place)] = found + (forms[0 if closed else -1] if forms else "")
        return [korean[place] for place in order([str(place) for place in range(len(words))], tags)]

    return wrong


def same_order(words: Words, tags: Words) -> list[str]:
    return list(words)


EXERCISES: dict[str, Exercise] = {
    "0.1": Exercise(
        check_shape,
        "Count the tokens of each sentence with its <eos>. The longest gives T; the others are filled up to it.",
        ((3, 6), 5),
        {
            "no place for eos": ((3, 5), 5),
            "axes exchanged": ((6, 3), 5),
            "sos as well": ((3, 7), 5),
            "real tokens": ((3, 6), 13),
            "padding as if nothing had an eos": ((3, 6), 8),
        },
        text="Lengths with <eos>: 3, 6, 4. So (N, T) = (3, 6), 18 places, 13 real tokens and 5 places of padding:\n((3, 6), 5)",
    ),
    "0.2": Exercise(
        check_kinds,
        "Ask twice: what comes in (one thing, or a sequence), and what goes out (one thing, a sequence of the same length, or of any length)? "
        "Then: is text read, written, or both?",
        [*SHAPES, *KINDS],
        {
            "tagging as sequence-to-sequence": [*SHAPES[:2], "sequence-to-sequence", *SHAPES[3:], *KINDS],
            "caption and sentiment exchanged": ["one-to-many", "many-to-one", *SHAPES[2:], *KINDS],
            "translation is generation only": [*SHAPES, *KINDS[:3], "NLG", *KINDS[4:]],
            "NLU and NLG exchanged": [*SHAPES, "NLG", *KINDS[1:]],
            "a word of its own": [*SHAPES[:2], "N:N", *SHAPES[3:], *KINDS],
            "spam filter is both": [*SHAPES, *KINDS[:4], "both", KINDS[5]],
        },
        text="\n".join(f"{task:12} {shape:21} {kind}" for task, shape, kind in zip(TASKS, SHAPES, KINDS)),
    ),
    "0.3": Exercise(
        check_order,
        "Go through words and tags together. Which tags move to the end, and in which order do they stand there?",
        verb_last,
        {
            "English order": same_order,
            "backwards": lambda words, tags: list(words)[::-1],
            "verb first": order_verb_first,
            "adverb forgotten at its place": order_without_adverb,
            "adverb lost": order_loses_adverb,
            "one text": lambda words, tags: " ".join(verb_last(words, tags)),
        },
    ),
    "0.4": Exercise(
        check_score,
        "Make a mask (N, T) that is True at the true tokens, and take the mean of the hits under that mask alone.",
        word_accuracy,
        {
            "padding counts": lambda predicted, true: float((predicted == true).mean()),
            "mask of the prediction": lambda predicted, true: float((predicted == true)[predicted != PAD].mean()),
            "divided by all places": lambda predicted, true: float(((predicted == true) & (true != PAD)).sum() / true.size),
            "mean of sentences": lambda predicted, true: float(
                np.mean([(p == t)[t != PAD].mean() for p, t in zip(predicted, true)])
            ),
            "errors": lambda predicted, true: float((predicted != true)[true != PAD].mean()),
            "whole sentences": lambda predicted, true: float(((predicted == true) | (true == PAD)).all(axis=1).mean()),
        },
    ),
    "0.5": Exercise(
        check_rules,
        "Start from 0.3. Where a noun stands in the English sentence, before or behind the verb, tells its particle; "
        "(ord(syllable) - ord('가')) % 28 is 0 for a syllable that ends in a vowel.",
        rules,
        {
            "no particles": rules_with(verb_last, "", ""),
            "English order": rules_with(same_order, "은는", "을를"),
            "one form for all": rules_with(verb_last, "은은", "을을"),
            "roles exchanged": rules_with(verb_last, "을를", "은는"),
            "not from the lexicon": lambda words, tags, lexicon: verb_last(words, tags),
            "one text": lambda words, tags, lexicon: " ".join(rules(words, tags, lexicon)),
            "verb left out": lambda words, tags, lexicon: rules(words, tags, lexicon)[:-1],
        },
    ),
}  # fmt: skip
