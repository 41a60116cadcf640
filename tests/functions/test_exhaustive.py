"""All numbers of 16 bits, and dense sweeps of float32 and float64, as single logits and as pairs with 0."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import softclass
from asserts import assert_correctly_rounded, assert_ulp
from truth import EXTENDED, of_rows

HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
halves = pytest.mark.parametrize("half", HALVES)


def every_number(half: str) -> np.ndarray:
    """Return all 65,536 bit patterns, without NaN."""
    numbers = np.arange(2**16, dtype=np.uint16).view(HALVES[half])
    with np.errstate(invalid="ignore"):  # some of the NaN are signals
        return numbers[~np.isnan(numbers)]


@halves
def test_every_number_as_the_only_class(half: str) -> None:
    numbers = every_number(half)
    rows = numbers[:, None]
    is_one = numbers != -np.inf  # also +inf, the only one

    expected = np.where(is_one, 1.0, np.nan)[:, None]
    assert_ulp(expected, softclass.softmax(rows), ulps=0)
    assert_ulp(expected - 1, softclass.log_softmax(rows), ulps=0)
    assert_ulp(numbers.astype(np.longdouble), softclass.logsumexp(rows), ulps=0)


def pairs_with_zero(numbers: np.ndarray, order: str) -> np.ndarray:
    """Return rows (x, 0) or (0, x)."""
    zeros = np.zeros_like(numbers)
    return np.stack([numbers, zeros] if order == "x, 0" else [zeros, numbers], axis=1)


def finite_pairs(half: str, order: str) -> np.ndarray:
    numbers = every_number(half)
    return pairs_with_zero(numbers[np.isfinite(numbers)], order)


orders = pytest.mark.parametrize("order", ["x, 0", "0, x"])


@orders
@halves
def test_softmax_of_every_number_and_zero(half: str, order: str) -> None:
    pairs = finite_pairs(half, order)

    assert_correctly_rounded(of_rows(pairs).probabilities, softclass.softmax(pairs))


@orders
@halves
def test_log_softmax_of_every_number_and_zero(half: str, order: str) -> None:
    pairs = finite_pairs(half, order)

    assert_correctly_rounded(of_rows(pairs).log_probabilities, softclass.log_softmax(pairs))


@orders
@halves
def test_logsumexp_of_every_number_and_zero(half: str, order: str) -> None:
    pairs = finite_pairs(half, order)

    assert_ulp(of_rows(pairs).log_partition, softclass.logsumexp(pairs), ulps=1)


@pytest.mark.parametrize("target", [0, 1])
@halves
def test_loss_and_gradient_of_every_number_and_zero(half: str, target: int) -> None:
    pairs = finite_pairs(half, "x, 0")
    targets = np.full(len(pairs), target)
    truth = of_rows(pairs)

    losses, gradient = softclass.cross_entropy_value_and_gradient(pairs, targets, reduction="none")

    assert_ulp(truth.losses(targets), losses, ulps=1)
    assert_correctly_rounded(truth.gradients(targets), gradient)


@pytest.mark.parametrize("width", [3, 17, 48, 200])
@halves
def test_every_number_among_more_classes(half: str, width: int) -> None:
    numbers = every_number(half)
    rows = np.zeros((np.isfinite(numbers).sum(), width), dtype=numbers.dtype)
    rows[:, width // 2] = numbers[np.isfinite(numbers)]
    rows[:, 0] = 0.5
    some = slice(None, None, 7 if width < 48 else 61)
    truth = of_rows(rows[some])

    assert_correctly_rounded(truth.probabilities, softclass.softmax(rows)[some])
    assert_correctly_rounded(truth.log_probabilities, softclass.log_softmax(rows)[some])


# ---- exp: softmax of (x, 0) is exp(x) / (1 + exp(x))
def float32_between(low: float, high: float, step: int) -> np.ndarray:
    """Return every `step`th float32 between two negative numbers."""
    near, far = (int(np.float32(value).view(np.uint32)) for value in (high, low))
    return np.arange(near, far, step, dtype=np.uint32).view(np.float32)


def worst_of_pairs(numbers: np.ndarray) -> None:
    """Judge softmax and log_softmax of (x, 0), whose truth float64 gives to 2^-52."""
    pairs = pairs_with_zero(numbers, "x, 0")
    powers = np.exp(numbers.astype(np.float64))
    shares = np.stack([powers / (1 + powers), 1 / (1 + powers)], axis=1)
    logs = -np.log1p(powers)
    found = softclass.softmax(pairs)
    # exp 1.01, and half a unit each for 1 / (1 + s) and the product
    assert_ulp(shares, found, ulps=2.5)
    assert_ulp(logs, softclass.log_softmax(pairs)[:, 1], ulps=1.5)


@pytest.mark.parametrize(("low", "high", "step"), [(-104, -2e-9, 701), (-104, -1, 307), (-1, -1e-3, 431)])
def test_exponentials_of_float32(low: float, high: float, step: int) -> None:
    worst_of_pairs(float32_between(low, high, step))


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 5, 10, 15])
def test_exponentials_of_every_fourth_float32(part: int) -> None:
    """67 million from -104 to -2e-9, in blocks; exp itself is judged at all of them by the native tests."""
    numbers = float32_between(-104, -2e-9, 16)
    shifted = (numbers.view(np.uint32) + np.uint32(part)).view(np.float32)
    for block in np.array_split(shifted, 32):
        worst_of_pairs(block)


@pytest.mark.skipif(not EXTENDED, reason="long double is no wider than float64 here")
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.slow] * (seed > 0)) for seed in range(8)])
@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp"])
def test_exponentials_and_logarithms_of_float64(function: str, seed: int) -> None:
    """The log of 1 + s for s from 1e-310 to 1, and above it for the pair turned round."""
    draw = np.random.default_rng(seed)
    numbers = -np.concatenate([10 ** draw.uniform(-12, 2.85, 100_000), draw.uniform(0, 744, 100_000)])
    pairs = pairs_with_zero(numbers, "x, 0")
    truth = of_rows(pairs)
    smallest = float(np.finfo(np.float64).smallest_subnormal)
    expected = {
        "softmax": truth.probabilities,
        "log_softmax": truth.log_probabilities,
        "logsumexp": truth.log_partition,
    }

    found = getattr(softclass, function)(pairs)

    # A sum of one exponential: exp 1.02 and log1p 0.82 units
    assert_ulp(
        expected[function], found, ulps={"softmax": 4, "log_softmax": 2, "logsumexp": 2}[function], atol=smallest
    )


@pytest.mark.parametrize("n_equal", [2, 3, 5, 40, 41, 1000, 65_537, 1_000_003])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_logarithms_of_whole_numbers(dtype: str, n_equal: int) -> None:
    row = np.zeros(n_equal, dtype=dtype)
    expected = np.log(np.longdouble(n_equal))

    assert_ulp(expected, softclass.logsumexp(row), ulps=1)
    assert_ulp(np.full(n_equal, -expected), softclass.log_softmax(row), ulps=1)
