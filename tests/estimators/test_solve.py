"""Every way to the optimum ends at the same place."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import make_classification

from asserts import assert_bit_equal, assert_close
from softclass.estimators import lbfgs, parallel, scaling, solve
from softclass.estimators.softmax_regression import SoftmaxRegression


def never_newton(patch):
    patch.setattr(solve, "NEWTON_ALWAYS", 0)
    patch.setattr(solve, "NEWTON_MOST", 0)


def full(patch):
    patch.setattr(solve, "NEWTON_ALWAYS", 0)
    patch.setattr(solve, "NEWTON_WORK", 0)
    patch.setattr(solve, "_is_far", lambda loss: True)


def patient(patch):
    patch.setattr(solve, "NEWTON_ALWAYS", 0)
    patch.setattr(solve, "NEWTON_WORK", 0)


def kronecker(patch):
    never_newton(patch)
    patch.setattr(solve, "BLOCK_NUMBERS", 0)


def diagonal(patch):
    never_newton(patch)
    patch.setattr(solve, "GRAM_COLUMNS", 0)


def staged(patch):
    never_newton(patch)
    patch.setattr(solve, "STAGE_ROWS", 1)
    patch.setattr(solve, "STAGE_GAIN", 1)


def sampled(patch):
    never_newton(patch)
    patch.setattr(lbfgs, "SLOW_WINDOW", 1)  # blocks give up at once


WAYS = {
    "full": full,
    "patient": patient,
    "blocks": never_newton,
    "kronecker": kronecker,
    "diagonal": diagonal,
    "staged": staged,
    "sampled": sampled,
}


def problem(name):
    n_classes = 2 if name == "two" else 4
    shares = [0.94, 0.02, 0.02, 0.02] if name == "rare" else None
    X, y = make_classification(
        400, 12, n_informative=6, n_classes=n_classes, flip_y=0.1, random_state=3, weights=shares
    )
    if name == "outliers":
        X[::50] *= 30
    if name == "units":
        X *= np.logspace(-6, 6, 12)
    return X, y


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["two", "four", "rare", "outliers", "units"])
@pytest.mark.parametrize("intercept", [True, False])
def test_every_solver_reaches_newtons_optimum(way, name, intercept, monkeypatch):
    X, y = problem(name)
    expected = SoftmaxRegression(fit_intercept=intercept).fit(X, y)
    WAYS[way](monkeypatch)

    model = SoftmaxRegression(fit_intercept=intercept).fit(X, y)

    assert model.converged_
    assert model.objective_ == pytest.approx(expected.objective_, rel=1e-9)


def test_blocks_that_get_nowhere_leave_it_to_whole_hessians_of_samples(monkeypatch):
    X, y = problem("four")
    sampled(monkeypatch)

    model = SoftmaxRegression().fit(X, y)

    assert model.solver_ == "lbfgs-block, lbfgs-full"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tol", [1e-2, 1e-4])
@pytest.mark.parametrize("C", [1e-3, 1.0, 1e3])
def test_converged_means_within_the_tolerance(way, tol, C, monkeypatch):
    X, y = problem("outliers")
    best = SoftmaxRegression(C=C).fit(X, y).objective_
    WAYS[way](monkeypatch)
    monkeypatch.setattr(solve, "POLISH_WORK", 0)

    model = SoftmaxRegression(C=C, tol=tol).fit(X, y)

    assert model.converged_
    assert -1e-12 * best <= model.objective_ - best <= tol * best


@pytest.mark.parametrize("way", WAYS)
def test_past_deadline_keeps_the_best_so_far(way, monkeypatch):
    X, y = problem("four")
    WAYS[way](monkeypatch)
    heard = []

    over = time.monotonic() - 1
    model = SoftmaxRegression().fit_watched(X, y, deadline=over, progress=lambda *facts: heard.append(facts))

    assert not model.converged_
    assert model.objective_ < np.log(4)
    assert heard[-1][:2] == (1, model.objective_)


@pytest.mark.parametrize("way", WAYS)
def test_single_precision_rows_reach_the_optimum(way, monkeypatch):
    X, y = problem("four")
    best = SoftmaxRegression().fit(X, y).objective_
    WAYS[way](monkeypatch)
    monkeypatch.setattr(scaling, "DOUBLE_COPY_BYTES", 0)

    model = SoftmaxRegression().fit(X, y)

    assert model.converged_
    assert model.objective_ == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("intercept", [True, False])
def test_span_of_the_rows_is_enough(n_classes, intercept, monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 80)) * rng.uniform(0.1, 10, 80) + 3, np.arange(30) % n_classes
    weights = rng.uniform(0.5, 2, 30)
    expected = SoftmaxRegression(fit_intercept=intercept).fit(X, y, weights)
    monkeypatch.setattr(solve, "NEWTON_MOST", 50)

    model = SoftmaxRegression(fit_intercept=intercept).fit(X, y, weights)

    assert_close(expected.coef_, model.coef_, rtol=0, atol=1e-8)
    assert_close(expected.intercept_, model.intercept_, rtol=0, atol=1e-7)
    assert model.objective_ == pytest.approx(expected.objective_, rel=1e-11)


def test_span_of_the_rows_takes_a_warm_start(monkeypatch):
    monkeypatch.setattr(solve, "NEWTON_MOST", 50)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 80)), np.arange(30) % 3
    model = SoftmaxRegression(warm_start=True).fit(X, y)
    cold = model.n_iter_[0]

    model.fit(X, y)

    assert model.n_iter_[0] < cold / 2


def test_separated_rows_without_penalty_get_the_shortest_weights_there():
    X, y = np.random.default_rng(0).standard_normal((10, 40)), np.arange(10) % 2
    model = SoftmaxRegression(C=np.inf)

    with pytest.warns(UserWarning, match="SC846"):
        model.fit(X, y)
    centred = X - X.mean(axis=0)
    inside = model.coef_ @ np.linalg.pinv(centred) @ centred

    assert_close(inside, model.coef_, rtol=0, atol=1e-9)


def test_number_of_threads_changes_no_bit(monkeypatch):
    X, y = problem("four")
    monkeypatch.setattr(scaling, "BLOCK_BYTES", 4096)
    never_newton(monkeypatch)
    several = SoftmaxRegression().fit(X, y)

    with parallel._controller().limit(limits=1):
        one = SoftmaxRegression().fit(X, y)

    assert_bit_equal(one.coef_, several.coef_)


def test_wide_sparse_data_of_many_classes(monkeypatch):
    monkeypatch.setattr(solve, "DENSE_NUMBERS", 0)
    rng = np.random.default_rng(0)
    X = sparse.random(150, 200, density=0.05, random_state=rng, format="csr")
    y = np.arange(150) % 15

    sparse_model, dense_model = SoftmaxRegression(C=10).fit(X, y), SoftmaxRegression(C=10).fit(X.toarray(), y)

    assert sparse_model.objective_ == pytest.approx(dense_model.objective_, rel=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("table", "target", "rows", "objective"),
    [
        ("letter/letter.csv", "lettr", 16_000, 0.825503552448),
        ("dry_bean/dry_bean.csv", "Class", None, 0.222418521736),
        pytest.param("shuttle/shuttle.csv", "Class", None, 0.107358571022, marks=pytest.mark.slow),
    ],
)
def test_raw_tables_reach_their_known_optimum(table, target, rows, objective, shared_data):
    frame = pd.read_csv(shared_data / table).iloc[:rows]
    X, y = frame.drop(columns=target).to_numpy(np.float64), frame[target].to_numpy()

    model = SoftmaxRegression(tol=1e-9).fit(X, y)

    assert model.objective_ == pytest.approx(objective, rel=1e-9)


@pytest.mark.shared
def test_letter_has_its_published_scores(shared_data):
    frame = pd.read_csv(shared_data / "letter/letter.csv")
    X, y = frame.drop(columns="lettr").to_numpy(np.float64), frame["lettr"].to_numpy()
    X = (X - X[:16_000].mean(axis=0)) / X[:16_000].std(axis=0)

    model = SoftmaxRegression().fit(X[:16_000], y[:16_000])
    logs = model.predict_log_proba(X[16_000:])[np.arange(4000), np.searchsorted(model.classes_, y[16_000:])]

    assert model.score(X[16_000:], y[16_000:]) == pytest.approx(0.7720, abs=2e-3)  # its lbfgs stops 7e-5 short
    assert -logs.mean() == pytest.approx(0.8755, abs=1e-3)
