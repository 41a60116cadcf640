"""Newton's method by conjugate gradients: the same optimum as other ways, and its own rules."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from asserts import assert_bit_equal, assert_close
from softclass.estimators import scaling, solve
from softclass.estimators.line_search import Limits
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.newton import newton
from softclass.estimators.scaling import column_moments, scale_features
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.estimators.trust_region import newton_cg, truncated_step


def text(n=400, d=60, k=4, seed=0):
    """Return rows of rare words, some of them told by their class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    counts = rng.poisson(0.1, (n, d)) + rng.poisson(0.4, (n, d)) * (np.arange(d) % (2 * k) == y[:, None])
    return sparse.csr_matrix(counts.astype(float)), y


def loss_of(X, y, C=1.0, *, intercept=True):
    k, weights, root = int(y.max()) + 1, np.full(len(y), 1 / len(y)), 1 / np.sqrt(C * len(y))
    scaled = scale_features(X, column_moments(X, weights, centre=intercept), root_penalty=root, n_classes=k)
    return LinearLoss(scaled, y, weights, k, (root / scaled.scale) ** 2, intercept, np.isinf(C))


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_the_optimum_is_that_of_newtons_method(k, C, intercept):
    loss = loss_of(*text(k=k), C, intercept=intercept)
    limits = Limits(1e-12, True, 200)

    exact = newton(loss, loss.start(), limits)
    found = newton_cg(loss, loss.start(), limits)

    assert found.reason == "decrement"
    assert found.value == pytest.approx(exact.value, rel=1e-13)
    assert_close(exact.theta, found.theta, rtol=0, atol=1e-5 * np.abs(exact.theta).max())  # root of the excess


def test_dense_rows_are_solved_too():
    X, y = text()

    sparse_one, dense_one = loss_of(X, y), loss_of(X.toarray(), y)

    limits = Limits(1e-10, True, 200)
    value = newton_cg(sparse_one, sparse_one.start(), limits).value
    assert newton_cg(dense_one, dense_one.start(), limits).value == pytest.approx(value, rel=1e-11)


def test_a_step_stays_in_its_region_and_lowers_the_model_most_there():
    loss = loss_of(*text(), 100.0)
    theta = np.asfortranarray(loss.start())
    _, gradient = loss.value_and_gradient(theta)
    free = truncated_step(loss, theta, gradient, np.inf, 1e-12)
    radius = 0.3 * float(np.linalg.norm(free.step))

    bound = truncated_step(loss, theta, gradient, radius, 1e-12)

    assert bound.is_at_edge
    assert not free.is_at_edge
    assert np.linalg.norm(bound.step) == pytest.approx(radius, rel=1e-12)
    assert 0 < bound.decrease < free.decrease


def test_the_promised_decrease_is_that_of_the_quadratic_model():
    loss = loss_of(*text())
    theta = np.asfortranarray(loss.start())
    _, gradient = loss.value_and_gradient(theta)

    found = truncated_step(loss, theta, gradient, np.inf, 1e-3)
    turned = loss.hessian_product(theta, found.step)

    assert found.decrease == pytest.approx(
        -np.vdot(gradient, found.step) - 0.5 * np.vdot(found.step, turned), rel=1e-10
    )


def test_the_deadline_and_the_limit_of_iterations_are_kept():
    loss = loss_of(*text())

    assert newton_cg(loss, loss.start(), Limits(1e-12, True, 1)).reason == "max_iter"
    assert newton_cg(loss, loss.start(), Limits(1e-12, True, 100, deadline=0.0)).iterations == 1


def test_separable_classes_without_penalty_are_noticed():
    X = sparse.csr_matrix(np.repeat(np.eye(3), 5, axis=0))
    loss = loss_of(X, np.repeat(np.arange(3), 5), np.inf)

    assert newton_cg(loss, loss.start(), Limits(1e-8, True, 100)).reason == "separated"


@pytest.fixture
def is_wide(monkeypatch):
    """Let few columns count as many, and few numbers as enough for float32."""
    for name in ("DENSE_NUMBERS", "NEWTON_ALWAYS", "NEWTON_MOST"):
        monkeypatch.setattr(solve, name, 0)
    monkeypatch.setattr(scaling, "SPARSE_DOUBLE_BYTES", 0)


@pytest.mark.parametrize("tol", [1e-4, 1e-9])
@pytest.mark.parametrize("k", [2, 5])
def test_wide_sparse_data_take_this_way_and_reach_their_tolerance(is_wide, monkeypatch, tol, k):
    X, y = text(k=k)
    y[::3] = 0

    model = SoftmaxRegression(tol=tol).fit(X, y)
    monkeypatch.undo()
    exact = SoftmaxRegression().fit(X.toarray(), y)

    assert (model.solver_, exact.solver_) == ("newton-cg", "newton")
    assert model.converged_
    assert -1e-8 * exact.objective_ <= model.objective_ - exact.objective_ <= tol * exact.objective_  # float32 at 1e-4


def test_bits_do_not_depend_on_the_number_of_threads(is_wide):
    X, y = text(3000, 300, 5)

    one, two = (SoftmaxRegression(n_jobs=threads).fit(X, y) for threads in (1, 2))

    assert_bit_equal(one.coef_, two.coef_)
