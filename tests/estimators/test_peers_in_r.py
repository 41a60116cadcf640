"""What glmnet and nnet of R say about iris; scripts/make_glmnet_fixtures.R wrote it down."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris

from asserts import assert_close
from golden import cases
from softclass.estimators.regularization_path import regularization_path
from softclass.estimators.softmax_regression import SoftmaxRegression

X, Y = load_iris(return_X_y=True)


def weights_of(case):
    """Return the weight of each row."""
    return np.resize(np.array(case["weights"], dtype=float), 150)


@pytest.mark.parametrize("case", cases("glmnet_iris"), ids=lambda case: case["name"])
def test_penalised_fits_have_the_coefficients_of_glmnet(case):
    rows, weights = case["rows"], weights_of(case)[: case["rows"]]
    strength = 1 / (weights.sum() * case["lambda"])

    model = SoftmaxRegression(C=strength, l1_ratio=case["alpha"]).fit(X[:rows], Y[:rows], weights)
    options = {"Cs": [strength / 5, strength], "l1_ratio": case["alpha"], "sample_weight": weights, "tol": 1e-10}
    path = regularization_path(X[:rows], Y[:rows], **options)

    for coef, intercept in ((model.coef_, model.intercept_), (path.coef[1], path.intercept[1])):
        assert_close(case["coef"], coef, rtol=0, atol=3e-7)
        assert_close(case["intercept"], intercept, rtol=0, atol=1e-6)
        assert np.array_equal(np.array(case["coef"]) == 0, coef == 0)


@pytest.mark.parametrize("case", cases("nnet_iris"), ids=lambda case: case["name"])
def test_fits_without_penalty_have_the_coefficients_and_errors_of_multinom(case):
    weights = weights_of(case)

    model = SoftmaxRegression(C=np.inf).fit(X[:, case["columns"]], Y, weights)
    table = model.summary().to_dict()

    found = np.c_[model.intercept_[1:] - model.intercept_[0], model.coef_[1:] - model.coef_[0]]
    rows = {(row["class"], row["column"]): row for row in table["coefficients"]}
    errors = [[rows[label, column]["standard_error"] for column in ("(intercept)", "x0")] for label in ("1", "2")]
    assert_close(case["coefficients"], found, rtol=1e-7, atol=0)
    assert_close(case["standard_errors"], errors, rtol=1e-6, atol=0)
    assert 2 * weights.sum() * model.objective_ == pytest.approx(case["deviance"], rel=1e-10)
