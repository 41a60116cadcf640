"""L1 and elastic net: the conditions of optimality, scikit-learn, and finite differences."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import optimize, sparse, special
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from asserts import assert_bit_equal, assert_close
from softclass.estimators import growing_classifier, proximal
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.proximal import Penalty, loss_hessians, minimum_of_model
from softclass.estimators.scaling import column_moments, scale_features
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.estimators.streaming import read_once


def problem(rows: int, columns: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a table whose columns have units over four decades, and labels."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, columns))
    logits = X @ (rng.standard_normal((columns, classes)) * (rng.random((columns, classes)) < 0.4))
    y = np.argmax(logits + rng.gumbel(size=(rows, classes)), axis=1)
    y[:classes] = np.arange(classes)
    return X * 10.0 ** rng.uniform(-2, 2, columns) + rng.standard_normal(columns), y


def subgradient(model: SoftmaxRegression, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the largest entry of the shortest subgradient of scikit-learn's objective, in units of C * sum |x|."""
    weights = np.ones(len(y)) if weights is None else weights
    logits = X @ model.coef_.T + model.intercept_
    if logits.shape[1] == 1:
        residual = special.expit(logits) - (y == model.classes_[1])[:, None]
    else:
        residual = special.softmax(logits, axis=1) - (y[:, None] == model.classes_)
    residual = residual * weights[:, None] * model.C
    ratio, W = model.l1_ratio, model.coef_
    slope = residual.T @ X + (1 - ratio) * W
    rest = np.where(W == 0, np.maximum(np.abs(slope) - ratio, 0), np.abs(slope + ratio * np.sign(W)))
    rest = rest / (1 + model.C * (weights @ np.abs(X)))
    bias = np.abs(residual.sum(axis=0)).max() / (model.C * weights.sum()) if model.fit_intercept else 0.0
    return float(max(rest.max(), bias))


def objective(X: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray, C: float, ratio: float) -> float:
    """Return scikit-learn's objective; one row of weights for two classes."""
    logits = X @ W.T + b
    logits = np.concatenate([np.zeros_like(logits), logits], axis=1) if len(W) == 1 else logits
    losses = special.logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]
    return float(C * losses.sum() + ratio * np.abs(W).sum() + 0.5 * (1 - ratio) * (W * W).sum())


# --- conditions of optimality ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.05])
@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("intercept", [True, False])
def test_no_subgradient_is_left(ratio, classes, intercept):
    X, y = problem(300, 12, classes, seed=classes)

    model = SoftmaxRegression(C=0.3, l1_ratio=ratio, fit_intercept=intercept).fit(X, y)

    assert subgradient(model, X, y) < 1e-9
    assert model.converged_
    assert abs(model.intercept_.sum()) < 1e-9 or classes == 2


def test_weights_of_rows_are_repetitions():
    X, y = problem(120, 6, 3)
    times = np.random.default_rng(1).integers(0, 4, 120)

    weighted = SoftmaxRegression(l1_ratio=0.7).fit(X, y, sample_weight=times)
    repeated = SoftmaxRegression(l1_ratio=0.7).fit(np.repeat(X, times, axis=0), np.repeat(y, times))

    assert_close(repeated.coef_, weighted.coef_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("ratio", [1.0, 0.3])
def test_saga_finds_no_lower_objective(ratio):
    X, y = make_classification(200, 8, n_informative=5, n_classes=3, random_state=0)

    ours = SoftmaxRegression(C=0.1, l1_ratio=ratio).fit(X, y)
    saga = LogisticRegression(solver="saga", C=0.1, l1_ratio=ratio, tol=1e-10, max_iter=5000).fit(X, y)

    lowest = objective(X, y, saga.coef_, saga.intercept_, 0.1, ratio)
    assert objective(X, y, ours.coef_, ours.intercept_, 0.1, ratio) <= lowest * (1 + 1e-12)
    assert_close(saga.coef_, ours.coef_, rtol=0, atol=1e-6)


def test_the_objective_is_what_is_said():
    X, y = problem(150, 5, 3)

    model = SoftmaxRegression(C=0.2, l1_ratio=0.4).fit(X, y)

    said = model.objective_ * 0.2 * 150
    assert said == pytest.approx(objective(X, y, model.coef_, model.intercept_, 0.2, 0.4), rel=1e-12)


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 4])
def test_a_vanishing_l1_ratio_is_ridge(classes):
    X, y = problem(200, 5, classes)

    faint, ridge = SoftmaxRegression(l1_ratio=1e-12).fit(X, y), SoftmaxRegression().fit(X, y)

    assert_close(ridge.coef_, faint.coef_, rtol=1e-7, atol=1e-9)
    assert_close(ridge.intercept_, faint.intercept_, rtol=1e-7, atol=1e-8)


def test_two_classes_are_the_symmetric_problem_with_the_ridge_doubled():
    X, y = problem(150, 4, 2)
    C, ratio = 0.4, 0.6
    model = SoftmaxRegression(C=C, l1_ratio=ratio).fit(X, y)
    half = model.coef_[0] / 2
    W = np.stack([-half, half])
    b = np.array([-0.5, 0.5]) * model.intercept_[0]

    residual = special.softmax(X @ W.T + b, axis=1) - np.eye(2)[y]
    slope = C * residual.T @ X + 2 * (1 - ratio) * W
    rest = np.where(W == 0, np.maximum(np.abs(slope) - ratio, 0), np.abs(slope + ratio * np.sign(W)))

    assert (rest / (1 + C * np.abs(X).sum(axis=0))).max() < 1e-9


def test_a_strong_penalty_leaves_the_shares_of_the_classes():
    X, y = problem(100, 4, 3)

    model = SoftmaxRegression(C=1e-9, l1_ratio=1.0).fit(X, y)

    logs = np.log(np.bincount(y))
    assert_bit_equal(np.zeros((3, 4)), model.coef_)
    assert_close(logs - logs.mean(), model.intercept_, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_hard_tables_are_solved():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 60))
    X[:, 0], X[:, 1], X[:, 3] = 1.0, X[:, 2], 1e8 + X[:, 4]
    y = rng.integers(0, 5, 40)

    model = SoftmaxRegression(C=1.0, l1_ratio=0.9).fit(X, y)

    assert model.converged_
    assert np.all(model.coef_[:, 0] == 0)
    assert np.all(np.isfinite(model.coef_))


def test_a_class_without_weight_has_no_coefficients():
    X, y = problem(90, 4, 3)

    model = SoftmaxRegression(l1_ratio=1.0).fit(X, y, sample_weight=(y != 1).astype(float))
    pair = SoftmaxRegression(l1_ratio=1.0).fit(X[y != 1], y[y != 1])

    assert_close(pair.predict_proba(X)[:, 1], model.predict_proba(X)[:, 2], rtol=1e-8, atol=1e-12)
    assert np.all(model.coef_[1] == 0)
    assert model.intercept_[1] == -np.inf


def test_relabelling_permutes_the_rows():
    X, y = problem(200, 6, 4)

    model = SoftmaxRegression(C=0.1, l1_ratio=1.0).fit(X, y)
    turned = SoftmaxRegression(C=0.1, l1_ratio=1.0).fit(X, 3 - y)

    assert_close(model.coef_, turned.coef_[::-1], rtol=0, atol=1e-8 * np.abs(model.coef_).max())


def test_sparse_rows_give_the_dense_answer():
    X, y = problem(400, 30, 3)
    X[np.random.default_rng(1).random(X.shape) < 0.8] = 0.0

    dense = SoftmaxRegression(C=0.05, l1_ratio=0.8).fit(X, y)
    thin = SoftmaxRegression(C=0.05, l1_ratio=0.8).fit(sparse.csr_matrix(X), y)

    assert_close(dense.coef_, thin.coef_, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize("has_room", [True, False])
def test_batches_on_disk_have_the_bits_of_memory(ratio, has_room, monkeypatch):
    X, y = problem(30_000, 12, 4)
    if not has_room:
        monkeypatch.setattr(growing_classifier, "read_once", partial(read_once, room=0))

    whole = SoftmaxRegression(C=1e-3, l1_ratio=ratio).fit(X, y)
    batches = [(X[first : first + 999], y[first : first + 999]) for first in range(0, len(y), 999)]
    read = SoftmaxRegression(C=1e-3, l1_ratio=ratio).fit_batches(batches)

    assert 0 < np.count_nonzero(read.coef_) < read.coef_.size
    assert_bit_equal(whole.coef_, read.coef_)
    assert_bit_equal(whole.intercept_, read.intercept_)


def wide_text() -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return 600 sparse rows of 20,000 columns, of which every class has some of its own."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 600)
    words = np.where(rng.random((600, 40)) < 0.3, rng.integers(0, 50, (600, 40)) + 50 * y[:, None], 0)
    words = np.where(words == 0, rng.integers(200, 20_000, (600, 40)), words)
    rows = np.repeat(np.arange(600), 40)
    return sparse.csr_matrix((np.ones(rows.size), (rows, words.ravel())), shape=(600, 20_000)), y


def test_wide_sparse_rows_are_solved():
    X, y = wide_text()

    model = SoftmaxRegression(C=2.0, l1_ratio=1.0, tol=1e-8).fit(X, y)

    assert model.converged_
    assert subgradient(model, X.toarray(), y) < 1e-4
    assert 20 < np.count_nonzero(model.coef_) < 2000


@pytest.mark.parametrize("ratio", [1.0, 0.9])
def test_a_block_a_class_and_small_working_sets_find_the_same_optimum(monkeypatch, ratio):
    X, y = problem(300, 12, 6)
    whole = SoftmaxRegression(C=0.3, l1_ratio=ratio).fit(X, y)

    monkeypatch.setattr(proximal, "WHOLE_MODEL", 10)
    monkeypatch.setattr(proximal, "MODEL_NUMBERS", 400)
    monkeypatch.setattr(proximal, "MOST_NEW", 5)
    blocks = SoftmaxRegression(C=0.3, l1_ratio=ratio).fit(X, y)

    assert blocks.objective_ == pytest.approx(whole.objective_, rel=1e-9)
    assert_close(whole.coef_, blocks.coef_, rtol=0, atol=1e-4 * np.abs(whole.coef_).max())


@pytest.mark.parametrize("rows", [400, 40_000])
def test_rare_categories_and_weak_penalties_are_solved(rows):
    rng = np.random.default_rng(0)
    kind = np.minimum(rng.geometric(0.15, rows) - 1, 39)
    X = np.concatenate([rng.standard_normal((rows, 4)), np.eye(40)[kind]], axis=1)
    logits = 3 * X @ rng.standard_normal((44, 5)) + np.array([0.0, 0.0, -2.0, -4.0, -5.0])
    y = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)

    model = SoftmaxRegression(C=2.0, l1_ratio=1.0, tol=1e-8).fit(X, y)

    assert model.converged_
    assert subgradient(model, X, y) < 1e-6


# --- the parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("l1", "ridge"), [(0.7, 0.0), (0.3, 0.5), (1e-9, 0.2)])
@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_columns_are_centred_to_the_least_penalty(seed, l1, ridge, classes):
    weight = np.random.default_rng(seed).standard_normal((classes, 1))
    penalty = Penalty(np.array([l1]), np.array([ridge]))

    centred = penalty.centred(weight)

    spread = np.ptp(weight)
    best = min(
        optimize.minimize_scalar(
            lambda move: penalty.value(weight + move), bounds=(low, low + spread / 8), method="bounded"
        ).fun
        for low in np.arange(-4 * spread, 4 * spread, spread / 8)
    )
    assert penalty.value(centred) <= best + 1e-12
    assert np.ptp(centred - weight) < 1e-12


def test_the_median_interval_is_left_nearest_the_mean():
    weight = np.array([[-3.0], [1.0], [2.0], [9.0]])  # median interval [1, 2], mean 2.25

    centred = Penalty(np.ones(1), np.zeros(1)).centred(weight)

    assert_bit_equal(weight - 2.0, centred)


@pytest.mark.parametrize("sparse_rows", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_hessian_of_some_coordinates_is_that_of_differences(classes, sparse_rows):
    loss, theta = scaled_loss(sparse_rows, classes)
    part = np.flatnonzero(np.random.default_rng(3).random(theta.size) < 0.7)

    [found] = loss_hessians(loss, theta, [part], np.arange(len(loss.targets)), loss.weights)

    step = 1e-5
    columns = []
    for place in part:
        move = np.zeros(theta.size)
        move[place] = step
        move = move.reshape(theta.shape)
        ahead, behind = (raw_gradient(loss, theta + sign * move) for sign in (1, -1))
        columns.append((ahead - behind).ravel()[part] / (2 * step))
    assert_close(np.stack(columns, axis=1), found, rtol=0, atol=1e-9)


def scaled_loss(sparse_rows: bool, classes: int) -> tuple[LinearLoss, np.ndarray]:
    """Return a loss without penalty, and parameters."""
    X, y = problem(80, 5, classes)
    features = sparse.csr_matrix(X) if sparse_rows else X
    weights = np.full(80, 1 / 80)
    moments = column_moments(features, weights, centre=True)
    scaled = scale_features(features, moments, root_penalty=0.0, n_classes=classes)
    loss = LinearLoss(scaled, y.astype(np.int64), weights, classes, np.zeros(5), True)
    theta = np.random.default_rng(2).standard_normal((loss.n_rows, loss.n_columns))
    return loss, theta


def raw_gradient(loss: LinearLoss, theta: np.ndarray) -> np.ndarray:
    """Return the gradient of the loss, by NumPy."""
    rows = np.concatenate([np.concatenate([loss.features.dense(block) for _, block in loss.features.spans()])], axis=1)
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    logits = rows @ theta.T
    if loss.n_classes == 2:
        residual = special.expit(logits) - loss.targets[:, None]
    else:
        residual = special.softmax(logits, axis=1) - np.eye(loss.n_classes)[loss.targets]
    return (residual * loss.weights[:, None]).T @ rows


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rank", [30, 12])
def test_coordinate_descent_meets_the_conditions_of_optimality(seed, rank):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((rank, 30))
    hessian, start = root.T @ root / rank, rng.standard_normal(30) * (rng.random(30) < 0.5)
    slope = hessian @ rng.standard_normal(30)
    l1, ridge = np.where(np.arange(30) < 3, 0.0, 0.4), np.full(30, 0.01)

    found = minimum_of_model(hessian, slope, start, l1, ridge, 1e-24)

    tilt = slope + hessian @ (found - start) + ridge * found
    rest = np.where(found == 0, np.maximum(np.abs(tilt) - l1, 0), np.abs(tilt + l1 * np.sign(found)))
    assert rest.max() < 1e-10


def test_an_infinite_strength_keeps_a_coordinate_at_zero():
    found = minimum_of_model(np.eye(2), np.array([-5.0, -5.0]), np.zeros(2), np.array([1e300, 1.0]), np.zeros(2), 1e-20)

    assert_close([0.0, 4.0], found, rtol=0, atol=1e-15)
