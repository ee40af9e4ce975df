"""The layers of lessons 04 to 10 and 15 under one interface, so that a task can exchange them."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from .transformer import CausalTransformer

Layer = Callable[[int, int], nn.Module]
"""(D, H) -> a module that is called as `states, last = module(x, initial=None)`, x (N, T, D) and
states (N, T, H)."""


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
    "SRU, 2 layers": _sru(2),  # lesson 10: depth gives back what the light recurrence took
    "SRU, 4 layers": _sru(4),
    "Transformer": lambda D, H: CausalTransformer(D, H, heads=math.gcd(H, 4)),
}
