"""What other solvers fall into, one letter after the other; each was measured on a peer before it became a test."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression

from asserts import assert_bit_equal, assert_close
from softclass.errors import RankWarning, SeparationWarning
from softclass.estimators.softmax_regression import SoftmaxRegression


def mixed(rows=200, columns=5, n_classes=3, seed=2):
    return make_classification(
        rows, columns, n_informative=columns - 1, n_redundant=0, n_classes=n_classes, flip_y=0.3, random_state=seed
    )


def test_a_separable_classes_are_said_and_the_fit_stops():
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    X = rng.standard_normal((300, 3)) + 10 * np.eye(3)[y]
    pattern = (
        r"\[SC846\] SoftmaxRegression: all classes are separated from each other by (\"x\d\"(, )?)+ \(complete: every"
        r" row has margin > [\d.]+ after \d+ passes\), so with C=inf coefficients grow without end\. Set C \(C=1\.0 is"
        r" the default\)\. separation_\.direction holds the separating weights"
    )

    with pytest.warns(SeparationWarning) as caught:
        model = SoftmaxRegression(C=np.inf).fit(X, y)

    assert re.fullmatch(pattern, str(caught[0].message))
    assert np.abs(model.coef_).max() < 100
    assert model.n_iter_[0] < 10


def test_b_a_category_that_never_meets_a_class_is_named_and_blank():
    X, y = mixed()
    X = np.c_[X, (np.arange(200) % 3 == 0) & (y != 1)]
    message = (
        '[SC846] SoftmaxRegression: column "x5" never occurs with class "1" (quasi-complete separation): its'
        " coefficient tends to -inf; summary() leaves it blank. Set C, or merge the category"
    )

    with pytest.warns(SeparationWarning, match=f"^{re.escape(message)}$"):
        model = SoftmaxRegression(C=np.inf).fit(X, y)
    [row] = [row for row in model.summary().coefficients if (row.label, row.column) == ("1", "x5")]

    assert (row.coefficient, row.standard_error) == (-np.inf, None)


def test_c_units_do_not_keep_the_solver_from_the_optimum():
    X, y = make_classification(300, 60, n_informative=20, n_classes=3, random_state=0)
    X[:, 1] += 10000
    X[:, 0] *= 10000

    model = SoftmaxRegression().fit(X, y)

    assert 300 * model.objective_ == pytest.approx(92.915091, abs=5e-7)
    assert model.gap_kind_ in ("duality", "newton")
    assert model.gap_ <= 1e-4 * model.objective_


def test_d_all_categories_of_two_columns_are_dependent():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    X = np.c_[np.eye(4)[rng.integers(0, 4, 400)], np.eye(3)[rng.integers(0, 3, 400)]]

    with pytest.warns(
        RankWarning, match=r"\[SC849\] .* are linearly dependent \(rank 5 of 7\): x\d = 1 - x\d"
    ) as caught:
        model = SoftmaxRegression(C=np.inf).fit(X, y)
    limit = SoftmaxRegression(C=1e9).fit(X, y)

    assert len(caught) == 1
    assert (model.rank_, model.gap_kind_) == (5, "newton")
    assert_close(limit.coef_, model.coef_, rtol=0, atol=1e-5)  # the shortest weights


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_e_single_precision_gets_an_honest_gap(dtype):
    X, y = mixed(2000, 8)
    X = X.astype(np.float32)
    best = SoftmaxRegression(tol=0).fit(X.astype(np.float64), y).objective_

    model = SoftmaxRegression().fit(X.astype(dtype), y)

    assert model.coef_.dtype == np.float64
    assert model.gap_ >= model.objective_ - best >= -1e-9 * best


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e300])
def test_f_values_of_any_size_fit(size):
    X, y = mixed()
    expected = SoftmaxRegression(C=np.inf).fit(X, y)

    model = SoftmaxRegression(C=np.inf).fit(X * [size, 1, 1, 1, 1], y)

    assert model.objective_ == pytest.approx(expected.objective_, rel=1e-12)
    assert model.gap_kind_ == "newton"


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
@pytest.mark.parametrize("options", [{}, {"C": np.inf}, {"l1_ratio": 0.5, "C": 0.1}, {"C": 1e-4}], ids=str)
def test_g_tol_means_one_thing(options, tol):
    X, y = mixed()
    best = SoftmaxRegression(tol=0, **options).fit(X, y).objective_

    model = SoftmaxRegression(tol=tol, **options).fit(X, y)

    assert model.converged_
    assert model.objective_ - best <= tol * best


def test_h_a_class_without_weight_has_probability_zero():
    X, y = mixed()

    model = SoftmaxRegression().fit(X, y, (y != 2).astype(float))

    assert model.intercept_[2] == -np.inf
    assert_bit_equal(np.zeros(200), model.predict_proba(X)[:, 2])


@pytest.mark.parametrize("l1_ratio", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_i_every_combination_of_penalties_is_certified(l1_ratio, n_classes, intercept, weighted):
    X, y = mixed(n_classes=n_classes)
    weights = np.random.default_rng(0).uniform(0.1, 2, 200) if weighted else None
    options = {"C": 0.3, "l1_ratio": l1_ratio, "fit_intercept": intercept}
    saga = LogisticRegression(solver="saga", tol=1e-9, max_iter=20_000, **options).fit(X, y, weights)

    model = SoftmaxRegression(**options).fit(X, y, weights)

    assert model.gap_kind_ == "duality"
    assert_close(saga.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-5)  # saga's own precision


@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda X, y: (np.c_[X, np.full(len(X), 3.0)], y), id="constant"),
        pytest.param(lambda X, y: (np.c_[X, X], y), id="duplicates"),
        pytest.param(lambda X, y: (np.random.default_rng(0).standard_normal((20, 300)), y[:20]), id="more-columns"),
        pytest.param(lambda X, y: (X[:3], np.arange(3)), id="one-row-a-class"),
        pytest.param(lambda X, y: (X[:50], np.arange(50)), id="classes-are-rows"),
        pytest.param(lambda X, y: (np.ones((6, 2)), np.arange(6) % 3), id="all-constant"),
    ],
)
def test_j_degenerate_shapes_are_finite_and_certified(make):
    X, y = make(*mixed())

    model = SoftmaxRegression().fit(X, y)

    assert np.all(np.isfinite(model.coef_))
    assert model.gap_ <= 1e-4 * model.objective_


@pytest.mark.parametrize("size", [1e-300, 1e6, 1e300])
def test_k_weights_of_any_size_are_normalised(size):
    X, y = mixed()
    weights = np.full(200, size)
    weights[:5] = 0.0

    expected = SoftmaxRegression(C=np.inf).fit(X[5:], y[5:])

    assert_close(expected.coef_, SoftmaxRegression(C=np.inf).fit(X, y, weights).coef_, rtol=0, atol=1e-9)


def test_l_a_large_offset_costs_only_its_own_rounding():
    X, y = mixed()
    moved = (X + 1e8) - 1e8  # the numbers that are left of it

    expected = SoftmaxRegression(C=np.inf).fit(moved, y)

    assert_close(expected.coef_, SoftmaxRegression(C=np.inf).fit(moved + 1e8, y).coef_, rtol=0, atol=1e-8)


def read_only(X):
    X.flags.writeable = False
    return X


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda X: X.astype(np.int8), id="int8"),
        pytest.param(lambda X: X.astype(np.uint8), id="uint8"),
        pytest.param(lambda X: X.astype(object), id="object"),
        pytest.param(np.asfortranarray, id="fortran"),
        pytest.param(lambda X: np.repeat(X, 2, axis=1)[:, ::2], id="strided"),
        pytest.param(lambda X: X[::-1][::-1], id="reversed"),
        pytest.param(lambda X: read_only(X.copy()), id="read-only"),
    ],
)
def test_m_any_layout_is_taken_and_left_alone(convert):
    X = np.random.default_rng(0).integers(0, 5, (90, 4)).astype(float)
    y = np.arange(90) % 3
    data = convert(X)
    before = np.array(data, copy=True)

    model = SoftmaxRegression().fit(data, y)

    assert_close(SoftmaxRegression().fit(X, y).coef_, model.coef_, rtol=0, atol=1e-10)
    assert_bit_equal(before, np.array(data))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.eye(2), ["a", "a"], 'SoftmaxRegression: `y` must hold at least two classes; got one class, "a"'),
        (np.eye(2), [np.nan, 1.0], "Input y contains NaN."),
        (np.eye(1), ["a"], 'SoftmaxRegression: `y` must hold at least two classes; got one class, "a"'),
    ],
)
def test_n_labels_that_are_none_are_refused(X, y, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SoftmaxRegression().fit(X, y)


@pytest.mark.slow
def test_n_twenty_thousand_classes_fit():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40_000, 3)), np.arange(40_000) % 20_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn doubts that so many are classes
        model = SoftmaxRegression(tol=1e-3).fit(X, y)

    assert model.converged_
    assert model.objective_ < np.log(20_000)


def coefficients(X, y):
    return SoftmaxRegression().fit(X, y).coef_


def test_o_processes_and_threads_of_others_change_no_bit():
    X, y = mixed()

    threads = Parallel(n_jobs=2, prefer="threads")(delayed(coefficients)(X, y) for _ in range(4))

    for found in threads:
        assert_bit_equal(coefficients(X, y), found)


@pytest.mark.parametrize("C", [1e-3, 1.0, 1e3])
def test_p_the_loss_is_that_of_the_softmax(C):
    X, y = load_iris(return_X_y=True)
    reference = LogisticRegression(C=C, solver="newton-cg", tol=1e-10, max_iter=10_000).fit(X, y)

    assert_close(reference.predict_proba(X), SoftmaxRegression(C=C).fit(X, y).predict_proba(X), rtol=0, atol=1e-6)
