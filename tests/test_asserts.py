"""The comparisons of asserts.py fail when they should."""

from __future__ import annotations

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close, assert_ulp


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (np.array([1.0]), np.array([1.0 + 2**-52])),
        (np.array([0.0]), np.array([-0.0])),
        (np.array([1.0]), np.array([1.0], dtype=np.float32)),
        (np.array([1.0]), np.array([[1.0]])),
        (np.array(["a"], dtype=object), np.array(["b"], dtype=object)),
    ],
)
def test_bit_equal_fails(expected: object, actual: object) -> None:
    with pytest.raises(AssertionError):
        assert_bit_equal(expected, actual)


@pytest.mark.parametrize("actual", [[1.0 + 2e-6], [np.nan], [[1.0]]])
def test_close_fails(actual: object) -> None:
    with pytest.raises(AssertionError):
        assert_close([1.0], actual, rtol=1e-6, atol=0)


@pytest.mark.parametrize("actual", [1.0 + 3 * 2**-52, np.nan, np.inf])
def test_ulp_fails(actual: float) -> None:
    with pytest.raises(AssertionError):
        assert_ulp(np.array([1.0]), np.array([actual]), ulps=2)


def test_they_pass_on_equal_arrays() -> None:
    values = np.array([1.0, np.nan, -0.0])

    assert_bit_equal(values, values.copy())
    assert_close(values, values.copy(), rtol=0, atol=0)
    assert_ulp(values, values.copy(), ulps=0)
