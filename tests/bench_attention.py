"""The attention of lessons 12 and 14 beside `F.scaled_dot_product_attention`, by length.

Part of `python3 course.py bench`. Both run in one process with the same number of threads, in
turn; what is printed is the ratio of the quickest runs. Lesson 12's is NumPy with one head; lesson
14's is bare tensor operations with heads and a causal mask.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.timing import in_turn
from course_utils.training import setup, threads
from from_notebook import definitions

N, D, HEADS = 32, 64, 8
LENGTHS = (16, 32, 64, 128, 256, 512)  # T = S
FEW = 4  # sequences for lesson 14: 4 sequences of 8 heads are as many rows as lesson 12's 32
AIM, AT = 12.0, 64  # ours takes at most so many times the framework's time, at so many steps

Work = Callable[[], object]


def lesson_12(length: int, lesson: dict) -> tuple[Work, Work]:
    """(ours, theirs): context and the gradients by query, key and value, float32.

    A tenth of the keys is padding.
    """
    tensors = [torch.randn(N, length, D) / D**0.25 for _ in range(3)]
    above = torch.randn(N, length, D)
    mask = torch.arange(length) < torch.linspace(0.8, 1, N)[:, None] * length
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
    """(ours, theirs): the context (FEW, HEADS, T, D) under a causal mask, float32.

    backward: whether with the gradients.
    """
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

    results, context = ours(), theirs()
    if backward:
        expect_equal([gradient.numpy() for gradient in results], leaves)
    else:
        np.testing.assert_allclose(results[0].numpy(), context.numpy(), rtol=1e-3, atol=1e-4)
    return ours, theirs


def expect_equal(gradients: list, leaves: list[torch.Tensor]) -> None:
    """Raise AssertionError unless the gradients are the leaves', up to float32's rounding."""
    for ours, leaf in zip(gradients, leaves, strict=True):
        close = 1e-3 * float(leaf.grad.abs().max())
        np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-3, atol=close)


def times(pair: tuple[Work, Work]) -> tuple[float, float, float]:
    """Milliseconds of ours and of theirs, the quickest run of each, and their ratio."""
    first, second = 1e3 * in_turn(*pair, pairs=7, seconds=1.0).min(axis=0)
    return first, second, first / second


def main() -> None:
    setup()
    lessons = {number: definitions(number) for number in (12, 14)}
    lessons[12]["SCORES"] = {"dot": (lessons[12]["dot_scores"], lessons[12]["dot_backward"])}
    by_hand = partial(lesson_14, lesson=lessons[14])
    tables: list[tuple[str, Callable[[int], tuple[Work, Work]]]] = [
        (f"12, NumPy, forward and backward, N={N}, D={D}", partial(lesson_12, lesson=lessons[12])),
        (f"14, tensors, forward, N={FEW}, A={HEADS}, d={D}", partial(by_hand, backward=False)),
        ("14, tensors, forward and backward", partial(by_hand, backward=True)),
    ]
    for title, pair in tables:
        print(f"attention: lesson {title}, float32, {threads()} thread(s)")
        print("attention:   T = S   ours ms   theirs ms   ours / theirs")
        for length in LENGTHS:
            ours, theirs, ratio = times(pair(length))
            row = f"{length:7} {ours:9.2f} {theirs:11.2f} {ratio:15.2f}"
            if length == AT:
                row += f"   aim: below {AIM:g}, {'met' if ratio < AIM else 'missed'}"
            print(f"attention: {row}", flush=True)


if __name__ == "__main__":
    main()
