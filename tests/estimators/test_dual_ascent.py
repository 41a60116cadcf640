"""Dual coordinate ascent against exact optima, and what a visit of a row has to leave behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from softclass import SoftmaxRegression
from softclass.estimators import dual_ascent, scaling, solve
from softclass.estimators.certificate import duality_gap
from softclass.estimators.line_search import Limits
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import column_moments, scale_features
from softclass.estimators.sparse_gap import sparse_gap
from softclass.estimators.trust_region import newton_cg
from softclass.kernels import cpu

N, D = 400, 60


def text(k: int = 5, rows: int = N, columns: int = D, seed: int = 0) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return rows of unit length with some ten entries, an empty one among them, and classes that they tell apart."""
    rng = np.random.default_rng(seed)
    X = sparse.random(rows, columns, density=10 / columns, random_state=rng, format="csr")
    X.data += 0.2
    y = ((X @ rng.standard_normal((columns, k))) * 2 + rng.gumbel(size=(rows, k))).argmax(axis=1)
    y[:k] = np.arange(k)
    lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    X = sparse.diags(1.0 / np.maximum(lengths, 1e-9)) @ X
    X = X.tolil()
    X[k] = 0.0
    return X.tocsr(), y


def make_loss(
    k: int = 5,
    *,
    C: float = 1.0,
    intercept: bool = True,
    weighted: bool = False,
    dense: bool = False,
    single: bool = True,
    seed: int = 0,
) -> LinearLoss:
    X, y = text(k, seed=seed)
    weights = np.random.default_rng(seed).uniform(0.2, 3.0, N) if weighted else np.ones(N)
    root = 1.0 / np.sqrt(C * weights.sum())
    weights /= weights.sum()
    features = X.toarray() if dense else X
    moments = column_moments(features, weights, centre=intercept)
    scaled = scale_features(features, moments, root_penalty=root, n_classes=k, single=single)
    return LinearLoss(scaled, y.astype(np.int64), weights, k, (root / scaled.scale) ** 2, intercept)


@pytest.fixture
def single(monkeypatch):
    """Let few numbers be enough for float32."""
    monkeypatch.setattr(scaling, "SPARSE_DOUBLE_BYTES", 0)


@pytest.fixture
def is_wide(monkeypatch, single):
    """Let few columns count as many, and no fit as small."""
    for name in ("DENSE_NUMBERS", "NEWTON_ALWAYS", "NEWTON_MOST", "POLISH_WORK"):
        monkeypatch.setattr(solve, name, 0)


def minimum(loss: LinearLoss) -> float:
    exact = newton_cg(loss, loss.start(), Limits(1e-12, polish=True, max_iter=500))
    return exact.value


def order_of(n: int) -> np.ndarray:
    return np.random.default_rng(1).permutation(n).astype(np.int32)


@pytest.mark.parametrize("C", [0.1, 1.0, 30.0, 200.0])
@pytest.mark.parametrize("k", [3, 17, 40])
def test_a_visit_makes_its_row_optimal(C, k):
    state = dual_ascent.cold_state(make_loss(k, C=C))
    state.sweep(order_of(N))
    for row in (3, 11, 70):
        before = state.logarithms[row].astype(np.float64)
        rows, loss = state.loss.sparse_pass.rows, state.loss
        part = slice(rows.row_starts[row], rows.row_starts[row + 1])
        names, x = rows.columns[part], state.values[part].astype(np.float64)
        state.centre += state.stiffness * state.pull  # as the sweep will
        bias = state.centre + state.stiffness * state.pull
        state.centre -= state.stiffness * state.pull
        z = x @ state.weight[names].astype(np.float64) + bias

        state.sweep(np.array([row], dtype=np.int32))

        after, eta = state.logarithms[row].astype(np.float64), state.curvatures[row]
        rest = (after + eta * np.exp(after) - z - eta * np.exp(before))[:k]
        size = np.exp(after[:k])
        assert size.sum() == pytest.approx(1.0, abs=1e-5)
        # log a' + eta a' = z + eta a - mu: what is left of it, as a move of the distribution
        moves = size * (rest - (size @ rest) / size.sum()) / (1.0 + eta * size)
        assert np.abs(moves).sum() < 0.02 * np.abs(np.exp(after) - np.exp(before)).sum() + 1e-4
        assert loss.targets[row] < k


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [2, 5, 20])
def test_weights_and_pull_stay_those_of_the_distributions(k, weighted):
    loss = make_loss(k, weighted=weighted)
    state = dual_ascent.cold_state(loss)
    for seed in range(4):
        state.sweep(np.random.default_rng(seed).permutation(N).astype(np.int32))

    rows = loss.sparse_pass.rows
    X = sparse.csr_matrix((state.values.astype(np.float64), rows.columns, rows.row_starts), shape=(N, D))
    gaps = -np.exp(state.logarithms.astype(np.float64))[:, :k]
    gaps[np.arange(N), loss.targets] += 1.0
    gaps *= loss.weights[:, None]

    assert np.allclose(state.weight[:, :k], X.T @ gaps, atol=2e-6 * np.abs(state.weight).max())
    assert np.allclose(state.pull[:k], gaps.sum(axis=0), atol=1e-8)
    assert not state.weight[:, k:].any()


def test_divergence_is_the_gap_without_intercept():
    loss = make_loss(5, intercept=False)
    state = dual_ascent.cold_state(loss)
    state.sweep(order_of(N))

    value, _ = loss.value_and_gradient(state.theta())
    logits = loss.block_logits(loss.features.blocks[0], state.theta())
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    kept = state.logarithms[:, :5].astype(np.float64)
    divergence = loss.weights @ np.sum(np.exp(kept) * (kept - logs), axis=1)

    assert 0 <= value - minimum(loss) <= divergence + 1e-6
    met, stays = state.sweep(np.zeros(0, np.int32)), state.weight.copy()
    assert met[1] == 0.0
    assert np.array_equal(stays, state.weight)


def test_every_target_gives_the_same_bits():
    found = []
    before = cpu._cpu.target()
    try:
        for target in cpu._cpu.targets():
            cpu._cpu.set_target(target)
            state = dual_ascent.cold_state(make_loss(20, weighted=True))
            ends = [state.sweep(order_of(N)) for _ in range(3)]
            found.append((target, ends, state.weight.copy(), state.logarithms.copy(), state.pull.copy()))
    finally:
        cpu._cpu.set_target(before)

    assert len(found) >= 1
    for _, ends, *arrays in found[1:]:
        assert ends == found[0][1]
        assert all(np.array_equal(one, two) for one, two in zip(arrays, found[0][2:], strict=True))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("C", [1e-4, 1e-2, 1.0, 20.0, 1e3, 1e6])
@pytest.mark.parametrize("k", [2, 5])
def test_fits_are_within_their_gap_of_the_minimum(single, k, C, intercept, weighted):
    loss = make_loss(k, C=C, intercept=intercept, weighted=weighted)
    best = minimum(make_loss(k, C=C, intercept=intercept, weighted=weighted, single=False))
    history: list[tuple[int, float, float]] = []

    found = dual_ascent.dual_ascent(
        loss, loss.start(), Limits(1e-4, polish=False, max_iter=1000, history=history), 0, is_cold=True
    )

    assert found.reason in ("duality", "decrement")
    assert -1e-7 * best <= found.value - best <= 1e-4 * best
    gap = duality_gap(loss, found.theta, found.value, found.gradient)
    assert found.value - best <= gap + 1e-7 * best
    assert history
    if C <= 1.0:
        assert (found.solver, found.reason) == ("dual-ascent", "duality")


@pytest.mark.parametrize("k", [2, 5])
def test_sparse_gap_is_the_gap_of_dense_rows(k):
    loss, dense = make_loss(k, single=False), make_loss(k, dense=True)
    theta = np.asfortranarray(loss.start())
    theta[:, :-1] += 0.3 * np.random.default_rng(0).standard_normal((loss.n_rows, D))
    theta -= theta.mean(axis=0) if loss.n_rows > 1 else 0.0
    value, gradient = loss.value_and_gradient(theta)
    # scales differ by the share of curvature: the same weights in the other's columns
    other = theta.copy()
    other[:, :-1] *= dense.features.scale / loss.features.scale
    whole, slope = dense.value_and_gradient(other)

    assert value == pytest.approx(whole, rel=1e-12)
    exact = sparse_gap(loss, theta, value, gradient)
    assert exact == pytest.approx(duality_gap(dense, other, whole, slope), rel=1e-9)

    loss.sparse_pass.gap_at = None
    coarse = sparse_gap(loss, theta, value, gradient, goal=np.inf)
    assert exact <= coarse < np.inf


@pytest.mark.parametrize("k", [2, 6])
def test_bias_step_finds_the_best_bias(k):
    loss = make_loss(k, weighted=True)
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((N, k))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    mean = loss.weights @ chances
    moved = 0.1 * loss.shares + 0.9 * mean  # near by

    step = dual_ascent.bias_step(chances.astype(np.float32), loss.weights, moved)
    after = chances * np.exp(step)
    after /= after.sum(axis=1, keepdims=True)

    assert np.abs(loss.weights @ after - moved).max() < 1e-6
    assert dual_ascent.bias_step(chances.astype(np.float32), loss.weights, np.eye(k)[0]) is None


@pytest.mark.parametrize("k", [2, 5])
def test_a_warm_start_is_the_end_of_what_was_done(single, k):
    loss = make_loss(k)
    limits = Limits(1e-6, polish=False, max_iter=1000)
    found = dual_ascent.dual_ascent(loss, loss.start(), limits, 0, is_cold=True)
    state = dual_ascent.warm_state(loss, found.theta)

    value, divergence = state.sweep(order_of(N))
    again = dual_ascent.dual_ascent(loss, found.theta, limits, 0, is_cold=False)

    assert value == pytest.approx(found.value, rel=1e-5)
    assert divergence < 1e-5 * value
    assert again.iterations <= 2 < found.iterations
    assert again.value == pytest.approx(found.value, rel=1e-6)


def test_rows_that_are_too_long_are_left_to_newton():
    loss = make_loss(5, C=1e5)

    assert not dual_ascent.suits(loss)
    assert dual_ascent.suits(make_loss(5))
    assert not dual_ascent.suits(replace(make_loss(5), penalty=np.zeros(D)))
    assert not dual_ascent.suits(make_loss(5, dense=True))


def test_the_estimator_takes_it_and_no_bit_depends_on_threads(is_wide):
    X, y = text(6, 3000, 900)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    options = {"tol": 1e-6, "class_weight": "balanced"}

    one, two = (SoftmaxRegression(n_jobs=n, **options).fit(X, y, weights) for n in (1, 2))

    assert one.solver_ == "dual-ascent"
    assert one.gap_kind_ == "duality"
    assert one.converged_
    assert np.array_equal(one.coef_, two.coef_)
    assert np.array_equal(one.intercept_, two.intercept_)
    assert one.gap_ <= 1e-6 * one.objective_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 4])
def test_the_estimator_gives_the_answer_of_small_fits(is_wide, monkeypatch, k, dtype):
    X, y = text(k)

    model = SoftmaxRegression(tol=1e-6).fit(X.astype(dtype), y)
    monkeypatch.undo()
    exact = SoftmaxRegression().fit(X.toarray(), y)

    assert (model.solver_, exact.solver_) == ("dual-ascent", "newton")
    assert np.abs(model.coef_ - exact.coef_).max() < 5e-3
    assert np.abs(model.predict_proba(X) - exact.predict_proba(X)).max() < 2e-3
    assert -1e-7 <= model.objective_ / exact.objective_ - 1 <= 1e-6


def test_a_fit_that_is_cut_short_says_so(is_wide):
    X, y = text(5, 2000, 500)

    with pytest.warns(Warning, match="SoftmaxRegression"):
        model = SoftmaxRegression(tol=1e-9, C=50.0, max_iter=2).fit(X, y)

    assert not model.converged_
    assert model.n_iter_[0] <= 4
