"""Lesson 12's hand-written attention beside `F.scaled_dot_product_attention`, forward and backward, by length: `course.py bench`.

Both run in one process with the same number of threads, in turn; what is printed is the ratio of the quickest runs.
"""

from collections.abc import Callable

import numpy as np
import torch
from from_notebook import definitions
from torch.nn import functional as F

from course_utils.timing import in_turn
from course_utils.training import setup, threads

N, D = 32, 64
LENGTHS = (16, 32, 64, 128, 256, 512)  # T = S


def workloads(length: int, lesson: dict) -> tuple[Callable[[], object], Callable[[], object]]:
    """(ours, theirs): context and the gradients by query, key and value, float32, a tenth of the keys is padding."""
    tensors = [torch.randn(N, length, D) / D**0.25 for _ in range(3)]
    above, mask = torch.randn(N, length, D), torch.arange(length) < torch.linspace(0.8, 1, N)[:, None] * length
    query, key, value = (tensor.numpy() for tensor in tensors)
    array, keep = above.numpy(), mask.numpy()
    for tensor in tensors:
        tensor.requires_grad_()

    def ours() -> dict:
        _, _, cache = lesson["attention"](query, key, value, keep)
        return lesson["attention_backward"](array, cache)

    def theirs() -> None:
        for tensor in tensors:
            tensor.grad = None
        F.scaled_dot_product_attention(*tensors, attn_mask=mask[:, None], scale=1).backward(above)

    gradients = ours()
    theirs()
    for name, tensor in zip(("query", "key", "value"), tensors):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-3, atol=1e-3 * float(tensor.grad.abs().max()))
    return ours, theirs


def main() -> None:
    setup()
    lesson = definitions(12)
    lesson["SCORES"] = {"dot": (lesson["dot_scores"], lesson["dot_backward"])}
    print(f"attention, NumPy beside PyTorch, forward and backward, N={N}, D={D}, {threads()} threads")
    print("  T = S   ours ms   theirs ms   ours / theirs")
    for length in LENGTHS:
        first, second = in_turn(*workloads(length, lesson), pairs=7, seconds=1.0).min(axis=0)
        print(f"{length:7} {1e3 * first:9.2f} {1e3 * second:11.2f} {first / second:15.2f}")


if __name__ == "__main__":
    main()
