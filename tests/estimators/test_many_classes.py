"""Hundreds and thousands of classes: an optimum that is certified, in passes that are few."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp, xlogy

from asserts import assert_bit_equal, assert_close
from softclass.estimators import certificate, preconditioners, solve
from softclass.estimators.certificate import _shifted_bound, duality_gap
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.preconditioners import block_inverse, heavy_block_inverse, heavy_classes
from softclass.estimators.scaling import column_moments, scale_features
from softclass.estimators.softmax_regression import SoftmaxRegression


def places(rows, n_classes, seed=0):
    """Return made places: features of points on a sphere, labels by the nearest of centres of unequal size."""
    rng = np.random.default_rng(seed)
    points, centres = (rng.standard_normal((n, 3)) for n in (rows, n_classes))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    logits = 40 * points @ centres.T - 0.8 * np.log(np.arange(1, n_classes + 1)) + rng.gumbel(size=(rows, n_classes))
    y = logits.argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    waves = np.cos(points @ rng.normal(0, 4, (3, 20)) + rng.uniform(0, 2 * np.pi, 20))
    return np.concatenate([points, waves], axis=1), y


def loss_of(X, y, penalty):
    n_classes = int(y.max()) + 1
    weights = np.full(len(y), 1 / len(y))
    root = np.sqrt(penalty)
    scaled = scale_features(X, column_moments(X, weights, centre=True), root_penalty=root, n_classes=n_classes)
    return LinearLoss(scaled, y, weights, n_classes, (root / scaled.scale) ** 2, intercept=True)


def moved(loss, size, seed=1):
    theta = loss.start() + size * np.random.default_rng(seed).standard_normal((loss.n_rows, loss.n_columns))
    return theta - theta.mean(axis=0)


def test_three_hundred_classes_reach_the_optimum_of_another_way(monkeypatch):
    X, y = places(3000, 300)
    model = SoftmaxRegression(C=0.3, tol=1e-4).fit(X, y)
    monkeypatch.setattr(solve, "MANY_CLASSES", 10**9)
    exact = SoftmaxRegression(C=0.3, tol=1e-8).fit(X, y)

    logits = X @ model.coef_.T + model.intercept_
    losses = logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]
    objective = losses.mean() + (model.coef_**2).sum() / (2 * 0.3 * len(y))

    assert (model.solver_, exact.solver_) == ("lbfgs-block, kronecker", "lbfgs-block")
    assert model.objective_ == pytest.approx(objective, rel=1e-12)
    assert model.converged_
    assert model.gap_kind_ == "duality"
    assert -1e-8 * exact.objective_ <= model.objective_ - exact.objective_ <= model.gap_ <= 1e-4 * model.objective_


def test_threads_change_no_bit_of_many_classes():
    X, y = places(1500, 220)

    one, two = (SoftmaxRegression(C=0.3, tol=1e-2, n_jobs=jobs).fit(X, y) for jobs in (1, 2))

    assert_bit_equal(one.coef_, two.coef_)


def test_blocks_of_all_rows_are_the_ordinary_blocks():
    loss = loss_of(*places(120, 8), 0.01)  # fewer rows than make a block
    theta, gradient = moved(loss, 0.3), moved(loss, 1.0, seed=2)
    variance = loss.features.variance
    everything = np.arange(8)

    step = heavy_block_inverse(loss, theta, variance, 0.1, everything, np.zeros_like)(gradient)

    assert_close(step, block_inverse(loss, theta, variance, 0.1)(gradient), rtol=0, atol=1e-3 * np.abs(step).max())


def test_blocks_of_few_rows_are_symmetric_positive_and_leave_the_others_alone(monkeypatch):
    monkeypatch.setattr(preconditioners, "OWN_ROWS", 20)
    loss = loss_of(*places(400, 12), 0.01)
    one, two = moved(loss, 1.0, seed=2), moved(loss, 1.0, seed=3)
    heavy = np.array([1, 3, 7])

    apply = heavy_block_inverse(loss, moved(loss, 0.3), loss.features.variance, 0.1, heavy, lambda g: 2.0 * g)

    both = apply(np.stack([one, two]))
    others = np.delete(np.arange(12), heavy)
    assert_bit_equal(both[0], apply(one))
    assert_bit_equal(both[0][others], 2.0 * one[others])
    assert np.vdot(one, both[1]) == pytest.approx(np.vdot(two, both[0]), rel=1e-4)
    assert np.vdot(one[heavy], both[0][heavy]) > 0


def test_sample_of_many_classes_stays_small_and_has_them_all():
    rng = np.random.default_rng(0)
    y = np.concatenate([np.repeat(np.arange(400), 20), np.zeros(12_000, dtype=np.int64)])
    loss = loss_of(rng.standard_normal((20_000, 2)), y, 0.1)

    sample = loss.sample(1200, rng)

    assert len(sample.targets) < 2500  # 20 rows a class would be 8000
    assert_close(sample.shares, loss.shares, rtol=1e-12, atol=0)


def test_heavy_classes_are_the_fewest_that_hold_the_share(monkeypatch):
    monkeypatch.setattr(preconditioners, "HEAVY_SHARE", 0.75)
    y = np.repeat([0, 1, 2, 3, 4], [2, 30, 8, 50, 10])
    loss = loss_of(np.random.default_rng(0).standard_normal((100, 2)), y, 0.1)

    assert heavy_classes(loss).tolist() == [1, 3]


@pytest.mark.parametrize("n_classes", [3, 40])
@pytest.mark.parametrize("size", [0.05, 0.5])
def test_shifted_bound_is_below_the_dual_value_of_its_probabilities(n_classes, size):
    X, y = places(500, n_classes)
    loss = loss_of(X, y, 0.05)
    theta = moved(loss, size)
    value, gradient = loss.value_and_gradient(theta)
    weight, _ = loss.split(theta)
    by_weight, by_bias = loss.split(gradient)
    rows = loss.features.dense(loss.features.blocks[0])
    chances = loss.probabilities(loss.features.blocks[0], theta)
    means = chances.mean(axis=0)
    kept = np.minimum(1.0, loss.shares / means)
    lack = np.maximum(loss.shares - means, 0.0)
    dealt = lack / lack.sum()
    shifted = chances * kept + (1 - (chances * kept).sum(axis=1, keepdims=True)) * dealt
    slope = (shifted - np.eye(n_classes)[y]).T @ rows / len(y)
    dual = -xlogy(shifted, shifted).sum(axis=1).mean() - (slope**2 / (2 * loss.penalty)).sum()
    entropy = -xlogy(chances, chances).sum(axis=1).mean()

    bound = _shifted_bound(loss, by_weight - loss.penalty * weight, by_bias, entropy)
    plain = entropy - ((by_weight - loss.penalty * weight) ** 2 / (2 * loss.penalty)).sum()

    assert_close(shifted.mean(axis=0), loss.shares, rtol=1e-12, atol=1e-15)  # feasible
    best = SoftmaxRegression(C=1 / (0.05 * len(y)), tol=1e-9).fit(X, y).objective_
    assert bound <= best * (1 + 1e-9)
    if slope.size and dual > 0 and plain > 0:  # the whole way from the targets is best
        assert bound <= dual * (1 + 1e-12)
    assert duality_gap(loss, theta, value, gradient) >= value - best - 1e-9 * best


def test_shifted_bound_is_sharp_where_only_rare_classes_are_off(monkeypatch):
    X, y = places(2000, 60)
    model = SoftmaxRegression(C=1.0, tol=1e-9).fit(X, y)
    loss = loss_of(X, y, 1 / len(y))
    theta = np.column_stack([model.coef_ * loss.features.scale, model.intercept_ + model.coef_ @ loss.features.mean])
    rare = int(np.argmin(loss.shares))
    theta[rare, -1] += 0.3

    value, gradient = loss.value_and_gradient(theta)
    gap = duality_gap(loss, theta, value, gradient)

    assert model.objective_ * -1e-9 <= value - model.objective_ <= gap
    assert gap < 0.01 * value
    monkeypatch.setattr(certificate, "_shifted_bound", lambda *_: -np.inf)
    assert duality_gap(loss, theta, value, gradient) > 10 * gap  # a constant is mixed into all rows


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("rows", [5000, 11_600])
def test_regions_of_the_world_get_a_certified_optimum(rows, shared_data):
    with gzip.open(shared_data / "geonames_cities/rg_cities1000.csv.gz", "rt", encoding="utf-8") as file:
        frame = pd.read_csv(file, keep_default_na=False)  # "NA" is Namibia
    frame = frame.sample(rows, random_state=0)
    latitude, longitude = np.radians(frame["lat"].to_numpy()), np.radians(frame["lon"].to_numpy())
    points = np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )
    rng = np.random.default_rng(0)
    waves = np.cos(points @ (8 * rng.standard_normal((3, 128))) + rng.uniform(0, 2 * np.pi, 128)) / 8
    X, y = np.concatenate([points, waves], axis=1), (frame["cc"] + "/" + frame["admin1"]).to_numpy()

    model = SoftmaxRegression().fit(X, y)

    assert len(model.classes_) > 1000
    assert model.solver_ == "lbfgs-block, kronecker"
    assert model.converged_
    assert model.gap_kind_ == "duality"
    assert model.gap_ <= 1e-4 * model.objective_
    chances = model.predict_proba(X)
    losses = -np.log(chances[np.arange(rows), np.searchsorted(model.classes_, y)])
    assert losses.mean() + (model.coef_**2).sum() / (2 * rows) == pytest.approx(model.objective_, rel=1e-9)
