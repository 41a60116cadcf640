"""The choice by held-out loss: scikit-learn's contract, scores as separate fits give them, the rule of one error."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import config_context
from sklearn.datasets import load_iris, make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
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


def test_a_function_may_score():
    X, y = IRIS

    def share_right(model, rows, labels):
        return float(np.mean(model.predict(rows) == labels))

    named = SoftmaxRegressionCV(Cs=[1e-3, 0.1], cv=3, scoring="accuracy").fit(X, y)
    own = SoftmaxRegressionCV(Cs=[1e-3, 0.1], cv=3, scoring=share_right).fit(X, y)

    assert_close(named.scores_, own.scores_, rtol=0, atol=1e-15)


def test_scores_of_scorers_are_weighted():
    X, y = IRIS
    weights = np.random.default_rng(0).integers(1, 4, 150).astype(float)
    folds = list(StratifiedKFold(3).split(X, y))

    model = SoftmaxRegressionCV(Cs=[1e-3], cv=folds, scoring="accuracy").fit(X, y, weights)

    kept, held = folds[1]
    single = SoftmaxRegression(C=1e-3).fit(X[kept], y[kept], weights[kept])
    assert model.scores_[0, 0, 1] == pytest.approx(single.score(X[held], y[held], weights[held]), rel=1e-12)


def test_groups_stay_together():
    X, y = IRIS
    groups = np.arange(150) % 5

    model = SoftmaxRegressionCV(Cs=[0.1], cv=GroupKFold(5)).fit(X, y, groups=groups)
    split = SoftmaxRegressionCV(Cs=[0.1], cv=list(GroupKFold(5).split(X, y, groups))).fit(X, y)

    assert_close(split.scores_, model.scores_, rtol=1e-12, atol=0)


def test_weights_and_groups_are_routed_through_a_pipeline():
    X, y = IRIS
    weights, groups = np.random.default_rng(0).uniform(0.5, 2, 150), np.arange(150) % 3

    with config_context(enable_metadata_routing=True):
        inner = SoftmaxRegressionCV(Cs=[0.1, 1.0], cv=GroupKFold(3)).set_fit_request(sample_weight=True, groups=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), inner)
        pipeline.fit(X, y, sample_weight=weights, groups=groups)
    plain = SoftmaxRegressionCV(Cs=[0.1, 1.0], cv=GroupKFold(3))
    plain.fit(StandardScaler().fit_transform(X), y, weights, groups=groups)

    assert_close(plain.scores_, pipeline[1].scores_, rtol=1e-12, atol=0)


def test_class_weights_count_in_fits_and_not_in_scores():
    X, y = IRIS
    folds = list(StratifiedKFold(3).split(X, y))
    class_weight = {0: 1.0, 1: 5.0, 2: 1.0}

    model = SoftmaxRegressionCV(Cs=[0.1], l1_ratios=[0.5], cv=folds, class_weight=class_weight).fit(X, y)

    expected = []
    for kept, held in folds:
        single = SoftmaxRegression(C=0.1, l1_ratio=0.5, class_weight=class_weight).fit(X[kept], y[kept])
        expected.append(-log_loss(y[held], single.predict_proba(X[held])))
    assert_close([[expected]], model.scores_, rtol=1e-6, atol=0)


def test_one_standard_error_chooses_a_stronger_penalty_and_refits_it():
    X, y = make_classification(300, 20, n_informative=3, n_classes=3, random_state=1)

    best = SoftmaxRegressionCV(Cs=15, l1_ratios=[1.0], cv=5).fit(X, y)
    sparser = SoftmaxRegressionCV(Cs=15, l1_ratios=[1.0], cv=5, selection="one_standard_error").fit(X, y)

    means, errors = best.scores_[0].mean(axis=1), best.scores_[0].std(axis=1, ddof=1) / np.sqrt(5)
    top = means.argmax()
    assert np.array_equal(best.scores_, sparser.scores_)
    assert sparser.C_ == best.Cs_[0, np.flatnonzero(means >= means[top] - errors[top])[0]] < best.C_
    assert np.count_nonzero(sparser.coef_) < np.count_nonzero(best.coef_)


def test_a_class_missing_from_a_fold_is_left_out_of_its_loss():
    X, y = IRIS[0][:103], IRIS[1][:103]
    folds = [(np.arange(100), np.arange(95, 103)), (np.arange(20, 103), np.arange(20))]

    model = SoftmaxRegressionCV(Cs=[1.0], cv=folds).fit(X, y)

    assert np.all(np.isfinite(model.scores_))
    assert model.classes_.tolist() == [0, 1, 2]


def test_l1_ratios_out_of_range_are_refused():
    with pytest.raises(ValueError, match="l1_ratios"):
        SoftmaxRegressionCV(l1_ratios=[2.0]).fit(*IRIS)
