"""The SRU's recurrence in operations of torch.

For processors and numbers that the compiled kernels do not serve.

`forward` and `backward` here, in `kernels` (numba) and in `triton` do the same to the same
arguments:

- u (N, T, kH), or (T, N, kH) if not plan.batch_first: the products of x with W, W_f, W_r and
  perhaps W_s. `forward` writes states over the first, gates f and r over the next two; `backward`
  reads them.
- x (N, T, D): what the highway carries when k is 3. v (2, H): v_f, v_r. bias (2H): b_f, b_r.
- output (N, T, directions * H): h is written into its first or, for the direction back in time,
  second H columns.
- state, first, carry (N, H): `forward` finds c_0 in `state` and leaves c_T there; `backward` is
  given c_0 as `first`, finds dL/dc_T in `carry` and leaves dL/dc_0 there.
- `backward` writes dL/du to `du` and, where the highway carries x, its part of dL/dx to `dx` (None
  elsewhere); it gives dL/dv and dL/dbias as (4, H): of v_f, v_r, b_f, b_r.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Plan(NamedTuple):
    """What kind of layer it is.

    alpha: scales the highway. backwards: the direction is back in time.
    """

    alpha: float
    highway: bool
    batch_first: bool
    backwards: bool


def _parts(u: Tensor, x: Tensor, width: int, plan: Plan) -> tuple[Tensor, ...]:
    """States, gates f and r, and what the highway carries, with time as the first dimension."""
    c, f, r, *straight = torch.split(u, width, 2)
    parts = (c, f, r, straight[0] if straight else x)
    return tuple(part.transpose(0, 1) for part in parts) if plan.batch_first else parts


def _columns(output: Tensor, width: int, plan: Plan) -> Tensor:
    part = output[..., width:] if plan.backwards else output[..., :width]
    return part.transpose(0, 1) if plan.batch_first else part


def _moved(values: Tensor, edge: Tensor, later: bool) -> Tensor:
    """values (T, N, H) moved by a step: to the step before, or after if `later`.

    `edge` stands at the end that is left open.
    """
    return torch.cat((edge[None], values[:-1])) if later else torch.cat((values[1:], edge[None]))


def forward(
    u: Tensor, x: Tensor, state: Tensor, v: Tensor, bias: Tensor, output: Tensor, plan: Plan
) -> None:
    width = v.size(1)
    c, f, r, straight = _parts(u, x, width, plan)
    f.add_(bias[:width])
    first, before = state.clone(), state
    for t in reversed(range(len(c))) if plan.backwards else range(len(c)):
        torch.addcmul(f[t], v[0], before, out=f[t]).sigmoid_()
        before = torch.lerp(c[t], before, f[t], out=c[t])
    state.copy_(before)
    r.add_(bias[width:]).addcmul_(v[1], _moved(c, first, not plan.backwards)).sigmoid_()
    _columns(output, width, plan).copy_(
        torch.lerp(straight * plan.alpha, c, r) if plan.highway else r * c
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
    """The gradients, with one operation in the loop.

    The gradient of the state obeys dc_t = (direct part) + a_{t+1} * dc_{t+1}, where a_t = f_t (1 +
    v_f (c_{t-1} - c_t)) is known beforehand for all t.
    """
    width = v.size(1)
    c, f, r, straight = _parts(u, x, width, plan)
    du_c, dz_f, dz_r, dstraight = _parts(du, x if dx is None else dx, width, plan)
    dh, before = _columns(doutput, width, plan), _moved(c, first, not plan.backwards)
    passed = dh * (1 - r)
    if plan.highway:
        torch.mul(passed, plan.alpha, out=dstraight)
    torch.mul(passed * r, c - plan.alpha * straight if plan.highway else c, out=dz_r)
    dc = dh * r + _moved(v[1] * dz_r, carry, plan.backwards)
    lost = f * (
        before - c
    )  # f (1 - f) (c_{t-1} - u_t), for c_{t-1} - c_t = (1 - f) (c_{t-1} - u_t)
    a = f + v[0] * lost
    order = list(range(len(c)) if plan.backwards else reversed(range(len(c))))
    for t, following in zip(order[1:], order):
        dc[t].addcmul_(a[following], dc[following])
    torch.add(a[order[-1]] * dc[order[-1]], v[1] * dz_r[order[-1]], out=carry)
    torch.mul(dc, lost, out=dz_f)
    torch.mul(dc, 1 - f, out=du_c)
    return torch.stack([part.sum((0, 1)) for part in (dz_f * before, dz_r * before, dz_f, dz_r)])
