"""L1 and elastic net: equations solved with fifty digits, and what may not change the answer."""

from __future__ import annotations

import mpmath
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asserts import assert_close
from softclass.estimators.regularization_path import regularization_path
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.estimators.softmax_regression_cv import SoftmaxRegressionCV

RATIOS = st.sampled_from([1.0, 0.5, 0.1])


def table(seed, rows=60, columns=4, classes=3):
    """Return a table with overlapping classes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, columns)) * 10.0 ** rng.uniform(-1, 1, columns) + rng.uniform(-3, 3, columns)
    y = np.argmax(X @ rng.standard_normal((columns, classes)) / 3 + rng.gumbel(size=(rows, classes)), axis=1)
    y[:classes] = np.arange(classes)
    return X, y


def exact(X, y, C, ratio, model):
    """Return weights and intercepts to fifty digits, given which weights are zero and the signs of the others."""
    mpmath.mp.dps = 50
    k, d = model.coef_.shape
    places = [(row, column) for row in range(k) for column in range(d) if model.coef_[row, column] != 0]
    signs = [mpmath.sign(float(model.coef_[place])) for place in places]
    rows = [[mpmath.mpf(float(number)) for number in row] for row in X]

    def errors(weight, bias):
        for x, target in zip(rows, y, strict=True):
            logits = [bias[row] + sum(weight[row, j] * x[j] for j in range(d)) for row in range(k)]
            odds = [mpmath.exp(z) for z in logits] if k > 1 else [mpmath.mpf(1), mpmath.exp(logits[0])]
            total = mpmath.fsum(odds)
            chances = [one / total for one in odds][-k:]
            yield x, [chance - (target == row + (k == 1)) for row, chance in enumerate(chances)]

    def equations(*numbers):
        weight, bias = mpmath.zeros(k, d), list(numbers[len(places) :])
        for place, number in zip(places, numbers, strict=False):
            weight[place] = number
        slopes, sums = mpmath.zeros(k, d), [mpmath.mpf(0)] * k
        for x, error in errors(weight, bias):
            for row in range(k):
                sums[row] += error[row]
                for column in range(d):
                    slopes[row, column] += error[row] * x[column]
        met = [
            C * slopes[place] + (1 - ratio) * weight[place] + ratio * sign
            for place, sign in zip(places, signs, strict=True)
        ]
        if k > 1:  # one equation follows from the others: the sum of the intercepts takes its place
            sums[-1] = mpmath.fsum(bias)
        return met + sums

    start = [float(model.coef_[place]) for place in places] + [float(b) for b in model.intercept_]
    found = mpmath.findroot(equations, start, tol=1e-60, maxsteps=30)
    weight = np.zeros((k, d))
    for place, number in zip(places, found, strict=False):
        weight[place] = float(number)
    return weight, np.array([float(number) for number in found[len(places) :]])


@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize("classes", [2, 3])
def test_tiny_tables_agree_with_many_digits(classes, ratio):
    X, y = table(classes, rows=12, columns=3, classes=classes)
    C = 0.7

    model = SoftmaxRegression(C=C, l1_ratio=ratio).fit(X, y)

    weight, bias = exact(X, y, mpmath.mpf(C), mpmath.mpf(ratio), model)
    assert 0 < np.count_nonzero(model.coef_) < model.coef_.size
    assert_close(weight, model.coef_, rtol=0, atol=1e-9)
    assert_close(bias, model.intercept_, rtol=0, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), RATIOS, st.integers(2, 4))
def test_order_of_rows_and_names_of_classes_do_not_matter(seed, ratio, classes):
    X, y = table(seed, classes=classes)
    order = np.random.default_rng(seed).permutation(len(y))
    names = np.random.default_rng(seed).permutation(classes)

    model = SoftmaxRegression(C=0.5, l1_ratio=ratio).fit(X, y)
    shuffled = SoftmaxRegression(C=0.5, l1_ratio=ratio).fit(X[order], names[y[order]])

    assert shuffled.objective_ == pytest.approx(model.objective_, rel=1e-11)
    assert_close(model.predict_proba(X), shuffled.predict_proba(X)[:, names], rtol=0, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), RATIOS)
def test_a_row_twice_is_a_row_of_weight_two(seed, ratio):
    X, y = table(seed)
    twice = np.random.default_rng(seed).random(len(y)) < 0.3
    rows = np.concatenate([np.arange(len(y)), np.flatnonzero(twice)])

    weighted = SoftmaxRegression(C=0.5, l1_ratio=ratio).fit(X, y, 1.0 + twice)
    repeated = SoftmaxRegression(C=0.5, l1_ratio=ratio).fit(X[rows], y[rows])

    assert_close(repeated.coef_, weighted.coef_, rtol=0, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), RATIOS, st.sampled_from([1.0, -1e3, 1e6]))
def test_offsets_of_columns_move_the_intercepts_alone(seed, ratio, offset):
    X, y = table(seed)

    model = SoftmaxRegression(C=0.5, l1_ratio=ratio).fit(X, y)
    moved = SoftmaxRegression(C=0.5, l1_ratio=ratio).fit(X + offset, y)

    assert_close(model.coef_, moved.coef_, rtol=0, atol=1e-7)
    assert_close(model.predict_proba(X), moved.predict_proba(X + offset), rtol=0, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.sampled_from([1e-6, 0.01, 300.0, 1e8]))
def test_the_unit_of_all_columns_is_that_of_the_strength(seed, unit):
    X, y = table(seed)

    model = SoftmaxRegression(C=0.5, l1_ratio=1.0).fit(X, y)
    other = SoftmaxRegression(C=0.5 / unit, l1_ratio=1.0).fit(unit * X, y)

    assert np.array_equal(model.coef_ == 0, other.coef_ == 0)
    assert_close(model.coef_, unit * other.coef_, rtol=0, atol=1e-7)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 50), RATIOS)
def test_a_point_of_a_path_is_a_fit(seed, ratio):
    X, y = table(seed)

    path = regularization_path(X, y, Cs=[0.02, 0.1, 0.5], l1_ratio=ratio)
    model = SoftmaxRegression(C=0.5, l1_ratio=ratio).fit(X, y)

    assert_close(model.coef_, path.coef[-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("estimator", [SoftmaxRegression(l1_ratio=0.5), SoftmaxRegressionCV(Cs=3, cv=3)])
def test_frames_give_what_arrays_give_and_leave_their_names(frame, estimator):
    X, y = table(0)
    names = ["a", "b", "c", "d"]

    plain = estimator.fit(X, y).predict_proba(X)
    named = estimator.fit(frame({name: X[:, j] for j, name in enumerate(names)}), y)

    assert named.feature_names_in_.tolist() == names
    assert np.array_equal(plain, named.predict_proba(frame({name: X[:, j] for j, name in enumerate(names)})))
