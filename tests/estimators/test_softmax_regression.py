"""SoftmaxRegression against exact answers, published ones, and scikit-learn's."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import mpmath
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from asserts import assert_bit_equal, assert_close
from softclass.errors import ParameterError, SeparationWarning
from softclass.estimators.softmax_regression import SoftmaxRegression

EXACT = json.loads((Path(__file__).parents[1] / "golden" / "softmax_regression.json").read_text())["cases"]


def total(model: SoftmaxRegression, weight: float) -> float:
    """Return scikit-learn's objective: C times the sum of the losses, and the penalty."""
    return model.C * weight * model.objective_


# --- exact answers, computed with 50 digits -------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT)
def test_tiny_cases_are_exact(name):
    case = EXACT[name]

    model = SoftmaxRegression(C=case["C"], fit_intercept=case["intercept"]).fit(case["X"], case["y"], case["weights"])

    assert_close(np.array(case["coef"], dtype=float), model.coef_, rtol=0, atol=1e-12)
    assert_close(np.array(case["intercept_"], dtype=float), model.intercept_, rtol=0, atol=1e-12)
    assert total(model, sum(case["weights"])) == pytest.approx(float(case["objective"]), rel=1e-13)


def test_three_rows_agree_with_many_digits():
    X, y = np.array([[5.1, 3.5], [4.9, 3.0], [6.2, 2.9]]), [0, 1, 2]
    model = SoftmaxRegression().fit(X, y)

    with mpmath.workdps(40):

        def residuals(*parameters):
            rows = [parameters[3 * k : 3 * k + 3] for k in range(3)]
            found = [[w[0], w[1], 0] for w in rows]
            found[0][2] = sum(w[2] for w in rows)  # in place of one of three dependent equations
            for x, target in zip(X.tolist(), y, strict=True):
                logits = [w[0] * mpmath.mpf(x[0]) + w[1] * mpmath.mpf(x[1]) + w[2] for w in rows]
                rest = mpmath.log(sum(mpmath.exp(z) for z in logits))
                for k in range(3):
                    error = mpmath.exp(logits[k] - rest) - (k == target)
                    found[k][0] += error * mpmath.mpf(x[0])
                    found[k][1] += error * mpmath.mpf(x[1])
                    found[k][2] += error if k else 0
            return [value for row in found for value in row]

        start = [v for w, b in zip(model.coef_, model.intercept_, strict=True) for v in (*w, b)]
        truth = np.array([float(v) for v in mpmath.findroot(residuals, start)]).reshape(3, 3)

    assert_close(truth[:, :2], model.coef_, rtol=0, atol=1e-12)
    assert_close(truth[:, 2], model.intercept_, rtol=0, atol=1e-11)  # x.mean() * weight is taken off


@pytest.mark.parametrize(
    ("penalty", "intercepts", "weights"),
    [
        (
            0.10,
            [4.606033205, 1.344737307, -5.950770512],
            [
                [-0.269345675, 0.281388376, -1.005150996, -0.407748714],
                [0.031746849, -0.296567560, 0.096577199, -0.157245807],
                [0.237598826, 0.015179184, 0.908573797, 0.564994521],
            ],
        ),
        (
            0.02,
            [7.692214497, 2.031780979, -9.723995477],
            [
                [-0.387933380, 0.613193021, -1.816322535, -0.752022247],
                [0.280036834, -0.370323426, -0.053520631, -0.541807860],
                [0.107896546, -0.242869595, 1.869843167, 1.293830107],
            ],
        ),
    ],
)
def test_iris_agrees_with_glmnet(penalty, intercepts, weights):
    X, y = load_iris(return_X_y=True)

    model = SoftmaxRegression(C=1 / (150 * penalty)).fit(X, y)

    assert_close(weights, model.coef_, rtol=0, atol=3e-7)  # glmnet's own tolerance
    assert_close(intercepts, model.intercept_, rtol=0, atol=1e-6)


def test_unpenalised_two_by_three_table_has_its_closed_form():
    counts = np.array([[30, 20, 10], [12, 25, 33]])
    X = np.repeat([[0.0], [1.0]], 3, axis=0)
    y, weights = np.tile([0, 1, 2], 2), counts.ravel()

    model = SoftmaxRegression(C=np.inf).fit(X, y, weights)

    slopes = [np.log(counts[1, k] * counts[0, 0] / (counts[1, 0] * counts[0, k])) for k in (1, 2)]
    assert_close(slopes, model.coef_[1:, 0] - model.coef_[0, 0], rtol=0, atol=1e-10)
    assert_close(np.log(counts[0, 1:] / counts[0, 0]), model.intercept_[1:] - model.intercept_[0], rtol=0, atol=1e-10)


# --- scikit-learn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_agrees_with_logistic_regression(n_classes, intercept, weighted, class_weight, C):
    X, y = make_classification(200, 8, n_informative=5, n_classes=n_classes, random_state=1)
    weights = np.random.default_rng(0).uniform(0.1, 3, 200) if weighted else None
    reference = LogisticRegression(
        C=C, fit_intercept=intercept, class_weight=class_weight, solver="newton-cg", tol=1e-10, max_iter=10_000
    ).fit(X, y, weights)

    model = SoftmaxRegression(C=C, fit_intercept=intercept, class_weight=class_weight).fit(X, y, weights)

    assert_close(reference.coef_, model.coef_, rtol=0, atol=1e-6)
    assert_close(reference.intercept_, model.intercept_, rtol=0, atol=1e-6)
    assert_close(reference.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-6)


def test_class_weights_may_name_some_classes():
    X, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    weights = np.where(names == "b", 5.0, 1.0)

    assert_close(
        SoftmaxRegression().fit(X, names, weights).coef_,
        SoftmaxRegression(class_weight={"b": 5.0}).fit(X, names).coef_,
        rtol=0,
        atol=1e-12,
    )


# --- any units ------------------------------------------------------------------------------------------------------


def test_columns_of_huge_offset_and_scale_reach_the_optimum():
    X, y = make_classification(300, 60, n_informative=20, n_classes=3, random_state=0)
    X[:, 1] += 10000
    X[:, 0] *= 10000

    model = SoftmaxRegression().fit(X, y)

    assert total(model, 300) == pytest.approx(92.915091, abs=5e-7)
    assert model.converged_


@pytest.mark.parametrize("unit", [1e300, 1e200, 1e8, 1e-8, 1e-160, 1e-200])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_unpenalised_probabilities_do_not_depend_on_units(unit, n_classes):
    X, y = make_classification(200, 5, n_informative=4, n_redundant=0, n_classes=n_classes, flip_y=0.3, random_state=2)
    changed = X.copy()
    changed[:, 0] *= unit

    expected = SoftmaxRegression(C=np.inf).fit(X, y).predict_proba(X)

    assert_close(expected, SoftmaxRegression(C=np.inf).fit(changed, y).predict_proba(changed), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("offset", "spread", "atol"), [(1e6, 1e-3, 1e-5), (1e8, 1.0, 1e-6), (-1e12, 1.0, 1e-2)])
def test_unpenalised_probabilities_do_not_depend_on_offsets(offset, spread, atol):
    X, y = make_classification(200, 5, n_informative=4, n_redundant=0, n_classes=3, flip_y=0.3, random_state=2)
    moved = X.copy()
    moved[:, 2] = spread * X[:, 2] + offset  # rounds the column at 1e-16 of the offset, hence atol

    expected = SoftmaxRegression(C=np.inf).fit(X, y).predict_proba(X)

    assert_close(expected, SoftmaxRegression(C=np.inf).fit(moved, y).predict_proba(moved), rtol=0, atol=atol)


@pytest.mark.parametrize("unit", [1e200, 1e300])
def test_penalty_on_a_column_of_huge_values_vanishes(unit):
    X, y = make_classification(200, 4, n_informative=3, n_redundant=0, flip_y=0.3, random_state=2)
    X[:, 0] *= unit

    model = SoftmaxRegression().fit(X, y)

    assert model.converged_
    assert model.coef_[0, 0] != 0
    assert np.all(np.isfinite(model.predict_proba(X)))


def test_a_column_of_tiny_values_gets_the_weight_of_the_first_order_condition():
    X, y = make_classification(200, 4, n_informative=3, n_redundant=0, flip_y=0.3, random_state=2)
    X[:, 0] *= 1e-200

    model = SoftmaxRegression().fit(X, y)

    residual = model.predict_proba(X)[:, 1] - y  # at the optimum: weight = -C * sum of residual * x
    assert model.coef_[0, 0] == pytest.approx(-residual @ X[:, 0], rel=1e-9)


def test_constant_and_duplicate_columns_are_harmless():
    X, y = load_iris(return_X_y=True)
    wide = np.column_stack([X, np.full(150, 7.0), np.zeros(150), X[:, 0]])

    model = SoftmaxRegression(C=1e4).fit(wide, y)

    assert_bit_equal(np.zeros((3, 2)), model.coef_[:, 4:6])
    assert_close(model.coef_[:, 0], model.coef_[:, 6], rtol=0, atol=1e-6)  # the shortest of many optima


@pytest.mark.parametrize("size", [1e5, 1e7, 1e9])
def test_a_far_row_acts_as_its_limit(size):
    X, y = make_classification(200, 4, n_informative=3, n_redundant=0, n_classes=3, flip_y=0.3, random_state=2)
    far, farther = X.copy(), X.copy()
    far[3], farther[3] = size, 10 * size

    near, limit = SoftmaxRegression(C=np.inf).fit(far, y), SoftmaxRegression(C=np.inf).fit(farther, y)

    assert near.converged_
    assert near.objective_ == pytest.approx(limit.objective_, rel=1e-5)


def test_columns_too_faint_for_a_finite_weight_count_as_constant():
    X, y = load_iris(return_X_y=True)
    faint = np.column_stack([X, X[:, 0] * 1e-310])

    assert_bit_equal(np.zeros(3), SoftmaxRegression(C=1e4).fit(faint, y).coef_[:, 4])


def test_numbers_at_the_end_of_the_range_are_taken():
    y = np.arange(40) % 3
    X = np.where(np.random.default_rng(0).random((40, 2)) < 0.5, 1.7e308, -1.7e308)

    assert np.all(np.isfinite(SoftmaxRegression().fit(X, y).coef_))


def test_zero_tolerance_ends_at_rounding():
    X, y = load_iris(return_X_y=True)

    model = SoftmaxRegression(tol=0).fit(X, y)

    assert model.converged_
    assert model.gradient_norm_ < 1e-13


def test_all_columns_constant_gives_the_class_shares():
    model = SoftmaxRegression().fit(np.ones((6, 2)), [0, 0, 0, 1, 1, 2])

    assert_close([[1 / 2, 1 / 3, 1 / 6]], model.predict_proba(np.ones((1, 2))), rtol=0, atol=1e-12)


# --- properties -----------------------------------------------------------------------------------------------------


def test_order_of_rows_does_not_matter():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)

    assert_close(
        SoftmaxRegression().fit(X, y).coef_, SoftmaxRegression().fit(X[order], y[order]).coef_, rtol=0, atol=1e-11
    )


def test_other_names_of_the_classes_permute_the_rows():
    X, y = load_iris(return_X_y=True)
    names = np.array(["z", "m", "a"])

    model = SoftmaxRegression().fit(X, names[y])

    assert_close(SoftmaxRegression().fit(X, y).coef_[::-1], model.coef_, rtol=0, atol=1e-11)
    assert model.classes_.tolist() == ["a", "m", "z"]


def test_weights_times_a_number_is_C_times_it():
    X, y = load_iris(return_X_y=True)

    expected = SoftmaxRegression(C=3.0).fit(X, y).coef_

    assert_close(expected, SoftmaxRegression().fit(X, y, np.full(150, 3.0)).coef_, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_unpenalised_weights_of_any_size_give_the_same_answer(size):
    X, y = make_classification(100, 3, n_informative=3, n_redundant=0, flip_y=0.4, random_state=0)

    expected = SoftmaxRegression(C=np.inf).fit(X, y).coef_

    assert_close(expected, SoftmaxRegression(C=np.inf).fit(X, y, np.full(100, size)).coef_, rtol=0, atol=1e-10)


def test_intercepts_sum_to_zero():
    X, y = load_iris(return_X_y=True)

    assert abs(SoftmaxRegression().fit(X, y).intercept_.sum()) < 1e-12


def test_gradient_norm_is_that_of_the_users_objective():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression(max_iter=2, tol=0)

    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    residual = model.predict_proba(X) - np.eye(3)[y]
    gradient = residual.T @ X / 150 + model.coef_ / 150

    assert model.gradient_norm_ == pytest.approx(max(abs(gradient).max(), abs(residual.mean(axis=0)).max()), rel=1e-9)


def test_objective_is_the_mean_loss_and_the_penalty():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression(C=0.3).fit(X, y)

    logs = model.predict_log_proba(X)[np.arange(150), y]

    assert model.objective_ == pytest.approx(-logs.mean() + (model.coef_**2).sum() / (2 * 0.3 * 150), rel=1e-12)


# --- inputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(np.asfortranarray, id="fortran"),
        pytest.param(lambda X: X.astype(np.float32), id="float32"),
        pytest.param(lambda X: np.repeat(X, 2, axis=0)[::2], id="strided"),
        pytest.param(lambda X: X.astype(object), id="object"),
        pytest.param(sparse.csr_matrix, id="csr_matrix"),
        pytest.param(sparse.csc_array, id="csc_array"),
        pytest.param(pd.DataFrame, id="pandas"),
        pytest.param(lambda X: pl.DataFrame(X, schema=list("abcd")), id="polars"),
        pytest.param(lambda X: X.tolist(), id="list"),
    ],
)
def test_every_container_gives_the_same_answer(convert):
    X, y = load_iris(return_X_y=True)
    data = convert(X)

    model = SoftmaxRegression().fit(data, y)

    atol = 1e-5 if getattr(data, "dtype", None) == np.float32 else 1e-10  # the cells of float32 are other numbers
    assert_close(SoftmaxRegression().fit(X, y).predict_proba(X), model.predict_proba(data), rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int64", "float16"])
def test_small_numbers_are_taken_as_they_are(dtype):
    X = np.random.default_rng(0).integers(0, 2, (60, 4)).astype(dtype)
    y = np.arange(60) % 3

    assert_close(
        SoftmaxRegression().fit(X.astype(np.float64), y).coef_, SoftmaxRegression().fit(X, y).coef_, rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "c"]),
        np.array(["10", "9", "1"]),
        np.array([3, -1, 2]),
        np.array(["x", "y", "z"], dtype=object),
        pd.Categorical(["u", "v", "w"]),
    ],
    ids=["text", "digits", "integers", "object", "categorical"],
)
def test_labels_come_back_as_they_were(labels):
    X, y = load_iris(return_X_y=True)
    names = np.asarray(labels)[y]

    assert set(SoftmaxRegression().fit(X, names).predict(X).tolist()) == set(np.asarray(labels).tolist())


def test_boolean_labels_stay_booleans():
    X, y = load_iris(return_X_y=True)

    assert SoftmaxRegression().fit(X, y == 1).predict(X).dtype == bool


def test_frames_leave_their_column_names():
    X, y = load_iris(return_X_y=True, as_frame=True)

    assert SoftmaxRegression().fit(X, y).feature_names_in_.tolist() == X.columns.tolist()


@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_large_sparse_data_agree_with_dense(kind, monkeypatch):
    monkeypatch.setattr("softclass.estimators.solve.DENSE_NUMBERS", 0)
    rng = np.random.default_rng(0)
    X = sparse.random(300, 20, density=0.2, random_state=rng, format="csr")
    y = rng.integers(0, 3, 300)
    expected = SoftmaxRegression().fit(X.toarray(), y)

    model = SoftmaxRegression().fit(X if kind == "csr" else X.tocsc(), y)

    assert_close(expected.coef_, model.coef_, rtol=0, atol=1e-10)


# --- weights that leave a class without rows --------------------------------------------------------------------------


def test_a_class_without_weight_gets_probability_zero():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression().fit(X, y, (y != 1).astype(float))

    assert model.intercept_[1] == -np.inf
    assert_bit_equal(np.zeros(4), model.coef_[1])
    assert_bit_equal(np.zeros(150), model.predict_proba(X)[:, 1])


def test_two_of_three_classes_with_weight_solve_the_three_row_problem():
    X, y = load_iris(return_X_y=True)
    rows = y != 0
    one_row = SoftmaxRegression(C=2.0).fit(X[rows], y[rows]).coef_[0]  # (-w/2, w/2) has half the square of w

    model = SoftmaxRegression().fit(X, y, rows.astype(float))

    assert_close(one_row / 2, model.coef_[2], rtol=0, atol=1e-11)
    assert_close(-model.coef_[1], model.coef_[2], rtol=0, atol=1e-12)
    assert model.objective_ == pytest.approx(
        -np.mean(model.predict_log_proba(X)[rows, y[rows]]) + (model.coef_**2).sum() / 200, rel=1e-12
    )


@pytest.mark.parametrize("which", [0, 1])
def test_one_class_left_by_weights_is_certain(which):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < 2], y[y < 2]

    model = SoftmaxRegression().fit(X, y, (y == which).astype(float))

    assert_bit_equal(np.ones(100), model.predict_proba(X)[:, which])
    assert set(model.predict(X)) == {which}


# --- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
def test_layers_are_one_row_a_class(n_classes):
    X, y = load_iris(return_X_y=True)
    y = np.minimum(y, n_classes - 1)
    model = SoftmaxRegression().fit(X, y)

    (layer,) = model.layers_
    logits = X @ layer.weight.T + layer.bias
    odds = np.exp(logits)

    assert layer.weight.shape == (n_classes, 4)
    assert_close(odds / odds.sum(axis=1, keepdims=True), model.predict_proba(X), rtol=0, atol=1e-13)


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_separable_classes_without_penalty_stop_and_say_so():
    X, y = load_iris(return_X_y=True)
    X, y = X[y < 2], y[y < 2]
    model = SoftmaxRegression(C=np.inf)

    with pytest.warns(SeparationWarning, match=re.escape('[SC846] SoftmaxRegression: classes "0", "1" are separated')):
        model.fit(X, y)

    assert not model.converged_
    assert np.all(np.isfinite(model.coef_))
    assert model.score(X, y) == 1.0


def test_separable_classes_with_penalty_are_nothing_to_warn_about():
    X, y = load_iris(return_X_y=True)

    model = SoftmaxRegression().fit(X[y < 2], y[y < 2])

    assert model.converged_
    assert model.gap_kind_ == "duality"


def test_too_few_iterations_are_said():
    X, y = load_iris(return_X_y=True)
    pattern = (
        r"\[SC847\] SoftmaxRegression: not converged after 2 iterations and \d passes; objective 0\.\d+ nats a row, at"
        r" most \S+ above the minimum, largest derivative \S+\. Raise `max_iter`"
    )

    with pytest.warns(ConvergenceWarning, match=pattern):
        model = SoftmaxRegression(max_iter=2).fit(X, y)

    assert not model.converged_


def test_past_deadline_keeps_the_best_so_far():
    X, y = load_iris(return_X_y=True)

    model = SoftmaxRegression().fit_watched(X, y, deadline=time.monotonic() - 1)

    assert not model.converged_
    assert model.n_iter_.tolist() == [1]
    assert np.all(np.isfinite(model.predict_proba(X)))


def test_progress_hears_of_every_iteration():
    X, y = load_iris(return_X_y=True)
    heard = []

    model = SoftmaxRegression().fit_watched(X, y, progress=lambda *facts: heard.append(facts))

    assert [facts[0] for facts in heard] == list(range(1, model.n_iter_[0] + 1))
    assert heard[-1][1:] == (model.objective_, model.gradient_norm_)


def test_warm_start_takes_up_where_it_stopped():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression(warm_start=True).fit(X, y)
    cold = model.n_iter_[0]

    model.fit(X, y)

    assert model.n_iter_[0] <= 2 < cold


def test_warm_start_with_other_classes_starts_afresh():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression(warm_start=True).fit(X, y)

    model.fit(X, y == 1)

    assert_close(SoftmaxRegression().fit(X, y == 1).coef_, model.coef_, rtol=0, atol=1e-10)


def test_fits_repeat_bit_for_bit():
    X, y = load_iris(return_X_y=True)

    assert_bit_equal(SoftmaxRegression().fit(X, y).coef_, SoftmaxRegression().fit(X, y).coef_)


def test_sample_weights_are_not_written_to():
    X, y = load_iris(return_X_y=True)
    weights = np.where(y == 0, 1e-300, 1.0)
    before = weights.copy()

    SoftmaxRegression().fit(X, y, weights)

    assert_bit_equal(before, weights)


# --- errors -----------------------------------------------------------------------------------------------------------

X3 = np.array([[0.0], [1.0], [2.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: SoftmaxRegression().fit(X3, ["a", "a", "a"]),
            'SoftmaxRegression: `y` must hold at least two classes; got one class, "a"',
        ),
        (
            lambda: SoftmaxRegression().fit(X3, [0, 1, 1], [0.0, 0.0, 0.0]),
            "Sample weights must contain at least one non-zero number.",
        ),
        (
            lambda: SoftmaxRegression().fit(X3, [0, 1, 1], [1.0, -1.0, 1.0]),
            "Negative values in data passed to `sample_weight`",
        ),
        (
            lambda: SoftmaxRegression(class_weight={"zebra": 2.0}).fit(X3, [0, 1, 1]),
            'SoftmaxRegression: `class_weight` names "zebra", which is no class of `y`',
        ),
        (
            lambda: SoftmaxRegression(class_weight={0: np.nan}).fit(X3, [0, 1, 1]),
            "SoftmaxRegression: `class_weight` must hold finite numbers that are not negative",
        ),
        (
            lambda: SoftmaxRegression(class_weight={0: 0.0, 1: 0.0}).fit(X3, [0, 1, 1]),
            "SoftmaxRegression: `class_weight` and the sample weights leave no row any weight",
        ),
        (
            lambda: SoftmaxRegression(class_weight={0: 1e308}).fit(X3, [0, 1, 1], [1e10, 1.0, 1.0]),
            "SoftmaxRegression: `class_weight` times the sample weights must stay finite",
        ),
        (
            lambda: SoftmaxRegression(C=0).fit(X3, [0, 1, 1]),
            "The 'C' parameter of SoftmaxRegression must be a float in the range (0.0, inf]. Got 0 instead.",
        ),
        (
            lambda: SoftmaxRegression(class_weight="even").fit(X3, [0, 1, 1]),
            "The 'class_weight' parameter of SoftmaxRegression must be",
        ),
        (lambda: SoftmaxRegression().fit([[0.0], [np.nan], [1.0]], [0, 1, 1]), "Input X contains NaN"),
        (lambda: SoftmaxRegression().fit(X3, [0.5, 1.25, 2.0]), "Unknown label type: continuous"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_labels_of_two_types_are_refused():
    message = "SoftmaxRegression: `y` must hold labels of one type; got several"

    with pytest.raises(TypeError, match=re.escape(message)):
        SoftmaxRegression().fit(X3, np.array(["a", 1, "b"], dtype=object))


REFUSED = {
    "penalty": "The penalty follows from numbers: C=numpy.inf for none, l1_ratio=0 for L2, l1_ratio=1 for L1",
    "solver": "Leave it out: the solver is chosen by the size of the problem, and solver_ says which",
    "dual": "Leave it out: the answer is the same, and gap_ bounds its distance from the optimum",
    "intercept_scaling": "Leave it out: the intercept is not penalised",
    "multi_class": "Leave it out: the loss is that of the softmax; for one model a class there is"
    " sklearn.multiclass.OneVsRestClassifier",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(
    "call", [lambda **given: SoftmaxRegression(**given), lambda **given: SoftmaxRegression().set_params(**given)]
)
def test_parameters_that_only_scikit_learn_has_are_refused(call, name):
    message = f"[SC143] SoftmaxRegression: `{name}` is no parameter here. {REFUSED[name]}"

    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$") as caught:
        call(**{name: None})

    assert isinstance(caught.value, TypeError)


def test_an_unknown_parameter_is_pythons_own_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'zebra'"):
        SoftmaxRegression(zebra=1)


def test_verbose_prints_a_line_an_iteration(capsys):
    X, y = load_iris(return_X_y=True)

    model = SoftmaxRegression(verbose=1).fit(X, y)
    lines = capsys.readouterr().err.splitlines()

    assert len(lines) == model.n_iter_[0]
    assert re.fullmatch(
        r"SoftmaxRegression: iteration 1, objective [\d.]+ nats a row, largest derivative [\d.e-]+", lines[0]
    )


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_number_of_threads_changes_no_bit(n_jobs):
    X, y = load_iris(return_X_y=True)

    assert_bit_equal(SoftmaxRegression().fit(X, y).coef_, SoftmaxRegression(n_jobs=n_jobs).fit(X, y).coef_)


def test_history_ends_where_the_fit_ended():
    X, y = load_iris(return_X_y=True)

    model = SoftmaxRegression().fit(X, y)

    assert len(model.history_) == model.n_iter_[0]
    assert model.history_[-1][:2] == (model.n_passes_, model.objective_)


def test_warm_start_matches_classes_by_label():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression(warm_start=True, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    names = np.array([0, 1, 7])[y]  # the last class is new
    expected = SoftmaxRegression().fit(X, names)

    model.set_params(max_iter=1000).fit(X, names)

    assert_close(expected.coef_, model.coef_, rtol=0, atol=1e-10)


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
def test_l1_is_scikit_learns_objective(l1_ratio):
    X, y = load_iris(return_X_y=True)

    model = SoftmaxRegression(C=0.1, l1_ratio=l1_ratio).fit(X, y)
    logs = model.predict_log_proba(X)[np.arange(150), y]
    sizes, squares = np.abs(model.coef_).sum(), (model.coef_**2).sum()

    expected = -logs.mean() + (l1_ratio * sizes + (1 - l1_ratio) / 2 * squares) / (0.1 * 150)
    assert model.objective_ == pytest.approx(expected, rel=1e-12)
    assert (model.solver_, model.gap_kind_) == ("proximal", "duality")
    assert model.gap_ < 1e-4 * model.objective_
