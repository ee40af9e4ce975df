"""A Transformer that continues where it stopped: a translator and a causal layer whose state is a key-value cache.

Lesson 14 proves the parts, lesson 15 writes the cache by hand. The weights are those of the framework's
`nn.TransformerEncoderLayer` and `nn.TransformerDecoderLayer` (norm first), which have no cache of their own.
Source: Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import text
from .proofs import expect_shape

LONGEST = 512  # positions that a model has by default


def positions(longest: int, H: int) -> Tensor:
    """Sinusoidal encodings (longest, H): sines of wavelengths from 2 pi to 20,000 pi in the even columns, cosines in the odd."""
    angle = torch.arange(longest)[:, None] / 10_000 ** (torch.arange(0, H, 2) / H)  # (longest, H / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :H]


def placed(x: Tensor, table: Tensor, past: int = 0) -> Tensor:
    """x (N, T, H) plus the rows past, past + 1, ... of the table (longest, H). Raises ValueError when they are not enough."""
    if past + x.shape[1] > len(table):
        raise ValueError(f"{past + x.shape[1]} positions are needed, the table has {len(table)}; make the model with a larger `longest`")
    return x + table[past : past + x.shape[1]]


def projected(module: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """The queries (N, T, H) of x (N, T, H), and its keys and values side by side (N, T, 2H): one product for all three."""
    H = module.embed_dim
    query, both = F.linear(x, module.in_proj_weight, module.in_proj_bias).split_with_sizes([H, 2 * H], dim=2)
    return query, both


def attend(module: nn.MultiheadAttention, query: Tensor, both: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """Multi-head attention (N, T, H) of query (N, T, H) over keys and values side by side, both (N, S, 2H), all projected already.

    mask: True where a query may look, (N or 1, 1, T or 1, S); None: everywhere, or with `causal` (S = T) at itself and before.
    """
    q, k, v = (x.view(*x.shape[:2], module.num_heads, -1).transpose(1, 2) for x in (query, *both.chunk(2, dim=2)))  # (N, heads, T or S, d)
    context = F.scaled_dot_product_attention(q, k, v, mask, module.dropout if module.training else 0.0, causal)
    mixed: Tensor = module.out_proj(context.transpose(1, 2).flatten(2))
    return mixed


def keys_and_values(module: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """The keys and values (N, S, 2H) of x (N, S, H)."""
    H = module.embed_dim
    return F.linear(x, module.in_proj_weight[H:], module.in_proj_bias[H:])


def where_real(mask: Tensor) -> Tensor | None:
    """The mask (N, S), True where real, as `attend` wants it; None if nothing is padding, which is computed faster."""
    return None if bool(mask.all()) else mask[:, None, None]


def feed_forward(layer: Any, x: Tensor, norm: nn.Module, dropout: nn.Module) -> Tensor:
    """A framework layer's last part, norm first, added to what enters it: (N, T, H)."""
    added: Tensor = x + dropout(layer.linear2(layer.dropout(F.relu(layer.linear1(norm(x))))))
    return added


def step(layer: Any, x: Tensor, past: Tensor, seen: Tensor | None = None, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A framework layer, norm first, on T new positions: x (N, T, H) to its output and to the cache with them, (N, P + T, 2H).

    past: the cache of the P positions before, (N, P, 2H). A position sees itself and those before it.
    seen, mask: a decoder layer's keys and values (N, S, 2H) of its memory, and the mask (N, S), True where real.
    """
    T, P = x.shape[1], past.shape[1]
    query, both = projected(layer.self_attn, layer.norm1(x))
    past = torch.cat([past, both], dim=1) if P else both
    earlier = torch.ones(T, P + T, dtype=torch.bool, device=x.device).tril(P)[None, None] if P and T > 1 else None
    x = x + layer.dropout1(attend(layer.self_attn, query, past, earlier, causal=not P))
    if seen is None or mask is None:
        return feed_forward(layer, x, layer.norm2, layer.dropout2), past
    attention, H = layer.multihead_attn, x.shape[2]
    query = F.linear(layer.norm2(x), attention.in_proj_weight[:H], attention.in_proj_bias[:H])
    x = x + layer.dropout2(attend(attention, query, seen, where_real(mask)))
    return feed_forward(layer, x, layer.norm3, layer.dropout3), past


class CausalTransformer(nn.Module):
    """A layer as the tasks want it: `states, last = layer(x, initial=None)`, x (N, T, D) to states (N, T, H).

    Position t depends on x up to t alone. `last` is the cache (layers, N, T, 2H), to be given as `initial` for what follows.
    D, H: sizes of an input vector and of a state. heads: H must be a multiple. inner: of the feed-forward part, 2H when None.
    """

    table: Tensor

    def __init__(
        self, D: int, H: int, layers: int = 2, heads: int = 4, inner: int | None = None, dropout: float = 0.0, longest: int = LONGEST
    ) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"dropout": dropout, "batch_first": True, "norm_first": True}
        self.enter, self.norm = nn.Linear(D, H), nn.LayerNorm(H)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(H, heads, inner or 2 * H, **sizes) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("table", positions(longest, H), persistent=False)

    def forward(self, x: Tensor, initial: Tensor | None = None) -> tuple[Tensor, Tensor]:
        N, _, _ = expect_shape("x", x, "N T D", D=self.enter.in_features)
        L, H = len(self.layers), self.enter.out_features
        if initial is not None:
            expect_shape("initial", initial, "L N P 2H", L=L, N=N, H=H)
        caches = x.new_zeros(L, N, 0, 2 * H) if initial is None else initial
        x, last = self.dropout(placed(self.enter(x), self.table, caches.shape[2])), []
        for layer, past in zip(self.layers, caches, strict=True):
            x, past = step(layer, x, past)
            last.append(past)
        return self.norm(x), torch.stack(last)


class TransformerTranslator(nn.Module):
    """Encoder and decoder for the tasks' translator interface, decoding with a cache, one token at a time or many.

    memory: each decoder layer's keys and values of the source, (N, layers, S, 2H), and the source's mask (N, S).
    state: the cache of the words so far, (layers, N, P, 2H): as with a GRU's state, sentences stand on axis 1.
    H, heads, inner, dropout, longest: as in `CausalTransformer`; layers: so many in the encoder, and so many in the decoder.
    spread: standard deviation of the embeddings' first numbers; those of the positions are near 0.7.
    """

    table: Tensor

    def __init__(
        self, source_size: int, V: int, H: int, layers: int = 2, heads: int = 4, inner: int | None = None,
        dropout: float = 0.0, longest: int = LONGEST, spread: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        sizes: dict[str, Any] = {"dropout": dropout, "batch_first": True, "norm_first": True}
        self.source, self.target = nn.Embedding(source_size, H), nn.Embedding(V, H)
        for table in (self.source, self.target):
            table.weight.data.mul_(spread)
        self.encoder = nn.ModuleList(nn.TransformerEncoderLayer(H, heads, inner or 2 * H, **sizes) for _ in range(layers))
        self.decoder = nn.ModuleList(nn.TransformerDecoderLayer(H, heads, inner or 2 * H, **sizes) for _ in range(layers))
        self.encoder_norm, self.decoder_norm, self.head = nn.LayerNorm(H), nn.LayerNorm(H), nn.Linear(H, V)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("table", positions(longest, H), persistent=False)

    def encode(self, source: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """From ids (N, S) to memory and the empty cache. Raises ValueError for a source of padding alone or longer than `longest`."""
        mask = text.expect_source(source, self.source.num_embeddings)
        x = self.dropout(placed(self.source(source), self.table))
        layers: Any = self.encoder
        real = where_real(mask)
        for layer in layers:
            x = x + layer.dropout1(attend(layer.self_attn, *projected(layer.self_attn, layer.norm1(x)), real))
            x = feed_forward(layer, x, layer.norm2, layer.dropout2)
        x = self.encoder_norm(x)
        seen = torch.stack([keys_and_values(layer.multihead_attn, x) for layer in self.decoder], dim=1)  # type: ignore[arg-type]
        return (seen, mask), x.new_zeros(len(self.decoder), len(x), 0, 2 * x.shape[2])

    def decode(self, memory: tuple[Tensor, Tensor], state: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """From words (N, T) and the cache of those before them to logits (N, T, V) of the next ones, and the longer cache."""
        seen, mask = memory
        expect_shape("mask", mask, "N S", N=len(seen), S=seen.shape[2])
        expect_shape("words", words, "N T", N=len(mask))
        text.expect_ids("words", words, self.target.num_embeddings)
        x, caches = self.dropout(placed(self.target(words), self.table, state.shape[2])), []
        for layer, past, keys in zip(self.decoder, state, seen.unbind(1), strict=True):
            x, past = step(layer, x, past, keys, mask)
            caches.append(past)
        return self.head(self.decoder_norm(x)), torch.stack(caches)
