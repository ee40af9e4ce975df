"""A fast simple recurrent unit (SRU) with the interface of `torch.nn.GRU`; no compiler needed.

The unit, from Lei, Zhang, Wang, Dai and Artzi (2018), https://arxiv.org/abs/1709.02755:

    f_t = sigmoid(x_t W_f + v_f * c_{t-1} + b_f)            forget gate
    r_t = sigmoid(x_t W_r + v_r * c_{t-1} + b_r)            reset gate
    c_t = f_t * c_{t-1} + (1 - f_t) * (x_t W)               state
    h_t = r_t * c_t + (1 - r_t) * alpha * s_t               output; s_t is x_t, or x_t W_s if D != H

Every state acts on itself alone, so that all products with x are one large product, and what is
left to do step by step is a few operations on (N, H) numbers. What makes it fast:

- The large products run in the library that is quick on this processor (see `_prefers_onednn`), a
  block that fits the cache at a time: the steps, or the sequences, that lie together in memory.
- All the rest of the way forward is one compiled kernel that goes through time once and leaves
  states and gates where it found the products; so is the way back, which leaves the gradients that
  two large products need. The kernels are in `kernels` (processors) and `triton` (NVIDIA's and
  AMD's GPUs); `steps` does the same without them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import mmap
import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import plain, steps
from .steps import Plan

KERNELS = {"cpu": "kernels", "cuda": "triton"}  # device: whose module
LARGE = 1 << 25  # bytes: what is smaller, the C library keeps for the next call
NUMBERS = (
    1 << 20
)  # products of x that are worked on together, so that they are still in the cache when next needed


@functools.cache
def _prefers_onednn() -> bool:
    """Whether to multiply by oneDNN: on AMD's processors.

    There MKL, torch.mm's library, takes older instructions.
    """
    return getattr(_module("kernels"), "AMD", False) and hasattr(
        torch.ops.mkldnn, "_linear_pointwise"
    )


def _onednn(x: Tensor) -> bool:
    if x.dtype != torch.float32 or x.device.type != "cpu" or torch.compiler.is_compiling():
        return False  # the compiler refuses this product
    return _prefers_onednn()


def _empty(like: Tensor, *shape: int) -> Tensor:
    """A tensor with nothing in it yet; a large one in pages of 2 MB where the system has them.

    For what is as large as that comes fresh from the system each time, and its 4 KB pages cost more
    than a microsecond each at their first use.
    """
    size = math.prod(shape) * like.element_size()
    if size < LARGE or sys.platform != "linux" or like.device.type != "cpu":
        return like.new_empty(shape)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a system without such pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)


def _multiply(a: Tensor, b: Tensor, out: Tensor, add: bool = False) -> None:
    """a @ b (M, K), written to `out` or added to it."""
    if _onednn(a):
        product = _product(a, b.t())
        out.add_(product) if add else out.copy_(product)
    elif add:
        out.addmm_(a, b)
    else:
        torch.mm(a, b, out=out)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight^T, a new tensor (N, T, kH) for x (N, T, D)."""
    if _onednn(x):
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
        return product
    return torch.nn.functional.linear(x, weight)


@functools.cache
def _module(name: str) -> ModuleType:
    """The module of this name here, or `steps` where what it needs is not installed."""
    try:
        return importlib.import_module(f"{__package__}.{name}")
    except ImportError:
        return steps


def _recurrence(x: Tensor) -> ModuleType:
    """The module whose `forward` and `backward` serve x."""
    name = KERNELS.get(x.device.type)
    return steps if name is None or x.dtype not in (torch.float32, torch.float64) else _module(name)


def _blocks(x: Tensor, width: int, backwards: bool) -> list[tuple[int, int]]:
    """Where the parts of x begin and end whose products are worked on together, in order of time.

    x: (N, T, D), or (T, N, D). width: numbers of a product at each step.
    """
    length, other, _ = x.shape
    size = max(1, NUMBERS // (other * width))
    if size >= length or x.device.type != "cpu":
        return [(0, length)]
    blocks = [(begin, min(begin + size, length)) for begin in range(0, length, size)]
    return blocks[::-1] if backwards else blocks


def _rows(values: Tensor) -> Tensor:
    return values.view(-1, values.size(2))


class _Layer(torch.autograd.Function):
    """One layer, all directions.

    From x (N, T, D), initial (directions, N, H) to output (N, T, directions * H) and last states.

    x, output: (T, N, ...) if not batch_first. weights: for each direction weight (kH, D), v (2, H),
    bias (2H); k is 2 gates, the candidate and perhaps W_s. Of a small layer half of the time is
    what Python and PyTorch do around the work, so that what fits one block takes as few operations
    as it can.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        initial: Tensor,
        alpha: float,
        highway: bool,
        batch_first: bool,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        originals = x, initial  # saved as they came, so that a second derivative finds its way back
        x, initial = x.contiguous(), initial.contiguous()
        directions, _, width = initial.shape
        recurrence, shape = _recurrence(x), x.shape[:2]
        output, last, products = _empty(x, *shape, directions * width), initial.clone(), []
        for d, state in enumerate(last.unbind()):
            weight, v, bias = weights[3 * d : 3 * d + 3]
            plan = Plan(alpha, highway, batch_first, d == 1)
            blocks = _blocks(x, len(weight), plan.backwards)
            if len(blocks) == 1:
                u = _product(x, weight)
                recurrence.forward(u, x, state, v, bias, output, plan)
            else:
                u = _empty(x, *shape, len(weight))
                for begin, end in blocks:
                    part, rows = u[begin:end], x[begin:end]
                    _multiply(_rows(rows), weight.t(), _rows(part))
                    recurrence.forward(
                        part,
                        rows,
                        state[begin:end] if batch_first else state,
                        v,
                        bias,
                        output[begin:end],
                        plan,
                    )
            products.append(u)
        ctx.save_for_backward(*originals, *products, *weights)
        ctx.settings = recurrence, alpha, highway, batch_first
        ctx.set_materialize_grads(False)
        return output, last

    @staticmethod
    def backward(
        ctx: Any, doutput: Tensor | None, dlast: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # by create_graph: the gradient itself will be differentiated
            return _Layer._differentiable_backward(ctx, doutput, dlast)
        x, initial, *rest = ctx.saved_tensors
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return _Layer.backward(ctx, doutput, dlast)
        recurrence, alpha, highway, batch_first = ctx.settings
        (directions, _, width), needed = initial.shape, ctx.needs_input_grad
        products, weights = rest[:directions], rest[directions:]
        x, initial = x.contiguous(), initial.contiguous()
        doutput = (
            x.new_zeros(*x.shape[:2], directions * width)
            if doutput is None
            else doutput.contiguous()
        )
        dinitial = (
            torch.zeros_like(initial)
            if dlast is None
            else dlast.clone(memory_format=torch.contiguous_format)
        )
        dx, gradients = _empty(x, *x.shape) if needed[0] else None, []
        for d, (u, first, carry) in enumerate(zip(products, initial.unbind(), dinitial.unbind())):
            weight, v, _ = weights[3 * d : 3 * d + 3]
            plan, blocks = (
                Plan(alpha, highway, batch_first, d == 1),
                _blocks(x, len(weight), d == 1),
            )
            dweight = torch.empty_like(weight) if needed[5 + 3 * d] else None
            sums: Any = None  # dv and dbias, (4, H), of the blocks so far
            carried = highway and len(weight) == 3 * width  # the highway has x itself
            for begin, end in reversed(blocks):
                part, rows, dh, dpart, before, after = u, x, doutput, dx, first, carry
                if len(blocks) > 1:
                    part, rows, dh, dpart = (
                        u[begin:end],
                        x[begin:end],
                        doutput[begin:end],
                        dx if dx is None else dx[begin:end],
                    )
                    if batch_first:
                        before, after = first[begin:end], carry[begin:end]
                    elif (begin, end) != blocks[0]:
                        before = u[end if plan.backwards else begin - 1, :, :width].contiguous()
                du, straight = _empty(x, *part.shape), None
                if carried:
                    straight = torch.empty_like(rows) if dpart is None or d else dpart
                small = recurrence.backward(part, rows, before, v, dh, after, du, straight, plan)
                du = _rows(du)
                if dweight is not None:
                    _multiply(du.t(), _rows(rows), dweight, add=sums is not None)
                sums = small if sums is None else sums.add_(small)
                if dpart is not None:
                    if straight is not None and d:
                        dpart.add_(straight)
                    _multiply(du, weight, _rows(dpart), add=carried or d > 0)
            dv, dbias = sums.split(2)
            gradients += [dweight, dv, dbias.view(-1)]
        return dx, dinitial, None, None, None, *gradients

    @staticmethod
    def _differentiable_backward(
        ctx: Any, doutput: Tensor | None, dlast: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """The same gradients by autograd, through the layer done again in plain operations."""
        x, initial, *rest = ctx.saved_tensors
        _, *settings = ctx.settings
        weights = rest[len(initial) :]
        outputs = plain.layer(x, initial, *settings, *weights)
        used = [(part, d) for part, d in zip(outputs, (doutput, dlast)) if d is not None]
        needed = [n for place, n in enumerate(ctx.needs_input_grad) if place not in (2, 3, 4)]
        inputs = [part for part, n in zip((x, initial, *weights), needed) if n]
        parts, upper = zip(*used)
        slopes = iter(
            torch.autograd.grad(parts, inputs, upper, create_graph=True, allow_unused=True)
        )
        dx, dinitial, *gradients = [next(slopes) if n else None for n in needed]
        return dx, dinitial, None, None, None, *gradients


def _must_be_plain(x: Tensor) -> bool:
    """Whether PyTorch looks inside: in `torch.func`, forward-mode gradients, `torch.export`."""
    exporting = getattr(torch.compiler, "is_exporting", lambda: False)()
    inside = torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
    return bool(exporting or inside)


class SRU(torch.nn.Module):
    """Layers of simple recurrent units, called as `output, last = layer(x, initial=None)`.

    x: (N, T, D), or (T, N, D) if not batch_first. initial: c_0, (num_layers * directions, N, H);
    zeros when None. output: h of the last layer, (N, T, directions * H) or (T, N, ...). last: c_T
    of each layer and direction, as initial.

    highway: without it h_t = r_t * c_t. rescale: whether alpha is sqrt(1 + 2 exp(b_r)), the paper's
    scaled initialisation, which keeps the size of activations alike in deep stacks, or 1.
    highway_bias: b_r at the start. dropout: of the output of every layer but the last, while
    training. Parameters of layer l: weight_l (kH, D): rows of W, W_f, W_r and, where D and H
    differ, W_s; v_l (2, H): v_f, v_r; bias_l (2H): b_f, b_r. Those of the backward direction end in
    _reverse.

    Under autocast the layer computes with numbers of its weights' type, as losses do: a state that
    goes through many steps needs the digits. Of second derivatives, `torch.func`, forward-mode
    gradients and `torch.export` see `plain`.
    Raises ValueError, naming what was expected, when a size or a shape does not fit, and for a
    PackedSequence.
    """

    weight_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        batch_first: bool = True,
        highway: bool = True,
        dropout: float = 0.0,
        rescale: bool = True,
        highway_bias: float = 0.0,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(
                f"input_size {input_size}, hidden_size {hidden_size} and num_layers {num_layers}"
                " must each be at least 1"
            )
        if not 0 <= dropout < 1:
            raise ValueError(
                f"dropout is {dropout}; expected the share of numbers to drop, at least 0 and"
                " below 1"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.batch_first, self.highway, self.dropout = (
            bidirectional,
            batch_first,
            highway,
            dropout,
        )
        self.highway_bias = highway_bias
        self.alpha = math.sqrt(1 + 2 * math.exp(highway_bias)) if rescale and highway else 1.0
        for layer, suffix in self._names():
            size = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            rows = hidden_size * (4 if highway and size != hidden_size else 3)
            self.register_parameter(
                f"weight_l{layer}{suffix}", torch.nn.Parameter(torch.empty(rows, size))
            )
            self.register_parameter(
                f"v_l{layer}{suffix}", torch.nn.Parameter(torch.empty(2, hidden_size))
            )
            self.register_parameter(
                f"bias_l{layer}{suffix}", torch.nn.Parameter(torch.empty(2 * hidden_size))
            )
        self._order = list(self._parameters)  # weight, v, bias of each direction of each layer
        self.reset_parameters()

    def _names(self) -> list[tuple[int, str]]:
        return [
            (layer, suffix)
            for layer in range(self.num_layers)
            for suffix in ("", "_reverse")[: 1 + self.bidirectional]
        ]

    def reset_parameters(self) -> None:
        """Weights of mean 0 and variance 1/D (the paper's initialisation), half of it in the gates.

        There x W and v * c are added, so that v gets 1/2 (as in the authors' package:
        https://github.com/asappresearch/sru, sru/modules.py).
        """
        for layer, suffix in self._names():
            weight, v, bias = (
                getattr(self, f"{kind}_l{layer}{suffix}") for kind in ("weight", "v", "bias")
            )
            bound = math.sqrt(3 / weight.size(1))
            torch.nn.init.uniform_(weight, -bound, bound)
            torch.nn.init.uniform_(v, -math.sqrt(1.5), math.sqrt(1.5))
            with torch.no_grad():
                weight[self.hidden_size : 3 * self.hidden_size] *= math.sqrt(0.5)
                bias[: self.hidden_size], bias[self.hidden_size :] = 0.0, self.highway_bias

    def extra_repr(self) -> str:
        return (
            f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, "
            f"bidirectional={self.bidirectional}, "
            f"batch_first={self.batch_first}, highway={self.highway}, dropout={self.dropout}"
        )

    def forward(self, x: Tensor, initial: Tensor | None = None) -> tuple[Tensor, Tensor]:
        expected = f"({'N, T' if self.batch_first else 'T, N'}, {self.input_size})"
        if isinstance(x, torch.nn.utils.rnn.PackedSequence):
            raise ValueError(
                f"x is a PackedSequence; expected {expected}: unpack it by pad_packed_sequence, "
                "and take each sequence's state at its last real step"
            )
        if torch.is_autocast_enabled(x.device.type):
            dtype = self.weight_l0.dtype
            with torch.autocast(x.device.type, enabled=False):
                return self.forward(x.to(dtype), None if initial is None else initial.to(dtype))
        if x.dim() != 3 or x.size(2) != self.input_size or x.numel() == 0:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected {expected} with N and T at least 1"
            )
        if x.dtype != self.weight_l0.dtype:
            raise ValueError(
                f"x holds {x.dtype}, the layer's weights {self.weight_l0.dtype}; expected the same"
            )
        directions = 1 + self.bidirectional
        shape = (
            self.num_layers * directions,
            x.size(0 if self.batch_first else 1),
            self.hidden_size,
        )
        if initial is not None and (tuple(initial.shape) != shape or initial.dtype != x.dtype):
            raise ValueError(
                f"initial has shape {tuple(initial.shape)} of {initial.dtype}; expected {shape} "
                f"(layers * directions, N, H) of {x.dtype}"
            )
        states = x.new_zeros(shape) if initial is None else initial
        last = []
        for layer in range(self.num_layers):
            names = self._order[3 * directions * layer : 3 * directions * (layer + 1)]
            part = (
                states
                if self.num_layers == 1
                else states[layer * directions : (layer + 1) * directions]
            )
            parameters = [getattr(self, name) for name in names]
            compute = plain.layer if _must_be_plain(x) else _Layer.apply
            x, ended = compute(x, part, self.alpha, self.highway, self.batch_first, *parameters)
            last.append(ended)
            if self.dropout and layer < self.num_layers - 1:
                x = torch.nn.functional.dropout(x, self.dropout, self.training)
        return x, last[0] if len(last) == 1 else torch.cat(last)
