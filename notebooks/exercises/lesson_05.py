"""Exercises of lesson 05: backpropagation through time."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.grading import autograd, exercise
from course_utils.proofs import numbers

NAMES = ("x", "h0", "W_x", "W_h", "b")
EXERCISES = {}


def network(seed, activation):
    """Parameters of a random RNN in the order of NAMES, and its states: N, T, D, H = 3, 6, 2, 5."""
    rng = np.random.default_rng(seed)
    shapes = ((3, 6, 2), (3, 5), (2, 5), (5, 5), (5,))
    x, h0, W_x, W_h, b = (rng.standard_normal(shape) for shape in shapes)
    h, states, W_h = h0, [], 0.6 * W_h
    for t in range(6):
        h = activation(x[:, t] @ W_x + h @ W_h + b)
        states.append(h)
    return (x, h0, W_x, W_h, b), np.stack(states, axis=1)


def loss_of(activation, dstates, dlast):
    """The loss from the tensors of NAMES that has these gradients with respect to the states."""

    def loss(x, h, W_x, W_h, b):
        total = 0
        for t in range(x.shape[1]):
            h = activation(x[:, t] @ W_x + h @ W_h + b)
            total = total + (h * torch.from_numpy(dstates[:, t])).sum()
        return total + (h * torch.from_numpy(dlast)).sum()

    return loss


def backward_cases(seeds, activation):
    for seed in seeds:
        (x, h0, W_x, W_h, _), states = network(seed, activation)
        rng = np.random.default_rng(seed)
        yield rng.standard_normal((3, 6, 5)), rng.standard_normal((3, 5)), x, h0, states, W_x, W_h


def backward_autograd(activation, inverse):
    def gradients(dstates, dlast, x, h0, states, W_x, W_h):
        before = np.concatenate([h0[:, None], states[:, :-1]], axis=1)
        b = (inverse(states) - x @ W_x - before @ W_h).min(axis=(0, 1))  # where ReLU is open: b
        return dict(zip(NAMES, autograd(loss_of(activation, dstates, dlast), x, h0, W_x, W_h, b)))

    return gradients


# Of the backward passes of 5.2 and 5.4; {} is the name of the gradient from the right
FROM_THE_RIGHT = """
forgets the right: `+ {})` -> `+ {} * (t == x.shape[1] - 1))`
    the message from the right is missing before the last step: dh is the gradient from above plus
    da of the next step times W_h transposed; without it nothing is learnt over more than one step
forgets dlast: `+ {})` -> `+ {} * (t < x.shape[1] - 1))`
    dlast is not used: it is the message that arrives at the last step from the right
nothing from the right: `+ {})` -> `+ 0)`
    nothing comes from the right: dh is the gradient from above plus da of the next step times W_h
    transposed, and dlast at the last step
"""


# 5.1 Memory


def cache_bytes(N, T, D, H, k, bytes_each=4):
    steps = min(k, T)  # of the longest segment
    return bytes_each * N * (steps * (D + H) + H)


EXERCISES["5.1"] = exercise(
    cache_bytes,
    lambda: [(32, 1000, 20, 64, 50), (7, 30, 3, 11, 12, 8), (2, 5, 3, 4, 9, 4)],
    """
full length: `min(k, T)` -> `T`
    this grows with T, as full BPTT does; only the segment's k steps are kept at a time
no first state: `(D + H) + H` -> `(D + H)`
    the state from which the segment starts is kept too (N H numbers): dW_h needs it at the
    segment's first step
no inputs: `(D + H)` -> `H`
    the inputs are missing: dW_x needs x_t of each step, D numbers for each sequence
one input too many: `steps * (D + H) + H` -> `(steps + 1) * (D + H)`
    one input too many: the start of the segment brings a state (H numbers), but no input
numbers, not bytes: `bytes_each * N` -> `N`
    these are numbers, not bytes: multiply by bytes_each
k above T: `min(k, T)` -> `k`
    where k is above T a segment has only T steps, for a sequence has no more: take the smaller of
    the two
one sequence: ` * N * ` -> ` * `
    this is for one sequence; a batch has N of them
""",
    otherwise="Count per sequence: D for each input, H for each state, H for the state before them",
    hint=(
        "For one sequence: D numbers for each input, H for each state, and H for the state before "
        "the first. How many steps has the longest segment?"
    ),
    praise="the cache depends on the segment, not on the sequence: a book of any length fits.",
)


# 5.2 ReLU


def relu_backward(dstates, dlast, x, h0, states, W_x, W_h):
    before = np.concatenate([h0[:, None], states[:, :-1]], axis=1)  # (N, T, H)
    dx, d, message = [], {"W_x": 0, "W_h": 0, "b": 0}, dlast
    for t in reversed(range(x.shape[1])):
        da = (dstates[:, t] + message) * (states[:, t] > 0)  # all that changes: the slope is 1 or 0
        grads = {"W_x": x[:, t].T @ da, "W_h": before[:, t].T @ da, "b": da.sum(axis=0)}
        d = {name: d[name] + grads[name] for name in d}
        dx.append(da @ W_x.T)
        message = da @ W_h.T
    return {**d, "x": np.stack(dx[::-1], axis=1), "h0": message}


EXERCISES["5.2"] = exercise(
    relu_backward,
    lambda: backward_cases((1, 2, 3), lambda a: np.maximum(0, a)),
    """
tanh's slope: `(states[:, t] > 0)` -> `(1 - states[:, t] ** 2)`
    this slope is tanh's, 1 - h²; ReLU's slope is 1 where the state is above 0, and 0 elsewhere
slope 1 everywhere: ` * (states[:, t] > 0)` -> ``
    the slope is missing: where the state is 0, ReLU has shut and lets no gradient through (h >= 0
    holds everywhere, use h > 0)
the state as slope: `(states[:, t] > 0)` -> `states[:, t]`
    da is multiplied by the state itself; ReLU's slope is 1 where the state is above 0, however
    large the state is
not transposed: `W_h.T` -> `W_h`
    the message goes through W_h, not through its transpose: unit i of h reaches unit j of the next
    sum by W_h[i, j], so on the way back the sum runs over j, which is da @ W_h.T; both have the
    same shape, so NumPy does not complain
same step's state: `before[:, t]` -> `states[:, t]`
    dW_h uses the state of the same step; W_h multiplies the state before it, h_{t-1}, and h0 at the
    first step
overwrites: `d[name] + grads[name]` -> `grads[name]`
    the weights' gradients are overwritten at each step; the weights are shared, so the steps are
    summed: use +=
"""
    + FROM_THE_RIGHT.replace("{}", "message"),
    otherwise="Set the lines beside the table of formulas",
    truth=backward_autograd(torch.relu, np.positive),
    hint=(
        "Only da_t = dh_t times the slope changes. ReLU's slope can be read off the state itself: "
        "where is it above 0?"
    ),
    praise=(
        "all five gradients equal autograd's. One line changed: the slope; where it is 1 the "
        "gradient passes unweakened."
    ),
)


# 5.3 Clip the message


def clip_rows(message, limit):
    norms = np.linalg.norm(message, axis=1, keepdims=True)  # (N, 1)
    return message * (limit / np.maximum(norms, limit))  # times 1 where the norm is below the limit


def messages():
    rng = np.random.default_rng(5)
    sizes = np.array([10, 0.01, 3, 0.1, 1, 0])[:, None]
    for H, limit in ((6, 1.0), (4, 0.3)):  # N = H: norms of a wrong shape fit too
        yield rng.standard_normal((6, H)) * sizes, limit


def wrong_row(given, got, right):
    got = numbers(got)
    row = np.argmax(np.abs(got - right).max(axis=1))
    before, after, wanted = (np.linalg.norm(rows[row]) for rows in (given[0], got, right))
    return (
        f"row {row} of norm {before:.3g} has norm {after:.3g} after clipping at {given[1]}; it "
        f"should have {wanted:.3g}, in the same direction"
    )


EXERCISES["5.3"] = exercise(
    clip_rows,
    messages,
    """
by value: `message * (limit / np.maximum(norms, limit))` -> `np.clip(message, -limit, limit)`
    this clips each number by itself, which turns the direction of a row; scale a whole row by one
    factor
whole batch: `(message, axis=1, keepdims=True)` -> `(message)`
    this takes one norm for the whole batch, so one wild sequence shrinks the messages of all
    others; take a norm for each row (axis=1)
scales up: `np.maximum(norms, limit)` -> `np.maximum(norms, 1e-300)`
    rows below the limit are blown up to it; a factor is never above 1: min(1, limit / norm)
wrong axis: `axis=1` -> `axis=0`
    this takes a norm for each unit over the batch (axis=0); a sequence is a row, so axis=1
no keepdims: `keepdims=True` -> `keepdims=False`
    the norms of the rows have the shape (N,) and do not stand beside their rows in (N, H); with
    keepdims=True they are (N, 1)
squared norm: `np.linalg.norm(message, axis=1, keepdims=True)` -> `(message**2).sum(1)[:, None]`
    this divides by the squared norm; a norm is the square root of the sum of squares
zero row: `(limit / np.maximum(norms, limit))` -> `np.minimum(norms, limit) / norms`
    a row of zeros became NaN: its norm is 0, so guard the division; zeros stay zeros
scales up to NaN: `np.maximum(norms, limit)` -> `norms`
    rows below the limit are blown up to it (a row of zeros even to NaN); a factor is never above 1:
    min(1, limit / norm)
""",
    otherwise=wrong_row,
    hint=(
        "np.linalg.norm(message, axis=1, keepdims=True) gives one norm for each row, of shape "
        "(N, 1); the factor is at most 1. What if a norm is 0?"
    ),
    praise="each sequence keeps its direction, and none pays for another's explosion.",
)


# 5.4 Find the bug


def repaired_backward(dstates, dlast, x, h0, states, W_x, W_h):
    previous = np.concatenate([h0[:, None], states[:, :-1]], axis=1)
    da, carried = np.zeros_like(states), dlast
    for t in range(x.shape[1] - 1, -1, -1):
        da[:, t] = (dstates[:, t] + carried) * (1 - states[:, t] ** 2)
        carried = da[:, t] @ W_h.T  # here: transposed, for the way back runs from unit j to unit i
    return {
        "x": da @ W_x.T,
        "h0": carried,
        "W_x": np.einsum("ntd,nth->dh", x, da),
        "W_h": np.einsum("nti,ntj->ij", previous, da),
        "b": da.sum(axis=(0, 1)),
    }


EXERCISES["5.4"] = exercise(
    repaired_backward,
    lambda: backward_cases((4, 5, 6), np.tanh),
    """
unchanged: `W_h.T` -> `W_h`
    this is the doubtful version still: try it on two steps with numbers of your own, and compare
    the gradient with respect to h0 with finite differences
same step's state: `previous, da` -> `states, da`
    dW_h uses the state of the same step; W_h multiplies the state before it, h_{t-1}, and h0 at the
    first step; that line was right before
another slope: `1 - states[:, t] ** 2` -> `1 - states[:, t]`
    the slope of tanh is 1 - h², and that line was right before; yours is 1 - h
overwrites: `x, da)` -> `x[:, :1], da[:, :1])` `previous, da)` -> `previous[:, :1], da[:, :1])`
    `da.sum(axis=(0, 1))` -> `da[:, 0].sum(axis=0)`
    the weights' gradients are overwritten at each step; the weights are shared, so the steps are
    summed: use +=
"""
    + FROM_THE_RIGHT.replace("{}", "carried"),
    otherwise="Set the lines beside the table of formulas",
    truth=backward_autograd(torch.tanh, np.arctanh),
    hint=(
        "Over one step the gradients of all weights are right, so look at what goes from one step "
        "to the next. Which index does the sum run over on the way back?"
    ),
    praise=(
        "W_h was not transposed on the way back. Square matrices never complain: only a gradient "
        "check finds this."
    ),
)


# 5.5 Real-time recurrent learning


def forward_gradient(x, h0, W_x, W_h, b, dstates):
    N, H = h0.shape
    h, P, dW_h = h0, np.zeros((N, H, H, H)), 0  # P[n, m, i, j] = dh[n, m] / dW_h[i, j]
    for t in range(x.shape[1]):
        through_state = np.einsum("npij,pm->nmij", P, W_h)
        directly = np.einsum("ni,mj->nmij", h, np.eye(H))  # W_h[i, j] brings h_i to unit j
        h = np.tanh(x[:, t] @ W_x + h @ W_h + b)
        P = (1 - h**2)[:, :, None, None] * (through_state + directly)
        dW_h = dW_h + np.einsum("nm,nmij->ij", dstates[:, t], P)
    return dW_h  # time H**4 and memory H**3 a step and sequence, beside H**2 and T H for BPTT


def forward_cases():
    for seed in (7, 8):
        parameters, states = network(seed, np.tanh)
        yield *parameters, np.random.default_rng(seed).standard_normal(states.shape)


EXERCISES["5.5"] = exercise(
    forward_gradient,
    forward_cases,
    """
no past: `(through_state + directly)` -> `directly`
    P_t has two summands: the direct one (h_{t-1} at this step) and the old P_{t-1} sent through
    W_h; the second is missing
untransposed: `"npij,pm->nmij"` -> `"npij,mp->nmij"`
    P_{t-1} goes *forward*, from unit p to unit m, by W_h[p, m]; yours goes by W_h[m, p], which is
    the way back
new state: `h, np.eye(H)` -> `np.tanh(x[:, t] @ W_x + h @ W_h + b), np.eye(H)`
    the direct part of P_t has the state *before* the step, h_{t-1}; yours has h_t
no slope: `(1 - h**2)[:, :, None, None] * ` -> ``
    the slope of tanh, 1 - h_t², is missing: it multiplies the whole of P_t, by unit m
last step: `dW_h + np.einsum` -> `np.einsum`
    only the last step's loss is counted; add dstates[:, t] times P_t at every step
transposed: `return dW_h` -> `return dW_h.T`
    this is the gradient transposed: entry [i, j] belongs to W_h[i, j], from unit i to unit j
""",
    otherwise="Derive dh_t/dW_h by the product rule, first for one step (T = 1), then for two",
    truth=lambda x, h0, W_x, W_h, b, dstates: autograd(
        loss_of(torch.tanh, dstates, 0 * h0), x, h0, W_x, W_h, b
    )[3],
    hint=(
        "Differentiate h_t = tanh(x_t W_x + h_{t-1} W_h + b) with respect to W_h[i, j] by the "
        "product rule: W_h stands there openly, and it hides in h_{t-1}. np.einsum with the "
        "letters n (batch), p, m (units), i, j keeps the indices apart."
    ),
    praise=(
        "the same gradient with no way back. The price: H³ numbers kept and H⁴ products a step, "
        "where BPTT needs H²."
    ),
)
