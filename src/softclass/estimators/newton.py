"""Newton's method with the exact Hessian, for few parameters."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from softclass.estimators.line_search import Limits, Solution, is_separated, line_search
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array

FIRST_DAMPING = 1e-14  # of the scaled diagonal: rank-deficient data without penalty stay solvable
STEEP = 0.3  # slope that may be left after a step, as a share of the slope before


def newton(loss: LinearLoss, start: Array, limits: Limits) -> Solution:
    """Minimise by Newton steps, each with a line search."""
    theta = start
    value, gradient = loss.value_and_gradient(theta)
    damping, decrement, before, quiet = FIRST_DAMPING, np.nan, np.nan, 0

    def ended(iteration: int, reason: str) -> Solution:
        estimate = float(np.fmax(decrement, before)) if quiet > 1 else decrement
        return Solution(theta, value, gradient, iteration, reason, estimate, "newton")

    for iteration in range(1, limits.max_iter + 1):
        if is_separated(loss):
            return ended(iteration - 1, "separated")
        direction = newton_direction(loss.hessian(theta), gradient, damping)
        slope = float(np.vdot(gradient, direction))
        decrement, before = -0.5 * slope, decrement
        quiet = quiet + 1 if decrement <= limits.goal(value) else 0
        # Twice in a row: among far rows the first estimate is too small, and then the second is not.
        done = quiet >= (1 if limits.polish else 2)
        found = line_search(loss, theta, direction, value, slope, first=1.0, curvature=STEEP) if slope < 0 else None
        if found is not None:
            theta, value, gradient = found
        elif not done and damping < 1e-6:
            damping = max(damping * 1e3, 1e-12)
        elif not done:
            near = decrement <= max(limits.tolerance / 100, 1e-10) * value
            return ended(iteration, "decrement" if near else "stalled")
        # The estimate from before the step: a bound at each would cost a tenth of a small fit.
        limits.tell(loss, iteration, value, gradient, decrement)
        if done:
            return ended(iteration, "decrement")
        if limits.is_late():
            return ended(iteration, "deadline")
    return ended(limits.max_iter, "max_iter")


def newton_direction(hessian: Array, gradient: Array, damping: float) -> Array:
    """Return minus the damped inverse Hessian times the gradient; the Hessian is overwritten.

    Its diagonal is scaled to one: far rows that are settled no longer weigh on their columns.
    """
    root = np.sqrt(np.maximum(hessian.diagonal(), 1e-300))
    hessian /= root
    hessian /= root[:, None]
    shape = gradient.shape
    gradient = gradient.ravel() / root
    for _ in range(12):
        np.fill_diagonal(hessian, 1.0 + damping)
        try:
            factor = linalg.cho_factor(hessian, lower=True, check_finite=False)
        except linalg.LinAlgError:
            damping *= 30.0
            continue
        direction: Array = -linalg.cho_solve(factor, gradient, check_finite=False) / root
        direction = direction.reshape(shape)
        return direction - direction.mean(axis=0) if len(direction) > 1 else direction
    return -(gradient / root).reshape(shape)
