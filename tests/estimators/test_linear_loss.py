"""The loss, its derivatives and its bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from asserts import assert_close
from softclass.estimators.linear_loss import LinearLoss, row_losses
from softclass.estimators.scaling import ScaledFeatures, column_moments, scale_features

ROWS, COLUMNS = 60, 4


def make(n_classes=3, *, intercept=True, penalty=0.1, features=None, root=None):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, COLUMNS)) * [1, 10, 0.1, 3] + [0, 5, 1, -2] if features is None else features
    targets = np.arange(len(X) if features is None else features.shape[0]) % n_classes
    weights = rng.uniform(0.5, 2, len(targets))
    weights /= weights.sum()
    root = np.sqrt(penalty) if root is None else root
    scaled = scale_features(X, column_moments(X, weights, centre=intercept), root_penalty=root, n_classes=n_classes)
    return LinearLoss(scaled, targets, weights, n_classes, (root / scaled.scale) ** 2, intercept)


def point(loss, seed=1):
    theta = np.random.default_rng(seed).standard_normal((loss.n_rows, loss.n_columns))
    return theta - theta.mean(axis=0) if loss.n_rows > 1 else theta


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("intercept", [True, False])
def test_gradient_is_the_slope_of_the_value(n_classes, intercept):
    loss = make(n_classes, intercept=intercept)
    theta, direction, step = point(loss), point(loss, 2), 1e-5

    slope = loss.value_and_gradient(theta + step * direction)[0] - loss.value_and_gradient(theta - step * direction)[0]
    slope /= 2 * step

    assert np.vdot(loss.value_and_gradient(theta)[1], direction) == pytest.approx(slope, rel=1e-8)  # step**2


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("intercept", [True, False])
def test_hessian_is_the_slope_of_the_gradient(n_classes, intercept):
    loss = make(n_classes, intercept=intercept)
    theta, direction, step = point(loss), point(loss, 2), 1e-5

    change = loss.value_and_gradient(theta + step * direction)[1] - loss.value_and_gradient(theta - step * direction)[1]
    product = (loss.hessian(theta) @ direction.ravel()).reshape(theta.shape)

    assert_close(change / (2 * step), product, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("intercept", [True, False])
def test_hessian_product_is_the_hessian_times_a_direction(n_classes, intercept, kind):
    X = sparse.random(ROWS, COLUMNS, density=0.4, random_state=np.random.default_rng(3), format="csr")
    loss = make(n_classes, intercept=intercept, features=X if kind == "sparse" else X.toarray())
    theta, direction = point(loss), point(loss, 2)

    expected = (loss.hessian(theta) @ direction.ravel()).reshape(theta.shape)

    assert_close(expected, loss.hessian_product(theta, direction), rtol=0, atol=1e-14)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_hessian_of_rows_used_where_they_lie(n_classes, monkeypatch):
    X = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32) * 3 + 1
    exact = make(n_classes, features=X)
    monkeypatch.setattr("softclass.estimators.scaling.DOUBLE_COPY_BYTES", 0)
    loss = make(n_classes, features=X)
    theta = point(loss)

    assert np.shares_memory(loss.features.blocks[0], X)
    assert_close(exact.hessian(theta), loss.hessian(theta), rtol=0, atol=1e-13)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_sums_are_sums_over_the_rows_of_a_class(n_classes):
    loss = make(n_classes)
    rows, classes = loss.features.blocks[0], range(n_classes)[-loss.n_rows :]

    expected = [loss.weights[loss.targets == k] @ rows[loss.targets == k] for k in classes]

    assert_close(np.array(expected), loss.class_sums, rtol=0, atol=1e-15)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_blocks_add_up(n_classes):
    loss = make(n_classes)
    whole = loss.features.blocks[0]
    cut = replace(loss.features, blocks=(whole[:7], whole[7:8], whole[8:]))
    theta = point(loss)

    assert_close(
        loss.value_and_gradient(theta)[1],
        replace(loss, features=cut).value_and_gradient(theta)[1],
        rtol=0,
        atol=1e-15,  # a few roundings
    )
    assert_close(loss.hessian(theta), replace(loss, features=cut).hessian(theta), rtol=0, atol=1e-15)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_sparse_rows_are_centred_on_the_way(n_classes):
    X = sparse.random(ROWS, COLUMNS, density=0.4, random_state=np.random.default_rng(3), format="csr")
    dense, virtual = make(n_classes, features=X.toarray()), make(n_classes, features=X)
    theta = point(dense)

    expected, found = dense.value_and_gradient(theta), virtual.value_and_gradient(theta)

    assert sparse.issparse(virtual.features.blocks[0])
    assert found[0] == pytest.approx(expected[0], rel=1e-14)
    assert_close(expected[1], found[1], rtol=0, atol=1e-14)


def test_single_precision_rows_used_where_they_lie_agree(monkeypatch):
    X = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32) * 3 + 1
    exact = make(features=X)
    monkeypatch.setattr("softclass.estimators.scaling.DOUBLE_COPY_BYTES", 0)
    loss = make(features=X)
    theta = point(loss)

    expected, found = exact.value_and_gradient(theta), loss.value_and_gradient(theta)

    assert np.shares_memory(loss.features.blocks[0], X)
    assert found[0] == pytest.approx(expected[0], rel=3e-7)
    assert_close(expected[1], found[1], rtol=0, atol=1e-6)


def test_start_has_no_gradient_in_the_bias():
    loss = make(3)

    assert_close(np.zeros(3), loss.value_and_gradient(loss.start())[1][:, -1], rtol=0, atol=1e-15)


def test_curved_sample_keeps_rare_classes_and_the_gradient_on_average():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, 3))
    loss = make(2, features=X)
    targets = np.zeros(5000, dtype=np.int64)
    targets[:3] = 1
    loss = replace(loss, targets=targets, weights=np.full(5000, 1 / 5000))
    theta = point(loss)

    samples = [loss.curved_sample(theta, 500, np.random.default_rng(seed)) for seed in range(50)]
    gradients = np.array([sample.value_and_gradient(theta)[1] for sample in samples])
    error = gradients.std(axis=0, ddof=1) / np.sqrt(50)

    assert {int((sample.targets == 1).sum()) for sample in samples} == {3}
    assert np.all(np.abs(gradients.mean(axis=0) - loss.value_and_gradient(theta)[1]) < 4.5 * error)  # false alarm 3e-5


def test_sampling_sparse_rows_is_sampling_dense_ones():
    X = sparse.random(ROWS, COLUMNS, density=0.4, random_state=np.random.default_rng(3), format="csr")
    dense, virtual = make(3, features=X.toarray()), make(3, features=X)
    theta = point(dense)

    expected, found = (loss.curved_sample(theta, 20, np.random.default_rng(0)) for loss in (dense, virtual))

    assert_close(expected.features.blocks[0], found.features.blocks[0], rtol=0, atol=1e-14)


def test_row_losses_of_two_classes_use_one_row():
    losses = row_losses(np.array([[2.0], [-1.0]]), np.array([1, 1]), np.array([[0.5]]), np.array([0.25]))

    assert_close(np.log1p(np.exp([-1.25, 0.25])), losses, rtol=1e-15, atol=0)


def test_take_cuts_across_blocks():
    loss = make(3)
    whole = loss.features.blocks[0]
    cut: ScaledFeatures = replace(loss.features, blocks=(whole[:7], whole[7:30], whole[30:]))
    rows = np.array([0, 6, 7, 31, 59])

    assert_close(whole[rows], np.concatenate(cut.take(rows, 2).blocks), rtol=0, atol=0)
