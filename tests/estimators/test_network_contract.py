"""scikit-learn's own list of checks for the classifiers by networks, the exception named with its reason."""

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
from softclass.estimators.softmax_cnn import SoftmaxCNN
from softclass.estimators.softmax_mlp import SoftmaxMLP

IRIS = load_iris(return_X_y=True)
# A row of weight 2 and two copies of it are taken in other batches: the same in expectation, not in bits.
EXCEPTION = {"check_sample_weight_equivalence_on_dense_data": "batches differ from those of copied rows"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        SoftmaxMLP(n_jobs=1),
        SoftmaxMLP(hidden_layer_sizes=(8, 8), class_weight="balanced", n_jobs=1),
        SoftmaxCNN(n_jobs=1),
    ],
    expected_failed_checks=lambda estimator: EXCEPTION,
)
def test_estimator_keeps_the_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [SoftmaxMLP(epochs=30), SoftmaxCNN(epochs=30)], ids=["mlp", "cnn"])
def test_works_in_a_pipeline_and_in_cross_validation(estimator):
    scores = cross_val_score(make_pipeline(StandardScaler(), estimator), *IRIS, cv=3)

    assert scores.min() > 0.85


def test_works_in_a_grid_search():
    search = GridSearchCV(SoftmaxMLP(hidden_layer_sizes=8), {"epochs": [1, 60]}, cv=3, scoring="neg_log_loss").fit(
        *IRIS
    )

    assert search.best_params_ == {"epochs": 60}


def test_sample_weights_are_routed():
    X, y = IRIS
    weights = np.random.default_rng(0).uniform(0.5, 2, 150)

    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(scaler, SoftmaxMLP(epochs=3).set_fit_request(sample_weight=True))
        pipeline.fit(X, y, sample_weight=weights)
        alone = SoftmaxMLP(epochs=3).fit(pipeline[0].transform(X), y, weights)

    assert_bit_equal(alone.predict_proba(X), pipeline[1].predict_proba(X))


@pytest.mark.parametrize("estimator", [SoftmaxMLP(epochs=3), SoftmaxCNN(epochs=3)], ids=["mlp", "cnn"])
def test_pickle_keeps_every_bit(estimator):
    X, y = IRIS
    model = clone(estimator).fit(X, y)

    again = pickle.loads(pickle.dumps(model))

    assert_bit_equal(model.predict_proba(X), again.predict_proba(X))
    assert again.history_ == model.history_


def test_pickle_does_not_hold_the_engine():
    model = SoftmaxMLP(epochs=1).fit(*IRIS)

    assert "_engine" not in pickle.loads(pickle.dumps(model)).__dict__


def test_clone_keeps_the_parameters():
    model = SoftmaxMLP(hidden_layer_sizes=(3,), patience=None, warm_start=True)

    assert clone(model).get_params() == model.get_params()
