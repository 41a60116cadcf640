"""Dense rows of which most numbers are at rest: zeros of images, of counts, of categories spread over columns.

Each column has a value that its numbers rest at, mostly zero. Only numbers elsewhere are kept, so that a pass reads
and multiplies a part of what it would of a dense copy. Nothing is lost: the rest is in the bias, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.estimators.dense_pass import Array, LossSums, Targets
from softclass.kernels import cpu

CLASSES = range(3, 33)
MOST_FEATURES = 8192  # beyond, the sums of a chunk leave the second cache
MOST_KEPT = 0.3  # share of the numbers; with more of them the dense pass is faster
LEAST_AT_REST = 0.1  # share of a column; with less it is centred like the columns that rest nowhere
FARTHEST_REST = 3.0  # deviations from the mean: what float32 loses to them stays below what it loses anyway
PIECE_ROWS = 65_536  # whose probabilities are held at once
SAMPLE_ROWS = 1000  # rows that are looked at before all of them are

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CompactRows:
    """N rows of D scaled columns, ``(x - mean) * factor``, as ``(x - rest) * factor`` where x is not at rest.

    Attributes
    ----------
    row_starts : int64 array of shape (N + 1,)
        Where the entries of a row begin.
    columns, values : uint16 and float32 arrays of shape (entries,)
        By row, in whole units with zeros behind the last.
    shift : float64 array of shape (D,)
        ``(mean - rest) * factor``.
    """

    row_starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.uint16]
    values: Singles
    shift: Array

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.row_starts) - 1

    def expanded(self, rows: npt.NDArray[np.int64], threads: int = 1) -> Singles:
        """Return some rows as a dense array of shape (rows, D)."""
        out = np.empty((len(rows), len(self.shift)), np.float32)
        base = (-self.shift).astype(np.float32)
        cpu.regression_compact_expand(self.row_starts, self.columns, self.values, base, rows, out, threads)
        return out

    def between(self, span: slice) -> CompactRows:
        """Return the rows of a span, without a copy."""
        return replace(self, row_starts=self.row_starts[span.start : span.stop + 1])

    def grams(self, shares: Singles, threads: int = 1) -> Array:
        """Return for each class the sum of the products of rows, with a one behind each, with themselves.

        `shares`, of shape (R, N), is what a row weighs in the matrix of a class; matrices are (R, D + 1, D + 1).
        """
        size, most = len(self.shift) + 1, CLASSES.stop - 1
        sums = np.empty((len(shares), size, size))
        for first in range(0, len(shares), most):
            part = slice(first, first + most)
            cpu.regression_compact_grams(
                self.row_starts, self.columns, self.values, shares[part], self.shift, sums[part], threads
            )
        return sums

    def squared_lengths(self, threads: int = 1) -> Array:
        """Return the sum of the squares of each row."""
        lengths = np.empty(self.n_rows)
        cpu.regression_compact_lengths(self.row_starts, self.columns, self.values, self.shift, lengths, threads)
        return lengths

    def widened(self, first: int, last: int) -> Array:
        """Return the rows of a span as a dense float64 array: the numbers of the pass in float64 arithmetic."""
        out = np.tile(-self.shift, (last - first, 1))
        starts = self.row_starts[first : last + 1]
        places = np.repeat(np.arange(last - first), np.diff(starts))
        entries = slice(starts[0], starts[-1])
        kept = self.values[entries] != 0  # not what fills a unit
        out[places[kept], self.columns[entries][kept]] += self.values[entries][kept]
        return out

    def take(self, rows: npt.NDArray[np.int64], threads: int = 1) -> CompactRows:
        """Return some rows."""
        lengths = self.row_starts[rows + 1] - self.row_starts[rows]
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        columns, values = np.empty(starts[-1], np.uint16), np.empty(starts[-1], np.float32)
        cpu.regression_compact_take(self.row_starts, self.columns, self.values, rows, starts, columns, values, threads)
        return CompactRows(starts, columns, values, self.shift)


class CompactBlocks(Sequence[Singles]):
    """Compact rows as blocks of dense ones, each made when it is asked for; the last one is kept."""

    def __init__(self, rows: CompactRows, block_rows: int, threads: int = 1) -> None:
        self.rows, self.block_rows, self.threads = rows, block_rows, threads
        self._last: tuple[int, Singles] | None = None

    def __len__(self) -> int:
        return -(-self.rows.n_rows // self.block_rows)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        last = self._last
        if last is None or last[0] != index:
            first = index * self.block_rows
            rows = np.arange(first, min(first + self.block_rows, self.rows.n_rows))
            last = self._last = index, self.rows.expanded(rows, self.threads)
        return last[1]


def places_of_rest(sample: Array, mean: Array, factor: Array) -> tuple[Array, float]:
    """Return where each column rests (its mean: nowhere), and the share of the numbers that are elsewhere.

    Parameters
    ----------
    sample : float64 array of shape (rows, D)
        Some rows.
    mean, factor : float64 arrays of shape (D,)
        What the columns are centred and scaled by; a column of factor 0 is left out.

    Returns
    -------
    rest : float64 array of shape (D,)
        The values.
    kept : float
        Share of the sample that is not at rest.
    """
    middle = np.median(sample, axis=0)
    candidate = np.where((sample == 0).mean(axis=0) >= LEAST_AT_REST, 0.0, middle)
    share = (sample == candidate).mean(axis=0)
    near = np.abs(mean - candidate) * factor <= FARTHEST_REST
    rest = np.where((share >= LEAST_AT_REST) & near, candidate, mean)
    kept = float(((sample != rest) & (factor != 0)).mean())
    return rest, kept


def compact_rows(
    blocks: Callable[[], Iterator[npt.NDArray[Any]]], n_rows: int, rest: Array, mean: Array, factor: Array, threads: int
) -> CompactRows:
    """Return rows as `CompactRows`; `blocks` gives them anew at each call, contiguous, in float32 or float64."""
    counts = np.empty(n_rows, np.int64)
    start = 0
    for block in blocks():
        part = counts[start : start + len(block)]
        cpu.regression_compact_make(block, rest, factor, part, None, None, None, threads)
        start += len(block)
    starts = np.zeros(n_rows + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    columns, values = np.empty(starts[-1], np.uint16), np.empty(starts[-1], np.float32)
    start = 0
    for block in blocks():
        part = starts[start : start + len(block) + 1]
        cpu.regression_compact_make(block, rest, factor, None, part, columns, values, threads)
        start += len(block)
    return CompactRows(starts, columns, values, (mean - rest) * factor)


def first_of_equals(rows: CompactRows, targets: Targets) -> npt.NDArray[np.int64]:
    """Return for each row the first one with the same numbers and the same target.

    Rows are sorted by a sum over their entries, 64 bits of it, and neighbours compared. Where two that differ have the
    same sum, once in 1e19 pairs, some equal rows stay apart.
    """
    odd, other = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
    key = (rows.columns.astype(np.uint64) << np.uint64(32)) | rows.values.view(np.uint32)
    key *= odd
    key ^= key >> np.uint64(29)
    key *= other
    key[rows.values == 0] = 0  # what fills a unit
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(key)])
    mark = sums[rows.row_starts[1:]] - sums[rows.row_starts[:-1]] + targets.astype(np.uint64) * odd
    order = np.argsort(mark, kind="stable")
    lengths = np.diff(rows.row_starts)
    one, two = order[:-1], order[1:]
    same = (mark[one] == mark[two]) & (lengths[one] == lengths[two]) & (targets[one] == targets[two])
    one, two = one[same], two[same]
    starts = np.cumsum(lengths[one]) - lengths[one]
    within = np.arange(int(lengths[one].sum())) - np.repeat(starts, lengths[one])
    left, right = (np.repeat(rows.row_starts[which], lengths[one]) + within for which in (one, two))
    differs = (rows.columns[left] != rows.columns[right]) | (rows.values[left] != rows.values[right])
    wrong = np.concatenate([np.zeros(1, np.int64), np.cumsum(differs)])
    same[same] = wrong[starts + lengths[one]] == wrong[starts]
    group = np.concatenate([np.zeros(1, np.int64), np.cumsum(~same)])
    heads = order[np.concatenate([np.ones(1, bool), ~same])]
    first = np.empty(rows.n_rows, np.int64)
    first[order] = heads[group]
    return first


@dataclass(frozen=True, eq=False)
class CompactPass:
    """Sums over compact rows, as `dense_pass` makes them over dense ones.

    Attributes
    ----------
    rows : CompactRows
        N rows.
    targets : int64 array of shape (N,)
        Class indices.
    weights : float64 array of shape (N,), or None
        None: all one.
    threads : int
        Most threads; 0: as many as the process may use. No bit depends on it.
    is_wide : bool
        Arithmetic in float64: where weights are large, their products with a row's numbers cancel.
    """

    rows: CompactRows
    targets: Targets
    weights: Array | None
    threads: int = 0
    is_wide: bool = False

    def loss_and_gradient(self, weight: Array, bias: Array, *, with_margin: bool = False) -> LossSums:
        """Return the sums of the loss and its gradient; `weight` has shape (R, D)."""
        total, margin = self._sums(weight, bias, None, None, with_margin)
        by_weight, by_bias = self._split(total, len(bias))
        return LossSums(float(total[-2]), by_weight, by_bias, margin)

    def hessian_product(
        self, weight: Array, bias: Array, weight_direction: Array, bias_direction: Array
    ) -> tuple[Array, Array]:
        """Return the Hessian of the loss times a direction, by weight and by bias."""
        total, _ = self._sums(weight, bias, weight_direction, bias_direction, False)
        return self._split(total, len(bias))

    def hessian(self, weight: Array, bias: Array, least: float) -> Array:
        """Return the sums from which `dense_pass.joined_hessian` makes the Hessian, without the terms up to `least`.

        A term is the weight of a row times the probabilities of two classes.
        """
        sums = np.empty((1, int(cpu.regression_hessian_numbers(len(bias), len(self.rows.shift)))))
        cpu.regression_compact_hessian(
            self.rows.row_starts,
            self.rows.columns,
            self.rows.values,
            self.targets,
            self.weights,
            np.ascontiguousarray(weight),
            bias - weight @ self.rows.shift,
            self.rows.shift,
            least,
            sums[0],
            self.is_wide,
            self.threads,
        )
        return sums

    def curvatures(self, weight: Array, bias: Array) -> Array:
        """Return one minus the sum of the squared probabilities of each row."""
        found = np.empty(self.rows.n_rows)
        self._call(weight, bias, (None, None), None, False, curvature=found)
        return found

    def chances(self, weight: Array, bias: Array) -> Singles:
        """Return the probabilities, of shape (R, N)."""
        found = np.empty((len(bias), self.rows.n_rows), np.float32)
        self._call(weight, bias, (None, None), None, False, chances=found)
        return found

    def bias_curvature(self, weight: Array, bias: Array) -> Array:
        """Return the Hessian of the loss by the bias, of shape (R, R)."""
        found = np.zeros((len(bias), len(bias)))
        for first in range(0, self.rows.n_rows, PIECE_ROWS):
            piece = slice(first, min(first + PIECE_ROWS, self.rows.n_rows))
            weights = None if self.weights is None else self.weights[piece]
            part = replace(self, rows=self.rows.between(piece), targets=self.targets[piece], weights=weights)
            wide = part.chances(weight, bias).astype(np.float64)
            weighted = wide if weights is None else wide * weights
            found += np.diag(weighted.sum(axis=1)) - weighted @ wide.T
        return found

    def _sums(
        self,
        weight: Array,
        bias: Array,
        weight_direction: Array | None,
        bias_direction: Array | None,
        with_margin: bool,
    ) -> tuple[Array, float]:
        tangent: tuple[Array | None, Array | None] = None, None
        if weight_direction is not None and bias_direction is not None:
            tangent = np.ascontiguousarray(weight_direction), bias_direction - weight_direction @ self.rows.shift
        total = np.empty(int(cpu.regression_compact_numbers(len(self.rows.shift), len(bias))))
        self._call(weight, bias, tangent, total, with_margin)
        return total, float(total[-1])

    def _call(
        self,
        weight: Array,
        bias: Array,
        tangent: tuple[Array | None, Array | None],
        sums: Array | None,
        with_margin: bool,
        *,
        curvature: Array | None = None,
        chances: Singles | None = None,
    ) -> None:
        cpu.regression_compact_pass(
            self.rows.row_starts,
            self.rows.columns,
            self.rows.values,
            self.targets,
            self.weights,
            np.ascontiguousarray(weight),
            bias - weight @ self.rows.shift,
            *tangent,
            sums,
            with_margin,
            curvature,
            chances,
            self.is_wide,
            self.threads,
        )

    def _split(self, total: Array, n_outputs: int) -> tuple[Array, Array]:
        d = len(self.rows.shift)
        table = total[:-2].reshape(d + 1, -1)[:, :n_outputs]
        by_bias = table[d].copy()
        return table[:d].T - by_bias[:, None] * self.rows.shift, by_bias
