"""Rows kept without what is at rest, and the pass over them, against the same in float64."""

import time

import numpy as np
import pytest

from softclass import SoftmaxRegression
from softclass.estimators import scaling
from softclass.estimators.compact_rows import (
    CompactBlocks,
    CompactPass,
    CompactRows,
    compact_rows,
    first_of_equals,
    places_of_rest,
)
from softclass.estimators.scaling import column_moments, scale_features
from softclass.kernels import _cpu, cpu


@pytest.fixture(params=_cpu.targets())
def target(request):
    before = _cpu.target()
    _cpu.set_target(request.param)
    yield request.param
    _cpu.set_target(before)


def made(n, d, k, seed=0, dtype=np.float64):
    """Rows of which two thirds are at rest, at values of their own in each column; targets; a point; a direction."""
    rng = np.random.default_rng(seed)
    rest = np.where(np.arange(d) % 3 == 0, rng.standard_normal(d).round(2), 0.0).astype(dtype).astype(np.float64)
    features = np.where(rng.random((n, d)) < 0.3, rng.standard_normal((n, d)) + 1.0, rest).astype(dtype)
    mean, factor = rng.standard_normal(d) * 0.3, 0.5 + rng.random(d)
    targets = rng.integers(0, k, n)
    point, direction = ((rng.standard_normal((k, d)) / np.sqrt(d), rng.standard_normal(k)) for _ in range(2))
    return features, targets, rest, mean, factor, point, direction


def kept(features, rest, mean, factor, threads=1):
    return compact_rows(lambda: iter((features,)), len(features), rest, mean, factor, threads)


def test_lengths_are_those_of_the_dense_rows(target):
    features, _, rest, mean, factor, _, _ = made(1003, 37, 3)
    factor[5] = 0.0  # left out
    scaled = (features - mean) * factor
    rows = kept(features, rest, mean, factor)

    np.testing.assert_allclose(rows.squared_lengths(), (scaled**2).sum(axis=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(rows.squared_lengths(1), rows.squared_lengths(2))


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_curvature_by_bias_is_that_of_the_dense_rows(target, is_weighted, monkeypatch):
    monkeypatch.setattr("softclass.estimators.compact_rows.PIECE_ROWS", 400)
    features, targets, rest, mean, factor, point, _ = made(1003, 37, 5)
    weights = np.random.default_rng(1).random(1003) if is_weighted else None
    scaled = (features - mean) * factor
    logits = scaled @ point[0].T + point[1]
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    weighted = chances * (np.ones(1003) if weights is None else weights)[:, None]
    exact = np.diag(weighted.sum(axis=0)) - weighted.T @ chances
    rows = kept(features, rest, mean, factor)

    one, two = (CompactPass(rows, targets, weights, threads).bias_curvature(*point) for threads in (1, 2))

    np.testing.assert_allclose(one, exact, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("n", "d", "k"), [(1, 1, 3), (481, 54, 7), (5000, 33, 16), (1003, 37, 17), (7, 256, 32), (300, 5, 70)]
)
def test_grams_are_those_of_the_dense_rows(target, n, d, k):
    features, _, rest, mean, factor, _, _ = made(n, d, k)
    factor[d // 2] = 0.0  # left out
    shares = np.random.default_rng(2).random((k, n)).astype(np.float32)
    extended = np.concatenate([(features - mean) * factor, np.ones((n, 1))], axis=1)
    exact = np.einsum("kn,ni,nj->kij", shares.astype(np.float64), extended, extended, optimize=True)
    rows = kept(features, rest, mean, factor)

    one, two = (rows.grams(shares, threads) for threads in (1, 2))

    np.testing.assert_allclose(one, exact, rtol=1e-4, atol=1e-5 * n)
    np.testing.assert_array_equal(one, one.transpose(0, 2, 1))
    np.testing.assert_array_equal(one, two)


def truth(scaled, targets, weights, point, direction):
    logits = scaled @ point[0].T + point[1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    chances = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
    residuals = chances.copy()
    residuals[np.arange(len(targets)), targets] -= 1
    tangents = scaled @ direction[0].T + direction[1]
    products = chances * (tangents - (chances * tangents).sum(axis=1, keepdims=True)) * weights[:, None]
    residuals *= weights[:, None]
    others = logits.copy()
    others[np.arange(len(targets)), targets] = -np.inf
    return {
        "loss": losses @ weights,
        "gradient": (residuals.T @ scaled, residuals.sum(axis=0)),
        "product": (products.T @ scaled, products.sum(axis=0)),
        "curvature": 1 - (chances**2).sum(axis=1),
        "margin": (logits[np.arange(len(targets)), targets] - others.max(axis=1)).min(),
    }


@pytest.mark.parametrize(
    ("n", "d", "k", "dtype", "weighed"),
    [
        (1, 1, 3, np.float64, False),
        (47, 5, 7, np.float32, True),
        (48, 54, 16, np.float64, False),
        (481, 130, 17, np.float64, True),
        (1500, 33, 32, np.float32, False),
        (2000, 784, 10, np.float64, True),
    ],
)
def test_the_pass_gives_sums_of_float64(target, n, d, k, dtype, weighed):
    features, targets, rest, mean, factor, point, direction = made(n, d, k, dtype=dtype)
    weights = np.random.default_rng(1).random(n) + 0.5 if weighed else None
    rows = CompactPass(kept(features, rest, mean, factor), targets, weights, 1)
    scaled = (features.astype(np.float64) - mean) * factor
    want = truth(scaled, targets, np.ones(n) if weights is None else weights, point, direction)
    found = rows.loss_and_gradient(*point, with_margin=True)
    np.testing.assert_allclose(found.loss, want["loss"], rtol=1e-6)
    assert found.margin == pytest.approx(want["margin"], abs=1e-4)
    product = rows.hessian_product(*point, *direction)
    for got, right in zip((found.weight, found.bias, *product), (*want["gradient"], *want["product"]), strict=True):
        np.testing.assert_allclose(got, right, atol=1e-6 * max(1.0, np.abs(right).max()))
    np.testing.assert_allclose(rows.curvatures(*point), want["curvature"], atol=2e-6)


@pytest.mark.parametrize(("n", "d", "k"), [(47, 5, 7), (481, 130, 17), (900, 54, 32)])
def test_wide_arithmetic_gives_float64_of_the_numbers_that_are_kept(target, n, d, k):
    features, targets, rest, mean, factor, point, direction = made(n, d, k)
    compact, weights = kept(features, rest, mean, factor), np.random.default_rng(1).random(n) + 0.5
    far = point[0] * 1e4, point[1]  # logits of float32 would be off by a thousandth
    want = truth(compact.widened(0, n), targets, weights, far, direction)
    rows = CompactPass(compact, targets, weights, 1, is_wide=True)
    found = rows.loss_and_gradient(*far, with_margin=True)
    assert found.loss == pytest.approx(want["loss"], rel=1e-11)
    assert found.margin == pytest.approx(want["margin"], rel=1e-9)
    for got, right in zip((found.weight, found.bias), want["gradient"], strict=True):
        np.testing.assert_allclose(got, right, atol=1e-8 * max(1.0, np.abs(right).max()))
    want = truth(compact.widened(0, n), targets, weights, point, direction)
    product = rows.hessian_product(*point, *direction)
    for got, right in zip(product, want["product"], strict=True):
        np.testing.assert_allclose(got, right, atol=1e-12 * max(1.0, np.abs(right).max()))


@pytest.mark.slow  # it compares times, so not on every change
def test_probabilities_that_vanish_do_not_slow_the_pass():
    features, targets, rest, mean, factor, point, _ = made(20_000, 54, 20)
    weights = np.full(20_000, 1 / 20_000)
    compact = kept(features, rest, mean, factor)
    rows = CompactPass(compact, targets, weights, 1)

    def seconds(scale):
        taken = []
        for _ in range(5):
            started = time.process_time()
            rows.loss_and_gradient(point[0] * scale, point[1])
            taken.append(time.process_time() - started)
        return min(taken)

    assert seconds(60.0) < 3 * seconds(1.0)  # with subnormal numbers it was ten times


def test_equal_rows_are_found():
    rng = np.random.default_rng(0)
    features = rng.integers(0, 2, (3000, 9)).astype(np.float64)
    targets = rng.integers(0, 3, 3000)
    rows = kept(features, np.zeros(9), np.zeros(9), np.ones(9))
    first = first_of_equals(rows, targets)
    _, places, inverse = np.unique(np.column_stack([features, targets]), axis=0, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(first, places[inverse.ravel()])


def test_no_bit_depends_on_the_threads(target):
    features, targets, rest, mean, factor, point, direction = made(9000, 40, 6)
    found = []
    for threads in (1, 2, 7):
        rows = kept(features, rest, mean, factor, threads)
        call = CompactPass(rows, targets, None, threads)
        sums = call.loss_and_gradient(*point)
        parts = rows.columns, rows.values, sums.weight, sums.bias, sums.loss, *call.hessian_product(*point, *direction)
        found.append(b"".join(np.asarray(part).tobytes() for part in parts))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_expand_to_what_they_were(dtype):
    features, _, rest, mean, factor, _, _ = made(1003, 37, 3, dtype=dtype)
    factor[5] = 0.0  # a constant column is left out
    rows = kept(features, rest, mean, factor)
    scaled = (features.astype(np.float64) - mean) * factor
    some = np.arange(3, 1003, 7)
    np.testing.assert_allclose(rows.expanded(some), scaled[some], atol=1e-6)
    part = rows.take(some)
    assert isinstance(part, CompactRows)
    np.testing.assert_array_equal(part.expanded(np.arange(len(some))), rows.expanded(some))
    blocks = CompactBlocks(rows, 300)
    assert [len(block) for block in blocks] == [300, 300, 300, 103]
    np.testing.assert_array_equal(np.concatenate(list(blocks)), rows.expanded(np.arange(1003)))
    with pytest.raises(IndexError):
        blocks[4]
    assert not (rows.columns[rows.values != 0] == 5).any()


@pytest.mark.parametrize("n", [5, 30_000])
def test_some_rows_are_those_rows(target, n):
    features, _, rest, mean, factor, _, _ = made(n, 9, 3)
    rows = kept(features, rest, mean, factor)
    some = np.flatnonzero(np.random.default_rng(1).random(n) < 0.9)
    alone = kept(features[some], rest, mean, factor)
    for threads in (1, 2):
        part = rows.take(some, threads)
        assert part.row_starts.tobytes() == alone.row_starts.tobytes()
        assert part.columns.tobytes() == alone.columns.tobytes()
        assert part.values.tobytes() == alone.values.tobytes()


def test_rows_in_blocks_are_the_same():
    features, _, rest, mean, factor, _, _ = made(1003, 37, 3)
    whole = kept(features, rest, mean, factor)
    cut = compact_rows(lambda: iter((features[:400], features[400:])), 1003, rest, mean, factor, 1)
    assert whole.row_starts.tobytes() == cut.row_starts.tobytes()
    assert whole.values.tobytes() == cut.values.tobytes()
    assert whole.columns.tobytes() == cut.columns.tobytes()


def test_columns_rest_at_zero_at_their_middle_or_nowhere():
    rng = np.random.default_rng(0)
    sample = rng.standard_normal((1000, 4))
    sample[:700, 0] = 0.0
    sample[:700, 1] = 5.0
    sample[:700, 3] = 0.0
    sample[700:, 3] = 1e6 + rng.standard_normal(300)  # rest lies within a deviation or two of the mean all the same
    mean, deviation = sample.mean(axis=0), sample.std(axis=0)
    rest, share = places_of_rest(sample, mean, 1 / deviation)
    np.testing.assert_array_equal(rest, [0.0, 5.0, mean[2], 0.0])
    assert share == pytest.approx((0.3 + 0.3 + 1.0 + 0.3) / 4)


def test_a_column_far_from_where_it_rests_is_centred():
    sample = np.zeros((1000, 1))
    sample[150:, 0] = 1e4 + np.arange(850) % 7
    rest, share = places_of_rest(sample, np.array([1e4]), np.array([0.5]))
    assert rest[0] == 1e4
    assert share > 0.8


def test_large_rows_that_rest_are_kept_compact_and_the_fit_is_the_same(monkeypatch):
    rng = np.random.default_rng(3)
    features = np.where(rng.random((6000, 60)) < 0.15, rng.integers(1, 255, (6000, 60)), 0).astype(np.float64)
    features[:, 0] = rng.standard_normal(6000) * 30 + 3000
    weight = rng.standard_normal((4, 60)) / 100
    targets = (features @ weight.T + rng.gumbel(size=(6000, 4)) * 3).argmax(axis=1)
    exact = SoftmaxRegression(tol=1e-8).fit(features, targets)
    monkeypatch.setattr(scaling, "DOUBLE_COPY_BYTES", 0)
    even = np.full(6000, 1 / 6000)
    scaled = scale_features(
        features, column_moments(features, even, centre=True), root_penalty=0.01, n_classes=4, threads=1
    )
    assert isinstance(scaled.blocks, CompactBlocks)
    found = SoftmaxRegression(tol=1e-6).fit(features, targets)
    assert found.objective_ == pytest.approx(exact.objective_, rel=1e-6)
    np.testing.assert_allclose(found.predict_proba(features), exact.predict_proba(features), atol=2e-3)
    again = SoftmaxRegression(tol=1e-6, n_jobs=2).fit(features, targets)
    assert again.coef_.tobytes() == found.coef_.tobytes()


def test_arrays_that_do_not_fit_are_refused():
    features, targets, rest, mean, factor, point, _ = made(10, 4, 3)
    rows = kept(features, rest, mean, factor)
    sums = np.empty(cpu.regression_compact_numbers(4, 3))
    call = (rows.row_starts, rows.columns, rows.values, targets, None, *point, None, None)
    with pytest.raises(ValueError, match="regression_compact_numbers"):
        cpu.regression_compact_pass(*call, sums[1:].copy(), False, None, None)
    with pytest.raises(ValueError, match="either sums"):
        cpu.regression_compact_pass(*call, sums, False, np.empty(10), None)
    with pytest.raises(ValueError, match="R 3 to 32"):
        cpu.regression_compact_pass(*call[:5], point[0][:2], point[1][:2], None, None, sums, False, None, None)
    with pytest.raises(ValueError, match="either counts"):
        cpu.regression_compact_make(features, rest, factor, None, None, None, None)
    arrays = rows.row_starts, rows.columns, rows.values
    with pytest.raises(ValueError, match="shares must be"):
        cpu.regression_compact_grams(*arrays, np.empty((33, 10), np.float32), rows.shift, np.empty((33, 5, 5)))
    with pytest.raises(ValueError, match="sums must be"):
        cpu.regression_compact_grams(*arrays, np.empty((3, 10), np.float32), rows.shift, np.empty((3, 4, 5)))
    with pytest.raises(ValueError, match="row_starts must be"):
        rows.grams(np.empty((3, 9), np.float32))
    out = np.empty((1, 4), np.float32)
    with pytest.raises(ValueError, match="must be there"):
        cpu.regression_compact_expand(*arrays, out[0], np.array([10]), out)
    room = np.empty(4, np.uint16), np.empty(4, np.float32)
    with pytest.raises(ValueError, match="must be there"):
        cpu.regression_compact_take(*arrays, np.array([-1]), np.array([0, 4]), *room)
    with pytest.raises(ValueError, match="what rows hold"):
        cpu.regression_compact_take(*arrays, np.array([0]), np.array([0, rows.row_starts[1] + 4]), *room)
    with pytest.raises(ValueError, match="begin at 0"):
        cpu.regression_compact_take(*arrays, np.array([0]), np.array([4, 4 + rows.row_starts[1]]), *room)
