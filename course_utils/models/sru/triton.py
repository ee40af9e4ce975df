"""The SRU's recurrence for GPUs, in Triton's language (it comes with PyTorch's builds for GPUs).

What `forward` and `backward` are given and give stands in `steps`. A program owns one sequence and
BLOCK of its units, and goes through time with their states in registers. It reads a step ahead, so
that it seldom waits for memory.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .steps import Plan

BLOCK = 64  # units to a program: small, so that a small batch too keeps the whole GPU busy


@triton.jit  # type: ignore[untyped-decorator]
def _forward(  # type: ignore[no-untyped-def]
    u,
    straight,
    state,
    v,
    bias,
    output,
    steps,
    H,
    row_n,
    row_t,
    u_row,
    straight_row,
    output_row,
    alpha: tl.constexpr,
    highway: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Pointers to the first step that is taken.

    row_n, row_t: rows from one sequence, one step to the next.
    """
    n, j = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    real = j < H
    v_f, v_r = tl.load(v + j, real, 0.0), tl.load(v + H + j, real, 0.0)
    b_f, b_r = tl.load(bias + j, real, 0.0), tl.load(bias + H + j, real, 0.0)
    c = tl.load(state + n * H + j, real, 0.0)
    at, straight_at = u + n * row_n * u_row + j, straight + n * row_n * straight_row + j
    output_at = output + n * row_n * output_row + j
    u_c, z_f, z_r = (
        tl.load(at, real, 0.0),
        tl.load(at + H, real, 0.0),
        tl.load(at + 2 * H, real, 0.0),
    )
    s = tl.load(straight_at, real, 0.0)
    for t in range(steps):
        move = row_t * tl.minimum(steps - 1 - t, 1)  # at the last step there is nothing ahead
        following, straight_at = at + move * u_row, straight_at + move * straight_row
        next_c, next_f = tl.load(following, real, 0.0), tl.load(following + H, real, 0.0)
        next_r, next_s = tl.load(following + 2 * H, real, 0.0), tl.load(straight_at, real, 0.0)
        f, r = 1 / (1 + tl.exp(-(z_f + v_f * c + b_f))), 1 / (1 + tl.exp(-(z_r + v_r * c + b_r)))
        c = u_c + f * (c - u_c)
        if highway:
            h = alpha * s + r * (c - alpha * s)
        else:
            h = r * c
        tl.store(at, c, real)
        tl.store(at + H, f, real)
        tl.store(at + 2 * H, r, real)
        tl.store(output_at, h, real)
        at, output_at = following, output_at + row_t * output_row
        u_c, z_f, z_r, s = next_c, next_f, next_r, next_s
    tl.store(state + n * H + j, c, real)


@triton.jit  # type: ignore[untyped-decorator]
def _backward(  # type: ignore[no-untyped-def]
    u,
    straight,
    first,
    v,
    doutput,
    carry,
    du,
    dstraight,
    sums,
    steps,
    H,
    row_n,
    row_t,
    u_row,
    straight_row,
    output_row,
    alpha: tl.constexpr,
    highway: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Pointers to the first step that is taken.

    row_n, row_t: rows from one sequence, one step to the next. sums: (N, 4, H).
    """
    n, j = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    real = j < H
    v_f, v_r = tl.load(v + j, real, 0.0), tl.load(v + H + j, real, 0.0)
    start = tl.load(first + n * H + j, real, 0.0)
    dc = tl.load(carry + n * H + j, real, 0.0)
    place, place_s = n * row_n * u_row + j, n * row_n * straight_row + j
    output_at = doutput + n * row_n * output_row + j
    c, dv_f, dv_r, db_f, db_r = tl.load(u + place, real, 0.0), dc * 0, dc * 0, dc * 0, dc * 0
    before = tl.load(u + place + row_t * tl.minimum(steps - 1, 1) * u_row, real, 0.0)
    f, r = tl.load(u + place + H, real, 0.0), tl.load(u + place + 2 * H, real, 0.0)
    s, dh = tl.load(straight + place_s, real, 0.0), tl.load(output_at, real, 0.0)
    for t in range(steps):
        move, move_2 = row_t * tl.minimum(steps - 1 - t, 1), row_t * tl.minimum(steps - 1 - t, 2)
        place_next, place_s_next = place + move * u_row, place_s + move * straight_row
        output_at = output_at + move * output_row
        next_f, next_r = (
            tl.load(u + place_next + H, real, 0.0),
            tl.load(u + place_next + 2 * H, real, 0.0),
        )
        next_before = tl.load(u + place + move_2 * u_row, real, 0.0)
        next_s, next_dh = tl.load(straight + place_s_next, real, 0.0), tl.load(output_at, real, 0.0)
        c_before = tl.where(t < steps - 1, before, start)
        passed = dh * (1 - r)
        if highway:
            tl.store(dstraight + place_s, passed * alpha, real)
            dz_r = passed * r * (c - alpha * s)
        else:
            dz_r = passed * r * c
        dc += dh * r
        dz_f = dc * f * (c_before - c)
        tl.store(du + place, dc * (1 - f), real)
        tl.store(du + place + H, dz_f, real)
        tl.store(du + place + 2 * H, dz_r, real)
        dc = dc * f + v_f * dz_f + v_r * dz_r
        dv_f, dv_r, db_f, db_r = (
            dv_f + dz_f * c_before,
            dv_r + dz_r * c_before,
            db_f + dz_f,
            db_r + dz_r,
        )
        c, before, f, r, s, dh = before, next_before, next_f, next_r, next_s, next_dh
        place, place_s = place_next, place_s_next
    tl.store(carry + n * H + j, dc, real)
    sums += n * 4 * H + j
    tl.store(sums, dv_f, real)
    tl.store(sums + H, dv_r, real)
    tl.store(sums + 2 * H, db_f, real)
    tl.store(sums + 3 * H, db_r, real)


def _launch(
    kernel: Any,
    u: Tensor,
    straight: Tensor,
    output: Tensor,
    arguments: list[Tensor],
    ahead: bool,
    plan: Plan,
) -> None:
    """Start a program for each sequence and block of units.

    ahead: from the first step in memory to the last.
    """
    batch, steps = u.shape[:2] if plan.batch_first else (u.size(1), u.size(0))
    row_n, row_t = (steps, 1) if plan.batch_first else (1, batch)
    width = arguments[3].size(1)
    edges = [
        part.select(1 if plan.batch_first else 0, 0 if ahead else -1) if part.dim() == 3 else part
        for part in arguments
    ]
    strides = (row_n, row_t if ahead else -row_t, u.size(2), straight.size(2), output.size(2))
    with torch.cuda.device_of(u):  # type: ignore[no-untyped-call]
        kernel[batch, triton.cdiv(width, BLOCK)](
            *edges,
            steps,
            width,
            *strides,
            alpha=plan.alpha,
            highway=plan.highway,
            BLOCK=BLOCK,
            num_warps=BLOCK // 32,
        )


def _carried(u: Tensor, x: Tensor | None, width: int) -> tuple[Tensor, Tensor]:
    """Whose rows the highway's part stands in, and the part itself.

    Without a highway it is not read.
    """
    whole = u if x is None or u.size(2) > 3 * width else x
    return whole, u[..., 3 * width :] if u.size(2) > 3 * width else whole


def forward(
    u: Tensor, x: Tensor, state: Tensor, v: Tensor, bias: Tensor, output: Tensor, plan: Plan
) -> None:
    width = v.size(1)
    whole, part = _carried(u, x if plan.highway else None, width)
    columns = output[..., width:] if plan.backwards else output
    _launch(
        _forward, u, whole, output, [u, part, state, v, bias, columns], not plan.backwards, plan
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
    width = v.size(1)
    whole, part = _carried(u, x if plan.highway else None, width)
    _, dpart = _carried(du, dx, width)
    columns = doutput[..., width:] if plan.backwards else doutput
    sums = v.new_empty(len(first), 4 * width)
    _launch(
        _backward,
        u,
        whole,
        doutput,
        [u, part, first, v, columns, carry, du, dpart, sums],
        plan.backwards,
        plan,
    )
    return sums.sum(0).view(4, width)
