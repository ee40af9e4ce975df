"""A small BERT: the encoder and its two questions. Lesson 16 derives and proves each part."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..expect import expect_ids, expect_padding, expect_shape

SIZE = 64  # numbers of a state, D
DEPTH = 2  # layers
HEADS = 4
INNER = 128  # units of the feed-forward part
POSITIONS = 64  # the most tokens of an input


class Encoder(nn.Module):
    """Ids and segments (N, T) with their mask to states (N, T, D).

    Every position sees every real position.
    """

    def __init__(
        self,
        V: int,
        D: int = SIZE,
        layers: int = DEPTH,
        heads: int = HEADS,
        inner: int = INNER,
        positions: int = POSITIONS,
        std: float = 0.1,
    ) -> None:
        super().__init__()
        self.word, self.position = nn.Embedding(V, D), nn.Embedding(positions, D)
        self.segment = nn.Embedding(2, D)
        for table in (self.word, self.position, self.segment):
            nn.init.normal_(table.weight, std=std)
        self.norm = nn.LayerNorm(D)
        layer = nn.TransformerEncoderLayer(
            D, heads, inner, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(D), enable_nested_tensor=False
        )
        for weight in self.layers.parameters():
            if weight.ndim == 2:  # the layers are copies of one; each gets weights of its own
                nn.init.xavier_uniform_(weight)

    def forward(self, ids: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
        N, T = expect_shape("ids", ids, "N T")
        expect_shape("segments", segments, "N T", N=N, T=T)
        expect_padding("mask", mask, N=N, T=T)
        ids = expect_ids("ids", ids, self.word.num_embeddings)
        segments = expect_ids("segments", segments, 2)
        if self.position.num_embeddings < T:
            raise ValueError(
                f"the input has {T} tokens, but the table of positions has "
                f"{self.position.num_embeddings} rows; cut the input"
            )
        x = self.word(ids) + self.position.weight[:T] + self.segment(segments)  # (N, T, D)
        states: Tensor = self.layers(self.norm(x), src_key_padding_mask=~mask)
        return states


class PreTraining(nn.Module):
    """An encoder with BERT's two questions.

    Which word is hidden, and is the second sentence the next one?
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        V, D = encoder.word.weight.shape
        self.encoder, self.bend, self.norm = encoder, nn.Linear(D, D), nn.LayerNorm(D)
        self.bias, self.pool = nn.Parameter(torch.zeros(V)), nn.Linear(D, D)
        self.next = nn.Linear(D, 2)

    def words(self, states: Tensor) -> Tensor:
        """Logits (..., V) of the word behind each state (..., D).

        The embeddings are the read-out.
        """
        bent = self.norm(F.gelu(self.bend(states)))
        return F.linear(bent, self.encoder.word.weight, self.bias)

    def forward(
        self, ids: Tensor, segments: Tensor, mask: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (positions, V) at the chosen positions, and (N, 2) of "random" and "next"."""
        states = self.encoder(ids, segments, mask)
        return self.words(states[chosen]), self.next(torch.tanh(self.pool(states[:, 0])))
