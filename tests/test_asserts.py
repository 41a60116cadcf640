"""The comparisons of asserts.py fail when they should."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close, assert_correctly_rounded, assert_ulp
from truth import rounded


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


def test_ulp_counts_in_the_spacing_of_the_exact_value() -> None:
    just_below_one = np.array([1 - 2**-54], dtype=np.longdouble)

    assert_ulp(just_below_one, np.array([1 - 2**-53]), ulps=0.5)
    with pytest.raises(AssertionError, match="worst distance 1"):
        assert_ulp(np.array([1 - 2**-53]), np.array([1 - 2**-52]), ulps=0.99)


def test_ulp_takes_an_absolute_distance_instead() -> None:
    assert_ulp(np.array([1e-9]), np.array([2e-9]), ulps=0, atol=2e-9)
    with pytest.raises(AssertionError):
        assert_ulp(np.array([1e-9]), np.array([4e-9]), ulps=0, atol=2e-9)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ml_dtypes.bfloat16])
def test_correctly_rounded_fails(dtype: object) -> None:
    values = np.linspace(1, 2, 1001, dtype=np.longdouble)
    actual = rounded(values, dtype)
    actual[500] = np.nextafter(actual[500], np.asarray(np.inf, dtype=dtype))

    with pytest.raises(AssertionError, match="correctly rounded, wanted"):
        assert_correctly_rounded(values, actual, share=0.9995)
    with pytest.raises(AssertionError, match="allowed 1 beside"):
        assert_correctly_rounded(values + 1, actual, share=0)


def test_correctly_rounded_lets_go_of_ties_that_are_all_but_even() -> None:
    values = 1 + np.longdouble(2) ** -11 * (1 + np.longdouble(2) ** -20) * np.ones(3)  # just above half way

    assert_correctly_rounded(values, np.ones(3, dtype=np.float16), slack=2**-18)
    with pytest.raises(AssertionError, match="correctly rounded, wanted"):
        assert_correctly_rounded(values, np.ones(3, dtype=np.float16))
    with pytest.raises(AssertionError, match="correctly rounded, wanted"):
        assert_correctly_rounded(values, np.ones(3, dtype=np.float16), slack=2**-22)


def test_they_pass_on_equal_arrays() -> None:
    values = np.array([1.0, np.nan, -0.0])

    assert_bit_equal(values, values.copy())
    assert_close(values, values.copy(), rtol=0, atol=0)
    assert_ulp(values, values.copy(), ulps=0)
    assert_correctly_rounded(values, values.copy(), share=1)
    assert_ulp(np.array([np.inf, 1e300]), np.array([np.inf, np.inf], dtype=np.float32), ulps=0)
