"""A Transformer that goes on where it stopped: its state is a key-value cache.

A translator, and a causal layer. Lesson 14 proves the parts, lesson 15 writes the cache by hand.
The weights are those of the framework's `nn.TransformerEncoderLayer` and
`nn.TransformerDecoderLayer` (norm first), which have no cache of their own.
Source: Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import text
from ..expect import expect_ids, expect_mask, expect_shape

LONGEST = 512  # positions that a model has by default


def positions(longest: int, H: int) -> Tensor:
    """Sinusoidal encodings (longest, H): sines in the even columns, cosines in the odd.

    Wavelengths go from 2 pi to 20,000 pi.
    """
    angle = torch.arange(longest)[:, None] / 10_000 ** (torch.arange(0, H, 2) / H)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :H]


def add_positions(x: Tensor, table: Tensor, past: int = 0) -> Tensor:
    """x (N, T, H) plus the rows past, past + 1, ... of the table (longest, H).

    Raises ValueError when they are not enough.
    """
    needed = past + x.shape[1]
    if needed > len(table):
        cure = "make the model with a larger `longest`"
        raise ValueError(f"{needed} positions are needed, the table has {len(table)}; {cure}")
    return x + table[past:needed]


def project_queries_keys_values(module: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """The queries (N, T, H) of x (N, T, H), and its keys and values side by side (N, T, 2H).

    One product for all three.
    """
    H = module.embed_dim
    projected = F.linear(x, module.in_proj_weight, module.in_proj_bias)
    query, keys_values = projected.split_with_sizes([H, 2 * H], dim=2)
    return query, keys_values


def project_keys_values(module: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """The keys and values side by side (N, S, 2H) of x (N, S, H)."""
    H = module.embed_dim
    return F.linear(x, module.in_proj_weight[H:], module.in_proj_bias[H:])


def attend(
    module: nn.MultiheadAttention,
    query: Tensor,
    keys_values: Tensor,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Multi-head attention (N, T, H) of query (N, T, H) over keys_values (N, S, 2H), projected.

    mask: bool, True where a query may look, (N or 1, 1, T or 1, S); None: everywhere, or with
    `causal` (S = T) at itself and before. Raises ValueError for a mask of numbers, which would be
    added to the scores.
    """
    if mask is not None:
        expect_mask("mask", mask)
    q, k, v = (
        part.view(*part.shape[:2], module.num_heads, -1).transpose(1, 2)
        for part in (query, *keys_values.chunk(2, dim=2))
    )  # (N, heads, T or S, d)
    dropout = module.dropout if module.training else 0.0
    context = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
    mixed: Tensor = module.out_proj(context.transpose(1, 2).flatten(2))
    return mixed


def attention_mask(mask: Tensor) -> Tensor | None:
    """The mask (N, S), True where real, as `attend` wants it.

    None if nothing is padding, which is computed faster.
    """
    expect_mask("mask", mask)
    return None if bool(mask.all()) else mask[:, None, None]


def feed_forward(layer: Any, x: Tensor, norm: nn.Module, dropout: nn.Module) -> Tensor:
    """A framework layer's last part, norm first, added to what enters it: (N, T, H)."""
    added: Tensor = x + dropout(layer.linear2(layer.dropout(F.relu(layer.linear1(norm(x))))))
    return added


def step(
    layer: Any, x: Tensor, past: Tensor, seen: Tensor | None = None, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A framework layer, norm first, on T new positions.

    x (N, T, H) to its output, and to the cache with the new positions, (N, P + T, 2H).
    past: the cache of the P positions before, (N, P, 2H). A position sees itself and those before.
    seen, mask: a decoder layer's keys and values (N, S, 2H) of its memory, and the mask (N, S),
    True where real.
    """
    T, P = x.shape[1], past.shape[1]
    query, keys_values = project_queries_keys_values(layer.self_attn, layer.norm1(x))
    past = torch.cat([past, keys_values], dim=1) if P else keys_values
    earlier = None
    if P and T > 1:
        earlier = torch.ones(T, P + T, dtype=torch.bool, device=x.device).tril(P)[None, None]
    x = x + layer.dropout1(attend(layer.self_attn, query, past, earlier, causal=not P))
    if seen is None or mask is None:
        return feed_forward(layer, x, layer.norm2, layer.dropout2), past
    attention, H = layer.multihead_attn, x.shape[2]
    query = F.linear(layer.norm2(x), attention.in_proj_weight[:H], attention.in_proj_bias[:H])
    x = x + layer.dropout2(attend(attention, query, seen, attention_mask(mask)))
    return feed_forward(layer, x, layer.norm3, layer.dropout3), past


class CausalTransformer(nn.Module):
    """A layer as the tasks want it: `states, last = layer(x, initial=None)`.

    x (N, T, D) to states (N, T, H); position t depends on x up to t alone. `last` is the cache
    (layers, N, T, 2H), to be given as `initial` for what follows.
    D, H: sizes of an input vector and of a state. heads: H must be a multiple. inner: of the
    feed-forward part, 2H when None.
    """

    table: Tensor

    def __init__(
        self,
        D: int,
        H: int,
        layers: int = 2,
        heads: int = 4,
        inner: int | None = None,
        dropout: float = 0.0,
        longest: int = LONGEST,
    ) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"dropout": dropout, "batch_first": True, "norm_first": True}
        self.enter, self.norm = nn.Linear(D, H), nn.LayerNorm(H)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(H, heads, inner or 2 * H, **sizes) for _ in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("table", positions(longest, H), persistent=False)

    def forward(self, x: Tensor, initial: Tensor | None = None) -> tuple[Tensor, Tensor]:
        N, _, _ = expect_shape("x", x, "N T D", D=self.enter.in_features)
        L, H = len(self.layers), self.enter.out_features
        if initial is not None:
            expect_shape("initial", initial, "L N P 2H", L=L, N=N, H=H)
        entered = self.enter(x)
        caches = entered.new_zeros(L, N, 0, 2 * H) if initial is None else initial
        x, last = self.dropout(add_positions(entered, self.table, caches.shape[2])), []
        for layer, past in zip(self.layers, caches, strict=True):
            x, past = step(layer, x, past)
            last.append(past)
        return self.norm(x), torch.stack(last)


class TransformerTranslator(nn.Module):
    """Encoder and decoder, decoding with a cache, one token at a time or many: a `Translator`.

    memory: each decoder layer's keys and values of the source, (N, layers, S, 2H), and the source's
    mask (N, S). state: the cache of the words so far, (layers, N, P, 2H): as with a GRU's state,
    sentences stand on axis 1.
    H, heads, inner, dropout, longest: as in `CausalTransformer`; layers: so many in the encoder,
    and so many in the decoder. spread: standard deviation of the embeddings' first numbers; those
    of the positions are near 0.7.
    """

    table: Tensor

    def __init__(
        self,
        source_size: int,
        V: int,
        H: int,
        layers: int = 2,
        heads: int = 4,
        inner: int | None = None,
        dropout: float = 0.0,
        longest: int = LONGEST,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"dropout": dropout, "batch_first": True, "norm_first": True}
        self.source, self.target = nn.Embedding(source_size, H), nn.Embedding(V, H)
        for table in (self.source, self.target):
            table.weight.data.mul_(spread)
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(H, heads, inner or 2 * H, **sizes) for _ in range(layers)
        )
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(H, heads, inner or 2 * H, **sizes) for _ in range(layers)
        )
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(H), nn.LayerNorm(H)
        self.head, self.dropout = nn.Linear(H, V), nn.Dropout(dropout)
        self.register_buffer("table", positions(longest, H), persistent=False)

    def encode(self, source: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """From ids (N, S) to memory and the empty cache.

        Raises ValueError for a source that `text.expect_source` refuses or that is longer than
        `longest`.
        """
        source, mask = text.expect_source(source, self.source.num_embeddings)
        x = self.dropout(add_positions(self.source(source), self.table))
        layers: Any = self.encoder
        real = attention_mask(mask)
        for layer in layers:
            projected = project_queries_keys_values(layer.self_attn, layer.norm1(x))
            x = x + layer.dropout1(attend(layer.self_attn, *projected, real))
            x = feed_forward(layer, x, layer.norm2, layer.dropout2)
        x = self.encoder_norm(x)
        decoder: Any = self.decoder
        seen = torch.stack(
            [project_keys_values(layer.multihead_attn, x) for layer in decoder], dim=1
        )
        return (seen, mask), seen.new_zeros(len(decoder), len(x), 0, 2 * x.shape[2])

    def decode(
        self, memory: tuple[Tensor, Tensor], state: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From words (N, T) and the cache before them to logits (N, T, V) and the longer cache."""
        seen, mask = memory
        expect_shape("mask", mask, "N S", N=len(seen), S=seen.shape[2])
        expect_shape("words", words, "N T", N=len(mask))
        words = expect_ids("words", words, self.target.num_embeddings)
        x = self.dropout(add_positions(self.target(words), self.table, state.shape[2]))
        caches = []
        for layer, past, keys_values in zip(self.decoder, state, seen.unbind(1), strict=True):
            x, past = step(layer, x, past, keys_values, mask)
            caches.append(past)
        return self.head(self.decoder_norm(x)), torch.stack(caches)
