"""Lesson 08's hand-written LSTM beside PyTorch's `nn.LSTM`, forward and backward: `python3 course.py bench`.

Both run in one process with the same number of threads, one after the other in turn; what counts is the median of the
ratios pair by pair, so that a machine that slows down meanwhile slows both.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from course_utils.timing import in_turn
from course_utils.training import setup, threads
from from_notebook import definitions

STANDARD, LIMIT = (32, 64, 256, 256), 2.2  # N, T, D, H: here ours may take so many times nn.LSTM's time
OTHERS = [
    (32, 16, 256, 256), (32, 256, 256, 256),  # growth with T
    (32, 64, 64, 64), (32, 64, 128, 128), (32, 64, 512, 512),  # with H
    (1, 64, 256, 256), (8, 64, 256, 256), (128, 64, 256, 256),  # with N
]  # fmt: skip


def workloads(sizes: tuple[int, int, int, int], lesson: dict) -> tuple[Callable[[], object], Callable[[], object]]:
    """(ours, theirs): forward and backward of the same weights on the same data, float32, by x, both first states and all weights."""
    N, T, D, H = sizes
    layer = nn.LSTM(D, H, batch_first=True)
    x, h0, c0, above = (torch.randn(shape) for shape in ((N, T, D), (1, N, H), (1, N, H), (N, T, H)))
    leaves = [tensor.requires_grad_() for tensor in (x, h0, c0)]
    array = {name: np.ascontiguousarray(value.detach().numpy()) for name, value in layer.named_parameters()}
    weights = (np.ascontiguousarray(array["weight_ih_l0"].T), np.ascontiguousarray(array["weight_hh_l0"].T))
    bias = array["bias_ih_l0"] + array["bias_hh_l0"]
    given = (x.detach().numpy(), h0.detach().numpy()[0], c0.detach().numpy()[0], *weights, bias)
    nothing = np.zeros((2, N, H), np.float32)

    def ours() -> dict:
        _, _, cache = lesson["lstm_forward_fast"](*given)
        return lesson["lstm_backward_fast"](above.numpy(), nothing, cache)

    def theirs() -> None:
        layer.zero_grad()
        for leaf in leaves:
            leaf.grad = None
        layer(x, (h0, c0))[0].backward(above)

    gradients = ours()
    theirs()
    expected = {"x": x.grad, "h0": h0.grad[0], "c0": c0.grad[0], "W_h": layer.weight_hh_l0.grad.T, "W_x": layer.weight_ih_l0.grad.T}
    for name, gradient in expected.items():
        np.testing.assert_allclose(gradients[name], gradient.numpy(), rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))
    return ours, theirs


def main() -> None:
    setup()
    lesson = definitions(8)
    setup()  # the lesson's imports leave the threads as they are; this is for safety
    print(f"lstm: forward + backward, float32, {threads()} thread(s), median of pairs in turn")
    print("lstm:    N    T    D    H    ours ms  nn.LSTM ms   ratio  (quarter to three quarters)")
    for sizes in (STANDARD, *OTHERS):
        times = in_turn(*workloads(sizes, lesson), pairs=15, seconds=3.0, warm=3)
        low, ratio, high = np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75))
        ours, theirs = 1000 * np.median(times, axis=0)
        print("lstm: " + "".join(f"{size:5}" for size in sizes) + f"{ours:11.2f}{theirs:12.2f}{ratio:8.2f}  ({low:.2f} to {high:.2f})")
        if sizes == STANDARD:
            assert ratio <= LIMIT, f"ours may take {LIMIT} of nn.LSTM's time at {sizes}; it took {ratio:.2f}"


if __name__ == "__main__":
    main()
