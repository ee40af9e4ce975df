"""Exercises of lesson 08: LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils.exercises import Exercise, Wrong
from course_utils.proofs import relative_error

Array = NDArray[Any]
Gradients = dict[str, Array]
NAMES = ("x", "h0", "c0", "W_x", "W_h", "b")


def sigmoid(a: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * a))


def lstm_cell(x: Array, h: Array, c: Array, W_x: Array, W_h: Array, b: Array) -> tuple[Array, Array, Any]:
    """The lesson's cell: the new h and c, and its cache."""
    i, f, g, o = np.split(x @ W_x + h @ W_h + b, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c_new = f * c + i * g
    return o * np.tanh(c_new), c_new, (x, h, c, i, f, g, o, c_new)


def network(seed: int, steps: int = 6) -> dict[str, Array]:
    """Parameters of a random LSTM by name, N = 3, D = 2, H = 4."""
    rng = np.random.default_rng(seed)
    shapes = {"x": (3, steps, 2), "h0": (3, 4), "c0": (3, 4), "W_x": (2, 16), "W_h": (4, 16), "b": (16,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def same(got: Any, true: Array) -> bool:
    return np.shape(got) == true.shape and relative_error(np.asarray(got), true) < 1e-8


# ---------------------------------------------------------------- 8.1 from memory to bias


def forget_bias(steps: float) -> float:
    kept = 0.5 ** (1 / steps)  # what one step leaves
    return float(np.log(kept / (1 - kept)))  # the sigmoid turned around


def check_bias(answer: Callable[..., Any]) -> str:
    for steps in (1, 7, 40.0, 300):
        got, right = float(answer(steps)), forget_bias(steps)
        if abs(got - right) < 1e-6 * max(1, abs(right)):
            continue
        kept = 0.5 ** (1 / steps)
        known = {
            "this is the gate, what one step leaves; the bias is the number whose sigmoid it is: ln(f / (1 - f))": kept,
            "the sign is turned: a large memory needs a *positive* bias, ln(f / (1 - f)) with f near 1": -right,
            "ln(steps) is only its behaviour for large numbers; solve sigmoid(b)^steps = 1/2 exactly": np.log(steps),
            "ln(steps / ln 2) is the rule of thumb for large biases; solve sigmoid(b)^steps = 1/2 exactly": np.log(steps / np.log(2)),
            "this is the half-life of a given bias, the other way round; given are the steps, wanted is the bias": np.log(0.5) / np.log(sigmoid(steps)),
            "this f loses a share 1/(2 steps) at each step; halves multiply, so f = (1/2)^(1/steps)": np.log(2 * steps - 1),
        }
        for sentence, value in known.items():
            if np.isfinite(value) and abs(got - value) < 1e-6 * max(1, abs(value)) and abs(value - right) > 1e-6:
                raise Wrong(sentence)
        left = float(sigmoid(got)) ** steps
        raise Wrong(f"for steps = {steps:g}: with your bias {got:.3g} the share {left:.3g} is left; it should be one half. First find f, then the number whose sigmoid is f")
    return "and 0 for one step, 4 for 38: each unit of bias multiplies the memory by about e."


# ---------------------------------------------------------------- 8.2 coupled gates


def coupled_backward(dh: Array, dc: Array, c: Array, f: Array, g: Array, o: Array, c_new: Array) -> tuple[Array, Array]:
    tanh_c = np.tanh(c_new)
    dc = dc + dh * o * (1 - tanh_c**2)
    df = dc * (c - g)  # two roads: f keeps the old, 1 - f writes the new
    da = np.concatenate([df * f * (1 - f), dc * (1 - f) * (1 - g**2), dh * tanh_c * o * (1 - o)], axis=1)  # (N, 3H)
    return da, dc * f


def _coupled_wrong(mistake: str) -> Callable[..., tuple[Array, Array]]:
    def answer(dh: Array, dc: Array, c: Array, f: Array, g: Array, o: Array, c_new: Array) -> tuple[Array, Array]:
        tanh_c = np.tanh(c_new)
        right = dc
        dc = (0 if mistake == "no right" else dc) + dh * o * (1 if mistake == "no slope" else 1 - tanh_c**2)
        df = dc * {"one road": c, "sign": c + g}.get(mistake, c - g)
        dg = dc * (f if mistake == "f for i" else 1 - f)
        squash = 1 - f if mistake == "no f slope" else f * (1 - f)
        parts = [df * squash, dg * (1 - g**2), dh * tanh_c * o * (1 - o)]
        if mistake == "order":
            parts = [parts[1], parts[0], parts[2]]
        return np.concatenate(parts, axis=1), (right if mistake == "right only" else dc) * f

    return answer


COUPLED = {
    "one road": "f stands in the equation twice: in f * c and in (1 - f) * g; its gradient needs both, dc * (c - g)",
    "sign": "the second road to f goes through 1 - f, so it comes with a minus: dc * (c - g)",
    "f for i": "the candidate is multiplied by 1 - f (the coupled input gate), and yours by f",
    "no right": "dc from the right is not added: c_new has two roads, to the next step and into h",
    "no slope": "the slope of tanh, 1 - tanh(c_new)², is missing where h = o * tanh(c_new) sends its gradient to c_new",
    "no f slope": "the sigmoid's slope is f * (1 - f); yours has one of the two factors for the block of f",
    "order": "the blocks of da are to stand in the order f, g, o; yours has g before f",
    "right only": "the old cell state gets the *whole* dc times f, both roads of c_new together; yours sends on the right one only",
}


def check_coupled(answer: Callable[..., Any]) -> str:
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        dh, dc, c, *sums = (rng.standard_normal((3, 4)) for _ in range(6))
        f, g, o = sigmoid(sums[0]), np.tanh(sums[1]), sigmoid(sums[2])
        given = (dh, dc, c, f, g, o, f * c + (1 - f) * g)
        got = answer(*(array.copy() for array in given))
        if not (isinstance(got, (tuple, list)) and len(got) == 2):
            raise Wrong("return two arrays: da of shape (N, 3H), and the gradient by the old cell state, (N, H)")
        if [np.shape(part) for part in got] != [(3, 12), (3, 4)]:
            raise Wrong(f"the shapes should be (N, 3H) = (3, 12) and (N, H) = (3, 4); yours are {np.shape(got[0])} and {np.shape(got[1])}")
        true = coupled_backward(*given)
        if all(same(ours, theirs) for ours, theirs in zip(got, true)):
            continue
        for mistake, sentence in COUPLED.items():
            if all(same(ours, theirs) for ours, theirs in zip(got, _coupled_wrong(mistake)(*given))):
                raise Wrong(sentence)
        names = ("da of f", "da of g", "da of o", "the old cell state's")
        parts = zip(names, [*np.split(np.asarray(got[0]), 3, axis=1), got[1]], [*np.split(true[0], 3, axis=1), true[1]])
        raise Wrong("wrong: " + ", ".join(name for name, ours, theirs in parts if not same(ours, theirs)) + ". Go through the moves of section 5, one factor at a time")
    return "a quarter of the weights is gone. What is kept and what is written now add up to one, as in the next lesson's GRU."


# ---------------------------------------------------------------- 8.3 stop at the end


def masked_lstm(x: Array, mask: Array, h0: Array, c0: Array, W_x: Array, W_h: Array, b: Array) -> tuple[Array, Array]:
    h, c = h0, c0
    for t in range(x.shape[1]):
        h_new, c_new, _ = lstm_cell(x[:, t], h, c, W_x, W_h, b)
        real = mask[:, t, None]  # (N, 1)
        h, c = np.where(real, h_new, h), np.where(real, c_new, c)
    return h, c


def _masked_wrong(mistake: str) -> Callable[..., tuple[Array, Array]]:
    def answer(x: Array, mask: Array, h0: Array, c0: Array, W_x: Array, W_h: Array, b: Array) -> tuple[Array, Array]:
        h, c = h0, c0
        for t in range(x.shape[1]):
            x_t = x[:, t] * mask[:, t, None] if mistake == "zero input" else x[:, t]
            h_new, c_new, _ = lstm_cell(x_t, h, c, W_x, W_h, b)
            real = mask[:, t, None]
            if mistake in ("runs on", "zero input"):
                h, c = h_new, c_new
            elif mistake == "zeros":
                h, c = h_new * real, c_new * real
            elif mistake == "turned":
                h, c = np.where(real, h, h_new), np.where(real, c, c_new)
            else:
                h = np.where(real, h_new, h)
                c = c_new if mistake == "h only" else np.where(real, c_new, c)
        return (c, h) if mistake == "swapped" else (h, c)

    return answer


MASKED = {
    "runs on": "the mask has no effect: both states run on over the padding; keep the old ones where mask[:, t] is False",
    "zero input": "zeros as input still change the states (the biases and W_h go on working); keep the old states instead",
    "zeros": "where the mask is False your states become 0; what a sequence remembered is lost: keep the old values",
    "turned": "the mask is read the wrong way round: True means real, so there the *new* states count",
    "h only": "h stops at the end, c runs on; both states belong to the cell's memory",
    "swapped": "return h first, then c",
}


def check_masked(answer: Callable[..., Any]) -> str:
    for seed in (3, 4):
        p = network(seed)
        lengths = np.array([6, 3, 1])
        mask = np.arange(6) < lengths[:, None]
        given = (p["x"], mask, p["h0"], p["c0"], p["W_x"], p["W_h"], p["b"])
        got = answer(*(array.copy() for array in given))
        if not (isinstance(got, (tuple, list)) and len(got) == 2):
            raise Wrong("return two arrays, the last h and the last c, each of shape (N, H)")
        if any(np.shape(part) != (3, 4) for part in got):
            raise Wrong(f"the last h and c have the shape (N, H) = (3, 4); yours have {np.shape(got[0])} and {np.shape(got[1])}")
        if all(same(ours, theirs) for ours, theirs in zip(got, masked_lstm(*given))):
            continue
        for mistake, sentence in MASKED.items():
            if all(same(ours, theirs) for ours, theirs in zip(got, _masked_wrong(mistake)(*given))):
                raise Wrong(sentence)
        rows = [n for n in range(3) if not all(same(ours[n], theirs[n]) for ours, theirs in zip(got, masked_lstm(*given)))]
        raise Wrong(f"wrong for the sequences {rows} of lengths {lengths.tolist()}: compare with running each alone over its real steps")
    return "the same states as pack_padded_sequence gives, and np.where is all that it takes."


# ---------------------------------------------------------------- 8.4 find the bug


def repaired_backward(dstates: Array, dlast: Any, cache: Any) -> Gradients:
    caches, W_x, W_h = cache
    (dh, dc), dx, total = dlast, [], {"W_x": 0, "W_h": 0, "b": 0}
    for t in reversed(range(len(caches))):
        x, h, c, i, f, g, o, c_new = caches[t]
        dh = dstates[:, t] + dh
        dc = dc + dh * o * (1 - np.tanh(c_new) ** 2)  # here: dc from the right was overwritten
        da = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * np.tanh(c_new) * o * (1 - o)], axis=1)
        dh, dc = da @ W_h.T, dc * f
        dx.append(da @ W_x.T)
        total = {"W_x": total["W_x"] + x.T @ da, "W_h": total["W_h"] + h.T @ da, "b": total["b"] + da.sum(axis=0)}
    return {**total, "x": np.stack(dx[::-1], axis=1), "h0": dh, "c0": dc}


def _backward_wrong(mistake: str) -> Callable[..., Gradients]:
    def answer(dstates: Array, dlast: Any, cache: Any) -> Gradients:
        caches, W_x, W_h = cache
        (dh, dc), dx = dlast, []
        total: dict[str, Any] = {"W_x": 0, "W_h": 0, "b": 0}
        for t in reversed(range(len(caches))):
            x, h, c, i, f, g, o, c_new = caches[t]
            dh = dstates[:, t] + dh
            through_h = dh * o * (1 - np.tanh(c_new) ** 2)
            dc = through_h if mistake == "unchanged" else dc + through_h
            if mistake == "early":
                dc = dc * f
            old = c_new if mistake == "new c" else c
            da = np.concatenate([dc * g * i * (1 - i), dc * old * f * (1 - f), dc * i * (1 - g**2), dh * np.tanh(c_new) * o * (1 - o)], axis=1)
            dh = da @ W_h.T
            dc = dc * {"early": 1, "no f": 1, "i for f": i}.get(mistake, f)
            dx.append(da @ W_x.T)
            total = {"W_x": total["W_x"] + x.T @ da, "W_h": total["W_h"] + h.T @ da, "b": total["b"] + da.sum(axis=0)}
        return {**total, "x": np.stack(dx[::-1], axis=1), "h0": dh, "c0": dc}

    return answer


BUGS = {
    "unchanged": "this is the doubtful version still: put a gradient on the last *cell* state alone, and see which inputs receive any of it",
    "early": "dc is multiplied by f before da is computed; the gates of *this* step need the whole dc, only the left neighbour gets dc * f",
    "no f": "the direct road to the left goes through the forget gate: dc * f; yours passes dc on unweakened",
    "i for f": "dc goes to the left through the forget gate; yours goes through the input gate. That line was right before",
    "new c": "the forget gate multiplies the *old* cell state, so da of f needs c; yours has c_new. That line was right before",
}


def check_repair(answer: Callable[..., Any]) -> str:
    for seed in (5, 6):
        p, rng = network(seed), np.random.default_rng(seed)
        h, c, caches = p["h0"], p["c0"], []
        for t in range(6):
            h, c, step = lstm_cell(p["x"][:, t], h, c, p["W_x"], p["W_h"], p["b"])
            caches.append(step)
        given: tuple[Any, Any, Any] = (rng.standard_normal((3, 6, 4)), (rng.standard_normal((3, 4)), rng.standard_normal((3, 4))), (caches, p["W_x"], p["W_h"]))
        got, true = answer(*given), repaired_backward(*given)
        if not isinstance(got, dict) or set(got) != set(NAMES):
            raise Wrong(f"return a dictionary with the keys {', '.join(NAMES)}, as the doubtful function does")
        wrong = [name for name in NAMES if not same(got[name], true[name])]
        if not wrong:
            continue
        for mistake, sentence in BUGS.items():
            mistaken = _backward_wrong(mistake)(*given)
            if all(same(got[name], mistaken[name]) for name in NAMES):
                raise Wrong(sentence)
        right = [name for name in NAMES if name not in wrong]
        raise Wrong(f"wrong: the gradients by {', '.join(wrong)}; right: {', '.join(right) or 'none'}. Set the lines beside section 5")
    return "one word, `dc +`. Without it the carousel is cut, and the LSTM learns like an RNN with more weights."


# ---------------------------------------------------------------- 8.5 be the training


def adder() -> tuple[Array, Array, Array, float]:
    scale = 0.02  # so small that tanh is straight: tanh(0.02) = 0.019997
    W_x = np.zeros((2, 4))  # rows: number, mark; columns: i, f, g, o
    W_x[1, 0] = 40  # the mark opens the input gate: sigmoid(-20) = 0 without, sigmoid(20) = 1 with it
    W_x[0, 2] = scale  # the number is what could be written
    b = np.array([-20.0, 20.0, 0.0, 20.0])  # shut unless marked; never forget; always show
    return W_x, np.zeros((1, 4)), b, 1 / scale


def _adder_with(i: tuple[float, float] = (40, -20), f: float = 20, o: float = 20, scale: float = 0.02, swap: bool = False) -> Callable[[], Any]:
    def answer() -> tuple[Array, Array, Array, float]:
        W_x = np.zeros((2, 4))
        W_x[1, 0], W_x[0, 2] = i[0], scale
        return (W_x[::-1] if swap else W_x), np.zeros((1, 4)), np.array([i[1], f, 0.0, o]), 1 / scale

    return answer


def check_adder(answer: Callable[..., Any]) -> str:
    got = answer()
    if not (isinstance(got, (tuple, list)) and len(got) == 4):
        raise Wrong("return four things: W_x (2, 4), W_h (1, 4), b (4) and the number w_y")
    W_x, W_h, b = (np.asarray(part, float) for part in got[:3])
    w_y = float(np.asarray(got[3]).reshape(()) if np.size(got[3]) == 1 else np.nan)
    if (W_x.shape, W_h.shape, b.shape) != ((2, 4), (1, 4), (4,)) or not np.isfinite(w_y):
        raise Wrong(f"expected the shapes (2, 4), (1, 4), (4,) and a number; got {W_x.shape}, {W_h.shape}, {b.shape} and {np.shape(got[3])}")
    from course_utils.datasets import adding_problem

    x, y = adding_problem(400, 200, np.random.default_rng(8))
    h = c = np.zeros((400, 1))
    gates: list[list[Array]] = []
    for t in range(200):
        h, c, (*_, i, f, g, o, _) = lstm_cell(x[:, t], h, c, W_x, W_h, b)
        gates.append([i, f, g, o])
    error = float(((h[:, 0] * w_y - y) ** 2).mean())
    if error < 1e-3:
        return f"mean squared error {error:.1e} over 200 steps, by four numbers that are not 0 or a bias. Nothing in it depends on the length."
    marked = x[:, :, 1].T[:, :, None] > 0
    i, f, g, o = (np.stack([step[k] for step in gates]) for k in range(4))
    told = f"the error is {error:.3g}, not below 0.001; "
    if i[marked].mean() < 0.9 or i[~marked].mean() > 1e-3:
        hears = "it does not hear the mark (the second row of W_x, first column)" if abs(i[marked].mean() - i[~marked].mean()) < 0.05 else "open it wider at the mark, shut it harder elsewhere"
        raise Wrong(told + f"the input gate is {i[marked].mean():.3f} at marked steps and {i[~marked].mean():.2g} at the others; it should be 1 and 0: {hears}")
    if f.mean() < 0.9999:
        raise Wrong(told + f"the forget gate is {f.mean():.4f}, and over 100 steps {f.mean() ** 100:.2g} of a number is left; give it a larger bias")
    if o[-1].mean() < 0.99:
        raise Wrong(told + f"the output gate shows only {o[-1].mean():.2f} of the cell at the last step; open it by its bias, or make up for it in w_y")
    if np.abs(g[marked]).max() > 0.3 or np.abs(c).max() > 0.3:
        raise Wrong(told + f"the candidate reaches {np.abs(g[marked]).max():.2f} and the cell {np.abs(c).max():.2f}, where tanh bends: make the numbers small, and w_y large")
    raise Wrong(told + "the gates are right; does the candidate carry the number (first row, third column), and is w_y one over its factor?")


EXERCISES = {
    "8.1": Exercise(
        check=check_bias,
        hint="After `steps` steps f to the power of `steps` is left. Which f makes that one half? Then which b has sigmoid(b) = f?",
        solution=forget_bias,
        wrong={
            "the gate": lambda steps: 0.5 ** (1 / steps),
            "sign": lambda steps: -forget_bias(steps) if steps != 1 else 0.0,
            "ln steps": lambda steps: float(np.log(steps)),
            "rule of thumb": lambda steps: float(np.log(steps / np.log(2))),
            "other way round": lambda steps: float(np.log(0.5) / np.log(sigmoid(steps))),
            "linear loss": lambda steps: float(np.log(2 * steps - 1)),
            "something else": lambda steps: 4.0,
        },
    ),
    "8.2": Exercise(
        check=check_coupled,
        hint="Section 5 with i replaced by 1 - f: which lines contain f? One of its roads comes with a minus.",
        solution=coupled_backward,
        wrong={mistake: _coupled_wrong(mistake) for mistake in COUPLED},
    ),
    "8.3": Exercise(
        check=check_masked,
        hint="Run `lstm_cell` for all sequences at each step, then choose, sequence by sequence, between the new states and the old: "
        "np.where(mask[:, t, None], new, old).",
        solution=masked_lstm,
        wrong={mistake: _masked_wrong(mistake) for mistake in MASKED},
    ),
    "8.4": Exercise(
        check=check_repair,
        hint="One step is right when the loss is on h, so look at what is handed from step to step. Two things come from the right: dh and dc. Are both used?",
        solution=repaired_backward,
        wrong={mistake: _backward_wrong(mistake) for mistake in BUGS},
    ),
    "8.5": Exercise(
        check=check_adder,
        hint="sigmoid(20) is 1 and sigmoid(-20) is 0 to eight digits. For small numbers tanh(a) is a. W_h can stay 0.",
        solution=adder,
        wrong={
            "always open": _adder_with(i=(0, 20)),
            "half open": _adder_with(i=(2, -1)),
            "forgets": _adder_with(f=3),
            "hardly shows": _adder_with(o=0),
            "bent": _adder_with(scale=1.0),
            "rows swapped": _adder_with(swap=True),
            "wrong read-out": lambda: (*adder()[:3], 1.0),
        },
    ),
}
