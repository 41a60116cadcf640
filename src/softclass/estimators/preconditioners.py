"""Approximate inverse Hessians from which L-BFGS starts: each takes gradients, (..., rows, columns), to steps."""

from __future__ import annotations

from collections.abc import Callable
from threading import local
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from softclass.estimators.compact_rows import CompactRows, compact_rows
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.parallel import Workers
from softclass.estimators.scaling import Array
from softclass.estimators.unlocked_lapack import factorise, invert_factored
from softclass.kernels import cpu

Apply = Callable[[Array], Array]

COLUMNS_A_CLASS = 8  # up to which the blocks of dense rows are made at once; with more, a product of matrices each
INVERTED_COLUMNS = 128  # columns up to which blocks are inverted: a product of small matrices instead of many solves
DIAGONAL_SHARE = 1e-4  # of the diagonal added, so that what the sample misses keeps some curvature
HEAVY_SHARE = 0.99  # of the weight: where classes are many, those that hold it get blocks of their own
OWN_ROWS = 256  # a class, of most curvature, that make its block where classes are many; the rest count as average rows
APPLY_CLASSES = 64  # that one thread takes at a time
DAMPING = 1e-13  # of a diagonal scaled to one
FULL_SHARE = 1e-6  # the same for whole Hessians, whose smallest directions are what they are wanted for


def full_inverse(loss: LinearLoss, theta: Array, variance: Array, shrink: float) -> Apply:
    """Return the inverse of the whole Hessian on the rows of a sample."""
    hessian = loss.hessian(theta)
    diagonal = hessian.diagonal().copy()
    np.fill_diagonal(hessian, diagonal * (1 + FULL_SHARE) + 1e-10 * diagonal.max())
    factor = _factor(hessian)

    def apply(gradients: Array) -> Array:
        flat = gradients.reshape(-1, theta.size)
        steps: Array = linalg.cho_solve((factor.T, False), flat.T, check_finite=False).T.reshape(gradients.shape)
        return steps

    return apply


def scaled_inverse(loss: LinearLoss, theta: Array, least: float) -> Apply:
    """Return the inverse of the Hessian without terms up to `least`; its diagonal is scaled to one and damped."""
    hessian = loss.hessian(theta, least)
    root = np.sqrt(np.maximum(hessian.diagonal(), 1e-300))
    hessian /= root
    hessian /= root[:, None]
    damping = DAMPING
    while True:
        np.fill_diagonal(hessian, 1.0 + damping)
        factor, failure = linalg.lapack.dpotrf(hessian.T, lower=1, clean=0, overwrite_a=1)
        if not failure:
            break
        hessian = np.tril(hessian) + np.tril(hessian, -1).T  # the half that was not written
        damping *= 30.0

    def apply(gradients: Array) -> Array:
        flat = gradients.reshape(-1, len(root))
        steps: Array = np.stack([linalg.lapack.dpotrs(factor, one / root, lower=1)[0] / root for one in flat])
        return steps.reshape(gradients.shape)

    return apply


def block_inverse(loss: LinearLoss, theta: Array, variance: Array, shrink: float) -> Apply:
    """Return the inverses of the diagonal blocks of the Hessian, one a class, on the rows of a sample.

    The weights ``0.9 p (1 - p) + 0.1 pi (1 - pi)`` keep rows visible that are classified well now.
    """
    shares = loss.shares[-1:] if loss.n_classes == 2 else loss.shares
    floors = 0.1 * shares * (1 - shares)
    penalty = loss.extended_penalty()
    full = np.append(variance, 1.0) if loss.intercept else variance

    def finish(hessian: npt.NDArray[Any], weight: float) -> npt.NDArray[Any]:
        hessian *= 1.0 - shrink
        diagonal = hessian.diagonal() + shrink * weight * full
        np.fill_diagonal(hessian, diagonal * (1 + DIAGONAL_SHARE) + 1e-7 * diagonal.max() + penalty)
        return hessian

    are_many = loss.n_classes > 2 and loss.n_columns <= min(INVERTED_COLUMNS, COLUMNS_A_CLASS * loss.n_classes)
    if stays_compact(loss) or are_many:
        rows, chances = _rows_and_chances(loss, theta)
        weights = loss.weights.astype(np.float32) * (0.9 * chances * (1 - chances) + floors.astype(np.float32)[:, None])
        grams = rows.grams(weights, loss.workers.threads)
        if not loss.intercept:
            grams = np.ascontiguousarray(grams[:, :-1, :-1])
        for gram, weight in zip(grams, weights.sum(axis=1, dtype=np.float64), strict=True):
            finish(gram, float(weight))
        return _inverted(grams)
    return _dense_block_inverse(loss, theta, floors, finish)


def stays_compact(loss: LinearLoss) -> bool:
    """Whether a sample stays as compact rows, from which all small blocks are made at once."""
    return loss.compact is not None and loss.n_columns <= INVERTED_COLUMNS


def _rows_and_chances(loss: LinearLoss, theta: Array) -> tuple[CompactRows, npt.NDArray[np.float32]]:
    """Return a sample as compact rows, and its probabilities, one row a row of the parameters."""
    if loss.compact is not None:
        return loss.compact.rows, loss.compact.chances(*loss.split(theta))
    block = loss.features.blocks[0]
    chances = np.ascontiguousarray(loss.probabilities(block, theta).T, dtype=np.float32)
    block = loss.features.dense(block)
    zeros = np.zeros(block.shape[1])
    return compact_rows(lambda: iter((block,)), len(block), zeros, zeros, zeros + 1, loss.workers.threads), chances


def _dense_block_inverse(
    loss: LinearLoss, theta: Array, floors: Array, finish: Callable[[npt.NDArray[Any], float], npt.NDArray[Any]]
) -> Apply:
    block = loss.features.blocks[0]
    chances = loss.probabilities(block, theta)
    extended = loss.extended(block)
    size = extended.shape[1]
    blocks = np.empty((len(theta), size, size), extended.dtype)
    own = local()  # memory of a thread: new pages for every class would take a fifth of the time

    def add_up(weight: Array, out: npt.NDArray[Any]) -> None:
        if not hasattr(own, "root"):
            own.root = np.empty_like(extended)
        root = np.multiply(extended, np.sqrt(weight).astype(extended.dtype)[:, None], out=own.root)
        np.matmul(root.T, root, out=out)

    is_start = bool(np.all(chances == chances[0]))  # as at weights of zero: one product of matrices serves all classes
    if is_start:
        common = np.empty_like(blocks[0])
        add_up(loss.weights, common)

    def fill(row: int) -> npt.NDArray[Any]:
        hessian: npt.NDArray[Any] = blocks[row]
        curvature = 0.9 * chances[:, row] * (1 - chances[:, row]) + floors[row]
        weight = loss.weights * curvature
        if is_start:
            np.multiply(common, common.dtype.type(curvature[0]), out=hessian)
        else:
            add_up(weight, hessian)
        return finish(hessian, float(weight.sum()))

    if size > INVERTED_COLUMNS:
        return _solved(fill, blocks, loss.workers)
    list(loss.workers.map(fill, range(len(theta))))
    return _inverted(blocks.astype(np.float64))


def _inverted(blocks: Array) -> Apply:
    """Return the products with the inverses of small blocks, of shape (rows, columns, columns)."""
    try:
        np.linalg.cholesky(blocks)  # a check, a tenth of what follows
        inverses = np.linalg.inv(blocks)
    except np.linalg.LinAlgError:
        inverses = np.empty_like(blocks)
        for inverse, block in zip(inverses, blocks, strict=True):
            # Not `invert_factored`: on several threads of BLAS, which the smallest problems leave as they are, it has
            # other bits; `inv` has from 100 columns on, which those do not reach.
            inverse[...] = linalg.cho_solve((_factor(block).T, False), np.eye(len(block)), check_finite=False)
    inverses = 0.5 * (inverses + inverses.transpose(0, 2, 1))
    return lambda gradients: np.matmul(inverses, gradients[..., None])[..., 0]


def heavy_classes(loss: LinearLoss) -> npt.NDArray[np.int64]:
    """Return the fewest classes that hold nearly all of the weight, in ascending order."""
    order = np.argsort(-loss.shares, kind="stable")
    count = int(np.searchsorted(np.cumsum(loss.shares[order]), HEAVY_SHARE * loss.shares.sum())) + 1
    return np.sort(order[:count])


def heavy_block_inverse(
    loss: LinearLoss, theta: Array, variance: Array, shrink: float, heavy: npt.NDArray[np.int64], tail: Apply
) -> Apply:
    """Return the inverses of the diagonal blocks of the classes `heavy` on a sample; for the others, `tail`.

    For three classes and more. A row has few likely classes, so the Gram matrix of a class is made of the rows that
    have most of its curvature, and what the others have is given to rows of average kind, whose Gram matrix serves all
    classes: the cost of a class does not grow with the sample. Inverses are kept in float32.
    """
    extended = loss.extended(loss.features.blocks[0])
    penalty = loss.extended_penalty()
    full = np.append(variance, 1.0) if loss.intercept else variance
    root = extended * np.sqrt(loss.weights / loss.weights.sum()).astype(extended.dtype)[:, None]
    common = root.T @ root
    chances = loss.probabilities(loss.features.blocks[0], theta).T[heavy]
    inverses = np.empty((len(heavy), *common.shape), dtype=np.float32)

    def invert(place: int) -> None:
        chance, share = chances[place], loss.shares[heavy[place]]
        weight = loss.weights * chance * (1.0 - chance)
        floor = 0.1 * share * (1.0 - share)  # keeps rows visible that are classified well now
        rows = np.arange(len(weight))
        if len(weight) > OWN_ROWS:
            rows = np.argpartition(weight, len(weight) - OWN_ROWS)[-OWN_ROWS:]
        own = weight[rows]
        whole = float(weight.sum())
        root = extended[rows] * np.sqrt(own).astype(extended.dtype)[:, None]
        hessian = 0.9 * (root.T @ root) + common * common.dtype.type(floor + 0.9 * max(whole - float(own.sum()), 0.0))
        hessian *= 1.0 - shrink
        diagonal = hessian.diagonal() + shrink * (floor + 0.9 * whole) * full
        np.fill_diagonal(hessian, diagonal * (1 + DIAGONAL_SHARE) + 1e-7 * diagonal.max() + penalty)
        factor, scale = _unit_factor(hessian)
        invert_factored(factor)
        inverse = np.tril(factor) + np.tril(factor, -1).T
        inverses[place] = inverse / scale / scale[:, None]

    list(loss.workers.map(invert, range(len(heavy))))
    parts = [slice(first, first + APPLY_CLASSES) for first in range(0, len(heavy), APPLY_CLASSES)]

    def apply(gradients: Array) -> Array:
        steps = tail(gradients)
        narrow = gradients[..., heavy, :].astype(np.float32)

        def run(part: slice) -> None:
            steps[..., heavy[part], :] = np.matmul(inverses[part], narrow[..., part, :, None])[..., 0]

        list(loss.workers.map(run, parts))
        return steps

    return apply


def _unit_factor(block: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the Cholesky factor of a block whose diagonal was scaled to one, and the roots that scaled it."""
    root = np.sqrt(block.diagonal())
    block /= root
    block /= root[:, None]
    return _factor(block), root


def _solved(fill: Callable[[int], npt.NDArray[Any]], blocks: npt.NDArray[Any], workers: Workers) -> Apply:
    """Return the solves with large blocks, (rows, columns, columns); `fill` makes one, and factors take their place.

    Solved by a kernel of ours: what SciPy offers of BLAS keeps Python's lock, so that two threads that solve take three
    times as long as one.
    """
    roots = np.empty(blocks.shape[:2])

    def replace_by_factor(row: int) -> None:
        factor, roots[row] = _unit_factor(fill(row))
        if not np.may_share_memory(factor, blocks):
            blocks[row] = factor

    list(workers.map(replace_by_factor, range(len(blocks))))

    def apply(gradients: Array) -> Array:
        right = np.ascontiguousarray(gradients)
        steps = np.empty_like(right)
        cpu.cholesky_solve(blocks, roots, right, steps, workers.threads)
        return steps

    return apply


def kronecker_inverse(loss: LinearLoss, basis: Array | None, curvature: Array, penalty: Array) -> Apply:
    """Return the inverse Hessian at the start, ``(diag(pi) - pi pi') x Gram + penalty``, in closed form.

    In `basis` (None: the columns themselves, scaled) the Gram matrix is one and the penalty is the diagonal `penalty`.
    `curvature` is the root of the diagonal that the columns are divided by when there is no basis.
    """
    shares = loss.shares
    pair = shares[0] * shares[1] if loss.n_classes == 2 else 0.0
    below = shares[:, None] + penalty  # (K, D)
    total = (shares[:, None] / below).sum(axis=0)

    def apply(gradient: Array) -> Array:
        by_weight, by_bias = (gradient[..., :-1], gradient[..., -1]) if loss.intercept else (gradient, None)
        turned = by_weight @ basis if basis is not None else by_weight * curvature
        if loss.n_classes == 2:
            turned = turned / (pair + penalty)
        else:
            common = (turned / below).sum(axis=-2, keepdims=True) / total
            turned = (turned - shares[:, None] * common) / below
        weight = turned @ basis.T if basis is not None else turned * curvature
        if by_bias is None:
            return weight
        step = by_bias / pair if loss.n_classes == 2 else by_bias / shares
        step = step - (step.mean(axis=-1, keepdims=True) if loss.n_classes > 2 else 0.0)
        return np.concatenate([weight, step[..., None]], axis=-1)

    return apply


def gram_basis(loss: LinearLoss, variance: Array, shrink: float) -> tuple[Array, Array]:
    """Return the basis in which the Gram matrix of a sample is one and the penalty diagonal, and that diagonal."""
    block = loss.features.dense(loss.features.blocks[0])
    root = block * np.sqrt(loss.weights).astype(block.dtype)[:, None]
    gram = (root.T @ root).astype(np.float64)
    gram *= 1.0 - shrink
    diagonal = gram.diagonal() + shrink * variance
    np.fill_diagonal(gram, diagonal * (1 + DIAGONAL_SHARE) + 1e-7 * max(float(diagonal.max()), 1e-300))
    penalty, basis = linalg.eigh(np.diag(loss.penalty), gram, check_finite=False)
    return basis, np.maximum(penalty, 0.0)


def diagonal_basis(loss: LinearLoss) -> tuple[Array, Array]:
    """Return the columns' scaling to variance one, and the penalty in it."""
    variance = loss.features.variance + DIAGONAL_SHARE
    return 1.0 / np.sqrt(variance), loss.penalty / variance


def _factor(hessian: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the lower Cholesky factor, row by row, of what may need a greater diagonal; above it is anything.

    The matrix gives its memory to it: new pages would cost as much as the factorisation.
    """
    diagonal = hessian.diagonal().copy()
    damping = 0.0
    for _ in range(8):
        if factorise(hessian):
            return hessian
        damping = max(damping * 100, float(np.finfo(hessian.dtype).eps))
        above = np.triu(hessian, 1)  # the half that was not written
        hessian = above + above.T
        np.fill_diagonal(hessian, diagonal + damping * diagonal.max())
    return np.diag(np.sqrt(np.maximum(diagonal, 1e-12)))
