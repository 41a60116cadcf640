r"""A proof of nearness from one Newton step, for columns so weakly penalised that the gradient itself proves nothing.

With the probabilities p of a row at a point and the change u of its logits by a step, the distribution
:math:`\alpha = p (1 + u - p \cdot u)` is where p goes to first order. By Newton's equation its dual weights are those
of the point after the step, so that the duality gap is of the order of what the step leaves out, whatever the penalty.
Only rounding, and rows where the first order leaves the simplex, meet the penalty's inverse.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.preconditioners import scaled_inverse
from softclass.estimators.scaling import BLOCK_BYTES, Array

REFINEMENTS = 3  # of a Newton step: far rows multiply what it lacks


class DualPoint(NamedTuple):
    """Distributions, one a row, as far as the dual objective asks for them.

    Attributes
    ----------
    entropy : float
        Weighted mean of their entropies.
    loss_gradient : float64 array of shape (rows, D)
        Weighted sum of (distribution - target) times the scaled columns.
    by_bias : float64 array of shape (rows,)
        The same without columns.
    """

    entropy: float
    loss_gradient: Array
    by_bias: Array


def linearised_dual(loss: LinearLoss, theta: Array, step: Array) -> DualPoint:
    """Return the distributions to first order after a step, those outside the simplex put back into it.

    For three classes and more, and rows that are worked on in float64.
    """
    entropy = 0.0
    gradient = np.zeros_like(theta)
    rows = max(16, BLOCK_BYTES // (16 * (loss.n_columns + loss.n_classes)))
    for first in range(0, len(loss.targets), rows):
        part = slice(first, min(first + rows, len(loss.targets)))
        extended = loss.wide_rows(part)
        weights, targets = loss.weights[part], loss.targets[part]
        chances, change = special.softmax(extended @ theta.T, axis=1), extended @ step.T
        change -= (chances * change).sum(axis=1, keepdims=True)
        moved = np.maximum(chances * (1.0 + change), 0.0)
        moved /= moved.sum(axis=1, keepdims=True)
        entropy -= float(weights @ special.xlogy(moved, moved).sum(axis=1))
        places = np.arange(len(moved))
        moved[places, targets] = 0.0  # minus the others: nothing cancels where the target has nearly all
        moved[places, targets] = -moved.sum(axis=1)
        gradient += (moved * weights[:, None]).T @ extended
    loss.passes[0] += 1
    return DualPoint(entropy, *loss.split(gradient))


def refined_step(loss: LinearLoss, theta: Array, gradient: Array) -> Array:
    """Return the Newton step, as exact as products with the whole Hessian make it."""
    inverse = scaled_inverse(loss, theta, 0.0)
    step = -inverse(gradient)
    for _ in range(REFINEMENTS):
        step -= inverse(gradient + loss.hessian_product(theta, step))
        step -= step.mean(axis=0)
    return step
