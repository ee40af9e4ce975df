"""A fast simple recurrent unit (SRU) with the interface of `torch.nn.GRU`; no compiler needed.

The unit, from Lei, Zhang, Wang, Dai and Artzi (2018), https://arxiv.org/abs/1709.02755:

    f_t = sigmoid(x_t W_f + v_f * c_{t-1} + b_f)            forget gate
    r_t = sigmoid(x_t W_r + v_r * c_{t-1} + b_r)            reset gate
    c_t = f_t * c_{t-1} + (1 - f_t) * (x_t W)               state
    h_t = r_t * c_t + (1 - r_t) * alpha * s_t               output; s_t is x_t, or x_t W_s where D and H differ

Every state acts on itself alone, so that all products with x are one large product, and what is left to do
step by step is a few operations on (N, H) numbers. What makes it fast on a processor:

- The large products run in oneDNN, not in torch.mm's library, which is up to twice as slow on some processors.
- Time goes in blocks that fit the cache: product, loop and gates of one block, then the next.
- Only three operations stand in the forward loop and one in the backward loop. The gradient of the state obeys
  dc_{t-1} = (direct part) + A_t * dc_t with A_t = f_t (1 + v_f (c_{t-1} - c_t)), known beforehand for all t.
- Where the batch is so small that the cost of calling an operation outweighs its work, time is cut into
  segments that run side by side (see `_states` and `_scan`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

ROWS, NUMBERS = 512, 1 << 18  # a block of time: at least this many rows (t, n), and about this many numbers (t, n, h)
SMALL, WIDE = 1024, 4096  # states in a step below which time is cut into segments, and how many states a step then has
PASSES = 6  # over the segments, before giving up and going step by step


def _linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows (M, D), weight (K, D) to rows @ weight.T + bias (M, K), by oneDNN where it can, else as PyTorch does it."""
    if rows.dtype == torch.float32 and rows.device.type == "cpu" and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
        return product
    return torch.nn.functional.linear(rows, weight, bias)


def _segments(steps: int, states: int) -> int:
    """Into how many segments to cut `steps` steps of `states` numbers each; 1 where it would not pay."""
    return max(1, min(steps // 16, WIDE // states)) if states <= SMALL else 1


def _loop(u: Tensor, z: Tensor, v: Tensor, c: Tensor, f: Tensor, states: Tensor) -> Tensor:
    """Steps along the first dimension of u, z; fills f and states, returns the last state."""
    multiply_add, lerp = torch.addcmul, torch.lerp
    for u_t, z_t, f_t, c_t in zip(u.unbind(), z.unbind(), f.unbind(), states.unbind()):
        multiply_add(z_t, v, c, out=f_t)
        f_t.sigmoid_()
        c = lerp(u_t, c, f_t, out=c_t)
    return c


def _states(u: Tensor, z: Tensor, v: Tensor, c: Tensor, f: Tensor, states: Tensor) -> None:
    """Candidates u, gate inputs z, first state c (N, H) to forget gates f and states (L, N, H).

    Where N and H are small, segments of time run side by side from guessed first states. Each then takes over
    the last state of the segment before it, until none changes by more than rounding: a gate below 1 forgets a wrong
    guess, mostly within two or three passes. Where it does not, the segments are run one after another.
    """
    steps, segments = u.size(0), _segments(u.size(0), c.numel())
    done = 0
    if segments > 1:
        done = steps // segments * segments
        u_cut, z_cut, f_cut, cut = (part[:done].view(segments, -1, *c.shape).transpose(0, 1) for part in (u, z, f, states))
        first = c.repeat(segments, 1, 1)
        for _ in range(PASSES):
            last = _loop(u_cut, z_cut, v, first, f_cut, cut)
            change = last[:-1] - first[1:]
            first = torch.cat((c[None], last[:-1]))
            if bool((change.abs() <= 4 * torch.finfo(c.dtype).eps * (1 + first[1:].abs())).all()):
                break
        else:
            done = 0
        c = states[done - 1] if done else c
    if done < steps:
        _loop(u[done:], z[done:], v, c, f[done:], states[done:])


def _scan(a: Tensor, b: Tensor) -> None:
    """b_t += a_{t+1} * b_{t+1} from the last step but one to the first, in place; a, b (L, N, H).

    With segments: each is scanned as if nothing followed it, the product of its a's tells what a number handed in
    at its end becomes, and one operation adds that to all.
    """
    steps, segments = b.size(0), _segments(b.size(0), b[0].numel())
    done = steps - steps // segments * segments if segments > 1 else steps - 1  # the first `done` steps are left for the plain loop
    if segments > 1:
        a_cut, b_cut = ([part[done:].view(segments, -1, *part.shape[1:]).unbind(1) for part in (a, b)])
        factors = torch.empty_like(b[done:]).view(segments, -1, *b.shape[1:])
        factor = factors.unbind(1)
        factor[-1].fill_(1)
        for t in range(len(b_cut) - 2, -1, -1):
            b_cut[t].addcmul_(a_cut[t + 1], b_cut[t + 1])
            torch.mul(a_cut[t + 1], factor[t + 1], out=factor[t])
        handed = torch.zeros_like(factor[0])
        for k in range(segments - 2, -1, -1):  # a_next * b_next: what segment k + 1 hands to the last step of segment k
            torch.mul(a_cut[0][k + 1], torch.addcmul(b_cut[0][k + 1], factor[0][k + 1], handed[k + 1]), out=handed[k])
        b[done:].view_as(factors).addcmul_(factors, handed[:, None])
    a_steps, b_steps = a[: done + 1].unbind(), b[: done + 1].unbind()
    for t in range(min(done, steps - 1) - 1, -1, -1):
        b_steps[t].addcmul_(a_steps[t + 1], b_steps[t + 1])


def _rows(x: Tensor, start: int, stop: int, backwards: bool) -> Tensor:
    """Steps start to stop of x (T, N, D) as a contiguous array; counted from the end and turned round if backwards."""
    part = x[x.size(0) - stop : x.size(0) - start].flip(0) if backwards else x[start:stop]
    return part.contiguous()


def _place(x: Tensor, start: int, stop: int, backwards: bool, values: Tensor, add: bool = False) -> None:
    """The reverse of `_rows`: write, or add, values to these steps of x."""
    part = x[x.size(0) - stop : x.size(0) - start] if backwards else x[start:stop]
    values = values.flip(0) if backwards else values
    part.add_(values) if add else part.copy_(values)


class _Layer(torch.autograd.Function):
    """One layer, all directions: x (T, N, D), initial (directions, N, H) to output (T, N, directions * H) and last states.

    weights: for each direction weight (kH, D), v (2, H), bias (2H). k is 2 gates, the candidate and perhaps W_s.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, initial: Tensor, alpha: float, highway: bool, keep: bool, *weights: Tensor) -> tuple[Tensor, Tensor]:
        (steps, batch, size), (directions, _, width) = x.shape, initial.shape
        batch_first = x.stride(0) < x.stride(1)
        output = x.new_empty((batch, steps, directions * width) if batch_first else (steps, batch, directions * width))
        output = output.transpose(0, 1) if batch_first else output
        block = max(1, max(ROWS, NUMBERS // width) // batch)
        last, saved = torch.empty_like(initial), []
        for d in range(directions):
            weight, v, bias = weights[3 * d : 3 * d + 3]
            k = weight.size(0) // width
            full_bias = torch.cat([bias.new_zeros(width), bias, bias.new_zeros((k - 3) * width)])
            length = steps if keep else min(block, steps)
            c, f, r = x.new_empty(length + 1, batch, width), x.new_empty(length, batch, width), x.new_empty(length, batch, width)
            c[0] = initial[d]
            for start in range(0, steps, block):
                stop = min(start + block, steps)
                at = slice(start, stop) if keep else slice(0, stop - start)
                if start and not keep:
                    c[0] = last[d]
                rows = _rows(x, start, stop, d == 1)
                u = _linear(rows.flatten(0, 1), weight, full_bias).view(*rows.shape[:2], k * width)
                states, gates, before = c[at.start + 1 : at.stop + 1], r[at], c[at]
                _states(u[..., :width], u[..., width : 2 * width], v[0], before[0], f[at], states)
                torch.addcmul(u[..., 2 * width : 3 * width], v[1], before, out=gates).sigmoid_()
                if highway:
                    h = torch.lerp((rows if k == 3 else u[..., 3 * width :]) * alpha, states, gates)
                else:
                    h = gates * states
                _place(output[..., d * width : (d + 1) * width], start, stop, d == 1, h)
                last[d] = states[-1]
            saved += [c, f, r]
        ctx.save_for_backward(x, *weights, *(saved if keep else []))
        ctx.settings = (alpha, highway, directions, block)
        return output, last

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, doutput: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
        alpha, highway, directions, block = ctx.settings
        x, *rest = ctx.saved_tensors
        weights, saved = rest[: 3 * directions], rest[3 * directions :]
        steps, width = x.size(0), dlast.size(2)
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dinitial, dweights = torch.empty_like(dlast), []
        for d in range(directions):
            (weight, v, bias), (c, f, r) = weights[3 * d : 3 * d + 3], saved[3 * d : 3 * d + 3]
            k, carry = weight.size(0) // width, dlast[d]
            dweight, dv, dbias = weight.new_zeros(weight.shape[::-1]), torch.zeros_like(v), torch.zeros_like(bias)
            for start in reversed(range(0, steps, block)):
                stop = min(start + block, steps)
                rows, dh = _rows(x, start, stop, d == 1), _rows(doutput[..., d * width : (d + 1) * width], start, stop, d == 1)
                before, states, forget, gates = c[start:stop], c[start + 1 : stop + 1], f[start:stop], r[start:stop]
                du = x.new_empty(*dh.shape[:2], k * width)
                dz_f, dz_r = du[..., width : 2 * width], du[..., 2 * width : 3 * width]
                dc = dh * gates
                passed = dh - dc  # what the highway carries
                if not highway:
                    difference = states * passed
                elif k == 3:
                    difference = torch.sub(states, rows, alpha=alpha).mul_(passed)
                else:
                    straight = _linear(rows.flatten(0, 1), weight[3 * width :]).view_as(states)
                    difference = torch.sub(states, straight, alpha=alpha).mul_(passed)
                    torch.mul(passed, alpha, out=du[..., 3 * width :])
                torch.mul(difference, gates, out=dz_r)
                dc[:-1].addcmul_(v[1], dz_r[1:])
                dc[-1] += carry
                lost = (before - states).mul_(forget)  # (1 - f) (c_{t-1} - u_t) f, for c_{t-1} - c_t = (1 - f) (c_{t-1} - u_t)
                a = torch.addcmul(forget, v[0], lost)
                _scan(a, dc)
                carry = (a[0] * dc[0]).addcmul_(v[1], dz_r[0])
                torch.mul(dc, lost, out=dz_f)
                torch.addcmul(dc, dc, forget, value=-1, out=du[..., :width])
                flat, into_gates = du.flatten(0, 1), du[..., width : 3 * width].unflatten(2, (2, width))
                dv += (into_gates * before[:, :, None]).sum((0, 1))
                dbias += flat[:, width : 3 * width].sum(0)
                if ctx.needs_input_grad[5 + 3 * d]:
                    dweight += _linear(rows.flatten(0, 1).t(), flat.t())
                if dx is not None:
                    part = _linear(flat, weight.t()).view_as(rows)
                    if highway and k == 3:
                        part.add_(passed, alpha=alpha)
                    _place(dx, start, stop, d == 1, part, add=d == 1)
            dinitial[d] = carry
            dweights += [dweight.t(), dv, dbias]
        return dx, dinitial, None, None, None, *dweights


class SRU(torch.nn.Module):
    """Layers of simple recurrent units, called as `output, last = layer(x, initial=None)`.

    x: (N, T, D), or (T, N, D) if not batch_first. initial: c_0, (num_layers * directions, N, H); zeros when None.
    output: h of the last layer, (N, T, directions * H) or (T, N, ...). last: c_T of each layer and direction, as initial.

    highway: without it h_t = r_t * c_t. rescale: whether alpha is sqrt(1 + 2 exp(b_r)), the paper's scaled
    initialisation, which keeps the size of activations alike in deep stacks, or 1. highway_bias: b_r at the start.
    dropout: of the output of every layer but the last, while training.
    Parameters of layer l: weight_l (kH, D): rows of W, W_f, W_r and, where D and H differ, W_s; v_l (2, H): v_f, v_r;
    bias_l (2H): b_f, b_r. Those of the backward direction end in _reverse.
    Raises ValueError, naming what was expected, when a size or a shape does not fit.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bidirectional: bool = False, batch_first: bool = True,
        highway: bool = True, dropout: float = 0.0, rescale: bool = True, highway_bias: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(f"input_size {input_size}, hidden_size {hidden_size} and num_layers {num_layers} must each be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; expected the share of numbers to drop, at least 0 and below 1")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.batch_first, self.highway, self.dropout = bidirectional, batch_first, highway, dropout
        self.highway_bias = highway_bias
        self.alpha = math.sqrt(1 + 2 * math.exp(highway_bias)) if rescale and highway else 1.0
        for layer, suffix in self._names():
            size = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            rows = hidden_size * (4 if highway and size != hidden_size else 3)
            self.register_parameter(f"weight_l{layer}{suffix}", torch.nn.Parameter(torch.empty(rows, size)))
            self.register_parameter(f"v_l{layer}{suffix}", torch.nn.Parameter(torch.empty(2, hidden_size)))
            self.register_parameter(f"bias_l{layer}{suffix}", torch.nn.Parameter(torch.empty(2 * hidden_size)))
        self.reset_parameters()

    def _names(self) -> list[tuple[int, str]]:
        return [(layer, suffix) for layer in range(self.num_layers) for suffix in ("", "_reverse")[: 1 + self.bidirectional]]

    def reset_parameters(self) -> None:
        """Weights of mean 0 and variance 1/D; half of that where W_f x and v_f c share a gate, so that v has 1/2."""
        for layer, suffix in self._names():
            weight, v, bias = (getattr(self, f"{kind}_l{layer}{suffix}") for kind in ("weight", "v", "bias"))
            bound = math.sqrt(3 / weight.size(1))
            torch.nn.init.uniform_(weight, -bound, bound)
            torch.nn.init.uniform_(v, -math.sqrt(1.5), math.sqrt(1.5))
            with torch.no_grad():
                weight[self.hidden_size : 3 * self.hidden_size] *= math.sqrt(0.5)
                bias[: self.hidden_size], bias[self.hidden_size :] = 0.0, self.highway_bias

    def extra_repr(self) -> str:
        return (
            f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, bidirectional={self.bidirectional}, "
            f"batch_first={self.batch_first}, highway={self.highway}, dropout={self.dropout}"
        )

    def forward(self, x: Tensor, initial: Tensor | None = None) -> tuple[Tensor, Tensor]:
        wanted = f"({'N, T' if self.batch_first else 'T, N'}, {self.input_size})"
        if x.dim() != 3 or x.size(2) != self.input_size or x.numel() == 0:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected {wanted} with N and T at least 1")
        weight = self.get_parameter("weight_l0")
        if x.dtype != weight.dtype:
            raise ValueError(f"x holds {x.dtype}, the layer's weights {weight.dtype}; expected the same")
        steps_first = x.transpose(0, 1) if self.batch_first else x
        directions = 1 + self.bidirectional
        shape = (self.num_layers * directions, steps_first.size(1), self.hidden_size)
        if initial is not None and (tuple(initial.shape) != shape or initial.dtype != x.dtype):
            raise ValueError(
                f"initial has shape {tuple(initial.shape)} of {initial.dtype}; expected {shape} (layers * directions, N, H) of {x.dtype}"
            )
        states = x.new_zeros(shape) if initial is None else initial
        last = []
        for layer in range(self.num_layers):
            parameters = [
                self.get_parameter(f"{kind}_l{layer}{suffix}")
                for suffix in ("", "_reverse")[:directions]
                for kind in ("weight", "v", "bias")
            ]
            part = states[layer * directions : (layer + 1) * directions]
            keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (steps_first, part, *parameters))
            steps_first, ended = _Layer.apply(steps_first, part, self.alpha, self.highway, keep, *parameters)  # type: ignore[no-untyped-call]
            last.append(ended)
            if self.dropout and layer < self.num_layers - 1:
                steps_first = torch.nn.functional.dropout(steps_first, self.dropout, self.training)
        return (steps_first.transpose(0, 1) if self.batch_first else steps_first), torch.cat(last)
