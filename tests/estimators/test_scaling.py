"""Moments and scaled columns, at the ends of what float64 holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from asserts import assert_bit_equal, assert_close
from softclass.estimators import scaling
from softclass.estimators.scaling import column_moments, scale_features

N = 50
WEIGHTS = np.full(N, 1 / N)


def column(offset=0.0, spread=1.0):
    return (offset + spread * np.random.default_rng(0).standard_normal((N, 1))).astype(np.float64)


@pytest.mark.parametrize("unit", [1e307, 1e200, 1.0, 1e-200, 1e-300])
def test_scaled_columns_have_variance_one_whatever_the_unit(unit):
    X = column() * unit

    scaled = scale_features(X, column_moments(X, WEIGHTS, centre=True), root_penalty=0.0, n_classes=3)

    assert np.mean(scaled.blocks[0] ** 2) == pytest.approx(1.0, rel=1e-12)
    assert scaled.scale[0] == pytest.approx(column().std() * unit, rel=1e-12)


@pytest.mark.parametrize(("offset", "spread"), [(1e6, 1e-3), (1e8, 1.0), (-1e12, 10.0)])
def test_moments_survive_offsets(offset, spread):
    X = column(offset, spread)
    exact = X.astype(np.longdouble)

    moments = column_moments(X, WEIGHTS, centre=True)

    assert moments.deviation[0] == pytest.approx(float(exact.std()), rel=1e-9)
    assert moments.mean[0] == pytest.approx(float(exact.mean()), rel=1e-15)


def test_sums_over_blocks_of_rows_agree(monkeypatch):
    X = column(3.0)
    expected = column_moments(X, WEIGHTS, centre=True)
    monkeypatch.setattr(scaling, "BLOCK_BYTES", 16)

    assert column_moments(X, WEIGHTS, centre=True).deviation[0] == pytest.approx(expected.deviation[0], rel=1e-14)


def test_constant_columns_have_no_deviation_and_stay_zero():
    X = np.full((N, 1), 0.1)

    scaled = scale_features(X, column_moments(X, WEIGHTS, centre=True), root_penalty=1.0, n_classes=3)

    assert_bit_equal(np.zeros((N, 1)), scaled.blocks[0])


def test_without_intercept_columns_are_not_centred():
    X = column(5.0)

    moments = column_moments(X, WEIGHTS, centre=False)

    assert moments.mean[0] == 0
    assert moments.deviation[0] == pytest.approx(np.sqrt(np.mean(X**2)), rel=1e-14)


@pytest.mark.parametrize("unit", [1.0, 1e250])
def test_sparse_moments_count_the_zeros(unit):
    X = sparse.random(N, 6, density=0.3, random_state=np.random.default_rng(0), format="csr") * unit

    found, expected = column_moments(X, WEIGHTS, centre=True), column_moments(X.toarray(), WEIGHTS, centre=True)

    assert_close(expected.mean, found.mean, rtol=1e-13, atol=0)
    assert_close(expected.deviation, found.deviation, rtol=1e-13, atol=0)


def test_large_data_are_copied_in_single_precision(monkeypatch):
    monkeypatch.setattr(scaling, "DOUBLE_COPY_BYTES", 0)
    X = column(1e6, 1e-3)

    scaled = scale_features(X, column_moments(X, WEIGHTS, centre=True), root_penalty=0.0, n_classes=2)

    assert scaled.blocks[0].dtype == np.float32
    assert_close((X - X.mean()) / X.std(), scaled.blocks[0], rtol=0, atol=1e-6)  # float32 of the centred numbers


def test_single_precision_with_a_large_offset_is_copied(monkeypatch):
    monkeypatch.setattr(scaling, "DOUBLE_COPY_BYTES", 0)
    X = column(1e5).astype(np.float32)

    scaled = scale_features(X, column_moments(X, WEIGHTS, centre=True), root_penalty=0.0, n_classes=2)

    assert not np.shares_memory(scaled.blocks[0], X)
