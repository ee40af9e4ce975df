"""The SRU's recurrence for processors, compiled by numba at its first use (numba brings LLVM: no compiler is needed).

What `forward` and `backward` are given and give stands in `sru_steps`. Each kernel goes through time once, and every
inner loop over the units of a step has one result, so that LLVM makes vector instructions of it. Compiled code is
kept for the next run: in __pycache__ or, where that cannot be written, in the user's own folder; else in memory only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from llvmlite.binding import get_host_cpu_name
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray
from torch import Tensor

from .sru_steps import Gradients, Plan

Array = NDArray[Any]
AMD = get_host_cpu_name().startswith("znver")
SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compiled when it is first called with new types, and kept on disk where a folder can be written to."""
    try:
        kept: Callable[..., None] = njit(cache=True, **SETTINGS)(function)
    except RuntimeError:  # numba found no such folder
        kept = njit(**SETTINGS)(function)
    return kept


def sigmoid(z: Any) -> Any:
    """1 / (1 + exp(-z)); in a kernel it stands for one of the two below, by the type of z."""
    return 1 / (1 + math.exp(-z))


def _double(z: Any) -> Any:
    return 1 / (1 + math.exp(-z))


def _single(z: Any) -> Any:
    """In operations that vector instructions have: exp(-z) = 2**k exp(r), exp(r) by Cephes' polynomial (expf), and
    2**k by writing k into the exponent's bits. Where z is not a number, neither is the result."""
    above = np.float32(-87) if -z < np.float32(-87) else -z
    y = np.float32(87) if above > np.float32(87) else above
    k = np.floor(y * np.float32(1.44269504) + np.float32(0.5))
    r = y - k * np.float32(0.693359375) + k * np.float32(2.12194440e-4)
    p5 = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
    p4 = p5 * r + np.float32(8.3334519073e-3)
    p3 = p4 * r + np.float32(4.1665795894e-2)
    p2 = p3 * r + np.float32(1.6666665459e-1)
    p1 = p2 * r + np.float32(5.0000001201e-1)
    power = np.int32((k + np.float32(127)) * np.float32(1 << 23)).view(np.float32)
    return np.float32(1) / (np.float32(1) + (p1 * r * r + r + np.float32(1)) * power)


@overload(sigmoid)
def _sigmoid(z: Any) -> Callable[[Any], Any]:
    return _single if z == types.float32 else _double


@compiled
def _forward(
    u: Array, x: Array, state: Array, v: Array, bias: Array, output: Array, alpha: Any, highway: bool, batch_first: bool,
    backwards: bool,
) -> None:  # fmt: skip
    """u, x and output have a row for each (n, t), or (t, n)."""
    (batch, H), width = state.shape, u.shape[1]
    steps, column = len(u) // batch, H if backwards else 0
    for i in range(steps * batch):
        t, n = (i % steps, i // steps) if batch_first else (i // batch, i % batch)
        at = steps - 1 - t if backwards else t
        row = n * steps + at if batch_first else at * batch + n
        c, f, r, h = u[row, :H], u[row, H : 2 * H], u[row, 2 * H : 3 * H], output[row, column : column + H]
        before = state[n]
        for j in range(H):
            f[j] = sigmoid(f[j] + v[0, j] * before[j] + bias[0, j])
        for j in range(H):
            r[j] = sigmoid(r[j] + v[1, j] * before[j] + bias[1, j])
        for j in range(H):
            c[j] += f[j] * (before[j] - c[j])
        before[:] = c
        if highway:
            straight = x[row] if width == 3 * H else u[row, 3 * H :]
            for j in range(H):
                h[j] = r[j] * (c[j] - alpha * straight[j]) + alpha * straight[j]
        else:
            for j in range(H):
                h[j] = r[j] * c[j]


@compiled
def _backward(
    u: Array, x: Array, first: Array, v: Array, doutput: Array, carry: Array, du: Array, dx: Array, sums: Array, alpha: Any,
    highway: bool, batch_first: bool, backwards: bool,
) -> None:  # fmt: skip
    """Adds to sums (4, H) dv_f, dv_r, db_f, db_r."""
    (batch, H), width = first.shape, u.shape[1]
    steps, column = len(u) // batch, H if backwards else 0
    for i in range(steps * batch - 1, -1, -1):
        t, n = (i % steps, i // steps) if batch_first else (i // batch, i % batch)
        at, step = (steps - 1 - t, -1) if backwards else (t, 1)
        row = n * steps + at if batch_first else at * batch + n
        before = first[n] if t == 0 else u[row - step if batch_first else row - step * batch, :H]
        c, f, r, dh = u[row, :H], u[row, H : 2 * H], u[row, 2 * H : 3 * H], doutput[row, column : column + H]
        dc, dz_f, dz_r, later = du[row, :H], du[row, H : 2 * H], du[row, 2 * H : 3 * H], carry[n]
        if highway:
            straight = x[row] if width == 3 * H else u[row, 3 * H :]
            dstraight = dx[row] if width == 3 * H else du[row, 3 * H :]
            for j in range(H):
                dz_r[j] = (dh[j] - r[j] * dh[j]) * r[j] * (c[j] - alpha * straight[j])
            for j in range(H):
                dstraight[j] = (dh[j] - r[j] * dh[j]) * alpha
        else:
            for j in range(H):
                dz_r[j] = (dh[j] - r[j] * dh[j]) * r[j] * c[j]
        for j in range(H):
            dc[j] = dh[j] * r[j] + later[j]
        for j in range(H):  # f (1 - f) (c_{t-1} - u_t), for c_{t-1} - c_t = (1 - f) (c_{t-1} - u_t)
            dz_f[j] = dc[j] * f[j] * (before[j] - c[j])
        for j in range(H):
            later[j] = dc[j] * f[j] + v[0, j] * dz_f[j] + v[1, j] * dz_r[j]
        for j in range(H):
            dc[j] -= dc[j] * f[j]
        for gate, dz in ((0, dz_f), (1, dz_r)):
            dv, db = sums[gate], sums[2 + gate]
            for j in range(H):
                dv[j] += dz[j] * before[j]
                db[j] += dz[j]


def _rows(*tensors: Tensor) -> list[Array]:
    """Each (N, T, K) as an array (N * T, K) of the same numbers in the same place; (N, H) as it is."""
    return [values.detach().numpy().reshape(-1, values.size(-1)) for values in tensors]


def forward(u: Tensor, x: Tensor, state: Tensor, v: Tensor, bias: Tensor, output: Tensor, plan: Plan) -> None:
    arrays = _rows(u, x, state, v, bias.view(2, -1), output)
    _forward(*arrays, arrays[0].dtype.type(plan.alpha), plan.highway, plan.batch_first, plan.backwards)


def backward(u: Tensor, x: Tensor, first: Tensor, v: Tensor, doutput: Tensor, carry: Tensor, plan: Plan) -> Gradients:
    du, sums = torch.empty_like(u), v.new_zeros(4, v.size(1))
    dx = torch.empty_like(x) if plan.highway and u.size(2) == 3 * v.size(1) else None
    arrays = _rows(u, x, first, v, doutput, carry, du, x if dx is None else dx, sums)
    _backward(*arrays, arrays[0].dtype.type(plan.alpha), plan.highway, plan.batch_first, plan.backwards)
    return du, dx, sums[:2], sums[2:].flatten()
