"""The bounds hold, on every problem and at every point, and they are tight where the solvers stop."""

from __future__ import annotations

import numpy as np
import pytest

from softclass.estimators.certificate import duality_gap
from softclass.estimators.line_search import Limits
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.newton import newton
from softclass.estimators.scaling import column_moments, scale_features


def made(n_classes=3, *, intercept=True, penalty=0.1, rows=60, columns=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, columns)) * rng.uniform(0.1, 10, columns) + rng.uniform(-5, 5, columns)
    targets = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, rows - n_classes)])
    weights = rng.uniform(0.5, 2, rows)
    weights /= weights.sum()
    root = np.sqrt(penalty)
    scaled = scale_features(X, column_moments(X, weights, centre=intercept), root_penalty=root, n_classes=n_classes)
    return LinearLoss(scaled, targets, weights, n_classes, (root / scaled.scale) ** 2, intercept)


def point(loss, seed=1):
    theta = np.random.default_rng(seed).standard_normal((loss.n_rows, loss.n_columns))
    return theta - theta.mean(axis=0) if loss.n_rows > 1 else theta


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.999])
def test_duality_gap_bounds_the_excess(n_classes, intercept, share):
    loss = made(n_classes, intercept=intercept)
    best = newton(loss, loss.start(), Limits(1e-12, True, 100))
    theta = share * best.theta + (1 - share) * point(loss)

    value, gradient = loss.value_and_gradient(theta)

    assert duality_gap(loss, theta, value, gradient) >= value - best.value


@pytest.mark.parametrize("n_classes", [2, 3])
def test_duality_gap_vanishes_at_the_optimum(n_classes):
    loss = made(n_classes)
    best = newton(loss, loss.start(), Limits(1e-12, True, 100))

    assert 0 < duality_gap(loss, best.theta, best.value, best.gradient) < 1e-12


def test_without_penalty_there_is_no_duality_gap():
    loss = made(penalty=0.0)
    theta = point(loss)

    assert duality_gap(loss, theta, *loss.value_and_gradient(theta)) == np.inf
