"""The pass over sparse rows: against NumPy in float64, the same bits for any threads and instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.special import log_softmax

from asserts import assert_bit_equal, assert_close
from softclass.estimators.sparse_rows import SparsePass, sparse_rows
from softclass.kernels import _cpu

SHAPES = [(1, 1, 2), (15, 3, 3), (65, 40, 16), (130, 300, 17), (1000, 33, 70), (9000, 50, 5), (2000, 2500, 2)]
# Loss and derivatives relative to the largest; float32 rounds weights and logits, whose size here is about 3.
BOUNDS = {np.float32: (3e-7, 1e-6), np.float64: (1e-14, 1e-13)}


class Case:
    """Sparse rows with parameters and a direction, and what NumPy makes of them."""

    def __init__(self, n, d, k, dtype, *, intercept=True, seed=0):
        rng = np.random.default_rng(seed)
        density = 0.05 if d > 20 else 0.6
        self.X = sparse.random(n, d, density, format="csr", random_state=seed, data_rvs=rng.standard_normal).astype(
            dtype
        )
        self.targets, self.weights = rng.integers(0, k, n), rng.random(n) / n
        self.factor, self.shift, self.penalty = rng.uniform(0.5, 2, d), rng.normal(0, 0.1, d), rng.random(d)
        rows = 1 if k == 2 else k
        self.theta, self.direction = (self.centred(rng.standard_normal((rows, d + intercept))) for _ in range(2))
        self.k, self.intercept = k, intercept

    @staticmethod
    def centred(theta):
        return theta - theta.mean(axis=0) if len(theta) > 1 else theta

    def compiled(self, threads=1):
        cut = self.X.shape[0] // 3
        blocks = [self.X[:cut], self.X[cut:]]
        kept = (self.targets, self.weights, self.k, self.factor, self.shift, self.penalty)
        return SparsePass([block for block in blocks if block.shape[0]], *kept, threads)

    def expected(self):
        x = (self.X.toarray().astype(np.float64) - self.shift) * self.factor
        x = np.column_stack([x, np.ones(len(x))]) if self.intercept else x
        penalty = np.append(self.penalty, 0.0) if self.intercept else self.penalty
        first, rows = (1 if self.k == 2 else 0), np.arange(len(x))

        def logits(theta):
            z = x @ theta.T
            return np.column_stack([np.zeros(len(z)), z]) if self.k == 2 else z

        z = logits(self.theta)
        log_p = log_softmax(z, axis=1)
        p, u = np.exp(log_p), logits(self.direction)
        residual = p.copy()
        residual[rows, self.targets] -= 1
        turned = p * (u - (p * u).sum(axis=1, keepdims=True))
        others = z.copy()
        others[rows, self.targets] = -np.inf
        value = -self.weights @ log_p[rows, self.targets] + 0.5 * np.sum(penalty * self.theta**2)
        gradient = (residual * self.weights[:, None]).T[first:] @ x + penalty * self.theta
        product = (turned * self.weights[:, None]).T[first:] @ x + penalty * self.direction
        margin = (z[rows, self.targets] - others.max(axis=1)).min()
        return value, self.centred(gradient), self.centred(product), margin


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("intercept", [True, False])
def test_loss_gradient_product_and_margin_are_right(shape, dtype, intercept):
    case = Case(*shape, dtype, intercept=intercept)
    by_loss, by_derivative = BOUNDS[dtype]

    one = case.compiled()
    value, gradient, margin = one.value_and_gradient(case.theta, wants_margin=True)
    product = one.product(case.theta, case.direction)
    expected = case.expected()

    assert value == pytest.approx(expected[0], rel=by_loss)
    assert margin == pytest.approx(expected[3], abs=30 * by_derivative)
    assert_close(expected[1], gradient, rtol=0, atol=by_derivative * np.abs(expected[1]).max())
    assert_close(expected[2], product, rtol=0, atol=by_derivative * np.abs(expected[2]).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("intercept", [True, False])
def test_weights_in_columns_of_another_scale_give_the_same_point(shape, dtype, intercept):
    case = Case(*shape, dtype, intercept=intercept)
    one, two = case.compiled(threads=1), case.compiled(threads=2)
    by_loss, by_derivative = BOUNDS[dtype]
    first, d = int(case.k == 2), shape[1]
    scale = np.random.default_rng(3).uniform(0.5, 2, d)
    weight, bias = np.zeros((d, one.step), dtype), np.full(one.step, -np.inf, dtype)
    own = case.theta[:, :d] * case.factor
    weight[:, first : case.k] = own.T / scale[:, None]
    bias[: case.k] = 0.0
    bias[first : case.k] = (case.theta[:, d] if intercept else 0.0) - own @ case.shift
    values = (one.rows.values * scale[one.rows.columns]).astype(dtype)

    value, gradient = one.value_and_gradient_of(case.theta, values, weight, bias)
    again = two.value_and_gradient_of(case.theta, values, weight, bias)
    expected = case.expected()

    assert value == again[0] == pytest.approx(expected[0], rel=by_loss)
    assert_bit_equal(gradient, again[1])
    assert_close(expected[1], gradient, rtol=0, atol=by_derivative * np.abs(expected[1]).max())
    assert_bit_equal(one.product(case.theta, case.direction), two.product(case.theta, case.direction))  # kept for it


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_threads(dtype):
    case = Case(9000, 300, 20, dtype)

    one, two = case.compiled(threads=1), case.compiled(threads=2)

    assert one.value_and_gradient(case.theta)[0] == two.value_and_gradient(case.theta)[0]
    assert_bit_equal(one.value_and_gradient(case.theta)[1], two.value_and_gradient(case.theta)[1])
    assert_bit_equal(one.product(case.theta, case.direction), two.product(case.theta, case.direction))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_instruction_set(dtype):
    case, before = Case(700, 300, 20, dtype), _cpu.target()
    found = []

    for target in _cpu.targets():
        _cpu.set_target(target)
        one = case.compiled()
        found.append((*one.value_and_gradient(case.theta)[:2], one.product(case.theta, case.direction)))
    _cpu.set_target(before)

    assert len({value for value, _, _ in found}) == 1
    assert_bit_equal(np.stack([found[0][1]] * len(found)), np.stack([gradient for _, gradient, _ in found]))
    assert_bit_equal(np.stack([found[0][2]] * len(found)), np.stack([product for _, _, product in found]))


def test_a_product_at_other_parameters_is_made_there():
    case = Case(500, 60, 4, np.float64)
    one, other = case.compiled(), case.compiled()

    one.value_and_gradient(2 * case.theta)

    assert_bit_equal(other.product(case.theta, case.direction), one.product(case.theta, case.direction))


def test_large_probabilities_are_kept_from_the_first_product_on(monkeypatch):
    monkeypatch.setattr("softclass.estimators.sparse_rows.KEPT_BYTES", 0)
    case = Case(500, 60, 4, np.float64)

    late = case.compiled().product(case.theta, case.direction)
    monkeypatch.undo()

    assert_bit_equal(case.compiled().product(case.theta, case.direction), late)


def test_a_confident_row_has_the_loss_it_has():
    X = sparse.csr_matrix([[1.0]])
    one = SparsePass([X], np.array([0]), np.ones(1), 3, np.ones(1), np.zeros(1), np.zeros(1))

    value, _, _ = one.value_and_gradient(np.array([[60.0], [0.0], [0.0]]))

    assert value == pytest.approx(2 * np.exp(-60), rel=1e-14)


def test_rows_are_kept_by_row_and_by_column():
    X = Case(300, 20, 3, np.float32).X

    rows = sparse_rows([X[:100], X[100:]], 16, np.float32)
    columns = np.repeat(rows.chunk_columns, np.diff(rows.column_starts))
    by_column = sparse.csr_matrix((rows.column_values, (rows.column_rows, columns)), shape=X.shape)

    assert (by_column != X).nnz == 0
    assert_bit_equal(X.indptr.astype(np.int64), rows.row_starts)


WRONG = {
    "float columns": (1, np.zeros(3)),
    "short starts": (0, np.zeros(1, np.int64)),
    "other values": (2, np.zeros(3, np.float32)),
    "no targets": (9, np.zeros(2)),
}


@pytest.mark.parametrize("name", WRONG)
def test_arrays_that_do_not_fit_are_refused(name):
    ints, one = np.array([0, 2, 3]), np.array([0, 1], np.int64)
    columns = np.array([0, 1, 1], np.int32)
    arguments = [ints, columns, np.ones(3), 64, one, columns[:1], one, columns, np.ones(3), one, np.ones(2), 2]
    arguments += [np.zeros((2, 16)), np.zeros(16), None, None, None, np.zeros((2, 16)), np.zeros(16), False]
    place, wrong = WRONG[name]
    arguments[place] = wrong

    with pytest.raises((TypeError, ValueError)):
        _cpu.sparse_regression_pass(*arguments)
