"""Nearly separated rows: the Hessian of compact rows, a ridge that recedes, and a proof by the linearised dual."""

import numpy as np
import pytest

from softclass import SoftmaxRegression
from softclass.estimators import certificate, lbfgs, scaling, solve
from softclass.estimators.certificate import duality_gap
from softclass.estimators.line_search import Limits
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.linearised_dual import linearised_dual, refined_step
from softclass.estimators.preconditioners import scaled_inverse
from softclass.estimators.receding_ridge import recede
from softclass.estimators.scaling import column_moments, scale_features


def table(n=4000, k=4, seed=0):
    """Forty kinds of rows that tell the class but for one in a hundred; numbers up to 5e8 where most are zero."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 40, n)
    far = np.where(rng.random((n, 4)) < 0.02, np.exp(rng.uniform(5, 20, (n, 4))), 0.0)
    counts = rng.integers(0, 6, (n, 4)) * (rng.random((n, 4)) < 0.3)
    targets = np.where(rng.random(n) < 0.01, rng.integers(0, k, n), kinds % k)
    return np.concatenate([np.eye(40)[kinds], far, counts], axis=1), targets


@pytest.fixture
def compact(monkeypatch):
    monkeypatch.setattr(scaling, "DOUBLE_COPY_BYTES", 0)
    monkeypatch.setattr(solve, "NEWTON_ALWAYS", 0)
    monkeypatch.setattr(solve, "NEWTON_MOST", 0)
    monkeypatch.setattr(solve, "STAGE_GAIN", np.inf)
    monkeypatch.setattr(lbfgs, "SLOW_WINDOW", 1)  # blocks give up at once


def made_loss(features, targets, weights=None):
    weights = np.full(len(targets), 1 / len(targets)) if weights is None else weights
    moments = column_moments(features, weights, centre=True)
    root = 1 / np.sqrt(len(targets))
    scaled = scale_features(features, moments, root_penalty=root, n_classes=4)
    return LinearLoss(scaled, targets, weights, 4, (root / scaled.scale) ** 2, True)


def whole_hessian(loss, theta):
    """Of the loss and its penalty, in float64."""
    rows = loss.wide_rows(slice(0, len(loss.targets)))
    logits = rows @ theta.T
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    k, c = theta.shape
    found = np.zeros((k, c, k, c))
    for one in range(k):
        for two in range(k):
            share = loss.weights * chances[:, one] * ((one == two) - chances[:, two])
            found[one, :, two] = rows.T @ (rows * share[:, None]) + (one == two) * np.diag(loss.extended_penalty())
            found[one, :, two] += np.eye(c) / k
    return found.reshape(k * c, k * c)


def test_the_ridge_recedes_to_the_optimum_and_it_is_proved(compact, monkeypatch):
    features, targets = table()
    found = SoftmaxRegression(tol=1e-6).fit(features, targets)
    assert found.solver_.endswith("receding-ridge")
    assert found.converged_
    assert found.gap_kind_ == "duality"
    monkeypatch.undo()
    exact = SoftmaxRegression(tol=1e-10).fit(features, targets)
    assert exact.solver_ == "newton"
    excess = found.objective_ - exact.objective_
    assert abs(excess) <= 1e-6 * exact.objective_
    assert excess <= found.gap_ + 1e-7 * exact.objective_  # float32 numbers are another problem by so much


def test_without_a_proof_no_gap_below_the_tolerance_is_said(compact, monkeypatch):
    features, targets = table()
    monkeypatch.setattr(certificate, "duality_gap", lambda *_, **__: np.inf)
    found = SoftmaxRegression(tol=1e-5).fit(features, targets)
    assert found.gap_kind_ == "decrement"
    assert found.gap_ >= 1e-5 * found.objective_ * (1 - 1e-12)


def test_no_bit_depends_on_the_threads(compact):
    features, targets = table(9000, seed=1)
    one, two = (SoftmaxRegression(tol=1e-4, n_jobs=jobs).fit(features, targets) for jobs in (1, 2))
    assert one.solver_.endswith("receding-ridge")
    assert one.coef_.tobytes() == two.coef_.tobytes()
    assert one.intercept_.tobytes() == two.intercept_.tobytes()


def test_a_warm_start_is_kept(compact):
    features, targets = table()
    loss = made_loss(features, targets).condensed()
    first = recede(loss, loss.start(), Limits(1e-6, False, 500), is_cold=True)
    again = recede(loss, first.theta, Limits(1e-6, False, 500), is_cold=False)
    assert first.reason == again.reason == "decrement"
    assert again.iterations <= 3 < first.iterations
    assert again.value <= first.value * (1 + 1e-12)
    assert recede(loss, loss.start(), Limits(1e-6, False, 5), is_cold=True).reason == "max_iter"


def test_equal_rows_count_as_one_with_their_weight(compact):
    features, targets = table(500)
    weights = np.random.default_rng(2).random(1000) + 0.5
    weights /= weights.sum()
    loss = made_loss(np.concatenate([features, features]), np.concatenate([targets, targets]), weights)
    condensed = loss.condensed()
    assert len(condensed.targets) <= 500
    assert condensed.weights.sum() == pytest.approx(1.0)
    theta = np.random.default_rng(0).standard_normal((4, 49)) * 0.1
    value, gradient = loss.value_and_gradient(theta)
    other, slope = condensed.value_and_gradient(theta)
    assert other == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(slope, gradient, atol=1e-6 * np.abs(gradient).max())


def test_the_hessian_is_that_of_float64(compact):
    loss = made_loss(*table(1500)).condensed()
    theta = np.random.default_rng(0).standard_normal((4, 49)) * 0.3
    want = whole_hessian(loss, theta)
    found = loss.hessian(theta)
    np.testing.assert_allclose(found, want, atol=1e-8 * np.abs(want).max())  # of probabilities in float32
    left_out = found - loss.hessian(theta, 1e-5)
    assert np.linalg.eigvalsh(left_out).min() > -1e-12
    assert np.linalg.eigvalsh(left_out).max() > 1e-5


def test_the_inverse_of_a_singular_hessian_is_damped(compact):
    features, targets = table(300)
    features[:, 41] = features[:, 40]
    loss = made_loss(features, targets).condensed()
    gradient = loss.value_and_gradient(loss.start())[1]
    step = -scaled_inverse(loss, loss.start(), 0.0)(gradient)
    assert np.isfinite(step).all()
    assert np.vdot(step, gradient) < 0


def test_the_linearised_dual_bounds_the_distance_where_the_gradient_cannot(compact):
    loss = made_loss(*table()).condensed()
    best = recede(loss, loss.start(), Limits(1e-10, False, 500), is_cold=True)
    direction = np.random.default_rng(0).standard_normal(best.theta.shape)
    direction -= direction.mean(axis=0)
    for size in (1e-2, 1e-3, 1e-4):
        theta = best.theta + size * np.minimum(1.0, np.abs(best.theta)) * direction
        value, gradient = loss.value_and_gradient(theta)
        step = refined_step(loss, theta, gradient)
        gap = duality_gap(loss, theta, value, gradient, dual=linearised_dual(loss, theta, step))
        assert gap >= value - best.value
        assert gap < duality_gap(loss, theta, value, gradient)
