"""Checks, hints, solutions and typical wrong answers of lesson 02."""

from __future__ import annotations

import codecs
import random
from collections import Counter
from collections.abc import Callable

from course_utils.exercises import Exercise, Wrong

Word = tuple[int, ...]
Pair = tuple[int, int]


# ---- 2.1 the topic particle


def topic(noun: str) -> str:
    final = (ord(noun[-1]) - 0xAC00) % 28
    return noun + ("은" if final else "는")


def check_topic(answer: Callable[[str], str]) -> str:
    first = answer("집")
    if not isinstance(first, str):
        raise Wrong(f"return a string, such as '집은'; you returned {first!r}.")
    if first in ("은", "는"):
        raise Wrong("return the noun together with its particle, '집은', and not the particle alone.")
    chance = random.Random(1)
    nouns = ["".join(chr(0xAC00 + chance.randrange(11_172)) for _ in range(2)) for _ in range(500)]
    nouns += [noun[:-1] + chr(ord(noun[-1]) - (ord(noun[-1]) - 0xAC00) % 28) for noun in nouns[:250]]  # no final consonant
    given = [answer(noun) for noun in nouns]
    for told, mistake in TOPIC_MISTAKES.items():
        if given == [mistake(noun) for noun in nouns]:
            raise Wrong(told)
    for n in range(11_172):
        noun = "가" + chr(0xAC00 + n)
        got, right = answer(noun), topic(noun)
        if got != right:
            final = f"the final consonant number {n % 28}" if n % 28 else "no final consonant"
            raise Wrong(f"{noun!r} ends in a syllable with {final}, so {right!r}; you gave {got!r}.")
    return "all 11,172 syllables choose as they should. One remainder of a division knows what a table would need pages for."


def topic_exchanged(noun: str) -> str:
    return noun + ("는" if (ord(noun[-1]) - 0xAC00) % 28 else "은")


def topic_first(noun: str) -> str:
    return noun + ("은" if (ord(noun[0]) - 0xAC00) % 28 else "는")


def topic_no_offset(noun: str) -> str:
    return noun + ("은" if ord(noun[-1]) % 28 else "는")


def topic_rieul(noun: str) -> str:
    return noun + ("은" if (ord(noun[-1]) - 0xAC00) % 28 not in (0, 8) else "는")


TOPIC_MISTAKES: dict[str, Callable[[str], str]] = {
    "the two are exchanged: 은 stands after a final consonant (집은), 는 after a vowel (학교는).": topic_exchanged,
    "you look at the first syllable; the LAST one decides: '각하' ends in a vowel, so '각하는'.": topic_first,
    "the list of syllables begins at 0xAC00, which is no multiple of 28: subtract it before you take the remainder.": topic_no_offset,
    "ㄹ is a final consonant like any other here: '물은'. (로/으로 treats ㄹ apart, 은/는 does not.)": topic_rieul,
    "your function always gives 은; (code - 0xAC00) % 28 is the final consonant, and 0 means there is none.": lambda noun: noun + "은",
    "your function always gives 는; (code - 0xAC00) % 28 is the final consonant, and 0 means there is none.": lambda noun: noun + "는",
}


# ---- 2.2 the next merge


def next_merge(words: dict[Word, int]) -> Pair:
    pairs: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] += count
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


def check_next(answer: Callable[[dict[Word, int]], Pair]) -> str:
    got = answer({(7, 8, 9): 1, (8, 9): 4})
    if not (isinstance(got, tuple) and len(got) == 2):
        raise Wrong(f"return the pair as a tuple of two ids, such as (8, 9); you returned {got!r}.")
    if answer({(1, 2): 9, (1, 3): 1, (4, 1, 3): 1}) == (1, 3):
        raise Wrong("a word that stands 9 times brings its pairs 9 times: multiply by the word's count. You counted distinct words.")
    if answer({(5, 5, 5): 2, (1, 2): 3}) == (1, 2):
        raise Wrong("(5, 5, 5) holds the pair (5, 5) twice, so twice 2 beats 3: count every neighbouring place, not every word that has the pair.")
    tie: dict[Word, int] = {(2, 7): 3, (4, 9): 3, (2, 5): 3, (8, 1): 2}
    given, rule = answer(tie), "three pairs stand 3 times: (2, 7), (4, 9), (2, 5). With equal counts the smallest pair of ids wins: (2, 5)."
    if given == (8, 1):
        raise Wrong("you chose the rarest pair, (8, 1); BPE merges the most frequent one.")
    if given == (2, 7):
        raise Wrong(rule + " You took the one that you met first.")
    if given == (4, 9):
        raise Wrong(rule + " You took the largest; the count must be turned round (minus the count), the pair not.")
    if given != (2, 5):
        raise Wrong(rule + f" You gave {given}.")
    chance = random.Random(2)
    for _ in range(200):
        words = {tuple(chance.randrange(6) for _ in range(chance.randrange(2, 7))): chance.randrange(1, 5) for _ in range(8)}
        if answer(dict(words)) != next_merge(words):
            raise Wrong(f"for {words} the next merge is {next_merge(words)}; you gave {answer(dict(words))}.")
    return "200 random corpora, ties and all. This rule is what makes two trainers agree."


def next_unweighted(words: dict[Word, int]) -> Pair:
    pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


def next_first_met(words: dict[Word, int]) -> Pair:
    pairs: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] += count
    return max(pairs, key=lambda pair: pairs[pair])


def next_largest_ids(words: dict[Word, int]) -> Pair:
    pairs: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] += count
    return max(pairs, key=lambda pair: (pairs[pair], pair))


def next_once_a_word(words: dict[Word, int]) -> Pair:
    pairs: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in set(zip(word, word[1:])):
            pairs[pair] += count
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


# ---- 2.3 WordPiece's longest match


def longest_match(word: str, vocabulary: set[str]) -> list[str]:
    pieces: list[str] = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        ends = [end for end in range(len(word), start, -1) if mark + word[start:end] in vocabulary]
        if not ends:
            return ["[UNK]"]
        pieces.append(mark + word[start : ends[0]])
        start = ends[0]
    return pieces


def check_longest(answer: Callable[[str, set[str]], list[str]]) -> str:
    vocabulary = {"학교", "학", "##교", "##에", "##에서", "##서", "##는"}
    got = answer("학교에서는", set(vocabulary))
    if not isinstance(got, list):
        raise Wrong(f"return a list of pieces; you returned {got!r}.")
    if got == ["학교", "에서", "는"]:
        raise Wrong("the cuts are right, but a piece that continues a word is written with ##: ['학교', '##에서', '##는'].")
    if got == ["[UNK]"]:
        raise Wrong("'학교에서는' can be cut: ['학교', '##에서', '##는']. Inside a word look for '##' + piece in the vocabulary, at its beginning for the piece alone.")
    if got == ["학", "##교", "##에", "##서", "##는"]:
        raise Wrong("you took the shortest piece that fits; WordPiece takes the longest: try long ends first.")
    if got != ["학교", "##에서", "##는"]:
        raise Wrong(f"'학교에서는' is ['학교', '##에서', '##는']; you gave {got}.")
    stuck = answer("학교에서도", set(vocabulary))
    if stuck != ["[UNK]"]:
        raise Wrong(f"no piece of the vocabulary begins '도', so the whole word becomes ['[UNK]'], not only the rest; you gave {stuck}.")
    if answer("abcd", {"a", "abc", "ab", "##cd"}) == ["ab", "##cd"]:
        raise Wrong("'abcd' with {a, ab, abc, ##cd}: greedy takes 'abc', is stuck at 'd' and gives up: ['[UNK]']. You found a way round, which WordPiece does not look for.")
    chance = random.Random(3)
    for _ in range(300):
        some = {chance.choice(("", "##")) + "".join(chance.choice("ab") for _ in range(chance.randrange(1, 4))) for _ in range(9)}
        word = "".join(chance.choice("ab") for _ in range(chance.randrange(1, 9)))
        if answer(word, set(some)) != longest_match(word, some):
            raise Wrong(f"{word!r} with {sorted(some)} is {longest_match(word, some)}; you gave {answer(word, set(some))}.")
    return "300 random vocabularies agree. It is greedy: no merge list is needed, and no second thought is given."


def longest_without_mark(word: str, vocabulary: set[str]) -> list[str]:
    return [piece.removeprefix("##") for piece in longest_match(word, vocabulary)]


def shortest_match(word: str, vocabulary: set[str]) -> list[str]:
    pieces: list[str] = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        ends = [end for end in range(start + 1, len(word) + 1) if mark + word[start:end] in vocabulary]
        if not ends:
            return ["[UNK]"]
        pieces.append(mark + word[start : ends[0]])
        start = ends[0]
    return pieces


def unknown_rest(word: str, vocabulary: set[str]) -> list[str]:
    pieces: list[str] = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        ends = [end for end in range(len(word), start, -1) if mark + word[start:end] in vocabulary]
        if not ends:
            return [*pieces, "[UNK]"]
        pieces.append(mark + word[start : ends[0]])
        start = ends[0]
    return pieces


def mark_forgotten(word: str, vocabulary: set[str]) -> list[str]:
    pieces: list[str] = []
    start = 0
    while start < len(word):
        ends = [end for end in range(len(word), start, -1) if word[start:end] in vocabulary]
        if not ends:
            return ["[UNK]"]
        pieces.append(word[start : ends[0]])
        start = ends[0]
    return pieces


def with_second_thoughts(word: str, vocabulary: set[str]) -> list[str]:
    def rest(start: int) -> list[str] | None:
        if start == len(word):
            return []
        mark = "##" if start else ""
        for end in range(len(word), start, -1):
            if mark + word[start:end] in vocabulary and (tail := rest(end)) is not None:
                return [mark + word[start:end], *tail]
        return None

    return rest(0) or ["[UNK]"]


# ---- 2.4 find the bug


def encode_repaired(ids: Word, ranks: dict[Pair, int]) -> Word:
    while True:
        known = [pair for pair in zip(ids, ids[1:]) if pair in ranks]
        if not known:
            return tuple(ids)
        pair = min(known, key=lambda pair: ranks[pair])
        t = list(zip(ids, ids[1:])).index(pair)
        ids = (*ids[:t], 256 + ranks[pair], *ids[t + 2 :])


def check_repaired(answer: Callable[[Word, dict[Pair, int]], Word]) -> str:
    ranks: dict[Pair, int] = {(2, 3): 0, (1, 2): 1, (256, 4): 2}
    got = answer((1, 2, 3), dict(ranks))
    if isinstance(got, list):
        raise Wrong(f"return a tuple, as the words are: {tuple(got)} instead of {got}.")
    if answer((1, 2, 3), {(1, 2): 0, (2, 3): 1}) == (1, 257):
        raise Wrong("you take the HIGHEST rank, the merge that was learnt last; the one learnt first comes first: (1, 2, 3) with (1, 2) first and (2, 3) second is (256, 3).")
    if got == (257, 3):
        raise Wrong("(1, 2, 3) with (2, 3) learnt first is (1, 256), and you gave (257, 3): still the first pair from the left. Take the pair with the LOWEST RANK, wherever it stands.")
    if got == (1, 2, 3):
        raise Wrong("nothing was merged: (1, 2, 3) with (2, 3) learnt first is (1, 256).")
    if got == (1, 0):
        raise Wrong("the new id is 256 + rank, not the rank alone: ids 0 to 255 are the bytes.")
    if got != (1, 256):
        raise Wrong(f"(1, 2, 3) with (2, 3) learnt first and (1, 2) second is (1, 256); you gave {got}.")
    if answer((2, 3, 4), dict(ranks)) == (256, 4):
        raise Wrong("you stop too early: (2, 3, 4) becomes (256, 4), and (256, 4) is a merge as well, so (258,). Go on until no pair of the word is known.")
    if answer((2, 3, 5, 2, 3), dict(ranks)) == (256, 5, 2, 3):
        raise Wrong("a pair may stand in a word more than once: (2, 3, 5, 2, 3) is (256, 5, 256).")
    chance = random.Random(4)
    for _ in range(200):
        ranks = {}
        while len(ranks) < 12:
            pair = (chance.randrange(4 + len(ranks)), chance.randrange(4 + len(ranks)))
            ranks.setdefault((pair[0] if pair[0] < 4 else pair[0] + 252, pair[1] if pair[1] < 4 else pair[1] + 252), len(ranks))
        word = tuple(chance.randrange(4) for _ in range(chance.randrange(1, 12)))
        if answer(word, dict(ranks)) != encode_repaired(word, ranks):
            raise Wrong(f"{word} with ranks {ranks} is {encode_repaired(word, ranks)}; you gave {answer(word, dict(ranks))}.")
    return "200 random merge lists agree. Training merged in the order of the ranks; only an encoder that keeps it sees what the network was trained on."


def repaired_not(ids: Word, ranks: dict[Pair, int]) -> Word:
    t = 0
    while t < len(ids) - 1:
        if (ids[t], ids[t + 1]) in ranks:
            ids, t = (*ids[:t], 256 + ranks[ids[t], ids[t + 1]], *ids[t + 2 :]), 0
        else:
            t += 1
    return ids


def repaired_once(ids: Word, ranks: dict[Pair, int]) -> Word:
    known = [pair for pair in zip(ids, ids[1:]) if pair in ranks]
    if not known:
        return ids
    pair = min(known, key=lambda pair: ranks[pair])
    t = list(zip(ids, ids[1:])).index(pair)
    return (*ids[:t], 256 + ranks[pair], *ids[t + 2 :])


def repaired_rank_alone(ids: Word, ranks: dict[Pair, int]) -> Word:
    return tuple(i - 256 if i >= 256 else i for i in encode_repaired(ids, ranks))


def repaired_latest(ids: Word, ranks: dict[Pair, int]) -> Word:
    while known := [pair for pair in zip(ids, ids[1:]) if pair in ranks]:
        pair = max(known, key=lambda pair: ranks[pair])
        t = list(zip(ids, ids[1:])).index(pair)
        ids = (*ids[:t], 256 + ranks[pair], *ids[t + 2 :])
    return ids


def repaired_list(ids: Word, ranks: dict[Pair, int]) -> list[int]:
    return list(encode_repaired(ids, ranks))


# ---- 2.5 a stream of tokens


def stream(pieces: list[bytes]) -> list[str]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(piece, final=number == len(pieces) - 1) for number, piece in enumerate(pieces)]


def check_stream(answer: Callable[[list[bytes]], list[str]]) -> str:
    syllable = "한".encode()
    one_by_one = [bytes([byte]) for byte in syllable]
    got = answer(list(one_by_one))
    if not (isinstance(got, list) and len(got) == 3 and all(isinstance(text, str) for text in got)):
        raise Wrong(f"return one string for each piece, here 3; you returned {got!r}.")
    if got == ["\ufffd"] * 3:
        raise Wrong("each piece was decoded alone, so the parts of 한 became three �: keep the bytes that are not a whole character yet, and put the next piece after them.")
    if got == ["", "", ""]:
        raise Wrong("the three bytes of 한 came one by one and nothing was shown: do not throw away half characters (errors='ignore'), keep them for the next piece.")
    if got != ["", "", "한"]:
        raise Wrong(f"the bytes of 한 one by one show ['', '', '한']; you gave {got}.")
    early = answer([b"a", b"b", b"c"])
    if early == ["", "", "abc"]:
        raise Wrong("nothing is shown until the end; show each character as soon as it is whole: ['a', 'b', 'c'].")
    half = answer([b"a" + syllable[:2], syllable[2:] + b"b", syllable[:1]])
    if half[:2] != ["a", "한b"]:
        raise Wrong(f"pieces may hold the end of one character and the beginning of the next: ['a', '한b', ...]; you gave {half}.")
    if half[2] != "\ufffd":
        raise Wrong(f"what is still incomplete after the last piece becomes one � in the last string; you gave {half[2]!r}.")
    broken = answer([syllable[:2], b"a", b"b"])
    if broken != ["", "\ufffda", "b"]:
        raise Wrong(f"after the first two bytes of 한 an 'a' makes it clear that no character will come: show '�a' at once; you gave {broken}.")
    chance = random.Random(5)
    for _ in range(300):
        data = "".join(chance.choice("a 한é👩글") for _ in range(6)).encode()
        if chance.random() < 0.5:
            data = bytes(byte if chance.random() < 0.9 else chance.randrange(256) for byte in data)
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(4))
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]
        if answer(list(pieces)) != stream(pieces):
            raise Wrong(f"{pieces} show {stream(pieces)}; you gave {answer(list(pieces))}.")
    return "300 streams, half of them damaged: everything as early as possible, and nothing lost. Chat programs hold back Korean syllables in this way."


def stream_alone(pieces: list[bytes]) -> list[str]:
    return [piece.decode("utf-8", errors="replace") for piece in pieces]


def stream_ignore(pieces: list[bytes]) -> list[str]:
    return [piece.decode("utf-8", errors="ignore") for piece in pieces]


def stream_late(pieces: list[bytes]) -> list[str]:
    return [""] * (len(pieces) - 1) + [b"".join(pieces).decode("utf-8", errors="replace")]


def stream_stuck(pieces: list[bytes]) -> list[str]:
    shown, kept = [], b""
    for piece in pieces:
        kept += piece
        try:
            shown.append(kept.decode())
            kept = b""
        except UnicodeDecodeError:
            shown.append("")
    return shown


def stream_no_end(pieces: list[bytes]) -> list[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(piece) for piece in pieces]


EXERCISES = {
    "2.1": Exercise(
        check_topic,
        "f, the final consonant, is what remains when the syllable's place in the list of syllables is divided by 28; only the last syllable matters.",
        topic,
        {"은 and 는 exchanged": topic_exchanged, "the first syllable": topic_first, "0xAC00 not subtracted": topic_no_offset, "ㄹ as in 로/으로": topic_rieul},
    ),
    "2.2": Exercise(
        check_next,
        "count with Counter, adding the word's count for each neighbouring place; then min over (minus the count, the pair).",
        next_merge,
        {"word counts forgotten": next_unweighted, "ties to the first met": next_first_met, "ties to the largest ids": next_largest_ids, "once a word": next_once_a_word},
    ),
    "2.3": Exercise(
        check_longest,
        "from the current place try the longest end first; put ## before a piece unless it begins the word; when nothing fits, give up the whole word.",
        longest_match,
        {"marks left out": longest_without_mark, "shortest match": shortest_match, "only the rest unknown": unknown_rest, "## not looked up": mark_forgotten, "searches on": with_second_thoughts},
    ),
    "2.4": Exercise(
        check_repaired,
        "in (1, 2, 3) both (1, 2) and (2, 3) may be known; which one did training merge first? Look for the smallest rank in the whole word, each time.",
        encode_repaired,
        {"still from the left": repaired_not, "one merge only": repaired_once, "rank instead of id": repaired_rank_alone, "highest rank first": repaired_latest, "a list": repaired_list},
    ),
    "2.5": Exercise(
        check_stream,
        "a character's first byte tells how many follow; keep the unfinished bytes. The standard library's codecs module has incremental decoders that do so.",
        stream,
        {"each piece alone": stream_alone, "halves thrown away": stream_ignore, "all at the end": stream_late, "waits for the whole rest": stream_stuck, "the end forgotten": stream_no_end},
    ),
}
