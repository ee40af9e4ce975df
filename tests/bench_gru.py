"""Lesson 09's hand-written GRU beside PyTorch's `nn.GRU` and `nn.LSTM`, forward and backward: `python3 course.py bench`.

Ours and theirs run in one process with the same number of threads, one after the other in turn; what counts is the
median of the ratios pair by pair, so that a machine that slows down meanwhile slows both.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from course_utils.timing import in_turn
from course_utils.training import setup, threads
from from_notebook import definitions

STANDARD = (32, 64, 256, 256)  # N, T, D, H: here ours must be faster than nn.GRU
GROWTH = {
    "T": [(32, 16, 256, 256), (32, 256, 256, 256)],
    "H": [(32, 64, 64, 64), (32, 64, 128, 128), (32, 64, 512, 512)],
    "N": [(1, 64, 256, 256), (8, 64, 256, 256), (128, 64, 256, 256)],
}


def workloads(sizes: tuple[int, int, int, int], lesson: dict) -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    """(ours, nn.GRU, nn.LSTM): forward and backward on the same data, float32, by x, h_0 and all weights; ours equals nn.GRU."""
    N, T, D, H = sizes
    gru, lstm = nn.GRU(D, H, batch_first=True), nn.LSTM(D, H, batch_first=True)
    x, h0, above = (torch.randn(shape) for shape in ((N, T, D), (1, N, H), (N, T, H)))
    x.requires_grad_()
    h0.requires_grad_()
    weights = {name: np.ascontiguousarray(value) for name, value in lesson["from_framework"](gru).items()}
    x_array, h0_array, above_array = x.detach().numpy(), h0.detach().numpy()[0], above.numpy()
    nothing = np.zeros((N, H), np.float32)

    def ours() -> dict:
        _, cache = lesson["gru_forward_fast"](x_array, h0_array, **weights)
        return lesson["gru_backward_fast"](above_array, nothing, cache)

    def theirs(layer: nn.Module, start: object) -> None:
        layer.zero_grad()
        x.grad = h0.grad = None
        layer(x, start)[0].backward(above)

    gradients = ours()
    theirs(gru, h0)
    for name, expected in (("x", x.grad), ("h0", h0.grad[0]), ("W_h", gru.weight_hh_l0.grad.T), ("W_x", gru.weight_ih_l0.grad.T)):
        np.testing.assert_allclose(gradients[name], expected.numpy(), rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    return ours, lambda: theirs(gru, h0), lambda: theirs(lstm, (h0, torch.zeros_like(h0)))


def measure(sizes: tuple[int, int, int, int], lesson: dict, seconds: float) -> tuple[float, np.ndarray, np.ndarray]:
    """(our milliseconds, the ratios ours / nn.GRU of each pair, those of ours / nn.LSTM); at least 9 pairs each."""
    ours, gru, lstm = workloads(sizes, lesson)
    beside_gru, beside_lstm = (in_turn(ours, theirs, pairs=9, seconds=seconds) for theirs in (gru, lstm))
    ratios = [times[:, 0] / times[:, 1] for times in (beside_gru, beside_lstm)]
    return 1000 * float(np.median(beside_gru[:, 0])), *ratios


def main(seconds: float = 2.0) -> None:
    setup()
    lesson = definitions(9)
    setup()  # the lesson's imports leave the threads as they are; this is for safety
    print(f"gru: forward + backward, float32, {threads()} thread(s), median of pairs in turn; ratios ours / theirs")
    print("gru:    N    T    D    H    ours ms   nn.GRU  (quarter to three quarters)   nn.LSTM  (quarter to three quarters)")
    for sizes in (STANDARD, *(sizes for row in GROWTH.values() for sizes in row)):
        ours, *both = measure(sizes, lesson, seconds)
        (low, gru, high), (low2, lstm, high2) = (np.quantile(ratios, (0.25, 0.5, 0.75)) for ratios in both)
        columns = f"{gru:9.2f}  ({low:.2f} to {high:.2f}){lstm:24.2f}  ({low2:.2f} to {high2:.2f})"
        print("gru: " + "".join(f"{size:5}" for size in sizes) + f"{ours:11.2f}{columns}", flush=True)
        if sizes == STANDARD:
            assert gru < 1, f"ours must be faster than nn.GRU at {sizes}; it took {gru:.2f} of its time"


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
