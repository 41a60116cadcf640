"""Columns that are sums of others: without a penalty their weights are not determined, and the shortest are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import BLOCK_BYTES, Array

GRAM_COLUMNS = 2000  # columns up to which the Gram matrix is factorised
DEPENDENT = 1e-12  # of a column's variance: what may be left of it when the others are taken away
ALIKE = 1e-9  # of a row's numbers: what a dependent column may differ from its mixture there
FAINT = 1e-7  # of the largest share in a dependency: rounding


@dataclass(frozen=True, eq=False)
class ColumnRank:
    """Which columns are independent, and how the others follow from them.

    Attributes
    ----------
    kept : int array of shape (R,)
        Independent columns, in ascending order.
    dependent : int array
        Columns that vary and follow from the kept ones; what is in neither list is constant.
    mixing : float64 array of shape (len(dependent), R)
        Scaled dependent columns are ``mixing @`` the scaled kept ones.
    terms : float64 array of shape (len(dependent), R)
        The same in the caller's units, where a dependent column is ``terms @`` the kept ones plus its offset.
    offsets : float64 array of shape (len(dependent),)
        Zero but for rounding is exactly zero.
    n_columns : int
        D.
    """

    kept: npt.NDArray[np.int64]
    dependent: npt.NDArray[np.int64]
    mixing: Array
    terms: Array
    offsets: Array
    n_columns: int

    @property
    def is_full(self) -> bool:
        """Whether all columns are independent."""
        return len(self.kept) == self.n_columns

    def spread(self, kept: Array) -> Array:
        """Return derivatives by all scaled columns from those by the kept ones."""
        whole = np.zeros((len(kept), self.n_columns))
        whole[:, self.kept] = kept
        whole[:, self.dependent] = kept @ self.mixing.T
        return whole

    def gathered(self, whole: Array) -> Array:
        """Return weights of the scaled kept columns that say the same as weights of all scaled columns."""
        return np.asarray(whole[:, self.kept] + whole[:, self.dependent] @ self.mixing)

    def null_vectors(self) -> Array:
        """Return weights in the caller's units that change no logit but by a constant, of shape (D, dependent)."""
        vectors = np.zeros((self.n_columns, len(self.dependent)))
        vectors[self.kept] = -self.terms.T
        vectors[self.dependent, np.arange(len(self.dependent))] = 1.0
        return vectors

    def shortest(self, kept: Array, scale: Array) -> Array:
        """Return weights of all columns, in the caller's units, of least length; `kept` are those of scaled columns."""
        weight = np.zeros((len(kept), self.n_columns))
        weight[:, self.kept] = kept / scale[self.kept]
        vectors = self.null_vectors()
        if vectors.size and np.all(np.isfinite(vectors)):
            basis, _ = linalg.qr(vectors, mode="economic", check_finite=False)
            weight -= (weight @ basis) @ basis.T
        return weight


def column_rank(loss: LinearLoss) -> ColumnRank | None:
    """Return the rank of the columns by a pivoted Cholesky factor of their Gram matrix, None beyond 2000 columns."""
    d = loss.features.n_features
    if d > GRAM_COLUMNS:
        return None
    gram = np.zeros((d, d))
    rows = max(16, BLOCK_BYTES // (8 * d + 8))
    for span, block in loss.features.spans():
        for first in range(0, block.shape[0], rows):
            scaled = loss.features.dense(block[first : first + rows]).astype(np.float64, copy=False)
            weight = loss.weights[span.start + first : span.start + first + len(scaled)]
            root = scaled * np.sqrt(weight)[:, None]
            gram += root.T @ root
    varies = np.flatnonzero(loss.features.variance > 0)
    if not len(varies):
        return ColumnRank(varies, varies, np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0), d)
    unit = np.sqrt(np.maximum(gram.diagonal()[varies], 1e-300))
    correlation = gram[np.ix_(varies, varies)] / unit / unit[:, None]
    factor, pivots, rank, _ = linalg.lapack.dpstrf(correlation, tol=DEPENDENT)
    pivots = pivots - 1
    upper = np.triu(factor[:rank])
    shares = linalg.solve_triangular(upper[:, :rank], upper[:, rank:], check_finite=False).T  # (dependent, kept)
    shares = np.where(np.abs(shares) > FAINT * np.abs(shares).max(axis=1, keepdims=True), shares, 0.0)
    shares = shares * unit[pivots[rank:]][:, None] / unit[pivots[:rank]]
    order, rest = np.argsort(pivots[:rank]), np.argsort(pivots[rank:])
    kept, dependent, mixing = varies[pivots[:rank][order]], varies[pivots[rank:][rest]], shares[rest][:, order]
    if len(dependent):
        kept, dependent, mixing = _proved(loss, kept, dependent, mixing)
    scale, mean = loss.features.scale, loss.features.mean
    with np.errstate(over="ignore", invalid="ignore"):
        terms = mixing * scale[dependent][:, None] / scale[kept]
        terms = np.where(mixing != 0, terms, 0.0)
        offsets = mean[dependent] - terms @ mean[kept] if loss.intercept else np.zeros(len(dependent))
        size = np.abs(mean[dependent]) + np.abs(terms) @ np.abs(mean[kept]) + scale[dependent]
    offsets = np.where(np.abs(offsets) > FAINT * size, offsets, 0.0)
    return ColumnRank(kept, dependent, mixing, terms, offsets, d)


def _proved(
    loss: LinearLoss, kept: npt.NDArray[np.int64], dependent: npt.NDArray[np.int64], mixing: Array
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array]:
    """Return the same after a look at each row: one far row makes columns alike in sum that are not alike in the rest.

    A column that differs from its mixture by more than rounding in any row goes back to the independent ones.
    """
    offset = np.abs(loss.features.mean) / loss.features.scale if loss.intercept else np.zeros(loss.features.n_features)
    far = np.zeros(len(dependent), dtype=bool)
    rows = max(16, BLOCK_BYTES // (8 * loss.features.n_features + 8))
    for _, block in loss.features.spans():
        step = 64 * float(np.finfo(block.dtype).eps)
        for first in range(0, block.shape[0], rows):
            scaled = loss.features.dense(block[first : first + rows]).astype(np.float64, copy=False)
            error = np.abs(scaled[:, dependent] - scaled[:, kept] @ mixing.T)
            size = np.abs(scaled[:, dependent]) + np.abs(scaled[:, kept]) @ np.abs(mixing).T
            rounding = step * (offset[dependent] + np.abs(mixing) @ offset[kept])
            far |= np.any(error > max(ALIKE, step) * size + rounding, axis=0)
    if not far.any():
        return kept, dependent, mixing
    more = np.concatenate([kept, dependent[far]])
    order = np.argsort(more)
    wider = np.concatenate([mixing[~far], np.zeros((int((~far).sum()), int(far.sum())))], axis=1)
    return more[order], dependent[~far], wider[:, order]


class ChosenColumns(Sequence[Any]):
    """Some columns of blocks, cut out when a block is asked for."""

    def __init__(self, blocks: Sequence[Any], kept: npt.NDArray[np.int64]) -> None:
        self._blocks, self._kept = blocks, kept

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, index: Any) -> Any:
        return _columns(self._blocks[index], self._kept)


def _columns(block: Any, kept: npt.NDArray[np.int64]) -> Any:
    chosen = block[:, kept]
    return chosen if sparse.issparse(chosen) else np.ascontiguousarray(chosen)


def on_columns(loss: LinearLoss, kept: npt.NDArray[np.int64]) -> LinearLoss:
    """Return the loss on some of the columns."""
    features = loss.features
    blocks = features.blocks
    chosen: Sequence[Any] = (
        tuple(_columns(block, kept) for block in blocks) if isinstance(blocks, tuple) else ChosenColumns(blocks, kept)
    )
    reduced = replace(
        features,
        blocks=chosen,
        shift=None if features.shift is None else features.shift[kept],
        factor=None if features.factor is None else features.factor[kept],
        mean=features.mean[kept],
        scale=features.scale[kept],
        variance=features.variance[kept],
    )
    return replace(loss, features=reduced, penalty=loss.penalty[kept])
