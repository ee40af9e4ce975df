"""Exercises of lesson 10: the simple recurrent unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils.exercises import Exercise, Wrong
from course_utils.proofs import relative_error

Array = NDArray[Any]
Gradients = dict[str, Array]


def sigmoid(a: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * a))


def light_recurrence(u: Array, z: Array, c0: Array, v_f: Any) -> tuple[Array, Array]:
    """As the lesson's: gates (N, T, H) and states c_0 to c_T (N, T + 1, H)."""
    f, states = np.empty_like(u), [c0]
    for t in range(u.shape[1]):
        f[:, t] = sigmoid(z[:, t] + v_f * states[-1])
        states.append(f[:, t] * states[-1] + (1 - f[:, t]) * u[:, t])
    return f, np.stack(states, axis=1)


# ---------------------------------------------------------------- 10.1 count


def stack_size(D: int, H: int, layers: int) -> int:
    each = 3 * H * H + 2 * H + 2 * H  # W_u, W_f, W_r; v; b
    first = 3 * D * H + 4 * H + (D * H if D != H else 0)  # W_s only where the sizes differ
    return first + (layers - 1) * each


def check_size(answer: Callable[..., Any]) -> str:
    from course_utils.models.sru import SRU

    for D, H, layers in ((10, 6, 1), (8, 8, 1), (10, 6, 3), (5, 5, 4)):
        right = sum(parameter.numel() for parameter in SRU(D, H, num_layers=layers).parameters())
        got, below = answer(D, H, layers), (layers - 1) * (3 * H * H + 4 * H)
        if got == right:
            continue
        skip = D * H * (D != H)
        known = {
            3 * D * H + 4 * H + below: "where D and H differ, the first layer needs W_s too, D times H numbers, to bring the input to the output's size",
            4 * D * H + 4 * H + below: "where D = H the input itself takes the highway: no W_s then",
            3 * D * H + skip + 2 * H + (layers - 1) * (3 * H * H + 2 * H): "each layer has v and b, with two rows of H numbers each: 4H; one of the two is missing",
            3 * D * H + skip + (layers - 1) * 3 * H * H: "the point-wise weights v and the biases b are missing: two rows of H numbers each",
            layers * (3 * D * H + skip + 4 * H): "the layers above the first read H numbers, not D",
            4 * (D * H + H * H + H) + (layers - 1) * 4 * (2 * H * H + H): "this is an LSTM: the SRU has three products with x and none with its state",
        }
        sentence = known.get(got, "for each layer: W_x, perhaps W_s, v with 2 rows and b with 2 rows; the layers above the first have D = H")
        raise Wrong(f"{sentence} (D={D}, H={H}, layers={layers}: {right} numbers, you say {got})")
    return "as many as course_utils.models.sru.SRU has. None of them is in the chain but v, 2H numbers a layer."


# ---------------------------------------------------------------- 10.2 the factor


def factor(u: Array, z: Array, c_prev: Array, v_f: Array) -> Array:
    f = sigmoid(z + v_f * c_prev)
    return f + (c_prev - u) * f * (1 - f) * v_f  # c_prev stands openly, and inside f


def _factor_wrong(mistake: str) -> Callable[..., Array]:
    def answer(u: Array, z: Array, c_prev: Array, v_f: Array) -> Array:
        f = sigmoid(z + v_f * c_prev)
        slope = f * (1 - f) * v_f
        return {
            "only open": f,
            "only hidden": (c_prev - u) * slope,
            "no v": f + (c_prev - u) * f * (1 - f),
            "sign": f - (c_prev - u) * slope,
            "no candidate": f + c_prev * slope,
            "slope": f + (c_prev - u) * f * v_f,
            "gate without v": (g := sigmoid(z)) + (c_prev - u) * g * (1 - g) * v_f,
        }[mistake]

    return answer


FACTOR_MISTAKES = {
    "only open": "this is f_t alone: c_{t-1} also stands inside the gate, through v_f; use the product rule",
    "only hidden": "the open summand is missing: even with a gate that never moves, c_{t-1} is multiplied by f_t",
    "no v": "the inner derivative is missing: the gate's sum contains v_f * c_{t-1}, so its derivative brings a factor v_f",
    "sign": "a sign: c_t = f c_{t-1} + (1 - f) u, so the derivative by f is c_{t-1} minus u",
    "no candidate": "f stands twice, in f c_{t-1} and in (1 - f) u; the second one brings a -u",
    "slope": "the slope of the sigmoid is f (1 - f); yours lacks 1 - f",
    "gate without v": "the gate itself needs v_f c_{t-1} in its sum: f = sigmoid(z + v_f * c_prev)",
}


def check_factor(answer: Callable[..., Any]) -> str:
    for shape in ((4, 3), (2, 5, 3)):
        rng = np.random.default_rng(len(shape))
        u, z, c_prev = (rng.standard_normal(shape) for _ in range(3))
        v_f = rng.standard_normal(3) * 2
        got = np.asarray(answer(u.copy(), z.copy(), c_prev.copy(), v_f.copy()))
        if got.shape != shape:
            raise Wrong(f"each unit has one factor, so the result has the shape of c_prev, {shape}; yours has {got.shape}")
        if relative_error(got, factor(u, z, c_prev, v_f)) < 1e-8:
            continue
        for mistake, sentence in FACTOR_MISTAKES.items():
            if relative_error(got, _factor_wrong(mistake)(u, z, c_prev, v_f)) < 1e-8:
                raise Wrong(sentence)
        raise Wrong("not the derivative: write c_t = f(c_prev) * c_prev + (1 - f(c_prev)) * u, and differentiate by c_prev with the product rule")
    return "equal to f (1 + v_f (c_{t-1} - c_t)): the same factor, seen from the forward step."


# ---------------------------------------------------------------- 10.3 the minimal GRU


def minimal_gru(x: Array, h0: Array, W_z: Array, W_n: Array) -> Array:
    _, states = light_recurrence(x @ W_n, -(x @ W_z), h0, 0.0)  # the forget gate is 1 - z, and 1 - sigmoid(a) is sigmoid(-a)
    return states[:, 1:]


def _minimal_wrong(mistake: str) -> Callable[..., Array]:
    def answer(x: Array, h0: Array, W_z: Array, W_n: Array) -> Array:
        candidate, z = x @ W_n, x @ W_z
        if mistake == "gates":
            return light_recurrence(candidate, z, h0, 0.0)[1][:, 1:]
        if mistake == "tanh":
            return light_recurrence(np.tanh(candidate), -z, h0, 0.0)[1][:, 1:]
        if mistake == "swapped":
            return light_recurrence(z, -candidate, h0, 0.0)[1][:, 1:]
        if mistake == "own state":
            return light_recurrence(candidate, -z, h0, 1.0)[1][:, 1:]
        if mistake == "twice":
            return light_recurrence(candidate, 1 - sigmoid(z), h0, 0.0)[1][:, 1:]
        if mistake == "zeros":
            return light_recurrence(candidate, -z, np.zeros_like(h0), 0.0)[1][:, 1:]
        states = light_recurrence(candidate, -z, h0, 0.0)[1]
        return states if mistake == "with first" else states[:, :-1]

    return answer


MINIMAL_MISTAKES = {
    "gates": "here z is how much is *new*: h_t = (1 - z) h_{t-1} + z n_t, while light_recurrence's gate is how much is *kept*; 1 - sigmoid(a) = sigmoid(-a)",
    "tanh": "no tanh: the candidate of the minimal GRU is a plain product",
    "swapped": "the two weights are exchanged: W_z makes the gate, W_n the candidate",
    "own state": "the gate looks at the input alone: v_f is 0 here",
    "twice": "light_recurrence takes the sum of the gate and puts the sigmoid on it itself; yours has a sigmoid twice: 1 - sigmoid(a) = sigmoid(-a)",
    "zeros": "the first state h0 is not used: h_1 keeps (1 - z_1) of it",
    "late": "these are the states *before* each step, h_0 to h_{T-1}; return h_1 to h_T",
}


def check_minimal(answer: Callable[..., Any]) -> str:
    import torch

    rng = np.random.default_rng(3)
    x, h0, W_z, W_n = (rng.standard_normal(shape) for shape in ((2, 6, 3), (2, 4), (3, 4), (3, 4)))
    got, h, states = np.asarray(answer(x.copy(), h0.copy(), W_z.copy(), W_n.copy())), torch.from_numpy(h0), []
    if got.shape == (2, 7, 4):
        raise Wrong("T + 1 states: light_recurrence returns the first state too; leave it out")
    if got.shape != (2, 6, 4):
        raise Wrong(f"return all states, (N, T, H) = (2, 6, 4); yours have the shape {got.shape}")
    for t in range(6):
        z = torch.sigmoid(torch.from_numpy(x[:, t] @ W_z))
        h = (1 - z) * h + z * torch.from_numpy(x[:, t] @ W_n)
        states.append(h.numpy())
    if relative_error(got, np.stack(states, axis=1)) < 1e-8:
        return "one more relative: with v_f = 0 its forward pass can be scanned."
    for mistake, sentence in MINIMAL_MISTAKES.items():
        if relative_error(got, _minimal_wrong(mistake)(x, h0, W_z, W_n)) < 1e-8:
            raise Wrong(sentence)
    raise Wrong("the states differ: write down which letter of the minimal GRU is u, and which sum z gives the share that is kept")


# ---------------------------------------------------------------- 10.4 find the bug


def repaired_backward(dh: Array, dlast: Array, cache: Any) -> Gradients:
    x, W_x, v, W_s, alpha, f, r, c, s = cache
    before, after = c[:, :-1], c[:, 1:]  # (N, T, H)
    dz_r = dh * (after - alpha * s) * r * (1 - r)
    dc, A = dh * r, f * (1 + v[0] * (before - after))
    dc[:, :-1] += v[1] * dz_r[:, 1:]
    dc[:, -1] += dlast
    for t in reversed(range(dc.shape[1] - 1)):
        dc[:, t] += A[:, t + 1] * dc[:, t + 1]  # here: the way from c_t to c_{t+1} is step t + 1, with its gate
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


def _backward(mistake: str) -> Callable[..., Gradients]:
    """The repaired pass with one mistake: the published bug, or what a hasty repair makes of it."""

    def answer(dh: Array, dlast: Array, cache: Any) -> Gradients:
        x, W_x, v, W_s, alpha, f, r, c, s = cache
        before, after = c[:, :-1], c[:, 1:]
        dz_r = dh * (after - alpha * s) * r * (1 - r)
        dc, A = dh * r, f * (1 + v[0] * (before - after))
        if mistake == "same reset":
            dc += v[1] * dz_r
        elif mistake != "no reset":
            dc[:, :-1] += v[1] * dz_r[:, 1:]
        dc[:, -1] += 0 if mistake == "no dlast" else dlast
        for t in reversed(range(dc.shape[1] - 1)):
            a = {"same step": A[:, t], "gate alone": f[:, t + 1], "nothing": 0 * A[:, t]}.get(mistake, A[:, t + 1])
            dc[:, t] += a * dc[:, t + 1]
        dz_f = dc * f * (before - after) * ((1 - f) if mistake == "slope twice" else 1)
        dz, ds = np.concatenate([dc * (1 - f), dz_f, dz_r], axis=2), dh * (1 - r) * alpha
        return {
            "x": dz @ W_x.T + ds @ W_s.T, "c0": A[:, 0] * dc[:, 0] + v[1] * dz_r[:, 0],
            "W_x": np.einsum("ntd,ntk->dk", x, dz), "W_s": np.einsum("ntd,nth->dh", x, ds),
            "v": np.stack([(before * dz_f).sum((0, 1)), (before * dz_r).sum((0, 1))]),
            "b": np.stack([dz_f.sum((0, 1)), dz_r.sum((0, 1))]),
        }  # fmt: skip

    return answer


BACKWARD_MISTAKES = {
    "same step": "this is the doubtful version still: over one step it is right, so compare over two, with finite differences, and look at what the loop multiplies",
    "gate alone": "the loop's factor must be A of the next step; f alone forgets that c also moves its own gate, through v_f",
    "nothing": "now nothing arrives from the right: without a factor in the loop no step learns from a later one",
    "same reset": "the reset gate that contains c_t is the one of the *next* step; that line was right before",
    "no reset": "the road through the next reset gate, v[1] * dz_r, is missing; that line was right before",
    "no dlast": "dlast is not used: it is the gradient that arrives at the last state from outside; that line was right before",
    "slope twice": "1 - f is counted twice: before - after contains it already; that line was right before",
}


def check_repair(answer: Callable[..., Any]) -> str:
    import torch

    for seed in (4, 5):
        rng, (N, T, D, H) = np.random.default_rng(seed), (3, 6, 2, 4)
        shapes = {"x": (N, T, D), "c0": (N, H), "W_x": (D, 3 * H), "W_s": (D, H), "v": (2, H), "b": (2, H)}
        p = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        dh, dlast, alpha = rng.standard_normal((N, T, H)), rng.standard_normal((N, H)), 1.5
        u, z_f, z_r = np.split(p["x"] @ p["W_x"], 3, axis=2)
        f, c = light_recurrence(u, z_f + p["b"][0], p["c0"], p["v"][0])
        r, s = sigmoid(z_r + p["v"][1] * c[:, :-1] + p["b"][1]), p["x"] @ p["W_s"]
        cache = (p["x"], p["W_x"], p["v"], p["W_s"], alpha, f, r, c, s)

        t_ = {name: torch.tensor(value, requires_grad=True) for name, value in p.items()}
        state, total = t_["c0"], torch.zeros(())
        for t in range(T):
            one, two, three = (t_["x"][:, t] @ t_["W_x"]).chunk(3, dim=1)
            reset = torch.sigmoid(three + t_["v"][1] * state + t_["b"][1])
            gate = torch.sigmoid(two + t_["v"][0] * state + t_["b"][0])
            state = gate * state + (1 - gate) * one
            total = total + (torch.from_numpy(dh[:, t]) * (reset * state + (1 - reset) * alpha * (t_["x"][:, t] @ t_["W_s"]))).sum()
        (total + (torch.from_numpy(dlast) * state).sum()).backward()  # type: ignore[no-untyped-call]
        true = {name: np.asarray(tensor.grad) for name, tensor in t_.items()}

        got = answer(dh.copy(), dlast.copy(), cache)
        if not isinstance(got, dict) or set(got) != set(true):
            raise Wrong(f"return a dictionary with the keys {', '.join(true)}, as the doubtful version does")
        wrong = [name for name in true if np.shape(got[name]) != true[name].shape or not relative_error(np.asarray(got[name]), true[name]) < 1e-8]
        if not wrong:
            continue
        for mistake, sentence in BACKWARD_MISTAKES.items():
            known = _backward(mistake)(dh, dlast, cache)
            if all(np.shape(got[name]) == known[name].shape and relative_error(np.asarray(got[name]), known[name]) < 1e-8 for name in true):
                raise Wrong(sentence)
        right = [name for name in true if name not in wrong]
        raise Wrong(f"wrong: the gradients by {', '.join(wrong)}; right: {', '.join(right) or 'none'}. Set each line beside the formulas of section 5.")
    return "A was taken from the step itself, not from the next one. Where gates hardly change, the two are alike: that is why it trained."


# ---------------------------------------------------------------- 10.5 a scan that wastes nothing


def tree_scan(items: list[Any], combine: Callable[[Any, Any], Any]) -> list[Any]:
    if len(items) == 1:
        return list(items)
    pairs = [combine(items[i], items[i + 1]) for i in range(0, len(items) - 1, 2)]
    ends = tree_scan(pairs, combine)  # the prefixes up to 1, 3, 5, ...
    found = [items[0]]
    for i in range(1, len(items)):
        found.append(ends[i // 2] if i % 2 else combine(ends[i // 2 - 1], items[i]))
    return found


class Item:
    """A piece of text that knows after how many joins in a row it was made."""

    def __init__(self, text: str, depth: int = 0) -> None:
        self.text, self.depth = text, depth


def check_scan(answer: Callable[..., Any]) -> str:
    for steps in (1, 2, 3, 8, 13, 64, 100):
        calls = 0

        def combine(earlier: Item, later: Item) -> Item:
            nonlocal calls
            calls += 1
            return Item(earlier.text + later.text, max(earlier.depth, later.depth) + 1)

        letters = [chr(ord("a") + i % 26) for i in range(steps)]
        got = answer([Item(letter) for letter in letters], combine)
        if not isinstance(got, (list, tuple)) or not all(isinstance(item, Item) for item in got):
            raise Wrong("return a list of what combine returns, one prefix for each item")
        texts, true = [item.text for item in got], ["".join(letters[: i + 1]) for i in range(steps)]
        if len(got) != steps:
            raise Wrong(f"{steps} items have {steps} prefixes; you return {len(got)}" + ("; all of them are asked for, not the last alone" if len(got) == 1 else ""))
        if texts != true and sorted(map(len, texts)) == sorted(map(len, true)) and all(sorted(a) == sorted(b) for a, b in zip(texts, true)):
            raise Wrong(f"the order is mixed up: for the first two items the prefix must be {true[1]!r}, yours is {texts[1]!r}: combine(earlier, later)")
        if texts != true:
            at = next(i for i in range(steps) if texts[i] != true[i])
            raise Wrong(f"with {steps} items, prefix {at} must join the items 0 to {at}; yours joins {len(texts[at])} of them")
        depth, most = max(item.depth for item in got), 2 * int(np.floor(np.log2(steps))) + 1
        if depth > most:
            raise Wrong(f"right, but in a chain: with {steps} items some result waits for {depth} joins in a row, and at most {most} are allowed")
        if calls >= 2 * steps:
            raise Wrong(f"right and in few rounds, but wasteful: {calls} joins for {steps} items, where fewer than {2 * steps} suffice; the scan of section 7 does that")
    return "Blelloch's idea: half as many items at each level, so less than 2T joins in all, and 2 log2 T of them in a row."


def _chained(items: list[Any], combine: Callable[[Any, Any], Any]) -> list[Any]:
    found = [items[0]]
    for item in items[1:]:
        found.append(combine(found[-1], item))
    return found


def _hillis_steele(items: list[Any], combine: Callable[[Any, Any], Any]) -> list[Any]:
    found, reach = list(items), 1
    while reach < len(found):
        found = found[:reach] + [combine(found[i - reach], found[i]) for i in range(reach, len(found))]
        reach *= 2
    return found


def _swapped(items: list[Any], combine: Callable[[Any, Any], Any]) -> list[Any]:
    return tree_scan(items, lambda earlier, later: combine(later, earlier))


def _total(items: list[Any], combine: Callable[[Any, Any], Any]) -> list[Any]:
    return _chained(items, combine)[-1:]


def _exclusive(items: list[Any], combine: Callable[[Any, Any], Any]) -> list[Any]:
    return [items[0], *tree_scan(items, combine)[:-1]]


EXERCISES = {
    "10.1": Exercise(
        check=check_size,
        hint="One layer from D to H: three matrices (D, H) side by side, v and b with two rows each. When is there a W_s? What does the second layer read?",
        solution=stack_size,
        wrong={
            "no W_s": lambda D, H, layers: 3 * D * H + 4 * H + (layers - 1) * (3 * H * H + 4 * H),
            "always W_s": lambda D, H, layers: 4 * D * H + 4 * H + (layers - 1) * (3 * H * H + 4 * H),
            "v or b missing": lambda D, H, layers: 3 * D * H + D * H * (D != H) + 2 * H + (layers - 1) * (3 * H * H + 2 * H),
            "neither v nor b": lambda D, H, layers: 3 * D * H + D * H * (D != H) + (layers - 1) * 3 * H * H,
            "all layers read D": lambda D, H, layers: layers * (3 * D * H + D * H * (D != H) + 4 * H),
            "an LSTM": lambda D, H, layers: 4 * (D * H + H * H + H) + (layers - 1) * 4 * (2 * H * H + H),
        },
    ),
    "10.2": Exercise(
        check=check_factor,
        hint="c_t = f c_{t-1} + (1 - f) u, where f = sigmoid(z + v_f c_{t-1}). Once c_{t-1} stands openly, and once inside f; the derivative of f by c_{t-1} is f (1 - f) v_f.",
        solution=factor,
        wrong={mistake: _factor_wrong(mistake) for mistake in FACTOR_MISTAKES},
    ),
    "10.3": Exercise(
        check=check_minimal,
        hint="In light_recurrence the gate multiplies the old state. Which share of the old state does the minimal GRU keep, and of which sum is that the sigmoid?",
        solution=minimal_gru,
        wrong={mistake: _minimal_wrong(mistake) for mistake in (*MINIMAL_MISTAKES, "with first")},
    ),
    "10.4": Exercise(
        check=check_repair,
        hint="Over one step everything is right, so look at what leads from one step to the next. By which step's gate does c_t enter c_{t+1}?",
        solution=repaired_backward,
        wrong={mistake: _backward(mistake) for mistake in BACKWARD_MISTAKES},
    ),
    "10.5": Exercise(
        check=check_scan,
        hint="Join items 0 and 1, 2 and 3, ...; scan that half-length list by the same function: it gives the prefixes that end at 1, 3, 5, .... Which prefixes are missing, and how far are they from one that you have?",
        solution=tree_scan,
        wrong={"chain": _chained, "Hillis and Steele": _hillis_steele, "order": _swapped, "total alone": _total, "exclusive": _exclusive},
    ),
}
