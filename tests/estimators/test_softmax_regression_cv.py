"""The choice by held-out loss: scikit-learn's contract, scores as separate fits give them, the rule of one error."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from asserts import assert_close
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.estimators.softmax_regression_cv import SoftmaxRegressionCV, chosen

IRIS = load_iris(return_X_y=True)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
@parametrize_with_checks([SoftmaxRegressionCV(cv=3), SoftmaxRegression(l1_ratio=0.5)])
def test_estimators_keep_the_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_scores_are_those_of_separate_fits(ratio):
    X, y = IRIS
    folds = list(StratifiedKFold(3).split(X, y))

    model = SoftmaxRegressionCV(Cs=[0.05, 1.0], l1_ratios=[ratio], cv=folds).fit(X, y)

    expected = [
        [
            -log_loss(y[held], SoftmaxRegression(C=C, l1_ratio=ratio).fit(X[kept], y[kept]).predict_proba(X[held]))
            for kept, held in folds
        ]
        for C in (0.05, 1.0)
    ]
    assert_close([expected], model.scores_, rtol=1e-6, atol=0)


def test_weights_count_as_repetitions_in_fits_and_scores():
    X, y = IRIS
    times = np.random.default_rng(0).integers(1, 4, 150)
    folds = list(StratifiedKFold(3).split(X, y))
    whole = np.repeat(np.arange(150), times)
    repeated_folds = [tuple(np.flatnonzero(np.isin(whole, part)) for part in fold) for fold in folds]

    weighted = SoftmaxRegressionCV(Cs=3, l1_ratios=[0.5], cv=folds).fit(X, y, sample_weight=times)
    repeated = SoftmaxRegressionCV(Cs=3, l1_ratios=[0.5], cv=repeated_folds).fit(X[whole], y[whole])

    assert_close(repeated.scores_, weighted.scores_, rtol=1e-6, atol=1e-9)
    assert_close(repeated.coef_, weighted.coef_, rtol=1e-6, atol=1e-8)


def test_the_best_of_all_is_refitted_on_all_rows():
    X, y = make_classification(400, 30, n_informative=4, n_classes=3, random_state=0)

    model = SoftmaxRegressionCV(Cs=6, l1_ratios=[0.2, 1.0], cv=4).fit(X, y)

    means = model.scores_.mean(axis=2)
    one, best = np.unravel_index(means.argmax(), means.shape)
    again = SoftmaxRegression(C=model.Cs_[one, best], l1_ratio=model.l1_ratios_[one]).fit(X, y)
    assert (model.C_, model.l1_ratio_) == (again.C, again.l1_ratio)
    assert_close(again.coef_, model.coef_, rtol=0, atol=1e-12)
    assert_close(again.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-12)


SCORES = np.array([[[-1.0, -1.2, -1.1], [-0.8, -1.0, -0.9], [-0.7, -1.1, -0.8], [-0.9, -1.4, -1.0]]])


def test_one_standard_error_takes_the_strongest_penalty_near_the_best():
    # Means -1.1, -0.9, -0.867, -1.1; the best's standard error is 0.12.
    assert chosen(SCORES, np.ones(3), "best") == (0, 2)
    assert chosen(SCORES, np.ones(3), "one_standard_error") == (0, 1)


def test_a_fold_counts_by_its_weight():
    assert chosen(SCORES[:, 1:3], np.array([1.0, 0.0, 0.0]), "best") == (0, 1)
    assert chosen(SCORES[:, 1:3], np.array([0.0, 1.0, 0.0]), "best") == (0, 0)


def test_folds_that_hold_out_nothing_do_not_count():
    scores = SCORES.copy()
    scores[:, :, 1] = np.nan

    assert chosen(scores, np.ones(3), "best") == (0, 2)


def test_other_scorers_see_the_held_out_rows():
    X, y = IRIS

    model = SoftmaxRegressionCV(Cs=[1e-4, 1.0], cv=3, scoring="accuracy").fit(X, y)

    assert model.scores_.shape == (1, 2, 3)
    assert model.C_ == 1.0
    assert model.scores_[0, 1].mean() > 0.9


def test_a_class_missing_from_a_fold_is_left_out_of_its_loss():
    X, y = IRIS[0][:103], IRIS[1][:103]
    folds = [(np.arange(100), np.arange(95, 103)), (np.arange(20, 103), np.arange(20))]

    model = SoftmaxRegressionCV(Cs=[1.0], cv=folds).fit(X, y)

    assert np.all(np.isfinite(model.scores_))
    assert model.classes_.tolist() == [0, 1, 2]


def test_l1_ratios_out_of_range_are_refused():
    with pytest.raises(ValueError, match="l1_ratios"):
        SoftmaxRegressionCV(l1_ratios=[2.0]).fit(*IRIS)
