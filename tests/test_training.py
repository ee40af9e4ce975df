"""The training loop, seeds, threads, and what only a person sees."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from course_utils import text, training
from course_utils.optim.warm_up import rate_at, train_with_warm_up
from course_utils.training import progress_bar, setup, threads, train, watched


def regression(seed: int = 0) -> tuple[torch.nn.Linear, list[tuple[torch.Tensor, torch.Tensor]]]:
    torch.manual_seed(seed)
    x = torch.randn(64, 3)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]])
    return torch.nn.Linear(3, 1), [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]


def squared(model: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return torch.nn.functional.mse_loss(model(batch[0]), batch[1])


def test_training_learns_and_tells_what_happened() -> None:
    model, data = regression()

    def mode(model: torch.nn.Module) -> float:
        return float(model.training)

    history = train(model, lambda: data, squared, epochs=60, lr=0.05, evaluate=mode)
    assert history.loss[-1] < 0.01 * history.loss[0]
    assert len(history.loss) == 60
    assert len(history.gradient_norm) == 60 * 4
    assert history.metric == [0.0] * 60, "evaluation runs in evaluation mode"
    assert history.seconds > 0
    # No seconds: a stored output must be the same on every machine
    assert repr(history) == "History(60 epochs, 240 steps)"


def test_clipping_bounds_the_step_and_the_history_tells_the_norm_before() -> None:
    model, data = regression()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    history = train(model, lambda: data[:1], squared, epochs=1, optimizer=optimizer, clip=0.01)
    moved = torch.cat([(p - b).ravel() for p, b in zip(model.parameters(), before)]).norm()
    assert history.gradient_norm[0] > 0.1
    assert float(moved.detach()) == pytest.approx(0.01, rel=1e-3)


def test_its_adam_is_pytorchs() -> None:
    ends = []
    for own in (True, False):
        model, data = regression()
        model.add_module("idle", torch.nn.Linear(2, 2))  # no gradient comes here
        optimizer = None if own else torch.optim.Adam(model.parameters(), lr=0.03)
        train(model, lambda: data, squared, epochs=50, lr=0.03, optimizer=optimizer)
        ends.append([p.detach() for p in model.parameters()])
    assert len(ends[0]) == 4
    assert all(torch.equal(a, b) for a, b in zip(*ends))


def test_its_fused_adam_is_the_same_up_to_rounding() -> None:
    ends = []
    for fused in (True, False):
        model, data = regression()
        optimizer = training.adam(model.parameters(), 0.03, fused=fused)
        train(model, lambda: data, squared, epochs=50, optimizer=optimizer)
        ends.append([p.detach() for p in model.parameters()])
        assert bool(optimizer.defaults["fused"]) == fused
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*ends))


def test_training_does_without_pytorchs_compiler() -> None:
    code = """
import sys, torch
from course_utils.training import train
model = torch.nn.Linear(1, 1)
train(model, lambda: [torch.ones(1, 1)], lambda model, x: model(x).sum(), epochs=1)
sys.exit("torch._dynamo" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code])
    assert ran.returncode == 0, "70 MB that no lesson needs"


def test_a_number_that_is_none_stops_the_run_before_it_spoils_the_weights() -> None:
    model, data = regression()
    x = data[1][0].clone()
    x[0, 0] = float("nan")
    place = r"step 1 \(epoch 0\): loss nan, gradient norm nan"
    with pytest.raises(FloatingPointError, match=place):
        train(model, lambda: [data[0], (x, data[1][1])], squared, epochs=1)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_an_epoch_without_batches_is_explained() -> None:
    model, data = regression()
    used_up = iter(data)
    with pytest.raises(ValueError, match="fresh iterable"):
        train(model, lambda: used_up, squared, epochs=2)


def test_setup_fixes_every_source_of_chance() -> None:
    draws = []
    for _ in range(2):
        rng = setup(7)
        draws.append((rng.random(), random.random(), float(torch.rand(()))))
    assert draws[0] == draws[1]
    assert setup(8).random() != draws[0][0]
    assert torch.get_num_threads() == threads()


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5"])
def test_a_bad_number_of_threads_is_explained(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_THREADS", asked)
    with pytest.raises(ValueError, match=r"COURSE_THREADS .* whole number of at least 1"):
        threads()


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_THREADS", "3")
    assert threads() == 3
    monkeypatch.delenv("COURSE_THREADS")
    assert 1 <= threads() <= 2


def test_progress_gives_the_items_and_prints_nothing_to_a_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "watched", lambda: False)
    assert list(progress_bar(range(5), "counting")) == [0, 1, 2, 3, 4]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_person_at_a_terminal_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert watched()


def test_importing_the_package_is_light() -> None:
    """No lesson that does without PyTorch or Matplotlib pays for it."""
    door = "text, training, metrics, expect, proofs, plots, explorers, exercises"
    late = {"torch", "matplotlib", "ipywidgets", "sklearn", "babel", "pooch", "pandas"}
    code = f"import sys; from course_utils import datasets, grammar, {door}; "
    code += f"print(sorted({late} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_setup_without_the_framework_does_not_import_it() -> None:
    code = "import sys; from course_utils.training import setup; setup(framework=False); "
    code += "print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_the_generator_is_numpys() -> None:
    assert isinstance(setup(0, framework=False), np.random.Generator)


@pytest.mark.parametrize("updates, warm_up", [(1, 0.1), (10, 0.1), (100, 0.1), (7, 0.0), (5, 1)])
def test_the_rate_reaches_its_top_once_and_is_never_0(updates: int, warm_up: float) -> None:
    rates = [rate_at(update, updates, 0.5, warm_up) for update in range(updates)]
    assert max(rates) == 0.5
    assert min(rates) > 0
    top = rates.index(0.5)
    assert top == max(round(warm_up * updates), 1) - 1
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert np.allclose(np.diff(rates[: top + 1], 2), 0)
    assert np.allclose(np.diff(rates[top:], 2), 0)


def test_training_follows_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many updates, however many batches there are, and nothing of Adam moves but the rate."""
    rates: list[float] = []
    kind = type(training.adam([nn.Parameter(torch.zeros(1))], 0.1))
    step = kind.step

    def noted(self: torch.optim.Adam) -> None:
        (group,) = self.param_groups
        rates.append(group["lr"])
        assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.999), 1e-8, 0)
        step(self)

    monkeypatch.setattr(kind, "step", noted)
    model = nn.Linear(1, 1)
    data = [np.float32(k) for k in range(20)]

    def loss(model: nn.Module, batch: tuple[list[np.float32]]) -> torch.Tensor:
        return model(torch.tensor(batch[0])[:, None]).square().mean()

    def batches() -> Any:
        return text.batches(data, size=2)

    history = train_with_warm_up(model, batches, loss, updates=97, rate=0.1, reports=4)
    assert rates == [rate_at(update, 97, 0.1) for update in range(97)]
    assert len(history.gradient_norm) == 97
    assert len(history.loss) == 4
    with pytest.raises(ValueError, match="3 updates cannot be told in 4 parts"):
        train_with_warm_up(model, batches, loss, updates=3, rate=0.1, reports=4)
    with pytest.raises(ValueError, match="no batch"):
        train_with_warm_up(model, list, loss, updates=3, rate=0.1)
