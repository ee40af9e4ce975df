"""Attention over an encoder's states, a translator that has it, and how well its weights find the true alignment.

Lesson 12 writes and proves all of this; here it stands for the lessons after it and for the results file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from . import grammar, text
from .proofs import expect_shape

SCORES = ("dot", "general", "additive")


class Attention(nn.Module):
    """Context (N, T, H) and weights (N, T, S) of queries (N, T, H) over keys, which are the values too, (N, S, H).

    mask (N, S): True where a place is real; the others get the weight 0, and a row without a real place is all 0.
    Sources: additive, Bahdanau, Cho & Bengio 2014 (https://arxiv.org/abs/1409.0473); dot and general, Luong, Pham &
    Manning 2015 (https://arxiv.org/abs/1508.04025). Raises ValueError for a score that is not in SCORES and for shapes
    that do not fit.
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
        asked = query if self.score == "dot" else self.W_q(query)  # (N, T, H)
        if self.score == "additive":
            scores = self.v(torch.tanh(asked[:, :, None] + self.W_k(key)[:, None]))[..., 0]  # (N, T, S)
        else:
            scores = asked @ key.transpose(1, 2)
        weights = scores.masked_fill(~mask[:, None], -1e9).softmax(dim=2) * mask[:, None]
        return weights @ key, weights


class AttentionTranslator(nn.Module):
    """GRU encoder and decoder with attention, for the tasks' translator interface; memory is the states and the mask.

    D, H: sizes of an embedding and of a state. score: one of SCORES, or None for the same model without attention.
    both_ways: the encoder reads in both directions, H / 2 units each.
    """

    def __init__(self, source_size: int, V: int, D: int, H: int, score: str | None = "dot", *, both_ways: bool = True) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(source_size, D), nn.Embedding(V, D)
        self.encoder = nn.GRU(D, H // 2 if both_ways else H, batch_first=True, bidirectional=both_ways)
        self.decoder = nn.GRU(D, H, batch_first=True)
        self.attend = None if score is None else Attention(score, H)
        self.mix, self.head = nn.Linear(H if score is None else 2 * H, H), nn.Linear(H, V)

    def encode(self, source: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """From ids (N, S) to memory, which is states (N, S, H) and mask (N, S), and to the decoder's first state (1, N, H)."""
        mask = text.expect_source(source, self.source.num_embeddings)
        packed = pack_padded_sequence(self.source(source), mask.sum(dim=1), batch_first=True, enforce_sorted=False)
        states, last = self.encoder(packed)
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])
        return (states, mask), torch.cat(list(last), dim=1)[None]

    def decode_and_look(self, memory: tuple[Tensor, Tensor], state: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores (N, T, V) of the next words, the state after them, and the weights (N, T, S) if there is attention."""
        expect_shape("words", words, "N T", N=len(memory[1]))
        text.expect_ids("words", words, self.target.num_embeddings)
        query, state = self.decoder(self.target(words), state)  # (N, T, H)
        weights = None
        if self.attend is not None:
            context, weights = self.attend(query, *memory)
            query = torch.cat([query, context], dim=2)  # (N, T, 2H)
        return self.head(torch.tanh(self.mix(query))), state, weights

    def decode(self, memory: tuple[Tensor, Tensor], state: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """As `decode_and_look`, without the weights."""
        logits, state, _ = self.decode_and_look(memory, state, words)
        return logits, state


@torch.no_grad()
def weights_on_truth(model: Any, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> list[NDArray[Any]]:
    """The weights (T, S) of each pair while the true target is written. targets: from <sos> to <eos>; row t is of word t.

    Raises ValueError for a target that does not begin with <sos>: its rows would be those of other words.
    """
    for place, target in enumerate(targets):
        if target[0] != text.SOS:
            raise ValueError(f"target {place} begins with the id {target[0]}; expected <sos>, which is {text.SOS}")
    found: list[NDArray[Any]] = []
    for source, target in text.batches(sources, targets, size=100):
        memory, state = model.encode(torch.from_numpy(text.pad(source)[0]))
        _, _, weights = model.decode_and_look(memory, state, torch.from_numpy(text.pad(target)[0][:, :-1]))
        found += [rows[: len(t) - 1, : len(s)].numpy() for rows, s, t in zip(weights, source, target)]
    return found


def alignment_error(weights: Sequence[NDArray[Any]], pairs: Sequence[grammar.Pair]) -> float:
    """Alignment error rate between 0 and 1: each Korean word is linked to the place of its largest weight.

    weights: (T, S) of each pair, row j of Korean word j. AER = 1 - 2 |found and true| / (|found| + |true|), for all
    links of the grammar are sure (Och & Ney 2003, https://aclanthology.org/J03-1002).
    """
    found = [{(int(row.argmax()), j) for j, row in enumerate(rows[: len(pair.korean)])} for rows, pair in zip(weights, pairs, strict=True)]
    true = [set(pair.alignment) for pair in pairs]
    both = sum(len(ours & theirs) for ours, theirs in zip(found, true))
    return 1 - 2 * both / (sum(map(len, found)) + sum(map(len, true)))
