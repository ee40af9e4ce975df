"""The layers of lessons 04 to 10 and 15 under one interface, so that a task can exchange them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from .transformer import CausalTransformer

Layer = Callable[[int, int], nn.Module]
"""(D, H) -> a module that is called as `states, last = module(x, initial=None)`, x (N, T, D) and
states (N, T, H)."""


def chrono_lstm(D: int, H: int, longest: int) -> nn.LSTM:
    """An LSTM for dependencies of up to `longest` steps: b_f = ln u, u uniform in (1, longest - 1).

    The input gate gets -b_f. Tallec & Ollivier 2018 (https://arxiv.org/abs/1804.11188).
    """
    layer = nn.LSTM(D, H, batch_first=True)
    bias = layer.get_parameter("bias_ih_l0")  # blocks: input, forget, cell, output
    with torch.no_grad():
        layer.get_parameter("bias_hh_l0")[: 2 * H] = 0
        bias[H : 2 * H] = torch.empty(H).uniform_(1, longest - 1).log()
        bias[:H] = -bias[H : 2 * H]
    return layer


def _stacked(kind: Callable[..., nn.Module], layers: int) -> Layer:
    return lambda D, H: kind(D, H, num_layers=layers, batch_first=True)


def _sru(layers: int) -> Layer:
    def make(D: int, H: int) -> nn.Module:
        from .sru import SRU

        return SRU(D, H, num_layers=layers)

    return make


LAYERS: dict[str, Layer] = {
    "RNN": lambda D, H: nn.RNN(D, H, batch_first=True),
    "LSTM": lambda D, H: nn.LSTM(D, H, batch_first=True),
    "GRU": lambda D, H: nn.GRU(D, H, batch_first=True),
    "SRU": _sru(1),
    "LSTM, 2 layers": _stacked(nn.LSTM, 2),
    "GRU, 2 layers": _stacked(nn.GRU, 2),
    "LSTM, 4 layers": _stacked(nn.LSTM, 4),
    "GRU, 4 layers": _stacked(nn.GRU, 4),
    "SRU, 2 layers": _sru(2),  # lesson 10: depth gives back what the light recurrence took
    "SRU, 4 layers": _sru(4),
    "Transformer": lambda D, H: CausalTransformer(D, H, heads=math.gcd(H, 4)),
}
