"""How fast and how large the SRU is beside `nn.LSTM`, measured in turn in one process.

Part of `python3 course.py bench`. Only ratios are to be trusted: what else the machine does hits
both alike. With COURSE_THREADS=1 the clock is the processor's time of this process, so that a busy
machine disturbs less; with more threads it is the time that passes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from course_utils.models.sru import SRU
from course_utils.timing import in_turn
from course_utils.training import threads

ROOT = Path(__file__).resolve().parents[1]
SHAPES = [
    (batch, steps, width) for batch in (32, 4, 1) for width in (128, 512) for steps in (128, 512)
]
GROWTH = [  # what grows, and shapes (N, T, H), each beside the one before
    ("time", [(32, steps, 128) for steps in (128, 512, 2048)]),
    ("time", [(32, steps, 512) for steps in (512, 2048)]),
    ("time", [(1, steps, 128) for steps in (128, 512, 2048)]),
    ("width", [(32, 128, width) for width in (128, 256, 512)]),
    ("batch", [(batch, 128, 512) for batch in (1, 4, 32)]),
]
SECONDS = 2.0  # to measure each shape in
# Seconds of a turn, at least: the first run after the other layer finds nothing of its own in the
# processor's caches
TURN = 0.1


def clock() -> float:
    return time.process_time() if os.environ.get("COURSE_THREADS") == "1" else time.perf_counter()


def layer(name: str, width: int, layers: int) -> torch.nn.Module:
    if name == "sru package":
        # Not needed by the course: measured where somebody has installed it
        from sru import SRU as Package

        package: torch.nn.Module = Package(width, width, layers, rescale=True)
        return package
    if name == "SRU":
        return SRU(width, width, layers, batch_first=False)
    return torch.nn.LSTM(width, width, layers)


def step(
    name: str, batch: int, steps: int, width: int, layers: int = 1, device: str = "cpu"
) -> Callable[[], None]:
    """Forward and backward of random numbers (T, N, H), with gradients for them and all weights."""
    model = layer(name, width, layers).to(device)
    x = torch.randn(steps, batch, width, device=device, requires_grad=True)
    gradient = torch.randn(steps, batch, width, device=device)

    def run() -> None:
        x.grad = None
        for parameter in model.parameters():
            parameter.grad = None
        model(x)[0].backward(gradient)
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def compared(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, str, float]:
    """Run the two in turn: medians of milliseconds and of their ratio.

    Returns the first's milliseconds, "first / second (quartiles)", the second's milliseconds.
    In its turn each runs as often as it takes `first` to fill TURN, as steps of training follow
    each other.
    """
    first()
    start = clock()
    first()
    runs = max(1, round(TURN / (clock() - start)))
    rows = in_turn(first, second, pairs=4, seconds=SECONDS, runs=runs, clock=clock)
    low, middle, high = np.quantile(rows[:, 0] / rows[:, 1], [0.25, 0.5, 0.75])
    times = 1e3 * np.median(rows, axis=0)
    return float(times[0]), f"{middle:.2f} ({low:.2f} to {high:.2f})", float(times[1])


def memory(name: str) -> float:
    """Megabytes that three runs add at the peak, in a process of their own; N = 32, T = H = 512."""
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        f"import bench_sru; bench_sru.step({name!r}, 4, 8, 512)()\n"
        f"run = bench_sru.step({name!r}, 32, 512, 512); before = bench_sru.peak()\n"
        "for _ in range(3): run()\n"
        "print(bench_sru.peak() - before)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak() -> float:
    import resource  # not on Windows

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, kilobytes elsewhere
    return size / 1e6 if sys.platform == "darwin" else size / 1e3


def main() -> None:
    if sys.platform != "win32":
        # First, for a process begins with the peak of the one that started it
        lstm, sru = memory("LSTM"), memory("SRU")
        print("SRU: peak memory of forward and backward at N = 32, T = 512, H = 512:", end=" ")
        print(f"LSTM {lstm:.0f} MB, SRU {sru:.0f} MB")
    torch.set_num_threads(threads())
    print(
        f"SRU beside nn.LSTM: float32, forward and backward, D = H, {threads()} threads;", end=" "
    )
    print("medians of pairs run in turn")
    print("   N     T     H   LSTM ms    SRU ms   LSTM / SRU (quartiles)")
    for batch, steps, width in SHAPES:
        pair = (step(name, batch, steps, width) for name in ("LSTM", "SRU"))
        theirs, ratio, ours = compared(*pair)
        print(f"{batch:4} {steps:5} {width:5} {theirs:9.2f} {ours:9.2f}   {ratio}", flush=True)
    for what, shapes in GROWTH:
        for one, many in zip(shapes, shapes[1:]):
            _, ratio, _ = compared(step("SRU", *many), step("SRU", *one))
            print(f"SRU, {what}: from (N, T, H) = {one} to {many} {ratio} times", flush=True)
    try:
        __import__("sru")
    except ImportError:
        print("sru package: not installed, not compared")
    else:
        for batch, width in ((32, 128), (32, 512), (1, 128)):
            pair = (step(name, batch, 512, width) for name in ("sru package", "SRU"))
            _, ratio, _ = compared(*pair)
            print(f"sru package / SRU, N = {batch}, T = 512, H = {width}: {ratio}")
    if not torch.cuda.is_available():
        print("GPU: none here, not measured")
        return
    for steps, layers in ((128, 1), (512, 1), (128, 4), (512, 4)):
        pair = (step(name, 32, steps, 512, layers, "cuda") for name in ("LSTM", "SRU"))
        theirs, ratio, ours = compared(*pair)
        print(f"GPU, N = 32, T = {steps}, H = 512, {layers} layers:", end=" ")
        print(f"LSTM {theirs:.2f} ms, SRU {ours:.2f} ms, {ratio}", flush=True)


if __name__ == "__main__":
    main()
