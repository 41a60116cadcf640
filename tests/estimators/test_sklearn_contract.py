"""scikit-learn's own list of checks, without exceptions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from asserts import assert_bit_equal
from softclass.estimators.softmax_regression import SoftmaxRegression


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [SoftmaxRegression(), SoftmaxRegression(class_weight="balanced"), SoftmaxRegression(l1_ratio=0.5)]
)
def test_estimator_keeps_the_contract(estimator, check):
    check(estimator)


# The checks' blobs are separable, and some checks have more columns than rows.
@pytest.mark.filterwarnings("ignore::softclass.errors.SeparationWarning", "ignore::softclass.errors.RankWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([SoftmaxRegression(C=np.inf)])
def test_estimator_without_penalty_keeps_the_contract(estimator, check):
    check(estimator)


def test_works_in_a_pipeline_and_in_cross_validation():
    X, y = load_iris(return_X_y=True)

    scores = cross_val_score(make_pipeline(StandardScaler(), SoftmaxRegression()), X, y, cv=3)

    assert scores.min() > 0.9


def test_works_in_a_grid_search():
    X, y = load_iris(return_X_y=True)

    search = GridSearchCV(SoftmaxRegression(), {"C": [1e-3, 1.0]}, cv=3, scoring="neg_log_loss").fit(X, y)

    assert search.best_params_ == {"C": 1.0}


def test_sample_weights_are_routed():
    X, y = load_iris(return_X_y=True)
    weights = np.random.default_rng(0).uniform(0.5, 2, 150)

    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=True),
            SoftmaxRegression().set_fit_request(sample_weight=True),
        )
        pipeline.fit(X, y, sample_weight=weights)
        scaled = SoftmaxRegression().fit(pipeline[0].transform(X), y, weights)

    assert_bit_equal(scaled.coef_, pipeline[1].coef_)


def test_set_output_of_a_pipeline_leaves_predictions_alone():
    X, y = load_iris(return_X_y=True, as_frame=True)

    pipeline = make_pipeline(StandardScaler(), SoftmaxRegression()).set_output(transform="pandas").fit(X, y)

    assert isinstance(pipeline.predict_proba(X), np.ndarray)
    assert pipeline[1].feature_names_in_.tolist() == X.columns.tolist()


def test_pickle_keeps_every_bit():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression().fit(X, y)

    again = pickle.loads(pickle.dumps(model))

    assert_bit_equal(model.predict_proba(X), again.predict_proba(X))


def test_clone_keeps_the_parameters():
    assert clone(SoftmaxRegression(C=3.0, warm_start=True)).get_params() == {
        "C": 3.0,
        "l1_ratio": 0.0,
        "fit_intercept": True,
        "class_weight": None,
        "tol": 1e-4,
        "max_iter": 1000,
        "warm_start": True,
        "n_jobs": None,
        "random_state": None,
        "verbose": 0,
    }
