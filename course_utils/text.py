"""From tokens to ids and back, padding with its mask, and batches of similar length."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .expect import expect_ids, expect_padding, expect_shape

if TYPE_CHECKING:
    from torch import Tensor

PAD, UNK, SOS, EOS = 0, 1, 2, 3
SPECIALS = ("<pad>", "<unk>", "<sos>", "<eos>")


class Vocabulary:
    """Tokens numbered from 0; the four special tokens come first, in every vocabulary.

    >>> words = Vocabulary.build([["the", "cat"], ["the", "dog"]])
    >>> words.encode(["the", "bird"], eos=True)
    [4, 1, 3]
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        """tokens: the ordinary ones, in the order of their ids (4, 5, ...).

        Raises ValueError for a repeated one.
        """
        self.tokens = [*SPECIALS, *tokens]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            repeated = [token for token, count in Counter(self.tokens).items() if count > 1][:5]
            raise ValueError(
                f"each token may stand once (the special ones are added by themselves): {repeated}"
            )

    @classmethod
    def build(
        cls, sequences: Iterable[Iterable[str]], max_size: int | None = None, min_count: int = 1
    ) -> Vocabulary:
        """The tokens of these sequences, most frequent first (then in alphabetical order).

        max_size: at most so many ids, the 4 special ones among them. min_count: rarer tokens are
        left out, and so are tokens that are spelled like a special one.
        """
        counts = Counter(token for sequence in sequences for token in sequence)
        frequent = [t for t in counts if counts[t] >= min_count and t not in SPECIALS]
        frequent.sort(key=lambda token: (-counts[token], token))
        return cls(frequent if max_size is None else frequent[: max(0, max_size - len(SPECIALS))])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self.ids

    def id(self, token: str) -> int:
        """The token's id. Raises KeyError, naming similar tokens, when it has none."""
        if token not in self.ids:
            near = difflib.get_close_matches(token, self.tokens, 3)
            similar = f"; similar: {near}" if near else ""
            raise KeyError(f"no token {token!r} in this vocabulary of {len(self)}{similar}")
        return self.ids[token]

    def token(self, number: int) -> str:
        """The token of an id. Raises IndexError when there is no such id."""
        if not 0 <= number < len(self.tokens):
            last = len(self.tokens) - 1
            raise IndexError(f"id {number} is outside this vocabulary: ids go from 0 to {last}")
        return self.tokens[number]

    def encode(
        self, tokens: Iterable[str], *, sos: bool = False, eos: bool = False, strict: bool = False
    ) -> list[int]:
        """Ids of these tokens, unknown ones as <unk>; with `strict` an unknown token is a KeyError.

        Raises ValueError for a token of the text that is spelled like a special one: as an id it
        would end or hide what follows. `sos` and `eos` put <sos> before and <eos> after the text.
        """
        ids = []
        for place, token in enumerate(tokens):
            if token in SPECIALS:
                raise ValueError(
                    f"token {place} of the text is {token!r}, which is a special token; leave it "
                    "out or spell it otherwise (sos=True and eos=True add theirs, pad fills up)"
                )
            ids.append(self.id(token) if strict else self.ids.get(token, UNK))
        return [SOS] * sos + ids + [EOS] * eos

    def decode(self, ids: Iterable[int], *, keep_specials: bool = False) -> list[str]:
        """Tokens of these ids, up to the first <eos>; special ones are left out.

        keep_specials: keep all of them, and what follows.
        """
        tokens = []
        for number in ids:
            if number == EOS and not keep_specials:
                break
            if keep_specials or number not in (PAD, SOS, EOS):
                tokens.append(self.token(int(number)))
        return tokens


def expect_source(source: Tensor, V: int) -> tuple[Tensor, Tensor]:
    """A source's ids (N, S) as int64, and its mask (N, S), True where they are real.

    Raises ValueError for another shape, an id outside a vocabulary of V, a row of <pad> alone, and
    a row with <pad> before a real token.
    """
    expect_shape("source", source, "N S")
    ids = expect_ids("source", source, V)
    mask: Tensor = ids != PAD
    expect_padding("source", mask)
    return ids, mask


def pad(
    sequences: Sequence[Sequence[int]], length: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids (N, T), <pad> after each sequence's end, and the mask (N, T), True where it is real.

    length: T; the longest sequence's when None. Raises ValueError for no sequence, for an empty one
    (a mean over its states would divide by 0), for one that is longer than `length`, and for
    numbers that are no whole numbers.
    """
    sizes = [len(sequence) for sequence in sequences]
    if not sizes:
        raise ValueError("no sequence to pad: at least one is needed")
    if min(sizes) == 0:
        raise ValueError(f"sequence {sizes.index(0)} is empty; leave it out, or let it be <eos>")
    width = max(sizes) if length is None else length
    if max(sizes) > width:
        longest = sizes.index(max(sizes))
        raise ValueError(f"sequence {longest} has {max(sizes)} tokens, but length is {width}")
    mask = np.arange(width)[None, :] < np.array(sizes)[:, None]  # (N, T)
    flat = np.concatenate([np.asarray(sequence) for sequence in sequences])
    if flat.dtype.kind not in "iu":
        raise ValueError(f"the sequences hold {flat.dtype} numbers; expected ids, whole numbers")
    ids = np.full((len(sizes), width), PAD, dtype=np.int64)
    ids[mask] = flat
    return ids, mask


def batches(
    *columns: Any,
    size: int,
    rng: np.random.Generator | None = None,
    lengths: Sequence[int] | None = None,
) -> Iterator[tuple[Any, ...]]:
    """Cut columns of N rows into batches of at most `size` rows; every row comes exactly once.

    columns: equally long lists or arrays (arrays are cut as arrays). rng: shuffles; None keeps the
    order. lengths: N numbers; rows of similar length then share a batch (less padding), and the
    batches' order is shuffled.
    Raises ValueError when the columns differ in length or `size` is below 1.
    """
    counts = {len(column) for column in [*columns, *([] if lengths is None else [lengths])]}
    if len(counts) != 1:
        raise ValueError(f"columns (and lengths) must have one length; got {sorted(counts)}")
    if size < 1:
        raise ValueError(f"a batch needs at least 1 row; size is {size}")
    N = counts.pop()
    order = np.arange(N) if rng is None else rng.permutation(N)
    if lengths is not None:
        order = order[np.argsort(np.asarray(lengths)[order], kind="stable")]
    starts = np.arange(0, N, size)
    if rng is not None and lengths is not None:
        starts = rng.permutation(starts)
    for start in starts:
        rows = order[start : start + size]
        yield tuple(
            column[rows] if hasattr(column, "dtype") else [column[row] for row in rows]
            for column in columns
        )
