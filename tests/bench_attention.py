"""The attention of lessons 12 and 14 beside `F.scaled_dot_product_attention`, by length: `python3 course.py bench`.

Both run in one process with the same number of threads, in turn; what is printed is the ratio of the quickest runs.
Lesson 12's is NumPy with one head; lesson 14's is bare tensor operations with heads and a causal mask.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.timing import in_turn
from course_utils.training import setup, threads
from from_notebook import definitions

N, D, HEADS = 32, 64, 8
LENGTHS = (16, 32, 64, 128, 256, 512)  # T = S
FEW = 4  # sequences for lesson 14: 4 sequences of 8 heads are as many rows as lesson 12's 32
LIMIT = 12.0  # lesson 14's forward and backward may take so many times the framework's; at 64 steps

Work = Callable[[], object]


def lesson_12(length: int, lesson: dict) -> tuple[Work, Work]:
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
    expect_equal([gradients[name] for name in ("query", "key", "value")], tensors)
    return ours, theirs


def lesson_14(length: int, lesson: dict, *, backward: bool) -> tuple[Work, Work]:
    """(ours, theirs): the context (FEW, HEADS, T, D) under a causal mask, float32, with the gradients if `backward`."""
    plain = [torch.randn(FEW, HEADS, length, D) for _ in range(3)]
    leaves = [tensor.clone().requires_grad_() for tensor in plain]
    above, mask = torch.randn(FEW, HEADS, length, D), lesson["causal_mask"](length)

    def ours() -> tuple[torch.Tensor, ...]:
        context, _, cache = lesson["attention"](*plain, mask)
        return lesson["attention_backward"](above, cache) if backward else (context,)

    def theirs() -> torch.Tensor:
        if not backward:
            return F.scaled_dot_product_attention(*plain, attn_mask=mask)
        for leaf in leaves:
            leaf.grad = None
        context = F.scaled_dot_product_attention(*leaves, attn_mask=mask)
        context.backward(above)
        return context.detach()

    found, context = ours(), theirs()
    if backward:
        expect_equal([gradient.numpy() for gradient in found], leaves)
    else:
        np.testing.assert_allclose(found[0].numpy(), context.numpy(), rtol=1e-3, atol=1e-4)
    return ours, theirs


def expect_equal(gradients: list, leaves: list[torch.Tensor]) -> None:
    """Raise AssertionError unless the gradients are those of the leaves, up to float32's rounding."""
    for ours, leaf in zip(gradients, leaves, strict=True):
        np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-3, atol=1e-3 * float(leaf.grad.abs().max()))


def times(pair: tuple[Work, Work]) -> tuple[float, float, float]:
    """Milliseconds of ours and of theirs, the quickest run of each, and their ratio."""
    first, second = 1e3 * in_turn(*pair, pairs=7, seconds=1.0).min(axis=0)
    return first, second, first / second


def main() -> None:
    setup()
    lessons = {number: definitions(number) for number in (12, 14)}
    lessons[12]["SCORES"] = {"dot": (lessons[12]["dot_scores"], lessons[12]["dot_backward"])}
    rows: dict[str, Callable[[int], tuple[Work, Work]]] = {
        f"lesson 12, NumPy, forward and backward, N={N}, D={D}": lambda length: lesson_12(length, lessons[12]),
        f"lesson 14, tensors, forward, N={FEW}, A={HEADS}, d={D}": lambda length: lesson_14(length, lessons[14], backward=False),
        "lesson 14, tensors, forward and backward": lambda length: lesson_14(length, lessons[14], backward=True),
    }
    for title, pair in rows.items():
        print(f"attention: {title}, float32, {threads()} thread(s)")
        print("attention:   T = S   ours ms   theirs ms   ours / theirs")
        for length in LENGTHS:
            ours, theirs, ratio = times(pair(length))
            print(f"attention: {length:7} {ours:9.2f} {theirs:11.2f} {ratio:15.2f}", flush=True)
            if length == 64:
                assert ratio <= LIMIT, f"ours may take {LIMIT} times as long at 64 steps; it took {ratio:.2f}"


if __name__ == "__main__":
    main()
