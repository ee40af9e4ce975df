"""The adding problem (lesson 05): the sum of the two marked numbers of a long sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import training
from ..datasets import adding_problem
from ..expect import expect_shape
from ..models.layers import LAYERS, Layer

MODELS = ("RNN", "LSTM", "GRU", "SRU", "Transformer")
SEEDS = 3
LENGTHS = (5, 10, 20, 40, 60)  # steps
HIDDEN = 32  # units of the layer
BATCH = 32  # sequences
UPDATES = 500  # for each length and seed
RATE = 0.01  # of Adam
TEST = 1000  # held-out sequences of each length
TEST_SEED = 99
BASELINE = 1 / 6  # mean squared error of always answering 1
SOLVED = BASELINE / 2  # a length is solved where the median error over the seeds is below


def data(n: int, length: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """x (n, length, 2) and y (n,) of `datasets.adding_problem` as float32 tensors."""
    x, y = adding_problem(n, length, rng)
    return torch.from_numpy(x).float(), torch.from_numpy(y).float()


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


def train(layer: Layer, length: int, seed: int, updates: int = UPDATES) -> Adder:
    """An `Adder` after `updates` steps of Adam on fresh batches of this length."""
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), Adder(layer)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        return (data(BATCH, length, rng) for _ in range(updates))

    description = f"{length} steps, seed {seed}"
    training.train(model, batches, squared_error, epochs=1, lr=RATE, description=description)
    return model.eval()


@torch.no_grad()
def error(model: nn.Module, length: int) -> float:
    """Mean squared error on TEST held-out sequences of this length, the same for every model."""
    return float(squared_error(model, data(TEST, length, np.random.default_rng(TEST_SEED))))


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


def run(name: str, seed: int) -> tuple[dict[str, float], nn.Module]:
    """Mean squared error by length, and the model of the shortest."""
    models = {length: train(LAYERS[name], length, seed) for length in LENGTHS}
    values = {str(length): error(model, length) for length, model in models.items()}
    return values, models[LENGTHS[0]]
