"""Comparisons used by the tests; each raises, and test_asserts.py shows it failing."""

from __future__ import annotations

from typing import Any

import numpy as np


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


def assert_ulp(expected: Any, actual: Any, *, ulps: float) -> None:
    """Every element of `actual` lies within `ulps` units in the last place of its own dtype from `expected`."""
    actual = np.asarray(actual)
    expected = np.asarray(expected, dtype=np.longdouble)
    spacing = np.spacing(np.abs(expected).astype(actual.dtype)).astype(np.longdouble)
    same = (actual == expected.astype(actual.dtype)) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0, np.abs(actual.astype(np.longdouble) - expected) / spacing)
    distance = np.where(np.isnan(distance), np.inf, distance)
    assert np.all(distance <= ulps), f"worst distance {distance.max(initial=0):.3f} ulp, allowed {ulps}"
