"""partial_fit: exact for few rows, near the optimum for many, in constant memory, whatever the order."""

from __future__ import annotations

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from asserts import assert_bit_equal
from softclass.errors import DataWarning
from softclass.estimators import online
from softclass.estimators.softmax_regression import SoftmaxRegression

CLASSES = ["a", "b", "c", "d"]


@pytest.fixture
def holds_little(monkeypatch):
    """Let the quadratic begin after a few hundred rows."""
    monkeypatch.setattr(online, "FEWEST_HELD", 200)
    monkeypatch.setattr(online, "HELD_PER_PARAMETER", 1)


def make(n=4000, columns=6, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, columns)) * np.geomspace(0.1, 100, columns) + 5
    logits = (X - 5) / np.geomspace(0.1, 100, columns) @ rng.standard_normal((columns, classes))
    return X, np.array(CLASSES)[np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)]


def learned(X, y, size, order=None, **options):
    order = np.arange(len(y)) if order is None else order
    model = SoftmaxRegression(**options)
    for first in range(0, len(y), size):
        rows = order[first : first + size]
        model.partial_fit(X[rows], y[rows], classes=CLASSES)
    return model


def log_loss(model, X, y):
    log_probabilities = model.predict_log_proba(X)
    return -log_probabilities[np.arange(len(y)), np.searchsorted(model.classes_, y)].mean()


@pytest.mark.parametrize("sizes", [[500], [100, 1, 399]], ids=["one batch", "three"])
@pytest.mark.parametrize("C", [0.1, np.inf])
def test_few_rows_are_fitted_exactly(sizes, C):
    X, y = make(500)
    whole = SoftmaxRegression(C=C).fit(X, y)

    model = SoftmaxRegression(C=C)
    for part in np.split(np.arange(500), np.cumsum(sizes)[:-1]):
        model.partial_fit(X[part], y[part], classes=CLASSES)

    assert_bit_equal(whole.coef_, model.coef_)
    assert_bit_equal(whole.intercept_, model.intercept_)


def test_a_large_first_batch_is_fitted_exactly(holds_little):
    X, y = make()

    model = SoftmaxRegression().partial_fit(X, y, classes=CLASSES)

    assert_bit_equal(SoftmaxRegression().fit(X, y).coef_, model.coef_)


SHAPES = {"full": {}, "blocks": {"FULL_MOST": 0}, "diagonal": {"FULL_MOST": 0, "BLOCK_NUMBERS": 0}}


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("shape", "worse"), [("full", 1.02), ("blocks", 1.02), ("diagonal", 1.1)])
def test_rows_in_random_order_come_near_the_optimum(holds_little, monkeypatch, shape, worse, classes, intercept):
    for name, value in SHAPES[shape].items():
        monkeypatch.setattr(online, name, value)
    X, y = make(classes=classes)
    names = CLASSES[:classes]
    exact = SoftmaxRegression(fit_intercept=intercept).fit(X, y)

    model = SoftmaxRegression(fit_intercept=intercept)
    for first in range(0, len(y), 250):
        model.partial_fit(X[first : first + 250], y[first : first + 250], classes=names)

    assert log_loss(model, X, y) < worse * log_loss(exact, X, y)


def test_sorted_rows_do_not_ruin_the_model(holds_little):
    X, y = make()
    exact = SoftmaxRegression().fit(X, y)

    model = learned(X, y, 250, np.argsort(y, kind="stable"))

    assert log_loss(model, X, y) < 1.25 * log_loss(exact, X, y)  # a sample of 200 rows


def test_the_quadratic_that_misleads_most_of_the_time_is_told_once(holds_little, monkeypatch):
    monkeypatch.setattr(online, "EXCESS", -np.inf)
    X, y = make(2000)

    with pytest.warns(DataWarning, match=re.escape(online.SORTED)) as caught:
        model = learned(X, y, 200)

    assert len(caught) == 1
    assert model._online.n_refits == model._online.n_calls == 9


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(("is_sorted", "worse"), [(False, 1.01), (True, 1.05)], ids=["random order", "sorted"])
def test_letters_come_near_their_optimum(is_sorted, worse, shared_data):
    frame = pd.read_csv(shared_data / "letter/letter.csv")
    X, y = frame.iloc[:, 1:].to_numpy(float), frame.iloc[:, 0].to_numpy(str)
    order = np.argsort(y[:16_000], kind="stable") if is_sorted else np.arange(16_000)

    model = SoftmaxRegression()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        for rows in np.split(order, 16):
            model.partial_fit(X[rows], y[rows], classes=np.unique(y))

    assert log_loss(model, X[16_000:], y[16_000:]) < worse * 0.8749


def size_of(model):
    return len(pickle.dumps(model))


def test_memory_does_not_grow(holds_little):
    X, y = make(4000)
    model = learned(X[:400], y[:400], 20)
    before = size_of(model)

    for first in range(400, 4000, 20):
        model.partial_fit(X[first : first + 20], y[first : first + 20])

    assert size_of(model) <= before + 64  # counters
    assert model._online.n_seen == 4000


def test_the_sample_is_uniform():
    rows = np.arange(4000.0)[:, None]
    counts = np.zeros(4000)

    for seed in range(40):
        state = online.OnlineState(1, 2, 1.0, True, np.random.default_rng(seed))
        state.most_held = 400
        for part in np.split(rows, [300, 1000, 1001, 2500]):
            state._keep_some(part, np.zeros(len(part), np.int64), np.ones(len(part)))
        counts[state._features[:, 0].astype(int)] += 1

    parts = counts.reshape(8, 500).sum(axis=1)  # 2000 expected, deviation sqrt(2000 * 0.9 * 7/8)
    assert np.abs(parts - 2000).max() < 4 * np.sqrt(2000 * 0.9 * 7 / 8)


@pytest.mark.parametrize("seen", [["a"], ["a", "b"]])
def test_a_class_that_has_not_come_has_probability_zero_and_may_come_later(holds_little, seen):
    X, y = make()
    early = np.isin(y, seen)

    model = learned(X[early], y[early], 150)
    unseen = model.predict_proba(X)[:, len(seen) :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        for part in np.array_split(np.flatnonzero(~early), 8):
            model.partial_fit(X[part], y[part])

    assert not unseen.any()
    assert log_loss(model, X, y) < np.log(4)


def test_weights_count_as_rows():
    X, y = make(300)
    weights = np.arange(300) % 3

    once = SoftmaxRegression().partial_fit(np.repeat(X, weights, 0), np.repeat(y, weights), classes=CLASSES)
    weighed = SoftmaxRegression().partial_fit(X, y, classes=CLASSES, sample_weight=weights)

    np.testing.assert_allclose(weighed.coef_, once.coef_, rtol=1e-7, atol=1e-9)  # two roads to one optimum


def test_estimates_say_that_they_have_no_certificate(holds_little):
    X, y = make()

    model = learned(X, y, 500)

    assert model.gap_ is None
    assert model.gap_kind_ == "none"
    assert not model.converged_
    assert np.isnan(model.objective_)


def test_fit_forgets_and_is_forgotten():
    X, y = make(600)
    first, second = slice(0, 300), slice(300, 600)

    model = SoftmaxRegression().partial_fit(X[first], y[first], classes=CLASSES)
    model.fit(X[first], y[first])
    model.partial_fit(X[second], y[second], classes=CLASSES)

    assert_bit_equal(SoftmaxRegression().fit(X[second], y[second]).coef_, model.coef_)


X1, Y1 = np.eye(3), ["a", "b", "a"]
REFUSED = {
    "no classes": ({}, {}, X1, Y1, ValueError, "the first call needs `classes`, all labels that will come"),
    "l1": ({"l1_ratio": 0.5}, {"classes": CLASSES}, X1, Y1, AttributeError, "has no attribute 'partial_fit'"),
    "balanced": (
        {"class_weight": "balanced"},
        {"classes": CLASSES},
        X1,
        Y1,
        AttributeError,
        "has no attribute 'partial_fit'",
    ),
    "strange label": ({}, {"classes": ["a", "c"]}, X1, Y1, ValueError, '`y` holds "b", which is not among `classes`'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learned_is_refused(name):
    options, call, X, y, kind, words = REFUSED[name]

    with pytest.raises(kind, match=re.escape(words)):
        SoftmaxRegression(**options).partial_fit(X, y, **call)


LATER = {
    "strange label": (X1, ["a", "e", "a"], {}, '`y` holds "e", which is not among `classes`'),
    "other classes": (X1, Y1, {"classes": ["a", "b"]}, "`classes` must be the same in every call"),
    "columns": (X1[:, :2], Y1, {}, "X has 2 features, but SoftmaxRegression is expecting 3"),
}


@pytest.mark.parametrize("name", LATER)
def test_later_calls_must_fit_the_first(name):
    X, y, call, words = LATER[name]
    model = SoftmaxRegression().partial_fit(X1, Y1, classes=CLASSES)

    with pytest.raises(ValueError, match=re.escape(words)):
        model.partial_fit(X, y, **call)


def text(n=3000, columns=2000, seed=0):
    """Return sparse rows of few words out of many, and labels that some words speak for."""
    rng = np.random.default_rng(seed)
    words = np.minimum(rng.zipf(1.4, (n, 15)), columns) - 1
    X = sparse.csr_matrix((np.ones(words.size), (np.repeat(np.arange(n), 15), words.ravel())), (n, columns))
    logits = X @ (3 * rng.standard_normal((columns, 4)) * (np.arange(columns) > 5)[:, None])
    return X, np.array(CLASSES)[np.argmax(logits + rng.gumbel(size=(n, 4)), axis=1)]


def test_few_sparse_rows_are_fitted_exactly():
    X, y = text(600)

    model = learned(X, y, 200)

    whole = SoftmaxRegression().fit(X, y)
    assert_bit_equal(whole.coef_, model.coef_)
    assert_bit_equal(whole.intercept_, model.intercept_)


@pytest.mark.usefixtures("holds_little")
@pytest.mark.parametrize("columns", [40, 2000], ids=["whole", "diagonal"])
def test_sparse_rows_in_random_order_come_near_the_optimum(columns, monkeypatch):
    X, y = text(4000, columns)
    monkeypatch.setattr(online, "HELD_SPARSE", 400)

    model = learned(X[:3000], y[:3000], 200)

    whole = SoftmaxRegression().fit(X[:3000], y[:3000])
    assert model.gap_kind_ == "none"
    assert sparse.issparse(model._online._features)
    assert model._online._features.shape[0] == model._online.most_held < 1000
    assert log_loss(model, X[3000:], y[3000:]) <= 1.1 * log_loss(whole, X[3000:], y[3000:])


@pytest.mark.usefixtures("holds_little")
def test_sparse_and_dense_rows_are_learned_alike():
    X, y = text(1500, 30)

    thin, thick = learned(X, y, 100), learned(X.toarray(), y, 100)

    held, kept = thin._online, thick._online
    assert np.array_equal(held._features.toarray(), kept._features)
    assert np.array_equal(held._weights, kept._weights)
    assert log_loss(thin, X, y) == pytest.approx(log_loss(thick, X, y), rel=2e-3)


def test_sparse_rows_after_dense_ones_are_refused():
    X, y = make(50)
    model = SoftmaxRegression().partial_fit(X, y, classes=CLASSES)

    with pytest.raises(TypeError, match="got sparse and dense"):
        model.partial_fit(sparse.csr_matrix(X), y)
