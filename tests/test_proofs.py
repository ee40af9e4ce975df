"""The proofs themselves: they pass what is right and catch what is planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from course_utils.expect import expect_shape, refuses
from course_utils.proofs import (
    check_gradients,
    compare,
    load_weights,
    numeric_gradient,
    relative_error,
)


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


@given(
    st.integers(0, 10_000),
    st.sampled_from(["x", "W", "b"]),
    st.sampled_from(["sign", "factor", "one place", "zero", "nan"]),
)
@settings(max_examples=40, deadline=None)
def test_a_planted_error_is_caught_and_named(seed: int, name: str, fault: str) -> None:
    p, gradients, loss = layer(seed)
    wrong = gradients[name].copy()
    if fault == "one place":
        wrong.flat[seed % wrong.size] += 1e-3 * (1 + np.abs(wrong).max())
    else:
        wrong *= {"sign": -1, "factor": 1.001, "zero": 0, "nan": np.nan}[fault]
    with pytest.raises(AssertionError, match=f"gradient of '{name}'"):
        check_gradients(loss, p, {**gradients, name: wrong})  # type: ignore[arg-type]


def test_large_arrays_are_sampled() -> None:
    x = np.linspace(-1, 1, 5000)
    calls = []

    def loss() -> float:
        calls.append(1)
        return float((x**3).sum())

    check_gradients(loss, {"x": x}, {"x": 3 * x**2}, tolerance=1e-6)
    assert len(calls) == 401  # the last one asks how large the loss is


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
    assert relative_error(one, one) == 0
    assert relative_error(one, -one) == 1
    assert relative_error(one, 0 * one) == 1
    assert relative_error(0 * one, 0 * one) == 0


def test_compare_takes_arrays_tensors_and_mappings() -> None:
    a = np.arange(6.0).reshape(2, 3)
    assert compare(a, torch.tensor(a, requires_grad=True), tolerance=0) == 0
    assert compare({"h": a}, {"h": a + 1e-9}, tolerance=1e-8) == pytest.approx(1e-9 / 5, rel=1e-3)
    place = r"state 'h': differ by .* most at \(1, 2\): ours 5, theirs 6"
    with pytest.raises(AssertionError, match=place):
        compare({"h": a}, {"h": a + (a == 5)}, tolerance=1e-8, what="state")
    with pytest.raises(AssertionError, match=r"shapes differ, ours \(2, 3\), theirs \(3, 2\)"):
        compare(a, a.T, tolerance=1)
    with pytest.raises(AssertionError, match=r"only on one side: \['c', 'h'\]"):
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
    turned = r"weight has shape \(2, 3\), the given array \(3, 2\); a transpose"
    with pytest.raises(ValueError, match=turned):
        load_weights(linear, {**weights, "weight": weights["weight"].T})
    with pytest.raises(KeyError, match=r"missing \['bias'\], unknown \['b'\]"):
        load_weights(linear, {"weight": weights["weight"], "b": weights["bias"]})


def test_expected_shapes_are_returned() -> None:
    assert expect_shape("x", np.zeros((3, 5, 4)), "N T D", D=4) == (3, 5, 4)
    assert expect_shape("x", torch.zeros(3, 5, 4), "N T D") == (3, 5, 4)
    assert expect_shape("h_0", np.zeros((3, 2)), "N H", N=3, T=5, H=2) == (3, 2)
    assert expect_shape("W_x", np.zeros((3, 8)), "D 4H", D=3, H=2) == (3, 8)
    assert expect_shape("W_x", np.zeros((3, 8)), "D 4H") == (3, 8)
    assert expect_shape("h", np.zeros((1, 3, 2)), "1 N H", N=3) == (1, 3, 2)
    assert expect_shape("W_h", np.zeros((2, 2)), "H H") == (2, 2)
    assert expect_shape("loss", np.zeros(()), "") == ()


def swapped(i: int, j: int) -> str:
    return f"axes {i} and {j} look swapped, x.swapaxes({i}, {j}) would fit"


TURNED = "is 5, not 3; 5 is T here, is a batch (T, N, ..) given for (N, T, ..)?"


@pytest.mark.parametrize(
    "shape, axes, known, expected",
    [
        ((3, 5, 4), "N T D", {"D": 6}, "(N, T, D=6): axis 2 (D) is 4, not 6"),
        ((3, 5), "N T D", {"D": 6}, "(N, T, D=6): 2 axes, not 3"),
        ((3, 5, 4), "N T D", {"D": 5}, f"(N, T, D=5): {swapped(1, 2)}"),
        ((5, 3), "N T", {"N": 3, "T": 5}, f"(N=3, T=5): {swapped(0, 1)}"),
        ((3, 0, 4), "N T D", {"D": 4}, "(N, T, D=4), each at least 1: axis 1 (T) is empty"),
        ((0,), "N", {}, "(N,), each at least 1: axis 0 (N) is empty"),
        ((5, 4), "N H", {"N": 3, "T": 5, "H": 4}, f"(N=3, H=4): axis 0 (N) {TURNED}"),
        (
            (3, 7),
            "N H",
            {"N": 3, "D": 7, "H": 4},
            "(N=3, H=4): axis 1 (H) is 7, not 4; 7 is D here",
        ),
        ((2, 4), "N H", {"N": 3, "T": 5, "H": 4}, "(N=3, H=4): axis 0 (N) is 2, not 3"),
        ((4, 12), "D 4H", {"D": 4, "H": 4}, "(D=4, 4H): axis 1 (4H) is 12, not 16"),
        ((4, 18), "4 4H", {}, "(4, 4H): axis 1 (4H) is 18, not 16"),
        ((2, 3), "H H", {}, "(H, H): axis 1 (H) is 3, not 2"),
        ((2, 3, 4), "1 N H", {"N": 3}, "(1, N=3, H): axis 0 (1) is 2, not 1"),
    ],
)
def test_other_shapes_are_explained(
    shape: tuple[int, ...], axes: str, known: dict[str, int], expected: str
) -> None:
    for array in (np.zeros(shape), torch.zeros(shape)):
        with pytest.raises(ValueError) as caught:
            expect_shape("x", array, axes, **known)
        assert str(caught.value) == f"x has shape {shape}; expected {expected}"


def test_what_has_no_shape_is_no_array() -> None:
    with pytest.raises(ValueError, match=r"b has shape \(\); expected \(H=2,\): 0 axes, not 1"):
        expect_shape("b", [1.0, 2.0], "H", H=2)


def test_refuses_prints_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    refuses(expect_shape, "x", np.zeros((2, 3)), "N D", D=4)
    printed = "x has shape (2, 3); expected (N, D=4): axis 1 (D) is 3, not 4\n"
    assert capsys.readouterr().out == printed
    with pytest.raises(AssertionError, match="expect_shape accepted"):
        refuses(expect_shape, "x", np.zeros((2, 3)), "N D")
    with pytest.raises(TypeError):
        refuses(expect_shape)
