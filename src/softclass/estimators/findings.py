"""What is known of a solution beside its weights: distance from the optimum, separation, rank, information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from softclass.estimators.certificate import NEWTON_NUMBERS, NEWTON_WORK, Certificate, certify
from softclass.estimators.column_rank import ColumnRank
from softclass.estimators.line_search import Solution
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array
from softclass.estimators.separation import (
    Direction,
    Pattern,
    complete_direction,
    leads_of_blocks,
    never_together,
    pattern_of,
    quasi_direction,
)


@dataclass(frozen=True, eq=False)
class Information:
    """The curvature of the loss at the optimum, and the map from the caller's columns to its coordinates.

    Attributes
    ----------
    matrix : float64 array of shape (rows * columns, rows * columns)
        Hessian of the mean loss over the flattened parameters of the scaled kept columns, the bias last in each row.
        For more than two classes regular for the shift common to all.
    kept : int array
        The columns of the caller that have coordinates.
    scale, mean : float64 arrays
        Of these columns.
    intercept : bool
        Whether there is a bias.
    """

    matrix: Array
    kept: npt.NDArray[np.int64]
    scale: Array
    mean: Array
    intercept: bool


@dataclass(frozen=True, eq=False)
class Findings:
    """What is known of a solution.

    Attributes
    ----------
    certificate : Certificate
        Distance from the optimum.
    solver : str
        The way that was taken.
    passes : int
        Reads of all rows.
    constant : bool array of shape (D,)
        Columns without variation.
    rank : ColumnRank or None
        Found without penalty only.
    direction : Direction or None
        Separation, in the scaled kept columns.
    separating : tuple of float64 arrays of shapes (rows, D) and (rows,), or None
        The direction's weights and bias in the caller's units.
    never : tuple of (column, class)
        Columns of zeros and ones, and classes in whose rows they are zero.
    information : Information or None
        Found without penalty, for up to 1500 parameters.
    """

    certificate: Certificate
    solver: str
    passes: int
    constant: npt.NDArray[np.bool_]
    rank: ColumnRank | None = None
    direction: Direction | None = None
    separating: tuple[Array, Array] | None = None
    never: tuple[tuple[int, int], ...] = ()
    information: Information | None = None


def examine(
    loss: LinearLoss,
    found: Solution,
    tolerance: float,
    constant: npt.NDArray[np.bool_],
    rank: ColumnRank | None,
    l1: Array | None = None,
) -> tuple[Findings, Solution]:
    """Certify a solution and, where there is no penalty, look for separation; `rank` maps the columns of `loss`.

    Returns the solution too, which certifying may have improved.
    """
    certificate, hessian, found = certify(loss, found, tolerance, l1)
    unpenalised = not np.any(loss.penalty) and l1 is None
    kept = np.flatnonzero(~constant) if rank is None else rank.kept
    direction = None
    if unpenalised and found.reason == "separated":
        direction = complete_direction(loss, found.theta, loss.margin[0])
    elif unpenalised and certificate.kind != "newton" and found.reason != "deadline":
        direction = quasi_direction(loss, found.theta)
    elif loss.watch_margin and loss.margin[0] > 0:
        direction = complete_direction(loss, found.theta, loss.margin[0])
    information = None
    if unpenalised and rank is not None and found.reason != "separated" and _is_affordable(loss, found.theta.size):
        if direction is not None:
            hessian = limiting_hessian(loss, found.theta, pattern_of(direction.theta))
        elif hessian is None:
            hessian = loss.hessian(found.theta)
        information = Information(hessian, kept, loss.features.scale, loss.features.mean, loss.intercept)
    separating: tuple[Array, Array] | None = None
    never: tuple[tuple[int, int], ...] = ()
    if direction is not None:
        weight, bias = loss.split(direction.theta)
        whole = np.zeros((len(weight), len(constant)))
        whole[:, kept] = weight / loss.features.scale
        separating = (whole, bias - whole[:, kept] @ loss.features.mean if loss.intercept else bias)
        never = tuple((int(kept[j]), k) for j, k in never_together(loss)) if direction.kind != "complete" else ()
    passes = loss.passes[0]
    findings = Findings(certificate, found.solver, passes, constant, rank, direction, separating, never, information)
    return findings, found


def _is_affordable(loss: LinearLoss, size: int) -> bool:
    return size <= NEWTON_NUMBERS and len(loss.targets) * size**2 <= NEWTON_WORK


def limiting_hessian(loss: LinearLoss, theta: Array, pattern: Pattern) -> Array:
    """Return the Hessian in the limit of weights that grow along a separating direction: what loses has no share."""
    k, c = theta.shape
    hessian = np.zeros((k, c, k, c))
    for span, block, along in leads_of_blocks(loss, pattern.direction):
        logits = np.where(pattern.lost(along), -np.inf, loss.block_logits(block, theta))
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances = (odds / odds.sum(axis=1, keepdims=True))[:, loss.n_classes - k :]
        extended = loss.extended(block).astype(np.float64, copy=False)
        weights = loss.weights[span, None]
        for one in range(k):
            for two in range(one, k):
                product = chances[:, one] * ((one == two) - chances[:, two])
                part = extended.T @ (extended * (weights[:, 0] * product)[:, None])
                hessian[one, :, two] += part
                if two > one:
                    hessian[two, :, one] += part
    if k > 1:
        columns = np.arange(c)
        for one in range(k):
            for two in range(k):
                hessian[one, columns, two, columns] += 1.0 / k
    return hessian.reshape(k * c, k * c)


def regular_part(hessian: Array, relative: float) -> tuple[Array, Array]:
    """Return the inverse on the span of the eigenvectors that count, and an orthonormal basis of the rest."""
    values, vectors = linalg.eigh(hessian, check_finite=False)
    counts = values > relative * max(float(values[-1]), 1e-300)
    span = vectors[:, counts]
    return (span / values[counts]) @ span.T, vectors[:, ~counts]
