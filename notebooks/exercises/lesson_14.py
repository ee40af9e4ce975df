"""Exercises of lesson 14: the parts of the Transformer."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course_utils.grading import Wrong, ask, autograd, exercise
from course_utils.proofs import numbers
from course_utils.text import PAD

EXERCISES = {}


# 14.1 Both masks in one


def both_masks(ids):
    T = ids.shape[1]
    position = torch.arange(T)
    earlier = position[None, :] <= position[:, None]  # (T, T): key s at or before query t
    return (ids != PAD)[:, None, None, :] & earlier  # (N, 1, T, T)


def mask_cases():
    for rows in ([[5, 6, 7], [8, 9, PAD]], [[4, 4, PAD, PAD], [4, 5, 6, 7], [4, 5, 6, PAD]]):
        yield (torch.tensor(rows),)


def wrong_position(given, got, right):
    n, _, t, s = np.argwhere(numbers(got) != numbers(right))[0]
    may, yours = bool(right[n, 0, t, s]), bool(numbers(got)[n, 0, t, s])
    return (
        f"for ids {given[0].tolist()}, sequence {n}: may query {t} look at key {s}? {may}; your "
        f"mask says {yours}"
    )


EXERCISES["14.1"] = exercise(
    both_masks,
    mask_cases,
    """
causal alone: `ids != PAD` -> `ids == ids`
    padding may be looked at in this mask: key s must also be a real token, ids != PAD
padding alone: `<= position[:, None]` -> `<= position[:, None] + T`
    a query may look at later positions in this mask: key s must not stand after query t
itself forbidden: `<=` -> `<`
    query t may not look at itself in this mask; s <= t includes s = t, and the first query would
    see nothing
turned: `<=` -> `>=`
    this mask lets queries look forward: rows are queries, columns are keys, so True stands in the
    lower triangle
padding of the queries: `[:, None, None, :]` -> `[:, None, :, None]`
    the rows of padding are all False here: ask whether the key is real, not the query; what a
    padded query finds, nobody uses
or: `:] & earlier` -> `:] | earlier`
    joined by 'or' one reason is enough to be looked at; a key must be early enough AND real
forbidden as True: `return (ids` -> `return ~((ids` `:] & earlier` -> `:] & earlier)`
    this is the opposite: True stands where a query may look, in this course and in
    F.scaled_dot_product_attention
""",
    otherwise=wrong_position,
    hint=(
        "torch.arange(T) gives the positions. Compare a row of them with a column of them; then "
        "join with ids != PAD, on the keys' axis."
    ),
    praise=(
        "True where a key is real and not later. Every row of a real query has at least its own "
        "position."
    ),
)


# 14.2 Count without building


def count(V, H, inner, layers):
    attention = 4 * (H * H + H)
    feed_forward = H * inner + inner + inner * H + H
    norm = 2 * H
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    return V * H + layers * (encoder + decoder)


EXERCISES["14.2"] = exercise(
    count,
    lambda: [(11, 6, 10, 2), (50, 8, 12, 3), (37_000, 512, 2048, 6)],
    """
no biases: `(H * H + H)` -> `H * H` `H * inner + inner + inner * H + H` -> `2 * H * inner`
    the biases are missing: each of the products has one, H numbers in attention, inner and H in
    the feed-forward part
no attention biases: `(H * H + H)` -> `H * H`
    the biases of attention are missing: each of its four matrices has one, H numbers (the paper's
    formula leaves them out)
no embedding: `V * H + layers` -> `layers`
    the embedding is missing: V rows of H numbers
a bias at the output: `V * H + layers` -> `V * H + V + layers`
    you have V numbers too many: the output uses the embedding's matrix again, without a bias of
    its own
a norm after each stack: `V * H + layers` -> `V * H + 2 * norm + layers`
    you counted a layer norm after each stack; that belongs to pre-norm: count the layers and the
    embedding alone
no norms: `norm = 2 * H` -> `norm = 0`
    the layer norms are missing: 2 in an encoder layer, 3 in a decoder layer, each with gain and
    bias
two norms in the decoder: `3 * norm` -> `2 * norm`
    a decoder layer has three parts, so three layer norms; you counted two
no cross-attention: `2 * attention` -> `attention`
    a decoder layer attends twice: to itself and to the memory; one attention is missing
no output matrix: `4 * (` -> `3 * (`
    attention has four matrices: query, key, value, and W_o, which mixes the heads; W_o is missing
two embeddings: `V * H + layers` -> `2 * V * H + layers`
    one embedding serves source, target and output; you counted it twice
three embeddings: `V * H + layers` -> `3 * V * H + layers`
    one embedding serves source, target and output; you counted it three times
gain alone: `norm = 2 * H` -> `norm = H`
    a layer norm has a gain and a bias, 2 H numbers; you counted H
encoder alone: `(encoder + decoder)` -> `encoder`
    these are the encoder's layers alone; the decoder has as many
feed-forward once: `inner + inner * H + H` -> `inner`
    the feed-forward part goes up to inner numbers and down again: two matrices
""",
    otherwise="The difference helps: is it a multiple of layers, of H, of inner, of V?",
    hint=(
        "Count one attention, one feed-forward part and one norm. How many of each has an encoder "
        "layer, how many a decoder layer?"
    ),
    praise=(
        "with inner = 4 H, two thirds of an encoder layer are feed-forward and half of a decoder "
        "layer. The heads never enter: A heads of width H / A cost what one costs."
    ),
)


# 14.3 A norm with less


def rms_norm_backward(dy, x, gain, eps):
    root = ((x**2).mean(dim=2, keepdim=True) + eps).sqrt()  # (N, T, 1)
    normed, dnormed = x / root, dy * gain
    stretch = (dnormed * normed).mean(dim=2, keepdim=True)
    dx = (dnormed - normed * stretch) / root
    return dx, (dy * normed).sum(dim=(0, 1))


def rms_cases():
    rng = np.random.default_rng(0)
    for eps in (0.3, 0.05):
        dy, x, gain = (rng.standard_normal(shape) for shape in ((2, 3, 5), (2, 3, 5), 5))
        yield torch.from_numpy(dy), torch.from_numpy(x), torch.from_numpy(gain), eps


def rms_autograd(dy, x, gain, eps):
    def loss(x, gain):
        return (gain * x / ((x**2).mean(dim=2, keepdim=True) + eps).sqrt() * dy).sum()

    return autograd(loss, x.numpy(), gain.numpy())


EXERCISES["14.3"] = exercise(
    rms_norm_backward,
    rms_cases,
    """
root constant: ` - normed * stretch` -> ``
    r is treated as a constant in dx; it depends on every x of the position: a second path leads
    through it
layer norm: `(dnormed - normed` -> `(dnormed - dnormed.mean(dim=2, keepdim=True) - normed`
    mean(dn) is subtracted as in layer norm; here no mean is subtracted in the forward pass, so
    that path does not exist
gain forgotten: `dy * gain` -> `dy`
    dx lacks the gain: the gradient with respect to x / r is dy times gain
sum: `(dnormed * normed).mean(` -> `(dnormed * normed).sum(`
    the path through r has a mean over the H numbers, from mean(x**2); yours has the sum
sign: `dnormed - normed` -> `dnormed + normed`
    the path through r has the wrong sign in dx: a larger r makes y smaller
eps forgotten: ` + eps` -> ``
    r lacks eps: it is the root of mean(x**2) + eps
dgain of x: `(dy * normed).sum` -> `(dy * x).sum`
    the gradient with respect to gain is the sum of dy times x / r; yours has x, not divided by r
dgain without n: `(dy * normed).sum` -> `dy.sum`
    the gradient with respect to gain is the sum of dy times x / r; yours is the sum of dy alone
""",
    names=("the gradient with respect to x", "the gradient with respect to gain"),
    otherwise="Write n = x / r, and ask by which paths x reaches n",
    truth=rms_autograd,
    hint=(
        "n = x / r: x stands there openly and inside r. dr = -sum(dn * n) / r, and the derivative "
        "of r with respect to x_j is n_j / H."
    ),
    praise=(
        "equal to autograd's. One path less than layer norm: no mean was subtracted, so none comes "
        "back."
    ),
)


# 14.4 Find the bug


class RepairedLayer(nn.Module):
    def __init__(self, D, H, heads=4):
        super().__init__()
        self.enter, self.heads = nn.Linear(D, H), heads
        self.all_three, self.out = nn.Linear(H, 3 * H), nn.Linear(H, H)

    def forward(self, x):
        x = self.enter(x)  # (N, T, H)
        N, T, H = x.shape
        # first each step is taken apart, (N, T, A, d), then the heads move before the steps
        query, key, value = (
            part.reshape(N, T, self.heads, -1).transpose(1, 2)
            for part in self.all_three(x).chunk(3, dim=2)
        )
        context = F.scaled_dot_product_attention(query, key, value)  # (N, A, T, d)
        return x + self.out(context.transpose(1, 2).reshape(N, T, H)), None


def layer_cases():
    """The options for A heads (the second layer has the default, 4), the weights, and x."""
    rng = np.random.default_rng(1)
    for options, T in (({"heads": 2}, 6), ({}, 5)):
        sizes = {"enter": (8, 3), "all_three": (24, 8), "out": (8, 8)}
        weights = {}
        for name, size in sizes.items():
            weights[f"{name}.weight"] = torch.from_numpy(rng.standard_normal(size))
            weights[f"{name}.bias"] = torch.from_numpy(rng.standard_normal(size[0]))
        yield options, weights, torch.from_numpy(rng.standard_normal((7, T, 3)))


def states(answer, options, weights, x):
    """The states of a layer with D = 3 and H = 8."""
    with torch.random.fork_rng(devices=[]):
        layer = ask(answer, 3, 8, **options)
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    parameters = layer.named_parameters() if isinstance(layer, nn.Module) else ()
    if {name: tuple(parameter.shape) for name, parameter in parameters} != shapes:
        kept = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise Wrong(f"keep the parameters as they were: {kept}")
    layer.double().load_state_dict(weights, strict=False)
    result = ask(layer, x)
    if not isinstance(result, tuple) or len(result) != 2:
        raise Wrong("return the states and None, both, as the doubtful layer does")
    return result[0]


EXERCISES["14.4"] = exercise(
    RepairedLayer,
    layer_cases,
    """
unchanged: `.reshape(N, T, self.heads, -1).transpose(1, 2)` -> `.reshape(N, self.heads, T, -1)`
    `context.transpose(1, 2)` -> `context`
    this is the doubtful layer still: give it steps numbered 0, 1, 2, ... and look at which steps
    stand in query[:, 0]
join alone: `.reshape(N, T, self.heads, -1).transpose(1, 2)` -> `.reshape(N, self.heads, T, -1)`
    the heads are put together correctly now, but they are still cut across the steps: look at the
    first reshape
split alone: `context.transpose(1, 2)` -> `context`
    the heads are taken apart correctly now; putting them together must undo that in the opposite
    order: move the axis back first
heads as steps: `-1).transpose(1, 2)` -> `-1)` `context.transpose(1, 2)` -> `context`
    each step is taken apart correctly, but the heads' axis stands where attention expects the
    steps, so heads look at heads: transpose it
every A-th: `self.heads, -1).transpose(1, 2)` -> `-1, self.heads).permute(0, 3, 1, 2)`
    head a gets every A-th number here; it should get d neighbours: H becomes (heads, d), in this
    order
residual lost: `x + self.out` -> `self.out`
    attention is right now, but the residual is gone: x + ... as before
not scaled: `(query, key, value)` -> `(query, key, value, scale=1.0)`
    the heads are right now, but the scores are no longer divided by the root of d
""",
    use=states,
    otherwise=lambda given, got, right: (
        "the numbers are not those of multi-head attention with these weights; only how the heads "
        "are taken apart and put together was wrong"
    ),
    hint=(
        "Put x = torch.arange(T * H).reshape(1, T, H) through the line with reshape alone. Does "
        "head 0 hold a part of every step, or every part of some steps?"
    ),
    praise=(
        "a reshape never moves numbers, it only reads them in other rows: (N, T, H) must become (N,"
        " T, A, d) before the axes change places."
    ),
)


# 14.5 Turn, do not add


def rotary(x):
    T, d = x.shape[2:]
    pair = torch.arange(d // 2)
    angle = torch.arange(T)[:, None] * 10_000 ** (-2 * pair / d)  # (T, d / 2)
    sine, cosine = angle.sin(), angle.cos()
    a, b = x[..., 0::2], x[..., 1::2]  # (N, A, T, d / 2) each
    return torch.stack([a * cosine - b * sine, a * sine + b * cosine], dim=4).flatten(3)


def rotary_cases():
    """In float32, as the notebook's `positions` and `rotation` are."""
    for shape in ((2, 3, 7, 10), (1, 2, 300, 6)):
        yield (torch.randn(shape, generator=torch.Generator().manual_seed(2)),)


def where_it_turns_wrongly(given, got, right):
    got, right = (numbers(part).astype(float) for part in (got, right))
    if not np.allclose(*(np.linalg.norm(part, axis=3) for part in (got, right)), atol=1e-4):
        return (
            "a rotation keeps every length, and yours does not: both numbers of a pair must turn by"
            " the same angle"
        )
    n, a, t = np.unravel_index(np.abs(got - right).max(axis=3).argmax(), got.shape[:3])
    ours, theirs = (np.round(part[n, a, t], 3).tolist() for part in (got, right))
    return f"lengths are kept, but at position {t} the numbers are {theirs}; yours: {ours}"


EXERCISES["14.5"] = exercise(
    rotary,
    rotary_cases,
    """
added: `[a * cosine - b * sine, a * sine + b * cosine]` -> `[sine, cosine]`
    `torch.stack` -> `x + torch.stack` `dim=4).flatten(3)` -> `dim=2).flatten(1)`
    the sinusoids are added here, as in the lesson; rotary positions turn each pair of numbers and
    keep its length
backwards: `torch.arange(T)` -> `-torch.arange(T)`
    the pairs turn backwards: the first number becomes a cos - b sin, the second a sin + b cos
halves: `x[..., 0::2], x[..., 1::2]` -> `x.chunk(2, dim=3)` `torch.stack(` -> `torch.cat(`
    `dim=4).flatten(3)` -> `dim=3)`
    number i is paired with number i + d/2 here, a convention that is in use too; the task says
    neighbours, (2i, 2i + 1)
one speed: `-2 * pair / d` -> `0 * pair`
    all pairs turn with the same speed; pair i has the speed 10000**(-2i / d)
half the exponent: `-2 * pair / d` -> `-pair / d`
    the speeds fall too slowly: the exponent of pair i is -2i / d, yours is -i / d
from 1: `torch.arange(T)` -> `torch.arange(1, T + 1)`
    position 0 is not turned: count the positions from 0, so that the first angle is 0
overwritten: `return torch` -> `a = a * cosine - b * sine; return torch`
    `[a * cosine - b * sine,` -> `[a,`
    the second number of each pair is made from the first one after its turn; both need the old
    pair (a slice is a view: writing to it changes x)
not woven: `torch.stack(` -> `torch.cat(` `dim=4).flatten(3)` -> `dim=3)`
    the numbers are turned correctly, but the two of a pair stand d/2 apart in the result: weave
    them together again
""",
    otherwise=where_it_turns_wrongly,
    hint=(
        "x[..., 0::2] and x[..., 1::2] are the first and second numbers of all pairs. The angles "
        "are an array (T, d/2), the same for all heads."
    ),
    praise=(
        "query and key are turned by their positions, so their product knows the difference alone. "
        "It belongs in multi_head, between split_heads and attention."
    ),
)
