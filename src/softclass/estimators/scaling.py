"""Columns brought to one scale inside the solver, exactly and without changing what is minimised.

The solver works on ``(x - mean) / scale``. Large dense data are copied once into float32, small ones into float64;
sparse data, and float32 data that are well scaled already, keep their values and are centred and scaled on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softclass.estimators.compact_rows import (
    CLASSES,
    MOST_FEATURES,
    MOST_KEPT,
    SAMPLE_ROWS,
    CompactBlocks,
    compact_rows,
    places_of_rest,
)
from softclass.estimators.dense_pass import ColumnSums, DenseRows, column_sums
from softclass.estimators.spill import AbstractRows
from softclass.kernels import cpu

Array = npt.NDArray[np.float64]

DOUBLE_COPY_BYTES = 64 * 2**20  # up to this size the working copy is float64 and agrees to rounding
SPARSE_DOUBLE_BYTES = 4 * 2**20  # the same for sparse numbers, whose rows of weights are what costs
TAME = 1e15  # squares of such numbers and of their inverses are far from the edges of float32
VIRTUAL_OFFSET = 100.0  # |mean| / deviation up to which float32 data may be centred on the way: two digits lost
BLOCK_BYTES = 8 * 2**20  # rows of a block, with their logits, stay in the last cache
SAFE_EXPONENT = 300  # squares of 2**300 neither overflow nor vanish
FAINT = 1e-305  # a deviation below counts as none: the weight that answers it may not be a number any more
CONSTANT = 8 * np.finfo(np.float64).eps
PASSED = (np.dtype(np.float32), np.dtype(np.float64))  # what the compiled pass takes


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted mean and root mean square (about the mean, when centred) of each column, safe against overflow.

    Attributes
    ----------
    mean : float64 array of shape (n_features,)
        Weighted mean, zero where the columns are not centred; in units of ``2**exponent``.
    deviation : float64 array of shape (n_features,)
        Root of the weighted mean of the squares; exactly zero for a constant column; in units of ``2**exponent``.
    exponent : int array of shape (n_features,)
        Zero for ordinary columns.
    """

    mean: Array
    deviation: Array
    exponent: npt.NDArray[np.int64]


def column_moments(features: Any, weights: Array, *, centre: bool, threads: int = 1) -> Moments:
    """Return the moments of the columns; `weights` sum to one."""
    if sparse.issparse(features):
        return _sparse_moments(features, weights, centre)
    return _dense_moments(features, weights, centre, threads)


def _cut(features: Any, rows: int) -> Sequence[Any]:
    """Return features in blocks of so many rows, lazily where they are not in memory."""
    if isinstance(features, AbstractRows):
        return features.blocks(rows)
    return tuple(features[start : start + rows] for start in range(0, features.shape[0], rows))


def _exponents(largest: Array) -> npt.NDArray[np.int64]:
    exponent = np.frexp(largest)[1].astype(np.int64)
    return np.where(np.abs(exponent) > SAFE_EXPONENT, np.maximum(exponent, -1000), 0)


def _block_rows(d: int) -> int:
    """Rows of a block of dense rows: whole chunks of the compiled pass."""
    chunk = int(cpu.regression_chunk_rows(d))
    return max(1, BLOCK_BYTES // (8 * d + 8) // chunk) * chunk


def _contiguous(features: Any, exponent: npt.NDArray[np.int64] | None = None) -> Iterator[npt.NDArray[Any]]:
    """Yield dense rows as the compiled pass takes them, in units of 2**exponent."""
    raised = exponent is not None and exponent.any()
    if isinstance(features, np.ndarray) and features.flags.c_contiguous and features.dtype in PASSED and not raised:
        yield features
        return
    for block in _cut(features, _block_rows(features.shape[1])):
        if raised:
            yield _raised(block, exponent)
        else:
            yield np.ascontiguousarray(block, None if block.dtype in PASSED else np.float64)


def _dense_moments(features: Any, weights: Array, centre: bool, threads: int) -> Moments:
    def sums(exponent: npt.NDArray[np.int64] | None) -> ColumnSums:
        first = next(iter(_contiguous(features, exponent)))[0].astype(np.float64)
        rows = DenseRows(_contiguous(features, exponent), None, weights, features.shape[1], threads)
        return column_sums(rows, first)

    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are raised below
        found = sums(None)
        exponent = _exponents(found.largest)
        if exponent.any():
            found = sums(exponent)
    if centre:
        return _without_constants(found.mean, np.sqrt(found.square), exponent, centre)
    square = found.square + found.mean * found.mean
    return _without_constants(np.zeros_like(found.mean), np.sqrt(square), exponent, centre)


def _sparse_moments(features: Any, weights: Array, centre: bool) -> Moments:
    d = features.shape[1]
    exponent = np.zeros(d, dtype=np.int64)
    data = features.data.astype(np.float64, copy=False)
    work = np.abs(data)
    edges = work.max(initial=1.0), work.min(where=work > 0, initial=1.0)
    if np.frexp(edges[0])[1] > SAFE_EXPONENT or np.frexp(edges[1])[1] < -SAFE_EXPONENT:
        largest = np.zeros(d)
        np.maximum.at(largest, features.indices, work)
        exponent = _exponents(largest)
        data = np.ldexp(data, -exponent[features.indices].astype(np.int32))
    weight = np.repeat(weights, np.diff(features.indptr))
    mean = _column_sums(features, np.multiply(weight, data, out=work), d) if centre else np.zeros(d)
    stored = _column_sums(features, weight, d)
    np.subtract(data, mean[features.indices], out=work)
    work *= work
    work *= weight
    square = _column_sums(features, work, d)
    square += np.maximum(1.0 - stored, 0.0) * mean * mean  # the zeros that are not stored
    return _without_constants(mean, np.sqrt(square), exponent, centre)


def _column_sums(features: Any, values: Array, n_columns: int) -> Array:
    return np.asarray(np.bincount(features.indices, values, minlength=n_columns), dtype=np.float64)


def _without_constants(mean: Array, deviation: Array, exponent: npt.NDArray[np.int64], centre: bool) -> Moments:
    if centre:
        deviation = np.where(deviation <= CONSTANT * np.abs(mean), 0.0, deviation)
    deviation = np.where(np.ldexp(deviation, exponent.astype(np.int32)) < FAINT, 0.0, deviation)
    return Moments(mean, deviation, exponent)


def _raised(block: Any, exponent: npt.NDArray[np.int64] | None) -> Array:
    """Return rows as float64, in units of 2**exponent; exact."""
    raised: Array = block.astype(np.float64)
    if exponent is not None and exponent.any():
        raised = np.ldexp(raised, -exponent.astype(np.int32), out=raised)
    return raised


@dataclass(frozen=True, eq=False)
class ScaledFeatures:
    """Rows of ``(x - mean) / scale`` in blocks; constant columns are zero.

    Attributes
    ----------
    blocks : sequence of arrays of shape (rows, n_features)
        Float32, float64 or CSR. Rows on disk are a lazy sequence: go through it once a pass and keep no block.
    shift, factor : float64 arrays of shape (n_features,), or None
        Where the blocks hold the caller's own numbers: scaled = ``(block - shift) * factor``.
    mean, scale : float64 arrays of shape (n_features,)
        Of the caller's columns; `scale` may be infinite or tiny, so products with it are taken in a safe order.
    variance : float64 array of shape (n_features,)
        Weighted mean of the squares of the scaled columns: at most one.
    """

    blocks: Sequence[Any]
    shift: Array | None
    factor: Array | None
    mean: Array
    scale: Array
    variance: Array

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self.scale)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        if isinstance(self.blocks, CompactBlocks):
            return self.blocks.rows.n_rows
        return sum(block.shape[0] for block in self.blocks)

    # Compact rows are asked for nothing that would make a block of them.
    @property
    def is_sparse(self) -> bool:
        """Whether the blocks are CSR."""
        return not isinstance(self.blocks, CompactBlocks) and bool(sparse.issparse(self.blocks[0]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers in the blocks."""
        found: np.dtype[Any] = np.dtype(np.float32)
        return found if isinstance(self.blocks, CompactBlocks) else self.blocks[0].dtype

    @property
    def block_rows(self) -> int:
        """Rows of a block, the last of which may have fewer."""
        return self.blocks.block_rows if isinstance(self.blocks, CompactBlocks) else int(self.blocks[0].shape[0])

    def spans(self) -> Iterator[tuple[slice, Any]]:
        """Yield the rows of each block and the block."""
        start = 0
        for block in self.blocks:
            yield slice(start, start + block.shape[0]), block
            start += block.shape[0]

    def logits(self, block: Any, weight: Array, bias: Array) -> Array:
        """Return the float64 logits of a block."""
        if self.factor is not None and self.shift is not None:
            weight = weight * self.factor
            bias = bias - weight @ self.shift
        logits = np.asarray(block @ np.ascontiguousarray(weight.T.astype(block.dtype, copy=False)), dtype=np.float64)
        logits += bias
        return logits

    def product(self, residual: Array, block: Any) -> Array:
        """Return ``residual.T @ scaled block`` of shape (columns of residual, n_features), before the shift."""
        if sparse.issparse(block):
            return np.asarray((block.T @ residual).T, dtype=np.float64)
        return np.asarray(residual.astype(block.dtype, copy=False).T @ block, dtype=np.float64)

    def finished(self, product: Array, residual_sum: Array) -> Array:
        """Return the sum over all blocks of `product`, centred and scaled where the blocks are not."""
        if self.factor is not None and self.shift is not None:
            product = (product - residual_sum[:, None] * self.shift) * self.factor
        return product

    def dense(self, block: Any) -> npt.NDArray[Any]:
        """Return the scaled rows of a block as a dense array."""
        rows: npt.NDArray[Any] = block.toarray() if sparse.issparse(block) else block
        if self.factor is not None and self.shift is not None:
            rows = ((rows - self.shift) * self.factor).astype(rows.dtype, copy=False)
        return rows

    def take(self, rows: npt.NDArray[np.int64], block_rows: int | None = None) -> ScaledFeatures:
        """Return some rows (in ascending order), made dense, in one block or in blocks of so many rows."""
        if isinstance(self.blocks, CompactBlocks):
            compact, threads = self.blocks.rows, self.blocks.threads
            found: Sequence[Any]
            if block_rows is None:
                found = (compact.expanded(rows, threads),)
            else:
                found = CompactBlocks(compact.take(rows, threads), block_rows, threads)
            return ScaledFeatures(found, None, None, self.mean, self.scale, self.variance)
        parts = []
        for span, block in self.spans():
            low, high = np.searchsorted(rows, (span.start, span.stop))
            if high > low:
                parts.append(self.dense(block[rows[low:high] - span.start]))
        whole = np.concatenate(parts)
        size = block_rows or len(whole)
        blocks = tuple(whole[first : first + size] for first in range(0, len(whole), size))
        return ScaledFeatures(blocks, None, None, self.mean, self.scale, self.variance)


def scale_features(
    features: Any,
    moments: Moments,
    *,
    root_penalty: float,
    n_classes: int,
    threads: int = 1,
    single: bool = False,
    curvature: float = 1.0,
) -> ScaledFeatures:
    """Scale columns so that the curvature of every coefficient is about one.

    `root_penalty` is the root of the ridge penalty per unit of weight; with it in the scale, a column of deviation
    1e-200 needs no number outside the range of float64. `single` allows float32 for many sparse numbers.
    `curvature` is what a column of variance one adds to the curvature, where that is to be set off against the penalty.
    """
    n, d = features.shape
    unit = np.ldexp(1.0, np.clip(-moments.exponent, -1022, 1022).astype(np.int32))  # caller's one, in raised units
    with np.errstate(over="ignore", under="ignore"):
        raised_scale = np.hypot(np.sqrt(curvature) * moments.deviation, root_penalty * unit)
        inverse = np.where(moments.deviation > 0, 1.0 / np.where(raised_scale > 0, raised_scale, 1.0), 0.0)
        ratio = np.where(moments.deviation > 0, moments.deviation * inverse, 0.0)
        scale = np.where(moments.deviation > 0, raised_scale / unit, 1.0)
        mean = moments.mean / unit
    plain = not moments.exponent.any()
    shift: Array | None = moments.mean
    factor: Array | None = inverse
    body: Any
    if sparse.issparse(features):
        body = features.astype(np.float32 if single and plain and _is_tame(features) else np.float64, copy=False)
        if not plain:
            body = body.copy()
            body.data = np.ldexp(body.data, -moments.exponent[body.indices].astype(np.int32))
    elif plain and (blocks := _compact_blocks(features, moments, inverse, n_classes, threads)) is not None:
        return ScaledFeatures(blocks, None, None, mean, scale, ratio * ratio)
    elif plain and 8 * n * d > DOUBLE_COPY_BYTES and _can_stay(features, moments):
        body = features
    else:

        def scaled(block: Any) -> npt.NDArray[Any]:
            return _scaled(block, moments, inverse, np.empty(block.shape, dtype), threads)

        dtype = np.dtype(np.float64 if 8 * n * d <= DOUBLE_COPY_BYTES else np.float32)
        if isinstance(features, AbstractRows) and dtype == np.float32:
            body = features.changed(scaled, dtype)
        else:
            body = np.empty((n, d), dtype)
            start = 0
            for block in _contiguous(features):
                _scaled(block, moments, inverse, body[start : start + len(block)], threads)
                start += len(block)
        shift = factor = None
    if sparse.issparse(body):
        rows = max(64, BLOCK_BYTES // (12 * body.nnz // n + 8 + 24 * n_classes))
    else:  # whole chunks of the compiled pass, and enough of them for several threads
        chunk = int(cpu.regression_chunk_rows(d))
        rows = max(1, 4 * BLOCK_BYTES // (body.dtype.itemsize * d + 24 * n_classes) // chunk) * chunk
    return ScaledFeatures(_cut(body, rows), shift, factor, mean, scale, ratio * ratio)


def _compact_blocks(
    features: Any, moments: Moments, factor: Array, n_classes: int, threads: int
) -> CompactBlocks | None:
    """Return many rows in memory as compact ones, or None where too few numbers are at rest."""
    n, d = features.shape
    small = 8 * n * d <= DOUBLE_COPY_BYTES
    if small or isinstance(features, AbstractRows) or n_classes not in CLASSES or d > MOST_FEATURES:
        return None
    sample = np.asarray(features[np.linspace(0, n - 1, SAMPLE_ROWS).astype(np.int64)], np.float64)
    rest, kept = places_of_rest(sample, moments.mean, factor)
    if kept > MOST_KEPT:
        return None
    found = compact_rows(lambda: _contiguous(features), n, rest, moments.mean, factor, threads)
    chunk = int(cpu.regression_chunk_rows(d))
    return CompactBlocks(found, max(1, BLOCK_BYTES // (4 * d) // chunk) * chunk, threads)


def _scaled(
    block: npt.NDArray[Any], moments: Moments, factor: Array, out: npt.NDArray[Any], threads: int
) -> npt.NDArray[Any]:
    """Write the centred and scaled rows of a block."""
    if moments.exponent.any():
        block = _raised(block, moments.exponent)
    if not block.flags.c_contiguous or block.dtype not in PASSED:
        block = np.ascontiguousarray(block, np.float64)
    cpu.regression_scale(block, moments.mean, factor, out, threads)
    return out


def _is_tame(features: Any) -> bool:
    """Whether there are many sparse numbers and float32 has room for all of them."""
    if 8 * features.nnz <= SPARSE_DOUBLE_BYTES:
        return False
    sizes = np.abs(features.data[features.data != 0])
    return bool(sizes.size and sizes.max() < TAME and sizes.min() > 1.0 / TAME)


def _can_stay(features: Any, moments: Moments) -> bool:
    """Whether float32 rows can be used where they lie."""
    if features.dtype != np.float32 or not (isinstance(features, AbstractRows) or features.flags.c_contiguous):
        return False
    varies = moments.deviation > 0
    return bool(np.all(np.abs(moments.mean[varies]) <= VIRTUAL_OFFSET * moments.deviation[varies]))
