"""The isotonic fit against scikit-learn's, which solves the same problem one block at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from asserts import assert_close
from softclass.trust.isotonic import isotonic_fit, pool


def expected_fit(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return IsotonicRegression().fit(x, y, sample_weight=weight).predict(x)


def worst_difference(seeds: range) -> float:
    worst = 0.0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 120))
        x = rng.integers(0, max(2, n // 2), size=n) / n if seed % 2 else rng.random(n)
        y = (rng.random(n) < x).astype(float) if seed % 3 else rng.normal(size=n)
        weight = rng.exponential(size=n) if seed % 5 else np.ones(n)
        worst = max(worst, float(np.abs(isotonic_fit(x, y, weight) - expected_fit(x, y, weight)).max()))
    return worst


def test_isotonic_fit_is_that_of_scikit_learn_with_ties_and_weights() -> None:
    assert worst_difference(range(150)) < 1e-9  # scikit-learn merges x closer than 1e-10 or so, and rounds its sums


@pytest.mark.slow
def test_isotonic_fit_is_that_of_scikit_learn_on_a_thousand_inputs() -> None:
    assert worst_difference(range(1000)) < 1e-9


def test_points_of_weight_zero_change_nothing() -> None:
    fitted = isotonic_fit([0.0, 1.0, 2.0, 3.0], [9.0, 1.0, -9.0, 2.0], [0, 1, 0, 1])

    assert_close([1.0, 1.0, 1.0, 2.0], fitted, rtol=0, atol=0)


def test_pool_never_merges_segments() -> None:
    assert pool(np.array([1.0, 0.0, 0.5]), np.ones(3), np.array([0, 1, 1])).tolist() == [0, 1, 2]


@pytest.mark.parametrize("last", [-1e6, 1e6])
def test_a_long_cascade_ends_in_the_right_blocks(last: float) -> None:
    values = np.append(np.arange(300.0), last)
    fitted = isotonic_fit(np.arange(301), values)

    assert_close(expected_fit(np.arange(301), values, np.ones(301)), fitted, rtol=1e-12, atol=0)
