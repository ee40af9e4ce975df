"""Exercises of lesson 10: the simple recurrent unit."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.grading import Wrong, ask, autograd, exercise
from course_utils.models.sru import SRU

EXERCISES = {}


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


def light_recurrence(u, z, c0, v_f):
    """As the lesson's: gates (N, T, H) and states c_0 to c_T (N, T + 1, H)."""
    f, states = np.empty_like(u), [c0]
    for t in range(u.shape[1]):
        f[:, t] = sigmoid(z[:, t] + v_f * states[-1])
        states.append(f[:, t] * states[-1] + (1 - f[:, t]) * u[:, t])
    return f, np.stack(states, axis=1)


# 10.1 Count


def stack_size(D, H, layers):
    first = 3 * D * H + 4 * H  # W_x; v and b, with two rows each
    if D != H:
        first += D * H  # W_s
    return first + (layers - 1) * (3 * H * H + 4 * H)  # the others read H numbers


EXERCISES["10.1"] = exercise(
    stack_size,
    lambda: [(10, 6, 1), (8, 8, 1), (10, 6, 3), (5, 5, 4)],
    """
no W_s: `first += D * H` -> `pass`
    where D and H differ, the first layer needs W_s too, D times H numbers, to bring the input to
    the output's size
always W_s: `if D != H` -> `if True`
    where D = H the input itself takes the highway: no W_s then
v or b missing: `3 * D * H + 4 * H` -> `3 * D * H + 2 * H` `H * H + 4 * H` -> `H * H + 2 * H`
    each layer has v and b, with two rows of H numbers each: 4H; one of the two is missing
neither v nor b: `3 * D * H + 4 * H` -> `3 * D * H` `H * H + 4 * H` -> `H * H`
    the point-wise weights v and the biases b are missing: two rows of H numbers each
all layers read D: `first + (layers - 1) * (3 * H * H + 4 * H)` -> `layers * first`
    the layers above the first read H numbers, not D
an LSTM: `3 * D * H + 4 * H` -> `4 * (D * H + H * H + H)` `first += D * H` -> `pass`
    `(3 * H * H + 4 * H)` -> `4 * (2 * H * H + H)`
    this is an LSTM: the SRU has three products with x and none with its state
""",
    otherwise=(
        "For each layer: W_x, perhaps W_s, v with 2 rows and b with 2 rows; the layers above the"
        " first have D = H"
    ),
    truth=lambda D, H, layers: sum(p.numel() for p in SRU(D, H, num_layers=layers).parameters()),
    hint=(
        "One layer from D to H: three matrices (D, H) side by side, v and b with two rows each."
        " When is there a W_s? What does the second layer read?"
    ),
    praise=(
        "as many as course_utils.models.sru.SRU has. None of them is in the chain but v, 2H numbers"
        " a layer."
    ),
)


# 10.2 The factor, another way


def factor(u, z, c_prev, v_f):
    f = sigmoid(z + v_f * c_prev)
    return f + (c_prev - u) * f * (1 - f) * v_f  # c_prev stands openly, and inside f


def factor_cases():
    for shape in ((4, 3), (2, 5, 3)):
        rng = np.random.default_rng(len(shape))
        u, z, c_prev = rng.standard_normal((3, *shape))
        yield u, z, c_prev, 2 * rng.standard_normal(3)


def factor_autograd(u, z, c_prev, v_f):
    u, z, v_f = (torch.from_numpy(part) for part in (u, z, v_f))

    def loss(c_prev):
        f = (z + v_f * c_prev).sigmoid()
        return (f * c_prev + (1 - f) * u).sum()

    return autograd(loss, c_prev)[0]


EXERCISES["10.2"] = exercise(
    factor,
    factor_cases,
    """
only open: `f + (c_prev - u) * f * (1 - f) * v_f` -> `f`
    this is f_t alone: c_{t-1} also stands inside the gate, through v_f; use the product rule
only hidden: `return f + ` -> `return `
    the open summand is missing: even with a gate that never moves, c_{t-1} is multiplied by f_t
no v: `(1 - f) * v_f` -> `(1 - f)`
    the inner derivative is missing: the gate's sum contains v_f * c_{t-1}, so its derivative brings
    a factor v_f
sign: `return f + ` -> `return f - `
    a sign: c_t = f c_{t-1} + (1 - f) u, so the derivative with respect to f is c_{t-1} minus u
no candidate: `(c_prev - u)` -> `c_prev`
    f stands twice, in f c_{t-1} and in (1 - f) u; the second one brings a -u
slope: ` * (1 - f)` -> ``
    the slope of the sigmoid is f (1 - f); yours lacks 1 - f
gate without v: `z + v_f * c_prev` -> `z`
    the gate itself needs v_f c_{t-1} in its sum: f = sigmoid(z + v_f * c_prev)
""",
    otherwise=(
        "Write c_t = f(c_prev) * c_prev + (1 - f(c_prev)) * u, and differentiate with respect to"
        " c_prev by the product rule"
    ),
    truth=factor_autograd,
    hint=(
        "c_t = f c_{t-1} + (1 - f) u, where f = sigmoid(z + v_f c_{t-1}). Once c_{t-1} stands"
        " openly, and once inside f; the derivative of f with respect to c_{t-1} is f (1 - f) v_f."
    ),
    praise="equal to f (1 + v_f (c_{t-1} - c_t)): the same factor, seen from the forward step.",
)


# 10.3 A young relative


def minimal_gru(x, h0, W_z, W_n):
    # the forget gate is 1 - z, and 1 - sigmoid(a) is sigmoid(-a)
    _, states = light_recurrence(x @ W_n, -(x @ W_z), h0, 0.0)
    return states[:, 1:]


def minimal_cases():
    for seed in (3, 4):
        rng = np.random.default_rng(seed)
        yield tuple(rng.standard_normal(shape) for shape in ((2, 6, 3), (2, 4), (3, 4), (3, 4)))


def step_by_step(x, h0, W_z, W_n):
    h, states = h0, []
    for t in range(x.shape[1]):
        z = sigmoid(x[:, t] @ W_z)
        h = (1 - z) * h + z * (x[:, t] @ W_n)
        states.append(h)
    return np.stack(states, axis=1)


EXERCISES["10.3"] = exercise(
    minimal_gru,
    minimal_cases,
    """
gates: `-(x @ W_z)` -> `x @ W_z`
    here z is how much is *new*: h_t = (1 - z) h_{t-1} + z n_t, while light_recurrence's gate is how
    much is *kept*; 1 - sigmoid(a) = sigmoid(-a)
tanh: `(x @ W_n, ` -> `(np.tanh(x @ W_n), `
    no tanh: the candidate of the minimal GRU is a plain product
swapped: `x @ W_n, -(x @ W_z)` -> `x @ W_z, -(x @ W_n)`
    the two weights are exchanged: W_z makes the gate, W_n the candidate
own state: `0.0` -> `1.0`
    the gate looks at the input alone: v_f is 0 here
twice: `-(x @ W_z)` -> `1 - sigmoid(x @ W_z)`
    light_recurrence takes the sum of the gate and puts the sigmoid on it itself; yours has a
    sigmoid twice: 1 - sigmoid(a) = sigmoid(-a)
zeros: `, h0, 0.0` -> `, np.zeros_like(h0), 0.0`
    the first state h0 is not used: h_1 keeps (1 - z_1) of it
late: `states[:, 1:]` -> `states[:, :-1]`
    these are the states *before* each step, h_0 to h_{T-1}; return h_1 to h_T
with first: `states[:, 1:]` -> `states`
    T + 1 states: light_recurrence returns the first state too; leave it out
""",
    otherwise=(
        "Write down which letter of the minimal GRU is u, and which sum z gives the share that is"
        " kept"
    ),
    truth=step_by_step,
    hint=(
        "In light_recurrence the gate multiplies the old state. Which share of the old state does"
        " the minimal GRU keep, and of which sum is that the sigmoid?"
    ),
    praise="one more relative: with v_f = 0 its forward pass can be scanned.",
)


# 10.4 Find the bug


def repaired_backward(dh, dlast, cache):
    x, W_x, v, W_s, alpha, f, r, c, s = cache
    before, after = c[:, :-1], c[:, 1:]  # (N, T, H)
    dz_r = dh * (after - alpha * s) * r * (1 - r)
    dc, A = dh * r, f * (1 + v[0] * (before - after))
    dc[:, :-1] += v[1] * dz_r[:, 1:]
    dc[:, -1] += dlast
    for t in reversed(range(dc.shape[1] - 1)):
        # here: the way from c_t to c_{t+1} is step t + 1, with its gate
        dc[:, t] += A[:, t + 1] * dc[:, t + 1]
    dz = np.concatenate([dc * (1 - f), dc * f * (before - after), dz_r], axis=2)
    ds, dz_f = dh * (1 - r) * alpha, dc * f * (before - after)
    return {
        "x": dz @ W_x.T + ds @ W_s.T,
        "c0": A[:, 0] * dc[:, 0] + v[1] * dz_r[:, 0],
        "W_x": np.einsum("ntd,ntk->dk", x, dz),
        "W_s": np.einsum("ntd,nth->dh", x, ds),
        "v": np.stack([(before * dz_f).sum((0, 1)), (before * dz_r).sum((0, 1))]),
        "b": np.stack([dz_f.sum((0, 1)), dz_r.sum((0, 1))]),
    }


def backward_cases():
    for seed in (4, 5):
        rng, alpha = np.random.default_rng(seed), 1.5  # N = 3, T = 6, D = 2, H = 4
        shapes = ((3, 6, 2), (3, 4), (2, 12), (2, 4), (2, 4), (2, 4), (3, 6, 4), (3, 4))
        x, c0, W_x, W_s, v, b, dh, dlast = (rng.standard_normal(shape) for shape in shapes)
        u, z_f, z_r = np.split(x @ W_x, 3, axis=2)
        f, c = light_recurrence(u, z_f + b[0], c0, v[0])
        r = sigmoid(z_r + v[1] * c[:, :-1] + b[1])
        yield dh, dlast, (x, W_x, v, W_s, alpha, f, r, c, x @ W_s)


def backward_autograd(dh, dlast, cache):
    x, W_x, v, W_s, alpha, f, r, c, _ = cache
    gates = np.stack([f, r])[:, 0, 0]  # (2, H): of the first sequence at the first step
    b = np.log(gates / (1 - gates)) - (x[0, 0] @ W_x).reshape(3, -1)[1:] - v * c[0, 0]

    def loss(x, c, W_x, W_s, v, b):
        total = 0
        for t in range(x.shape[1]):
            u, z_f, z_r = (x[:, t] @ W_x).chunk(3, dim=1)
            f, r = (z_f + v[0] * c + b[0]).sigmoid(), (z_r + v[1] * c + b[1]).sigmoid()
            c = f * c + (1 - f) * u
            h = r * c + (1 - r) * alpha * (x[:, t] @ W_s)
            total = total + (torch.from_numpy(dh[:, t]) * h).sum()
        return total + (torch.from_numpy(dlast) * c).sum()

    names = ("x", "c0", "W_x", "W_s", "v", "b")
    return dict(zip(names, autograd(loss, x, c[:, 0], W_x, W_s, v, b)))


EXERCISES["10.4"] = exercise(
    repaired_backward,
    backward_cases,
    """
same step: `A[:, t + 1] * dc` -> `A[:, t] * dc`
    this is the doubtful version still: over one step it is right, so compare over two, with finite
    differences, and look at what the loop multiplies
gate alone: `A[:, t + 1] * dc` -> `f[:, t + 1] * dc`
    the loop's factor must be A of the next step; f alone forgets that c also moves its own gate,
    through v_f
nothing: `dc[:, t] += A[:, t + 1] * dc[:, t + 1]` -> `pass`
    now nothing arrives from the right: without a factor in the loop no step learns from a later one
same reset: `dc[:, :-1] += v[1] * dz_r[:, 1:]` -> `dc += v[1] * dz_r`
    the reset gate that contains c_t is the one of the *next* step; that line was right before
no reset: `dc[:, :-1] += v[1] * dz_r[:, 1:]` -> ``
    the path through the next reset gate, v[1] * dz_r, is missing; that line was right before
no dlast: `dc[:, -1] += dlast` -> ``
    dlast is not used: it is the gradient that arrives at the last state from outside; that line was
    right before
slope twice: `dc * f * (before - after), dz_r` -> `dc * f * (before - after) * (1 - f), dz_r`
    `alpha, dc * f * (before - after)` -> `alpha, dc * f * (before - after) * (1 - f)`
    1 - f is counted twice: before - after contains it already; that line was right before
""",
    otherwise="Set each line beside the formulas of section 5",
    truth=backward_autograd,
    hint=(
        "Over one step everything is right, so look at what leads from one step to the next. By"
        " which step's gate does c_t enter c_{t+1}?"
    ),
    praise=(
        "A was taken from the step itself, not from the next one. Where gates hardly change, the"
        " two are alike: that is why it trained."
    ),
)


# 10.5 A scan that wastes nothing


def tree_scan(items, combine):
    if len(items) < 2:
        return list(items)
    pairs = [combine(items[i], items[i + 1]) for i in range(0, len(items) - 1, 2)]
    ends = tree_scan(pairs, combine)  # the prefixes up to 1, 3, 5, ...
    prefixes = [items[0]]
    for i in range(1, len(items)):
        prefixes.append(ends[i // 2] if i % 2 else combine(ends[i // 2 - 1], items[i]))
    return prefixes


class Item:
    """A piece of text that knows after how many joins in a row it was made."""

    def __init__(self, text, depth=0):
        self.text, self.depth = text, depth


def scanned(answer, steps):
    """The prefixes of that many letters, and whether the answer kept to the two limits."""
    joins = []

    def combine(earlier, later):
        joins.append(Item(earlier.text + later.text, max(earlier.depth, later.depth) + 1))
        return joins[-1]

    prefixes = ask(answer, [Item(chr(ord("a") + i % 26)) for i in range(steps)], combine)
    if not isinstance(prefixes, (list, tuple)) or not all(isinstance(p, Item) for p in prefixes):
        raise Wrong("return a list of what combine returns, one prefix for each item")
    depth = max((item.depth for item in prefixes), default=0)
    return {
        "the prefixes": [item.text for item in prefixes],
        "how many joins follow one another": depth <= 2 * int(np.log2(steps)) + 1,
        "how many joins there are": len(joins) < 2 * steps,
    }


def chain(items, combine):
    prefixes = [items[0]]
    for item in items[1:]:
        prefixes.append(combine(prefixes[-1], item))
    return prefixes


def hillis_steele(items, combine):
    reach = 1
    while reach < len(items):
        later = [combine(items[i - reach], items[i]) for i in range(reach, len(items))]
        items, reach = items[:reach] + later, 2 * reach
    return items


EXERCISES["10.5"] = exercise(
    tree_scan,
    lambda: [(steps,) for steps in (1, 2, 3, 13, 8, 64, 100)],
    """
order: `combine(items[i], items[i + 1])` -> `combine(items[i + 1], items[i])`
    `combine(ends[i // 2 - 1], items[i])` -> `combine(items[i], ends[i // 2 - 1])`
    the order is mixed up: of the items a and b the prefix must be ab, yours is ba:
    combine(earlier, later)
""",
    others={
        "chain": (
            chain,
            (
                "right, but in a chain: some result waits for too many joins in a row; at most 2"
                " log2 T + 1 are allowed"
            ),
        ),
        "Hillis and Steele": (
            hillis_steele,
            (
                "right and in few rounds, but wasteful: for T items fewer than 2T joins suffice,"
                " and yours needs more; so does the scan of section 7"
            ),
        ),
        "total alone": (
            lambda items, combine: chain(items, combine)[-1:],
            "T items have T prefixes; all of them are asked for, not the last alone",
        ),
        "exclusive": (
            lambda items, combine: [items[0], *tree_scan(items, combine)[:-1]],
            "prefix i must join the items 0 to i; yours leaves out item i",
        ),
    },
    otherwise="For each i, prefix i must join the items 0 to i, in their order",
    use=scanned,
    hint=(
        "Join items 0 and 1, 2 and 3, ...; scan that half-length list by the same function: it"
        " gives the prefixes that end at 1, 3, 5, .... Which prefixes are missing, and how far are"
        " they from one that you have?"
    ),
    praise=(
        "Blelloch's idea: half as many items at each level, so less than 2T joins in all, and 2"
        " log2 T of them in a row."
    ),
)
