"""The fast SRU equals a plain loop of steps, gradients too, and refuses what does not fit."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from course_utils.models.sru import SRU, kernels, layer as sru_layer, steps


def plain(layer: SRU, x: Tensor, initial: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The formulas of the unit, one step after another, differentiated by autograd."""
    x = x.transpose(0, 1) if layer.batch_first else x
    size, suffixes, last = layer.hidden_size, ["", "_reverse"][: 1 + layer.bidirectional], []
    for number in range(layer.num_layers):
        outputs = []
        for suffix in suffixes:
            names = (f"{kind}_l{number}{suffix}" for kind in ("weight", "v", "bias"))
            weight, v, bias = (layer.get_parameter(name) for name in names)
            c = x.new_zeros(x.size(1), size) if initial is None else initial[len(last)]
            h: dict[int, Tensor] = {}
            for t in reversed(range(len(x))) if suffix else range(len(x)):
                u, into_f, into_r, *straight = (x[t] @ weight.T).split(size, 1)
                f = torch.sigmoid(into_f + v[0] * c + bias[:size])
                r = torch.sigmoid(into_r + v[1] * c + bias[size:])
                c = f * c + (1 - f) * u
                h[t] = r * c
                if layer.highway:
                    h[t] = h[t] + (1 - r) * layer.alpha * (straight[0] if straight else x[t])
            last.append(c)
            outputs.append(torch.stack([h[t] for t in range(len(x))]))
        x = torch.cat(outputs, 2)
    return (x.transpose(0, 1) if layer.batch_first else x), torch.stack(last)


def loss(output: Tensor, last: Tensor) -> Tensor:
    """A sum in which each number has a weight of its own, the same at each call."""
    chance = torch.Generator().manual_seed(5)
    shapes = output.shape, last.shape
    weights = (torch.randn(shape, generator=chance, dtype=torch.float64) for shape in shapes)
    return sum((weight.to(part) * part).sum() for weight, part in zip(weights, (output, last)))


def gradients(
    function: Any, layer: SRU, x: Tensor, initial: Tensor | None
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    output, last = function(x, initial)
    tensors = {**dict(layer.named_parameters()), "x": x, "initial": initial}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    found = torch.autograd.grad(loss(output, last), list(tensors.values()))
    return output, last, dict(zip(tensors, found))


CASES = {  # (N, T, D, H), settings
    "one step": ((2, 1, 4, 4), {}),
    "D = H": ((3, 7, 4, 4), {}),
    "D != H": ((3, 7, 5, 4), {}),
    "no highway": ((3, 9, 4, 4), {"highway": False}),
    "no highway, D != H": ((3, 9, 5, 4), {"highway": False}),
    "alpha 1": ((3, 9, 4, 4), {"rescale": False}),
    "highway bias": ((3, 9, 4, 4), {"highway_bias": -2.0}),
    "time first": ((3, 9, 5, 4), {"batch_first": False}),
    "stacked": ((3, 6, 4, 4), {"num_layers": 3}),
    "both directions": ((3, 7, 4, 4), {"bidirectional": True}),
    "both directions, stacked, time first": (
        (2, 5, 3, 4),
        {"bidirectional": True, "num_layers": 2, "batch_first": False},
    ),
    "long": ((1, 301, 4, 4), {}),
    "wide": ((35, 40, 3, 37), {"bidirectional": True}),
}


def made(case: str, dtype: torch.dtype, given: bool) -> tuple[SRU, Tensor, Tensor | None]:
    (batch, steps, inputs, width), settings = CASES[case]
    torch.manual_seed(3)
    layer = SRU(inputs, width, **settings).to(dtype)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    shape = (batch, steps, inputs) if layer.batch_first else (steps, batch, inputs)
    states = layer.num_layers * (1 + layer.bidirectional)
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    if not given:
        return layer, x, None
    return layer, x, torch.randn(states, batch, width, dtype=dtype, requires_grad=True)


@pytest.fixture(params=["kernels", "steps"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each way to compute the recurrence in turn."""
    chosen = importlib.import_module(f"course_utils.models.sru.{request.param}")
    monkeypatch.setattr(sru_layer, "_recurrence", lambda x: chosen)
    return chosen


def test_kernels_serve_this_processor_and_steps_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype in (torch.float32, torch.float64):
        assert sru_layer._recurrence(torch.zeros(1, dtype=dtype)) is kernels
    assert sru_layer._recurrence(torch.zeros(1, dtype=torch.bfloat16)) is steps
    assert sru_layer._recurrence(torch.zeros(1, device="meta")) is steps
    sru_layer._module.cache_clear()
    with monkeypatch.context() as without:
        # What an import then meets is an ImportError
        without.setitem(sys.modules, "course_utils.models.sru.kernels", None)
        assert sru_layer._recurrence(torch.zeros(1)) is steps
    sru_layer._module.cache_clear()


@pytest.mark.parametrize("given", [True, False], ids=["initial given", "initial zero"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("numbers", [None, 50], ids=["one block", "blocks"])
def test_equal_to_a_plain_loop(
    case: str, given: bool, numbers: int | None, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    if numbers:
        monkeypatch.setattr(sru_layer, "NUMBERS", numbers)
        monkeypatch.setattr(sru_layer, "LARGE", 0)
    layer, x, initial = made(case, torch.float64, given)
    ours = gradients(layer, layer, x, initial)
    theirs = gradients(lambda *values: plain(layer, *values), layer, x, initial)
    for a, b in zip(ours[:2], theirs[:2]):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    for name, gradient in theirs[2].items():
        assert float((ours[2][name] - gradient).norm()) <= 1e-10 * float(gradient.norm()), name


@pytest.mark.parametrize("case", CASES)
def test_single_precision(case: str, module: ModuleType) -> None:
    layer, x, initial = made(case, torch.float32, True)
    for ours, theirs in zip(layer(x, initial), plain(layer, x, initial)):
        scale = max(1.0, float(theirs.detach().abs().max()))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * scale)
    with torch.no_grad():
        for ours, theirs in zip(layer(x, initial), plain(layer, x, initial)):
            scale = max(1.0, float(theirs.abs().max()))
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * scale)
    inexact = gradients(layer, layer, x, initial)[2]
    x, initial = (part.detach().double().requires_grad_() for part in (x, initial))
    exact = gradients(layer.double(), layer, x, initial)[2]
    for name, gradient in exact.items():
        assert float((inexact[name] - gradient).norm()) <= 2e-6 * float(gradient.norm()), name


def test_sigmoid_of_the_kernels() -> None:
    @kernels.compiled
    def fill(z: NDArray[Any], result: NDArray[Any]) -> None:
        for i in range(len(z)):
            result[i] = kernels.sigmoid(z[i])

    exact = np.concatenate([np.linspace(-110, 110, 100_001), np.linspace(-3, 3, 100_001)])
    for dtype, error in ((np.float32, 2e-7), (np.float64, 1e-15)):
        z = exact.astype(dtype)
        result, right = np.empty_like(z), 1 / (1 + np.exp(-z.astype(np.float64)))
        fill(z, result)
        np.testing.assert_allclose(result, right, rtol=0, atol=error)
        middle = np.abs(z) < 80  # where the result is small, it is exact in all its digits
        np.testing.assert_allclose(result[middle], right[middle], rtol=25 * error)
        fill(np.array([np.nan, np.inf, -np.inf], dtype), edges := np.empty(3, dtype))
        assert np.isnan(edges[0])
        assert edges[1] == 1
        assert 0 <= edges[2] < 1e-37


def test_a_kernel_that_cannot_be_kept_on_disk_is_compiled_all_the_same() -> None:
    names: dict[str, Any] = {}
    lines = ["def double(values):", "    for i in range(len(values)):", "        values[i] *= 2"]
    exec("\n".join(lines), names)  # from no file
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(names["double"])
    kernels.compiled(names["double"])(values := np.arange(3.0))
    assert values.tolist() == [0, 2, 4]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_threads_gives_the_same(case: str, threads: int) -> None:
    layer, x, initial = made(case, torch.float64, True)
    usual = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        ours = gradients(layer, layer, x, initial)
    finally:
        torch.set_num_threads(usual)
    theirs = gradients(lambda *values: plain(layer, *values), layer, x, initial)
    for name, gradient in theirs[2].items():
        assert float((ours[2][name] - gradient).norm()) <= 1e-10 * float(gradient.norm()), name


@pytest.mark.parametrize("without", ["", "OpenMP", "more than one thread"])
def test_threads_are_pytorchs_own_as_far_as_it_has_any(without: str, tmp_path: Path) -> None:
    code = """
import sys, torch
from course_utils.models.sru import SRU, kernels
torch.set_num_threads(3)
torch.manual_seed(0)
if sys.argv[1]:
    torch.__file__ = sys.argv[1]
layer, x = SRU(5, 5), torch.ones(4, 3, 5)
layer(x)[0].sum().backward()
print(float(layer.bias_l0.grad.double().sum()), kernels._openmp() is None)
"""
    # The team is smaller than what was asked for
    limit = {"OMP_THREAD_LIMIT": "1"} if without == "more than one thread" else {}
    other = str(tmp_path / "torch" / "__init__.py") if without == "OpenMP" else ""
    printed = []
    for where, changed in (("", {}), (other, limit)):
        command, environment = [sys.executable, "-c", code, where], os.environ | changed
        ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        printed.append(ran.stdout.split())
    assert float(printed[0][0]) == pytest.approx(float(printed[1][0]), abs=1e-5)
    assert without != "OpenMP" or printed[1][1] == "True"


def test_weights_of_another_type_are_refused() -> None:
    layer = SRU(3, 3)
    layer.v_l0.data = layer.v_l0.data.double()
    with pytest.raises(ValueError, match="of one type"):
        layer(torch.zeros(1, 2, 3))


@pytest.mark.parametrize("where", ["x", "initial", "weight_l0", "v_l0", "bias_l0"])
def test_what_is_not_a_number_stays_so(where: str, module: ModuleType) -> None:
    layer, x, initial = made("D = H", torch.float32, True)
    tensors = dict(layer.named_parameters()) | {"x": x, "initial": initial}
    with torch.no_grad():
        tensors[where].flatten()[0] = torch.nan  # type: ignore[union-attr]
    output, _ = layer(x, initial)
    assert output.isnan().any()
    output.sum().backward()
    assert layer.get_parameter("weight_l0").grad.isnan().any()  # type: ignore[union-attr]


def test_both_libraries_for_the_products(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, initial = made("D != H", torch.float32, True)
    monkeypatch.setattr(sru_layer, "_prefers_onednn", lambda: True)
    ours = gradients(layer, layer, x, initial)
    monkeypatch.setattr(sru_layer, "_prefers_onednn", lambda: False)
    theirs = gradients(layer, layer, x, initial)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", ["D != H", "both directions", "no highway"])
def test_gradcheck(case: str, module: ModuleType) -> None:
    layer, x, initial = made(case, torch.float64, True)
    x, initial = (part.detach().requires_grad_() for part in (x[:2, :4], initial[:, :2]))
    assert torch.autograd.gradcheck(lambda a, b, *_: layer(a, b), (x, initial, *layer.parameters()))


@pytest.mark.parametrize("needed", ["x", "initial", "weight_l0", "v_l0", "bias_l0"])
def test_one_gradient_alone(needed: str, module: ModuleType) -> None:
    layer, x, initial = made("D != H", torch.float64, True)
    expected = gradients(layer, layer, x, initial)[2][needed]
    tensors = dict(layer.named_parameters()) | {"x": x, "initial": initial}
    for name, tensor in tensors.items():
        tensor.requires_grad_(name == needed)
    (alone,) = torch.autograd.grad(loss(*layer(x, initial)), tensors[needed])
    torch.testing.assert_close(alone, expected)


def test_twice_in_one_graph_and_backward_twice(module: ModuleType) -> None:
    layer, x, _ = made("D = H", torch.float64, False)

    def twice(function: Any) -> Tensor:
        output, last = function(x, None)
        return (function(output, last)[0] ** 2).sum()

    ours, theirs = twice(layer), twice(lambda *values: plain(layer, *values))
    first = torch.autograd.grad(ours, [x, *layer.parameters()], retain_graph=True)
    torch.testing.assert_close(first, torch.autograd.grad(theirs, [x, *layer.parameters()]))
    torch.testing.assert_close(first, torch.autograd.grad(ours, [x, *layer.parameters()]))


def test_input_and_state_are_left_as_they_were(module: ModuleType) -> None:
    layer, x, initial = made("time first", torch.float32, True)
    x = torch.randn(9, 3, 5)
    before, state = x.clone(), initial.detach().clone()
    layer(x, initial)[0].sum().backward()
    assert torch.equal(x, before)
    assert torch.equal(initial, state)


def test_dropout_between_layers_in_training_only() -> None:
    torch.manual_seed(0)
    layer, x = SRU(4, 4, 2, dropout=0.5), torch.randn(2, 6, 4)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
    torch.testing.assert_close(layer(x)[0], plain(layer, x)[0])


def test_scaled_start_keeps_the_size_of_activations_in_a_deep_stack() -> None:
    torch.manual_seed(0)
    x = torch.randn(16, 30, 64)
    layers = {rescale: SRU(64, 64, 10, rescale=rescale) for rescale in (True, False)}
    sizes = {rescale: layer(x)[0].std().item() for rescale, layer in layers.items()}
    assert sizes[False] < 0.3 < 0.5 < sizes[True] < 2


def test_state_dict_and_device_conversion() -> None:
    layer, x, _ = made("both directions, stacked, time first", torch.float64, False)
    other = SRU(3, 4, 2, bidirectional=True, batch_first=False).double()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], other(x)[0])


FITS = torch.zeros(2, 5, 4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SRU(4, 3)(torch.zeros(5, 4)), r"\(5, 4\); expected \(N, T, 4\)"),
        (lambda: SRU(4, 3)(torch.zeros(2, 5, 3)), r"\(2, 5, 3\); expected \(N, T, 4\)"),
        (lambda: SRU(4, 3, batch_first=False)(torch.zeros(2, 5, 3)), r"expected \(T, N, 4\)"),
        (lambda: SRU(4, 3)(torch.zeros(2, 0, 4)), "N and T at least 1"),
        (lambda: SRU(4, 3)(torch.zeros(2, 5, 4, dtype=torch.float64)), "float64"),
        (lambda: SRU(4, 3)(FITS, torch.zeros(1, 3, 3)), r"\(1, 3, 3\).*expected \(1, 2, 3\)"),
        (lambda: SRU(4, 3, 2, True)(FITS, torch.zeros(2, 2, 3)), r"expected \(4, 2, 3\)"),
        (lambda: SRU(4, 0), "at least 1"),
        (lambda: SRU(4, 3, dropout=1.0), "dropout is 1.0"),
    ],
)
def test_what_does_not_fit_is_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
