"""From tokens to ids and back, padding with its mask, and batches of similar length."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .proofs import expect_shape

if TYPE_CHECKING:
    from torch import Tensor

PAD, UNK, SOS, EOS = 0, 1, 2, 3
SPECIALS = ("<pad>", "<unk>", "<sos>", "<eos>")


class Vocabulary:
    """Tokens numbered from 0; the four special tokens come first, in every vocabulary of the course.

    >>> words = Vocabulary.build([["the", "cat"], ["the", "dog"]])
    >>> words.encode(["the", "bird"], eos=True)
    [4, 1, 3]
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        """tokens: the ordinary ones, in the order of their ids (4, 5, ...). Raises ValueError for a repeated one."""
        self.tokens = [*SPECIALS, *tokens]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            repeated = [token for token, count in Counter(self.tokens).items() if count > 1]
            raise ValueError(f"each token may stand once (the special ones are added by themselves): {repeated[:5]}")

    @classmethod
    def build(cls, sequences: Iterable[Iterable[str]], max_size: int | None = None, min_count: int = 1) -> Vocabulary:
        """The tokens of these sequences, most frequent first (equal counts in alphabetical order).

        max_size: at most so many ids, the 4 special ones among them. min_count: rarer tokens are left out.
        """
        counts = Counter(token for sequence in sequences for token in sequence if token not in SPECIALS)
        kept = sorted((token for token in counts if counts[token] >= min_count), key=lambda token: (-counts[token], token))
        return cls(kept if max_size is None else kept[: max(0, max_size - len(SPECIALS))])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self.ids

    def id(self, token: str) -> int:
        """The token's id. Raises KeyError, naming similar tokens, when it has none."""
        if token not in self.ids:
            near = difflib.get_close_matches(token, self.tokens, 3)
            raise KeyError(f"no token {token!r} in this vocabulary of {len(self)}" + (f"; similar: {near}" if near else ""))
        return self.ids[token]

    def token(self, number: int) -> str:
        """The token of an id. Raises IndexError when there is no such id."""
        if not 0 <= number < len(self.tokens):
            raise IndexError(f"id {number} is outside this vocabulary: ids go from 0 to {len(self) - 1}")
        return self.tokens[number]

    def encode(self, tokens: Iterable[str], *, sos: bool = False, eos: bool = False, strict: bool = False) -> list[int]:
        """Ids of these tokens, unknown ones as <unk>; with `strict` an unknown token is a KeyError."""
        found = [self.id(token) if strict else self.ids.get(token, UNK) for token in tokens]
        return [SOS] * sos + found + [EOS] * eos

    def decode(self, ids: Iterable[int], *, keep_specials: bool = False) -> list[str]:
        """Tokens of these ids, up to the first <eos>; special ones left out unless `keep_specials`, which keeps all."""
        found = []
        for number in ids:
            if number == EOS and not keep_specials:
                break
            if keep_specials or number not in (PAD, SOS, EOS):
                found.append(self.token(int(number)))
        return found


def expect_ids(name: str, ids: Any, V: int) -> None:
    """Raise ValueError, saying where and what was expected, unless all ids (array or tensor) are of a vocabulary of V."""
    numbers = np.asarray(ids.cpu() if hasattr(ids, "cpu") else ids)  # a tensor may be on a GPU
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {numbers.dtype} numbers; expected ids, whole numbers from 0 to {V - 1}")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < V):
        place = tuple(int(i) for i in np.argwhere((numbers < 0) | (numbers >= V))[0])
        raise ValueError(f"{name} has the id {numbers[place]} at {place}; expected ids of this vocabulary, from 0 to {V - 1}")


def expect_real(name: str, mask: Any, wanted: str = "at least one real token a row") -> None:
    """Raise ValueError, naming the row, where a row of the mask (N, T; array or tensor) has no True."""
    if False in (real := mask.any(1).tolist()):
        raise ValueError(f"{name} row {real.index(False)} is padding alone; expected {wanted}")


def expect_source(source: Tensor, V: int) -> Tensor:
    """The mask (N, S), True where a source's ids (N, S) are real. Raises ValueError for another shape, an id outside of a
    vocabulary of V, and a row of <pad> alone."""
    expect_shape("source", source, "N S")
    expect_ids("source", source, V)
    mask: Tensor = source != PAD
    expect_real("source", mask, "at least one token, such as <eos>")
    return mask


def pad(sequences: Sequence[Sequence[int]], length: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids (N, T), <pad> after each sequence's end, and the mask (N, T), True where a token is real.

    length: T; the longest sequence's when None. Raises ValueError for no sequence, for an empty one (a mean
    over its states would divide by 0) and for one that is longer than `length`.
    """
    sizes = [len(sequence) for sequence in sequences]
    if not sizes:
        raise ValueError("no sequence to pad: at least one is needed")
    if min(sizes) == 0:
        raise ValueError(f"sequence {sizes.index(0)} is empty; leave it out, or let it be <eos> alone")
    width = max(sizes) if length is None else length
    if max(sizes) > width:
        raise ValueError(f"sequence {sizes.index(max(sizes))} has {max(sizes)} tokens, but length is {width}")
    mask = np.arange(width)[None, :] < np.array(sizes)[:, None]  # (N, T)
    ids = np.full((len(sizes), width), PAD, dtype=np.int64)
    ids[mask] = np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in sequences])
    return ids, mask


def batches(
    *columns: Any, size: int, rng: np.random.Generator | None = None, lengths: Sequence[int] | None = None
) -> Iterator[tuple[Any, ...]]:
    """Cut columns of N rows into batches of at most `size` rows; every row comes exactly once.

    columns: equally long lists or arrays (arrays are cut as arrays). rng: shuffles; None keeps the order.
    lengths: N numbers; rows of similar length then share a batch (less padding), the batches' order is shuffled.
    Raises ValueError when the columns differ in length or `size` is below 1.
    """
    rows = {len(column) for column in columns} | ({len(lengths)} if lengths is not None else set())
    if len(rows) != 1:
        raise ValueError(f"columns (and lengths) must have one length; got {sorted(rows)}")
    if size < 1:
        raise ValueError(f"a batch needs at least 1 row; size is {size}")
    count = rows.pop()
    order = np.arange(count) if rng is None else rng.permutation(count)
    if lengths is not None:
        order = order[np.argsort(np.asarray(lengths)[order], kind="stable")]
    starts = np.arange(0, count, size)
    if rng is not None and lengths is not None:
        starts = rng.permutation(starts)
    for start in starts:
        chosen = order[start : start + size]
        yield tuple(column[chosen] if hasattr(column, "dtype") else [column[i] for i in chosen] for column in columns)
