"""Median, mean and deviation of numbers of any size."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softclass.data.statistics import centre_and_scale, median

SIZES = st.sampled_from([1e-300, 1e-200, 1e-5, 1.0, 1e5, 1e200, 1e307])
SMALLEST = Fraction(5e-324)  # below 1e-308 results are rounded to multiples of this
VALUES = st.lists(st.floats(-1, 1), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0.0),
        ([3.0], 3.0),
        ([3.0, 1.0, 2.0], 2.0),
        ([4.0, 1.0, 2.0, 3.0], 2.5),
        ([1.7e308, 1.5e308], 1.6e308),
        ([-1.7e308, 1.7e308], 0.0),
        ([5e-324, 5e-324], 5e-324),
        ([5e-324, 0.0, 1e300, 5e-324], 5e-324),
    ],
)
def test_median(values, expected):
    assert median(np.array(values)) == expected


@given(values=VALUES, size=SIZES)
def test_median_is_numpys(values, size):
    scaled = np.array(values) * size

    assert median(scaled) == pytest.approx(float(np.median(scaled)), rel=1e-15, abs=0)


@given(values=VALUES, size=SIZES)
def test_mean_and_deviation_agree_with_exact_fractions(values, size):
    scaled = (np.array(values) * size).tolist()
    exact = [Fraction(value) for value in scaled]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / len(exact)
    found_mean, found_scale = centre_and_scale(np.array(scaled))

    largest = max(abs(value) for value in exact)
    # 20 additions, half a rounding each.
    assert abs(Fraction(found_mean) - mean) <= largest * Fraction(1, 2**50) + SMALLEST
    # Compared as squares, since fractions have no roots; the mean's rounding is largest where the spread is small.
    assert found_scale == 1.0 or abs(Fraction(found_scale) ** 2 - variance) <= (
        variance * Fraction(1, 2**48) + (largest * Fraction(1, 2**50)) ** 2 + 3 * largest * SMALLEST
    )


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e307, 1e-320])
def test_equal_values_have_their_value_as_mean_and_scale_1(value):
    assert centre_and_scale(np.full(7, value)) == (value, 1.0)


def test_no_values():
    assert centre_and_scale(np.zeros(0)) == (0.0, 1.0)


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e307])
def test_scaled_values_are_of_size_one(size):
    values = np.array([1.0, 2.0, 3.0, 5.0]) * size
    mean, scale = centre_and_scale(values)

    np.testing.assert_allclose((values - mean) / scale, [-1.1832, -0.5071, 0.169, 1.5213], rtol=0, atol=2e-3)


def test_a_small_spread_far_from_zero():
    mean, scale = centre_and_scale(np.array([1e9, 1e9 + 1, 1e9 + 2]))

    assert mean == 1e9 + 1
    assert scale == pytest.approx((2 / 3) ** 0.5, rel=1e-7)
