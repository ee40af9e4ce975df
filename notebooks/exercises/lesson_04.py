"""Lesson 04, the RNN: checks, hints, solutions and typical wrong answers of its exercises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from course_utils.exercises import Exercise, Wrong

Array = NDArray[Any]
Weights = tuple[Array, Array, Array]


def run_layer(x: Array, weights: Weights) -> Array:
    """All states (N, T, H) of one layer over x (N, T, D), from zeros: the reference of the checks."""
    W_x, W_h, b = weights
    h, states = np.zeros((len(x), len(b))), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ W_x + h @ W_h + b)
        states.append(h)
    return np.stack(states, axis=1)


def draw_weights(rng: np.random.Generator, D: int, H: int) -> Weights:
    """Random W_x (D, H), W_h (H, H), b (H,)."""
    return rng.normal(size=(D, H)), rng.normal(size=(H, H)) / np.sqrt(H), rng.normal(size=H)


def same(a: Any, b: Array) -> bool:
    """Whether two arrays have one shape and the same numbers."""
    return np.shape(a) == b.shape and np.allclose(np.asarray(a, float), b)


# ---- 4.1 how many numbers ----------------------------------------------------------------------------------------


def right_count(D: int, H: int, K: int) -> int:
    cell = D * H + H * H + H  # W_x, W_h, b
    return cell + H * K + K  # and the output layer


def check_count(answer: Callable[[int, int, int], int]) -> str:
    for D, H, K in ((4, 6, 3), (50, 7, 11), (1, 16, 1)):
        given, right = answer(D, H, K), right_count(D, H, K)
        if given == right:
            continue
        causes = {
            right - K: f"the output layer has a bias too: {K} numbers are missing",
            right - H: "the cell's own bias b is missing: one number a unit",
            right - H - K: "that counts the three matrices; the two biases are missing, b of the cell and b_y of the output",
            right - H * H: "W_h is missing: each of the H units reads each of the H units of the step before, H * H numbers",
            right - H * K - K: "that is the cell alone: add the output layer, from H to K",
            right + H: "that is PyTorch's count, which has two biases; in this course's notation the cell has one",
        }
        raise Wrong(causes.get(given, f"D={D}, H={H}, K={K} gives {right}, not {given}: add the sizes of W_x, W_h, b, W_y and b_y"))
    return "T is not among the arguments: the same numbers serve a sequence of any length."


# ---- 4.2 a switch by hand ----------------------------------------------------------------------------------------


def check_switch(answer: tuple[float, float, float]) -> str:
    w_x, w_h, b = (float(number) for number in answer)
    for marker in (3, 10, 400):
        stream = np.zeros((1, 500, 1))
        stream[0, marker] = 1
        h = run_layer(stream, (np.array([[w_x]]), np.array([[w_h]]), np.array([b])))[0, :, 0]  # (T,)
        if b >= 0 and h[:marker].max() >= -0.5:
            raise Wrong(f"before the marker the state is {h[marker - 1]:.2f}, not below -0.5: with inputs 0 only the bias can push it down, so b < 0")
        if h[1:marker].max() >= -0.5:
            raise Wrong(f"before the marker the state rests at {h[marker - 1]:.2f}, not below -0.5: a larger w_h pulls it further down")
        if h[marker] <= 0.5:
            raise Wrong(f"at the marker the state is {h[marker]:.2f}, not above 0.5: w_x must outweigh the pull of w_h * h and of b")
        if h[marker:].min() <= 0.5:
            step = int(np.argmax(h[marker:] <= 0.5))
            raise Wrong(f"{step} step(s) after the marker the state is {h[marker + step]:.2f}: w_h is too weak against b to hold it above 0.5")
    stream[0, 450] = 1
    h = run_layer(stream, (np.array([[w_x]]), np.array([[w_h]]), np.array([b])))[0, :, 0]
    if h[400:].min() <= 0.5:
        raise Wrong("a second marker must not switch the state off")
    return "one unit remembers for ever: where w_h is large enough, the state has two places of rest, and the marker kicks it over."


# ---- 4.3 the last real state -------------------------------------------------------------------------------------


def right_last_states(states: Array, lengths: Array) -> Array:
    return states[np.arange(len(states)), np.asarray(lengths) - 1]  # (N, H)


def check_last_states(answer: Callable[[Array, Array], Array]) -> str:
    rng = np.random.default_rng(43)
    states, lengths = rng.normal(size=(5, 7, 3)), np.array([2, 7, 1, 4, 6])
    right = right_last_states(states, lengths)
    try:
        given = answer(states.copy(), lengths.copy())
    except IndexError as error:
        raise Wrong(f"an index lies outside of the states ({error}): counted from 0, the last of `length` real steps has the index length - 1") from None
    if same(given, states[:, -1]):
        raise Wrong("that is the state at step T, after the padding; sequence n ended at step lengths[n]")
    if same(given, states[np.arange(5), lengths % 7]):
        raise Wrong("one step too late: counted from 0, the last of `length` real steps has the index length - 1")
    if np.shape(given) == (5, 5, 3):
        raise Wrong("the shape is (N, N, H): every length was taken from every sequence; pair them with np.arange(N)")
    if np.shape(given) != right.shape:
        raise Wrong(f"the result has the shape {np.shape(given)}; one state a sequence is (N, H), here {right.shape}")
    if np.allclose(given, np.stack([states[n, :length].mean(axis=0) for n, length in enumerate(lengths)])):
        raise Wrong("that is the mean over the real steps (lesson 07 will want it); here only the last of them is asked for")
    if not np.allclose(given, right):
        raise Wrong("the shape is right, the numbers are not: row n is states[n, lengths[n] - 1]")
    return "what the RNN reads after the end no longer matters; lesson 07 needs this for every batch."


# ---- 4.4 find the bug --------------------------------------------------------------------------------------------


class RightForecaster(torch.nn.Module):
    def __init__(self, H: int) -> None:
        super().__init__()
        self.rnn = torch.nn.RNN(1, H, batch_first=True)  # without it, nn.RNN takes the first axis for time
        self.out = torch.nn.Linear(H, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.rnn(x)  # (N, T, H)
        forecast: torch.Tensor = self.out(states[:, -1])[:, 0]  # (N,)
        return forecast


def check_forecaster(answer: Any) -> str:
    torch_state = torch.random.get_rng_state()
    try:
        torch.manual_seed(44)
        model, x = answer(8), torch.randn(5, 11, 1)
        with torch.no_grad():
            before = model(x)
            if tuple(before.shape) == (5, 1):
                raise Wrong("the shape is (5, 1), not (5,): the output layer has one column, take it out with [:, 0]")
            if tuple(before.shape) != (5,):
                raise Wrong(f"5 windows of 11 values give the shape {tuple(before.shape)}, not (5,): which axis does your index walk over?")
            oldest, newest, other = x.clone(), x.clone(), x.clone()
            oldest[:, 0] += 2
            newest[:, -1] += 2
            other[0] += 2
            mixed = not torch.allclose(model(other)[1:], before[1:])
            deaf = torch.allclose(model(oldest), before)
            if mixed and deaf:
                raise Wrong("still the bug: a window's forecast depends on the other windows and not on its own past; the RNN takes the batch for time")
            if mixed:
                raise Wrong("a window's forecast depends on the other windows of the batch: time and batch are still exchanged somewhere")
            if torch.allclose(model(newest), before):
                raise Wrong("the newest value has no effect: the forecast must come from the state after the last step, index -1 of the time axis")
            if deaf:
                raise Wrong("the oldest value has no effect: the state must come through all steps")
            layers = {type(part): part for part in model.modules()}
            if torch.nn.RNN not in layers or torch.nn.Linear not in layers:
                raise Wrong("keep the two layers, torch.nn.RNN and torch.nn.Linear; only the way they are used is wrong")
            rnn, out = layers[torch.nn.RNN], layers[torch.nn.Linear]
            last = rnn(x if rnn.batch_first else x.transpose(0, 1))[1][0]
            if not torch.allclose(before, out(last)[:, 0], atol=1e-6):
                raise Wrong("every window is read by itself now, but the output layer must get the last state alone, not a mixture of states")
    finally:
        torch.random.set_rng_state(torch_state)
    return "nn.RNN takes (T, N, D) unless told otherwise; it cannot know which axis you meant, so it did not complain."


class StillTimeFirst(RightForecaster):
    def __init__(self, H: int) -> None:
        super().__init__(H)
        self.rnn = torch.nn.RNN(1, H)


class LastSequence(RightForecaster):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][-1])[:, 0]  # type: ignore[no-any-return]


class FirstStep(RightForecaster):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][:, 0])[:, 0]  # type: ignore[no-any-return]


class MeanOfStates(RightForecaster):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0].mean(dim=1))[:, 0]  # type: ignore[no-any-return]


class LastAxisKept(RightForecaster):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][:, -1])  # type: ignore[no-any-return]


# ---- 4.5 a stack -------------------------------------------------------------------------------------------------


def right_stack(x: Array, layers: Sequence[Weights]) -> tuple[Array, Array]:
    lasts = []
    for W_x, W_h, b in layers:
        h, states = np.zeros((len(x), len(b))), []
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ W_x + h @ W_h + b)  # (N, H)
            states.append(h)
        x = np.stack(states, axis=1)  # (N, T, H): the inputs of the layer above
        lasts.append(h)
    return x, np.stack(lasts)  # (N, T, H), (layers, N, H)


def framework_stack(x: Array, layers: Sequence[Weights]) -> tuple[Array, Array]:
    """The same by torch.nn.RNN."""
    D, H = layers[0][0].shape
    net = torch.nn.RNN(D, H, num_layers=len(layers), batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for k, (W_x, W_h, b) in enumerate(layers):
            for name, value in (("weight_ih", W_x.T), ("weight_hh", W_h.T), ("bias_ih", b), ("bias_hh", 0 * b)):
                getattr(net, f"{name}_l{k}").copy_(torch.tensor(value))
        top, lasts = net(torch.tensor(x))
    return top.numpy(), lasts.numpy()


def carried_over(x: Array, layers: Sequence[Weights]) -> tuple[Array, Array]:
    """Wrong: each layer starts from the last state of the one below."""
    h, lasts = np.zeros((len(x), len(layers[0][2]))), []
    for W_x, W_h, b in layers:
        states = []
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ W_x + h @ W_h + b)
            states.append(h)
        x = np.stack(states, axis=1)
        lasts.append(h)
    return x, np.stack(lasts)


def check_stack(answer: Callable[[Array, Sequence[Weights]], tuple[Array, Array]]) -> str:
    rng = np.random.default_rng(45)
    for count in (1, 2, 3):
        N, T, D, H = 2, 6, 4, 4  # D = H, so that a layer that reads the wrong thing still runs
        x, layers = rng.normal(size=(N, T, D)), [draw_weights(rng, D if k == 0 else H, H) for k in range(count)]
        top, lasts = framework_stack(x, layers)
        result = answer(x.copy(), list(layers))
        if not (isinstance(result, tuple) and len(result) == 2):
            raise Wrong("return two things: all states of the top layer, (N, T, H), and the last state of each layer, (layers, N, H)")
        given_top, given_lasts = result
        if np.shape(given_top) != top.shape:
            raise Wrong(f"all states of the top layer have the shape {top.shape}; yours have {np.shape(given_top)}")
        if same(given_top, run_layer(x, layers[-1])) and count > 1:
            raise Wrong("the top layer has read x itself: its inputs are all states of the layer below")
        if same(given_top, carried_over(x, layers)[0]) and count > 1:
            raise Wrong("a layer has started from the last state of the layer below; each starts from zeros")
        if not same(given_top, top):
            raise Wrong(f"with {count} layers the top states differ from nn.RNN's: each layer runs over all states of the one below, with its own weights")
        if same(given_lasts, top[:, -1]):
            raise Wrong("only the top layer's last state came back; the framework gives one for each layer, (layers, N, H)")
        if np.shape(given_lasts) != lasts.shape:
            raise Wrong(f"the last states have the shape {np.shape(given_lasts)}; (layers, N, H) is {lasts.shape}")
        if same(given_lasts, lasts[::-1]) and count > 1:
            raise Wrong("the last states are upside down: the lowest layer comes first")
        if not same(given_lasts, lasts):
            raise Wrong("the top layer's states are right, the last states are not: take each layer's state at step T")
    return "your stack equals nn.RNN(num_layers=...) for one, two and three layers."


EXERCISES = {
    "4.1": Exercise(
        check=check_count,
        hint="One weight for each pair (from, to): D x H, H x H, H x K. One bias for each number that comes out: H, and K.",
        solution=right_count,
        wrong={
            "no output bias": lambda D, H, K: D * H + H * H + H + H * K,
            "no bias of the cell": lambda D, H, K: D * H + H * H + H * K + K,
            "no recurrent weights": lambda D, H, K: D * H + H + H * K + K,
            "cell alone": lambda D, H, K: D * H + H * H + H,
            "two biases": lambda D, H, K: D * H + H * H + 2 * H + H * K + K,
            "no bias at all": lambda D, H, K: D * H + H * H + H * K,
        },
    ),
    "4.2": Exercise(
        check=check_switch,
        hint="Turn the explorer to w = 2: there the state has two places of rest. Choose w_h large enough for two, a bias that "
        "makes the lower one the place where the stream begins, and then a w_x that kicks it over in a single step.",
        solution=(10.0, 3.0, -1.0),
        text="w_x, w_h, b_switch = 10.0, 3.0, -1.0\n# Before the marker h is near -1 and the sum near -3 - 1 = -4: the state stays low.\n"
        "# At the marker the sum is near 10 - 3 - 1 = 6: it jumps up. Later it is near 3 - 1 = 2: it stays high.",
        wrong={
            "no bias": (10.0, 3.0, 0.0),
            "forgets": (10.0, 0.5, -1.0),
            "bias beats the memory": (20.0, 2.0, -2.0),
            "kick too weak": (3.0, 3.0, -1.0),
            "wrong sign of the kick": (-10.0, 3.0, -1.0),
        },
    ),
    "4.3": Exercise(
        check=check_last_states,
        hint="NumPy can take one place from each row: states[rows, steps] with two lists of N numbers. Which step is the last, counted from 0?",
        solution=right_last_states,
        wrong={
            "after the padding": lambda states, lengths: states[:, -1],
            "outside of the states": lambda states, lengths: states[np.arange(len(states)), lengths],
            "one too late": lambda states, lengths: states[np.arange(len(states)), lengths % states.shape[1]],
            "every length of every sequence": lambda states, lengths: states[:, lengths - 1],
            "mean over the real steps": lambda states, lengths: np.stack([s[:n].mean(axis=0) for s, n in zip(states, lengths)]),
            "all states": lambda states, lengths: states,
        },
    ),
    "4.4": Exercise(
        check=check_forecaster,
        hint="What shape does torch.nn.RNN expect by default? (Section 5 says it.) Over which axis has it walked, then, and what is states[:, -1]?",
        solution=RightForecaster,
        wrong={
            "nothing changed": StillTimeFirst,
            "last sequence": LastSequence,
            "first step": FirstStep,
            "mean of states": MeanOfStates,
            "last axis kept": LastAxisKept,
        },
    ),
    "4.5": Exercise(
        check=check_stack,
        hint="Write the loop over time once, inside a loop over the layers; after each layer, x is replaced by all its states, (N, T, H).",
        solution=right_stack,
        wrong={
            "every layer reads x": lambda x, layers: (run_layer(x, layers[-1]), np.stack([run_layer(x, w)[:, -1] for w in layers])),
            "state carried upwards": carried_over,
            "only the top's last state": lambda x, layers: (right_stack(x, layers)[0], right_stack(x, layers)[1][-1]),
            "last states upside down": lambda x, layers: (right_stack(x, layers)[0], right_stack(x, layers)[1][::-1]),
            "one thing returned": lambda x, layers: right_stack(x, layers)[0],
        },
    ),
}
