"""Exercises of lesson 02: Tokenization."""

from __future__ import annotations

import random
from collections import Counter

from course_utils.grading import Wrong, ask, exercise

EXERCISES = {}


# 2.1 The topic particle


def topic(noun):
    final = (ord(noun[-1]) - 0xAC00) % 28  # 0: the last syllable has no final consonant
    return noun + ("은" if final else "는")


def topic_cases():
    """One case of 422 nouns: each of the 28 endings with 15 beginnings."""
    chance = random.Random(1)
    nouns = ["집", "학교"]
    for final in range(28):
        for _ in range(15):
            first, last = chance.randrange(11_172), 28 * chance.randrange(399) + final
            nouns.append(chr(0xAC00 + first) + chr(0xAC00 + last))
    return [(nouns,)]


def all_topics(answer, nouns):
    texts = [ask(answer, noun) for noun in nouns]
    for noun, text in zip(nouns, texts):
        if not isinstance(text, str):
            raise Wrong(f"return a string, such as '집은'; for {noun!r} you returned {text!r}")
    return texts


def wrong_noun(given, got, right):
    noun, yours, true = next(row for row in zip(given[0], got, right) if row[1] != row[2])
    final = (ord(noun[-1]) - 0xAC00) % 28
    ending = f"the final consonant number {final}" if final else "no final consonant"
    return f"{noun!r} ends in a syllable with {ending}, so {true!r}; yours is {yours!r}"


EXERCISES["2.1"] = exercise(
    topic,
    topic_cases,
    """
particle alone: `noun + (` -> `(`
    return the noun together with its particle, '집은', and not the particle alone
은 and 는 exchanged: `if final` -> `if not final`
    the two are exchanged: 은 stands after a final consonant (집은), 는 after a vowel (학교는)
the first syllable: `noun[-1]` -> `noun[0]`
    you look at the first syllable; the LAST one decides: '각하' ends in a vowel, so '각하는'
0xAC00 not subtracted: `(ord(noun[-1]) - 0xAC00)` -> `ord(noun[-1])`
    the list of syllables begins at 0xAC00, which is no multiple of 28: subtract it before you take
    the remainder
ㄹ as in 로/으로: `if final` -> `if final not in (0, 8)`
    ㄹ is a final consonant like any other here: '물은'. (로/으로 treats ㄹ differently,
    은/는 does not)
always 은: `"은" if final else "는"` -> `"은"`
    your function always gives 은; (code - 0xAC00) % 28 is the final consonant, and 0 means there is
    none
always 는: `"은" if final else "는"` -> `"는"`
    your function always gives 는; (code - 0xAC00) % 28 is the final consonant, and 0 means there is
    none
""",
    use=all_topics,
    otherwise=wrong_noun,
    hint=(
        "f, the final consonant, is what remains when the syllable's position in the list of"
        " syllables is divided by 28; only the last syllable matters."
    ),
    praise=(
        "422 nouns choose as they should, with each final consonant and with none. One remainder"
        " of a division knows what a table would need pages for."
    ),
)


# 2.2 The next merge


def next_merge(words):
    pairs = Counter()
    for word, count in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] += count
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


def merge_cases():
    yield ({(1, 2): 9, (1, 3): 1, (4, 1, 3): 1},)
    yield ({(5, 5, 5): 2, (1, 2): 3},)
    yield ({(2, 7): 3, (4, 9): 3, (2, 5): 3, (8, 1): 2},)
    chance = random.Random(2)
    for _ in range(60):
        words = [[chance.randrange(6) for _ in range(chance.randrange(2, 7))] for _ in range(8)]
        yield ({tuple(word): chance.randrange(1, 5) for word in words},)


def is_pair(given, got):
    if not (isinstance(got, tuple) and len(got) == 2):
        raise Wrong(f"return the pair as a tuple of two ids, such as (8, 9); you returned {got!r}")


EXERCISES["2.2"] = exercise(
    next_merge,
    merge_cases,
    """
word counts forgotten: `+= count` -> `+= 1`
    a word that stands 9 times brings its pairs 9 times: multiply by the word's count. You counted
    distinct words
once a word: `zip(word, word[1:])` -> `set(zip(word, word[1:]))`
    (5, 5, 5) holds the pair (5, 5) twice, so twice 2 beats 3: count every pair of neighbours, not
    every word that has the pair
ties to the first met: `min(pairs` -> `max(pairs` `(-pairs[pair], pair)` -> `pairs[pair]`
    three pairs stand 3 times: (2, 7), (4, 9), (2, 5). With equal counts the smallest pair of ids
    wins: (2, 5). You took the one that you met first
ties to the largest ids: `min(pairs` -> `max(pairs` `(-pairs[pair], pair)` -> `(pairs[pair], pair)`
    three pairs stand 3 times: (2, 7), (4, 9), (2, 5). With equal counts the smallest pair of ids
    wins: (2, 5). You took the largest; negate the count, not the pair
the rarest: `(-pairs[pair], pair)` -> `(pairs[pair], pair)`
    you chose the rarest pair; BPE merges the most frequent one
""",
    others={"a list": lambda words: list(next_merge(words))},
    form=is_pair,
    hint=(
        "count with Counter, adding the word's count for each pair of neighbours; then min over"
        " (minus the count, the pair)."
    ),
    praise="60 random corpora, ties and all. This rule is what makes two trainers agree.",
)


# 2.3 WordPiece's longest match


def longest_match(word, vocabulary):
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        ends = [end for end in range(len(word), start, -1) if mark + word[start:end] in vocabulary]
        if not ends:
            return ["[UNK]"]
        pieces.append(mark + word[start : ends[0]])
        start = ends[0]
    return pieces


def match_cases():
    vocabulary = {"학교", "학", "##교", "##에", "##에서", "##서", "##는"}
    yield "학교에서는", vocabulary
    yield "학교에서도", vocabulary
    yield "abcd", {"a", "abc", "ab", "##cd"}
    chance = random.Random(3)
    for _ in range(100):
        pieces = ["".join(chance.choices("ab", k=chance.randrange(1, 4))) for _ in range(7)]
        vocabulary = {chance.choice(("", "##")) + piece for piece in pieces}
        yield "".join(chance.choices("ab", k=chance.randrange(1, 7))), vocabulary


def with_second_thoughts(word, vocabulary, mark=""):
    for end in range(len(word), 0, -1):
        if mark + word[:end] in vocabulary:
            rest = with_second_thoughts(word[end:], vocabulary, "##") if word[end:] else []
            if rest != ["[UNK]"]:
                return [mark + word[:end], *rest]
    return ["[UNK]"]


EXERCISES["2.3"] = exercise(
    longest_match,
    match_cases,
    """
marks left out: `append(mark + word` -> `append(word`
    the cuts are right, but a piece that continues a word is written with ##:
    ['학교', '##에서', '##는']
## not looked up: `"##" if start else ""` -> `""`
    '학교에서는' can be cut: ['학교', '##에서', '##는']. Inside a word look for '##' + piece in the
    vocabulary, at its beginning for the piece alone
shortest match: `range(len(word), start, -1)` -> `range(start + 1, len(word) + 1)`
    you took the shortest piece that fits; WordPiece takes the longest: try long ends first
only the rest unknown: `return ["[UNK]"]` -> `return [*pieces, "[UNK]"]`
    no piece of the vocabulary begins '도', so the whole word '학교에서도' becomes ['[UNK]'],
    not only the rest
""",
    others={
        "searches on": (
            with_second_thoughts,
            (
                "'abcd' with {a, ab, abc, ##cd}: greedy takes 'abc', is stuck at 'd' and gives up:"
                " ['[UNK]']. You found a way round, which WordPiece does not look for"
            ),
        )
    },
    hint=(
        "from the current position try the longest end first; put ## before a piece unless it"
        " begins the word; when nothing fits, give up the whole word."
    ),
    praise=(
        "100 random vocabularies agree. It is greedy: no merge list is needed, and no second"
        " thought is given."
    ),
)


# 2.4 Find the bug


def encode_repaired(ids, ranks):
    for pair, rank in sorted(ranks.items(), key=lambda item: item[1]):  # as training merged
        merged = []
        for i in ids:
            if merged and (merged[-1], i) == pair:
                merged[-1] = 256 + rank
            else:
                merged.append(i)
        ids = tuple(merged)
    return ids


def encode_cases():
    yield (1, 2, 3, 4, 5), {(2, 3): 0, (1, 2): 1, (3, 4): 2, (4, 5): 3}
    yield (2, 3, 5, 2, 3), {(2, 3): 0, (1, 2): 1, (256, 4): 2}
    chance = random.Random(4)
    for _ in range(60):
        ranks, known = {}, [0, 1, 2, 3]
        while len(ranks) < 12:
            pair = chance.choice(known), chance.choice(known)
            if pair not in ranks:
                ranks[pair] = len(ranks)
                known.append(256 + ranks[pair])
        yield tuple(chance.randrange(4) for _ in range(chance.randrange(1, 12))), ranks


def ids_as_text(answer, ids, ranks):
    got = ask(answer, ids, ranks)
    if not isinstance(got, tuple):
        raise Wrong(f"return a tuple, as the words are; you returned {got!r}")
    return f"({', '.join(map(str, got))})"


def first_from_the_left(ids, ranks):
    t = 0
    while t < len(ids) - 1:
        if (ids[t], ids[t + 1]) in ranks:
            ids, t = (*ids[:t], 256 + ranks[ids[t], ids[t + 1]], *ids[t + 2 :]), 0
        else:
            t += 1
    return ids


EXERCISES["2.4"] = exercise(
    encode_repaired,
    encode_cases,
    """
nothing merged: `ids = tuple(merged)` -> `pass`
    nothing was merged: (1, 2, 3) with (2, 3) learnt first is (1, 256)
rank instead of id: `256 + rank` -> `rank`
    the new id is 256 + rank, not the rank alone: ids 0 to 255 are the bytes
highest rank first: `item: item[1]` -> `item: -item[1]`
    you take the HIGHEST rank, the merge that was learnt last; the one learnt first comes first: (1,
    2, 3) with (1, 2) first and (2, 3) second is (256, 3)
one merge only: `ids = tuple(merged)` -> `if len(merged) < len(ids): return tuple(merged)`
    you stop too early: go on until no pair of the word is known. (2, 3, 4) may become (256, 4), and
    if (256, 4) is a merge as well, one id is left
once in a word: `if merged and` -> `if 256 + rank not in merged and merged and`
    a pair may stand in a word more than once: (2, 3, 5, 2, 3) is (256, 5, 256)
""",
    others={
        "still from the left": (
            first_from_the_left,
            (
                "still the first pair from the left: (1, 2, 3) with (2, 3) learnt first is (1,"
                " 256), not (257, 3). Take the pair with the LOWEST RANK, wherever it stands"
            ),
        ),
        "a list": lambda ids, ranks: list(encode_repaired(ids, ranks)),
    },
    use=ids_as_text,
    hint=(
        "in (1, 2, 3) both (1, 2) and (2, 3) may be known; which one did training merge first? Look"
        " for the smallest rank in the whole word, each time."
    ),
    praise=(
        "60 random merge lists agree. Training merged in the order of the ranks; only an encoder"
        " that keeps to it sees what the network was trained on."
    ),
)


# 2.5 A stream of tokens


def stream(pieces):
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    shown = [decoder.decode(piece) for piece in pieces]
    shown[-1] += decoder.decode(b"", final=True)  # what is still incomplete becomes one �
    return shown


def stream_cases():
    syllable = "한".encode()
    yield ([b"a" + syllable[:2], syllable[2:] + b"b", b"c"],)
    yield ([b"a", syllable[:1]],)
    yield ([b"c", syllable[:2], b"a", b"b"],)
    yield ([syllable[:1], syllable[1:2], syllable[2:]],)
    chance = random.Random(5)
    for number in range(100):
        data = "".join(chance.choice("a 한é👩글") for _ in range(6)).encode()
        if number % 2:
            data = bytes(b if chance.random() < 0.9 else chance.randrange(256) for b in data)
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(4))
        yield ([data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])],)


def waits(until_all_is_whole):
    """A stream that keeps its bytes until all of them, or all before some, decode."""

    def answer(pieces):
        shown, kept = [], b""
        for piece in pieces:
            kept, end = kept + piece, len(kept + piece)
            try:
                kept.decode()
            except UnicodeDecodeError as error:
                end = 0 if until_all_is_whole else error.start
            shown.append(kept[:end].decode())
            kept = kept[end:]
        shown[-1] += kept.decode(errors="replace")
        return shown

    return answer


EXERCISES["2.5"] = exercise(
    stream,
    stream_cases,
    """
the end forgotten: `shown[-1] += decoder.decode(b"", final=True)` -> ``
    what is still incomplete after the last piece becomes one � in the last string; yours shows
    nothing
each piece alone: `decoder.decode(piece)` -> `piece.decode(errors="replace")`
    each piece was decoded alone, so the parts of 한 became �: keep the bytes that are not a whole
    character yet, and put the next piece after them
halves thrown away: `decoder.decode(piece)` -> `piece.decode(errors="ignore")`
    the bytes of 한 came in two pieces and it was never shown: do not throw away half characters
    (errors='ignore'), keep them for the next piece
all at the end:
    `for piece in pieces]` -> `for piece in [b""] * (len(pieces) - 1) + [b"".join(pieces)]]`
    nothing is shown until the end; show each character as soon as it is whole
""",
    others={
        "waits for what cannot come": (
            waits(until_all_is_whole=False),
            (
                "after the first two bytes of 한 an 'a' makes it clear that no character will come:"
                " show '�a' at once, so ['', '�a', 'b']"
            ),
        ),
        "waits for the whole rest": (
            waits(until_all_is_whole=True),
            (
                "pieces may hold the end of one character and the beginning of the next: of b'a'"
                " with two bytes of 한, then its third with b'b', you can show ['a', '한b']"
            ),
        ),
    },
    otherwise="Keep the bytes that are not a whole character yet, and no others",
    hint=(
        "a character's first byte tells how many follow; keep the unfinished bytes. The standard"
        " library's codecs module has incremental decoders that do so."
    ),
    praise=(
        "100 streams, half of them damaged: everything as early as possible, and nothing lost. Chat"
        " programs hold back Korean syllables in this way."
    ),
)
