"""The proofs themselves: they pass what is right and catch what is planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from course_utils.proofs import check_gradients, compare, load_weights, numeric_gradient, relative_error
from hypothesis import given, settings
from hypothesis import strategies as st


def layer(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], object]:
    """A dense layer with tanh and a squared loss: parameters, right gradients, loss."""
    rng = np.random.default_rng(seed)
    p = {"x": rng.normal(size=(4, 3)), "W": rng.normal(size=(3, 5)), "b": rng.normal(size=5)}

    def loss() -> float:
        return float((np.tanh(p["x"] @ p["W"] + p["b"]) ** 2).sum())

    y = np.tanh(p["x"] @ p["W"] + p["b"])
    da = 2 * y * (1 - y**2)
    return p, {"x": da @ p["W"].T, "W": p["x"].T @ da, "b": da.sum(axis=0)}, loss


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_right_gradients_pass(seed: int) -> None:
    p, gradients, loss = layer(seed)
    before = {name: array.copy() for name, array in p.items()}
    assert max(check_gradients(loss, p, gradients).values()) < 1e-8  # type: ignore[arg-type]
    assert all((p[name] == before[name]).all() for name in p), "parameters are restored"


@given(st.integers(0, 10_000), st.sampled_from(["x", "W", "b"]), st.sampled_from(["sign", "factor", "one place", "zero", "nan"]))
@settings(max_examples=40, deadline=None)
def test_a_planted_error_is_caught_and_named(seed: int, name: str, fault: str) -> None:
    p, gradients, loss = layer(seed)
    wrong = gradients[name].copy()
    if fault == "one place":
        wrong.flat[seed % wrong.size] += 1e-3 * (1 + np.abs(wrong).max())
    else:
        wrong = {"sign": -wrong, "factor": wrong * 1.001, "zero": wrong * 0, "nan": wrong * np.nan}[fault]
    with pytest.raises(AssertionError, match=f"gradient of '{name}'"):
        check_gradients(loss, p, {**gradients, name: wrong})  # type: ignore[arg-type]


def test_large_arrays_are_sampled() -> None:
    x = np.linspace(-1, 1, 5000)
    calls = []

    def loss() -> float:
        calls.append(1)
        return float((x**3).sum())

    check_gradients(loss, {"x": x}, {"x": 3 * x**2}, tolerance=1e-6)
    assert len(calls) == 400


def test_gradient_checks_explain_bad_input() -> None:
    x = np.ones(3)
    with pytest.raises(TypeError, match="float64, this array is float32"):
        numeric_gradient(lambda: 0.0, x.astype(np.float32))
    with pytest.raises(ValueError, match="no gradient for 'x'"):
        check_gradients(lambda: 0.0, {"x": x}, {"y": x})
    with pytest.raises(ValueError, match=r"'x' has shape \(2,\), the parameter has \(3,\)"):
        check_gradients(lambda: 0.0, {"x": x}, {"x": np.ones(2)})


def test_relative_error_at_its_ends() -> None:
    one = np.array([1.0, 2.0])
    assert relative_error(one, one) == 0 and relative_error(one, -one) == 1 and relative_error(one, 0 * one) == 1
    assert relative_error(0 * one, 0 * one) == 0


def test_compare_takes_arrays_tensors_and_mappings() -> None:
    a = np.arange(6.0).reshape(2, 3)
    assert compare(a, torch.tensor(a, requires_grad=True), tolerance=0) == 0
    assert compare({"h": a}, {"h": a + 1e-9}, tolerance=1e-8) == pytest.approx(1e-9 / 5, rel=1e-3)
    with pytest.raises(AssertionError, match=r"state 'h': differ by .* most at \(1, 2\): ours 5, theirs 6"):
        compare({"h": a}, {"h": a + (a == 5)}, tolerance=1e-8, what="state")
    with pytest.raises(AssertionError, match=r"shapes differ, ours \(2, 3\), theirs \(3, 2\)"):
        compare(a, a.T, tolerance=1)
    with pytest.raises(AssertionError, match="only on one side: .'c', 'h'."):
        compare({"h": a}, {"c": a}, tolerance=1)
    with pytest.raises(AssertionError, match="nothing is compared"):
        compare([], [], tolerance=1)
    with pytest.raises(AssertionError, match="differ by nan"):
        compare(a * np.nan, a, tolerance=1)


def test_weights_are_loaded_by_name_and_shape() -> None:
    rng = np.random.default_rng(0)
    weights = {"weight": rng.normal(size=(2, 3)), "bias": rng.normal(size=2)}
    linear = load_weights(torch.nn.Linear(3, 2, dtype=torch.float64), weights)
    assert compare(dict(linear.named_parameters()), weights, tolerance=0) == 0
    with pytest.raises(ValueError, match=r"weight has shape \(2, 3\), the given array \(3, 2\); a transpose"):
        load_weights(linear, {**weights, "weight": weights["weight"].T})
    with pytest.raises(KeyError, match="missing .'bias'., unknown .'b'."):
        load_weights(linear, {"weight": weights["weight"], "b": weights["bias"]})
