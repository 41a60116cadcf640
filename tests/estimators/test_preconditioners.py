"""Inverse Hessians are inverses where they claim to be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from asserts import assert_close
from softclass.estimators import preconditioners
from softclass.estimators.compact_rows import CompactBlocks, compact_rows
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.parallel import ONE, Workers
from softclass.estimators.preconditioners import (
    block_inverse,
    diagonal_basis,
    full_inverse,
    gram_basis,
    kronecker_inverse,
    stays_compact,
)
from softclass.estimators.scaling import column_moments, scale_features


def make(n_classes, intercept=True):
    rng = np.random.default_rng(0)
    X, weights, targets = rng.standard_normal((90, 5)) @ rng.standard_normal((5, 5)), np.full(90, 1 / 90), None
    targets = np.minimum(np.arange(90) % 7, n_classes - 1)
    scaled = scale_features(X, column_moments(X, weights, centre=intercept), root_penalty=0.3, n_classes=n_classes)
    return LinearLoss(scaled, targets, weights, n_classes, (0.3 / scaled.scale) ** 2, intercept)


def gradient_of(loss):
    gradient = np.random.default_rng(1).standard_normal((loss.n_rows, loss.n_columns))
    return gradient - gradient.mean(axis=0) if loss.n_rows > 1 else gradient


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setattr(preconditioners, "DIAGONAL_SHARE", 0.0)
    monkeypatch.setattr(preconditioners, "FULL_SHARE", 0.0)


@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("intercept", [True, False])
def test_kronecker_is_the_inverse_hessian_at_the_start(n_classes, intercept):
    loss = make(n_classes, intercept)
    gradient = gradient_of(loss)
    theta = loss.start() if intercept else np.zeros((loss.n_rows, loss.n_columns))
    loss.__dict__["shares"] = np.full(n_classes, 1 / n_classes) if not intercept else loss.shares  # p at zero logits
    basis, penalty = gram_basis(loss, loss.features.variance, 0.0)

    step = kronecker_inverse(loss, basis, np.ones(5), penalty)(gradient)

    assert_close(gradient.ravel(), loss.hessian(theta) @ step.ravel(), rtol=0, atol=1e-5)  # 1e-7 on the diagonal


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_full_is_the_inverse_hessian_anywhere(n_classes):
    loss = make(n_classes)
    theta = gradient_of(loss)

    step = full_inverse(loss, theta, loss.features.variance, 0.0)(theta)

    assert_close(theta.ravel(), loss.hessian(theta) @ step.ravel(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_every_inverse_is_symmetric_and_positive(n_classes):
    loss = make(n_classes)
    curvature, penalty = diagonal_basis(loss)
    applies = [
        block_inverse(loss, loss.start(), loss.features.variance, 0.1),
        kronecker_inverse(loss, None, curvature, penalty),
    ]
    one, two = gradient_of(loss), np.roll(gradient_of(loss), 1, axis=1)

    products = [(np.vdot(one, apply(two)), np.vdot(two, apply(one)), np.vdot(one, apply(one))) for apply in applies]

    assert_close([p[0] for p in products], [p[1] for p in products], rtol=1e-9, atol=0)
    assert min(p[2] for p in products) > 0


@pytest.mark.parametrize("n_classes", [2, 3])
def test_solving_and_multiplying_are_the_same(n_classes, monkeypatch):
    monkeypatch.setattr(preconditioners, "COLUMNS_A_CLASS", 0)
    loss = make(n_classes)
    gradient, variance = gradient_of(loss), loss.features.variance
    multiplied = block_inverse(loss, loss.start(), variance, 0.1)(gradient)
    monkeypatch.setattr(preconditioners, "INVERTED_COLUMNS", 0)

    solved = block_inverse(loss, loss.start(), variance, 0.1)(gradient)

    assert_close(multiplied, solved, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_classes", [3, 6, 7])
def test_blocks_made_at_once_are_those_made_one_by_one(n_classes, intercept, monkeypatch):
    loss = make(n_classes, intercept)
    gradient, variance = gradient_of(loss), loss.features.variance
    at_once = block_inverse(loss, gradient, variance, 0.1)(gradient)
    monkeypatch.setattr(preconditioners, "COLUMNS_A_CLASS", 0)

    one_by_one = block_inverse(loss, gradient, variance, 0.1)(gradient)

    assert_close(at_once, one_by_one, rtol=0, atol=1e-4 * np.abs(one_by_one).max())
    assert not np.array_equal(at_once, one_by_one)  # another way, in float32


def test_blocks_that_are_not_positive_are_damped():
    blocks = np.stack([np.diag([4.0, 1.0]), np.array([[1.0, 1.0], [1.0, 1.0]])])  # the second is singular

    steps = preconditioners._inverted(blocks.copy())(np.array([[4.0, 1.0], [1.0, 1.0]]))

    assert_close(np.ones(2), steps[0], rtol=1e-12, atol=0)
    assert np.isfinite(steps).all()
    assert_close(blocks[1] @ steps[1], np.ones(2), rtol=1e-6, atol=0)


@pytest.mark.parametrize("columns", [0, 128])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_several_gradients_at_once_are_one_after_the_other(n_classes, columns, monkeypatch):
    monkeypatch.setattr(preconditioners, "INVERTED_COLUMNS", columns)
    loss = make(n_classes)
    curvature, penalty = diagonal_basis(loss)
    pair = np.stack([gradient_of(loss), np.roll(gradient_of(loss), 1, axis=1)])
    applies = [
        full_inverse(loss, loss.start(), loss.features.variance, 0.1),
        block_inverse(loss, loss.start(), loss.features.variance, 0.1),
        kronecker_inverse(loss, None, curvature, penalty),
    ]

    expected = np.array([[apply(one) for one in pair] for apply in applies])

    assert_close(expected, np.array([apply(pair) for apply in applies]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("intercept", [True, False])
def test_blocks_of_compact_rows_are_those_of_dense_ones(intercept):
    rng = np.random.default_rng(3)
    features = np.where(rng.random((400, 9)) < 0.3, rng.standard_normal((400, 9)) + 1, 0.25)
    weights, targets = rng.random(400), rng.integers(0, 4, 400)
    weights /= weights.sum()
    moments = column_moments(features, weights, centre=intercept)
    dense = scale_features(features, moments, root_penalty=0.3, n_classes=4)
    factor = np.ones(9) / dense.scale
    kept = compact_rows(lambda: iter((features,)), 400, np.full(9, 0.25), dense.mean, factor, 1)
    compact = replace(dense, blocks=CompactBlocks(kept, 100), shift=None, factor=None)
    penalty = (0.3 / dense.scale) ** 2
    losses = [LinearLoss(each, targets, weights, 4, penalty, intercept) for each in (dense, compact)]
    theta, variance = gradient_of(losses[0]), dense.variance

    one, two = (block_inverse(loss, theta, variance, 0.1)(theta) for loss in losses)

    assert stays_compact(losses[1])
    assert not stays_compact(losses[0])
    assert_close(one, two, rtol=1e-5, atol=1e-5 * np.abs(one).max())


def test_large_blocks_give_the_same_bits_on_any_threads(monkeypatch):
    monkeypatch.setattr(preconditioners, "INVERTED_COLUMNS", 0)
    loss = make(6)
    theta = gradient_of(loss)
    steps = []
    for threads in (None, 3):
        with ThreadPoolExecutor(3) as executor:
            team = ONE if threads is None else Workers(executor, threads)
            own = replace(loss, workers=team)
            steps.append(block_inverse(own, theta, loss.features.variance, 0.0)(np.stack([theta, 2.0 * theta])))
    assert steps[0].tobytes() == steps[1].tobytes()
    assert_close(2.0 * steps[0][0], steps[0][1], rtol=1e-6, atol=1e-9)
