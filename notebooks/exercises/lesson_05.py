"""Exercises of lesson 05: backpropagation through time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils.exercises import Exercise, Wrong
from course_utils.proofs import relative_error

Array = NDArray[Any]
Gradients = dict[str, Array]
NAMES = ("x", "h0", "W_x", "W_h", "b")


# ---------------------------------------------------------------- a random network, and the truth about it


def network(seed: int, activation: str = "tanh", steps: int = 6) -> tuple[dict[str, Array], Array, Array, Array, Gradients]:
    """Parameters by name, states (N, T, H), dstates (N, T, H), dlast (N, H), and the gradients by autograd."""
    import torch

    rng = np.random.default_rng(seed)
    N, D, H = 3, 2, 5
    shapes = {"x": (N, steps, D), "h0": (N, H), "W_x": (D, H), "W_h": (H, H), "b": (H,)}
    parameters = {name: rng.standard_normal(shape) * (0.6 if name == "W_h" else 1) for name, shape in shapes.items()}
    dstates, dlast = rng.standard_normal((N, steps, H)), rng.standard_normal((N, H))
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in parameters.items()}
    h, states = tensors["h0"], []
    for t in range(steps):
        a = tensors["x"][:, t] @ tensors["W_x"] + h @ tensors["W_h"] + tensors["b"]
        h = torch.tanh(a) if activation == "tanh" else torch.relu(a)
        states.append(h)
    together = torch.stack(states, dim=1)
    loss = (torch.from_numpy(dstates) * together).sum() + (torch.from_numpy(dlast) * h).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: np.asarray(tensor.grad) for name, tensor in tensors.items()}
    return parameters, together.detach().numpy(), dstates, dlast, gradients


def by_hand(
    dstates: Array, dlast: Array, x: Array, h0: Array, states: Array, W_x: Array, W_h: Array, slopes: Array,
    *, message: str = "right", before: bool = True, share: bool = True,
) -> Gradients:  # fmt: skip
    """A backward pass with given slopes (N, T, H) that can be told to make a typical mistake."""
    previous = np.concatenate([h0[:, None], states[:, :-1]], axis=1) if before else states
    d: Gradients = {"x": np.zeros_like(x), "W_x": np.zeros_like(W_x), "W_h": np.zeros_like(W_h), "b": np.zeros_like(W_h[0])}
    right = dlast if message != "no dlast" else np.zeros_like(dlast)
    for t in reversed(range(x.shape[1])):
        dh = dstates[:, t] + (right if message != "none" or t == x.shape[1] - 1 else 0)
        da = dh * slopes[:, t]
        d["W_x"] = x[:, t].T @ da + (d["W_x"] if share else 0)
        d["W_h"] = previous[:, t].T @ da + (d["W_h"] if share else 0)
        d["b"] = da.sum(axis=0) + (d["b"] if share else 0)
        d["x"][:, t] = da @ W_x.T
        right = da @ (W_h if message == "untransposed" else W_h.T)
    return {**d, "h0": right}


def compare_gradients(answer: Any, true: Gradients, mistakes: dict[str, Gradients]) -> None:
    """Raise Wrong unless the gradients are right; `mistakes`: what each known mistake would give, by its sentence."""
    if not isinstance(answer, dict):
        raise Wrong(f"return a dictionary with the keys {', '.join(NAMES)}; this is a {type(answer).__name__}")
    if set(answer) != set(NAMES):
        raise Wrong(f"the dictionary must have exactly the keys {', '.join(NAMES)}; yours has {', '.join(map(str, answer)) or 'none'}")
    for name in NAMES:
        if np.shape(answer[name]) != true[name].shape:
            raise Wrong(f"the gradient by {name} has shape {np.shape(answer[name])}; a gradient has its parameter's shape, {true[name].shape}")
    wrong = [name for name in NAMES if not relative_error(np.asarray(answer[name]), true[name]) < 1e-8]
    if not wrong:
        return
    for sentence, gradients in mistakes.items():
        if all(relative_error(np.asarray(answer[name]), gradients[name]) < 1e-8 for name in NAMES):
            raise Wrong(sentence)
    right = [name for name in NAMES if name not in wrong]
    raise Wrong(f"wrong: the gradients by {', '.join(wrong)}; right: {', '.join(right) or 'none'}. Set the lines beside the table of formulas.")


FORGETS_RIGHT = (
    "the message from the right is missing before the last step: dh is the gradient from above plus da of the next step times "
    "W_h transposed; without it nothing is learnt over more than one step"
)
UNTRANSPOSED = (
    "the message goes through W_h, not through its transpose: unit i of h reaches unit j of the next sum by W_h[i, j], "
    "so on the way back the sum runs over j, which is da @ W_h.T; both have the same shape, so NumPy does not complain"
)
SAME_STEP = "dW_h uses the state of the same step; W_h multiplies the state before it, h_{t-1}, and h0 at the first step"
NO_DLAST = "dlast is not used: it is the message that arrives at the last step from the right"
LAST_ONLY = "the weights' gradients are overwritten at each step; the weights are shared, so the steps are summed: use +="


# ---------------------------------------------------------------- 5.1 memory


def bytes_kept(N: int, T: int, D: int, H: int, k: int, bytes_each: int = 4) -> int:
    steps = min(k, T)  # the longest segment
    return bytes_each * N * (steps * (D + H) + H)


def check_bytes(answer: Callable[..., Any]) -> str:
    for sizes in ((32, 1000, 20, 64, 50, 4), (7, 30, 3, 11, 12, 8), (2, 5, 3, 4, 9, 4)):
        N, T, D, H, k, each = sizes
        got, right = answer(N, T, D, H, k, each), bytes_kept(*sizes)
        if got == right:
            continue
        steps = min(k, T)
        if k > T and got == each * N * (k * (D + H) + H):
            raise Wrong(f"with k = {k} and T = {T} a segment has only {T} steps, for a sequence has no more: take the smaller of the two")
        known = {
            N * (steps * (D + H) + H): "these are numbers, not bytes: multiply by bytes_each",
            each * (steps * (D + H) + H): "this is for one sequence; a batch has N of them",
            each * N * (T * (D + H) + H): "this grows with T, as full BPTT does; only the segment's k steps are kept at a time",
            each * N * steps * (D + H): "the state from which the segment starts is kept too (N H numbers): dW_h needs it at the segment's first step",
            each * N * (steps + 1) * H: "the inputs are missing: dW_x needs x_t of each step, D numbers for each sequence",
            each * N * (steps + 1) * (D + H): "one input too many: the start of the segment brings a state (H numbers), but no input",
        }
        sentence = known.get(got, "count per sequence: D for each input, H for each state, H for the state before the first")
        raise Wrong(f"{sentence} (N={N}, T={T}, D={D}, H={H}, k={k}, {each} bytes each)")
    return "the cache depends on the segment, not on the sequence: a book of any length fits."


# ---------------------------------------------------------------- 5.2 ReLU


def relu_backward(dstates: Array, dlast: Array, x: Array, h0: Array, states: Array, W_x: Array, W_h: Array) -> Gradients:
    before = np.concatenate([h0[:, None], states[:, :-1]], axis=1)  # (N, T, H)
    d = {"x": np.empty_like(x), "W_x": np.zeros_like(W_x), "W_h": np.zeros_like(W_h), "b": np.zeros(W_h.shape[0])}
    message = dlast
    for t in reversed(range(x.shape[1])):
        da = (dstates[:, t] + message) * (states[:, t] > 0)  # the only line that changes: the slope is 1 or 0
        d["W_x"] += x[:, t].T @ da
        d["W_h"] += before[:, t].T @ da
        d["b"] += da.sum(axis=0)
        d["x"][:, t] = da @ W_x.T
        message = da @ W_h.T
    return {**d, "h0": message}


def check_relu(answer: Callable[..., Any]) -> str:
    for seed in (1, 2, 3):
        p, states, dstates, dlast, true = network(seed, "ReLU")
        given = (dstates, dlast, p["x"], p["h0"], states, p["W_x"], p["W_h"])
        got = answer(*(array.copy() for array in given))
        slopes = (states > 0) * 1.0
        compare_gradients(got, true, {
            "this slope is tanh's, 1 - h²; ReLU's slope is 1 where the state is above 0, and 0 elsewhere": by_hand(*given, 1 - states**2),
            "the slope is missing: where the state is 0, ReLU has shut and lets no gradient through (h >= 0 holds everywhere, use h > 0)":
                by_hand(*given, np.ones_like(states)),
            "da is multiplied by the state itself; ReLU's slope is 1 where the state is above 0, however large the state is":
                by_hand(*given, states),
            FORGETS_RIGHT: by_hand(*given, slopes, message="none"),
            UNTRANSPOSED: by_hand(*given, slopes, message="untransposed"),
            SAME_STEP: by_hand(*given, slopes, before=False),
            NO_DLAST: by_hand(*given, slopes, message="no dlast"),
            LAST_ONLY: by_hand(*given, slopes, share=False),
        })  # fmt: skip
    return "all five gradients equal autograd's. One line changed: the slope; where it is 1 the gradient passes unweakened."


# ---------------------------------------------------------------- 5.3 clip rows


def clip_rows(message: Array, limit: float) -> Array:
    norms = np.linalg.norm(message, axis=1, keepdims=True)  # (N, 1)
    return message * np.minimum(1, limit / np.maximum(norms, 1e-300))


def check_clip(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(5)
    for limit in (1.0, 0.3):
        message = rng.standard_normal((6, 4)) * np.array([[10.0], [0.01], [3.0], [0.1], [1.0], [0.0]])
        given = message.copy()
        with np.errstate(all="ignore"):
            try:
                got = np.asarray(answer(given, limit))
            except ValueError as error:
                if "broadcast" not in str(error):
                    raise
                raise Wrong("the norms of the rows have the shape (N,) and do not fit beside (N, H); with keepdims=True they are (N, 1)") from error
            norms = np.linalg.norm(message, axis=1, keepdims=True)
            mistakes = {
                "this clips each number by itself, which turns the direction of a row; scale a whole row by one factor": np.clip(message, -limit, limit),
                "this takes one norm for the whole batch, so one wild sequence shrinks the messages of all others; take a norm for each row (axis=1)":
                    message * min(1, limit / np.linalg.norm(message)),
                "rows below the limit are blown up to it; a factor is never above 1: min(1, limit / norm)": message / norms * limit,
                "this takes a norm for each unit over the batch (axis=0); a sequence is a row, so axis=1":
                    message * np.minimum(1, limit / np.linalg.norm(message, axis=0)),
                "this divides by the squared norm; a norm is the square root of the sum of squares": message * np.minimum(1, limit / norms**2),
            }  # fmt: skip
        if got.shape != message.shape:
            raise Wrong(f"the clipped message must keep the shape {message.shape}; yours has {got.shape}")
        if np.isnan(got[-1]).any() and not np.allclose(got[:5], mistakes[[*mistakes][2]][:5]):
            raise Wrong("a row of zeros became NaN: its norm is 0, so guard the division; zeros stay zeros")
        if np.allclose(got, clip_rows(message, limit), rtol=1e-4, atol=1e-12):
            continue
        for sentence, wrong in mistakes.items():
            if np.allclose(got[:5], wrong[:5], rtol=1e-4):
                raise Wrong(sentence)
        row = int(np.argmax(np.abs(got - clip_rows(message, limit)).max(axis=1)))
        raise Wrong(f"row {row} of norm {float(norms[row, 0]):.3g} has norm {float(np.linalg.norm(got[row])):.3g} after clipping at {limit}; "
                    f"it should have {min(float(norms[row, 0]), limit):.3g}, in the same direction")  # fmt: skip
    return "each sequence keeps its direction, and none pays for another's explosion."


# ---------------------------------------------------------------- 5.4 find the bug


def repaired_backward(dstates: Array, dlast: Array, x: Array, h0: Array, states: Array, W_x: Array, W_h: Array) -> Gradients:
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


def check_repair(answer: Callable[..., Any]) -> str:
    for seed in (4, 5, 6):
        p, states, dstates, dlast, true = network(seed, steps=6)
        given = (dstates, dlast, p["x"], p["h0"], states, p["W_x"], p["W_h"])
        got, slopes = answer(*(array.copy() for array in given)), 1 - states**2
        compare_gradients(got, true, {
            "this is the doubtful version still: try it on two steps with numbers of your own, and compare the gradient by h0 with finite differences":
                by_hand(*given, slopes, message="untransposed"),
            FORGETS_RIGHT: by_hand(*given, slopes, message="none"),
            SAME_STEP + "; that line was right before": by_hand(*given, slopes, before=False),
            "the slope of tanh is 1 - h², and that line was right before; yours is 1 - h": by_hand(*given, 1 - states),
            NO_DLAST: by_hand(*given, slopes, message="no dlast"),
            LAST_ONLY: by_hand(*given, slopes, share=False),
        })  # fmt: skip
    return "W_h was not transposed on the way back. Square matrices never complain: only a gradient check finds this."


# ---------------------------------------------------------------- 5.5 real-time recurrent learning


def forward_gradient(x: Array, h0: Array, W_x: Array, W_h: Array, b: Array, dstates: Array) -> Array:
    N, H = h0.shape
    h, P, dW_h = h0, np.zeros((N, H, H, H)), np.zeros((H, H))  # P[n, m, i, j]: of h[n, m] by W_h[i, j]
    for t in range(x.shape[1]):
        through_state = np.einsum("npij,pm->nmij", P, W_h)
        directly = np.einsum("ni,mj->nmij", h, np.eye(H))  # W_h[i, j] brings h_i to unit j
        h = np.tanh(x[:, t] @ W_x + h @ W_h + b)
        P = (1 - h**2)[:, :, None, None] * (through_state + directly)
        dW_h += np.einsum("nm,nmij->ij", dstates[:, t], P)
    return dW_h  # time H**4 and memory H**3 a step and sequence, beside H**2 and T H for BPTT


def _forward_gradient_wrong(mistake: str) -> Callable[..., Array]:
    def answer(x: Array, h0: Array, W_x: Array, W_h: Array, b: Array, dstates: Array) -> Array:
        N, H = h0.shape
        h, P, dW_h = h0, np.zeros((N, H, H, H)), np.zeros((H, H))
        for t in range(x.shape[1]):
            through_state = np.einsum("npij,pm->nmij" if mistake != "untransposed" else "npij,mp->nmij", P, W_h)
            new = np.tanh(x[:, t] @ W_x + h @ W_h + b)
            directly = np.einsum("ni,mj->nmij", new if mistake == "new state" else h, np.eye(H))
            slope = 1.0 if mistake == "no slope" else (1 - new**2)[:, :, None, None]
            P = slope * (directly if mistake == "no past" else through_state + directly)
            dW_h = np.einsum("nm,nmij->ij", dstates[:, t], P) + (0 if mistake == "last step" else dW_h)
            h = new
        return dW_h.T if mistake == "transposed" else dW_h

    return answer


FORWARD_MISTAKES = {
    "no past": "P_t has two summands: the direct one (h_{t-1} at this step) and the old P_{t-1} sent through W_h; the second is missing",
    "untransposed": "P_{t-1} goes *forward*, from unit p to unit m, by W_h[p, m]; yours goes by W_h[m, p], which is the way back",
    "new state": "the direct part of P_t has the state *before* the step, h_{t-1}; yours has h_t",
    "no slope": "the slope of tanh, 1 - h_t², is missing: it multiplies the whole of P_t, by unit m",
    "last step": "only the last step's loss is counted; add dstates[:, t] times P_t at every step",
    "transposed": "this is the gradient transposed: entry [i, j] belongs to W_h[i, j], from unit i to unit j",
}


def check_forward(answer: Callable[..., Any]) -> str:
    for seed in (7, 8):
        p, _, dstates, dlast, _ = network(seed, steps=6)
        given = (p["x"], p["h0"], p["W_x"], p["W_h"], p["b"], dstates)
        got = np.asarray(answer(*(array.copy() for array in given)))
        true = forward_gradient(*given)
        if got.shape != true.shape:
            raise Wrong(f"return the gradient by W_h, of shape {true.shape}; yours has shape {got.shape}")
        if relative_error(got, true) < 1e-8:
            continue
        for mistake, sentence in FORWARD_MISTAKES.items():
            if relative_error(got, _forward_gradient_wrong(mistake)(*given)) < 1e-8:
                raise Wrong(sentence)
        raise Wrong(f"relative error {relative_error(got, true):.2g}: derive dh_t/dW_h by the product rule, first for one step (T = 1), then for two")
    return "the same gradient with no way back. The price: H³ numbers kept and H⁴ products a step, where BPTT needs H²."


def _tanh_slope(dstates: Array, dlast: Array, x: Array, h0: Array, states: Array, W_x: Array, W_h: Array) -> Gradients:
    return by_hand(dstates, dlast, x, h0, states, W_x, W_h, 1 - states**2)


def _relu_with(**mistake: Any) -> Callable[..., Gradients]:
    return lambda dstates, dlast, x, h0, states, W_x, W_h: by_hand(dstates, dlast, x, h0, states, W_x, W_h, (states > 0) * 1.0, **mistake)


def _tanh_with(**mistake: Any) -> Callable[..., Gradients]:
    return lambda dstates, dlast, x, h0, states, W_x, W_h: by_hand(dstates, dlast, x, h0, states, W_x, W_h, 1 - states**2, **mistake)


EXERCISES = {
    "5.1": Exercise(
        check=check_bytes,
        hint="For one sequence: D numbers for each input, H for each state, and H for the state before the first. How many steps has the longest segment?",
        solution=bytes_kept,
        wrong={
            "full length": lambda N, T, D, H, k, bytes_each=4: bytes_each * N * (T * (D + H) + H),
            "no first state": lambda N, T, D, H, k, bytes_each=4: bytes_each * N * min(k, T) * (D + H),
            "no inputs": lambda N, T, D, H, k, bytes_each=4: bytes_each * N * (min(k, T) + 1) * H,
            "numbers, not bytes": lambda N, T, D, H, k, bytes_each=4: N * (min(k, T) * (D + H) + H),
            "k above T": lambda N, T, D, H, k, bytes_each=4: bytes_each * N * (k * (D + H) + H),
            "one sequence": lambda N, T, D, H, k, bytes_each=4: bytes_each * (min(k, T) * (D + H) + H),
        },
    ),
    "5.2": Exercise(
        check=check_relu,
        hint="Only da_t = dh_t times the slope changes. ReLU's slope can be read off the state itself: where is it above 0?",
        solution=relu_backward,
        wrong={
            "tanh's slope": _tanh_slope,
            "slope 1 everywhere": lambda dstates, dlast, x, h0, states, W_x, W_h: by_hand(dstates, dlast, x, h0, states, W_x, W_h, np.ones_like(states)),
            "the state as slope": lambda dstates, dlast, x, h0, states, W_x, W_h: by_hand(dstates, dlast, x, h0, states, W_x, W_h, states),
            "forgets the right": _relu_with(message="none"),
            "not transposed": _relu_with(message="untransposed"),
            "same step's state": _relu_with(before=False),
            "forgets dlast": _relu_with(message="no dlast"),
            "overwrites": _relu_with(share=False),
        },
    ),
    "5.3": Exercise(
        check=check_clip,
        hint="np.linalg.norm(message, axis=1, keepdims=True) gives one norm a row, of shape (N, 1); the factor is at most 1. What if a norm is 0?",
        solution=clip_rows,
        wrong={
            "by value": lambda message, limit: np.clip(message, -limit, limit),
            "whole batch": lambda message, limit: message * min(1, limit / np.linalg.norm(message)),
            "scales up": lambda message, limit: message / np.linalg.norm(message, axis=1, keepdims=True) * limit,
            "wrong axis": lambda message, limit: message * np.minimum(1, limit / np.linalg.norm(message, axis=0)),
            "no keepdims": lambda message, limit: message * np.minimum(1, limit / np.linalg.norm(message, axis=1)),
            "zero row": lambda message, limit: message * np.where(
                (norms := np.linalg.norm(message, axis=1, keepdims=True)) > 0, np.minimum(1, limit / np.maximum(norms, 1e-9)), np.nan
            ),
        },
    ),
    "5.4": Exercise(
        check=check_repair,
        hint="Over one step the gradients of all weights are right, so look at what goes from one step to the next. Which index does the sum run over on the way back?",
        solution=repaired_backward,
        wrong={
            "unchanged": _tanh_with(message="untransposed"),
            "nothing from the right": _tanh_with(message="none"),
            "same step's state": _tanh_with(before=False),
            "another slope": lambda dstates, dlast, x, h0, states, W_x, W_h: by_hand(dstates, dlast, x, h0, states, W_x, W_h, 1 - states),
        },
    ),
    "5.5": Exercise(
        check=check_forward,
        hint="Differentiate h_t = tanh(x_t W_x + h_{t-1} W_h + b) by W_h[i, j] with the product rule: W_h stands there openly, "
        "and it hides in h_{t-1}. np.einsum with the letters n (batch), p, m (units), i, j keeps the indices apart.",
        solution=forward_gradient,
        wrong={mistake: _forward_gradient_wrong(mistake) for mistake in FORWARD_MISTAKES},
    ),
}
