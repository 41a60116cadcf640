"""The edge table of the losses at the kernels, row by row of the table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal
from losses import BF, F2, F4, F8, INF, NAN, call, plain


@pytest.fixture(params=[3, 17, 50], ids=lambda K: f"K={K}")
def K(request: pytest.FixtureRequest) -> int:
    """A number of classes for every kernel: in registers, in a loop, row by row."""
    return int(request.param)


@pytest.fixture(params=[F2, BF, F4, F8], ids=str)
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    """A type of logits."""
    return np.dtype(request.param)


def edge_rows(K: int, dtype: np.dtype, N: int = 37) -> tuple[np.ndarray, np.ndarray]:
    """Return rows for an edge in row 20; targets are class 1."""
    return np.random.default_rng(K).standard_normal((N, K)).astype(dtype), np.ones(N, int)


def one_row(
    K: int, dtype: np.dtype, row: dict[int, float], target: Any = 1, **options: Any
) -> tuple[float, np.ndarray]:
    """Return loss and gradient of row 20 with the logits of `row`, other rows being untouched by it."""
    logits, targets = edge_rows(K, dtype)
    if not isinstance(target, int):
        q = np.zeros((37, K))
        q[:, : len(target)] = target
        targets = q
    else:
        targets[20] = target
    without = call(logits, targets, **options)
    logits = logits.copy()
    for c, value in row.items():
        logits[20, slice(None) if c < 0 else c] = value
    made = call(logits, targets, **options)
    others = np.arange(37) != 20
    assert_bit_equal(without.losses[others], made.losses[others])
    assert_bit_equal(without.gradient[others], made.gradient[others])
    return float(made.losses[20]), made.gradient[20].astype(F8)


GARBAGE = [NAN, INF, -INF, 3e38]


@pytest.mark.parametrize("how", ["ignored", "sample", "class", "soft sample", "soft class"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_row_that_is_not_there_changes_no_bit(K: int, dtype: np.dtype, how: str, smoothing: float) -> None:
    logits, targets = edge_rows(K, dtype)
    gaps = np.array([2, 20, 21, 36])
    options: dict[str, Any] = {"label_smoothing": smoothing}
    if how == "ignored":
        options["ignore_index"], targets[gaps] = -100, -100
    elif how == "class":
        options["class_weight"], targets[gaps] = np.arange(K) * 1.0, 0
    elif "sample" in how:
        options["sample_weight"] = np.where(np.isin(np.arange(37), gaps), 0.0, 1.5)
        targets[gaps] = 10**9
    shares = np.eye(K)[np.clip(targets, 0, K - 1)]
    if how == "soft class":
        options["class_weight"], shares[gaps] = np.arange(K) * 1.0, np.eye(K)[0]
    if how == "soft sample":
        shares[gaps] = NAN
    chosen = shares if "soft" in how else targets
    clean = call(logits, chosen, mean=True, **options)

    for i, garbage in enumerate(GARBAGE):
        with np.errstate(over="ignore"):
            logits[gaps[i]] = np.float64(garbage).astype(dtype)
    made = call(logits, chosen, mean=True, **options)

    assert_bit_equal(clean.losses, made.losses)
    assert_bit_equal(plain(clean.gradient), plain(made.gradient))
    assert_bit_equal(np.zeros(4), made.losses[gaps])
    assert_bit_equal(plain(np.zeros((4, K), dtype)), plain(made.gradient[gaps]))
    assert (made.weight, made.n_bad) == (pytest.approx(33 * {"sample": 1.5, "soft sample": 1.5}.get(how, 1.0)), 0)


def test_nothing_but_rows_that_are_not_there(K: int, dtype: np.dtype) -> None:
    logits = np.full((37, K), NAN, dtype)

    made = call(logits, np.full(37, -1), ignore_index=-1, mean=True)

    assert (made.loss, made.weight, made.n_bad) == (0.0, 0.0, 0)
    assert_bit_equal(np.zeros(37), made.losses)
    assert_bit_equal(plain(np.zeros((37, K), dtype)), plain(made.gradient))


@pytest.mark.parametrize("shape", [(0, 3), (0, 50), (0, 0), (2, 0, 3), (3, 0)])
def test_nothing_at_all(shape: tuple[int, ...]) -> None:
    logits = np.zeros(shape)
    targets = np.zeros(shape[:-1], int)

    made = call(logits, targets)

    assert (made.first_bad, made.n_bad) == ((0, 3) if shape == (3, 0) else (-1, 0))
    assert made.gradient.size == 0


def test_the_logit_of_the_target_is_minus_infinite(K: int, dtype: np.dtype) -> None:
    loss, gradient = one_row(K, dtype, {1: -INF})

    assert loss == INF
    assert gradient[1] == -1.0
    assert np.all(np.isfinite(gradient))


def test_the_logit_of_another_class_is_minus_infinite(K: int, dtype: np.dtype) -> None:
    loss, gradient = one_row(K, dtype, {2: -INF})
    smoothed, slope = one_row(K, dtype, {2: -INF}, label_smoothing=0.1)

    assert math.isfinite(loss)
    assert gradient[2] == 0
    assert smoothed == INF
    assert np.all(np.isfinite(slope))


def test_a_share_of_zero_at_a_logit_of_minus_infinity_counts_nothing(K: int, dtype: np.dtype) -> None:
    loss, gradient = one_row(K, dtype, {-1: -INF, 0: 0.0, 1: 1.0}, target=[0.5, 0.5])

    assert loss == pytest.approx(0.8132617, rel=1e-6)
    assert gradient[:3].tolist() == pytest.approx([-0.2310586, 0.2310586, 0.0], rel=4e-3)


def test_a_class_weight_of_zero_at_a_logit_of_minus_infinity(K: int, dtype: np.dtype) -> None:
    loss, gradient = one_row(K, dtype, {1: -INF}, class_weight=(np.arange(K) != 1) * 1.0)

    assert loss == 0
    assert_bit_equal(np.zeros(K), gradient)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_infinite_logit_takes_all(K: int, dtype: np.dtype, place: int) -> None:
    loss, gradient = one_row(K, dtype, {place: INF, (place + 1) % 3: -INF})

    assert loss == (0.0 if place == 1 else INF)
    assert gradient.tolist() == [(c == place) - (c == 1) for c in range(K)]


def test_one_infinite_logit_and_shares(K: int, dtype: np.dtype) -> None:
    loss, gradient = one_row(K, dtype, {0: INF}, target=[0.75, 0.25])
    alone, flat = one_row(K, dtype, {0: INF}, target=[1.0])

    assert (loss, alone) == (INF, 0.0)
    assert gradient[:3].tolist() == [0.25, -0.25, 0.0]
    assert not np.any(flat)


@pytest.mark.parametrize(
    "row",
    [{-1: -INF}, {0: NAN}, {2: NAN}, {0: INF, 2: INF}, {0: INF, 2: NAN}, {0: NAN, 2: INF}, {-1: NAN}],
    ids=["all -inf", "first", "third", "two +inf", "+inf, NaN", "NaN, +inf", "all NaN"],
)
@pytest.mark.parametrize("target", [1, [0.5, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_row_without_an_answer_is_not_a_number(
    K: int, dtype: np.dtype, row: dict[int, float], target: Any, smoothing: float
) -> None:
    loss, gradient = one_row(K, dtype, row, target, label_smoothing=smoothing)

    assert math.isnan(loss)
    assert np.all(np.isnan(gradient))


@pytest.mark.parametrize("index", [-1, "K", 2**31, 2**32 + 1, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_index_that_is_no_class(K: int, dtype: np.dtype, index: Any, smoothing: float) -> None:
    logits, targets = edge_rows(K, dtype)
    targets[[20, 30]] = K if index == "K" else index
    clean = call(logits, np.ones(37, int), label_smoothing=smoothing)

    made = call(logits, targets, label_smoothing=smoothing)

    others = ~np.isin(np.arange(37), [20, 30])
    assert (made.first_bad, made.n_bad) == (20, 2)
    assert np.all(np.isnan(made.losses[[20, 30]]))
    assert np.all(np.isnan(made.gradient[[20, 30]].astype(F8)))
    assert_bit_equal(clean.losses[others], made.losses[others])
    assert_bit_equal(plain(clean.gradient[others]), plain(made.gradient[others]))


@pytest.mark.parametrize("shares", [[-0.1, 1.1], [NAN, 1.0], [0.4, 0.5], [INF, 0.0], [0.0, 0.0], [1.002]])
@pytest.mark.parametrize("weighted", [False, True])
def test_shares_that_are_no_distribution(K: int, dtype: np.dtype, shares: list[float], weighted: bool) -> None:
    logits, _ = edge_rows(K, dtype)
    q = np.full((37, K), 1 / K)
    clean = call(logits, q)
    for row in (20, 30):
        q[row] = 0
        q[row, : len(shares)] = shares

    made = call(logits, q, sample_weight=np.ones(37) if weighted else None)

    others = ~np.isin(np.arange(37), [20, 30])
    assert (made.first_bad, made.n_bad) == (20, 2)
    assert np.all(np.isnan(made.losses[[20, 30]]))
    assert np.all(np.isnan(made.gradient[[20, 30]].astype(F8)))
    assert_bit_equal(clean.losses[others], made.losses[others])


def test_a_bad_target_of_a_row_that_is_not_there_is_none(K: int) -> None:
    logits, targets = edge_rows(K, F4)
    targets[20] = -7

    made = call(logits, targets, sample_weight=(np.arange(37) != 20) * 1.0)

    assert (made.first_bad, made.n_bad, made.losses[20]) == (-1, 0, 0.0)


@pytest.mark.parametrize("value", [0.0, -3.5, INF])
def test_one_class_costs_nothing(dtype: np.dtype, value: float) -> None:
    made = call(np.full((5, 1), value, dtype), np.zeros(5, int))

    assert_bit_equal(np.zeros(5), made.losses)
    assert_bit_equal(plain(np.zeros((5, 1), dtype)), plain(made.gradient))


@pytest.mark.parametrize("value", [NAN, -INF])
def test_one_class_without_an_answer(dtype: np.dtype, value: float) -> None:
    made = call(np.full((5, 1), value, dtype), np.zeros(5, int))

    assert np.all(np.isnan(made.losses))
    assert np.all(np.isnan(made.gradient.astype(F8)))


@pytest.mark.parametrize("dtype", [F4, F8])
@pytest.mark.parametrize("K", [3, 17, 50])
def test_logits_of_any_size(K: int, dtype: np.dtype) -> None:
    big = float(np.finfo(dtype).max)
    logits = np.full((6, K), -big, dtype)
    logits[0], logits[1, 0], logits[2, 1], logits[3], logits[4, 0], logits[5] = big, big, big, 1e-40, 1e-40, 0
    losses = [math.log(K), INF if dtype == F8 else 2 * big, 0, math.log(K), None, math.log(K)]

    made = call(logits, np.ones(6, int))

    losses[4] = made.losses[4]
    assert made.losses.tolist() == pytest.approx(losses, rel=1e-6)
    assert np.all(np.isfinite(made.gradient))
