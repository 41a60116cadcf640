"""Separated classes and dependent columns are found, named and said; what is neither is not called so."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, make_classification

from asserts import assert_close
from softclass.errors import RankWarning, SeparationWarning
from softclass.estimators.softmax_regression import SoftmaxRegression

FREE = SoftmaxRegression(C=np.inf)


def fitted(X, y, **options):
    """Fit without penalty and return the model and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = SoftmaxRegression(C=np.inf, **options).fit(X, y)
    return model, caught


def overlapping(rows=200, columns=3, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, columns)), np.arange(rows) % n_classes


# --- separation -------------------------------------------------------------------------------------------------------


def test_complete_separation_is_said_with_classes_and_columns():
    X, y = load_iris(return_X_y=True, as_frame=True)
    X, names = X[y < 2], np.array(["setosa", "versicolor"])[y[y < 2]]
    message = (
        r'\[SC846\] SoftmaxRegression: classes "setosa", "versicolor" are separated from each other by "petal \S+'
        r' \(cm\)"(, "petal \S+ \(cm\)")? \(complete: every row has margin > \d\.\d+ after \d passes\), so with C=inf'
        r" coefficients grow without end\. Set C \(C=1\.0 is the default\)\. separation_\.direction holds the"
        r" separating weights"
    )

    model, [warning] = fitted(X, names)

    assert warning.category is SeparationWarning
    assert re.fullmatch(message, str(warning.message))
    assert model.separation_.kind == "complete"


def test_direction_of_complete_separation_separates_every_row():
    X, y = make_classification(60, 3, n_redundant=0, class_sep=8, random_state=0)

    model, _ = fitted(X, y)
    logits = X @ model.separation_.direction[0] + model.separation_.offset[0]

    assert np.all((logits > 0) == (y == 1))
    assert np.all(np.abs(logits) >= model.separation_.margin * (1 - 1e-9))


def test_one_class_apart_from_overlapping_others_is_quasi_complete():
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]

    model, [warning] = fitted(X, names)

    assert model.separation_.kind == "quasi-complete"
    assert model.separation_.classes == ("setosa",)
    assert str(warning.message).startswith(
        '[SC846] SoftmaxRegression: class "setosa" is separated from the others by "petal'
    )
    assert model.converged_  # the loss has reached its infimum


def test_quasi_complete_direction_never_favours_a_wrong_class():
    X, y = load_iris(return_X_y=True)

    model, _ = fitted(X, y)
    logits = X @ model.separation_.direction.T + model.separation_.offset
    leads = logits[np.arange(150), y][:, None] - logits

    assert leads.min() > -1e-9
    assert np.all(leads[y == 0][:, 1:] > 1e-6)


def test_a_category_that_never_meets_a_class_is_named():
    X, y = overlapping()
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["colour=red"] = ((np.arange(200) % 5 == 0) & (y != 2)).astype(float)
    names = np.array(["bad", "fair", "good"])[y]
    message = (
        '[SC846] SoftmaxRegression: column "colour=red" never occurs with class "good" (quasi-complete separation): its'
        " coefficient tends to -inf; summary() leaves it blank. Set C, or merge the category"
    )

    model, [warning] = fitted(frame, names)

    assert str(warning.message) == message
    assert model.separation_.never == (("colour=red", "good"),)
    assert model.separation_.columns == ("colour=red",)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_categories_are_named_where_there_are_too_many_parameters_for_a_programme(n_classes, monkeypatch):
    monkeypatch.setattr("softclass.estimators.separation.PROGRAMME_PARAMETERS", 0)
    X, y = overlapping(n_classes=n_classes)
    X = np.c_[X, (np.arange(200) % 5 == 0) & (y != 1), (np.arange(200) % 7 == 0) & (y != 0)]

    model, [warning] = fitted(X, y)

    assert model.separation_.never == (("x3", "1"), ("x4", "0"))
    assert 'column "x3" never occurs with class "1", and 1 more such pairs' in str(warning.message)


@pytest.mark.parametrize("offset", [0.0, 1e-9])
def test_a_class_beyond_a_plane_is_found_where_there_are_too_many_parameters_for_a_programme(offset):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2400, 60)), rng.integers(0, 18, 2400)  # 18 x 61 parameters
    place = X[:, 3] + 0.5 * X[:, 7]
    y[y == 2] = 0
    y[place > 1.5] = 2
    inside = np.flatnonzero(place < 1.5)[0]
    X[inside, 3] = 1.5 - 0.5 * X[inside, 7] - offset  # a row of another class on the plane, or just inside

    model, [warning] = fitted(X, y)
    leads = X @ model.separation_.direction.T + model.separation_.offset
    leads = leads[np.arange(2400), y][:, None] - leads

    assert model.separation_.kind == "quasi-complete"
    assert model.separation_.classes == ("2",)
    assert 'class "2" is separated from the others by' in str(warning.message)
    assert leads.min() > -1e-9
    assert leads[y == 2][:, np.arange(18) != 2].min() > 1e-6


def test_classes_that_overlap_are_not_called_separated_where_there_are_too_many_parameters_for_a_programme():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((2400, 60)), rng.integers(0, 18, 2400)

    model, caught = fitted(X, y)

    assert model.separation_ is None
    assert not caught


@pytest.mark.parametrize("seed", range(8))
def test_several_classes_apart_at_once_are_all_found(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((300, 3)), rng.integers(0, 5, 300)
    X[y == 1, 0] = 3.0 + rng.exponential(size=(y == 1).sum())
    X[y == 3, 0] = -3.0 - rng.exponential(size=(y == 3).sum())
    X[y % 2 == 0, 0] = np.clip(X[y % 2 == 0, 0], -2.9, 2.9)

    model, _ = fitted(X, y)
    leads = X @ model.separation_.direction.T + model.separation_.offset
    leads = leads[np.arange(300), y][:, None] - leads

    assert model.separation_.classes == ("1", "3")
    assert leads.min() > -1e-9
    assert leads[y == 1][:, [0, 2, 3, 4]].min() > 1e-6
    assert leads[y == 3][:, [0, 1, 2, 4]].min() > 1e-6


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("n_classes", [2, 3])
def test_separation_is_claimed_where_a_linear_programme_over_all_rows_finds_it(seed, n_classes):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 3, (12 + 2 * seed, 2)).astype(float)  # ties, and separation in about half of the cases
    y = np.r_[np.arange(n_classes), rng.integers(0, n_classes, len(X) - n_classes)]

    model, _ = fitted(X, y)

    assert (model.separation_ is not None) == is_separated(X, y, n_classes)


def is_separated(X, y, n_classes):
    """Ask for the best direction over all rows at once, with columns as they come."""
    from scipy.optimize import linprog

    extended = np.c_[X, np.ones(len(X))]
    rows = []
    for x, target in zip(extended, y, strict=True):
        for other in set(range(n_classes)) - {target}:
            row = np.zeros((n_classes, 3))
            row[target], row[other] = x, -x
            rows.append(row.ravel())
    matrix = np.array(rows)
    return -linprog(-matrix.sum(axis=0), A_ub=-matrix, b_ub=np.zeros(len(matrix)), bounds=(-1, 1)).fun > 1e-7


def test_overlapping_classes_are_certified_not_to_be_separated():
    X, y = overlapping()

    model = SoftmaxRegression(C=np.inf).fit(X, y)

    assert model.separation_ is None
    assert model.gap_kind_ == "newton"


def test_a_penalty_makes_separation_nothing_to_speak_of():
    X, y = load_iris(return_X_y=True)

    assert SoftmaxRegression(C=1e6).fit(X, y).converged_


# --- rank -------------------------------------------------------------------------------------------------------------


def test_dependent_columns_are_named_with_their_sum():
    X, y = overlapping()
    frame = pd.DataFrame({"a": X[:, 0], "b": 10 * X[:, 1], "c": X[:, 2]})
    frame["total"] = frame["a"] + frame["b"]

    model, [warning] = fitted(frame, y)
    text = str(warning.message)

    assert warning.category is RankWarning
    assert re.match(
        r'\[SC849\] SoftmaxRegression: columns ("\w+", ){2}"\w+" are linearly dependent \(rank 3 of 4\)', text
    )
    assert any(sum_text in text for sum_text in ("total = a + b.", "b = -a + total.", "a = -b + total."))
    assert model.rank_ == 3


def test_dependent_columns_get_the_shortest_weights():
    X, y = overlapping()
    full = np.c_[X, X[:, 0] + 2 * X[:, 1] + 5]
    expected = SoftmaxRegression(C=np.inf).fit(X, y)

    model, _ = fitted(full, y)
    null = np.array([1.0, 2.0, 0.0, -1.0])

    assert_close(expected.predict_proba(X), model.predict_proba(full), rtol=0, atol=1e-10)
    assert_close(np.zeros(3), model.coef_ @ null, rtol=0, atol=1e-10)


def test_all_categories_of_a_column_are_dependent_and_the_limit_of_a_penalty():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 300)
    X, y = np.c_[np.eye(3)[kind], rng.standard_normal(300)], rng.integers(0, 3, 300)

    model, [warning] = fitted(X, y)
    limit = SoftmaxRegression(C=1e8).fit(X, y)

    assert "= 1 - " in str(warning.message)
    assert_close(limit.coef_, model.coef_, rtol=0, atol=1e-5)
    assert_close(limit.intercept_, model.intercept_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("noise", [1e-3, 1e-5])
def test_nearly_equal_columns_are_not_called_dependent(noise):
    X, y = overlapping()
    near = np.c_[X, X[:, 0] + noise * np.random.default_rng(1).standard_normal(200)]

    model = SoftmaxRegression(C=np.inf).fit(near, y)

    assert model.rank_ == 4
    assert model.converged_


def test_constant_columns_are_dropped_by_name():
    X, y = overlapping()
    frame = pd.DataFrame(np.c_[X, np.full(200, 3.0)], columns=["a", "b", "c", "year"])

    model = SoftmaxRegression(C=np.inf).fit(frame, y)

    assert model.dropped_ == ["year"]
    assert model.rank_ == 3
    assert SoftmaxRegression().fit(frame, y).dropped_ == ["year"]


def test_more_columns_than_rows_are_separated_and_say_so():
    X, y = overlapping(rows=20, columns=30)

    model, caught = fitted(X, y)

    assert [warning.category for warning in caught] == [SeparationWarning]
    assert model.separation_.kind == "complete"
