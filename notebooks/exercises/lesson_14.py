"""Exercises of lesson 14: the parts of the Transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.exercises import Exercise, Wrong
from course_utils.text import PAD


def same(a: Any, b: Tensor) -> bool:
    """A tensor of b's shape with nearly b's numbers."""
    return isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a.to(b.dtype), b, rtol=1e-6, atol=1e-8)


# ---------------------------------------------------------------- 14.1 both masks in one


def both_masks(ids: Tensor) -> Tensor:
    T = ids.shape[1]
    place = torch.arange(T)
    earlier = place[None, :] <= place[:, None]  # (T, T): key s at or before query t
    return (ids != PAD)[:, None, None, :] & earlier  # (N, 1, T, T)


def _mask(ids: Tensor, kind: str) -> Tensor:
    T = ids.shape[1]
    lower, real = torch.ones(T, T, dtype=torch.bool).tril(), ids != PAD
    whole = torch.ones(len(ids), 1, T, T, dtype=torch.bool)
    return {
        "causal alone": whole & lower,
        "padding alone": whole & real[:, None, None],
        "itself forbidden": real[:, None, None] & lower.tril(-1),
        "turned": real[:, None, None] & lower.T,
        "padding of the queries": real[:, None, :, None] & lower,
        "or": real[:, None, None] | lower,
        "forbidden as True": ~(real[:, None, None] & lower),
    }[kind]


MASK_MISTAKES = {
    "causal alone": "padding may be looked at in this mask: key s must also be a real token, ids != PAD",
    "padding alone": "a query may look at later places in this mask: key s must not stand after query t",
    "itself forbidden": "query t may not look at itself in this mask; s <= t includes s = t, and the first query would see nothing",
    "turned": "this mask lets queries look forward: rows are queries, columns are keys, so True stands in the lower triangle",
    "padding of the queries": "the rows of padding are all False here: ask whether the key is real, not the query; what a padded query finds, nobody uses",
    "or": "joined by 'or' one reason is enough to be looked at; a key must be early enough AND real",
    "forbidden as True": "this is the opposite: True stands where a query may look, in this course and in F.scaled_dot_product_attention",
}


def check_mask(answer: Callable[..., Any]) -> str:
    for rows in ([[5, 6, 7], [8, 9, PAD]], [[4, 4, PAD, PAD], [4, 5, 6, 7], [4, 5, 6, PAD]]):
        ids = torch.tensor(rows)
        got, right = answer(ids.clone()), both_masks(ids)
        if not isinstance(got, Tensor) or got.shape != right.shape:
            shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
            raise Wrong(f"for ids of shape {tuple(ids.shape)} the mask is a tensor of shape {tuple(right.shape)}; yours: {shape}")
        if got.dtype != torch.bool:
            raise Wrong(f"a mask holds True and False; yours holds {got.dtype}")
        if torch.equal(got, right):
            continue
        for kind, sentence in MASK_MISTAKES.items():
            if torch.equal(got, _mask(ids, kind)):
                raise Wrong(sentence)
        n, _, t, s = (int(i) for i in (got != right).nonzero()[0])
        raise Wrong(f"for ids {rows}, sequence {n}: may query {t} look at key {s}? {bool(right[n, 0, t, s])}; your mask says {bool(got[n, 0, t, s])}")
    return "True where a key is real and not later. Every row of a real query has its own place at least."


# ---------------------------------------------------------------- 14.2 count without building


def count(V: int, H: int, inner: int, layers: int) -> int:
    attention = 4 * (H * H + H)
    feed_forward = H * inner + inner + inner * H + H
    norm = 2 * H
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    return V * H + layers * (encoder + decoder)


def _count(mistake: str) -> Callable[[int, int, int, int], int]:
    def answer(V: int, H: int, inner: int, layers: int) -> int:
        attention, feed, norm = 4 * (H * H + H), 2 * H * inner + inner + H, 2 * H
        parts = 3 * attention + 2 * feed + 5 * norm
        return V * H + layers * parts + {
            "no biases": -layers * (12 * H + 2 * (inner + H)),
            "no attention biases": -layers * 12 * H,
            "no embedding": -V * H,
            "a bias at the output": V,
            "a norm after each stack": 2 * norm,
            "no norms": -layers * 5 * norm,
            "two norms in the decoder": -layers * norm,
            "no cross-attention": -layers * attention,
            "no output matrix": -layers * 3 * (H * H + H),
            "two embeddings": V * H,
            "three embeddings": 2 * V * H,
            "gain alone": -layers * 5 * H,
            "encoder alone": -layers * (2 * attention + feed + 3 * norm),
            "feed-forward once": -layers * (H * inner + inner),
        }[mistake]

    return answer


COUNT_MISTAKES = {
    "no biases": "the biases are missing: each of the products has one, H numbers in attention, inner and H in the feed-forward part",
    "no attention biases": "the biases of attention are missing: each of its four matrices has one, H numbers (the paper's formula leaves them out)",
    "no embedding": "the embedding is missing: V rows of H numbers",
    "a bias at the output": "you have V numbers too many: the output uses the embedding's matrix again, without a bias of its own",
    "a norm after each stack": "you counted a layer norm after each stack; that is pre-norm's, and asked for are the layers and the embedding alone",
    "no norms": "the layer norms are missing: 2 in an encoder layer, 3 in a decoder layer, each with gain and bias",
    "two norms in the decoder": "a decoder layer has three parts, so three layer norms; you counted two",
    "no cross-attention": "a decoder layer attends twice: to itself and to the memory; one attention is missing",
    "no output matrix": "attention has four matrices: query, key, value, and W_o, which mixes the heads; W_o is missing",
    "two embeddings": "one embedding serves source, target and output; you counted it twice",
    "three embeddings": "one embedding serves source, target and output; you counted it three times",
    "gain alone": "a layer norm has a gain and a bias, 2 H numbers; you counted H",
    "encoder alone": "these are the encoder's layers alone; the decoder has as many",
    "feed-forward once": "the feed-forward part goes up to inner numbers and down again: two matrices",
}


def check_count(answer: Callable[..., Any]) -> str:
    for sizes in ((37_000, 512, 2048, 6), (11, 6, 10, 1), (50, 8, 12, 3)):
        got, right = answer(*sizes), count(*sizes)
        if got == right:
            continue
        for mistake, sentence in COUNT_MISTAKES.items():
            if got == _count(mistake)(*sizes):
                raise Wrong(sentence)
        raise Wrong(f"for V, H, inner, layers = {sizes} there are {right:,} parameters; yours: {got}, a difference of {got - right:,}")
    return "with inner = 4 H, two thirds of an encoder layer are feed-forward and half of a decoder layer. The heads never enter: A heads of width H / A cost what one costs."


# ---------------------------------------------------------------- 14.3 RMSNorm, backward


def rms_norm_backward(dy: Tensor, x: Tensor, gain: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    root = ((x**2).mean(dim=2, keepdim=True) + eps).sqrt()  # (N, T, 1)
    normed, dnormed = x / root, dy * gain
    dx = (dnormed - normed * (dnormed * normed).mean(dim=2, keepdim=True)) / root
    return dx, (dy * normed).sum(dim=(0, 1))


def _rms_wrong(mistake: str) -> Callable[..., tuple[Tensor, Tensor]]:
    def answer(dy: Tensor, x: Tensor, gain: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        root = ((x**2).mean(dim=2, keepdim=True) + (0 if mistake == "eps forgotten" else eps)).sqrt()
        n, dn = x / root, dy if mistake == "gain forgotten" else dy * gain
        dgain = (dy * n).sum(dim=(0, 1))
        if mistake == "dgain of x":
            dgain = (dy * x).sum(dim=(0, 1))
        if mistake == "dgain without n":
            dgain = dy.sum(dim=(0, 1))
        stretch = (dn * n).mean(dim=2, keepdim=True)
        if mistake == "sum":
            stretch = (dn * n).sum(dim=2, keepdim=True)
        if mistake == "root constant":
            return dn / root, dgain
        if mistake == "layer norm":
            return (dn - dn.mean(dim=2, keepdim=True) - n * stretch) / root, dgain
        if mistake == "sign":
            return (dn + n * stretch) / root, dgain
        return (dn - n * stretch) / root, dgain

    return answer


RMS_MISTAKES = {
    "root constant": "r is treated as a constant in dx; it depends on every x of the position: a second road leads through it",
    "layer norm": "mean(dn) is taken away as in layer norm; here no mean is subtracted on the way forward, so that road does not exist",
    "gain forgotten": "dx lacks the gain: the gradient by x / r is dy times gain",
    "sum": "the road through r has a mean over the H numbers, from mean(x**2); yours has the sum",
    "sign": "the road through r has the wrong sign in dx: a larger r makes y smaller",
    "eps forgotten": "r lacks eps: it is the root of mean(x**2) + eps",
    "dgain of x": "the gradient by gain is the sum of dy times x / r; yours has x, not divided by r",
    "dgain without n": "the gradient by gain is the sum of dy times x / r; yours is the sum of dy alone",
}


def check_rms(answer: Callable[..., Any]) -> str:
    generator = torch.Generator().manual_seed(0)
    for eps in (1e-5, 0.3):
        x, dy = (torch.randn(2, 3, 5, generator=generator, dtype=torch.double) for _ in range(2))
        gain = torch.randn(5, generator=generator, dtype=torch.double)
        leaves = [part.clone().requires_grad_() for part in (x, gain)]
        y = leaves[1] * leaves[0] / ((leaves[0] ** 2).mean(dim=2, keepdim=True) + eps).sqrt()
        true = torch.autograd.grad((y * dy).sum(), leaves)
        got = answer(dy.clone(), x.clone(), gain.clone(), eps)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong("return two tensors: the gradient by x, then the gradient by gain")
        for name, ours, theirs in zip(("x", "gain"), got, true):
            if not isinstance(ours, Tensor) or ours.shape != theirs.shape:
                shape = tuple(ours.shape) if isinstance(ours, Tensor) else type(ours).__name__
                raise Wrong(f"the gradient by {name} has the shape {tuple(theirs.shape)}, as {name} has; yours: {shape}")
        if all(same(ours, theirs) for ours, theirs in zip(got, true)):
            continue
        for mistake, sentence in RMS_MISTAKES.items():
            if all(same(ours, theirs) for ours, theirs in zip(got, _rms_wrong(mistake)(dy, x, gain, eps))):
                raise Wrong(sentence)
        wrong = [name for name, ours, theirs in zip(("x", "gain"), got, true) if not same(ours, theirs)]
        raise Wrong(f"wrong for eps = {eps}: the gradient by {' and by '.join(wrong)}. Write n = x / r, and ask by which roads x reaches n")
    return "equal to autograd's. One road less than layer norm: no mean was taken away, so none comes back."


# ---------------------------------------------------------------- 14.4 find the bug


class RepairedLayer(nn.Module):
    def __init__(self, D: int, H: int, heads: int = 4) -> None:
        super().__init__()
        self.enter, self.heads = nn.Linear(D, H), heads
        self.all_three, self.out = nn.Linear(H, 3 * H), nn.Linear(H, H)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        x = self.enter(x)  # (N, T, H)
        N, T, H = x.shape
        # first each step is taken apart, (N, T, A, d), then the heads move before the steps
        query, key, value = (part.reshape(N, T, self.heads, -1).transpose(1, 2) for part in self.all_three(x).chunk(3, dim=2))
        context = F.scaled_dot_product_attention(query, key, value)  # (N, A, T, d)
        return x + self.out(context.transpose(1, 2).reshape(N, T, H)), None


def _layer(split: str, join: str, residual: bool = True, scale: float | None = None) -> type[nn.Module]:
    class Layer(RepairedLayer):
        def forward(self, x: Tensor) -> tuple[Tensor, None]:
            x = self.enter(x)
            N, T, H = x.shape
            parts = self.all_three(x).chunk(3, dim=2)
            if split == "every A-th":
                q, k, v = (part.reshape(N, T, -1, self.heads).permute(0, 3, 1, 2) for part in parts)
            elif split == "right":
                q, k, v = (part.reshape(N, T, self.heads, -1).transpose(1, 2) for part in parts)
            elif split == "heads as steps":
                q, k, v = (part.reshape(N, T, self.heads, -1) for part in parts)
            else:
                q, k, v = (part.reshape(N, self.heads, T, -1) for part in parts)
            context = F.scaled_dot_product_attention(q, k, v, scale=scale)
            together = context.transpose(1, 2).reshape(N, T, H) if join == "right" else context.reshape(N, T, H)
            return (x if residual else 0) + self.out(together), None

    return Layer


LAYER_MISTAKES: dict[str, tuple[str, type[nn.Module]]] = {
    "unchanged": (
        "this is the doubtful layer still: give it steps numbered 0, 1, 2, ... and look at which steps stand in query[:, 0]",
        _layer("wrong", "wrong"),
    ),
    "join alone": ("the heads are put together rightly now, but they are still cut across the steps: look at the first reshape", _layer("wrong", "right")),
    "split alone": (
        "the heads are taken apart rightly now; putting them together must undo that in the opposite order: move the axis back first",
        _layer("right", "wrong"),
    ),
    "heads as steps": (
        "each step is taken apart rightly, but the heads' axis stands where attention expects the steps, so heads look at heads: transpose it",
        _layer("heads as steps", "wrong"),
    ),
    "every A-th": (
        "head a gets every A-th number here; it should get d neighbours: H becomes (heads, d), in this order",
        _layer("every A-th", "right"),
    ),
    "residual lost": ("attention is right now, but the residual is gone: x + ... as before", _layer("right", "right", residual=False)),
    "not scaled": ("the heads are right now, but the scores are no longer divided by the root of d", _layer("right", "right", scale=1.0)),
}


def check_layer(answer: Any) -> str:
    try:
        module = answer(3, 8, heads=2)
        names = {name: tuple(p.shape) for name, p in module.named_parameters()}
    except TypeError as error:
        raise Wrong(f"MyLayer(D, H, heads=4) must be possible, as for the doubtful layer: {error}") from error
    right = RepairedLayer(3, 8, heads=2)
    expected = {name: tuple(p.shape) for name, p in right.named_parameters()}
    if names != expected:
        raise Wrong(f"keep the parameters as they were: {', '.join(f'{name} {shape}' for name, shape in expected.items())}")
    module.load_state_dict(right.state_dict())
    x = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))
    result = module(x)
    if not isinstance(result, tuple) or len(result) != 2:
        raise Wrong("return the states and None, both, as the doubtful layer does")
    if same(result[0], right(x)[0]) or (isinstance(result[0], Tensor) and result[0].shape == (2, 6, 8) and torch.allclose(result[0], right(x)[0], atol=1e-5)):
        return "a reshape never moves numbers, it only reads them in other lines: (N, T, H) must become (N, T, A, d) before the axes change places."
    if not isinstance(result[0], Tensor) or result[0].shape != (2, 6, 8):
        raise Wrong(f"the states have the shape (N, T, H); for (2, 6, 3) and H = 8 yours have {tuple(getattr(result[0], 'shape', ()))}")
    for sentence, wrong in LAYER_MISTAKES.values():
        other = wrong(3, 8, heads=2)
        other.load_state_dict(right.state_dict())
        if torch.allclose(result[0], other(x)[0], atol=1e-5):
            raise Wrong(sentence)
    raise Wrong("the numbers are not those of multi-head attention with these weights; only how the heads are taken apart and put together was wrong")


# ---------------------------------------------------------------- 14.5 rotary positions


def rotary(x: Tensor) -> Tensor:
    T, d = x.shape[2:]
    angle = torch.arange(T)[:, None] * 10_000 ** -(torch.arange(0, d, 2) / d)  # (T, d / 2)
    sine, cosine = angle.sin().to(x.dtype), angle.cos().to(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]  # (N, A, T, d / 2) each
    return torch.stack([a * cosine - b * sine, a * sine + b * cosine], dim=4).flatten(3)


def _rotary_wrong(mistake: str) -> Callable[[Tensor], Tensor]:
    def answer(x: Tensor) -> Tensor:
        T, d = x.shape[2:]
        speed = torch.ones(d // 2) if mistake == "one speed" else 10_000 ** -(torch.arange(0, d, 2) / d)
        if mistake == "half the exponent":
            speed = 10_000 ** -(torch.arange(d // 2) / d)
        angle = (torch.arange(T) + (mistake == "from 1"))[:, None] * speed
        angle = -angle if mistake == "backwards" else angle
        sine, cosine = angle.sin().to(x.dtype), angle.cos().to(x.dtype)
        if mistake == "added":
            return x + torch.stack([sine, cosine], dim=2).flatten(1)
        if mistake == "halves":
            a, b = x.chunk(2, dim=3)
            return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=3)
        a, b = x[..., 0::2], x[..., 1::2]
        if mistake == "overwritten":
            a = a * cosine - b * sine
            return torch.stack([a, a * sine + b * cosine], dim=4).flatten(3)
        turned = a * cosine - b * sine, a * sine + b * cosine
        return torch.cat(turned, dim=3) if mistake == "not woven" else torch.stack(turned, dim=4).flatten(3)

    return answer


ROTARY_MISTAKES = {
    "added": "the sinusoids are added here, as in the lesson; rotary positions turn each pair of numbers and keep its length",
    "backwards": "the pairs turn backwards: the first number becomes a cos - b sin, the second a sin + b cos",
    "halves": "number i is paired with number i + d/2 here, a convention that is in use too; asked for are neighbours, (2i, 2i + 1)",
    "one speed": "all pairs turn with the same speed; pair i has the speed 10000**(-2i / d)",
    "half the exponent": "the speeds fall too slowly: the exponent of pair i is -2i / d, yours is -i / d",
    "from 1": "place 0 is not turned: count the places from 0, so that the first angle is 0",
    "overwritten": "the second number of each pair is made from the first one after its turn; both need the old pair (a slice is a view: writing to it changes x)",
    "not woven": "the numbers are turned rightly, but the two of a pair stand d/2 apart in the result: weave them together again",
}


def check_rotary(answer: Callable[..., Any]) -> str:
    generator = torch.Generator().manual_seed(2)
    for shape in ((1, 1, 3, 4), (2, 3, 7, 8)):
        x = torch.randn(shape, generator=generator)
        got, right = answer(x.clone()), rotary(x)
        if not isinstance(got, Tensor) or got.shape != x.shape:
            raise Wrong(f"the result has x's shape {shape}; yours: {tuple(getattr(got, 'shape', ())) or type(got).__name__}")
        if torch.allclose(got, right, atol=1e-4):
            continue
        for mistake, sentence in ROTARY_MISTAKES.items():
            if torch.allclose(got, _rotary_wrong(mistake)(x), atol=1e-4):
                raise Wrong(sentence)
        if not torch.allclose(got.norm(dim=3), x.norm(dim=3), atol=1e-4):
            raise Wrong("a rotation keeps every length, and yours does not: both numbers of a pair must turn by the same angle")
        t = int((got - right).abs().amax(dim=(0, 1, 3)).argmax())
        raise Wrong(f"lengths are kept, but at place {t} the numbers are {np.round(right[0, 0, t].tolist(), 3)}; yours: {np.round(got[0, 0, t].tolist(), 3)}")
    return "query and key are turned by their places, so their product knows the difference alone. It belongs into multi_head, between split_heads and attention."


EXERCISES = {
    "14.1": Exercise(
        check=check_mask,
        hint="torch.arange(T) gives the places. Compare a row of them with a column of them; then join with ids != PAD, on the keys' axis.",
        solution=both_masks,
        wrong={kind: (lambda ids, kind=kind: _mask(ids, kind)) for kind in MASK_MISTAKES},
    ),
    "14.2": Exercise(
        check=check_count,
        hint="Count one attention, one feed-forward part and one norm. How many of each has an encoder layer, how many a decoder layer?",
        solution=count,
        wrong={mistake: _count(mistake) for mistake in COUNT_MISTAKES},
    ),
    "14.3": Exercise(
        check=check_rms,
        hint="n = x / r: x stands there openly and inside r. dr = -sum(dn * n) / r, and the derivative of r by x_j is n_j / H.",
        solution=rms_norm_backward,
        wrong={mistake: _rms_wrong(mistake) for mistake in RMS_MISTAKES},
    ),
    "14.4": Exercise(
        check=check_layer,
        hint="Put x = torch.arange(T * H).reshape(1, T, H) through the line with reshape alone. Does head 0 hold a part of every step, or every part of some steps?",
        solution=RepairedLayer,
        wrong={name: wrong for name, (_, wrong) in LAYER_MISTAKES.items()},
    ),
    "14.5": Exercise(
        check=check_rotary,
        hint="x[..., 0::2] and x[..., 1::2] are the first and second numbers of all pairs. The angles are an array (T, d/2), the same for all heads.",
        solution=rotary,
        wrong={mistake: _rotary_wrong(mistake) for mistake in ROTARY_MISTAKES},
    ),
}
