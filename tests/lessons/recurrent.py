"""The recurrent layers that lessons write by hand, in one table, and what each of them must show.

Each lesson's file brings its functions; here is what is alike: random problems, the framework's
layer with the same weights, and shapes that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from course_utils.models import sru
from course_utils.proofs import compare, load_weights

Shape = tuple[int, ...]
SIZES = 3, 5, 2, 4  # N, T, D, H of the problem in which one shape is made wrong

# What forward returns ends with the cache: (states, cache) or (states, last, cache)
Forward = Callable[..., Any]
Backward = Callable[[Any, Any, Any], dict[str, Any]]


@dataclass(frozen=True)
class Layer:
    """A kind of layer.

    first_states, weights: the names that our forward pass has for them, after x; weights with their
    axes. framework: makes the framework's layer of D and H. parameters: takes our weights by name,
    gives them under that layer's names.
    """

    first_states: list[str]
    weights: dict[str, str]
    framework: Callable[[int, int], nn.Module]
    parameters: Callable[..., dict[str, Tensor]]

    @property
    def axes(self) -> dict[str, str]:
        """Of all that forward is given, in its order."""
        return {"x": "N T D", **dict.fromkeys(self.first_states, "N H"), **self.weights}

    def problem(self, sizes: Shape, seed: int = 0) -> dict[str, Any]:
        """Random numbers for all that forward is given. W_s stays out where D and H are equal."""
        rng, (_, _, D, H) = np.random.default_rng(seed), sizes
        axes = {name: axes for name, axes in self.axes.items() if name != "W_s" or D != H}
        return {name: rng.standard_normal(_shape(axes[name], sizes)) for name in axes}

    def equals_framework(
        self, forward: Forward, backward: Backward, sizes: Shape, seed: int
    ) -> None:
        """States, last states and gradients by all that forward was given are the framework's."""
        N, T, D, H = sizes
        arrays, rng = self.problem(sizes, seed), np.random.default_rng([seed, 1])
        dstates = rng.standard_normal((N, T, H))
        dlast = [rng.standard_normal((N, H)) for _ in self.first_states]
        states, *last, cache = forward(**arrays)
        gradients = backward(dstates, _together(dlast), cache)

        leaves = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
        first = [leaves[name] for name in self.first_states]
        parameters = self.parameters(**{n: leaf for n, leaf in leaves.items() if n in self.weights})
        theirs = load_weights(self.framework(D, H).double(), parameters)
        outputs, ended = theirs(leaves["x"], _together([state[None] for state in first]))
        ended = [state[0] for state in (ended if len(first) > 1 else [ended])]
        upstream = [torch.from_numpy(array) for array in (dstates, *dlast)]
        torch.autograd.backward([outputs, *ended], upstream)
        for name, parameter in theirs.named_parameters():  # from its weights on to ours
            if parameters[name].requires_grad:
                parameters[name].backward(parameter.grad)

        compare(states, outputs, tolerance=1e-12, what="states")
        compare(last[0] if last else states[:, -1], _together(ended), tolerance=1e-12, what="last")
        expected = {name: leaf.grad for name, leaf in leaves.items()}
        compare(gradients, expected, tolerance=1e-10, what="gradient by")

    def takes_whole_numbers(self, forward: Forward, backward: Backward) -> None:
        """Measurements of an int type give what the same ones give as floats."""
        arrays, results = self.problem(SIZES), []
        for kind in (int, float):
            states, *last, cache = forward(**{**arrays, "x": np.ones(arrays["x"].shape, kind)})
            results.append(backward(np.ones_like(states), (last or [states[:, -1]])[0], cache))
        compare(*results, tolerance=0)

    def refuses_shape(self, forward: Forward, name: str, shape: Shape, message: str) -> None:
        """At SIZES, with this shape for one of the arrays, forward raises the error."""
        arrays = self.problem(SIZES)
        forward(**arrays)
        with pytest.raises(ValueError, match=message):
            forward(**{**arrays, name: np.ones(shape)})

    def refuses_each_wrong_shape(self, forward: Forward, name: str) -> None:
        for shape in self._wrong_shapes(name):
            self.refuses_shape(forward, name, shape, r"has shape \(.*\); expected \(")

    def _wrong_shapes(self, name: str) -> Iterator[Shape]:
        """What does not fit in a problem of SIZES.

        Each axis of another size (1, which NumPy would stretch; one more or less; twice; as many
        blocks as another layer has) or empty, an axis fewer, an axis more. T may be of any size
        but 0.
        """
        H, shape = SIZES[3], _shape(self.axes[name], SIZES)
        for place, (axis, size) in enumerate(zip(self.axes[name].split(), shape)):
            others = {1, size - 1, size + 1, 2 * size, H, 3 * H, 4 * H} - {size}
            for other in {0} | (others if axis != "T" else set()):
                yield (*shape[:place], other, *shape[place + 1 :])
        yield shape[1:]
        yield (*shape, 1)


def stays_finite_far_out(sigmoid: Callable[..., Any], half_life: Callable[[float], float]) -> None:
    """A lesson's gate, and the steps until a state has halved, at biases far from 0."""
    assert sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0, 1]
    assert half_life(-1000.0) == np.log(2) / 1000
    assert np.isclose(half_life(100.0), np.log(2) * np.exp(100.0))


def at_random_shapes(test: Callable[..., None]) -> Callable[..., None]:
    """The test gets `sizes` (N, T, D, H) and a `seed`."""
    sizes = st.tuples(*(st.integers(1, most) for most in (4, 9, 4, 6)))
    drawn = given(sizes=sizes, seed=st.integers(0, 2**32 - 1))(test)
    return settings(deadline=None, max_examples=60)(drawn)


def _shape(axes: str, sizes: Shape) -> Shape:
    """Of axes such as "N T D", "D 4H" or "2 H"."""
    letters = [axis.lstrip("0123456789") for axis in axes.split()]
    factors = [axis.removesuffix(letter) for axis, letter in zip(axes.split(), letters)]
    size = dict(zip("NTDH", sizes))
    return tuple(int(f or 1) * size.get(letter, 1) for f, letter in zip(factors, letters))


def _together(states: list[Any]) -> Any:
    """As layers take and give states: several in a tuple, a single one as it is."""
    return tuple(states) if len(states) > 1 else states[0]


def _one_bias(W_x: Tensor, W_h: Tensor, b: Tensor) -> dict[str, Tensor]:
    """The whole bias goes into the first of the framework's two."""
    biases = {"bias_ih_l0": b, "bias_hh_l0": torch.zeros_like(b)}
    return {"weight_ih_l0": W_x.T, "weight_hh_l0": W_h.T, **biases}


def _bias_inside_reset(W_x: Tensor, W_h: Tensor, b: Tensor, b_hn: Tensor) -> dict[str, Tensor]:
    inside = torch.cat([torch.zeros(2 * len(b_hn), dtype=b.dtype), b_hn])
    return {**_one_bias(W_x, W_h, b), "bias_hh_l0": inside}


def _one_product(W_x: Tensor, v: Tensor, b: Tensor, W_s: Tensor | None = None) -> dict[str, Tensor]:
    weight = W_x if W_s is None else torch.cat([W_x, W_s], dim=1)
    return {"weight_l0": weight.T, "v_l0": v, "bias_l0": b.ravel()}


RNN = Layer(
    ["h0"],
    {"W_x": "D H", "W_h": "H H", "b": "H"},
    lambda D, H: nn.RNN(D, H, batch_first=True),
    _one_bias,
)
LSTM = Layer(
    ["h0", "c0"],
    {"W_x": "D 4H", "W_h": "H 4H", "b": "4H"},
    lambda D, H: nn.LSTM(D, H, batch_first=True),
    _one_bias,
)
GRU = Layer(
    ["h0"],
    {"W_x": "D 3H", "W_h": "H 3H", "b": "3H", "b_hn": "H"},
    lambda D, H: nn.GRU(D, H, batch_first=True),
    _bias_inside_reset,
)
SRU = Layer(
    ["c0"],
    {"W_x": "D 3H", "v": "2 H", "b": "2 H", "W_s": "D H"},
    lambda D, H: sru.SRU(D, H, rescale=False),
    _one_product,
)

TURNED = r"\(N=5, H=4\): axis 0 \(N\) is 3, not 5; 3 is T here, is a batch \(T, N, \.\.\) given for"

# One array of SIZES with another shape, and what an Elman RNN says: lessons 04 and 05
RNN_COMPLAINTS = [
    ("x", (5, 3, 2), f"h_?0 .*{TURNED}"),
    ("x", (3, 2, 5), r"x .*\(N, T, D=2\): axes 1 and 2 look swapped"),
    ("x", (3, 2), r"x has shape \(3, 2\); expected \(N, T, D=2\): 2 axes, not 3"),
    ("x", (3, 5, 4), r"axis 2 \(D\) is 4, not 2"),
    ("x", (3, 0, 2), r"axis 1 \(T\) is empty"),
    ("h0", (2, 4), r"\(N=3, H=4\): axis 0 \(N\) is 2, not 3"),
    ("h0", (1, 4), r"\(N=3, H=4\): axis 0 \(N\) is 1, not 3"),
    ("h0", (4, 4), r"h_?0 has shape \(4, 4\); expected \(N=3, H=4\): axis 0 \(N\) is 4, not 3"),
    ("h0", (3, 3), r"h_?0 has shape \(3, 3\); expected \(N=3, H=4\)"),
]
