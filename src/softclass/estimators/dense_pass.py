"""What the compiled pass over dense rows gives: sums over all rows in float64, the same bits for any threads and cuts.

Rows go through in chunks whose size depends on the number of columns alone; chunk c adds to lane c mod the number of
lanes, and lanes are added in their order. `regression.hpp` says the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from softclass.kernels import cpu

Array = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64]

LANES = 64
FEWEST_LANES = 16
LANES_BYTES = 2**20  # above 16 lanes, so many that their sums stay in the second cache
MOST_BYTES = 256 * 2**20


def lanes_of(result_bytes: int, n_chunks: int) -> int:
    """Return the number of lanes: a function of the sizes of the data, never of the threads."""
    size = max(result_bytes, 1)
    wanted = min(max(LANES_BYTES // size, FEWEST_LANES), LANES)
    return max(1, min(wanted, n_chunks, MOST_BYTES // size))


@dataclass(frozen=True, eq=False)
class DenseRows:
    """Dense rows with their targets and weights, as the pass takes them.

    Attributes
    ----------
    blocks : iterable of C-contiguous float32 or float64 arrays of shape (rows, D)
        Cut anyhow; gone through once a pass.
    targets : int64 array of shape (N,), or None
        Class indices. None: only moments are wanted.
    weights : float64 array of shape (N,), or None
        None: all one.
    n_features : int
        D.
    threads : int
        Most threads; 0: as many as the process may use.
    """

    blocks: Iterable[npt.NDArray[Any]]
    targets: Targets | None
    weights: Array | None
    n_features: int
    threads: int = 0

    @property
    def n_rows(self) -> int:
        """N."""
        known = self.weights if self.targets is None else self.targets
        return 0 if known is None else len(known)

    @cached_property
    def chunk_rows(self) -> int:
        """Rows of a chunk."""
        return int(cpu.regression_chunk_rows(self.n_features))

    @cached_property
    def n_chunks(self) -> int:
        """Chunks of all rows."""
        return -(-self.n_rows // self.chunk_rows)

    def pieces(self) -> Iterable[Piece]:
        """Return the rows in pieces of whole chunks, but for the last one."""
        if isinstance(self.blocks, tuple) and len(self.blocks) == 1:
            return self._only_piece
        return pieces_of(self.blocks, self.chunk_rows, self.targets, self.weights)

    @cached_property
    def _only_piece(self) -> tuple[Piece, ...]:
        return tuple(pieces_of(self.blocks, self.chunk_rows, self.targets, self.weights))


class Piece(NamedTuple):
    """Rows that begin at a chunk."""

    first_chunk: int
    span: slice
    rows: npt.NDArray[Any]
    targets: Any  # Targets; None where only moments are wanted
    weights: Array | None


def pieces_of(
    blocks: Iterable[npt.NDArray[Any]], chunk_rows: int, targets: Targets | None, weights: Array | None
) -> Iterator[Piece]:
    """Yield blocks cut anew so that each piece begins at a chunk; only rows around a cut are copied."""

    def piece(start: int, rows: npt.NDArray[Any]) -> Piece:
        span = slice(start, start + len(rows))
        mine = None if targets is None else targets[span]
        return Piece(start // chunk_rows, span, rows, mine, None if weights is None else weights[span])

    start, kept = 0, None
    for block in blocks:
        rest = block
        if kept is not None:
            missing = chunk_rows - len(kept)
            kept, rest = np.concatenate([kept, block[:missing]]), block[missing:]
            if len(kept) < chunk_rows:
                continue
            yield piece(start, kept)
            start, kept = start + chunk_rows, None
        whole = len(rest) // chunk_rows * chunk_rows
        if whole:
            yield piece(start, rest[:whole])
            start += whole
        if whole < len(rest):
            kept = rest[whole:]
    if kept is not None:
        yield piece(start, kept)


class LossSums(NamedTuple):
    """Sums over the rows: loss, gradient by weight (R, D) and by bias (R,), and the smallest margin."""

    loss: float
    weight: Array
    bias: Array
    margin: float


def loss_and_gradient(rows: DenseRows, weight: Array, bias: Array, *, with_margin: bool = False) -> LossSums:
    """Return the sums of the loss and its gradient; one row of `weight` for two classes."""
    return _sums(rows, weight, bias, None, None, with_margin)


def hessian_product(
    rows: DenseRows, weight: Array, bias: Array, weight_direction: Array, bias_direction: Array
) -> tuple[Array, Array]:
    """Return the Hessian of the loss times a direction, by weight and by bias."""
    found = _sums(
        rows, weight, bias, np.ascontiguousarray(weight_direction), np.ascontiguousarray(bias_direction), False
    )
    return found.weight, found.bias


def _sums(
    rows: DenseRows,
    weight: Array,
    bias: Array,
    weight_direction: Array | None,
    bias_direction: Array | None,
    with_margin: bool,
) -> LossSums:
    r, d = weight.shape
    weight, bias = np.ascontiguousarray(weight), np.ascontiguousarray(bias)
    length = r * (d + 1) + 2
    lanes = np.zeros((lanes_of(8 * length, rows.n_chunks), length))
    lanes[:, -1] = np.inf
    for piece in rows.pieces():
        cpu.regression_pass(
            piece.rows,
            piece.targets,
            piece.weights,
            weight,
            bias,
            weight_direction,
            bias_direction,
            lanes,
            piece.first_chunk,
            with_margin,
            None,
            rows.threads,
        )
    total, margin = (lanes.sum(axis=0), lanes[:, -1].min()) if len(lanes) > 1 else (lanes[0], lanes[0, -1])
    by_weight = total[: r * d].reshape(r, d)
    return LossSums(float(total[-2]), by_weight, total[r * d : r * (d + 1)], float(margin))


def curvatures(rows: DenseRows, weight: Array, bias: Array) -> Array:
    """Return one minus the sum of the squared probabilities of each row."""
    found = np.empty(rows.n_rows)
    weight, bias = np.ascontiguousarray(weight), np.ascontiguousarray(bias)
    lanes = np.empty((LANES, weight.size + len(bias) + 2))  # not written
    for piece in rows.pieces():
        cpu.regression_pass(
            piece.rows,
            piece.targets,
            None,
            weight,
            bias,
            None,
            None,
            lanes,
            piece.first_chunk,
            False,
            found[piece.span],
            rows.threads,
        )
    return found


def full_hessian(
    rows: DenseRows,
    weight: Array,
    bias: Array,
    *,
    unit: float = 1.0,
    penalty: Array | None = None,
    gauge: float = 0.0,
    with_bias: bool = True,
) -> Array:
    """Return the Hessian of the loss over weight and bias of each class, flattened to a square matrix.

    The loss is taken `unit` times; then `penalty` is added to the diagonal of each class, and `gauge` between the same
    column of any two classes.
    """
    r, d = weight.shape
    size = int(cpu.regression_hessian_numbers(r, d))
    weight, bias = np.ascontiguousarray(weight), np.ascontiguousarray(bias)
    sums = np.zeros((lanes_of(8 * size, rows.n_chunks), size))
    for piece in rows.pieces():
        cpu.regression_hessian(
            piece.rows, piece.targets, piece.weights, weight, bias, sums, piece.first_chunk, rows.threads
        )
    return joined_hessian(sums, (r, d), unit=unit, penalty=penalty, gauge=gauge, with_bias=with_bias)


def joined_hessian(
    sums: Array,
    shape: tuple[int, int],
    *,
    unit: float = 1.0,
    penalty: Array | None = None,
    gauge: float = 0.0,
    with_bias: bool = True,
) -> Array:
    """Return the Hessian from sums, one row a lane, for weights of the given shape; the rest as in `full_hessian`."""
    r, d = shape
    hessian = np.empty((r * (d + with_bias), r * (d + with_bias)))
    cpu.regression_hessian_join(sums, r, d, unit, penalty, gauge, hessian)
    return hessian


def squared_lengths(rows: DenseRows) -> Array:
    """Return the sum of the squares of each row."""
    found = np.empty(rows.n_rows)
    for piece in rows.pieces():
        cpu.regression_lengths(piece.rows, found[piece.span], rows.threads)
    return found


class ColumnSums(NamedTuple):
    """Weighted mean, mean square about it, and largest absolute value of each column."""

    mean: Array
    square: Array
    largest: Array


def column_sums(rows: DenseRows, shift: Array) -> ColumnSums:
    """Return the moments of the columns; `shift` lies near them. Parts are merged by Chan, Golub and LeVeque (1979)."""
    d = rows.n_features
    lanes = np.zeros((lanes_of(8 * (3 * d + 1), rows.n_chunks), 3 * d + 1))
    for piece in rows.pieces():
        cpu.regression_moments(piece.rows, piece.weights, shift, lanes, piece.first_chunk, rows.threads)
    mean, square, total = lanes[0, :d], lanes[0, d : 2 * d], lanes[0, -1]
    for lane in lanes[1:]:
        if lane[-1] > 0:
            both = total + lane[-1]
            apart = lane[:d] - mean
            square = square + lane[d : 2 * d] + apart * apart * (total * (lane[-1] / both))
            mean, total = mean + apart * (lane[-1] / both), both
    return ColumnSums(shift + mean, square / total, lanes[:, 2 * d : 3 * d].max(axis=0))
