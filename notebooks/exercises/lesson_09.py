"""Exercises of lesson 09: the gated recurrent unit."""

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
    return np.asarray((np.tanh(a / 2) + 1) / 2)


def equal(given: Any, true: Any) -> bool:
    """Whether two arrays, or two dictionaries of arrays, agree to rounding."""
    if isinstance(true, dict):
        return isinstance(given, dict) and set(given) == set(true) and all(equal(given[name], true[name]) for name in true)
    return np.shape(given) == np.shape(true) and relative_error(np.asarray(given, float), true) < 1e-8


def expect_names(given: Any, true: dict[str, Array]) -> None:
    """Raise Wrong unless `given` is a dictionary of the names and shapes of `true`."""
    if not isinstance(given, dict) or set(given) != set(true):
        what = ", ".join(map(str, given)) if isinstance(given, dict) else f"a {type(given).__name__}"
        raise Wrong(f"a dictionary with exactly the keys {', '.join(true)} is expected; yours has: {what}")
    for name, array in true.items():
        if np.shape(given[name]) != array.shape:
            raise Wrong(f'"{name}" has shape {np.shape(given[name])}; expected {array.shape}')


def tell(given: Any, true: dict[str, Array], mistakes: dict[str, Any]) -> None:
    """Raise Wrong unless the arrays are right; `mistakes`: what each known mistake would give, by its sentence."""
    expect_names(given, true)
    if equal(given, true):
        return
    for sentence, wrong in mistakes.items():
        if equal(given, wrong):
            raise Wrong(sentence)
    bad = [name for name in true if not equal(given[name], true[name])]
    good = [name for name in true if name not in bad]
    raise Wrong(f"wrong: {', '.join(bad)}; right: {', '.join(good) or 'none'}. Go through the equations from the last to the first.")


def weights(seed: int, N: int = 3, T: int = 5, D: int = 2, H: int = 4) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {"x": (N, T, D), "h0": (N, H), "W_x": (D, 3 * H), "W_h": (H, 3 * H), "b": (3 * H,), "b_hn": (H,), "dstates": (N, T, H), "dlast": (N, H)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def forward(x: Array, h0: Array, W_x: Array, W_h: Array, b: Array, b_hn: Array) -> tuple[Array, list[tuple[Array, ...]]]:
    """States (N, T, H) with the reset after the product, and (h, r, z, n, u) of each step."""
    H, h = h0.shape[1], h0
    states: list[Array] = []
    steps: list[tuple[Array, ...]] = []
    for t in range(x.shape[1]):
        a, s = x[:, t] @ W_x + b, h @ W_h
        r, z = np.split(sigmoid(a[:, : 2 * H] + s[:, : 2 * H]), 2, axis=1)
        u = s[:, 2 * H :] + b_hn
        n = np.tanh(a[:, 2 * H :] + r * u)
        steps.append((h, r, z, n, u))
        h = (1 - z) * n + z * h
        states.append(h)
    return np.stack(states, axis=1), steps


# ---------------------------------------------------------------- 9.1 the same price


def same_price(D: int, H: int) -> int:
    price, width = 4 * (D + H + 2) * H, H  # the LSTM's price; a GRU of the same width is cheaper
    while 3 * (D + width + 1 + 2) * (width + 1) <= price:
        width += 1
    return width


def _same_price_with(biases: int, blocks: int = 3) -> Callable[[int, int], int]:
    def answer(D: int, H: int) -> int:
        return max(width for width in range(1, 4 * H + 9) if blocks * (D + width + biases) * width <= 4 * (D + H + biases) * H)

    return answer


def check_same_price(answer: Callable[..., Any]) -> str:
    for D, H in ((2, 32), (64, 64), (20, 8), (32, 64), (20, 100), (300, 10)):
        got, right = answer(D, H), same_price(D, H)
        if got == right and float(got).is_integer():
            continue
        here = f"D = {D}, LSTM width {H}"
        if isinstance(got, (float, np.floating)) and not float(got).is_integer():
            raise Wrong(f"a layer has a whole number of units; yours has {got:.2f} ({here})")
        if got == int(4 * H / 3):
            raise Wrong(f"4/3 of the width is too many: the recurrent weights grow with the square of the width ({here}: at most {right})")
        if got == right + 1:
            raise Wrong(f"one too many: {got} units cost {3 * (D + got + 2) * got}, the LSTM {4 * (D + H + 2) * H} ({here})")
        if got == H:
            raise Wrong(f"the same width is cheaper, not equally dear: three blocks in place of four. How far can it grow? ({here})")
        if got in (_same_price_with(0)(D, H), _same_price_with(1)(D, H)):
            raise Wrong(f"mind the biases: each block has two of them in the framework, so H numbers twice ({here})")
        raise Wrong(f"{here}: the widest GRU that is not dearer has {right} units, yours {got}; an LSTM learns 4 (D + H + 2) H numbers, a GRU 3 (D + H + 2) H")
    return "for the same price a GRU has more units: about 15 % more where most weights are recurrent, a third more where most come from the input."


# ---------------------------------------------------------------- 9.2 set the memory


def bias_for(steps: float) -> float:
    z = 0.5 ** (1 / steps)  # z ** steps = 1/2
    return float(np.log(z / (1 - z)))  # the sigmoid turned round


def check_bias(answer: Callable[..., Any]) -> str:
    for steps in (1, 5, 38, 200):
        got = np.asarray(answer(steps), float)
        if got.shape != ():
            raise Wrong(f"one number is expected for {steps} steps; yours has the shape {got.shape}")
        z = 0.5 ** (1 / steps)
        if np.isclose(got, bias_for(steps), rtol=1e-6, atol=1e-9):
            continue
        known = [
            (z, "this is the gate z, not its bias: turn the sigmoid round, b = ln(z / (1 - z))"),
            (-bias_for(steps), "the sign is that of the other reading, in which z near 1 takes the new; here z near 1 keeps the old"),
            (np.log(z), "this is ln z; the sigmoid turned round is ln(z / (1 - z))"),
            (np.log(max(steps - 1, 1e-300)), "this keeps 1 - 1/steps a step, which leaves about 37 % and not half; half is left when z ** steps = 1/2"),
            (np.log(0.5) / np.log(sigmoid(np.array(float(steps)))), "this is half_life of a bias of `steps`; the question goes the other way round"),
        ]
        for number, sentence in known:
            if np.isclose(got, number, rtol=1e-6, atol=1e-9) and steps != 1:
                raise Wrong(sentence)
        if steps > 1:
            left = float(sigmoid(got)) ** steps
            raise Wrong(f"with your bias {float(got):.3g}, the share {left:.3g} is left after {steps} steps; it should be 0.5")
    if not np.isclose(answer(1), 0, atol=1e-9):
        raise Wrong("half gone after one step means z = 1/2, so the bias is 0")
    return "200 steps need a bias near 6: memory grows like e to the bias."


# ---------------------------------------------------------------- 9.3 borrowed weights


def borrowed(W_x: Array, W_h: Array, b: Array) -> dict[str, Array]:
    H = len(W_h)

    def ours(W: Array) -> Array:
        z, r, n = np.split(W, 3, axis=-1)  # the order there
        return np.concatenate([r, -z, n], axis=-1)  # the order here; z keeps in place of taking

    return {"W_x": ours(W_x), "W_h": ours(W_h), "b": ours(b), "b_hn": np.zeros(H)}


def _borrowed_with(order: str = "rzn", flip: str = "z", only_bias: bool = False) -> Callable[..., dict[str, Array]]:
    def answer(W_x: Array, W_h: Array, b: Array) -> dict[str, Array]:
        def ours(W: Array) -> Array:
            parts = dict(zip("zrn", np.split(W, 3, axis=-1)))
            sign = {gate: -1 if gate in flip and (W.ndim == 1 or not only_bias) else 1 for gate in "zrn"}
            return np.concatenate([sign[gate] * parts[gate] for gate in order], axis=-1)

        return {"W_x": ours(W_x), "W_h": ours(W_h), "b": ours(b), "b_hn": np.zeros(len(W_h))}

    return answer


BORROWED_MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "as they are": ({"order": "zrn", "flip": ""}, "these are the weights as they came: our blocks stand in the order r, z, n, and z keeps the old"),
    "no flip": ({"flip": ""}, "the order is right; but there z takes the new and here it keeps the old: turn the sign of everything that leads to z"),
    "no reorder": ({"order": "zrn"}, "the sign is right; but the blocks still stand as z, r, n: here the order is r, z, n"),
    "wrong gate": ({"flip": "r"}, "the sign of r is turned; r is the valve and means the same in both; it is z that is read the other way round"),
    "all gates": ({"flip": "rzn"}, "all three blocks have their signs turned; only z is read the other way round"),
    "bias only": ({"only_bias": True}, "only the bias of z has its sign turned; z becomes 1 - z when the whole sum turns: W_x, W_h and b"),
}  # fmt: skip


def check_borrowed(answer: Callable[..., Any]) -> str:
    for seed in (1, 2):
        p = weights(seed)
        theirs = (p["W_x"], p["W_h"], p["b"])
        got, right = answer(*(array.copy() for array in theirs)), borrowed(*theirs)
        expect_names(got, right)
        if np.abs(np.asarray(got["b_hn"])).max() > 0:
            raise Wrong("the library has no bias behind the valve, so b_hn is zeros (H,); its whole bias stands in b")
        tell(got, right, {sentence: _borrowed_with(**how)(*theirs) for how, sentence in BORROWED_MISTAKES.values()})
    return "the same states from borrowed weights. Had that library's reset acted before the product, no rearranging could help."


# ---------------------------------------------------------------- 9.4 find the bug


def backward_with(mistake: str = "") -> Callable[..., Gradients]:
    """The backward pass with the reset after the product, with one known mistake or none."""

    def answer(dstates: Array, dlast: Array, x: Array, steps: list[tuple[Array, ...]], W_x: Array, W_h: Array) -> Gradients:
        d: Gradients = {"x": np.empty_like(x), "W_x": np.zeros_like(W_x), "W_h": np.zeros_like(W_h)}
        d |= {"b": np.zeros_like(W_h[0]), "b_hn": np.zeros_like(dlast[0])}
        carried = np.zeros_like(dlast) if mistake == "no dlast" else dlast
        for t in reversed(range(x.shape[1])):
            h, r, z, n, u = steps[t]
            dh = dstates[:, t] + carried
            da_n = dh * (1 - z) * (1 - n**2)
            gates = np.hstack([da_n * u * r * (1 - r), dh * (h - n) * z * (1 - z)])
            da, ds = np.hstack([gates, da_n]), np.hstack([gates, da_n * r])
            x_side = ds if mistake == "valve on both" else da
            d["x"][:, t] = x_side @ W_x.T
            d["W_x"] += x[:, t].T @ x_side
            d["W_h"] += h.T @ (da if mistake in ("unchanged", "weights still wrong") else ds)
            d["b"] += x_side.sum(axis=0)
            d["b_hn"] += (da_n if mistake == "b_hn without valve" else da_n * r).sum(axis=0)
            straight = 0 if mistake == "no straight road" else dh * z
            carried = straight + (da if mistake in ("unchanged", "message still wrong") else ds) @ W_h.T
        return {**d, "h0": carried}

    return answer


REPAIR_MISTAKES = {
    "unchanged": "this is still the doubtful version: try two steps, or a state that is not 0, and ask which of the two products lies behind the valve",
    "weights still wrong": "the message is right now, but dW_h still takes da^n: h W_h^n lies behind the valve, so its gradient is du = da^n * r",
    "message still wrong": "dW_h is right now, but the message to the left still goes out with da^n; it too passes the valve: du = da^n * r",
    "valve on both": "now x and b are multiplied by the valve as well; x W_x^n + b^n enter the tanh directly, so they get da^n without r",
    "b_hn without valve": "the gradient by b_hn was right before: b_hn lies behind the valve, so it gets da^n * r",
    "no straight road": "the straight road dh * z is missing in the message; it was right before, and it is what carries the gradient far",
    "no dlast": "dlast is not used: it is the message that arrives at the last step from the right",
}


def repaired_backward(dstates: Array, dlast: Array, x: Array, steps: list[tuple[Array, ...]], W_x: Array, W_h: Array) -> Gradients:
    d: dict[str, Any] = {"x": np.empty_like(x), "W_x": 0.0, "W_h": 0.0, "b": 0.0, "b_hn": 0.0}
    carried = dlast
    for t in range(x.shape[1] - 1, -1, -1):
        h, r, z, n, u = steps[t]
        dh = dstates[:, t] + carried
        da_n = dh * (1 - z) * (1 - n**2)
        da = np.hstack([da_n * u * r * (1 - r), dh * (h - n) * z * (1 - z), da_n])
        ds = np.hstack([da[:, : 2 * h.shape[1]], da_n * r])  # here: what lies behind the valve gets da_n * r
        d["x"][:, t] = da @ W_x.T
        d["W_x"], d["W_h"] = d["W_x"] + x[:, t].T @ da, d["W_h"] + h.T @ ds
        d["b"], d["b_hn"] = d["b"] + da.sum(axis=0), d["b_hn"] + (da_n * r).sum(axis=0)
        carried = dh * z + ds @ W_h.T
    return {**d, "h0": carried}


def check_repair(answer: Callable[..., Any]) -> str:
    for seed in (3, 4):
        p = weights(seed)
        _, steps = forward(*(p[name] for name in ("x", "h0", "W_x", "W_h", "b", "b_hn")))
        given = (p["dstates"], p["dlast"], p["x"], steps, p["W_x"], p["W_h"])
        mistakes = {sentence: backward_with(mistake)(*given) for mistake, sentence in REPAIR_MISTAKES.items()}
        tell(answer(*given), backward_with()(*given), mistakes)
    return "what lies behind the valve gets its gradient through the valve. A state of 0 hid it, for then dW_h is 0 either way."


# ---------------------------------------------------------------- 9.5 the other placement


def before(x: Array, h0: Array, W_x: Array, W_h: Array, b: Array, dstates: Array) -> tuple[Array, Gradients]:
    H, h, states, steps = h0.shape[1], h0, [], []
    for t in range(x.shape[1]):
        a = x[:, t] @ W_x + b
        r, z = np.split(sigmoid(a[:, : 2 * H] + h @ W_h[:, : 2 * H]), 2, axis=1)
        n = np.tanh(a[:, 2 * H :] + (r * h) @ W_h[:, 2 * H :])
        steps.append((h, r, z, n))
        h = (1 - z) * n + z * h
        states.append(h)
    d = {"x": np.empty_like(x), "W_x": np.zeros_like(W_x), "W_h": np.zeros_like(W_h), "b": np.zeros_like(b)}
    message = np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        h, r, z, n = steps[t]
        dh = dstates[:, t] + message
        da_n = dh * (1 - z) * (1 - n**2)
        dv = da_n @ W_h[:, 2 * H :].T  # v = r * h, what the product reads
        gates = np.hstack([dv * h * r * (1 - r), dh * (h - n) * z * (1 - z)])
        da = np.hstack([gates, da_n])
        d["x"][:, t] = da @ W_x.T
        d["W_x"] += x[:, t].T @ da
        d["W_h"] += np.hstack([h.T @ gates, (r * h).T @ da_n])
        d["b"] += da.sum(axis=0)
        message = dh * z + dv * r + gates @ W_h[:, : 2 * H].T  # the mix, the valve, the two gates
    return np.stack(states, axis=1), {**d, "h0": message}


def before_with(mistake: str) -> Callable[..., tuple[Array, Gradients]]:
    def answer(x: Array, h0: Array, W_x: Array, W_h: Array, b: Array, dstates: Array) -> tuple[Array, Gradients]:
        states, true = before(x, h0, W_x, W_h, b, dstates)
        H = h0.shape[1]
        if mistake == "after":
            states, steps = forward(x, h0, W_x, W_h, b, np.zeros(H))
            full = backward_with()(dstates, np.zeros_like(h0), x, steps, W_x, W_h)
            return states, {name: full[name] for name in true}
        if mistake == "no states":
            return true["h0"], true
        every = np.concatenate([h0[:, None], states[:, :-1]], axis=1)
        d: Gradients = {"x": np.empty_like(x), "W_x": np.zeros_like(W_x), "W_h": np.zeros_like(W_h), "b": np.zeros_like(b)}
        message = np.zeros_like(h0)
        for t in reversed(range(x.shape[1])):
            h = every[:, t]
            a = x[:, t] @ W_x + b
            r, z = np.split(sigmoid(a[:, : 2 * H] + h @ W_h[:, : 2 * H]), 2, axis=1)
            n = np.tanh(a[:, 2 * H :] + (r * h) @ W_h[:, 2 * H :])
            dh = dstates[:, t] + message
            da_n = dh * (1 - z) * (1 - n**2)
            dv = da_n @ W_h[:, 2 * H :].T
            gates = np.hstack([dv * h * r * (1 - r), dh * (h - n) * z * (1 - z)])
            da = np.hstack([gates, da_n])
            d["x"][:, t] = da @ W_x.T
            d["W_x"] += x[:, t].T @ da
            d["W_h"] += np.hstack([h.T @ gates, (h if mistake == "no valve in W_h" else r * h).T @ da_n])
            d["b"] += da.sum(axis=0)
            through = {"no valve in message": dv, "road lost": 0}.get(mistake, dv * r)
            message = (0 if mistake == "no straight road" else dh * z) + through
            message = message + (0 if mistake == "gates lost" else gates @ W_h[:, : 2 * H].T)
        return states, {**d, "h0": message}

    return answer


BEFORE_MISTAKES = {
    "after": "this is the GRU with the reset after the product; here r multiplies the old state first: (r * h) @ W_h[:, 2 * H:]",
    "no valve in W_h": "the third block of dW_h takes h; its product reads r * h, so it is (r * h).T @ da_n",
    "no valve in message": "the road through r * h to h is multiplied by r on the way back, too: (da_n @ W.T) * r",
    "road lost": "a road is missing: h reaches the candidate through r * h, so the message has the summand (da_n @ W.T) * r",
    "gates lost": "a road is missing: h reaches both gates by their recurrent weights; add gates @ W_h[:, :2 * H].T",
    "no straight road": "a road is missing: the mix itself, z * h, so the message has the summand dh * z",
}


def check_before(answer: Callable[..., Any]) -> str:
    for seed in (5, 6):
        p = weights(seed)
        given = tuple(p[name] for name in ("x", "h0", "W_x", "W_h", "b", "dstates"))
        got = answer(*(array.copy() for array in given))
        if not isinstance(got, tuple) or len(got) != 2:
            raise Wrong("return two things: the states (N, T, H), and the dictionary of gradients")
        states, true = before(*given)
        if np.shape(got[0]) != states.shape:
            raise Wrong(f"the states of all steps have the shape {states.shape}; yours {np.shape(got[0])}")
        if not equal(got[0], states):
            if equal(got[0], before_with("after")(*given)[0]):
                raise Wrong(BEFORE_MISTAKES["after"])
            raise Wrong("the states are not right yet: compare one step with gru_step_before, then hand each new state to the next step")
        tell(got[1], true, {sentence: before_with(mistake)(*given)[1] for mistake, sentence in BEFORE_MISTAKES.items() if mistake != "after"})
    return "the published unit of 2014, forward and backward; no framework layer to compare with, so finite differences are the proof."


EXERCISES = {
    "9.1": Exercise(
        check=check_same_price,
        hint="An LSTM learns 4 (D + H + 2) H numbers, a GRU of width G 3 (D + G + 2) G. Let G grow while it is not dearer.",
        solution=same_price,
        wrong={
            "four thirds": lambda D, H: int(4 * H / 3),
            "one too many": lambda D, H: same_price(D, H) + 1,
            "same width": lambda D, H: H,
            "no biases": _same_price_with(0),
            "one bias": _same_price_with(1),
            "not whole": lambda D, H: H * (4 / 3) ** 0.5,
        },
    ),
    "9.2": Exercise(
        check=check_bias,
        hint="First the gate: z to the power `steps` is 1/2. Then the bias: solve z = 1 / (1 + exp(-b)) for b.",
        solution=bias_for,
        wrong={
            "the gate": lambda steps: 0.5 ** (1 / steps),
            "other reading": lambda steps: -bias_for(steps),
            "only ln z": lambda steps: np.log(0.5) / steps,
            "1 - 1/steps": lambda steps: np.log(max(steps - 1, 1e-300)),
            "forwards": lambda steps: np.log(0.5) / np.log(sigmoid(np.array(float(steps)))),
            "a constant": lambda steps: 4.0,
        },
    ),
    "9.3": Exercise(
        check=check_borrowed,
        hint="np.split(W, 3, axis=-1) gives the three blocks in their order, for a bias too. flip_update shows what turns one reading of z into the other.",
        solution=borrowed,
        wrong={
            **{name: _borrowed_with(**how) for name, (how, _) in BORROWED_MISTAKES.items()},
            "bias twice": lambda W_x, W_h, b: {**borrowed(W_x, W_h, b), "b_hn": b[-len(W_h):]},
        },
    ),
    "9.4": Exercise(
        check=check_repair,
        hint="In a^n = x W_x^n + b^n + r * (h W_h^n + b_h^n) two summands stand before the valve and one behind it. Which gradient does each one get?",
        solution=repaired_backward,
        wrong={mistake: backward_with(mistake) for mistake in REPAIR_MISTAKES},
    ),
    "9.5": Exercise(
        check=check_before,
        hint="Name the product's input v = r * h. Then dv = da_n @ (third block).T, and v hands on to both factors: dr = dv * h, and dv * r goes to h. "
        "h has four roads in all: the mix, v, and the two gates.",
        solution=before,
        wrong={mistake: before_with(mistake) for mistake in (*BEFORE_MISTAKES, "no states")},
    ),
}  # fmt: skip
