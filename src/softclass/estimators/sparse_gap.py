"""The duality gap over sparse rows: as `certificate.duality_gap`, in one sweep over parameters and gradient.

There may be tens of millions of parameters, of which every intermediate array would cost as much as a read of the rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array

ROUNDING = 1e-14  # of the objective: what the sums behind a bound may have lost in float64
SWEEP_NUMBERS = 2**16  # parameters at a time: they stay in the second cache


def sparse_gap(loss: LinearLoss, theta: Array, value: float, gradient: Array, goal: float = 0.0) -> float:
    r"""Return the duality gap of a ridge penalty at `theta`, where `LinearLoss` has `value` and `gradient`.

    The dual point is made of the probabilities, mixed with so much, t, of a constant distribution that their sums agree
    with the targets'. Its weights are ``(1 - t) G - t M``, with G the loss's gradient and M the sums of the rows of a
    class. By the triangle inequality they are no longer than ``(1 - t) |G| + t B`` with B from the lengths of the rows
    alone: if that bound is within `goal` it will do, else M is summed, which has few numbers that are not zero.
    """
    kept = loss.sparse_pass.gap_at
    if kept is not None and kept[0] is theta and kept[1] is gradient:
        return kept[2]
    sums = _sums(loss, theta, gradient)
    mixed, constant_entropy, by_bias = 0.0, 0.0, 0.0
    if loss.intercept:
        slope, bias = gradient[:, -1], theta[:, -1]
        by_bias = float(slope @ bias)
        slope = np.append(-slope.sum(), slope) if loss.n_classes == 2 else slope
        excess = max(0.0, float(np.max(slope / loss.shares)))
        mixed = excess / (1.0 + excess)
        constant = np.maximum(loss.shares - slope / excess, 0.0) if excess > 0 else loss.shares
        constant_entropy = -float(constant @ np.log(np.where(constant > 0, constant, 1.0)))
    entropy = value - 0.5 * sums.penalty - sums.crossed - by_bias
    entropy = (1.0 - mixed) * entropy + mixed * constant_entropy

    def bound(square: float) -> float:
        whole = 0.5 * max(square, 0.0)
        share = 1.0 if 2.0 * whole <= entropy else max(entropy, 0.0) / (2.0 * whole)
        gap = value - (share * entropy - share * share * whole) + ROUNDING * value
        return max(gap, ROUNDING * value) if np.isfinite(gap) else np.inf

    rest = (1.0 - mixed) * np.sqrt(sums.slopes)
    gap = bound((rest + (mixed * loss.sparse_pass.longest_class_sums if mixed > 0 else 0.0)) ** 2)
    if gap > goal and mixed > 0:
        square, turned = loss.sparse_pass.class_sums_with(gradient, theta)
        turned -= float(sums.by_shift @ _own_shares(loss))
        gap = bound(rest * rest - 2.0 * mixed * (1.0 - mixed) * turned + mixed * mixed * square)
    loss.sparse_pass.gap_at = (theta, gradient, gap)
    return gap


def _own_shares(loss: LinearLoss) -> Array:
    return loss.shares[loss.n_classes - loss.n_rows :]


class _Sums(NamedTuple):
    """Of the loss's gradient G: squared length over the penalty, product with theta, with the centre of the rows."""

    slopes: float
    crossed: float
    by_shift: Array
    penalty: float


def _sums(loss: LinearLoss, theta: Array, gradient: Array) -> _Sums:
    d, k = loss.features.n_features, loss.n_rows
    point, slope = theta.T, gradient.T  # the classes of a column lie together
    slopes, crossed, penalty = 0.0, 0.0, 0.0
    by_shift, shift = np.zeros(k), loss.sparse_pass.centre_of_rows
    step = max(1, SWEEP_NUMBERS // k)
    for first in range(0, d, step):
        part = slice(first, min(first + step, d))
        root = np.sqrt(loss.penalty[part, None])
        own, turned = point[part] * root, slope[part] / root
        penalty += float(np.vdot(own, own))
        turned -= own
        slopes += float(np.vdot(turned, turned))
        crossed += float(np.vdot(turned, own))
        by_shift += shift[part] @ turned
    return _Sums(slopes, crossed, by_shift, penalty)
