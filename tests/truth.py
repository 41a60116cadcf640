"""The functions in 50 digits, from the exact values of the numbers that are passed in; results in long double."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

mpmath.mp.dps = 50


def exact(values: Any) -> list[Any]:
    """Return the values as exact mpmath numbers."""
    return [mpmath.mpf(float(value)) for value in np.ravel(values)]


def as_longdouble(values: list[Any]) -> np.ndarray:
    """Return mpmath numbers as long doubles: as a float and the float that was lost, so 64 bits are right."""
    high = [float(value) for value in values]
    low = [
        float(value - h) if mpmath.isfinite(value) and np.isfinite(h) else 0.0
        for value, h in zip(values, high, strict=True)
    ]
    return np.array(high, dtype=np.longdouble) + np.array(low, dtype=np.longdouble)


def log_partition(row: Any, temperature: float = 1.0) -> Any:
    """Return log(sum(exp(row / temperature)))."""
    largest, _, log_rest = _parts(row, temperature)
    return largest + log_rest


def _parts(row: Any, temperature: float) -> tuple[Any, list[Any], Any]:
    """Return maximum, differences from it, and log of the sum of their exponentials: 1e-100 beside 1 is kept."""
    divided = [z / mpmath.mpf(temperature) for z in exact(row)]
    largest = max(divided)
    differences = [z - largest for z in divided]
    others = differences.copy()
    others.remove(0)
    return largest, differences, mpmath.log1p(mpmath.fsum(mpmath.exp(d) for d in others))


def log_probabilities(row: Any, temperature: float = 1.0) -> list[Any]:
    """Return the log-softmax of a row."""
    _, differences, log_rest = _parts(row, temperature)
    return [d - log_rest for d in differences]


def probabilities(row: Any, temperature: float = 1.0) -> list[Any]:
    """Return the softmax of a row."""
    return [mpmath.exp(value) for value in log_probabilities(row, temperature)]


def smoothed(target: Any, n_classes: int, label_smoothing: float) -> list[Any]:
    """Return (1 - epsilon) q + epsilon / K for a class index or a row of probabilities."""
    plain = [mpmath.mpf(int(j == target)) for j in range(n_classes)] if np.ndim(target) == 0 else exact(target)
    epsilon = mpmath.mpf(label_smoothing)
    return [(1 - epsilon) * q + epsilon / n_classes for q in plain]


def row_loss(row: Any, target: Any, label_smoothing: float = 0.0) -> Any:
    """Return the loss of one row of weight 1."""
    shares = smoothed(target, len(row), label_smoothing)
    return mpmath.fsum(-q * value for q, value in zip(shares, log_probabilities(row), strict=True) if q != 0)


def row_gradient(row: Any, target: Any, label_smoothing: float = 0.0) -> list[Any]:
    """Return the derivative of that loss at the row."""
    shares = smoothed(target, len(row), label_smoothing)
    total = mpmath.fsum(shares)
    with mpmath.workdps(400):  # 1 - p may be as small as the smallest double
        return [total * p - q for p, q in zip(probabilities(row), shares, strict=True)]


def row_weight(target: Any, sample_weight: float, class_weight: Any) -> Any:
    """Return the weight of one row."""
    if class_weight is None:
        return mpmath.mpf(sample_weight)
    weights = exact(class_weight)
    if np.ndim(target) == 0:
        return mpmath.mpf(sample_weight) * weights[int(target)]
    return mpmath.mpf(sample_weight) * mpmath.fsum(w * q for w, q in zip(weights, exact(target), strict=True))
