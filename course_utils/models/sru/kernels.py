"""The SRU's recurrence for processors, compiled by numba at its first use.

numba brings LLVM: no compiler is needed.

What `forward` and `backward` are given and give stands in `steps`. Each kernel goes through time
once, and every inner loop over the units of a step has one result, so that LLVM makes vector
instructions of it. The sequences of a batch are shared out among PyTorch's threads. Compiled code
is kept for the next run: in __pycache__ or, where that cannot be written, in the user's own folder;
else in memory only.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from llvmlite.binding import add_symbol, get_host_cpu_name
from numba import cfunc, njit, types
from numba.extending import overload
from numpy.typing import NDArray
from torch import Tensor

from .steps import Plan

Array = NDArray[Any]
AMD = get_host_cpu_name().startswith("znver")
at: Any = numba.carray  # type: ignore[attr-defined]  # (address, shape, type of number)
# Which thread of its team asks, from 0, and how many they are; `_openmp` says where these two
# functions are.
thread_number: Any = types.ExternalFunction("course_thread", types.int32())
thread_count: Any = types.ExternalFunction("course_threads", types.int32())
NINE = ctypes.c_int64 * 9  # M, N, H, K, D, C and three settings
SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}


def _kept(make: Callable[..., Any], function: Callable[..., Any]) -> Any:
    """make(cache=True)(function): kept on disk, where a folder can be written to."""
    try:
        return make(cache=True)(function)
    except RuntimeError:  # numba found no such folder
        return make()(function)


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compiled when it is first called with new types."""
    compiled: Callable[..., None] = _kept(functools.partial(njit, **SETTINGS), function)
    return compiled


def sigmoid(z: Any) -> Any:
    """1 / (1 + exp(-z)); in a kernel it stands for one of the two below, by the type of z."""
    return 1 / (1 + math.exp(-z))


def _double(z: Any) -> Any:
    return 1 / (1 + math.exp(-z))


def _single(z: Any) -> Any:
    """The sigmoid in operations that vector instructions have.

    exp(-z) = 2**k exp(r), exp(r) by Cephes' polynomial (expf), and 2**k by writing k into the
    exponent's bits. Where z is not a number, neither is the result.
    """
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
    u: Array,
    x: Array,
    state: Array,
    v: Array,
    bias: Array,
    output: Array,
    alpha: Any,
    highway: bool,
    batch_first: bool,
    backwards: bool,
    begin: int,
    end: int,
) -> None:
    """The sequences from begin to end. u, x and output have a row for each (n, t), or (t, n)."""
    (batch, H), width, own_rows = state.shape, u.shape[1], end - begin
    steps, column = len(u) // batch, H if backwards else 0
    for i in range(steps * own_rows):
        t, n = (
            (i % steps, begin + i // steps)
            if batch_first
            else (i // own_rows, begin + i % own_rows)
        )
        at = steps - 1 - t if backwards else t
        row = n * steps + at if batch_first else at * batch + n
        c, f, r, h = (
            u[row, :H],
            u[row, H : 2 * H],
            u[row, 2 * H : 3 * H],
            output[row, column : column + H],
        )
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
    u: Array,
    x: Array,
    first: Array,
    v: Array,
    doutput: Array,
    carry: Array,
    du: Array,
    dx: Array,
    sums: Array,
    alpha: Any,
    highway: bool,
    batch_first: bool,
    backwards: bool,
    begin: int,
    end: int,
) -> None:
    """The sequences from begin to end. Adds to sums (4, H) dv_f, dv_r, db_f, db_r."""
    (batch, H), width, own_rows = first.shape, u.shape[1], end - begin
    steps, column = len(u) // batch, H if backwards else 0
    for i in range(steps * own_rows - 1, -1, -1):
        t, n = (
            (i % steps, begin + i // steps)
            if batch_first
            else (i // own_rows, begin + i % own_rows)
        )
        at, step = (steps - 1 - t, -1) if backwards else (t, 1)
        row = n * steps + at if batch_first else at * batch + n
        before = first[n] if t == 0 else u[row - step if batch_first else row - step * batch, :H]
        c, f, r, dh = (
            u[row, :H],
            u[row, H : 2 * H],
            u[row, 2 * H : 3 * H],
            doutput[row, column : column + H],
        )
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


@functools.cache
def _always(number: int) -> Any:
    return cfunc(types.int32())(lambda: number)


@functools.cache
def _openmp() -> Any:
    """PyTorch's own OpenMP where it can be spoken to as GNU's, else None.

    (The threads of another pool would have to wait for PyTorch's, which hold on to their processors
    for a while after each product.)
    """
    for library in Path(torch.__file__).parent.glob("lib/libtorch_cpu.*"):
        with contextlib.suppress(OSError, AttributeError):
            found = ctypes.CDLL(str(library))
            found.GOMP_parallel.argtypes = [
                ctypes.c_void_p,
                ctypes.c_void_p,
                ctypes.c_uint,
                ctypes.c_uint,
            ]
            for name, theirs in (
                ("course_thread", found.omp_get_thread_num),
                ("course_threads", found.omp_get_num_threads),
            ):
                add_symbol(name, ctypes.cast(theirs, ctypes.c_void_p).value)
            return found
    add_symbol("course_thread", _always(0).address)
    add_symbol("course_threads", _always(1).address)
    return None


@functools.cache
def _shares(number: Any) -> tuple[Any, Any]:
    """_forward and _backward as C functions of addresses: of the sizes, of alpha and of each array.

    Each thread that runs one does its share of the sequences.
    """

    def forward_share(given: Any) -> None:
        M, N, H, K, D, C, highway, batch_first, backwards = at(given[0], (9,), np.int64)
        u, x, state = (
            at(given[2], (M, K), number),
            at(given[3], (M, D), number),
            at(given[4], (N, H), number),
        )
        v, bias, output = (
            at(given[5], (2, H), number),
            at(given[6], (2, H), number),
            at(given[7], (M, C), number),
        )
        alpha, begin, end = (
            at(given[1], (1,), number)[0],
            N * thread_number() // thread_count(),
            N * (thread_number() + 1) // thread_count(),
        )
        _forward(
            u,
            x,
            state,
            v,
            bias,
            output,
            alpha,
            highway != 0,
            batch_first != 0,
            backwards != 0,
            begin,
            end,
        )

    def backward_share(given: Any) -> None:
        M, N, H, K, D, C, highway, batch_first, backwards = at(given[0], (9,), np.int64)
        u, x, first = (
            at(given[2], (M, K), number),
            at(given[3], (M, D), number),
            at(given[4], (N, H), number),
        )
        v, doutput, carry = (
            at(given[5], (2, H), number),
            at(given[6], (M, C), number),
            at(given[7], (N, H), number),
        )
        du, dx, sums = (
            at(given[8], (M, K), number),
            at(given[9], (M, D), number),
            at(given[10], (thread_count(), 4, H), number)[thread_number()],
        )
        alpha, begin, end = (
            at(given[1], (1,), number)[0],
            N * thread_number() // thread_count(),
            N * (thread_number() + 1) // thread_count(),
        )
        _backward(
            u,
            x,
            first,
            v,
            doutput,
            carry,
            du,
            dx,
            sums,
            alpha,
            highway != 0,
            batch_first != 0,
            backwards != 0,
            begin,
            end,
        )

    make: Any = functools.partial(cfunc, types.void(types.CPointer(types.voidptr)))  # type: ignore[no-untyped-call]
    return _kept(make, forward_share), _kept(make, backward_share)


def _run(which: int, team: int, sizes: tuple[int, ...], plan: Plan, *tensors: Tensor) -> None:
    """_forward (which = 0) or _backward (1) on tensors (N, T, K) or (N, K).

    By a team of at most so many threads.
    """
    dtype, addresses = tensors[0].dtype, []
    for part in tensors:
        if part.dtype != dtype or not part.is_contiguous():
            raise ValueError(
                "the numbers of x, states and weights must be of one type, in one piece each; they"
                f" are {[t.dtype for t in tensors]}"
            )
        addresses.append(part.data_ptr())
    share = _shares(np.float64 if dtype == torch.float64 else np.float32)[which]
    numbers = NINE(tensors[0].numel() // sizes[2], *sizes, *plan[1:])
    alpha = (ctypes.c_double if dtype == torch.float64 else ctypes.c_float)(plan.alpha)
    given = (ctypes.c_void_p * (2 + len(addresses)))(
        ctypes.addressof(numbers), ctypes.addressof(alpha), *addresses
    )
    if (openmp := _openmp()) is None:
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(share.address)(ctypes.addressof(given))
    else:
        openmp.GOMP_parallel(share.address, ctypes.addressof(given), team, 0)


def _team(batch: int) -> int:
    return 1 if _openmp() is None else min(torch.get_num_threads(), batch)


def forward(
    u: Tensor, x: Tensor, state: Tensor, v: Tensor, bias: Tensor, output: Tensor, plan: Plan
) -> None:
    batch, width = state.shape
    _run(
        0,
        _team(batch),
        (batch, width, u.size(2), x.size(2), output.size(2)),
        plan,
        u,
        x,
        state,
        v,
        bias,
        output,
    )


def backward(
    u: Tensor,
    x: Tensor,
    first: Tensor,
    v: Tensor,
    doutput: Tensor,
    carry: Tensor,
    du: Tensor,
    dx: Tensor | None,
    plan: Plan,
) -> Tensor:
    batch, width = first.shape
    team, sizes = _team(batch), (batch, width, u.size(2), x.size(2), doutput.size(2))
    sums = v.new_zeros(team, 4, width)
    _run(1, team, sizes, plan, u, x, first, v, doutput, carry, du, x if dx is None else dx, sums)
    return sums.squeeze(0) if team == 1 else sums.sum(0)
