"""Attention over an encoder's states, a translator that has it, and how well it aligns words.

Lesson 12 writes and proves all of this; here it stands for the lessons after it and for the file of
results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .. import text
from ..expect import expect_ids, expect_mask, expect_shape
from ..grammar import Pair
from ..proofs import numbers
from .seq2seq import LookingTranslator

SCORES = ("dot", "general", "additive")


class Attention(nn.Module):
    """Context (N, T, H) and weights (N, T, S) of queries (N, T, H) over keys (N, S, H).

    The keys are the values too. mask (N, S): bool, True where a position is real; the others get
    the weight 0, and a row without a real position is all 0.
    Sources: additive, Bahdanau, Cho & Bengio 2014 (https://arxiv.org/abs/1409.0473); dot and
    general, Luong, Pham & Manning 2015 (https://arxiv.org/abs/1508.04025).
    Raises ValueError for a score that is not in SCORES, for shapes that do not fit and for a mask
    of numbers.
    """

    def __init__(self, score: str, H: int) -> None:
        super().__init__()
        if score not in SCORES:
            raise ValueError(f"score is one of {', '.join(SCORES)}, not {score!r}")
        self.score = score
        if score != "dot":
            self.W_q = nn.Linear(H, H, bias=False)
        if score == "additive":
            self.W_k, self.v = nn.Linear(H, H, bias=False), nn.Linear(H, 1, bias=False)

    def forward(self, query: Tensor, key: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        N, T, H = expect_shape("query", query, "N T H")
        _, S, _ = expect_shape("key", key, "N S H", N=N, H=H, T=T)
        expect_shape("mask", mask, "N S", N=N, S=S, T=T)
        expect_mask("mask", mask)
        q = query if self.score == "dot" else self.W_q(query)  # (N, T, H)
        if self.score == "additive":
            scores = self.v(torch.tanh(q[:, :, None] + self.W_k(key)[:, None]))[..., 0]  # (N, T, S)
        else:
            scores = q @ key.transpose(1, 2)
        lowest = torch.finfo(scores.dtype).min  # -1e9 is none of half precision's numbers
        weights = scores.masked_fill(~mask[:, None], lowest).softmax(dim=2) * mask[:, None]
        return weights.to(key.dtype) @ key, weights


class AttentionTranslator(nn.Module):
    """GRU encoder and decoder with attention: a `seq2seq.LookingTranslator`.

    Its memory is the states and the mask. D, H: sizes of an embedding and of a state. score: one of
    SCORES, or None for the same model without attention. both_ways: the encoder reads in both
    directions, H / 2 units each. Raises ValueError for both_ways with an odd H.
    """

    def __init__(
        self,
        source_size: int,
        V: int,
        D: int,
        H: int,
        score: str | None = "dot",
        *,
        both_ways: bool = True,
    ) -> None:
        super().__init__()
        if both_ways and H % 2:
            raise ValueError(f"H is {H}; both directions share it, so it must be even")
        self.source, self.target = nn.Embedding(source_size, D), nn.Embedding(V, D)
        units = H // 2 if both_ways else H
        self.encoder = nn.GRU(D, units, batch_first=True, bidirectional=both_ways)
        self.decoder = nn.GRU(D, H, batch_first=True)
        self.attend = None if score is None else Attention(score, H)
        self.mix, self.head = nn.Linear(H if score is None else 2 * H, H), nn.Linear(H, V)

    def encode(self, source: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """From ids (N, S) to memory and the decoder's first state (1, N, H).

        The memory is states (N, S, H) and mask (N, S).
        """
        source, mask = text.expect_source(source, self.source.num_embeddings)
        lengths = mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(
            self.source(source), lengths, batch_first=True, enforce_sorted=False
        )
        states, last = self.encoder(packed)
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])
        return (states, mask), torch.cat(list(last), dim=1)[None]

    def decode_and_look(
        self, memory: tuple[Tensor, Tensor], state: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits (N, T, V) of the next words, the state after them, and the weights (N, T, S)."""
        expect_shape("words", words, "N T", N=len(memory[1]))
        words = expect_ids("words", words, self.target.num_embeddings)
        query, state = self.decoder(self.target(words), state)  # (N, T, H)
        weights = None
        if self.attend is not None:
            context, weights = self.attend(query, *memory)
            query = torch.cat([query, context], dim=2)  # (N, T, 2H)
        return self.head(torch.tanh(self.mix(query))), state, weights

    def decode(
        self, memory: tuple[Tensor, Tensor], state: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `decode_and_look`, without the weights."""
        logits, state, _ = self.decode_and_look(memory, state, words)
        return logits, state


@torch.no_grad()
def weights_on_truth(
    model: LookingTranslator, sources: Sequence[list[int]], targets: Sequence[list[int]]
) -> list[NDArray[Any]]:
    """The weights (T, S) of each pair while the true target is written; row t is of word t.

    targets: from <sos> to <eos>. Raises ValueError for a target that does not begin with <sos>: its
    rows would be those of other words.
    """
    for place, target in enumerate(targets):
        if target[0] != text.SOS:
            expected = f"expected <sos>, which is {text.SOS}"
            raise ValueError(f"target {place} begins with the id {target[0]}; {expected}")
    pairs: list[NDArray[Any]] = []
    for source, target in text.batches(sources, targets, size=100):
        memory, state = model.encode(torch.from_numpy(text.pad(source)[0]))
        words = torch.from_numpy(text.pad(target)[0][:, :-1])
        _, _, weights = model.decode_and_look(memory, state, words)
        assert weights is not None, "a model without attention has no weights to look at"
        pairs += [
            numbers(rows[: len(t) - 1, : len(s)]) for rows, s, t in zip(weights, source, target)
        ]
    return pairs


def alignment_error(weights: Sequence[NDArray[Any]], pairs: Sequence[Pair]) -> float:
    """Alignment error rate (0 to 1): each Korean word is linked to its largest weight.

    weights: (T, S) of each pair, row j of Korean word j. AER = 1 - 2 |ours and true| /
    (|ours| + |true|), for all links of the grammar are sure (Och & Ney 2003,
    https://aclanthology.org/J03-1002).
    """
    ours = [
        {(int(row.argmax()), j) for j, row in enumerate(rows[: len(pair.korean)])}
        for rows, pair in zip(weights, pairs, strict=True)
    ]
    true = [set(pair.alignment) for pair in pairs]
    both = sum(len(links & theirs) for links, theirs in zip(ours, true))
    return 1 - 2 * both / (sum(map(len, ours)) + sum(map(len, true)))
