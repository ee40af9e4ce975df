"""What every translator has, its loss and its greedy decoding; and lesson 11's encoder and decoder.

Lesson 11 writes and proves the model, the loss and the decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import text
from ..expect import expect_ids, expect_padding, expect_shape
from .layers import LAYERS, Layer

MOST = 24  # tokens that a decoder may write; the longest true translation has fewer


class Translator(Protocol):
    """A module that reads a source once and writes from it: what lessons 11 to 15 build.

    memory: what the decoder may look at; every tensor in it has the batch on axis 0.
    state: where the decoder stands; every tensor in it has the batch on axis 1, as a recurrent
    layer's. Both may be tensors, or tuples, lists or mappings of them.
    """

    def encode(self, source: Tensor, /) -> tuple[Any, Any]:
        """From ids (N, S), padding at the end, to memory and the first state."""

    def decode(self, memory: Any, state: Any, words: Tensor, /) -> tuple[Tensor, Any]:
        """From words (N, T) to logits (N, T, V) of the next ones, and the state after them."""

    def eval(self) -> Any:
        """To evaluation mode, as every `nn.Module` has it."""


class LookingTranslator(Translator, Protocol):
    """A translator with attention weights to look at."""

    def decode_and_look(
        self, memory: Any, state: Any, words: Tensor, /
    ) -> tuple[Tensor, Any, Tensor | None]:
        """As `decode`, and the weights (N, T, S); None from a model without attention."""


class Seq2Seq(nn.Module):
    """Encoder and decoder with one recurrent layer each, equal to lesson 11's.

    D, H: sizes of an embedding and of a state. peeky: every step of the decoder, and its read-out,
    sees the memory, which is the encoder's last state. layer: one whose state is h alone (RNN,
    GRU). Padding of the source, at its end, changes nothing.
    """

    def __init__(
        self,
        source_size: int,
        V: int,
        D: int,
        H: int,
        *,
        peeky: bool = False,
        layer: Layer = LAYERS["GRU"],
    ) -> None:
        super().__init__()
        self.peeky, extra = peeky, H if peeky else 0
        self.source, self.encoder = nn.Embedding(source_size, D), layer(D, H)
        self.target, self.decoder = nn.Embedding(V, D), layer(D + extra, H)
        self.head = nn.Linear(H + extra, V)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """From ids (N, S) to memory (N, H) and state (1, N, H).

        Both are the encoder's state at each row's last real token.
        """
        source, mask = text.expect_source(source, self.source.num_embeddings)
        states, _ = self.encoder(self.source(source))  # (N, S, H)
        memory = states[torch.arange(len(source)), mask.sum(dim=1) - 1]
        return memory, memory[None]

    def decode(self, memory: Tensor, state: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """From words (N, T) to logits (N, T, V) of the next ones, and the state after them."""
        expect_shape("words", words, "N T", N=len(memory))
        words = expect_ids("words", words, self.target.num_embeddings)
        contexts = (
            [memory[:, None].expand(-1, words.shape[1], -1)] if self.peeky else []
        )  # (N, T, H)
        states, state = self.decoder(torch.cat([self.target(words), *contexts], dim=2), state)
        return self.head(torch.cat([states, *contexts], dim=2)), state


def loss(
    model: Translator, batch: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]
) -> Tensor:
    """Nats per real target token of a batch (source id lists, target id lists, <sos> to <eos>).

    Raises ValueError for a target that does not begin with <sos>, whose first word would be given
    and never asked for, and for one with <pad> among its tokens, which would not count.
    """
    source, target = (torch.from_numpy(text.pad(ids)[0]) for ids in batch)  # (N, S), (N, T + 1)
    if (wrong := target[:, 0] != text.SOS).any():
        row, first = int(wrong.int().argmax()), int(target[wrong][0, 0])
        raise ValueError(
            f"target {row} begins with the id {first}; expected <sos>, which is {text.SOS}"
        )
    expect_padding("target", target != text.PAD)
    logits, _ = model.decode(*model.encode(source), target[:, :-1])  # (N, T, V)
    return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=text.PAD)


@torch.no_grad()
def greedy(
    model: Translator, sources: Sequence[Sequence[int]], most: int = MOST
) -> list[list[int]]:
    """For each source the most probable token at each step, fed back, up to <eos>.

    <eos> is left out; a row without one is cut off after `most` tokens.
    """
    written: list[list[int]] = []
    for (batch,) in text.batches(sources, size=200):
        memory, state = model.encode(torch.from_numpy(text.pad(batch)[0]))
        words = torch.full((len(batch), 1), text.SOS)
        columns: list[Tensor] = []
        ended = torch.zeros(len(batch), dtype=torch.bool)
        while len(columns) < most and not ended.all():
            logits, state = model.decode(memory, state, words)
            words = logits[:, -1:].argmax(dim=2)  # (N, 1)
            columns.append(words)
            ended |= words[:, 0] == text.EOS
        rows = torch.cat(columns, dim=1).tolist()
        written += [row[: row.index(text.EOS)] if text.EOS in row else row for row in rows]
    return written
