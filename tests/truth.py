"""The functions in 50 digits, from the exact values of the numbers that are passed in; results in long double."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
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


# ---- whole arrays at once, in long double: 64 bits of significand, 11 more than float64
EXTENDED = np.finfo(np.longdouble).nmant >= 63  # elsewhere long double is float64, which judges float32 and less


class Rows(NamedTuple):
    """What the functions give for rows of finite logits, classes last, as long doubles."""

    probabilities: np.ndarray  # (..., K)
    complements: np.ndarray  # (..., K): 1 - p, without its cancellation
    log_probabilities: np.ndarray  # (..., K)
    log_partition: np.ndarray  # (...)
    labels: np.ndarray  # (...): the first class of the largest logit

    def losses(self, targets: np.ndarray) -> np.ndarray:
        """Return the loss of every row for class indices."""
        return -np.take_along_axis(self.log_probabilities, np.asarray(targets)[..., None], axis=-1)[..., 0]

    def gradients(self, targets: np.ndarray) -> np.ndarray:
        """Return the derivative of every loss at its row."""
        places = np.asarray(targets)[..., None]
        gradients = self.probabilities.copy()
        np.put_along_axis(gradients, places, -np.take_along_axis(self.complements, places, axis=-1), axis=-1)
        return gradients


def of_rows(logits: Any, temperature: float = 1.0) -> Rows:
    """Return all results for rows of finite logits of any floating type, right to about 60 bits."""
    z = np.asarray(logits).astype(np.longdouble)
    m = z.max(axis=-1, keepdims=True)
    d = z - m
    back = d - z
    lost = (z - (d - back)) - (m + back)  # z - m is d + lost exactly
    d, lost = _divided(d, lost, np.longdouble(temperature))
    weights = np.exp(d)
    weights = weights + weights * lost
    labels = z.argmax(axis=-1)
    others = weights.copy()
    np.put_along_axis(others, labels[..., None], 0, axis=-1)
    rest = others.sum(axis=-1, keepdims=True)
    log_rest = np.log1p(rest)
    complements = (1 + (rest - weights)) / (1 + rest)
    np.put_along_axis(complements, labels[..., None], rest / (1 + rest), axis=-1)
    return Rows(
        weights / (1 + rest),
        complements,
        d - log_rest + lost,
        (m / np.longdouble(temperature) + log_rest)[..., 0],
        labels,
    )


def _divided(value: np.ndarray, lost: np.ndarray, divisor: np.longdouble) -> tuple[np.ndarray, np.ndarray]:
    """Return (value + lost) / divisor as a number and what its rounding lost."""
    if divisor == 1:
        return value, lost
    quotient = value / divisor
    remainder = value
    for part in _parts_of_24_bits(quotient):  # products of two parts are exact
        for factor in _parts_of_24_bits(divisor):
            remainder = remainder - part * factor
    return quotient, (remainder + lost) / divisor


def _parts_of_24_bits(value: Any) -> list[Any]:
    first = np.asarray(value, dtype=np.float32).astype(np.longdouble)
    second = np.asarray(value - first, dtype=np.float32).astype(np.longdouble)
    return [first, second, value - first - second]


def rounded(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Return long doubles correctly rounded to `dtype`, also to those types to which NumPy rounds twice."""
    units = np.rint(np.asarray(values, dtype=np.longdouble) / spacing(values, dtype))
    with np.errstate(over="ignore"):
        return (units * spacing(values, dtype)).astype(np.float64).astype(dtype)


def spacing(values: Any, dtype: Any) -> np.ndarray:
    """Return the distance of neighbouring numbers of `dtype` round each exact value, as long doubles."""
    facts = ml_dtypes.finfo(dtype)
    _, exponents = np.frexp(np.abs(np.asarray(values, dtype=np.longdouble)))  # |value| in [2^(e-1), 2^e)
    exponents = np.where(np.isfinite(values) & (np.asarray(values) != 0), exponents, facts.minexp)
    return np.ldexp(np.longdouble(1), np.maximum(exponents - 1, facts.minexp) - facts.nmant)
