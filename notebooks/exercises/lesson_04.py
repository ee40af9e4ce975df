"""Exercises of lesson 04: the RNN."""

from __future__ import annotations

import math

import numpy as np
import torch

from course_utils.grading import Exercise, Wrong, ask, exercise
from course_utils.proofs import load_weights

EXERCISES = {}


# 4.1 How many numbers


def count_numbers(D, H, K):
    cell = D * H + H * H + H  # W_x, W_h, b
    return cell + H * K + K  # and the output layer


EXERCISES["4.1"] = exercise(
    count_numbers,
    lambda: [(4, 6, 3), (50, 7, 11), (1, 16, 2)],
    """
no output bias: `H * K + K` -> `H * K`
    the output layer has a bias too: K numbers are missing
no bias of the cell: `H * H + H` -> `H * H`
    the cell's own bias b is missing: one number for each unit
no recurrent weights: `H * H + H` -> `H`
    W_h is missing: each of the H units reads each of the H units of the step before, H * H numbers
cell alone: ` + H * K + K` -> ``
    that is the cell alone: add the output layer, from H to K
two biases: `H * H + H` -> `H * H + 2 * H`
    that is PyTorch's count, which has two biases; in this course's notation the cell has one
no bias at all: `H * H + H` -> `H * H` `H * K + K` -> `H * K`
    that counts the three matrices; the two biases are missing, b of the cell and b_y of the output
""",
    otherwise="Add the sizes of W_x, W_h, b, W_y and b_y",
    hint=(
        "One weight for each pair (from, to): D x H, H x H, H x K. One bias for each number that "
        "comes out: H, and K."
    ),
    praise="T is not among the arguments: the same numbers serve a sequence of any length.",
)


# 4.2 A switch by hand


def check_switch(answer):
    try:
        w_x, w_h, b = (float(number) for number in answer)
    except (TypeError, ValueError):
        raise Wrong("give three numbers: w_x, w_h and b_switch") from None
    for marker in (2, 3, 10, 400):
        h, states = 0.0, []
        for t in range(500):
            h = math.tanh(w_x * (t == marker) + w_h * h + b)
            states.append(h)
        before, after = np.array(states[1:marker]), np.array(states[marker:])
        if not before.max() < -0.5:
            cure = "a larger w_h pulls it further down"
            if b >= 0:
                cure = "with inputs 0 only the bias can push it down, so b < 0"
            reached = f"before the marker the state reaches {before.max():.2f}, not below -0.5"
            raise Wrong(f"{reached}: {cure}")
        if not after[0] > 0.5:
            raise Wrong(
                f"at the marker the state is {after[0]:.2f}, not above 0.5: w_x must outweigh the "
                "pull of w_h * h and of b"
            )
        if not after.min() > 0.5:
            step = np.argmax(after <= 0.5)
            raise Wrong(
                f"{step} step(s) after the marker the state is {after[step]:.2f}: w_h is too weak "
                "against b to hold it above 0.5"
            )
    return (
        "one unit remembers for ever: where w_h is large enough, the state has two places of rest, "
        "and the marker kicks it over."
    )


EXERCISES["4.2"] = Exercise(
    check_switch,
    hint=(
        "Turn the explorer to w = 2: there the state has two places of rest. Choose w_h large "
        "enough for two, a bias that makes the lower one the place where the stream begins, and "
        "then a w_x that kicks it over in a single step."
    ),
    solution=(10.0, 3.0, -1.0),
    text=(
        "w_x, w_h, b_switch = 10.0, 3.0, -1.0\n"
        "# Before the marker h is near -1 and the sum near -3 - 1 = -4: the state stays low.\n"
        "# At the marker the sum is near 10 - 3 - 1 = 6: it jumps up. Later it is near 3 - 1 = 2: "
        "it stays high."
    ),
    wrong={
        "no bias": (10.0, 3.0, 0.0),
        "rests too high": (10.0, 0.5, -0.2),
        "forgets": (10.0, 0.5, -1.0),
        "bias beats the memory": (20.0, 2.0, -2.0),
        "kick too weak": (3.0, 3.0, -1.0),
        "wrong sign of the kick": (-10.0, 3.0, -1.0),
        "two numbers": (10.0, 3.0),
    },
)


# 4.3 The last real state


def last_real_states(states, lengths):
    return states[np.arange(len(states)), lengths - 1]  # (N, H)


def padded_states():
    rng = np.random.default_rng(43)
    for lengths in ([2, 6, 1, 4, 5], [2, 7, 1, 4, 6]):
        yield rng.normal(size=(5, 7, 3)), np.array(lengths)


EXERCISES["4.3"] = exercise(
    last_real_states,
    padded_states,
    """
after the padding: `np.arange(len(states)), lengths - 1` -> `:, -1`
    that is the state at step T, after the padding; sequence n ended at step lengths[n]
one too late: `lengths - 1` -> `lengths`
    one step too late (and outside of the states where a sequence has no padding): counted from 0,
    the last of `length` real steps has the index length - 1
every length of every sequence: `np.arange(len(states))` -> `:`
    the shape is (N, N, H): every length was taken from every sequence; pair them with np.arange(N)
all states: `[np.arange(len(states)), lengths - 1]` -> ``
    these are the states of all steps, (N, T, H); one state for each sequence is (N, H)
""",
    others={
        "mean over the real steps": (
            lambda states, lengths: np.stack([s[:n].mean(axis=0) for s, n in zip(states, lengths)]),
            (
                "that is the mean over the real steps (lesson 07 will want it); here only the last"
                " of them is asked for"
            ),
        )
    },
    otherwise="Row n is states[n, lengths[n] - 1]",
    hint=(
        "NumPy can take one position from each row: states[rows, steps] with two lists of N "
        "numbers. Which step is the last, counted from 0?"
    ),
    praise=(
        "what the RNN reads after the end no longer matters; lesson 07 needs this for every batch."
    ),
)


# 4.4 Find the bug


class RepairedForecaster(torch.nn.Module):
    def __init__(self, H):
        super().__init__()
        self.rnn = torch.nn.RNN(1, H, batch_first=True)  # or nn.RNN takes the first axis for time
        self.out = torch.nn.Linear(H, 1)

    def forward(self, x):
        states, _ = self.rnn(x)  # (N, T, H)
        return self.out(states[:, -1])[:, 0]  # (N,)


def windows():
    for H, N, T in ((8, 5, 11), (3, 4, 7)):
        yield H, torch.randn(N, T, 1, generator=torch.Generator().manual_seed(H))


def forecasts(answer, H, x):
    """What the answer's model forecasts when its weights are set."""
    with torch.random.fork_rng([]):  # the reader's random numbers stay as they are
        model = ask(answer, H)
    weights = model.parameters() if isinstance(model, torch.nn.Module) else []
    weights = sorted(weights, key=lambda weight: tuple(weight.shape))  # two biases of one sum
    shapes = [(1,), (1, H), (H,), (H,), (H, 1), (H, H)]
    if [tuple(weight.shape) for weight in weights] != shapes:
        raise Wrong(
            "keep the two layers, torch.nn.RNN(1, H) and torch.nn.Linear(H, 1); only the way they "
            "are used is wrong"
        )
    generator = torch.Generator().manual_seed(44)
    with torch.no_grad():
        for weight in weights:
            weight.copy_(0.4 * torch.randn(weight.shape, generator=generator))
    return ask(model, x)


class IdleColumn(RepairedForecaster):
    def __init__(self, H):
        super().__init__(H)
        self.out = torch.nn.Linear(H, 2)


EXERCISES["4.4"] = exercise(
    RepairedForecaster,
    windows,
    """
nothing changed: `, batch_first=True` -> ``
    still the bug: a window's forecast depends on the other windows and not on its own past; the RNN
    takes the batch for time
last sequence: `states[:, -1]` -> `states[-1]`
    the result is one forecast for each *step* of the last window, not one for each window: which
    axis does your index walk over?
first step: `states[:, -1]` -> `states[:, 0]`
    the newest value has no effect: the forecast must come from the state after the last step, index
    -1 of the time axis
newest value alone: `self.rnn(x)` -> `self.rnn(x[:, -1:])`
    the oldest value has no effect: the state must come through all steps
mean of states: `states[:, -1]` -> `states.mean(dim=1)`
    every window is read by itself now, but the output layer must get the last state alone, not a
    mixture of states
last axis kept: `)[:, 0]` -> `)`
    the shape is (N, 1), not (N,): the output layer has one column, take it out with [:, 0]
""",
    others={"idle column": IdleColumn},
    use=forecasts,
    otherwise=lambda given, got, right: (
        "with the same weights another forecast is right: a window's own last state, after all of "
        "its steps, goes through the output layer"
    ),
    hint=(
        "What shape does torch.nn.RNN expect by default? (Section 5 says it.) Over which axis has "
        "it walked, then, and what is states[:, -1]?"
    ),
    praise=(
        "nn.RNN takes (T, N, D) unless told otherwise; it cannot know which axis you meant, so it "
        "did not complain."
    ),
)


# 4.5 A stack


def stacked_rnn(x, layers):
    lasts = []
    for W_x, W_h, b in layers:
        h, states = np.zeros((len(x), len(b))), []
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ W_x + h @ W_h + b)  # (N, H)
            states.append(h)
        x = np.stack(states, axis=1)  # (N, T, H): the inputs of the layer above
        lasts.append(h)
    return x, np.stack(lasts)  # (N, T, H), (layers, N, H)


def stacks():
    rng = np.random.default_rng(45)
    for D, count in ((4, 2), (3, 1), (5, 3)):  # D = H: a layer that reads the wrong thing runs too
        shapes = [((D if k == 0 else 4, 4), (4, 4), (4,)) for k in range(count)]
        layers = [tuple(rng.normal(size=shape) for shape in layer) for layer in shapes]
        yield rng.normal(size=(2, 6, D)), layers


def framework_stack(x, layers):
    weights = {}
    for k, (W_x, W_h, b) in enumerate(layers):
        weights |= {f"weight_ih_l{k}": W_x.T, f"weight_hh_l{k}": W_h.T}
        weights |= {f"bias_ih_l{k}": b, f"bias_hh_l{k}": 0 * b}
    with torch.no_grad(), torch.random.fork_rng([]):
        net = torch.nn.RNN(x.shape[2], 4, len(layers), batch_first=True, dtype=torch.float64)
        return load_weights(net, weights)(torch.from_numpy(x))


EXERCISES["4.5"] = exercise(
    stacked_rnn,
    stacks,
    """
every layer reads x: `x = np.stack(states` -> `top = np.stack(states` `return x` -> `return top`
    the top layer has read x itself: its inputs are all states of the layer below
state carried upwards: `np.zeros((len(x), len(b)))` -> `(lasts or [np.zeros((len(x), len(b)))])[-1]`
    a layer has started from the last state of the layer below; each starts from zeros
only the top's last state: `np.stack(lasts)` -> `h`
    only the top layer's last state came back; the framework gives one for each layer,
    (layers, N, H)
last states upside down: `np.stack(lasts)` -> `np.stack(lasts[::-1])`
    the last states are upside down: the lowest layer comes first
one thing returned: `return x, np.stack(lasts)` -> `return x`
    return two things: all states of the top layer, (N, T, H), and the last state of each layer,
    (layers, N, H)
""",
    names=("all states of the top layer", "the last states"),
    otherwise=(
        "Each layer runs over all states of the one below, with its own weights; then take each "
        "layer's state at step T"
    ),
    truth=framework_stack,
    hint=(
        "Write the loop over time once, inside a loop over the layers; after each layer, x is "
        "replaced by all its states, (N, T, H)."
    ),
    praise="your stack equals nn.RNN(num_layers=...) for one, two and three layers.",
)
