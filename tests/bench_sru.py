"""How fast and how large the SRU is beside `nn.LSTM`, measured in turns in one process: `python3 course.py bench`.

Only ratios are to be trusted: what else the machine does hits both alike. With COURSE_THREADS=1 the clock is the
processor's time of this process, so that a busy machine disturbs less; with more threads it is the time that passes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[1]
SHAPES = [(batch, steps, width) for batch in (32, 4, 1) for width in (128, 512) for steps in (128, 512)]
SECONDS = 2.0  # to measure each shape in


def clock() -> float:
    return time.process_time() if os.environ.get("COURSE_THREADS") == "1" else time.perf_counter()


def layer(name: str, width: int) -> object:
    import torch

    from course_utils.sru import SRU

    if name == "sru package":
        from sru import SRU as Package  # not needed by the course: measured where somebody has installed it

        return Package(width, width, 1, rescale=True)
    return SRU(width, width, batch_first=False) if name == "SRU" else torch.nn.LSTM(width, width)


def step(name: str, batch: int, steps: int, width: int) -> Callable[[], None]:
    """Forward and backward, with gradients for the input and all weights, of random numbers (T, N, H)."""
    import torch

    model, x = layer(name, width), torch.randn(steps, batch, width, requires_grad=True)
    gradient = torch.randn(steps, batch, width)

    def run() -> None:
        x.grad = None
        for parameter in model.parameters():  # type: ignore[attr-defined]
            parameter.grad = None
        model(x)[0].backward(gradient)  # type: ignore[operator]

    return run


def compared(first: Callable[[], None], second: Callable[[], None], seconds: float = SECONDS) -> tuple[float, list[float], float]:
    """Times first and second in turns: seconds of second, quartiles of first / second, seconds of first (medians)."""
    pairs: list[tuple[float, float]] = []
    for run in (first, second, first, second):  # warm
        run()
    end = clock() + seconds
    while len(pairs) < 4 or clock() < end and len(pairs) < 200:
        times = [clock()]
        for run in (first, second):
            run()
            times.append(clock())
        pairs.append((times[1] - times[0], times[2] - times[1]))
    return median(b for _, b in pairs), quantiles([a / b for a, b in pairs], n=4), median(a for a, _ in pairs)


def memory(name: str) -> float:
    """Megabytes that three runs add at the peak, at N = 32, T = 512, H = 512, in a process of their own."""
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        f"import bench_sru; bench_sru.step({name!r}, 4, 8, 512)()\n"
        f"run = bench_sru.step({name!r}, 32, 512, 512); before = bench_sru.peak()\n"
        "for _ in range(3): run()\n"
        "print(bench_sru.peak() - before)"
    )
    return float(subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True).stdout)


def peak() -> float:
    import resource  # not on Windows

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, kilobytes elsewhere
    return size / 1e6 if sys.platform == "darwin" else size / 1e3


def main() -> None:
    if sys.platform != "win32":  # first, for a process begins with the peak of the one that started it
        sizes = {name: memory(name) for name in ("LSTM", "SRU")}
        print(f"SRU: peak memory of forward and backward at N = 32, T = 512, H = 512: LSTM {sizes['LSTM']:.0f} MB, SRU {sizes['SRU']:.0f} MB")
    import torch

    from course_utils.training import threads

    torch.set_num_threads(threads())
    print(f"SRU beside nn.LSTM: float32, forward and backward, D = H, {threads()} threads; medians of pairs run in turns")
    print("   N     T     H   LSTM ms    SRU ms   LSTM / SRU (quartiles)")
    for batch, steps, width in SHAPES:
        ours, (low, middle, high), theirs = compared(step("LSTM", batch, steps, width), step("SRU", batch, steps, width))
        print(f"{batch:4} {steps:5} {width:5} {1e3 * theirs:9.2f} {1e3 * ours:9.2f}   {middle:.2f} ({low:.2f} to {high:.2f})", flush=True)
    for batch, width in ((32, 128), (1, 128)):
        growth = []
        for steps in (512, 1024):
            _, ratios, _ = compared(step("SRU", batch, 2 * steps, width), step("SRU", batch, steps, width))
            growth.append(f"{steps} to {2 * steps} steps {ratios[1]:.2f} times")
        print(f"SRU, N = {batch}, H = {width}: from {', '.join(growth)} the time (2 is linear)")
    try:
        __import__("sru")
    except ImportError:
        print("sru package: not installed, not compared")
    else:
        for batch, width in ((32, 128), (32, 512), (1, 128)):
            _, (low, middle, high), _ = compared(step("sru package", batch, 512, width), step("SRU", batch, 512, width))
            print(f"sru package / SRU, N = {batch}, T = 512, H = {width}: {middle:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
