"""Sparse rows as the compiled pass takes them: by row for the logits, chunk by chunk by column for the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softclass.estimators.scaling import Array
from softclass.kernels import cpu

CHUNK_BYTES = 2 * 2**20  # residuals of a chunk of rows; with a quarter of it more columns come twice: a fifth slower
TASK_ROWS = 64  # rows that one task makes
KEPT_BYTES = 64 * 2**20  # probabilities up to this size are kept whether or not a product follows

Reals = npt.NDArray[Any]  # float32 or float64


@dataclass(frozen=True, eq=False)
class SparseRows:
    """N sparse rows of D columns, twice.

    Attributes
    ----------
    n_features : int
        D.
    row_starts : int64 array of shape (N + 1,)
        Where the entries of a row begin.
    columns, values : int32 and float arrays of shape (entries,)
        By row.
    chunk_rows : int
        Rows of a chunk.
    chunk_starts : int64 array of shape (chunks + 1,)
        Where the columns of a chunk begin in the next two.
    chunk_columns : int32 array of shape (n,)
        Columns that occur in a chunk, chunk after chunk.
    column_starts : int64 array of shape (n + 1,)
        Where the entries of such a column begin in the last two.
    column_rows, column_values : int32 and float arrays of shape (entries,)
        By column within a chunk; rows are counted from the first of the chunk.
    """

    n_features: int
    row_starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    values: Reals
    chunk_rows: int
    chunk_starts: npt.NDArray[np.int64]
    chunk_columns: npt.NDArray[np.int32]
    column_starts: npt.NDArray[np.int64]
    column_rows: npt.NDArray[np.int32]
    column_values: Reals


def sparse_rows(blocks: Sequence[Any], step: int, dtype: npt.DTypeLike) -> SparseRows:
    """
    Return CSR blocks as the pass takes them.

    Parameters
    ----------
    blocks : sequence of CSR matrices
        Rows, with the same columns.
    step : int
        Numbers a row of weights has in the pass: at least the number of classes.
    dtype : dtype
        Float32 or float64, of the values.

    Returns
    -------
    SparseRows
        The rows.
    """
    columns = np.concatenate([block.indices for block in blocks]).astype(np.int32, copy=False)
    entries = np.concatenate([block.data for block in blocks]).astype(dtype, copy=False)
    counts = np.concatenate([np.diff(block.indptr) for block in blocks])
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    n, d = len(counts), blocks[0].shape[1]
    size = CHUNK_BYTES // (np.dtype(dtype).itemsize * step) // TASK_ROWS * TASK_ROWS
    size = int(np.clip(size, TASK_ROWS, 32768))
    names, places, rows, values, bounds = [], [np.zeros(1, np.int64)], [], [], [0]
    kind = type(blocks[0])
    for first in range(0, n, size):
        last = min(first + size, n)
        part = slice(starts[first], starts[last])
        body = (entries[part], columns[part], starts[first : last + 1] - starts[first])
        chunk = kind(body, shape=(last - first, d)).tocsc()
        present = np.flatnonzero(np.diff(chunk.indptr))
        names.append(present.astype(np.int32))
        places.append(chunk.indptr[present + 1].astype(np.int64) + starts[first])
        rows.append(chunk.indices.astype(np.int32, copy=False))
        values.append(chunk.data)
        bounds.append(bounds[-1] + len(present))
    return SparseRows(
        n_features=d,
        row_starts=starts,
        columns=columns,
        values=entries,
        chunk_rows=size,
        chunk_starts=np.array(bounds, dtype=np.int64),
        chunk_columns=np.concatenate(names),
        column_starts=np.concatenate(places),
        column_rows=np.concatenate(rows),
        column_values=np.concatenate(values),
    )


class SparsePass:
    """Loss, gradient and Hessian products over sparse rows, for parameters over ``(x - shift) * factor``.

    Parameters are arrays of shape (R, D + 1), the bias last, or (R, D): one row a class, or one row for two classes.
    They are fastest where the classes of a column lie together in memory (Fortran's order); so are the results.

    Parameters
    ----------
    blocks : sequence of CSR matrices
        N rows.
    targets : int64 array of shape (N,)
        Class indices.
    weights : float64 array of shape (N,)
        Of the rows.
    n_classes : int
        K.
    factor, shift, penalty : float64 arrays of shape (D,)
        Half the sum of ``penalty * parameters**2`` is added to the loss.
    threads : int
        Most threads; 0: as many as the process may use. No bit depends on it.

    Attributes
    ----------
    step : int
        Numbers of a row of weights: the classes, and padding up to a multiple of 16.
    rows : SparseRows
        The rows.
    kept : array of shape (N, step), or None
        Probabilities at the last point of `value_and_gradient`, where there is room for them.
    gap_at : tuple or None
        Where a gap was last computed, and the gap.
    """

    def __init__(
        self,
        blocks: Sequence[Any],
        targets: npt.NDArray[np.int64],
        weights: Array,
        n_classes: int,
        factor: Array,
        shift: Array,
        penalty: Array,
        threads: int = 0,
    ) -> None:
        dtype = blocks[0].dtype
        self.step = -(-n_classes // 16) * 16
        self.rows = sparse_rows(blocks, self.step, dtype)
        self._targets, self._weights = np.ascontiguousarray(targets), np.ascontiguousarray(weights)
        self._n_classes, self._threads = n_classes, threads
        self._first = 1 if n_classes == 2 else 0  # class of the first row of parameters
        self._factor, self._shift, self._penalty = (np.ascontiguousarray(a) for a in (factor, shift, penalty))
        self._weight, self._tangent = self._padded(dtype, -np.inf), self._padded(dtype, 0.0)
        self._sums, self._bias_sums = np.zeros((self.rows.n_features, self.step)), np.zeros(self.step)
        self._is_clear = True  # the sums: what was never touched takes no memory
        self.kept: Reals | None = None  # probabilities: when small, or once a product was asked for
        if len(targets) * self.step * dtype.itemsize <= KEPT_BYTES:
            self.kept = np.empty((len(targets), self.step), dtype)
        self._kept_at: Array | None = None
        self.gap_at: tuple[Array, Array, float] | None = None  # the last gap, and of what

    @cached_property
    def squared_lengths(self) -> Array:
        """Squared length of each row, not centred, in columns whose penalty is half the sum of the squared weights."""
        rows, by_column = self.rows, self._factor * self._factor / self._penalty
        squares = rows.values.astype(np.float64) ** 2
        squares *= by_column[rows.columns]
        sums = np.concatenate([[0.0], np.cumsum(squares)])[rows.row_starts]
        return np.maximum(np.diff(sums), 0.0)

    @cached_property
    def centre_of_rows(self) -> Array:
        """What is taken off every row, in columns whose penalty is half the sum of the squared weights."""
        return np.asarray(self._shift * self._factor / np.sqrt(self._penalty))

    @cached_property
    def longest_class_sums(self) -> float:
        """At least the length of the weighted sums of the scaled rows of each class, in the same columns."""
        lengths = np.sqrt(self.squared_lengths) + float(np.linalg.norm(self.centre_of_rows))
        sums = np.bincount(self._targets, self._weights * lengths, minlength=self._n_classes)[self._first :]
        return float(np.linalg.norm(sums)) * (1.0 + 1e-6)

    @cached_property
    def class_sums(self) -> Any:
        """Weighted sums of the rows of each class that has parameters, not centred, in the same columns, as CSR."""
        rows, n = self.rows, len(self._targets)
        shape = n, rows.n_features
        hot = sparse.csr_matrix((self._weights, (self._targets, np.arange(n))), shape=(self._n_classes, n))
        sums = hot @ sparse.csr_matrix((rows.values.astype(np.float64), rows.columns, rows.row_starts), shape=shape)
        sums = sums[self._first :].tocsr()
        sums.data *= (self._factor / np.sqrt(self._penalty))[sums.indices]
        return sums

    def class_sums_with(self, gradient: Array, theta: Array) -> tuple[float, float]:
        """Return the squared length of the centred sums; the product of those not centred with the loss's slope.

        `gradient` is that of the loss and the penalty at `theta`.
        """
        sums, root = self.class_sums, np.sqrt(self._penalty)
        shares = np.bincount(self._targets, self._weights, minlength=self._n_classes)[self._first :]
        centre = self.centre_of_rows
        square = float(sums.data @ sums.data) - 2.0 * float(shares @ (sums @ centre))
        square += float(shares @ shares) * float(centre @ centre)
        turned = 0.0
        for k in range(len(shares)):
            part = slice(sums.indptr[k], sums.indptr[k + 1])
            names = sums.indices[part]
            slope = gradient[k, names] / root[names] - theta[k, names] * root[names]
            turned += float(sums.data[part] @ slope)
        return square, turned

    def _padded(self, dtype: npt.DTypeLike, rest: float) -> tuple[Reals, Reals]:
        bias = np.zeros(self.step, dtype)
        bias[self._n_classes :] = rest
        return np.zeros((self.rows.n_features, self.step), dtype), bias

    def value_and_gradient(self, theta: Array, *, wants_margin: bool = False) -> tuple[float, Array, float]:
        """Return the objective, its gradient, and the smallest margin of a row where it is wanted."""
        own = np.ascontiguousarray(theta.T)
        self._spread(own, self._weight)
        loss, margin = self._run((None, None), self.kept, wants_margin)
        self._kept_at = theta
        penalty, gradient = self._gathered(own)
        return loss + penalty, gradient, margin

    def value_and_gradient_of(self, theta: Array, values: Reals, weight: Reals, bias: Reals) -> tuple[float, Array]:
        """Return objective and gradient at `theta`, which makes the logits ``values @ weight + bias`` by row.

        `values` are in the place of the rows', `weight` has shape (D, step), `bias` (step,). One array of the size of
        the parameters is made, the gradient; its columns are `step` numbers apart.
        """
        d, rows = self.rows.n_features, len(theta)
        sums = np.zeros((theta.shape[1], self.step))
        loss, _ = self._run((None, None), self.kept, False, replace(self.rows, values=values), (weight, bias), sums[:d])
        self._kept_at = theta
        penalty = self._gather(sums, np.ascontiguousarray(theta.T), None)
        return loss + penalty, sums[:, self._first : self._first + rows].T

    def product(self, theta: Array, direction: Array) -> Array:
        """Return the Hessian at `theta` times a direction; `theta` is not changed between calls, only replaced."""
        if self.kept is None or self._kept_at is not theta:
            if self.kept is None:
                self.kept = np.empty((len(self._targets), self.step), self._weight[0].dtype)
            self.value_and_gradient(theta)
        own = np.ascontiguousarray(direction.T)
        self._spread(own, self._tangent)
        self._run(self._tangent, self.kept, False)
        return self._gathered(own)[1]

    def _spread(self, own: Array, padded: tuple[Reals, Reals]) -> None:
        cpu.sparse_regression_spread(own, self._factor, self._shift, self._first, *padded, self._threads)

    def _gathered(self, own: Array) -> tuple[float, Array]:
        derivative = np.empty_like(own)
        return self._gather(self._sums, own, derivative), derivative.T

    def _gather(self, sums: Array, own: Array, derivative: Array | None) -> float:
        return float(
            cpu.sparse_regression_gather(
                sums,
                self._bias_sums,
                own,
                self._factor,
                self._shift,
                self._penalty,
                self._first,
                derivative,
                self._threads,
            )
        )

    def _run(
        self,
        tangent: tuple[Any, Any],
        kept: Reals | None,
        wants_margin: bool,
        rows: SparseRows | None = None,
        weight: tuple[Reals, Reals] | None = None,
        sums: Array | None = None,
    ) -> tuple[float, float]:
        rows = self.rows if rows is None else rows
        is_clear = sums is not None or self._is_clear
        if sums is None:
            sums, self._is_clear = self._sums, False
        loss, margin = cpu.sparse_regression_pass(
            rows.row_starts,
            rows.columns,
            rows.values,
            rows.chunk_rows,
            rows.chunk_starts,
            rows.chunk_columns,
            rows.column_starts,
            rows.column_rows,
            rows.column_values,
            self._targets,
            self._weights,
            self._n_classes,
            *(self._weight if weight is None else weight),
            *tangent,
            kept,
            sums,
            self._bias_sums,
            wants_margin,
            is_clear,
            self._threads,
        )
        return loss, margin
