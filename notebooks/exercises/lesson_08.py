"""Exercises of lesson 08: LSTM."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.datasets import adding_problem
from course_utils.grading import Exercise, Wrong, ask, autograd, exercise

NAMES = ("x", "h0", "c0", "W_x", "W_h", "b")
EXERCISES = {}


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


def lstm_cell(x, h, c, W_x, W_h, b):
    """The lesson's cell: the new h and c, and its cache."""
    i, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c_new = f * c + i * g
    return o * np.tanh(c_new), c_new, (x, h, c, i, f, g, o, c_new)


def network(seed):
    """Parameters of a random LSTM in the order of NAMES, N = 3, T = 6, D = 2, H = 4."""
    rng = np.random.default_rng(seed)
    shapes = ((3, 6, 2), (3, 4), (3, 4), (2, 16), (4, 16), (16,))
    return [rng.standard_normal(shape) for shape in shapes]


# 8.1 From memory to bias


def forget_bias(steps):
    kept = 0.5 ** (1 / steps)  # what one step leaves
    return float(np.log(kept / (1 - kept)))  # the sigmoid turned around


def share_left(given, got, right):
    left = float(sigmoid(got)) ** given[0]
    return (
        f"for steps = {given[0]:g}: with your bias {got:.3g} the share {left:.3g} is left; it "
        "should be one half. First find f, then the number whose sigmoid is f"
    )


EXERCISES["8.1"] = exercise(
    forget_bias,
    lambda: [(1,), (7,), (40.0,), (300,)],
    """
the gate: `float(np.log(kept / (1 - kept)))` -> `kept`
    this is the gate, what one step leaves; the bias is the number whose sigmoid it is:
    ln(f / (1 - f))
sign: `kept / (1 - kept)` -> `(1 - kept) / kept`
    the sign is turned: a large memory needs a *positive* bias, ln(f / (1 - f)) with f near 1
ln steps: `np.log(kept / (1 - kept))` -> `np.log(steps)`
    ln(steps) is only its behaviour for large numbers; solve sigmoid(b)^steps = 1/2 exactly
rule of thumb: `np.log(kept / (1 - kept))` -> `np.log(steps / np.log(2))`
    ln(steps / ln 2) is the rule of thumb for large biases; solve sigmoid(b)^steps = 1/2 exactly
other way round: `np.log(kept / (1 - kept))` -> `np.log(0.5) / np.log(sigmoid(steps))`
    this is the half-life of a given bias, the other way round; given are the steps, wanted is the
    bias
linear loss: `0.5 ** (1 / steps)` -> `1 - 0.5 / steps`
    this f loses a share 1/(2 steps) at each step; halves multiply, so f = (1/2)^(1/steps)
""",
    others={"something else": lambda steps: 4.0},
    otherwise=share_left,
    hint=(
        "After `steps` steps f to the power of `steps` is left. Which f makes that one half? Then "
        "which b has sigmoid(b) = f?"
    ),
    praise="and 0 for one step, 4 for 38: each unit of bias multiplies the memory by about e.",
)


# 8.2 Coupled gates


def coupled_backward(dh, dc, c, f, g, o, c_new):
    tanh_c = np.tanh(c_new)
    dc = dc + dh * o * (1 - tanh_c**2)
    df = dc * (c - g)  # two roads: f keeps the old, 1 - f writes the new
    dg, do = dc * (1 - f), dh * tanh_c
    da = np.concatenate([df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)], axis=1)  # (N, 3H)
    return da, dc * f


def coupled_cases():
    for seed in (1, 2):
        dh, dc, c, *sums = np.random.default_rng(seed).standard_normal((6, 3, 4))
        f, g, o = sigmoid(sums[0]), np.tanh(sums[1]), sigmoid(sums[2])
        yield dh, dc, c, f, g, o, f * c + (1 - f) * g


def coupled_autograd(dh, dc, c, f, g, o, c_new):
    def loss(a_f, a_g, a_o, c):
        c_new = a_f.sigmoid() * c + (1 - a_f.sigmoid()) * a_g.tanh()
        h = a_o.sigmoid() * c_new.tanh()
        return (h * torch.from_numpy(dh) + c_new * torch.from_numpy(dc)).sum()

    sums = np.log(f / (1 - f)), np.arctanh(g), np.log(o / (1 - o))
    *da, dc_old = autograd(loss, *sums, c)
    return np.concatenate(da, axis=1), dc_old


EXERCISES["8.2"] = exercise(
    coupled_backward,
    coupled_cases,
    """
one road: `dc * (c - g)` -> `dc * c`
    f stands in the equation twice: in f * c and in (1 - f) * g; its gradient needs both,
    dc * (c - g)
sign: `(c - g)` -> `(c + g)`
    the second road to f goes through 1 - f, so it comes with a minus: dc * (c - g)
f for i: `dc * (1 - f), dh` -> `dc * f, dh`
    the candidate is multiplied by 1 - f (the coupled input gate), and yours by f
no right: `dc = dc + dh` -> `dc = dh`
    dc from the right is not added: c_new has two roads, to the next step and into h
no slope: ` * (1 - tanh_c**2)` -> ``
    the slope of tanh, 1 - tanh(c_new)², is missing where h = o * tanh(c_new) sends its gradient to
    c_new
no f slope: `df * f * (1 - f)` -> `df * (1 - f)`
    the sigmoid's slope is f * (1 - f); yours has one of the two factors for the block of f
order: `df * f * (1 - f), dg * (1 - g**2)` -> `dg * (1 - g**2), df * f * (1 - f)`
    the blocks of da are to stand in the order f, g, o; yours has g before f
right only: `dc = dc + dh` -> `right = dc; dc = dc + dh` `da, dc * f` -> `da, right * f`
    the old cell state gets the *whole* dc times f, both roads of c_new together; yours sends on the
    right one only
""",
    names=("da", "the gradient with respect to the old cell state"),
    otherwise="Go through the moves of section 5, one factor at a time",
    truth=coupled_autograd,
    hint=(
        "Section 5 with i replaced by 1 - f: which lines contain f? One of its roads comes with a "
        "minus."
    ),
    praise=(
        "a quarter of the weights is gone. What is kept and what is written now add up to one, as "
        "in the next lesson's GRU."
    ),
)


# 8.3 Stop at the end


def masked_lstm(x, mask, h0, c0, W_x, W_h, b):
    h, c = h0, c0
    for t in range(x.shape[1]):
        h_new, c_new, _ = lstm_cell(x[:, t], h, c, W_x, W_h, b)
        real = mask[:, t, None]  # (N, 1)
        h, c = np.where(real, h_new, h), np.where(real, c_new, c)
    return h, c


def masked_cases():
    for seed in (3, 4):
        x, *rest = network(seed)
        yield x, np.arange(6) < np.array([6, 3, 1])[:, None], *rest


def wrong_sequences(given, got, right):
    close = np.isclose(got, right).all(axis=(0, 2))  # (N,)
    lengths = given[1].sum(axis=1).tolist()
    return (
        f"wrong for the sequences {np.flatnonzero(~close).tolist()} of lengths {lengths}: compare "
        "with running each alone over its real steps"
    )


EXERCISES["8.3"] = exercise(
    masked_lstm,
    masked_cases,
    """
runs on: `np.where(real, h_new, h), np.where(real, c_new, c)` -> `h_new, c_new`
    the mask has no effect: both states run on over the padding; keep the old ones where mask[:, t]
    is False
zero input: `(x[:, t]` -> `(x[:, t] * mask[:, t, None]`
    `np.where(real, h_new, h), np.where(real, c_new, c)` -> `h_new, c_new`
    zeros as input still change the states (the biases and W_h go on working); keep the old states
    instead
zeros: `np.where(real, h_new, h), np.where(real, c_new, c)` -> `h_new * real, c_new * real`
    where the mask is False your states become 0; what a sequence remembered is lost: keep the old
    values
turned: `mask[:, t, None]` -> `~mask[:, t, None]`
    the mask is read the wrong way round: True means real, so there the *new* states count
h only: `np.where(real, c_new, c)` -> `c_new`
    h stops at the end, c runs on; both states belong to the cell's memory
swapped: `return h, c` -> `return c, h`
    return h first, then c
""",
    names=("the last h", "the last c"),
    otherwise=wrong_sequences,
    hint=(
        "Run `lstm_cell` for all sequences at each step, then choose, sequence by sequence, between"
        " the new states and the old: np.where(mask[:, t, None], new, old)."
    ),
    praise="the same states as pack_padded_sequence gives, and np.where is all that it takes.",
)


# 8.4 Find the bug


def repaired_backward(dstates, dlast, cache):
    caches, W_x, W_h = cache
    (dh, dc), dx, total = dlast, [], {"W_x": 0, "W_h": 0, "b": 0}
    for t in reversed(range(len(caches))):
        x, h, c, i, f, g, o, c_new = caches[t]
        dh = dstates[:, t] + dh
        dc = dc + dh * o * (1 - np.tanh(c_new) ** 2)  # here: dc from the right was overwritten
        di, df, dg, do = dc * g, dc * c, dc * i, dh * np.tanh(c_new)
        da = [di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)]
        da = np.concatenate(da, axis=1)
        dh, dc = da @ W_h.T, dc * f
        dx.append(da @ W_x.T)
        grads = {"W_x": x.T @ da, "W_h": h.T @ da, "b": da.sum(axis=0)}
        total = {name: total[name] + grads[name] for name in total}
    return {**total, "x": np.stack(dx[::-1], axis=1), "h0": dh, "c0": dc}


def backward_cases():
    for seed in (5, 6):
        x, h, c, W_x, W_h, b = network(seed)
        rng, caches = np.random.default_rng(seed), []
        for t in range(6):
            h, c, step = lstm_cell(x[:, t], h, c, W_x, W_h, b)
            caches.append(step)
        dlast = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
        yield rng.standard_normal((3, 6, 4)), dlast, (caches, W_x, W_h)


def backward_autograd(dstates, dlast, cache):
    caches, W_x, W_h = cache
    x, h, c, i, f, g, o, _ = caches[0]
    gates = [np.log(i / (1 - i)), np.log(f / (1 - f)), np.arctanh(g), np.log(o / (1 - o))]
    b = (np.concatenate(gates, axis=1) - x @ W_x - h @ W_h)[0]

    def loss(x, h0, c0, W_x, W_h, b):
        layer = torch.nn.LSTM(2, 4, batch_first=True).double()
        weights = dict(zip(layer.state_dict(), (W_x.T, W_h.T, b, b * 0)))
        states, last = torch.func.functional_call(layer, weights, (x, (h0[None], c0[None])))
        upper = sum((part[0] * torch.from_numpy(d)).sum() for part, d in zip(last, dlast))
        return (states * torch.from_numpy(dstates)).sum() + upper

    x = np.stack([step[0] for step in caches], axis=1)
    return dict(zip(NAMES, autograd(loss, x, h, c, W_x, W_h, b)))


EXERCISES["8.4"] = exercise(
    repaired_backward,
    backward_cases,
    """
unchanged: `dc = dc + dh` -> `dc = dh`
    this is the doubtful version still: put a gradient on the last *cell* state alone, and see which
    inputs receive any of it
early: `di, df, dg, do = dc` -> `dc = dc * f; di, df, dg, do = dc`
    `da @ W_h.T, dc * f` -> `da @ W_h.T, dc`
    dc is multiplied by f before da is computed; the gates of *this* step need the whole dc, only
    the left neighbour gets dc * f
no f: `W_h.T, dc * f` -> `W_h.T, dc`
    the direct road to the left goes through the forget gate: dc * f; yours passes dc on unweakened
i for f: `W_h.T, dc * f` -> `W_h.T, dc * i`
    dc goes to the left through the forget gate; yours goes through the input gate. That line was
    right before
new c: `dc * g, dc * c,` -> `dc * g, dc * c_new,`
    the forget gate multiplies the *old* cell state, so da of f needs c; yours has c_new. That line
    was right before
""",
    otherwise="Set the lines beside section 5",
    truth=backward_autograd,
    hint=(
        "One step is right when the loss is on h, so look at what is handed from step to step. Two "
        "things come from the right: dh and dc. Are both used?"
    ),
    praise=(
        "one word, `dc +`. Without it the carousel is cut, and the LSTM learns like an RNN with "
        "more weights."
    ),
)


# 8.5 Be the training


def adder():
    scale = 0.02  # so small that tanh is straight: tanh(0.02) = 0.019997
    W_x = np.zeros((2, 4))  # rows: number, mark; columns: i, f, g, o
    W_x[1, 0] = 40  # the mark opens the input gate: sigmoid(-20) = 0 without, sigmoid(20) = 1 with
    W_x[0, 2] = scale  # the number is what could be written
    b = np.array([-20.0, 20.0, 0.0, 20.0])  # shut unless marked; never forget; always show
    return W_x, np.zeros((1, 4)), b, 1 / scale


def check_adder(answer):
    got = ask(answer)
    if not (isinstance(got, (tuple, list)) and len(got) == 4):
        raise Wrong("return four things: W_x (2, 4), W_h (1, 4), b (4) and the number w_y")
    W_x, W_h, b = (np.asarray(part, float) for part in got[:3])
    w_y = float(np.asarray(got[3]).reshape(())) if np.size(got[3]) == 1 else np.nan
    if (W_x.shape, W_h.shape, b.shape) != ((2, 4), (1, 4), (4,)) or not np.isfinite(w_y):
        yours = f"{W_x.shape}, {W_h.shape}, {b.shape} and {np.shape(got[3])}"
        raise Wrong(f"expected the shapes (2, 4), (1, 4), (4,) and a number; got {yours}")
    x, y = adding_problem(400, 200, np.random.default_rng(8))
    h = c = np.zeros((400, 1))
    steps = []
    for t in range(200):
        h, c, (*_, i, f, g, o, _) = lstm_cell(x[:, t], h, c, W_x, W_h, b)
        steps.append([i, f, g, o])
    error = float(((h[:, 0] * w_y - y) ** 2).mean())
    if error < 1e-3:
        return (
            f"mean squared error {error:.1e} over 200 steps, by four numbers that are not 0 or a "
            "bias. Nothing in it depends on the length."
        )
    i, f, g, o = np.moveaxis(np.array(steps), 1, 0)  # (T, N, 1) each
    marked = x[:, :, 1].T[:, :, None] > 0
    on, off = i[marked].mean(), i[~marked].mean()
    problem = "the gates are right; does the candidate carry the number (first row, third column), "
    problem += "and is w_y one over its factor?"
    if on < 0.9 or off > 1e-3:
        problem = f"the input gate is {on:.3f} at marked steps and {off:.2g} at the others; it "
        problem += "should be 1 and 0: "
        deaf = "it does not hear the mark (the second row of W_x, first column)"
        problem += deaf if abs(on - off) < 0.05 else "open it wider at the mark, shut it elsewhere"
    elif f.mean() < 0.9999:
        problem = (
            f"the forget gate is {f.mean():.4f}, and over 100 steps {f.mean() ** 100:.2g} of a "
        )
        problem += "number is left; give it a larger bias"
    elif o[-1].mean() < 0.99:
        problem = (
            f"the output gate shows only {o[-1].mean():.2f} of the cell at the last step; open "
        )
        problem += "it by its bias, or make up for it in w_y"
    elif np.abs(g[marked]).max() > 0.3 or np.abs(c).max() > 0.3:
        problem = f"the candidate reaches {np.abs(g[marked]).max():.2f} and the cell "
        problem += f"{np.abs(c).max():.2f}, where tanh bends: make the numbers small, w_y large"
    raise Wrong(f"the error is {error:.3g}, not below 0.001; {problem}")


def adder_with(i=(40, -20), f=20, o=20, scale=0.02, swap=False):
    def answer():
        W_x = np.zeros((2, 4))
        W_x[1, 0], W_x[0, 2] = i[0], scale
        b = np.array([i[1], f, 0.0, o])
        return (W_x[::-1] if swap else W_x), np.zeros((1, 4)), b, 1 / scale

    return answer


EXERCISES["8.5"] = Exercise(
    check_adder,
    hint=(
        "sigmoid(20) is 1 and sigmoid(-20) is 0 to eight digits. For small numbers tanh(a) is a. "
        "W_h can stay 0."
    ),
    solution=adder,
    wrong={
        "always open": adder_with(i=(0, 20)),
        "half open": adder_with(i=(2, -1)),
        "forgets": adder_with(f=3),
        "hardly shows": adder_with(o=0),
        "bent": adder_with(scale=1.0),
        "rows swapped": adder_with(swap=True),
        "wrong read-out": lambda: (*adder()[:3], 1.0),
    },
)
