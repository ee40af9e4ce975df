"""The adding problem (lesson 05): the sum of the two marked numbers of a long sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..datasets import adding_problem
from ..expect import expect_shape
from ..models.layers import LAYERS, Layer, chrono_lstm
from ..optim.warm_up import train_with_warm_up
from .protocol import SEEDS, Outcome, Part, expect_part

__all__ = ["MODELS", "SEEDS", "SETTINGS", "Adder", "data", "run", "train"]

MODELS = ("RNN", "LSTM", "GRU", "SRU", "LSTM, chrono", "Transformer")
LENGTHS = (5, 10, 20, 40, 60)  # steps
SETTINGS = tuple(map(str, LENGTHS))
CHECK = ("GRU", "20")
HIDDEN = 32  # units of the layer
BATCH = 32  # sequences
UPDATES = 500  # for each length and seed
RATES = (0.008, 0.016, 0.032, 0.064, 0.128)  # at protocol.RATES the longest are not learnt in time
RATE = 0.032  # the highest, where nothing else is chosen
PART_SEEDS = {"development": 98, "test": 99}
PART_SIZE = 4_000  # held-out sequences of each length
BASELINE = 1 / 6  # mean squared error of always answering 1
UNLEARNT = -0.9 * BASELINE  # a development score (minus the error) at which nothing is learnt
SOLVED = BASELINE / 2  # a length is solved where the median error over the seeds is below


def data(n: int, length: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """x (n, length, 2) and y (n,) of `datasets.adding_problem` as float32 tensors."""
    x, y = adding_problem(n, length, rng)
    return torch.from_numpy(x).float(), torch.from_numpy(y).float()


def layer_of(name: str, length: int) -> Layer:
    """The layer of one of MODELS; the chrono LSTM is told how long its sequences are."""
    if name == "LSTM, chrono":
        return lambda D, H: chrono_lstm(D, H, length)
    return LAYERS[name]


class Adder(nn.Module):
    """A recurrent layer and a linear read-out of its last state: x (N, T, 2) to sums (N,)."""

    def __init__(self, layer: Layer, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.layer, self.head = layer(2, hidden), nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        expect_shape("x", x, "N T 2")
        states, _ = self.layer(x.to(self.head.weight.dtype))  # (N, T, H)
        sums: Tensor = self.head(states[:, -1])[:, 0]
        return sums


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean squared error of model(x), (N,), against y (N,), for a batch (x, y)."""
    x, y = batch
    return F.mse_loss(model(x).to(y.dtype), y)


def train(
    layer: Layer, length: int, seed: int, updates: int = UPDATES, rate: float = RATE
) -> Adder:
    """An `Adder` after the plan's `updates`, each with a fresh batch of this length."""
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), Adder(layer)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        return (data(BATCH, length, rng) for _ in range(updates))

    train_with_warm_up(
        model,
        batches,
        squared_error,
        updates=updates,
        rate=rate,
        description=f"{length} steps, seed {seed}",
    )
    return model.eval()


@torch.no_grad()
def error(model: nn.Module, length: int, part: Part = "test") -> float:
    """Mean squared error on PART_SIZE sequences of this length, the same for every model."""
    expect_part(part)
    held_out = data(PART_SIZE, length, np.random.default_rng(PART_SEEDS[part]))
    return float(squared_error(model, held_out))


def longest_solved(errors: Mapping[int, Sequence[float]]) -> int:
    """The longest length up to which every length is solved, 0 for none.

    errors: length to one error a seed.
    """
    solved = 0
    for length in sorted(errors):
        if np.median(errors[length]) >= SOLVED:
            break
        solved = length
    return solved


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """The mean squared error at one length."""
    expect_part(part)
    model = train(layer_of(name, int(setting)), int(setting), seed, rate=rate)
    value = error(model, int(setting), part)
    return Outcome(-value, {setting: value}, model, UPDATES, UPDATES * BATCH)
