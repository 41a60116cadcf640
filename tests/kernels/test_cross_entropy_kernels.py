"""The kernels of the loss: bounds, options, huge rows, what the signatures refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close, assert_correctly_rounded, assert_ulp
from losses import BF, F2, F4, F8, INF, NAN, call, empty_like, exact, made_rows, made_shares, omega_of, options_of
from softclass.kernels import _cpu

# Both kernels, their border, blocks that are full and not, K = 1.
SIZES = [(1, 3), (2, 5), (2, 33), (3, 40), (4, 17), (7, 64), (10, 1), (10, 50), (16, 35), (17, 16), (33, 20), (40, 18)]
SIZES += [(41, 3), (64, 2), (100, 5), (257, 3), (1000, 2), (5000, 1)]


@pytest.mark.parametrize("scale", [0.1, 1, 5, 20, 50, 80])
@pytest.mark.parametrize("K", [2, 3, 5, 10, 16, 17, 31, 40, 41, 64, 100, 1000, 4097])
@pytest.mark.parametrize(("dtype", "of_loss", "of_gradient"), [(F4, 1.0, 3.5), (F8, 2.0, 5.0)])
def test_class_indices_are_within_the_bounds(
    K: int, scale: float, dtype: np.dtype, of_loss: float, of_gradient: float
) -> None:
    logits, targets = made_rows(K, max(30, 6000 // K), scale, dtype)
    losses, gradients, _ = exact(logits, targets)

    made = call(logits, targets)

    assert_ulp(losses, made.losses.astype(dtype), ulps=of_loss)
    assert_ulp(gradients, made.gradient, ulps=of_gradient)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["index", "f4", "f8"])
@pytest.mark.parametrize("K", [2, 3, 10, 17, 40, 41, 100, 1000])
@pytest.mark.parametrize(("dtype", "of_loss", "of_gradient"), [(F4, 1.0, 3.5), (F8, 2.0, 5.0)])
def test_distributions_are_within_the_bounds(
    K: int, smoothing: float, kind: str, dtype: np.dtype, of_loss: float, of_gradient: float
) -> None:
    logits, targets = made_rows(K, 40, 5, dtype)
    targets = targets if kind == "index" else made_shares(K, 40, np.dtype(kind))
    losses, gradients, size = exact(logits, targets, smoothing)

    made = call(logits, targets, label_smoothing=smoothing)

    assert_ulp(losses, made.losses.astype(dtype), ulps=of_loss)
    assert np.all(np.abs(made.gradient - gradients) <= of_gradient * np.finfo(dtype).eps * size)


@pytest.mark.parametrize("dtype", [F2, BF])
@pytest.mark.parametrize("K", [3, 10, 17, 41, 300])
def test_half_precision_is_correctly_rounded(K: int, dtype: np.dtype) -> None:
    logits, targets = made_rows(K, 1 + 8000 // K, 3, dtype)
    losses, gradients, _ = exact(logits.astype(F4), targets)

    made = call(logits, targets)

    assert_ulp(losses, made.losses.astype(F4), ulps=1.0)
    assert_correctly_rounded(gradients, made.gradient)


@pytest.mark.parametrize("dtype", [F4, F8])
@pytest.mark.parametrize("K", [2, 10, 17, 40, 41, 1000])
def test_a_confident_row_keeps_its_loss_and_its_gradient(K: int, dtype: np.dtype) -> None:
    logits = np.zeros((60, K), dtype)
    logits[:, 1] = np.arange(60) * (1.7 if dtype == F4 else 12.1)
    losses, gradients, _ = exact(logits, np.ones(60, int))

    made = call(logits, np.ones(60, int))

    smallest = float(np.finfo(dtype).smallest_subnormal)
    assert_ulp(losses, made.losses.astype(dtype), ulps=1.0 if dtype == F4 else 2.0)
    assert_ulp(gradients, made.gradient, ulps=3.5, atol=2 * smallest)
    assert np.all(made.losses[: 50 if dtype == F4 else 40] > 0)


@pytest.mark.parametrize("K", [3, 41])
def test_a_tiny_weight_costs_the_gradient_no_digits(K: int) -> None:
    logits, targets = made_rows(K, 20, 2, F4)
    _, gradients, _ = exact(logits, targets)

    made = call(logits, targets, sample_weight=np.full(20, 2.0**-90))

    assert_ulp(gradients * np.longdouble(2.0) ** -90, made.gradient, ulps=3.5, atol=2e-45)


# ---- options: against the formula, row by row


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("dtype", [F4, F8])
@pytest.mark.parametrize("which", ["", "s", "c", "i", "l", "sc", "si", "cil", "scl", "scilw"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("K", "N"), SIZES)
def test_options_follow_the_formula(K: int, N: int, soft: bool, which: str, dtype: np.dtype, mean: bool) -> None:
    logits, targets = made_rows(K, N, 3, dtype)
    targets = made_shares(K, N, dtype) if soft else targets
    options = options_of(which.replace("i", "") if soft else which, K, N)
    omega, smoothing = omega_of(targets, options), options.get("label_smoothing", 0.0)
    losses, gradients, _ = exact(logits, targets, smoothing)
    divisor = omega.sum() if mean and omega.sum() > 0 else 1.0
    rtol = 1e-6 if dtype == F4 else 1e-13

    made = call(logits, targets, mean=mean, **options)

    assert_close((omega * losses).astype(F8), made.losses, rtol=rtol, atol=1e-300)
    assert_close((omega[:, None] * gradients / divisor).astype(F8), made.gradient.astype(F8), rtol=rtol, atol=rtol / 4)
    assert (made.loss, made.weight) == (pytest.approx(float(made.losses.sum()), rel=1e-12), pytest.approx(omega.sum()))
    assert (made.first_bad, made.n_bad) == (-1, 0)
    assert_bit_equal(np.zeros_like(made.gradient[omega == 0]), made.gradient[omega == 0])


@pytest.mark.parametrize("kind", ["f2", "bf", "f4", "f8"])
@pytest.mark.parametrize("dtype", [F2, BF, F4, F8])
@pytest.mark.parametrize("K", [5, 50])
def test_distributions_of_every_type(K: int, dtype: np.dtype, kind: str) -> None:
    logits, _ = made_rows(K, 20, 3, dtype)
    shares = np.zeros((20, K), F8)
    shares[:, 1:3] = [0.25, 0.75]
    wide = F8 if dtype == F8 else F4

    made = call(logits, shares.astype(BF if kind == "bf" else kind))

    expected = call(logits.astype(wide), shares)
    assert_bit_equal(expected.losses, made.losses)
    assert_bit_equal(expected.gradient.astype(dtype), made.gradient)


def test_one_hot_rows_equal_class_indices() -> None:
    logits, targets = made_rows(10, 50, 3, F8)

    hard, soft = call(logits, targets), call(logits, np.eye(10)[targets])

    assert_close(hard.losses, soft.losses, rtol=1e-15, atol=0)
    assert_close(hard.gradient, soft.gradient, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("upstream", [np.array([2.0]), np.linspace(-1, 1, 40)])
@pytest.mark.parametrize("which", ["", "si", "cl"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [F2, F4, F8])
@pytest.mark.parametrize("K", [1, 5, 17, 60])
def test_the_second_half_gives_the_gradient(
    K: int, dtype: np.dtype, soft: bool, which: str, upstream: np.ndarray
) -> None:
    logits, targets = made_rows(K, 40, 3, dtype)
    targets = made_shares(K, 40, F8) if soft else targets
    logits[3, 0], logits[4, 0], logits[5], logits[6, 0] = INF, NAN, -INF, -INF
    options = options_of(which.replace("i", "") if soft else which, K, 40)
    arguments = [options.get(name) for name in ("sample_weight", "class_weight", "ignore_index")]
    arguments += [options.get("label_smoothing", 0.0), 1.0]
    states, gradient = np.empty((40, 2)), empty_like(logits)
    _cpu.cross_entropy(logits, targets, 1, *arguments, 1e-3, None, states)

    _cpu.cross_entropy_gradient(logits, targets, 1, *arguments, states, upstream, 4.0, gradient)

    sample = (np.ones(40) if arguments[0] is None else arguments[0]) * upstream / 4
    forward = call(logits, targets, **{**options, "sample_weight": sample})
    assert_close(forward.gradient.astype(F8), gradient.astype(F8), rtol=2e-3 if dtype == F2 else 1e-6, atol=1e-7)


def test_the_second_half_repeats_the_bits_of_the_first() -> None:
    for K in (7, 300):
        logits, targets = made_rows(K, 40, 3, F4)
        states, gradient = np.empty((40, 2)), empty_like(logits)
        _cpu.cross_entropy(logits, targets, 1, None, None, None, 0.0, 1.0, 1e-3, None, states)
        _cpu.cross_entropy_gradient(logits, targets, 1, None, None, None, 0.0, 1.0, states, np.ones(1), 1.0, gradient)
        assert_bit_equal(call(logits, targets).gradient, gradient)


# ---- more classes than a cache holds


@pytest.mark.parametrize("dtype", [F4, F8])
@pytest.mark.parametrize("K", [131_073, 200_000, 400_001])
def test_a_huge_row(K: int, dtype: np.dtype) -> None:
    logits, _ = made_rows(K, 3, 4, dtype)
    targets = np.array([K - 1, int(logits[1].argmax()), 70_000])
    losses, gradients, _ = exact(logits, targets)

    made = call(logits, targets)

    assert_ulp(losses, made.losses.astype(dtype), ulps=1.0 if dtype == F4 else 2.0)
    assert_ulp(gradients, made.gradient, ulps=3.5 if dtype == F4 else 5.0)


# ---- what the signatures refuse

ROWS, INDICES = np.zeros((2, 3)), np.zeros(2, int)
REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "integers": ({"logits": ROWS.astype(int)}, ValueError, "logits must be floating-point numbers"),
    "axis": ({"axis": 2}, ValueError, "axis must be one of logits"),
    "index type": ({"targets": INDICES.astype("i4")}, TypeError, "arrays must be float16"),
    "too many indices": ({"targets": np.zeros(3, int)}, ValueError, "class indices must be one a row, in C order"),
    "bool targets": ({"targets": INDICES.astype(bool)}, ValueError, "class indices must be int64"),
    "shares of another shape": (
        {"targets": np.zeros((3, 2))},
        ValueError,
        "soft targets must have the shape of logits",
    ),
    "weights": ({"sample_weight": np.ones(3)}, ValueError, "sample_weight must be float64, one a row"),
    "type of weights": ({"class_weight": np.ones(3, "f4")}, ValueError, "class_weight must be float64, one a class"),
    "losses": ({"losses": np.zeros(3)}, ValueError, "losses must be float64, one a row"),
    "gradient": (
        {"gradient": np.zeros((2, 3), "f4")},
        ValueError,
        "gradient must have the shape and the dtype of logits",
    ),
    "other byte order": ({"logits": ROWS.astype(">f8")}, TypeError, "arrays must be float16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    change, error, message = REFUSED[name]
    arguments = {"logits": ROWS, "targets": INDICES, "axis": 1, "sample_weight": None, "class_weight": None}
    arguments |= {"ignore_index": None, "label_smoothing": 0.0, "weight_scale": 1.0, "tolerance": 1e-3, "mean": False}
    arguments |= {"losses": np.zeros(2), "gradient": ROWS.copy(), **change}

    with pytest.raises(error, match=message):
        _cpu.cross_entropy_and_gradient(**arguments)
