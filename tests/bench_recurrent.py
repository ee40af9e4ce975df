"""The RNN, LSTM and GRU that lessons write by hand beside PyTorch's, forward and backward.

Part of `python3 course.py bench`; alone: bench_recurrent.py [SECONDS [NAME ...]], the seconds for
each size and the layers to measure. Ours and theirs run in one process with the same number of
threads, one after the other in turn; what counts is the median of the ratios pair by pair, so that
a machine that slows down meanwhile slows both.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from course_utils.timing import in_turn
from course_utils.training import setup, threads
from from_notebook import definitions

Work = Callable[[], Any]
STANDARD = (32, 64, 256, 256)  # N, T, D, H: where the course has an aim
SIZES = [
    STANDARD,
    *((32, steps, 256, 256) for steps in (16, 256)),  # growth with T
    *((32, 64, width, width) for width in (64, 128, 512)),  # with D and H
    *((batch, 64, 256, 256) for batch in (1, 8, 128)),  # with N
]


@dataclass(frozen=True)
class Layer:
    """A layer that is measured.

    lesson: where it is written. beside: what it is measured beside, its own kind first. aim: our
    time at STANDARD is to stay below so many times theirs.
    """

    lesson: int
    beside: tuple[type[nn.RNNBase], ...]
    aim: float


LAYERS = {
    "rnn": Layer(5, (nn.RNN,), 1.0),
    "lstm": Layer(8, (nn.LSTM,), 2.2),
    "gru": Layer(9, (nn.GRU, nn.LSTM), 1.0),
}


def arrays(layer: nn.RNNBase, lesson: dict[str, Any]) -> dict[str, Any]:
    """The layer's weights in our arrangement."""
    if "from_framework" in lesson:
        weights = lesson["from_framework"](layer)
    else:
        W_x, W_h, b_x, b_h = (parameter.detach().numpy() for parameter in layer.parameters())
        weights = {"W_x": W_x.T, "W_h": W_h.T, "b": b_x + b_h}
    return {name: np.ascontiguousarray(weight) for name, weight in weights.items()}


def workloads(name: str, sizes: tuple[int, ...], lesson: dict[str, Any]) -> tuple[Work, list[Work]]:
    """Ours and each of theirs: forward and backward on the same data, float32.

    The gradients are those by x, the first states and all weights. Ours has the weights of the
    first of theirs, and its gradients.
    """
    N, T, D, H = sizes
    rivals = [kind(D, H, batch_first=True) for kind in LAYERS[name].beside]
    x, h0, c0 = (torch.randn(shape) for shape in ((N, T, D), (1, N, H), (1, N, H)))
    leaves = {"x": x, "h0": h0, "c0": c0}
    for leaf in leaves.values():
        leaf.requires_grad_()
    above, has_cell = torch.randn(N, T, H), name == "lstm"
    given = [x.detach().numpy(), h0.detach().numpy()[0], c0.detach().numpy()[0]][: 2 + has_cell]
    weights, from_above = arrays(rivals[0], lesson), above.numpy()
    from_right = np.zeros((2, N, H) if has_cell else (N, H), np.float32)

    def ours() -> dict[str, Any]:
        *_, cache = lesson[f"{name}_forward_fast"](*given, **weights)
        return lesson[f"{name}_backward_fast"](from_above, from_right, cache)

    def theirs(layer: nn.RNNBase) -> None:
        layer.zero_grad()
        x.grad = h0.grad = c0.grad = None
        layer(x, (h0, c0) if isinstance(layer, nn.LSTM) else h0)[0].backward(above)

    gradients = ours()
    theirs(rivals[0])
    expected = {leaf: tensor.grad for leaf, tensor in leaves.items() if leaf in gradients}
    expected["W_x"], expected["W_h"] = (weight.grad.T for weight in rivals[0].all_weights[0][:2])
    for leaf, gradient in expected.items():
        theirs_here = gradient.reshape(gradients[leaf].shape).numpy()
        close = 1e-3 * float(gradient.abs().max())
        np.testing.assert_allclose(gradients[leaf], theirs_here, rtol=1e-3, atol=close)
    return ours, [lambda layer=layer: theirs(layer) for layer in rivals]


def measure(name: str, seconds: float) -> None:
    """Print a row for each size."""
    layer, lesson = LAYERS[name], definitions(LAYERS[name].lesson)
    heads = [f"{f'nn.{kind.__name__} ms':>12}   ratio (quartiles)    " for kind in layer.beside]
    print(f"{name}: forward + backward, float32, {threads()} thread(s); ratio: ours / theirs")
    print(f"{name}:    N    T    D    H    ours ms" + "".join(heads).rstrip())
    for sizes in SIZES:
        ours, rivals = workloads(name, sizes, lesson)
        row, ratios = "".join(f"{size:5}" for size in sizes), []
        for rival in rivals:
            times = in_turn(ours, rival, pairs=9, seconds=seconds, warm=3)
            low, ratio, high = np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75))
            our_time, their_time = 1e3 * np.median(times, axis=0)
            row += f"{our_time:11.2f}" if not ratios else ""
            row += f"{their_time:12.2f}{ratio:8.2f} ({low:.2f} to {high:.2f})"
            ratios.append(ratio)
        if sizes == STANDARD:
            met = "met" if ratios[0] < layer.aim else "missed"
            row += f"   aim: below {layer.aim:g} of nn.{layer.beside[0].__name__}, {met}"
        print(f"{name}: {row}", flush=True)


def main(seconds: str = "3", *names: str) -> None:
    setup()
    for name in names or LAYERS:
        measure(name.lower(), float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
