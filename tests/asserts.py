"""Comparisons used by the tests; each raises, and test_asserts.py shows it failing."""

from __future__ import annotations

from typing import Any

import numpy as np

from truth import rounded, spacing


def assert_bit_equal(expected: Any, actual: Any) -> None:
    """Both arrays have one dtype, one shape and the same bits (NaN equals NaN of the same bits)."""
    expected, actual = np.asarray(expected), np.asarray(actual)
    assert expected.dtype == actual.dtype, f"dtype {actual.dtype}, expected {expected.dtype}"
    assert expected.shape == actual.shape, f"shape {actual.shape}, expected {expected.shape}"
    if expected.dtype == object:
        assert expected.tolist() == actual.tolist()
        return
    assert expected.tobytes() == actual.tobytes(), "bits differ"


def assert_close(expected: Any, actual: Any, *, rtol: float, atol: float) -> None:
    """Both arrays have one shape and agree to the stated tolerances; NaN agrees with NaN."""
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol, strict=False)
    assert np.shape(expected) == np.shape(actual), f"shape {np.shape(actual)}, expected {np.shape(expected)}"


def assert_ulp(expected: Any, actual: Any, *, ulps: float, atol: float = 0.0) -> None:
    """Every element of `actual` lies within `ulps` spacings of its own dtype, or within `atol`, of the exact value."""
    distance = ulp_distance(expected, actual)
    assert np.shape(expected) == np.shape(actual), f"shape {np.shape(actual)}, expected {np.shape(expected)}"
    with np.errstate(invalid="ignore"):
        near = np.abs(_wide(actual) - np.asarray(expected, dtype=np.longdouble)) <= atol
    distance = np.where(near & (atol > 0), 0, distance)
    assert np.all(distance <= ulps), f"worst distance {distance.max(initial=0):.3f} ulp, allowed {ulps}"


def assert_correctly_rounded(expected: Any, actual: Any, *, share: float = 0.999, slack: float = 0.0) -> None:
    """At least `share` of the elements are the exact values rounded to their dtype, the others the next number.

    With `slack`, both neighbours are right for an exact value that lies half way between them to that many spacings.
    """
    actual = np.asarray(actual)
    expected = np.asarray(expected, dtype=np.longdouble)
    assert expected.shape == actual.shape, f"shape {actual.shape}, expected {expected.shape}"
    ideal = rounded(expected, actual.dtype)
    distance = ulp_distance(expected, actual)
    right = (ideal == actual) | (np.isnan(ideal) & np.isnan(actual)) | (distance <= 0.5 + slack) & (slack > 0)
    off = distance[~right]
    assert np.all(off <= 1), f"worst distance {off.max(initial=0):.3f} ulp, allowed 1 beside the rounded value"
    assert right.mean() >= share, f"{right.mean():.5%} correctly rounded, wanted {share:.3%}"


def ulp_distance(expected: Any, actual: Any) -> np.ndarray:
    """Return the distances in spacings of the dtype of `actual` at the exact values; infinite where one is NaN."""
    actual = np.asarray(actual)
    expected = np.asarray(expected, dtype=np.longdouble)
    with np.errstate(invalid="ignore"):
        distance = np.abs(_wide(actual) - expected) / spacing(expected, actual.dtype)
    ideal = rounded(expected, actual.dtype)  # equal infinities, and what overflows
    same = (ideal == actual) | (np.isnan(expected) & np.isnan(actual))
    return np.where(same & ~np.isfinite(distance), 0, np.where(np.isnan(distance), np.inf, distance))


def _wide(values: Any) -> np.ndarray:
    return np.asarray(values).astype(np.longdouble)
