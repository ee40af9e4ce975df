"""Lesson 05's hand-written RNN beside PyTorch's `nn.RNN`, forward and backward: `python3 course.py bench`.

Both run in one process with the same number of threads, one after the other in turn; what counts is the median of the
ratios pair by pair, so that a machine that slows down meanwhile slows both.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from course_utils.training import setup, threads
from from_notebook import definitions

STANDARD = (32, 64, 256, 256)  # N, T, D, H: here ours must be faster
OTHERS = [(32, 16, 256, 256), (32, 256, 256, 256), (32, 64, 64, 64), (32, 64, 128, 128), (32, 64, 512, 512)]


def workloads(sizes: tuple[int, int, int, int], lesson: dict) -> tuple[Callable[[], object], Callable[[], object]]:
    """(ours, theirs): forward and backward of the same weights on the same data, float32, by x, h_0 and all weights."""
    N, T, D, H = sizes
    layer = nn.RNN(D, H, batch_first=True)
    x, h0, above = (torch.randn(shape) for shape in ((N, T, D), (1, N, H), (N, T, H)))
    x.requires_grad_()
    h0.requires_grad_()
    array = {name: np.ascontiguousarray(value.detach().numpy()) for name, value in layer.named_parameters()}
    weights = (np.ascontiguousarray(array["weight_ih_l0"].T), np.ascontiguousarray(array["weight_hh_l0"].T))
    bias = array["bias_ih_l0"] + array["bias_hh_l0"]
    x_array, h0_array, above_array = x.detach().numpy(), h0.detach().numpy()[0], above.numpy()
    nothing = np.zeros((N, H), np.float32)

    def ours() -> dict:
        _, cache = lesson["rnn_forward_fast"](x_array, h0_array, *weights, bias)
        return lesson["rnn_backward_fast"](above_array, nothing, cache)

    def theirs() -> None:
        layer.zero_grad()
        x.grad = h0.grad = None
        layer(x, h0)[0].backward(above)

    gradients = ours()
    theirs()
    for name, expected in (("x", x.grad), ("h0", h0.grad[0]), ("W_h", layer.weight_hh_l0.grad.T), ("W_x", layer.weight_ih_l0.grad.T)):
        np.testing.assert_allclose(gradients[name], expected.numpy(), rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    return ours, theirs


def measure(sizes: tuple[int, int, int, int], lesson: dict, seconds: float = 3.0) -> tuple[float, float, np.ndarray]:
    """(our milliseconds, their milliseconds, the ratios ours / theirs of each pair); at least 15 pairs."""
    ours, theirs = workloads(sizes, lesson)
    pairs, end = [], time.perf_counter() + seconds
    while len(pairs) < 18 or time.perf_counter() < end:
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        pairs.append((middle - start, time.perf_counter() - middle))
    times = np.array(pairs[3:])  # the first ones warm up
    ratios = times[:, 0] / times[:, 1]
    return 1000 * float(np.median(times[:, 0])), 1000 * float(np.median(times[:, 1])), ratios


def main() -> None:
    setup()
    lesson = definitions(5)
    setup()  # the lesson's imports leave the threads as they are; this is for safety
    print(f"rnn: forward + backward, float32, {threads()} thread(s), median of pairs in turn")
    print("rnn:    N    T    D    H    ours ms  nn.RNN ms   ratio  (quarter to three quarters)")
    for sizes in (STANDARD, *OTHERS):
        ours, theirs, ratios = measure(sizes, lesson)
        low, ratio, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        print("rnn: " + "".join(f"{size:5}" for size in sizes) + f"{ours:11.2f}{theirs:11.2f}{ratio:8.2f}  ({low:.2f} to {high:.2f})")
        if sizes == STANDARD:
            assert ratio < 1, f"ours must be faster than nn.RNN at {sizes}; it took {ratio:.2f} of its time"


if __name__ == "__main__":
    main()
