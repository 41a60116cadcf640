"""Sparse rows as the compiled pass takes them: by row for the logits, chunk by chunk by column for the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.estimators.scaling import Array
from softclass.kernels import cpu

CHUNK_BYTES = 512 * 2**10  # residuals of a chunk of rows stay in the second cache
TASK_ROWS = 64  # rows that one task makes

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
    size = int(np.clip(size, TASK_ROWS, 8192))
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
    """Loss, gradient and Hessian products over sparse rows, in the caller's columns.

    Weights are one row a class; for two classes one row, the logit of class 1.

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
    dtype : dtype
        Float32 or float64: of values and logits; what leaves a chunk is summed in float64.
    threads : int
        Most threads; 0: as many as the process may use. No bit depends on it.
    """

    def __init__(
        self,
        blocks: Sequence[Any],
        targets: npt.NDArray[np.int64],
        weights: Array,
        n_classes: int,
        dtype: npt.DTypeLike,
        threads: int = 0,
    ) -> None:
        self._threads = threads
        self._step = -(-n_classes // 16) * 16
        self._rows = sparse_rows(blocks, self._step, dtype)
        self._targets, self._weights = np.ascontiguousarray(targets), np.ascontiguousarray(weights)
        self._n_classes, self._dtype = n_classes, np.dtype(dtype)
        self._first = 1 if n_classes == 2 else 0  # class of the first row of weights
        self._weight, self._tangent = self._padded(), self._padded()
        self._sums = np.zeros((self._rows.n_features, self._step))
        self._kept: Reals | None = None
        self._kept_at: Any = None

    def _padded(self) -> tuple[Reals, Reals]:
        return np.zeros((self._rows.n_features, self._step), self._dtype), np.zeros(self._step, self._dtype)

    def _fill(self, padded: tuple[Reals, Reals], weight: Array, bias: Array, rest: float) -> tuple[Reals, Reals]:
        padded[0][:, self._first : self._n_classes] = weight.T
        padded[1][self._first : self._n_classes] = bias
        padded[1][self._n_classes :] = rest
        return padded

    def gradient(
        self, weight: Array, bias: Array, *, wants_margin: bool = False, key: Any = None
    ) -> tuple[float, Array, Array, float]:
        """Return loss, its derivatives by weight (a view that the next call overwrites) and bias, and the margin.

        `key` names the place for Hessian products: an object that stands for these weights and no others. Once one
        was asked for, the probabilities, of N rows, are kept.
        """
        padded = self._fill(self._weight, weight, bias, -np.inf)
        loss, margin, sums = self._run(padded, (None, None), self._kept, wants_margin)
        self._kept_at = key
        return loss, self._sums[:, self._first : self._n_classes].T, sums, margin

    def product(
        self, weight: Array, bias: Array, tangent: Array, bias_tangent: Array, *, key: Any
    ) -> tuple[Array, Array]:
        """Return the Hessian at a place times a tangent, by weight (a view that the next call overwrites) and bias."""
        if self._kept is None or self._kept_at is not key:
            if self._kept is None:
                self._kept = np.empty((len(self._targets), self._step), self._dtype)
            self.gradient(weight, bias, key=key)
        padded = self._fill(self._tangent, tangent, bias_tangent, 0.0)
        _, _, sums = self._run(self._weight, padded, self._kept, False)
        return self._sums[:, self._first : self._n_classes].T, sums

    def _run(
        self, weight: tuple[Reals, Reals], tangent: tuple[Any, Any], kept: Reals | None, wants_margin: bool
    ) -> tuple[float, float, Array]:
        rows, bias_sums = self._rows, np.empty(self._step)
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
            *weight,
            *tangent,
            kept,
            self._sums,
            bias_sums,
            wants_margin,
            self._threads,
        )
        return loss, margin, bias_sums[self._first : self._n_classes]
