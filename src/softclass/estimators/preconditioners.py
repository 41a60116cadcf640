"""Approximate inverse Hessians from which L-BFGS starts: each takes a gradient and returns a step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg

from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array

Apply = Callable[[Array], Array]

DIAGONAL_SHARE = 1e-4  # of the diagonal added, so that what the sample misses keeps some curvature


def full_inverse(loss: LinearLoss, theta: Array, variance: Array, shrink: float) -> Apply:
    """Return the inverse of the whole Hessian on the rows of a sample."""
    hessian = loss.hessian(theta)
    diagonal = hessian.diagonal().copy()
    np.fill_diagonal(hessian, diagonal * (1 + DIAGONAL_SHARE) + 1e-10 * diagonal.max())
    factor = _factor(hessian)
    return lambda gradient: linalg.cho_solve(factor, gradient.ravel(), check_finite=False).reshape(gradient.shape)


def block_inverse(loss: LinearLoss, theta: Array, variance: Array, shrink: float) -> Apply:
    """Return the inverses of the diagonal blocks of the Hessian, one a class, on the rows of a sample.

    The weights ``0.9 p (1 - p) + 0.1 pi (1 - pi)`` keep rows visible that are classified well now.
    """
    block = loss.features.blocks[0]
    chances = loss.probabilities(block, theta)
    extended = loss.extended(block)
    penalty = loss.extended_penalty()
    full = np.append(variance, 1.0) if loss.intercept else variance
    shares = loss.shares[-1:] if loss.n_classes == 2 else loss.shares

    def factor_of(row: int) -> tuple[Array, bool]:
        curvature = 0.9 * chances[:, row] * (1 - chances[:, row]) + 0.1 * shares[row] * (1 - shares[row])
        weight = loss.weights * curvature
        root = extended * np.sqrt(weight).astype(extended.dtype)[:, None]
        hessian = (root.T @ root).astype(np.float64)
        hessian *= 1.0 - shrink
        diagonal = hessian.diagonal() + shrink * float(weight.sum()) * full
        np.fill_diagonal(hessian, diagonal * (1 + DIAGONAL_SHARE) + 1e-7 * diagonal.max() + penalty)
        return _factor(hessian)

    factors = list(loss.workers.map(factor_of, range(len(theta))))

    def apply(gradient: Array) -> Array:
        steps = [
            linalg.cho_solve(factor, part, check_finite=False) for factor, part in zip(factors, gradient, strict=True)
        ]
        return np.stack(steps)

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
        by_weight, by_bias = loss.split(gradient)
        turned = by_weight @ basis if basis is not None else by_weight * curvature
        if loss.n_classes == 2:
            turned = turned / (pair + penalty)
            step = by_bias / pair
        else:
            common = (turned / below).sum(axis=0) / total
            turned = (turned - shares[:, None] * common) / below
            step = by_bias / shares
            step = step - step.mean()
        weight = turned @ basis.T if basis is not None else turned * curvature
        return np.concatenate([weight, step[:, None]], axis=1) if loss.intercept else weight

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


def _factor(hessian: Array) -> tuple[Array, bool]:
    diagonal = hessian.diagonal().copy()
    damping = 0.0
    for _ in range(8):
        try:
            factor: tuple[Array, bool] = linalg.cho_factor(hessian, lower=True, check_finite=False)
        except linalg.LinAlgError:
            damping = max(damping * 100, 1e-10)
            np.fill_diagonal(hessian, diagonal + damping * diagonal.max())
            continue
        return factor
    return np.diag(np.sqrt(np.maximum(diagonal, 1e-12))), True
