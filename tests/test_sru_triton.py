"""The SRU's Triton kernels, run by Triton's interpreter where there is no GPU.

tests/conftest.py leaves this file out where Triton is not installed: it comes with PyTorch's builds
for GPUs, or by `pip install triton` on Linux.
"""

import os
from types import ModuleType

import pytest
import torch

GPU = torch.cuda.is_available()
if not GPU:
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are defined

from test_sru import CASES, gradients, made, plain

from course_utils.models.sru import SRU, layer as sru_layer, triton

DEVICE = "cuda" if GPU else "cpu"


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if GPU:
        assert sru_layer._recurrence(torch.zeros(1, device=DEVICE)) is triton  # chosen by itself
    monkeypatch.setattr(sru_layer, "_recurrence", lambda x: triton)
    return triton


def leaf(part: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
    return None if part is None else part.detach().to(DEVICE, dtype).requires_grad_()


@pytest.mark.parametrize(
    "dtype, given",
    [(torch.float64, True), (torch.float64, False), (torch.float32, True)],
    ids=["double", "initial zero", "single"],
)
@pytest.mark.parametrize("case", sorted(set(CASES) - {"long"}))  # which takes the interpreter long
def test_equal_to_a_plain_loop(case: str, dtype: torch.dtype, given: bool) -> None:
    layer, x, initial = made(case, dtype, given)
    layer, x, initial = layer.to(DEVICE), leaf(x, dtype), leaf(initial, dtype)
    ours = gradients(layer, layer, x, initial)
    looped = gradients(lambda *values: plain(layer, *values), layer, x, initial)[2]
    x, initial = leaf(x, torch.float64), leaf(initial, torch.float64)
    theirs = gradients(lambda *values: plain(layer, *values), layer.double(), x, initial)
    single = dtype == torch.float32
    for a, b in zip(ours[:2], theirs[:2]):
        scale = max(1.0, float(b.detach().abs().max()))
        torch.testing.assert_close(a.double(), b, rtol=0, atol=1e-6 * scale if single else 1e-12)
    for name, gradient in theirs[2].items():
        size = float(gradient.norm())
        # In float32 within 2e-6, or 8 times as far off as a plain loop in float32 itself
        rounding = 8 * float((looped[name] - gradient).norm())
        allowed = max(2e-6 * size, rounding) if single else 1e-10 * size
        assert float((ours[2][name] - gradient).norm()) <= allowed, name


@pytest.mark.parametrize("width", [64, 65, 130])
def test_several_blocks_of_units(width: int) -> None:
    torch.manual_seed(0)
    layer = SRU(width, width, bidirectional=True).double().to(DEVICE)
    x = torch.randn(2, 5, width, dtype=torch.float64, device=DEVICE)
    ours, theirs = layer(x), plain(layer, x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    losses = [(output**2).sum() for output, _ in (ours, theirs)]
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, [*layer.parameters()]) for loss in losses)
    )
