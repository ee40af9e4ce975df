"""Exercises of lesson 09: the gated recurrent unit (GRU)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from course_utils.grading import Wrong, ask, autograd, exercise
from course_utils.proofs import numbers

EXERCISES = {}


def sigmoid(a):
    return (np.tanh(a / 2) + 1) / 2


def network(seed, *names):
    """Random arrays of these names, N = 3, T = 5, D = 2, H = 4."""
    rng = np.random.default_rng(seed)
    shapes = {"x": (3, 5, 2), "h0": (3, 4), "W_x": (2, 12), "W_h": (4, 12), "b": (12,)}
    shapes |= {"b_hn": (4,), "dstates": (3, 5, 4), "dlast": (3, 4)}
    return [rng.standard_normal(shapes[name]) for name in names]


def unrolled(cell, x, h):
    """The states (N, T, H) of a cell in PyTorch."""
    return torch.stack([h := cell(x[:, t], h) for t in range(x.shape[1])], dim=1)


# 9.1 The same price


def same_price(D, H):
    price, width = 4 * (D + H + 2) * H, H  # a GRU of the LSTM's width is cheaper
    while 3 * (width + 1 + D + 2) * (width + 1) <= price:  # can it have one unit more?
        width += 1
    return width


def prices(given, got, right):
    (D, H), width = given, numbers(got).item()
    if width % 1:
        return f"a layer has a whole number of units; yours has {width:.2f}"
    return (
        f"for D = {D} the LSTM of width {H} learns {4 * (D + H + 2) * H} numbers, 4 (D + H + 2) H,"
        f" and a GRU of your width {width:g} learns {3 * (D + width + 2) * width:g}, 3 (D + G + 2)"
        f" G; the widest that learns no more has {right} units"
    )


EXERCISES["9.1"] = exercise(
    same_price,
    lambda: [(2, 18), (20, 8), (64, 64), (32, 64), (20, 35), (300, 10)],
    """
four thirds: `return width` -> `return int(4 * H / 3)`
    4/3 of the width is too many: the recurrent weights grow with the square of the width
one too many: `return width` -> `return width + 1`
    one too many: a GRU of your width learns more numbers than the LSTM
same width: `return width` -> `return H`
    the same width is cheaper, for it has three blocks and not four. How far can it grow?
one bias: `(D + H + 2)` -> `(D + H + 1)` `1 + D + 2)` -> `1 + D + 1)`
    mind the biases: each block has two of them in the framework, so H numbers twice
no biases: `(D + H + 2)` -> `(D + H)` `1 + D + 2)` -> `1 + D)`
    mind the biases: each block has two of them in the framework, and yours counts none
""",
    others={"not whole": lambda D, H: H * (4 / 3) ** 0.5},
    otherwise=prices,
    hint=(
        "An LSTM learns 4 (D + H + 2) H numbers, a GRU of width G 3 (D + G + 2) G. Let G grow while"
        " the GRU does not learn more."
    ),
    praise=(
        "for the same price a GRU has more units: about 15 % more where most weights are recurrent,"
        " a third more where most come from the input."
    ),
)


# 9.2 Set the memory


def bias_for(steps):
    z = 0.5 ** (1 / steps)  # z ** steps = 1/2
    return float(np.log(z / (1 - z)))  # the sigmoid turned round


def share_left(given, got, right):
    left = float(sigmoid(numbers(got).item())) ** given[0]
    return (
        f"with your bias {numbers(got).item():.3g}, the share {left:.3g} is left after {given[0]}"
        " steps; it should be 0.5"
    )


EXERCISES["9.2"] = exercise(
    bias_for,
    lambda: [(5,), (38,), (200,), (1,)],
    """
the gate: `float(np.log(z / (1 - z)))` -> `z`
    this is the gate z, not its bias: turn the sigmoid round, b = ln(z / (1 - z))
other reading: `z / (1 - z)` -> `(1 - z) / z`
    the sign is that of the other reading, in which z near 1 takes the new; here z near 1 keeps the
    old
only ln z: `z / (1 - z)` -> `z`
    this is ln z; the sigmoid turned round is ln(z / (1 - z))
1 - 1/steps: `0.5 ** (1 / steps)` -> `1 - 1 / steps`
    this keeps 1 - 1/steps at each step, which leaves about 37 % and not half; half is left when
    z ** steps = 1/2
forwards: `np.log(z / (1 - z))` -> `np.log(0.5) / np.log(sigmoid(steps))`
    this is half_life of a bias of `steps`; the question goes the other way round
""",
    others={"a constant": lambda steps: 4.0},
    otherwise=share_left,
    hint=(
        "First the gate: z to the power `steps` is 1/2. Then the bias: solve z = 1 / (1 + exp(-b))"
        " for b."
    ),
    praise="200 steps need a bias near 6: the memory grows like e to the power of the bias.",
)


# 9.3 Borrowed weights


def borrowed(W_x, W_h, b):
    def ours(W):
        z, r, n = np.split(W, 3, axis=-1)  # the order there
        return np.concatenate([r, -z, n], axis=-1)  # the order here; z keeps instead of taking

    return {"W_x": ours(W_x), "W_h": ours(W_h), "b": ours(b), "b_hn": np.zeros(len(W_h))}


EXERCISES["9.3"] = exercise(
    borrowed,
    lambda: [network(seed, "W_x", "W_h", "b") for seed in (1, 2)],
    """
as they are: `[r, -z, n]` -> `[z, r, n]`
    these are the weights as they came: our blocks stand in the order r, z, n, and z keeps the old
no flip: `[r, -z, n]` -> `[r, z, n]`
    the order is right; but there z takes the new and here it keeps the old: turn the sign of
    everything that leads to z
no reorder: `[r, -z, n]` -> `[-z, r, n]`
    the sign is right; but the blocks still stand as z, r, n: here the order is r, z, n
wrong gate: `[r, -z, n]` -> `[-r, z, n]`
    the sign of r is turned; r is the valve and means the same in both; it is z that is read the
    other way round
all gates: `[r, -z, n]` -> `[-r, -z, -n]`
    all three blocks have their signs turned; only z is read the other way round
bias only: `[r, -z, n]` -> `[r, -z if W.ndim == 1 else z, n]`
    only the bias of z has its sign turned; z becomes 1 - z when the whole sum turns: W_x, W_h and b
bias twice: `np.zeros(len(W_h))` -> `b[-len(W_h) :]`
    the library has no bias behind the valve, so b_hn is zeros (H,); its whole bias stands in b
""",
    otherwise="Go through the equations gate by gate; b_hn is zeros, for it is all in b",
    hint=(
        "np.split(W, 3, axis=-1) gives the three blocks in their order, for a bias too. flip_update"
        " shows what turns one reading of z into the other."
    ),
    praise=(
        "the same states from borrowed weights. Had that library's reset acted before the product,"
        " no rearranging could help."
    ),
)


# 9.4 Find the bug


def repaired_backward(dstates, dlast, x, steps, W_x, W_h):
    d = {"x": np.empty_like(x), "W_x": 0.0, "W_h": 0.0, "b": 0.0, "b_hn": 0.0}
    carried = dlast
    for t in reversed(range(x.shape[1])):
        h, r, z, n, u = steps[t]
        dh = dstates[:, t] + carried
        da_n = dh * (1 - z) * (1 - n**2)
        gates = np.hstack([da_n * u * r * (1 - r), dh * (h - n) * z * (1 - z)])
        da = np.hstack([gates, da_n])
        ds = np.hstack([gates, da_n * r])  # here: what lies behind the valve gets da_n * r
        d["x"][:, t] = da @ W_x.T
        d["W_x"], d["W_h"] = d["W_x"] + x[:, t].T @ da, d["W_h"] + h.T @ ds
        d["b"], d["b_hn"] = d["b"] + da.sum(axis=0), d["b_hn"] + (da_n * r).sum(axis=0)
        carried = dh * z + ds @ W_h.T
    return {**d, "h0": carried}


def backward_cases():
    for seed in (3, 4):
        names = ("x", "h0", "W_x", "W_h", "b", "b_hn", "dstates", "dlast")
        x, h, W_x, W_h, b, b_hn, dstates, dlast = network(seed, *names)
        steps = []
        for t in range(5):
            a, s = x[:, t] @ W_x + b, h @ W_h
            r, z = np.split(sigmoid(a[:, :8] + s[:, :8]), 2, axis=1)
            u = s[:, 8:] + b_hn
            n = np.tanh(a[:, 8:] + r * u)
            steps.append((h, r, z, n, u))
            h = (1 - z) * n + z * h
        yield dstates, dlast, x, steps, W_x, W_h


def backward_autograd(dstates, dlast, x, steps, W_x, W_h):
    h, r, z, n, u = steps[0]
    s = h @ W_h
    b_hn = (u - s[:, 8:])[0]
    sums = [np.log(r / (1 - r)) - s[:, :4], np.log(z / (1 - z)) - s[:, 4:8], np.arctanh(n) - r * u]
    b = (np.hstack(sums) - x[:, 0] @ W_x)[0]

    def loss(x, h0, W_x, W_h, b, b_hn):
        b_h = torch.cat([b_hn.new_zeros(8), b_hn])
        states = unrolled(lambda x, h: torch.gru_cell(x, h, W_x.T, W_h.T, b, b_h), x, h0)
        upper = states * torch.from_numpy(dstates)
        return upper.sum() + (states[:, -1] * torch.from_numpy(dlast)).sum()

    names = ("x", "h0", "W_x", "W_h", "b", "b_hn")
    return dict(zip(names, autograd(loss, x, h, W_x, W_h, b, b_hn)))


EXERCISES["9.4"] = exercise(
    repaired_backward,
    backward_cases,
    """
unchanged: `ds = np.hstack([gates, da_n * r])` -> `ds = da`
    this is still the doubtful version: try two steps, or a state that is not 0, and ask which of
    the two products lies behind the valve
weights still wrong: `h.T @ ds` -> `h.T @ da`
    the message is right now, but dW_h still takes da^n: h W_h^n lies behind the valve, so its
    gradient is du = da^n * r
message still wrong: `ds @ W_h.T` -> `da @ W_h.T`
    dW_h is right now, but the message to the left still goes out with da^n; it too passes the
    valve: du = da^n * r
valve on both: `da = np.hstack([gates, da_n])` -> `da = np.hstack([gates, da_n * r])`
    now x and b are multiplied by the valve as well; x W_x^n + b^n enter the tanh directly, so they
    get da^n without r
b_hn without valve: `(da_n * r).sum(axis=0)` -> `da_n.sum(axis=0)`
    the gradient with respect to b_hn was right before: b_hn lies behind the valve, so it gets
    da^n * r
no straight path: `dh * z + ` -> ``
    the straight path dh * z is missing in the message; it was right before, and it is what carries
    the gradient far
no dlast: `carried = dlast` -> `carried = 0 * dlast`
    dlast is not used: it is the message that arrives at the last step from the right
""",
    otherwise="Go through the equations from the last to the first",
    truth=backward_autograd,
    hint=(
        "In a^n = x W_x^n + b^n + r * (h W_h^n + b_h^n) two summands stand before the valve and one"
        " behind it. Which gradient does each one get?"
    ),
    praise=(
        "what lies behind the valve gets its gradient through the valve. A state of 0 hid it, for"
        " then dW_h is 0 either way."
    ),
)


# 9.5 The other placement


def gru_before(x, h0, W_x, W_h, b, dstates):
    H, h, states, steps = h0.shape[1], h0, [], []
    W_gates, W_n = W_h[:, : 2 * H], W_h[:, 2 * H :]
    for t in range(x.shape[1]):
        a = x[:, t] @ W_x + b
        r, z = np.split(sigmoid(a[:, : 2 * H] + h @ W_gates), 2, axis=1)
        n = np.tanh(a[:, 2 * H :] + (r * h) @ W_n)
        steps.append((h, r, z, n))
        h = (1 - z) * n + z * h
        states.append(h)
    d, message = {"x": np.empty_like(x), "W_x": 0.0, "W_h": 0.0, "b": 0.0}, 0.0
    for t in reversed(range(x.shape[1])):
        h, r, z, n = steps[t]
        dh = dstates[:, t] + message
        da_n = dh * (1 - z) * (1 - n**2)
        dv = da_n @ W_n.T  # v = r * h, what the product reads
        gates = np.hstack([dv * h * r * (1 - r), dh * (h - n) * z * (1 - z)])
        da = np.hstack([gates, da_n])
        d["x"][:, t] = da @ W_x.T
        d["W_x"] += x[:, t].T @ da
        d["W_h"] += np.hstack([h.T @ gates, (r * h).T @ da_n])
        d["b"] += da.sum(axis=0)
        message = dh * z + dv * r + gates @ W_gates.T  # the mix, the valve, the two gates
    return np.stack(states, axis=1), {**d, "h0": message}


def before_autograd(x, h0, W_x, W_h, b, dstates):
    def states_of(x, h0, W_x, W_h, b):
        def cell(x, h):
            a = x @ W_x + b
            r, z = (a[:, :8] + h @ W_h[:, :8]).sigmoid().chunk(2, dim=1)
            return (1 - z) * (a[:, 8:] + (r * h) @ W_h[:, 8:]).tanh() + z * h

        return unrolled(cell, x, h0)

    arrays = x, h0, W_x, W_h, b
    grads = autograd(lambda *a: (states_of(*a) * torch.from_numpy(dstates)).sum(), *arrays)
    names = ("x", "h0", "W_x", "W_h", "b")
    return states_of(*map(torch.from_numpy, arrays)), dict(zip(names, grads))


def in_one_dictionary(answer, *given):
    result = ask(answer, *given)
    is_pair = isinstance(result, (tuple, list)) and len(result) == 2
    if not is_pair or not isinstance(result[1], Mapping):
        raise Wrong("return two things: the states (N, T, H), and the dictionary of gradients")
    return {"states": result[0], **result[1]}


EXERCISES["9.5"] = exercise(
    gru_before,
    lambda: [network(seed, "x", "h0", "W_x", "W_h", "b", "dstates") for seed in (5, 6)],
    """
after: `(r * h) @ W_n` -> `r * (h @ W_n)` `da_n @ W_n.T` -> `(da_n * r) @ W_n.T`
    `dv * h * r` -> `da_n * (h @ W_n) * r` `(r * h).T @ da_n` -> `h.T @ (da_n * r)`
    `dv * r +` -> `dv +`
    this is the GRU with the reset after the product; here r multiplies the old state first:
    (r * h) @ W_h[:, 2 * H:]
no valve in W_h: `(r * h).T @ da_n` -> `h.T @ da_n`
    the third block of dW_h takes h; its product reads r * h, so it is (r * h).T @ da_n
no valve in message: `dv * r +` -> `dv +`
    the path through r * h to h is multiplied by r on the way back, too: (da_n @ W.T) * r
path lost: `dv * r + ` -> ``
    a path is missing: h reaches the candidate through r * h, so the message has the summand
    (da_n @ W.T) * r
gates lost: ` + gates @ W_gates.T` -> ``
    a path is missing: h reaches both gates by their recurrent weights; add
    gates @ W_h[:, :2 * H].T
no straight path: `dh * z + ` -> ``
    a path is missing: the mix itself, z * h, so the message has the summand dh * z
""",
    others={"no states": lambda *given: (given[1], gru_before(*given)[1])},
    otherwise=(
        "First the states: compare one step with gru_step_before, and hand each new state to the"
        " next step. Then the equations from the last to the first"
    ),
    use=in_one_dictionary,
    truth=before_autograd,
    hint=(
        "Name the product's input v = r * h. Then dv = da_n @ (third block).T, and v hands on to"
        " both factors: dr = dv * h, and dv * r goes to h. h has four paths in all: the mix, v, and"
        " the two gates."
    ),
    praise=(
        "the published unit of 2014, forward and backward; no framework layer to compare with, so"
        " finite differences are the proof."
    ),
)
