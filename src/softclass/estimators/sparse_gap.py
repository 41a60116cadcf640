"""The duality gap over sparse rows: as `certificate.duality_gap`, in one sweep over parameters and gradient.

There may be tens of millions of parameters, of which every intermediate array would cost as much as a read of the rows.
"""

from __future__ import annotations

import numpy as np

from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array

ROUNDING = 1e-14  # of the objective: what the sums behind a bound may have lost in float64
SWEEP_NUMBERS = 2**16  # parameters at a time: they stay in the second cache


def sparse_gap(loss: LinearLoss, theta: Array, value: float, gradient: Array) -> float:
    r"""Return the duality gap of a ridge penalty at `theta`, where `LinearLoss` has `value` and `gradient`.

    The dual point is made of the probabilities, mixed with so much, t, of a constant distribution u that their sum
    agrees with the targets'. By the triangle inequality the mixture's weights are no longer than ``(1 - t) |G| + t B``,
    where G is the loss's gradient and B the weighted sum of the lengths of the rows of a class, over the classes: no
    sums of the columns by class are needed.
    """
    kept = loss.sparse_pass.gap_at
    if kept is not None and kept[0] is theta and kept[1] is gradient:
        return kept[2]
    slopes, crossed, penalty = _sums(loss, theta, gradient)
    mixed, constant_entropy, by_bias = 0.0, 0.0, 0.0
    longest = 0.0
    if loss.intercept:
        slope, bias = gradient[:, -1], theta[:, -1]
        by_bias = float(slope @ bias)
        slope = np.append(-slope.sum(), slope) if loss.n_classes == 2 else slope
        excess = max(0.0, float(np.max(slope / loss.shares)))
        mixed = excess / (1.0 + excess)
        constant = np.maximum(loss.shares - slope / excess, 0.0) if excess > 0 else loss.shares
        constant_entropy = -float(constant @ np.log(np.where(constant > 0, constant, 1.0)))
        longest = loss.sparse_pass.longest_class_sums if mixed > 0 else 0.0
    entropy = value - 0.5 * penalty - crossed - by_bias
    whole = 0.5 * ((1.0 - mixed) * np.sqrt(slopes) + mixed * longest) ** 2
    entropy = (1.0 - mixed) * entropy + mixed * constant_entropy
    share = 1.0 if 2.0 * whole <= entropy else max(entropy, 0.0) / (2.0 * whole)
    gap = value - (share * entropy - share * share * whole) + ROUNDING * value
    gap = max(gap, ROUNDING * value) if np.isfinite(gap) else np.inf
    loss.sparse_pass.gap_at = (theta, gradient, gap)
    return gap


def _sums(loss: LinearLoss, theta: Array, gradient: Array) -> tuple[float, float, float]:
    """Return the squared length of the loss's gradient over the penalty, that gradient times theta, and the penalty."""
    d, k = loss.features.n_features, loss.n_rows
    point, slope = theta.T, gradient.T  # the classes of a column lie together
    slopes, crossed, penalty = 0.0, 0.0, 0.0
    step = max(1, SWEEP_NUMBERS // k)
    for first in range(0, d, step):
        part = slice(first, min(first + step, d))
        root = np.sqrt(loss.penalty[part, None])
        own, turned = point[part] * root, slope[part] / root
        penalty += float(np.vdot(own, own))
        turned -= own
        slopes += float(np.vdot(turned, turned))
        crossed += float(np.vdot(turned, own))
    return slopes, crossed, penalty
