"""Lesson 02's byte-pair encoding loses nothing; on real text it is the library's, id for id.

The functions are the lesson's own, taken out of the notebook.
"""

import json
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings, strategies as st

from from_notebook import definitions

BPE = definitions(2)
SHAKESPEARE = Path(__file__).resolve().parents[2] / "shared" / "datasets" / "tinyshakespeare.txt"
MERGES = 1000
NEAR = "소녀가 보는개들이달린다 the dogs\u200d\u0301\u11ab\u1112👩🇰\n\t'"  # the text of `mixed`
TEXTS = st.lists(st.text(st.sampled_from("abcd e'1한é.\n"), max_size=20), min_size=1, max_size=8)


def trained(
    texts: list[str], size: int
) -> tuple[list[tuple[int, int]], dict[tuple[int, int], int], list[bytes]]:
    """(merges, ranks, bytes of each id) of the lesson's fast training."""
    merges = BPE["train_fast"](BPE["word_counts"](texts), size)[0]
    return merges, {pair: rank for rank, pair in enumerate(merges)}, BPE["token_bytes"](merges)


def learnt(library: Any) -> list[tuple[str, str]]:
    """The library's merges, in order."""
    return [tuple(pair) for pair in json.loads(library.to_str())["model"]["merges"]]


def in_letters(merges: list[tuple[int, int]], tokens: list[bytes]) -> list[tuple[str, str]]:
    """Our merges, as the library writes them."""
    return [
        (BPE["in_letters"](tokens[left]), BPE["in_letters"](tokens[right]))
        for left, right in merges
    ]


@cache
def mixed() -> tuple[dict[tuple[int, int], int], list[bytes]]:
    """Ranks and tokens of a small training on English and Korean text."""
    texts = [
        "the dogs that the girl sees run",
        "소녀가 보는 개들이 달린다",
        "South Korea, 대한민국",
        "1994년 9월 27일 화요일",
    ] * 5
    _, ranks, tokens = trained(texts, 200)
    return ranks, tokens


@given(st.text())
@settings(max_examples=500, deadline=None)
def test_every_string_comes_back(text: str) -> None:
    ranks, tokens = mixed()
    ids = BPE["encode"](text, ranks)
    assert BPE["decode"](ids, tokens) == text
    assert all(0 <= i < len(tokens) for i in ids)
    assert len(ids) <= len(text.encode())


@given(st.text(alphabet=st.sampled_from(NEAR)))
@settings(max_examples=500, deadline=None)
def test_strings_near_the_training_text_come_back(text: str) -> None:
    ranks, tokens = mixed()
    for form in ("NFC", "NFD"):
        spelt = unicodedata.normalize(form, text)
        assert BPE["decode"](BPE["encode"](spelt, ranks), tokens) == spelt


@given(st.text(max_size=5), st.integers(0xD800, 0xDFFF), st.text(max_size=5))
def test_a_lone_surrogate_is_refused_and_named(before: str, surrogate: int, after: str) -> None:
    with pytest.raises(ValueError, match=f"U\\+{surrogate:04X} .* lone surrogate"):
        BPE["encode"](before + chr(surrogate) + after, mixed()[0])


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_words_put_together_are_the_text(text: str) -> None:
    words = BPE["split_text"](text)
    assert "".join(words) == text
    assert "" not in words


@given(st.lists(st.integers(0, 455), max_size=30))
def test_any_ids_decode_to_something(ids: list[int]) -> None:
    _, tokens = mixed()
    text = BPE["decode"]([i for i in ids if i < len(tokens)], tokens)
    text.encode()  # no half character is left in it


@given(TEXTS, st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_fast_training_is_the_plain_one(texts: list[str], size: int) -> None:
    words = BPE["word_counts"](texts)
    fast, looked = BPE["train_fast"](words, size)
    assert fast == BPE["train_plain"](words, size)[0]
    assert len(looked) == len(fast) + 1


@given(TEXTS, st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_small_random_corpora_as_the_library(texts: list[str], size: int) -> None:
    """Ties are everywhere here.

    Where two merges make the same bytes the library reuses an id, which we do not.
    """
    merges, ranks, tokens = trained(texts, size)
    assume(len(set(tokens)) == len(tokens))
    library = BPE["library_bpe"](texts, size)
    assert learnt(library) == in_letters(merges, tokens)
    for text in texts:
        assert BPE["encode"](text, ranks) == library.encode(text).ids


@cache
def shakespeare() -> str:
    """The whole of Tiny Shakespeare; skips the test where the file is not."""
    if not SHAKESPEARE.is_file():
        pytest.skip("../shared/datasets/tinyshakespeare.txt is not beside this repository")
    return SHAKESPEARE.read_bytes().decode("utf-8")


def test_tiny_shakespeare_as_the_library() -> None:
    text = shakespeare()
    assert len(text) == 1_115_394
    merges, ranks, tokens = trained([text], MERGES)
    library = BPE["library_bpe"]([text], MERGES)
    assert len(merges) == MERGES
    assert learnt(library) == in_letters(merges, tokens)
    assert library.get_vocab() == {BPE["in_letters"](data): i for i, data in enumerate(tokens)}
    ids = BPE["encode"](text, ranks)
    assert ids == library.encode(text).ids
    assert BPE["decode"](ids, tokens) == text


def test_tiny_shakespeare_needs_few_looks() -> None:
    """The work grows with the distinct words and hardly with the merges.

    It is counted, so the same on every machine.
    """
    text = shakespeare()
    words = BPE["word_counts"]([text])
    looked = BPE["train_fast"](words, MERGES)[1]
    assert looked[0] == sum(len(word) - 1 for word in words)
    assert sum(looked) < 10 * looked[0]  # the plain way looks up to MERGES times at looked[0] pairs
    assert sum(looked[1:101]) > sum(looked[101:]) / 2
