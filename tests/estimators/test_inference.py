"""Standard errors, tests and odds ratios against published numbers, closed forms, simulation and the bootstrap."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_iris

from asserts import assert_close
from softclass.errors import InputError, OptionError
from softclass.estimators.inference import PENALISED
from softclass.estimators.softmax_regression import SoftmaxRegression

GOLDEN = Path(__file__).parents[1] / "golden"


def drawn(rows=400, seed=1):
    """Return the rows whose answer is published: counts 117, 175, 108."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((rows, 3))
    weight = np.array([[0, 0, 0], [1, -0.5, 0.3], [-0.7, 0.2, 0.9]])
    y = np.argmax(Z @ weight.T + [0, 0.3, -0.2] + rng.gumbel(size=(rows, 3)), axis=1)
    return Z, y


def table(summary, names=("coefficient", "standard_error")):
    return np.array([[getattr(row, name) for name in names] for row in summary.coefficients], dtype=float)


def quiet_fit(X, y, weights=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SoftmaxRegression(C=np.inf, **options).fit(X, y, weights)


# --- published ------------------------------------------------------------------------------------------------------


def test_standard_errors_are_the_published_ones():
    X, y = drawn()
    expected = [  # slopes, then the constant, of class 1 and of class 2
        (1.061586875825, 0.168892430201),
        (-0.312062823758, 0.137270519996),
        (0.323869874544, 0.142504985729),
        (0.307226382082, 0.148481758793),
        (-0.776755174621, 0.183444257771),
        (0.424466215395, 0.160506438322),
        (1.129693685900, 0.176059667972),
        (-0.290561102573, 0.175003203693),
    ]

    summary = SoftmaxRegression(C=np.inf).fit(X, y).summary()

    assert np.bincount(y).tolist() == [117, 175, 108]
    assert_close(expected, table(summary), rtol=0, atol=2e-12)  # twelve digits are printed
    assert summary.log_likelihood == pytest.approx(-334.313192503355, abs=1e-11)


def test_sum_to_zero_coefficients_are_the_published_ones():
    X, y = drawn()
    expected = [
        (-0.094943900402, 0.095372741456),
        (-0.037467797212, 0.082481785522),
        (-0.484521186815, 0.089924751875),
        (-0.005555093170, 0.093150496221),
    ]

    summary = SoftmaxRegression(C=np.inf).fit(X, y).summary(reference="symmetric")

    assert_close(expected, table(summary)[:4], rtol=0, atol=2e-12)


def test_two_by_three_table_has_its_closed_form():
    counts = np.array([[30, 20, 10], [12, 25, 33]])
    X, y = np.repeat([[0.0], [1.0]], 3, axis=0), np.tile([0, 1, 2], 2)

    summary = SoftmaxRegression(C=np.inf).fit(X, y, counts.ravel()).summary()
    found = table(summary).reshape(2, 2, 2)  # class, (slope, constant), (estimate, error)

    intercepts = np.log(counts[0, 1:] / counts[0, 0])
    slopes = np.log(counts[1, 1:] / counts[1, 0]) - intercepts
    assert_close(np.stack([slopes, intercepts], axis=1), found[..., 0], rtol=0, atol=1e-12)
    errors = np.sqrt([[(1 / counts[:, [0, k]]).sum(), (1 / counts[0, [0, k]]).sum()] for k in (1, 2)])
    assert_close(errors, found[..., 1], rtol=1e-11, atol=0)


@pytest.mark.parametrize("name", ["drawn", "weighted", "two_classes", "offsets"])
def test_fixtures_of_statsmodels_are_met(name):
    case = json.loads((GOLDEN / "multinom.json").read_text())["cases"][name]

    model = SoftmaxRegression(C=np.inf).fit(case["X"], case["y"])
    summary = model.summary()

    assert_close(case["coefficients"], table(summary)[:, 0], rtol=1e-8, atol=1e-9)
    assert_close(case["standard_errors"], table(summary)[:, 1], rtol=1e-8, atol=0)
    assert_close(case["p_values"], table(summary, ["p_value"])[:, 0], rtol=1e-7, atol=1e-300)
    assert summary.log_likelihood == pytest.approx(case["log_likelihood"], rel=1e-11)
    assert summary.null_log_likelihood == pytest.approx(case["null_log_likelihood"], rel=1e-9)  # its BFGS
    assert summary.aic == pytest.approx(case["aic"], rel=1e-11)
    assert summary.bic == pytest.approx(case["bic"], rel=1e-11)


# --- relations ------------------------------------------------------------------------------------------------------


def test_weights_count_as_frequencies():
    X, y = drawn()
    weights = np.random.default_rng(0).integers(1, 4, 400)

    once = SoftmaxRegression(C=np.inf).fit(X, y, weights).summary()
    repeated = SoftmaxRegression(C=np.inf).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights)).summary()

    assert_close(table(repeated), table(once), rtol=0, atol=1e-11)
    assert once.bic == pytest.approx(repeated.bic, rel=1e-12)


@pytest.mark.parametrize("reference", [0, 1, 2, "symmetric"])
def test_references_are_contrasts_of_one_covariance(reference):
    X, y = drawn()
    model = SoftmaxRegression(C=np.inf).fit(X, y)

    summary = model.summary(reference=reference)
    difference = {row.label: row for row in summary.coefficients if row.column == "x1"}

    if reference == "symmetric":
        assert sum(row.coefficient for row in difference.values()) == pytest.approx(0, abs=1e-12)
    else:
        expected = model.coef_[:, 1] - model.coef_[reference, 1]
        assert {k: row.coefficient for k, row in difference.items()} == pytest.approx(
            {str(k): expected[k] for k in range(3) if k != reference}
        )
    assert [test.statistic for test in summary.column_tests] == pytest.approx(
        [test.statistic for test in model.summary().column_tests], rel=1e-9
    )


def test_units_scale_the_errors():
    X, y = drawn()
    scale = np.array([1e6, 1e-6, 1.0])

    plain = table(SoftmaxRegression(C=np.inf).fit(X, y).summary())
    changed = table(SoftmaxRegression(C=np.inf).fit(X * scale + [0, 0, 50], y).summary())

    slopes = [0, 1, 2, 4, 5, 6]
    assert_close(plain[slopes] / np.tile(scale, 2)[:, None], changed[slopes], rtol=1e-8, atol=0)


def test_two_classes_are_the_contrast_of_one_row():
    X, y = drawn()
    y = np.minimum(y, 1)
    model = SoftmaxRegression(C=np.inf).fit(X, y)
    probabilities = model.predict_proba(X)[:, 1]
    extended = np.c_[X, np.ones(400)]
    information = (extended.T * (probabilities * (1 - probabilities))) @ extended

    found = table(model.summary())
    halves = table(model.summary(reference="symmetric"))

    assert_close(np.sqrt(np.linalg.inv(information).diagonal()), found[:, 1], rtol=1e-11, atol=0)
    assert_close(np.r_[model.coef_[0], model.intercept_], found[:, 0], rtol=1e-12, atol=0)
    assert_close(found / 2, halves[4:] * [1, 1], rtol=1e-12, atol=0)


def robust_by_hand(model, X, y, clusters=None):
    """Return the sandwich of two classes, in the columns as they are."""
    extended = np.c_[X, np.ones(len(X))]
    probabilities = model.predict_proba(X)[:, 1]
    bread = np.linalg.inv((extended.T * (probabilities * (1 - probabilities))) @ extended)
    scores = extended * (probabilities - y)[:, None]
    if clusters is not None:
        scores = pd.DataFrame(scores).groupby(clusters).sum().to_numpy()
        scores = scores * np.sqrt(len(scores) / (len(scores) - 1))
    return np.sqrt((bread @ scores.T @ scores @ bread).diagonal())


@pytest.mark.parametrize("clusters", [None, np.random.default_rng(3).integers(0, 40, 400)], ids=["rows", "clusters"])
def test_robust_errors_are_the_sandwich(clusters, monkeypatch):
    monkeypatch.setattr("softclass.estimators.inference.BLOCK_BYTES", 2000)  # clusters go across blocks
    X, y = drawn()
    y = np.minimum(y, 1)
    model = SoftmaxRegression(C=np.inf).fit(X, y)

    summary = model.summary(X, y, covariance="robust", clusters=clusters)

    assert_close(robust_by_hand(model, X, y, clusters), table(summary)[:, 1], rtol=1e-10, atol=0)


def test_every_row_a_cluster_is_robust_times_a_factor():
    X, y = drawn()
    model = SoftmaxRegression(C=np.inf).fit(X, y)

    rows = table(model.summary(X, y, covariance="robust"))[:, 1]
    clusters = table(model.summary(X, y, clusters=[f"id{i}" for i in range(400)]))[:, 1]

    assert_close(rows * np.sqrt(400 / 399), clusters, rtol=1e-12, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["fisher", "robust"])
def test_intervals_cover_what_they_say(covariance):
    truth, hits, n = np.array([[1, -0.5, 0.3], [-0.7, 0.2, 0.9]]), 0, 2000
    for seed in range(n):
        X, y = drawn(seed=seed + 10)
        model = SoftmaxRegression(C=np.inf).fit(X, y)
        row = model.summary(X, y, covariance=covariance).coefficients[0]
        hits += row.low <= truth[0, 0] <= row.high

    assert abs(hits - 0.95 * n) < 4 * np.sqrt(
        n * 0.95 * 0.05
    )  # false alarm 6e-5, and 400 rows are nearly infinitely many


def test_likelihood_ratio_and_p_values_follow_their_laws():
    X, y = drawn()
    summary = SoftmaxRegression(C=np.inf).fit(X, y).summary(coverage=0.9)
    row, test = summary.coefficients[0], summary.column_tests[0]

    assert row.p_value == pytest.approx(2 * stats.norm.sf(abs(row.z)), rel=1e-12)
    assert (row.high - row.low) / 2 == pytest.approx(stats.norm.isf(0.05) * row.standard_error, rel=1e-12)
    assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, 2), rel=1e-12)
    assert summary.likelihood_ratio == pytest.approx(2 * (summary.log_likelihood - summary.null_log_likelihood))
    assert row.odds == pytest.approx(tuple(np.exp([row.coefficient, row.low, row.high])))


def test_p_values_below_the_range_of_floats_are_printed():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60_000, 1))
    y = (X[:, 0] + 0.7 * rng.logistic(size=60_000) > 0).astype(int)

    summary = SoftmaxRegression(C=np.inf).fit(X, y).summary()

    assert summary.coefficients[0].p_value == 0.0
    assert re.search(r"\de-\d{4}", str(summary))


# --- blanks ---------------------------------------------------------------------------------------------------------


def test_a_penalty_leaves_coefficients_and_says_why():
    X, y = drawn()
    summary = SoftmaxRegression().fit(X, y).summary()

    assert {row.reason for row in summary.coefficients} == {PENALISED}
    assert all(row.standard_error is None and row.odds[0] > 0 for row in summary.coefficients)
    assert str(summary).endswith("note: standard errors need C=inf: a penalty biases the coefficients")


def test_an_infinite_coefficient_is_blank_and_the_others_are_not():
    X, y = drawn()
    dummy = ((np.arange(400) % 4 == 0) & (y != 2)).astype(float)
    model = quiet_fit(np.c_[X, dummy], y)

    rows = {(row.label, row.column): row for row in model.summary().coefficients}

    assert (rows["2", "x3"].coefficient, rows["2", "x3"].standard_error) == (-np.inf, None)
    assert rows["2", "x3"].reason == "infinite: the classes are separated"
    finite = [row for key, row in rows.items() if key != ("2", "x3")]
    assert all(row.reason == "" and row.standard_error < 1 for row in finite)


def test_finite_coefficients_beside_an_infinite_one_have_the_errors_of_the_limit():
    X, y = drawn()
    dummy = ((np.arange(400) % 4 == 0) & (y != 2)).astype(float)
    free = quiet_fit(np.c_[X, dummy], y)
    strong = np.zeros((3, 4))
    strong[2, 3] = -40.0  # what the likelihood tends to

    logits = np.c_[X, dummy] @ np.where(strong != 0, strong, free.coef_).T + free.intercept_
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    extended = np.c_[X, dummy, np.ones(400)]
    pairs = np.einsum("ik,kl->ikl", p, np.eye(3)) - np.einsum("ik,il->ikl", p, p)
    information = np.einsum("ikl,ia,ib->kalb", pairs, extended, extended)[1:, :, 1:].reshape(10, 10)
    kept = [i for i in range(10) if i != 8]  # class 2, x3
    errors = np.sqrt(np.linalg.inv(information[np.ix_(kept, kept)]).diagonal())

    found = [row.standard_error for row in free.summary().coefficients if row.standard_error is not None]

    assert_close(errors, np.array(found), rtol=1e-6, atol=0)  # weights of the other classes have not settled wholly


def test_completely_separated_classes_have_no_standard_errors():
    X, y = load_iris(return_X_y=True)
    summary = quiet_fit(X[y < 2], y[y < 2]).summary()

    assert {row.reason for row in summary.coefficients} == {"no finite optimum: the classes are separated completely"}


def test_dependent_columns_are_blank_and_the_others_are_as_without_them():
    X, y = drawn()
    alone = SoftmaxRegression(C=np.inf).fit(X[:, 1:], y).summary()
    summary = quiet_fit(np.c_[X[:, 1:], X[:, 0], 2 * X[:, 0]], y).summary()

    reasons = {row.column: row.reason for row in summary.coefficients}
    without = SoftmaxRegression(C=np.inf).fit(X, y).summary()
    expected = {(r.label, r.column): r.standard_error for r in without.coefficients}

    assert reasons["x2"] == reasons["x3"] == "not estimable: the column is linearly dependent on others"
    assert reasons["x0"] == reasons["x1"] == reasons["(intercept)"] == ""
    found = {(r.label, r.column): r.standard_error for r in summary.coefficients if not r.reason}
    assert found["1", "x0"] == pytest.approx(expected["1", "x1"], rel=1e-9)
    assert found["2", "x1"] == pytest.approx(expected["2", "x2"], rel=1e-9)
    assert found["1", "(intercept)"] == pytest.approx(expected["1", "(intercept)"], rel=1e-9)
    assert summary.rank == 3
    assert alone.rank == 2


def test_constant_columns_and_classes_without_weight_are_blank_with_their_reasons():
    X, y = drawn()
    model = quiet_fit(np.c_[X, np.full(400, 2.0)], y, (y != 1).astype(float))

    rows = model.summary().coefficients

    assert {row.reason for row in rows if row.label == "1"} == {"the class has no weight"}
    assert {row.column: row.reason for row in rows if row.label == "2"} == {
        "x0": "",
        "x1": "",
        "x2": "",
        "x3": "not estimable: the column is constant",
        "(intercept)": "",
    }


# --- forms ----------------------------------------------------------------------------------------------------------


def test_the_forms_hold_the_same_numbers():
    X, y = drawn()
    frame = pd.DataFrame(X, columns=["a", "b", "<c>"])
    summary = SoftmaxRegression(C=np.inf).fit(frame, np.array(["no", "yes", "so & so"])[y]).summary()

    whole = summary.to_dict()
    json.dumps(whole)
    assert summary.to_frame()["standard_error"].tolist() == [row["standard_error"] for row in whole["coefficients"]]
    assert whole["reference"] == "no"
    assert "&lt;c&gt;" in summary._repr_html_()
    assert "so &amp; so" in summary._repr_html_()
    assert str(summary).splitlines()[0].split()[:4] == ["class", "column", "coefficient", "standard_error"]


def test_odds_ratios_beyond_the_range_of_floats_are_printed():
    X, y = drawn()

    text = str(SoftmaxRegression(C=np.inf).fit(X * 1e-4, y).summary())

    assert re.search(r"\de\+\d{4}", text)


# --- information from rows given again ------------------------------------------------------------------------------


def case_of(kind):
    """Return rows, labels and weights of a fit."""
    rng = np.random.default_rng(3)
    X, y = drawn()
    weights = rng.integers(0, 3, len(X)).astype(float)
    if kind == "two classes":
        return X, np.minimum(y, 1), weights
    if kind == "a class without weight":
        return X, y, np.where(y == 1, 0.0, weights)
    if kind == "dependent columns":
        return np.c_[X, X[:, 0] + X[:, 1] + 2.0, np.ones(len(X))], y, weights
    if kind == "quasi-separated":
        return np.c_[X, (np.arange(len(X)) % 5 == 0) & (y != 2)], y, weights
    return X, y, None


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("covariance", ["fisher", "robust"])
@pytest.mark.parametrize(
    "kind", ["plain", "two classes", "a class without weight", "dependent columns", "quasi-separated"]
)
def test_rows_given_again_say_what_a_kept_information_matrix_does(kind, covariance, fit_intercept, monkeypatch):
    X, y, weights = case_of(kind)
    kept = quiet_fit(X, y, weights, fit_intercept=fit_intercept).summary(X, y, weights, covariance=covariance)
    monkeypatch.setattr("softclass.estimators.findings.NEWTON_NUMBERS", 0)
    model = quiet_fit(X, y, weights, fit_intercept=fit_intercept)

    found = model.summary(X, y, weights, covariance=covariance)

    assert_close(table(kept), table(found), rtol=1e-9, atol=1e-11)
    assert [row.reason for row in kept.coefficients] == [row.reason for row in found.coefficients]
    with pytest.raises(InputError, match=r"was not kept, since that takes more than the fit\. Pass the rows"):
        model.summary()


def test_standard_errors_of_more_parameters_than_are_kept_are_those_of_the_inverse_information():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2500, 100))
    y = np.argmax(X[:, :16] + rng.gumbel(scale=2.0, size=(2500, 16)), axis=1)  # 16 x 101 parameters
    model = quiet_fit(X, y)
    p, extended = model.predict_proba(X), np.c_[X, np.ones(2500)]
    information = np.zeros((15, 101, 15, 101))
    for one in range(1, 16):
        for two in range(1, 16):
            share = p[:, one] * ((one == two) - p[:, two])
            information[one - 1, :, two - 1] = (extended * share[:, None]).T @ extended
    expected = np.sqrt(np.linalg.inv(information.reshape(15 * 101, -1)).diagonal())

    summary = model.summary(X, y)

    assert_close(expected, table(summary, ("standard_error",))[:, 0], rtol=1e-8, atol=0)


def test_too_many_parameters_for_standard_errors_are_refused_by_number(monkeypatch):
    monkeypatch.setattr("softclass.estimators.findings.NEWTON_NUMBERS", 0)
    monkeypatch.setattr("softclass.estimators.information.MOST_PARAMETERS", 11)
    X, y = drawn()
    message = (
        "[SC144] SoftmaxRegression.summary: standard errors take at most 11 parameters; the fit has 12. Leave columns"
        " out, or merge classes"
    )

    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        quiet_fit(X, y).summary(X, y)


# --- errors ---------------------------------------------------------------------------------------------------------


def refused(kind):
    X, y = drawn()
    model = SoftmaxRegression(C=np.inf).fit(X, y)
    return {
        "covariance": lambda: model.summary(covariance="hc3"),
        "coverage": lambda: model.summary(coverage=1.0),
        "reference": lambda: model.summary(reference="zebra"),
        "no rows": lambda: model.summary(covariance="robust"),
        "other rows": lambda: model.summary(X[::-1], y, covariance="robust"),
        "partial_fit": lambda: (
            SoftmaxRegression(C=1.0)
            .partial_fit(np.tile(X, (20, 1)), np.tile(y, 20), classes=[0, 1, 2])
            .partial_fit(X, y)
            .summary()
        ),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (
            "covariance",
            OptionError,
            '[SC141] SoftmaxRegression.summary: `covariance` must be "fisher" or "robust"; got \'hc3\'',
        ),
        ("coverage", OptionError, "[SC141] SoftmaxRegression.summary: `coverage` must lie between 0 and 1; got 1"),
        (
            "reference",
            OptionError,
            '[SC141] SoftmaxRegression.summary: `reference` must be a class or "symmetric"; got "zebra"',
        ),
        (
            "no rows",
            InputError,
            '[SC144] SoftmaxRegression.summary: covariance="robust" needs the rows of the fit, which the estimator does'
            ' not keep. Pass them: summary(X, y, covariance="robust")',
        ),
        (
            "partial_fit",
            InputError,
            "[SC144] SoftmaxRegression.summary: partial_fit does not keep the information matrix. Fit all rows at once,"
            " with fit or fit_batches",
        ),
    ],
)
def test_what_cannot_be_summarised_is_refused(kind, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        refused(kind)()


def test_other_rows_than_those_of_the_fit_are_refused():
    pattern = (
        r"\[SC144\] SoftmaxRegression\.summary: the rows must be those of the fit; their log-likelihood is -\d+\.\d+,"
        r" that of the fit -334\.31319"
    )

    with pytest.raises(InputError, match=pattern):
        refused("other rows")()
