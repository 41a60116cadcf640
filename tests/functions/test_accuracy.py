"""Worst errors over many random rows, against long double; the golden files hold a few rows in 50 digits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import softclass
from asserts import assert_close, assert_correctly_rounded, assert_ulp
from truth import EXTENDED, Rows, of_rows

# The bounds of the project in units in the last place: float32 as promised, float64 as reached.
SOFTMAX = {"f4": 2.5, "f8": 2.5}
LOG_SOFTMAX = {"f4": 1.5, "f8": 1.5}
LOGSUMEXP = {"f4": 1.0, "f8": 1.0}
LOSS = {"f4": 1.0, "f8": 1.0}
GRADIENT = {"f4": 3.5, "f8": 5.0}
REDUCED = {"f4": 1.5, "f8": 2.0}
ROW_SUM = {"f4": 1e-7, "f8": 5e-16}
CANCELLED = {"f4": 2.0**-23, "f8": 2.0**-52}  # where maximum and log of the rest cancel

KINDS = [f"scale {scale}" for scale in (0.1, 1, 5, 20, 50, 80)]
KINDS += ["offset 1e4", "offset -1e4", "dominant 20", "dominant 60", "dominant 90", "ties", "subnormal"]
SIZES = [2, 3, 7, 10, 16, 17, 31, 33, 40, 41, 64, 65, 100, 1000, 4097, 100_000]

narrower = pytest.mark.skipif(not EXTENDED, reason="long double is no wider than float64 here")
each_type = pytest.mark.parametrize("dtype", ["f4", pytest.param("f8", marks=narrower)])
each_size = pytest.mark.parametrize("n_classes", SIZES)
each_kind = pytest.mark.parametrize("kind", KINDS)


def rows_of(kind: str, n_classes: int, dtype: str, n_logits: int = 12_000) -> np.ndarray:
    """Return rows of one kind, `n_logits` in all or one row."""
    draw = np.random.default_rng([n_classes, *kind.encode(), *dtype.encode()])
    logits = draw.normal(size=(max(1, n_logits // n_classes), n_classes))
    name, _, amount = kind.partition(" ")
    if name == "scale":
        logits *= float(amount)
    elif name == "offset":
        logits += float(amount)
    elif name == "dominant":
        logits[:, draw.integers(n_classes)] += float(amount)
    elif name == "ties":
        logits = logits.round()
    else:  # probabilities round the smallest numbers of the type
        logits = logits * 5 - (95 if dtype == "f4" else 725)
        logits[:, -1] = 0
    return logits.astype(dtype)


@lru_cache(maxsize=4)
def problem(kind: str, n_classes: int, dtype: str) -> tuple[np.ndarray, Rows]:
    """Return rows and what is right for them."""
    logits = rows_of(kind, n_classes, dtype)
    return logits, of_rows(logits)


def lost_in_subnormals(kind: str, n_classes: int, dtype: str) -> float:
    """Return half the smallest number a class: every exponential is rounded to such a number before it joins a sum."""
    smallest = float(np.finfo(dtype).smallest_subnormal)
    return smallest * (1 + n_classes / 2) if kind in ("subnormal", "dominant 90") else 0.0


@each_type
@each_kind
@each_size
def test_softmax_and_the_sum_of_its_rows(n_classes: int, kind: str, dtype: str) -> None:
    logits, truth = problem(kind, n_classes, dtype)

    found = softclass.softmax(logits)

    assert_ulp(truth.probabilities, found, ulps=SOFTMAX[dtype])
    sums = found.sum(axis=1, dtype=np.longdouble)
    assert_close(np.ones(len(logits)), sums.astype(float), rtol=0, atol=ROW_SUM[dtype])


@each_type
@each_kind
@each_size
def test_log_softmax_and_logsumexp(n_classes: int, kind: str, dtype: str) -> None:
    logits, truth = problem(kind, n_classes, dtype)
    atol = lost_in_subnormals(kind, n_classes, dtype)

    logs, log_partitions = softclass.log_softmax(logits), softclass.logsumexp(logits)

    assert_ulp(truth.log_probabilities, logs, ulps=LOG_SOFTMAX[dtype], atol=atol)
    assert_ulp(truth.log_partition, log_partitions, ulps=LOGSUMEXP[dtype], atol=CANCELLED[dtype])


def targets_of(logits: np.ndarray) -> np.ndarray:
    """Return the largest logit in every other row, any class in the others."""
    drawn = np.random.default_rng(logits.shape).integers(logits.shape[1], size=len(logits))
    return np.where(np.arange(len(logits)) % 2 == 0, logits.argmax(axis=1), drawn)


@each_type
@each_kind
@each_size
def test_loss_and_gradient(n_classes: int, kind: str, dtype: str) -> None:
    logits, truth = problem(kind, n_classes, dtype)
    targets, atol = targets_of(logits), lost_in_subnormals(kind, n_classes, dtype)

    losses, gradient = softclass.cross_entropy_value_and_gradient(logits, targets, reduction="none")

    assert_ulp(truth.losses(targets), losses, ulps=LOSS[dtype], atol=atol)
    assert_ulp(truth.gradients(targets), gradient, ulps=GRADIENT[dtype], atol=atol)


@each_type
@pytest.mark.parametrize("n_classes", [3, 10, 100, 1000])
@pytest.mark.parametrize("temperature", [0.05, 0.3, 0.7, 1.3, 10.0])
@pytest.mark.parametrize("kind", ["scale 1", "scale 5", "scale 20", "offset 1e4"])
def test_temperature(kind: str, temperature: float, n_classes: int, dtype: str) -> None:
    logits = rows_of(kind, n_classes, dtype)
    truth = of_rows(logits, temperature)

    probabilities = softclass.softmax(logits, temperature=temperature)
    logs = softclass.log_softmax(logits, temperature=temperature)

    assert_ulp(truth.probabilities, probabilities, ulps=SOFTMAX[dtype])
    assert_ulp(truth.log_probabilities, logs, ulps=LOG_SOFTMAX[dtype])


@each_type
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("n_classes", [2, 10, 100, 1000])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_reduced_loss_is_that_of_the_exact_losses(weighted: bool, n_classes: int, reduction: str, dtype: str) -> None:
    logits, truth = problem("scale 5", n_classes, dtype)
    targets = targets_of(logits)
    weights = np.random.default_rng(5).uniform(0.1, 3, size=len(logits)) if weighted else np.ones(len(logits))
    total = (truth.losses(targets) * weights.astype(np.longdouble)).sum()
    divisor = weights.astype(np.longdouble).sum() if reduction == "mean" else 1

    found = softclass.cross_entropy(logits, targets, sample_weight=weights if weighted else None, reduction=reduction)

    assert_ulp(total / divisor, found, ulps=REDUCED[dtype])


@each_type
@pytest.mark.parametrize("n_classes", [2, 3, 10, 17, 41, 100, 1000])
@pytest.mark.parametrize("kind", ["scale 0.1", "scale 5", "scale 20", "dominant 20", "dominant 60"])
def test_the_derivative_of_softmax_cancels_nowhere(kind: str, n_classes: int, dtype: str) -> None:
    logits, _ = problem(kind, n_classes, dtype)
    draw = np.random.default_rng(n_classes)
    cotangent = (draw.normal(size=logits.shape) + 100).astype(dtype)  # the common part must not matter
    probabilities = softclass.softmax(logits)
    p, v = probabilities.astype(np.longdouble), cotangent.astype(np.longdouble)
    centred = v - np.take_along_axis(v, p.argmax(axis=1)[:, None], axis=1)
    expected = p * (centred - (p * centred).sum(axis=1, keepdims=True))
    allowed = 4 * np.finfo(dtype).eps * p * np.abs(centred).max(axis=1, keepdims=True)

    found = softclass.softmax_vjp(probabilities, cotangent)

    smallest = np.finfo(dtype).smallest_subnormal
    assert (np.abs(found.astype(np.longdouble) - expected) <= allowed + smallest).all()


HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


half_rows = [
    pytest.mark.parametrize("half", HALVES),
    pytest.mark.parametrize("n_classes", [2, 3, 10, 17, 41, 100, 1000, 100_000]),
    pytest.mark.parametrize("scale", [0.1, 1, 5, 20]),
]


def each_half_row(test: Any) -> Any:
    """Parametrize by type, size and scale."""
    for mark in half_rows:
        test = mark(test)
    return test


@lru_cache(maxsize=4)
def half_problem(scale: float, n_classes: int, half: str) -> tuple[np.ndarray, Rows]:
    """Return rows of 16-bit numbers and what is right for them."""
    draw = np.random.default_rng([n_classes, len(half)])
    logits = (draw.normal(size=(max(1, 24_000 // n_classes), n_classes)) * scale).astype(HALVES[half])
    return logits, of_rows(logits)


@each_half_row
def test_half_precision_is_the_exact_value_rounded(scale: float, n_classes: int, half: str) -> None:
    logits, truth = half_problem(scale, n_classes, half)

    assert_correctly_rounded(truth.probabilities, softclass.softmax(logits))
    assert_ulp(truth.log_partition, softclass.logsumexp(logits), ulps=LOGSUMEXP["f4"], atol=CANCELLED["f4"])


@each_half_row
def test_logs_in_half_precision_are_the_exact_value_rounded(scale: float, n_classes: int, half: str) -> None:
    """Differences of such logits often lie half way between two such numbers, and log(1 + rest) may be 1e-50 there.

    What lies nearer to half way than long double can tell may be rounded either way.
    """
    logits, truth = half_problem(scale, n_classes, half)

    assert_correctly_rounded(truth.log_probabilities, softclass.log_softmax(logits), slack=2**-40)


@each_half_row
def test_gradients_in_half_precision_are_the_exact_value_rounded(scale: float, n_classes: int, half: str) -> None:
    logits, truth = half_problem(scale, n_classes, half)
    targets = targets_of(logits.astype("f4"))

    losses, gradient = softclass.cross_entropy_value_and_gradient(logits, targets, reduction="none")

    assert_correctly_rounded(truth.gradients(targets), gradient)
    assert_ulp(truth.losses(targets), losses, ulps=LOSS["f4"])


@pytest.mark.slow
@each_type
@each_kind
@pytest.mark.parametrize("n_classes", [2, 10, 33, 100, 1000, 131_073, 1_000_000])
def test_a_million_logits_of_each_kind(n_classes: int, kind: str, dtype: str) -> None:
    logits = rows_of(kind, n_classes, dtype, n_logits=1_000_000)
    truth, targets, atol = of_rows(logits), targets_of(logits), lost_in_subnormals(kind, n_classes, dtype)

    losses, gradient = softclass.cross_entropy_value_and_gradient(logits, targets, reduction="none")

    assert_ulp(truth.probabilities, softclass.softmax(logits), ulps=SOFTMAX[dtype])
    assert_ulp(truth.log_probabilities, softclass.log_softmax(logits), ulps=LOG_SOFTMAX[dtype], atol=atol)
    assert_ulp(truth.log_partition, softclass.logsumexp(logits), ulps=LOGSUMEXP[dtype], atol=CANCELLED[dtype])
    assert_ulp(truth.losses(targets), losses, ulps=LOSS[dtype], atol=atol)
    assert_ulp(truth.gradients(targets), gradient, ulps=GRADIENT[dtype], atol=atol)
