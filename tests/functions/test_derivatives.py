"""Jacobian, products with it, gradients and Hessian products: against each other, 50 digits and differences."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asserts import assert_bit_equal, assert_close, assert_ulp
from softclass.errors import DTypeError, InputError, OptionError, ShapeError, TargetError, UsageError
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.derivatives import (
    LinearGradients,
    cross_entropy_hvp,
    cross_entropy_value_and_gradient,
    linear_cross_entropy_hvp,
    linear_cross_entropy_value_and_gradient,
    softmax_jacobian,
    softmax_jvp,
    softmax_vjp,
)
from softclass.functions.linear_cross_entropy import linear_cross_entropy
from softclass.functions.softmax import softmax
from truth import as_longdouble, exact, probabilities

inf, nan = math.inf, math.nan
SEEDS = st.integers(0, 2**32 - 1)


# ---- softmax
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_jacobian_is_the_derivative_of_softmax(axis: int) -> None:
    logits, step = np.random.default_rng(0).normal(size=(2, 3, 4)), 1e-6
    moved = np.moveaxis(logits, axis, -1)
    differences = np.empty((*moved.shape, moved.shape[-1]))
    for k in range(moved.shape[-1]):
        shift = step * np.eye(moved.shape[-1])[k]
        differences[..., k] = (softmax(moved + shift) - softmax(moved - shift)) / (2 * step)

    assert_close(differences, softmax_jacobian(softmax(logits, axis=axis), axis=axis), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_rows_of_the_jacobian_sum_to_zero_also_at_a_sure_class(dtype: str) -> None:
    jacobian = softmax_jacobian(np.array([1.0, 2e-5, 1e-6], dtype=dtype))

    assert jacobian.dtype == np.dtype(dtype)
    assert jacobian[0, 0] > 0
    assert_close(np.zeros(3), jacobian.astype(float).sum(axis=1), rtol=0, atol=2e-7 if dtype == "f2" else 1e-12)


@given(SEEDS, st.integers(1, 70), st.sampled_from(["f4", "f8"]))
@settings(max_examples=60)
def test_the_products_are_those_of_the_jacobian(seed: int, n_classes: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    p = softmax((rng.normal(size=(3, n_classes)) * 4).astype(dtype))
    vector = rng.normal(size=(3, n_classes)).astype(dtype)
    expected = np.einsum("nij,nj->ni", softmax_jacobian(p.astype(float)), vector.astype(float))
    atol = 20 * float(np.finfo(dtype).eps)

    assert_close(expected, softmax_vjp(p, vector), rtol=0, atol=atol)
    assert_bit_equal(softmax_vjp(p, vector), softmax_jvp(p, vector))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_product_keeps_its_digits_at_a_sure_class(dtype: str) -> None:
    p = np.array([1.0, 2.0**-60, 2.0**-61], dtype=dtype)
    g = np.array([1.0, 3.0, 2.0], dtype=dtype)
    # centred at class 0: p_i ((g_i - 1) - <p, g - 1>)
    expected = np.array([-(2 * 2.0**-60 + 2.0**-61), 2 * 2.0**-60, 2.0**-61])

    assert_ulp(expected, softmax_vjp(p, g), ulps=2)


@pytest.mark.parametrize("function", [softmax_jvp, softmax_vjp])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_products_along_any_axis(function: Any, axis: int) -> None:
    rng = np.random.default_rng(1)
    p, vector = softmax(rng.normal(size=(3, 4, 5)), axis=axis), rng.normal(size=(3, 4, 5))
    expected = np.moveaxis(function(np.moveaxis(p, axis, -1), np.moveaxis(vector, axis, -1)), -1, axis)

    assert_close(expected, function(p, vector, axis=axis), rtol=0, atol=1e-15)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_products_of_nothing_are_empty(shape: tuple[int, ...]) -> None:
    assert_bit_equal(np.empty(shape), softmax_vjp(np.empty(shape), np.empty(shape)))


# ---- cross-entropy
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "weights": {"sample_weight": [1.0, 0.0, 2.0, 0.5], "class_weight": [0.5, 1.0, 2.0]},
    "smoothing": {"label_smoothing": 0.2},
    "ignored": {"ignore_index": 2},
}


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
def test_hvp_is_the_derivative_of_the_gradient(name: str, soft: bool) -> None:
    options = OPTIONS[name] if not (soft and name == "ignored") else {}
    rng = np.random.default_rng(2)
    logits, tangent, step = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), 1e-6
    targets = softmax(rng.normal(size=(4, 3))) if soft else np.array([0, 2, 1, 2])
    ends = [cross_entropy_value_and_gradient(logits + sign * step * tangent, targets, **options)[1] for sign in (1, -1)]

    hvp = cross_entropy_hvp(logits, targets, tangent, **options)

    assert_close((ends[0] - ends[1]) / (2 * step), hvp, rtol=0, atol=1e-9)


def test_hvp_against_50_digits() -> None:
    rng = np.random.default_rng(3)
    logits, tangent = rng.normal(size=6) * 10, rng.normal(size=6)
    p, u = probabilities(logits), exact(tangent)
    mean = mpmath.fsum(a * b for a, b in zip(p, u, strict=True))
    expected = as_longdouble([a * (b - mean) for a, b in zip(p, u, strict=True)])

    hvp = cross_entropy_hvp(logits, 0, tangent)

    bound = 8 * np.finfo(float).eps * softmax(logits) * (tangent.max() - tangent.min())  # section 5 of the design
    assert np.all(np.abs(hvp - expected) <= bound)


@pytest.mark.parametrize("axis", [0, 1])
def test_hvp_of_any_axis(axis: int) -> None:
    rng = np.random.default_rng(4)
    logits, tangent, targets = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), [0, 2, 1]
    moved = cross_entropy_hvp(np.moveaxis(logits, axis, -1), targets, np.moveaxis(tangent, axis, -1))

    assert_close(
        np.moveaxis(moved, -1, axis), cross_entropy_hvp(logits, targets, tangent, axis=axis), rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_row_that_is_not_there_has_no_second_derivative(reduction: str) -> None:
    logits = np.array([[0.0, 1.0], [nan, inf], [1.0, -1.0]])

    hvp = cross_entropy_hvp(logits, [0, -100, 1], logits, ignore_index=-100, reduction=reduction)

    assert_bit_equal(np.zeros(2), hvp[1])
    assert np.isfinite(hvp).all()


def test_when_no_row_is_there_the_products_are_zero() -> None:
    logits = np.ones((2, 3))

    assert_bit_equal(np.zeros((2, 3)), cross_entropy_hvp(logits, [9, 9], logits, ignore_index=9))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_value_and_gradient_of_any_axis(axis: int) -> None:
    rng = np.random.default_rng(5)
    logits, targets = rng.normal(size=(3, 3, 3)), rng.integers(3, size=(3, 3))
    loss, gradient = cross_entropy_value_and_gradient(np.moveaxis(logits, axis, -1), targets)
    loss_of_axis, gradient_of_axis = cross_entropy_value_and_gradient(logits, targets, axis=axis)

    assert_ulp(loss, loss_of_axis, ulps=2)
    assert_close(np.moveaxis(gradient, -1, axis), gradient_of_axis, rtol=0, atol=1e-16)


# ---- out
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_gradient_may_be_written_over_the_logits(dtype: str) -> None:
    logits = np.random.default_rng(6).normal(size=(20, 5)).astype(dtype)
    loss, expected = cross_entropy_value_and_gradient(logits, np.arange(20) % 5)

    again, gradient = cross_entropy_value_and_gradient(logits, np.arange(20) % 5, out=logits)

    assert gradient is logits
    assert_bit_equal(expected, logits)
    assert_bit_equal(loss, again)


@pytest.mark.parametrize("targets", [[0, 7], [[1.0, 0.0], [0.5, 0.6]]], ids=["indices", "probabilities"])
def test_a_refused_call_leaves_the_logits_that_are_to_be_overwritten(targets: Any) -> None:
    logits = np.array([[1.0, 2.0], [3.0, 4.0]])

    with pytest.raises(TargetError):
        cross_entropy_value_and_gradient(logits, targets, out=logits)

    assert_bit_equal(np.array([[1.0, 2.0], [3.0, 4.0]]), logits)


# ---- linear
def linear_problem() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, weight, targets, bias."""
    rng = np.random.default_rng(7)
    return rng.normal(size=(6, 4)), rng.normal(size=(3, 4)), rng.integers(3, size=6), rng.normal(size=3)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear_gradients_are_those_of_the_logits(reduction: str) -> None:
    features, weight, targets, bias = linear_problem()
    loss, residual = cross_entropy_value_and_gradient(features @ weight.T + bias, targets, reduction=reduction)

    value, gradients = linear_cross_entropy_value_and_gradient(
        features, weight, targets, bias=bias, reduction=reduction, wrt=("weight", "bias", "features")
    )

    assert_close(loss, value, rtol=1e-14, atol=0)
    assert_close(residual.T @ features, gradients.weight, rtol=0, atol=1e-14)
    assert_close(residual.sum(axis=0), gradients.bias, rtol=0, atol=1e-14)
    assert_close(residual @ weight, gradients.features, rtol=0, atol=1e-14)


@pytest.mark.parametrize("wrt", [("weight",), ("features",), ("bias", "weight"), ["bias"], {"features", "bias"}])
def test_only_what_is_asked_for_is_made(wrt: Any) -> None:
    features, weight, targets, bias = linear_problem()

    _, gradients = linear_cross_entropy_value_and_gradient(features, weight, targets, bias=bias, wrt=wrt)

    assert {name for name, part in dataclasses.asdict(gradients).items() if part is not None} == set(wrt)


def test_without_a_bias_there_is_no_gradient_of_it() -> None:
    features, weight, targets, _ = linear_problem()

    _, gradients = linear_cross_entropy_value_and_gradient(features, weight, targets)

    assert gradients.bias is None
    assert gradients.weight.shape == weight.shape


@pytest.mark.parametrize("name", OPTIONS)
def test_linear_hvp_is_the_derivative_of_the_gradient(name: str) -> None:
    features, weight, targets, bias = linear_problem()
    options = dict(OPTIONS[name])
    if "sample_weight" in options:
        options["sample_weight"] = [1.0, 0.0, 2.0, 0.5, 1.0, 3.0]
    rng, step = np.random.default_rng(8), 1e-6
    by_weight, by_bias = rng.normal(size=weight.shape), rng.normal(size=3)
    ends = [
        linear_cross_entropy_value_and_gradient(
            features, weight + sign * step * by_weight, targets, bias=bias + sign * step * by_bias, **options
        )[1]
        for sign in (1, -1)
    ]

    products = linear_cross_entropy_hvp(
        features, weight, targets, by_weight, bias=bias, bias_tangent=by_bias, **options
    )

    assert_close((ends[0].weight - ends[1].weight) / (2 * step), products.weight, rtol=0, atol=2e-9)
    assert_close((ends[0].bias - ends[1].bias) / (2 * step), products.bias, rtol=0, atol=2e-9)
    assert products.features is None


def test_no_direction_at_the_bias_is_zero() -> None:
    features, weight, targets, bias = linear_problem()
    none = linear_cross_entropy_hvp(features, weight, targets, weight, bias=bias)
    zero = linear_cross_entropy_hvp(features, weight, targets, weight, bias=bias, bias_tangent=np.zeros(3))

    assert_bit_equal(zero.weight, none.weight)
    assert_bit_equal(zero.bias, none.bias)


def test_a_row_that_is_not_there_has_no_influence_whatever_its_features_are() -> None:
    features, weight, targets, bias = linear_problem()
    wild, labels = np.insert(features, 2, [nan, inf, -inf, 1e308], axis=0), np.insert(targets, 2, -100)
    options: dict[str, Any] = {"bias": bias, "wrt": ("weight", "bias", "features")}

    loss, expected = linear_cross_entropy_value_and_gradient(features, weight, targets, **options)
    value, gradients = linear_cross_entropy_value_and_gradient(wild, weight, labels, ignore_index=-100, **options)

    assert_bit_equal(np.insert(expected.features, 2, 0.0, axis=0), gradients.features)
    assert_close([*expected.weight.ravel(), loss], [*gradients.weight.ravel(), value], rtol=1e-14, atol=1e-15)


def test_the_differences_of_the_loss_are_the_gradient() -> None:
    features, weight, targets, bias = linear_problem()
    step, shift = 1e-6, np.random.default_rng(9).normal(size=weight.shape)
    ends = [linear_cross_entropy(features, weight + sign * step * shift, targets, bias=bias) for sign in (1, -1)]

    _, gradients = linear_cross_entropy_value_and_gradient(features, weight, targets, bias=bias)

    assert_close((ends[0] - ends[1]) / (2 * step), np.vdot(gradients.weight, shift), rtol=0, atol=1e-9)


def test_gradients_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LinearGradients(1.0, 2.0, 3.0).weight = 4.0  # type: ignore[misc]


def test_the_hvp_checks_the_targets() -> None:
    with pytest.raises(TargetError, match=re.escape("[SC121] cross_entropy_hvp: `targets` must lie in [0, 2); got 2")):
        cross_entropy_hvp([[0.0, 1.0]], [2], [[0.0, 1.0]])


def test_the_loss_beside_the_gradient_is_the_loss() -> None:
    logits = np.random.default_rng(10).normal(size=(50, 7)).astype("f4")
    targets = np.arange(50) % 7

    assert_bit_equal(cross_entropy(logits, targets), cross_entropy_value_and_gradient(logits, targets)[0])


P = np.array([[0.25, 0.75]])
X, W = np.ones((2, 3)), np.ones((4, 3))
MESSAGES: dict[str, tuple[type[Exception], Any, str]] = {
    "a number": (
        ShapeError,
        lambda: softmax_jacobian(0.5),
        "[SC102] softmax_jacobian: `probabilities` must have at least one axis, the classes; got the single number 0.5",
    ),
    "axis": (
        OptionError,
        lambda: softmax_jvp(P, P, axis=(0, 1)),  # type: ignore[arg-type]
        "[SC141] softmax_jvp: `axis` must be an integer in [-2, 2) for `probabilities` of shape (1, 2); got (0, 1)",
    ),
    "shape of a tangent": (
        ShapeError,
        lambda: softmax_jvp(P, P[0]),
        "[SC101] softmax_jvp: `tangent` must have the shape of `probabilities`, shape (1, 2); got shape (2,)",
    ),
    "dtype of a cotangent": (
        DTypeError,
        lambda: softmax_vjp(P, P.astype("f4")),
        "[SC111] softmax_vjp: `cotangent` must have the dtype of `probabilities`, float64; got float32. "
        "Nothing is converted unasked: convert one of them",
    ),
    "text": (
        DTypeError,
        lambda: softmax_vjp(P, [["a", "b"]]),
        "[SC111] softmax_vjp: `cotangent` must be an array of float16, bfloat16, float32, float64 or integers; "
        "got text. If the values are meant as numbers, pass them as such: np.asarray(cotangent, dtype=float)",
    ),
    "a read-only out": (
        OptionError,
        lambda: cross_entropy_value_and_gradient(P, [0], out=np.broadcast_to(0.5, (1, 2))),
        "[SC141] cross_entropy_value_and_gradient: `out` must be writable; got a read-only array",
    ),
    "wrt": (
        OptionError,
        lambda: linear_cross_entropy_value_and_gradient(X, W, [0, 1], wrt="weight"),
        "[SC141] linear_cross_entropy_value_and_gradient: `wrt` must be a tuple of different words out of "
        '"weight", "bias" and "features"; got \'weight\'',
    ),
    "wrt nothing": (
        OptionError,
        lambda: linear_cross_entropy_value_and_gradient(X, W, [0, 1], wrt=()),
        "[SC141] linear_cross_entropy_value_and_gradient: `wrt` must be a tuple of different words out of "
        '"weight", "bias" and "features"; got ()',
    ),
    "wrt no bias": (
        UsageError,
        lambda: linear_cross_entropy_value_and_gradient(X, W, [0, 1], wrt=("bias",)),
        '[SC202] linear_cross_entropy_value_and_gradient: "bias" in `wrt` has no effect without a `bias`',
    ),
    "direction at no bias": (
        UsageError,
        lambda: linear_cross_entropy_hvp(X, W, [0, 1], W, bias_tangent=np.ones(4)),
        "[SC202] linear_cross_entropy_hvp: `bias_tangent` has no effect without a `bias`. Pass `bias` as well",
    ),
    "shape of a direction": (
        ShapeError,
        lambda: linear_cross_entropy_hvp(X, W, [0, 1], W.T),
        "[SC101] linear_cross_entropy_hvp: `weight_tangent` must have the shape of `weight`, shape (4, 3); "
        "got shape (3, 4)",
    ),
    "ragged": (
        InputError,
        lambda: softmax_jacobian([[0.5], [0.5, 0.5]]),
        "[SC113] softmax_jacobian: `probabilities` must be an array, or nested lists of equal lengths; "
        "got list, which is neither",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_message(case: str) -> None:
    kind, call, message = MESSAGES[case]

    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()
