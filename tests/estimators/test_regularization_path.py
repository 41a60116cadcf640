"""The path is a row of single fits, starts where all weights are zero, and ends where nothing more is explained."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, special
from sklearn.datasets import load_iris, make_classification

from asserts import assert_close
from softclass.estimators.regularization_path import Path, regularization_path
from softclass.estimators.softmax_regression import SoftmaxRegression

IRIS = load_iris(return_X_y=True)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
def test_each_point_is_a_single_fit(ratio):
    X, y = IRIS
    Cs = [0.02, 0.3, 4.0]

    path = regularization_path(X, y, Cs=Cs, l1_ratio=ratio)

    singles = [SoftmaxRegression(C=C, l1_ratio=ratio).fit(X, y) for C in Cs]
    assert_close(np.stack([model.coef_ for model in singles]), path.coef, rtol=0, atol=2e-6)
    assert_close(np.stack([model.intercept_ for model in singles]), path.intercept, rtol=0, atol=2e-5)


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_points_on_rows_of_a_sample_are_single_fits(ratio):
    X, y = make_classification(20_000, 30, n_informative=10, n_classes=5, random_state=0)

    path = regularization_path(X, y, Cs=[1e-4, 1e-3, 1e-2], l1_ratio=ratio, tol=1e-10)

    model = SoftmaxRegression(C=1e-2, l1_ratio=ratio, tol=1e-10).fit(X, y)
    assert_close(model.coef_, path.coef[-1], rtol=0, atol=1e-4 * np.abs(model.coef_).max())
    assert np.all(path.gap <= 1e-4)


def test_the_grid_starts_where_the_first_weight_comes_up():
    X, y = IRIS

    path = regularization_path(X, y, Cs=30)
    beyond = regularization_path(X, y, Cs=[path.Cs[0] * 1.001])

    assert path.n_nonzero[0] == 0
    assert path.n_nonzero[1] > 0
    assert beyond.n_nonzero[0] > 0


def test_the_grid_ends_where_nearly_all_is_explained():
    path = regularization_path(*IRIS, Cs=50)
    path_of_all = regularization_path(*IRIS, Cs=[path.Cs[-1], 3 * path.Cs[-1]])

    assert len(path.Cs) < 50 or path.Cs[-1] / path.Cs[0] == pytest.approx(1e4)
    assert np.all(np.diff(path.deviance_ratio) > 0)
    assert path_of_all.deviance_ratio[0] == pytest.approx(path.deviance_ratio[-1], abs=1e-5)


def test_the_deviance_ratio_is_that_of_the_losses():
    X, y = IRIS

    path = regularization_path(X, y, Cs=[0.1])

    logits = X @ path.coef[0].T + path.intercept[0]
    loss = np.mean(special.logsumexp(logits, axis=1) - logits[np.arange(150), y])
    assert path.deviance_ratio[0] == pytest.approx(1 - loss / np.log(3), rel=1e-10)


def objective(path: Path, place: int, X: np.ndarray, y: np.ndarray, ratio: float) -> float:
    """Return the objective in nats a row."""
    logits = X @ path.coef[place].T + path.intercept[place]
    loss = np.mean(special.logsumexp(logits, axis=1) - logits[np.arange(len(y)), y])
    weight = path.coef[place]
    strength = 1 / (path.Cs[place] * len(y))
    return loss + strength * (ratio * np.abs(weight).sum() + 0.5 * (1 - ratio) * (weight**2).sum())


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
def test_the_gap_is_not_below_the_true_distance(ratio):
    X, y = make_classification(15_000, 20, n_informative=8, n_classes=4, random_state=1)  # too many to go to rounding
    Cs = [2e-4, 2e-3, 2e-2]

    rough = regularization_path(X, y, Cs=Cs, l1_ratio=ratio, tol=1e-2)
    fine = regularization_path(X, y, Cs=Cs, l1_ratio=ratio, tol=1e-10)

    excess = [objective(rough, place, X, y, ratio) - objective(fine, place, X, y, ratio) for place in range(3)]
    assert np.all(rough.gap >= np.array(excess) - 1e-11)
    assert np.all(fine.gap <= np.maximum(1e-2 * rough.gap, 1e-12))


def test_two_classes_have_one_row():
    X, y = IRIS[0][:100], IRIS[1][:100]

    path = regularization_path(X, y, Cs=[0.1, 1.0], l1_ratio=0.9)

    assert path.coef.shape == (2, 1, 4)
    assert_close(SoftmaxRegression(C=1.0, l1_ratio=0.9).fit(X, y).coef_, path.coef[1], rtol=0, atol=1e-7)


def test_labels_sparse_rows_and_weights_are_taken():
    X, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    weights = (np.arange(150) % 3 > 0).astype(float)

    path = regularization_path(sparse.csr_matrix(X), names, Cs=[0.5], sample_weight=weights)
    kept = regularization_path(X[weights > 0], names[weights > 0], Cs=[0.5])

    assert path.classes.tolist() == ["setosa", "versicolor", "virginica"]
    assert_close(kept.coef, path.coef, rtol=0, atol=1e-8)


@pytest.mark.parametrize("options", [{"Cs": 0}, {"Cs": [1.0, -1.0]}, {"Cs": []}, {"l1_ratio": 1.5}, {"tol": -1.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        regularization_path(*IRIS, **options)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least two classes"):
        regularization_path(IRIS[0], np.zeros(150))
