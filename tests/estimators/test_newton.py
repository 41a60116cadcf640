"""Newton's method: the optimum of known tables, from a sample or from all rows, with the same bits for any threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from asserts import assert_bit_equal, assert_close
from softclass.estimators.line_search import Limits
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.newton import newton, newton_direction, staged_newton
from softclass.estimators.scaling import column_moments, scale_features
from softclass.estimators.softmax_regression import SoftmaxRegression

LIMITS = Limits(1e-8, False, 200)


def made_loss(rows=20_000, columns=5, n_classes=4, seed=0, penalty=1e-4, weights=None):
    """Return the loss over rows of which some are far and some classes rare."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, columns))
    X[rng.choice(rows, 20, replace=False)] *= 300.0
    logits = np.clip(X, -3, 3) @ rng.standard_normal((columns, n_classes)) - 2.0 * np.arange(n_classes)
    y = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    y[:n_classes] = np.arange(n_classes)
    weights = np.full(rows, 1.0 / rows) if weights is None else weights / weights.sum()
    moments = column_moments(X, weights, centre=True)
    scaled = scale_features(X, moments, root_penalty=np.sqrt(penalty), n_classes=n_classes)
    return LinearLoss(scaled, y, weights, n_classes, penalty / scaled.scale**2, True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_start_from_a_sample_comes_to_the_same_minimum(n_classes, weighted):
    weights = np.random.default_rng(1).uniform(0.1, 2.0, 20_000) if weighted else None
    loss = made_loss(n_classes=n_classes, weights=weights)

    plain, staged = newton(loss, loss.start(), LIMITS), staged_newton(loss, loss.start(), LIMITS, 0)

    assert staged.value == pytest.approx(plain.value, rel=1e-9)
    assert_close(plain.theta, staged.theta, rtol=0, atol=1e-4 * np.abs(plain.theta).max())
    assert staged.iterations < plain.iterations


def test_a_sample_that_misleads_is_not_started_from(monkeypatch):
    loss = made_loss()
    expected = newton(loss, loss.start(), LIMITS)

    def misleading(self, theta, size, rng, *, one_block=True):
        rows = np.flatnonzero(self.targets == 0)
        return replace(self.subset(rows, self.weights[rows]), targets=np.arange(len(rows)) % 4)

    monkeypatch.setattr(LinearLoss, "curved_sample", misleading)

    found = staged_newton(loss, loss.start(), LIMITS, 0)

    assert_bit_equal(expected.theta, found.theta)


def test_few_rows_are_not_sampled():
    loss = made_loss(rows=1000)

    plain, staged = newton(loss, loss.start(), LIMITS), staged_newton(loss, loss.start(), LIMITS, 0)

    assert_bit_equal(plain.theta, staged.theta)
    assert plain.iterations == staged.iterations


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30_000, 6))
    y = np.argmax(X[:, :4] + rng.gumbel(size=(30_000, 4)), axis=1)

    one, three = (SoftmaxRegression(n_jobs=jobs).fit(X, y) for jobs in (1, 3))

    assert one.solver_ == "newton"
    assert_bit_equal(one.coef_, three.coef_)
    assert_bit_equal(one.intercept_, three.intercept_)


def test_direction_solves_the_system_of_a_badly_scaled_hessian():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((30, 6)) * np.array([1e-6, 1.0, 1e5, 1e-2, 10.0, 1e3])
    hessian, gradient = root.T @ root, rng.standard_normal((1, 6))

    direction = newton_direction(hessian.copy(), gradient, 0.0)

    rounding = 1e-13 * (np.abs(hessian) @ np.abs(direction.ravel()))
    assert np.all(np.abs(hessian @ direction.ravel() + gradient[0]) <= rounding)


def test_direction_of_a_singular_hessian_descends():
    hessian, gradient = np.ones((4, 4)), np.array([[1.0, 1.0, 1.0, 1.0]])

    direction = newton_direction(hessian, gradient, 1e-14)

    assert np.all(np.isfinite(direction))
    assert np.vdot(direction, gradient) < 0


@pytest.mark.parametrize(
    ("file", "target", "minimum"),
    [("shuttle/shuttle.csv", "Class", 0.107358571022), ("dry_bean/dry_bean.csv", "Class", 0.222418521736)],
)
def test_minimum_of_hard_tables_is_reached_and_proved(file, target, minimum, shared_data):
    frame = pd.read_csv(shared_data / file)

    model = SoftmaxRegression().fit(frame.drop(columns=target).to_numpy(float), frame[target])

    assert model.objective_ == pytest.approx(minimum, rel=2e-6)
    assert model.gap_kind_ in ("newton", "duality")
    assert model.objective_ - model.gap_ <= minimum * (1 + 1e-11)
    assert model.n_passes_ < 60
