"""The pass of softmax regression over dense rows, against sums of long doubles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from softclass.estimators.dense_pass import (
    DenseRows,
    column_sums,
    curvatures,
    full_hessian,
    hessian_product,
    loss_and_gradient,
)
from softclass.kernels import _cpu, cpu

Wide = np.longdouble

# (N, D, outputs): ends of vectors, panels, chunks and blocks of logits.
SHAPES = [
    (1, 1, 3),
    (15, 15, 2),
    (16, 16, 3),
    (17, 17, 6),
    (1000, 54, 7),
    (1009, 4, 64),
    (2100, 3, 65),
    (97, 784, 10),
    (130, 1030, 5),
    (60, 20, 300),
    (50, 5, 9000),
    (100, 0, 3),
    (1, 1, 1),
    (49, 7, 1),
    (1500, 54, 1),
    (20, 5000, 1),
    # Long rows of few classes, as they lie: ends of tiles of rows and classes, and of vectors.
    (203, 96, 1),
    (1, 97, 2),
    (50, 131, 16),
    (150, 640, 12),
]


class Case:
    """Rows, coefficients, a direction, and the truth."""

    def __init__(self, shape: tuple[int, int, int], dtype: str, is_weighted: bool, scale: float = 1.0) -> None:
        n, d, self.outputs = shape
        rng = np.random.default_rng(n + d)
        self.classes = 2 if self.outputs == 1 else self.outputs
        features = rng.standard_normal((n, d)).astype(dtype)
        weights = rng.uniform(0.5, 2.0, n) if is_weighted else None
        self.rows = DenseRows((features,), rng.integers(0, self.classes, n), weights, d)
        spread = scale / np.sqrt(max(d, 1))
        self.weight, self.direction = (rng.standard_normal((self.outputs, d)) * spread for _ in range(2))
        self.bias, self.shift = (rng.standard_normal(self.outputs) for _ in range(2))

    def sure(self, numbers: Any) -> Any:
        """Coefficients as the pass reads them: in the precision of the rows."""
        return numbers.astype(self.rows.blocks[0].dtype).astype(Wide)

    def logits(self, weight: Any, bias: Any) -> Any:
        z = self.rows.blocks[0].astype(Wide) @ self.sure(weight).T + self.sure(bias)
        return np.concatenate([np.zeros_like(z), z], axis=1) if self.outputs == 1 else z

    def probabilities(self) -> Any:
        z = self.logits(self.weight, self.bias)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def row_weights(self) -> Any:
        weights = self.rows.weights
        return (np.ones(self.rows.n_rows) if weights is None else weights).astype(Wide)

    def loss(self) -> float:
        z, y = self.logits(self.weight, self.bias), self.rows.targets
        top = z.max(axis=1)
        losses = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - z[np.arange(len(y)), y]
        return float(self.row_weights() @ losses)

    def sums(self, residuals: Any) -> tuple[Any, Any]:
        residuals = residuals * self.row_weights()[:, None]
        residuals = residuals[:, 1:] if self.outputs == 1 else residuals
        found = residuals.T @ self.rows.blocks[0].astype(Wide), residuals.sum(axis=0)
        return tuple(np.asarray(each, dtype=np.float64) for each in found)

    def gradient(self) -> tuple[Any, Any]:
        p = self.probabilities()
        p[np.arange(self.rows.n_rows), self.rows.targets] -= 1
        return self.sums(p)

    def product(self) -> tuple[Any, Any]:
        p, u = self.probabilities(), self.logits(self.direction, self.shift)
        return self.sums(p * (u - (p * u).sum(axis=1, keepdims=True)))


def largest(*parts: Any) -> float:
    return max(float(np.max(np.abs(part), initial=0.0)) for part in parts)


# What is lost: float32 logits move each loss by some 1e-7 either way; float64 a few hundred roundings of 1e-16.
LOSS = {"f4": 1e-6, "f8": 1e-13}
GRADIENT = {"f4": 1e-6, "f8": 1e-13}


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_gradient(shape: tuple[int, int, int], dtype: str, is_weighted: bool) -> None:
    case = Case(shape, dtype, is_weighted)

    found = loss_and_gradient(case.rows, case.weight, case.bias)
    by_weight, by_bias = case.gradient()

    size = largest(by_weight, by_bias)
    assert found.loss == pytest.approx(case.loss(), rel=LOSS[dtype])
    assert_close(by_weight, found.weight, rtol=0, atol=GRADIENT[dtype] * size)
    assert_close(by_bias, found.bias, rtol=0, atol=GRADIENT[dtype] * size)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_hessian_product(shape: tuple[int, int, int], dtype: str, is_weighted: bool) -> None:
    case = Case(shape, dtype, is_weighted)

    found = hessian_product(case.rows, case.weight, case.bias, case.direction, case.shift)
    by_weight, by_bias = case.product()

    size = largest(by_weight, by_bias)
    assert_close(by_weight, found[0], rtol=0, atol=3 * GRADIENT[dtype] * size)
    assert_close(by_bias, found[1], rtol=0, atol=3 * GRADIENT[dtype] * size)


@pytest.mark.parametrize("shape", [(60_000, 54, 7), (20_000, 200, 10), (60_000, 54, 1)])
def test_many_single_precision_rows_are_summed_in_double(shape: tuple[int, int, int]) -> None:
    case = Case(shape, "f4", False)

    found = loss_and_gradient(case.rows, case.weight, case.bias)
    by_weight, by_bias = case.gradient()

    assert found.loss == pytest.approx(case.loss(), rel=1e-9)
    assert_close(by_weight, found.weight, rtol=0, atol=1e-7 * largest(by_weight, by_bias))
    assert_close(by_bias, found.bias, rtol=0, atol=1e-7 * largest(by_weight, by_bias))


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1100, 5, 7), (300, 16, 12), (700, 9, 1), (120, 60, 3), (60, 0, 4)])
def test_full_hessian_times_a_direction_is_the_product(
    shape: tuple[int, int, int], dtype: str, is_weighted: bool
) -> None:
    case = Case(shape, dtype, is_weighted)
    case.weight, case.direction = case.sure(case.weight).astype("f8"), case.sure(case.direction).astype("f8")
    case.bias, case.shift = case.sure(case.bias).astype("f8"), case.sure(case.shift).astype("f8")

    size = (case.outputs, shape[1] + 1)
    hessian = full_hessian(case.rows, case.weight, case.bias).reshape(*size, *size)
    direction = np.concatenate([case.direction, case.shift[:, None]], axis=1)
    found = np.tensordot(hessian, direction, axes=2)
    by_weight, by_bias = case.product()

    expected = np.concatenate([by_weight, by_bias[:, None]], axis=1)
    assert_close(expected, found, rtol=0, atol=1e-13 * largest(hessian) * max(1, shape[1]))
    assert_close(hessian, hessian.transpose(2, 3, 0, 1), rtol=0, atol=1e-15 * largest(hessian))


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("outputs", [1, 4])
def test_full_hessian_with_penalty_and_gauge(outputs: int, with_bias: bool) -> None:
    case, penalty = Case((90, 3, outputs), "f8", True), np.arange(3.0 + with_bias) + 0.5
    size = (outputs, 4)
    plain = full_hessian(case.rows, case.weight, case.bias).reshape(*size, *size)
    expected = 0.25 * plain[:, : 3 + with_bias, :, : 3 + with_bias]
    for row in range(outputs):
        expected[row, :, row] += np.diag(penalty)
        for other in range(outputs):
            expected[row, :, other] += 0.125 * np.eye(3 + with_bias)

    found = full_hessian(
        case.rows, case.weight, case.bias, unit=0.25, penalty=penalty, gauge=0.125, with_bias=with_bias
    )

    assert_close(expected.reshape(found.shape), found, rtol=1e-15, atol=0)


def test_full_hessian_of_a_rare_class_is_sure_to_its_last_digits() -> None:
    case = Case((2000, 4, 3), "f8", False)
    case.bias[2] = -40.0  # its probability is 1e-17 or so: a difference of sums would be rounding alone
    p, x = case.probabilities(), np.concatenate([case.rows.blocks[0], np.ones((2000, 1))], axis=1)
    expected = (x * (p[:, 2] * (p[:, 0] + p[:, 1]))[:, None]).T @ x

    found = full_hessian(case.rows, case.weight, case.bias)[10:, 10:]

    assert_close(np.asarray(expected, dtype="f8"), found, rtol=0, atol=1e-13 * largest(expected))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_curvatures(outputs: int, dtype: str) -> None:
    case = Case((1100, 6, outputs), dtype, False)
    p = case.probabilities()

    found = curvatures(case.rows, case.weight, case.bias)

    assert_close(np.asarray(1 - (p * p).sum(axis=1), dtype="f8"), found, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("outputs", [1, 4])
def test_smallest_margin(outputs: int, dtype: str) -> None:
    case = Case((1100, 6, outputs), dtype, False)
    z, rows = case.logits(case.weight, case.bias), np.arange(1100)
    right = z[rows, case.rows.targets].copy()
    z[rows, case.rows.targets] = -np.inf

    found = loss_and_gradient(case.rows, case.weight, case.bias, with_margin=True)

    assert found.margin == pytest.approx(float((right - z.max(axis=1)).min()), rel=1e-5)


CUTS = [(1,), (1000,), (7, 1008, 20), (2016,), (3000, 1, 1)]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("outputs", [1, 3, 70])
@pytest.mark.parametrize("cut", CUTS)
def test_cuts_of_the_rows_change_no_bit(cut: tuple[int, ...], outputs: int, dtype: str) -> None:
    case = Case((3500, 20, outputs), dtype, True)
    features = case.rows.blocks[0]
    places = np.cumsum(np.tile(cut, 1 if cut != (1,) else 1030))
    whole = loss_and_gradient(case.rows, case.weight, case.bias)

    pieces = tuple(np.split(features, places[places < len(features)]))
    found = loss_and_gradient(replace(case.rows, blocks=pieces), case.weight, case.bias)

    assert found.loss == whole.loss
    assert_bit_equal(whole.weight, found.weight)
    assert_bit_equal(whole.bias, found.bias)


@pytest.mark.parametrize("outputs", [1, 6])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_no_bit(threads: int, outputs: int) -> None:
    case = Case((30_000, 30, outputs), "f4", True)
    rows = replace(case.rows, threads=threads)

    expected, found = (loss_and_gradient(each, case.weight, case.bias) for each in (case.rows, rows))

    assert_bit_equal(np.append(expected.weight, expected.loss), np.append(found.weight, found.loss))
    assert_bit_equal(full_hessian(case.rows, case.weight, case.bias), full_hessian(rows, case.weight, case.bias))


@pytest.fixture
def chosen_target() -> Any:
    yield _cpu.set_target
    _cpu.set_target(_cpu.targets()[-1])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(1100, 54, 7), (150, 9, 65), (500, 17, 1)])
@pytest.mark.parametrize("target", _cpu.targets()[:-1])
def test_instruction_sets_give_the_same_bits(
    target: str, shape: tuple[int, int, int], dtype: str, chosen_target: Any
) -> None:
    case = Case(shape, dtype, True)
    best = loss_and_gradient(case.rows, case.weight, case.bias)
    curved = full_hessian(case.rows, case.weight, case.bias)
    chosen_target(target)

    found = loss_and_gradient(case.rows, case.weight, case.bias)

    assert_bit_equal(np.append(best.weight, best.loss), np.append(found.weight, found.loss))
    assert_bit_equal(curved, full_hessian(case.rows, case.weight, case.bias))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("bad", [np.inf, np.nan, 1e300])
def test_coefficients_that_overflow_give_a_loss_that_is_no_number(bad: float, outputs: int) -> None:
    case = Case((100, 4, outputs), "f4", False)
    case.weight[0, 0] = bad

    assert not np.isfinite(loss_and_gradient(case.rows, case.weight, case.bias).loss)


@pytest.mark.parametrize("outputs", [1, 3])
def test_far_logits_are_exact(outputs: int) -> None:
    features = np.array([[1000.0], [-1000.0], [1000.0], [-1000.0]])
    rows = DenseRows((features,), np.array([0, 0, 1, 1]), None, 1)
    weight = np.array([[0.0], [1.0], [-3.0]])[:outputs] if outputs > 1 else np.array([[1.0]])

    found = loss_and_gradient(rows, weight, np.zeros(outputs))

    assert found.loss == {1: 2000.0, 3: 8000.0}[outputs]  # 1000 twice; with the third class 1000, 3000, 0, 4000


def test_a_sure_row_leaves_what_is_missing_to_one() -> None:
    rows = DenseRows((np.array([[40.0]]),), np.array([1]), None, 1)

    found = loss_and_gradient(rows, np.array([[0.0], [1.0]]), np.zeros(2))

    assert found.loss == pytest.approx(np.exp(-40), rel=1e-14)
    assert found.weight[1, 0] == pytest.approx(-40 * np.exp(-40), rel=1e-14)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("d", [1, 5, 54, 1100])
def test_moments(d: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    features = (rng.standard_normal((2500, d)) * 3 + 7).astype(dtype)
    weights = rng.uniform(0.5, 2, 2500)
    exact, share = features.astype(Wide), (weights / weights.sum()).astype(Wide)
    mean = share @ exact

    found = column_sums(DenseRows((features,), None, weights, d), features[0].astype("f8"))

    assert_close(mean.astype("f8"), found.mean, rtol=1e-14, atol=0)
    assert_close((share @ (exact - mean) ** 2).astype("f8"), found.square, rtol=1e-13, atol=0)
    assert_bit_equal(np.abs(features).max(axis=0).astype("f8"), found.largest)


@pytest.mark.parametrize("to", ["f4", "f8"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_scaled_copy(dtype: str, to: str) -> None:
    rng = np.random.default_rng(0)
    features, out = rng.standard_normal((1100, 7)).astype(dtype), np.empty((1100, 7), to)
    shift, factor = rng.standard_normal(7), rng.uniform(0.5, 2, 7)

    cpu.regression_scale(features, shift, factor, out)

    assert_bit_equal(((features.astype("f8") - shift) * factor).astype(to), out)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 5), (6000, 37)])
def test_one_number_that_is_not_finite_is_found_anywhere(shape: tuple[int, int], dtype: str) -> None:
    largest = np.finfo(dtype).max
    features = np.full(shape, largest, dtype)
    features[::2] = -largest
    places = np.unique(np.linspace(0, features.size - 1, 23).astype(int)) if features.size else []

    assert cpu.regression_is_finite(features, 1)
    for place in places:
        for wrong in (np.nan, np.inf, -np.inf):
            before = features.flat[place]
            features.flat[place] = wrong
            assert not any(cpu.regression_is_finite(features, threads) for threads in (1, 2))
            features.flat[place] = before
    with pytest.raises(ValueError, match="contiguous"):
        cpu.regression_is_finite(np.zeros((4, 4), dtype)[:, :2])


def test_nothing_outside_the_result_is_touched() -> None:
    case = Case((100, 5, 3), "f4", False)
    guarded = np.full(3 * 20 + 64, 7.0)
    inside = guarded[32 : 32 + 60].reshape(3, 20)
    inside[:] = 0.0

    cpu.regression_pass(
        case.rows.blocks[0], case.rows.targets, None, case.weight, case.bias, None, None, inside, 0, False, None, 1
    )

    assert (np.delete(guarded, range(32, 92)) == 7.0).all()


@pytest.mark.parametrize("d", [1, 3, 13, 54, 97, 131])
def test_rows_may_end_where_memory_does(d: int) -> None:
    """No read behind the last number: what lies there is NaN, which would reach the sums."""
    for n in (47, 48, 49, 96):
        memory = np.full(n * d + 64, np.nan, dtype="f4")
        features = memory[: n * d].reshape(n, d)
        features[:] = np.random.default_rng(0).standard_normal((n, d))
        rows = DenseRows((features,), np.zeros(n, dtype=np.int64), None, d)

        assert np.isfinite(loss_and_gradient(rows, np.ones((3, d)), np.zeros(3)).weight).all()


ROW, WEIGHT = np.zeros((2, 3)), np.zeros((3, 3))
REFUSED: dict[str, tuple[type[Exception], dict[str, Any]]] = {
    "integers": (TypeError, {"features": ROW.astype(int)}),
    "half precision": (TypeError, {"features": ROW.astype("f2")}),
    "Fortran order": (ValueError, {"features": np.asfortranarray(ROW)}),
    "too few targets": (ValueError, {"targets": np.zeros(1, np.int64)}),
    "targets of another type": (TypeError, {"targets": np.zeros(2)}),
    "weights of another type": (TypeError, {"row_weights": np.zeros(2, "f4")}),
    "another width": (ValueError, {"weight": np.zeros((3, 2))}),
    "another bias": (ValueError, {"bias": np.zeros(2)}),
    "half a direction": (ValueError, {"weight_tangent": WEIGHT}),
    "lanes": (ValueError, {"lanes": np.zeros((1, 13))}),
    "too many lanes": (ValueError, {"lanes": np.zeros((65, 14))}),
    "before the first chunk": (ValueError, {"first_chunk": -1}),
    "curvature": (ValueError, {"curvature": np.zeros(3)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    error, changed = REFUSED[name]
    arguments: dict[str, Any] = {
        "features": ROW,
        "targets": np.zeros(2, np.int64),
        "row_weights": None,
        "weight": WEIGHT,
        "bias": np.zeros(3),
        "weight_tangent": None,
        "bias_tangent": None,
        "lanes": np.zeros((1, 14)),
        "first_chunk": 0,
        "with_margin": False,
        "curvature": None,
    }

    with pytest.raises(error):
        cpu.regression_pass(**{**arguments, **changed})
