"""Ids, padding, masks and batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from course_utils.text import EOS, PAD, SOS, SPECIALS, UNK, Vocabulary, batches, pad

TOKENS = st.lists(
    st.text(min_size=1, max_size=6).filter(lambda token: token not in SPECIALS),
    unique=True,
    max_size=30,
)
SEQUENCES = st.lists(st.lists(st.integers(4, 50), min_size=1, max_size=12), min_size=1, max_size=20)


@given(TOKENS, st.data())
def test_decode_undoes_encode(tokens: list[str], data: st.DataObject) -> None:
    words = Vocabulary(tokens)
    sequence = data.draw(st.lists(st.sampled_from(tokens), max_size=20)) if tokens else []
    assert words.decode(words.encode(sequence, sos=True, eos=True)) == sequence
    assert words.encode(sequence, strict=True) == words.encode(sequence)
    assert [words.token(words.id(token)) for token in words.tokens] == words.tokens


def test_special_tokens_come_first() -> None:
    words = Vocabulary(["가", "나"])
    assert [words.id(token) for token in SPECIALS] == [PAD, UNK, SOS, EOS] == [0, 1, 2, 3]
    assert len(words) == 6
    assert "가" in words
    assert "다" not in words


def test_frequent_tokens_come_first_and_ties_by_alphabet() -> None:
    words = Vocabulary.build([["b", "a", "c"], ["c", "<eos>"]])
    assert words.tokens[4:] == ["c", "a", "b"]
    assert Vocabulary.build([["b", "a", "c", "c"]], min_count=2).tokens[4:] == ["c"]
    assert Vocabulary.build([["b", "a", "c", "c"]], max_size=6).tokens[4:] == ["c", "a"]
    assert len(Vocabulary.build([["a"]], max_size=2)) == 4


def test_decode_stops_at_the_end_and_keeps_unknown() -> None:
    words = Vocabulary(["a"])
    assert words.decode([SOS, 4, UNK, PAD, EOS, 4]) == ["a", "<unk>"]
    assert words.decode([SOS, 4, EOS, 4], keep_specials=True) == ["<sos>", "a", "<eos>", "a"]


def test_unknown_tokens_are_explained() -> None:
    words = Vocabulary(["dogs", "cat"])
    assert words.encode(["bird"]) == [UNK]
    with pytest.raises(KeyError, match=r"similar: .*dogs"):
        words.encode(["dog"], strict=True)
    with pytest.raises(IndexError, match="from 0 to 5"):
        words.token(6)
    with pytest.raises(IndexError, match="id -1"):
        words.decode([-1])
    with pytest.raises(ValueError, match=r"each token may stand once.*dogs"):
        Vocabulary(["dogs", "dogs"])


@given(SEQUENCES, st.integers(0, 5))
def test_padding_keeps_every_token_and_the_mask_counts_them(
    sequences: list[list[int]], extra: int
) -> None:
    width = max(map(len, sequences)) + extra
    ids, mask = pad(sequences, width)
    assert ids.shape == mask.shape == (len(sequences), width)
    assert ids.dtype == np.int64
    assert mask.dtype == np.bool_
    assert [row[keep].tolist() for row, keep in zip(ids, mask)] == sequences
    assert (ids[~mask] == PAD).all()
    assert (np.diff(mask.astype(int), axis=1) <= 0).all()  # real tokens first


def test_padding_explains_bad_input() -> None:
    with pytest.raises(ValueError, match="no sequence"):
        pad([])
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        pad([[4], []])
    with pytest.raises(ValueError, match="sequence 0 has 3 tokens, but length is 2"):
        pad([[4, 5, 6]], 2)


@given(
    st.lists(st.integers(1, 30), max_size=60),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_batching_loses_no_row_and_doubles_none(
    sizes: list[int], size: int, shuffle: bool, sort: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed) if shuffle else None
    rows, numbers = [f"row {i}" for i in range(len(sizes))], np.arange(len(sizes))
    cut = list(batches(rows, numbers, size=size, rng=rng, lengths=sizes if sort else None))
    assert sorted(int(number) for _, part in cut for number in part) == list(range(len(sizes)))
    assert all(text == f"row {number}" for texts, part in cut for text, number in zip(texts, part))
    assert all(1 <= len(part) <= size for _, part in cut)
    if not shuffle and not sort:
        assert [int(number) for _, part in cut for number in part] == list(range(len(sizes)))


def test_batches_by_length_hold_similar_lengths() -> None:
    sizes = list(np.random.default_rng(0).integers(1, 40, 500))
    cut = batches(np.arange(500), size=20, rng=np.random.default_rng(1), lengths=sizes)
    parts = [[sizes[i] for i in part] for (part,) in cut]
    assert max(max(part) - min(part) for part in parts) <= 6
    first = [part[0] for part in parts]
    assert first != sorted(first)  # the batches' order is shuffled


def test_batches_explain_bad_input() -> None:
    with pytest.raises(ValueError, match=r"one length; got \[2, 3\]"):
        list(batches([1, 2], [1, 2, 3], size=1))
    with pytest.raises(ValueError, match="one length"):
        list(batches([1, 2], size=1, lengths=[1]))
    with pytest.raises(ValueError, match="size is 0"):
        list(batches([1], size=0))
