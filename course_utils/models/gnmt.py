"""Lesson 13's translator: lesson 12's, made deep, with each part of GNMT to be left out or put in.

Wu et al. 2016, Google's Neural Machine Translation System (https://arxiv.org/abs/1609.08144); input
feeding: Luong, Pham & Manning 2015 (https://arxiv.org/abs/1508.04025). Lesson 13 derives the parts
and measures them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..expect import expect_ids, expect_shape
from .attention import AttentionTranslator


class GNMT(AttentionTranslator):
    """A stack of `layers` recurrent layers on either side.

    With one layer and no feeding it is `AttentionTranslator`.

    residual: a layer above the first adds its states to its input. deep_context: the lowest layer
    of the decoder asks, and every layer above reads the context beside its input; otherwise the
    highest asks, and only the read-out reads. feeding: the read-out's hidden vector (N, 1, H) goes
    into the lowest layer beside the next word, so that the decoder must run step by step; the state
    is then a pair. Raises ValueError when layers is below 1.
    """

    def __init__(
        self,
        source_size: int,
        V: int,
        D: int,
        H: int,
        score: str = "additive",
        *,
        layers: int = 2,
        both_ways: bool = True,
        residual: bool = True,
        deep_context: bool = True,
        feeding: bool = False,
    ) -> None:
        super().__init__(source_size, V, D, H, score, both_ways=both_ways)
        if layers < 1:
            raise ValueError(f"a stack has at least 1 layer; layers is {layers}")
        self.residual, self.deep_context, self.feeding = residual, deep_context, feeding
        if feeding:
            self.decoder = nn.GRU(D + H, H, batch_first=True)
        above = range(layers - 1)
        width = 2 * H if deep_context else H
        self.encoder_above = nn.ModuleList(nn.GRU(H, H, batch_first=True) for _ in above)
        self.decoder_above = nn.ModuleList(nn.GRU(width, H, batch_first=True) for _ in above)

    def encode(self, source: Tensor) -> tuple[tuple[Tensor, Tensor], Any]:
        """From ids (N, S) to memory and the decoder's first state.

        The memory is the highest layer's states (N, S, H) and mask (N, S). The state is each
        layer's last one, (layers, N, H); with feeding a pair of it and zeros (1, N, H).
        """
        (x, mask), first = super().encode(source)
        lasts, rows, ends = [first], torch.arange(len(source)), mask.sum(dim=1) - 1
        for layer in self.encoder_above:
            states, _ = layer(x)  # padding stands at the end, so no real state has seen it
            lasts.append(states[rows, ends][None])
            x = x + states if self.residual else states
        state = torch.cat(lasts)
        return (x, mask), (state, torch.zeros_like(first)) if self.feeding else state

    def _run(
        self, memory: tuple[Tensor, Tensor], state: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's layers over inputs (N, T, ...).

        Gives hidden vectors (N, T, H) for the read-out, the state, and weights (N, T, S).
        """
        assert self.attend is not None
        x, last = self.decoder(x, state[:1])
        lasts = [last]
        if self.deep_context:
            context, weights = self.attend(x, *memory)
        for number, layer in enumerate(self.decoder_above, 1):
            inputs = torch.cat([x, context], dim=2) if self.deep_context else x
            states, last = layer(inputs, state[number : number + 1])
            lasts.append(last)
            x = x + states if self.residual else states
        if not self.deep_context:
            context, weights = self.attend(x, *memory)
        return torch.tanh(self.mix(torch.cat([x, context], dim=2))), torch.cat(lasts), weights

    def decode_and_look(
        self, memory: tuple[Tensor, Tensor], state: Any, words: Tensor
    ) -> tuple[Tensor, Any, Tensor]:
        """Logits (N, T, V) of the next words, the state after them, and the weights (N, T, S)."""
        _, T = expect_shape("words", words, "N T", N=len(memory[1]))
        x = self.target(expect_ids("words", words, self.target.num_embeddings))  # (N, T, D)
        if not self.feeding:
            hidden, state, weights = self._run(memory, state, x)
            return self.head(hidden), state, weights
        state, fed = state[0], state[1].transpose(0, 1)  # (N, 1, H)
        steps = []
        for t in range(T):
            fed, state, weights = self._run(memory, state, torch.cat([x[:, t : t + 1], fed], dim=2))
            steps.append((fed, weights))
        hidden, weights = (torch.cat(part, dim=1) for part in zip(*steps))
        return self.head(hidden), (state, fed.transpose(0, 1)), weights
