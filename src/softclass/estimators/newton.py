"""Newton's method with the exact Hessian, for few parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import linalg

from softclass.estimators.line_search import Limits, Solution, is_separated, line_search
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array

FIRST_DAMPING = 1e-14  # of the scaled diagonal: rank-deficient data without penalty stay solvable
STEEP = 0.3  # slope that may be left after a step, as a share of the slope before
STAGE_ROWS = 4000  # rows of the first sample, at least
STAGE_ROWS_EACH = 20  # and rows a parameter
STAGE_GAIN = 3  # the sample must be so many times smaller than the data
STAGE_GROWTH = 4  # of the sample from stage to stage
STAGE_TOLERANCE = 0.1


def staged_newton(loss: LinearLoss, start: Array, limits: Limits, seed: int) -> Solution:
    """Minimise as `newton` does, from the minimum on a sample of the rows where there are many.

    Far rows and rare classes take Newton's method dozens of damped steps, and those are as good on a sample that has
    such rows whole: it is drawn by their share in the curvature, and drawn again, larger, at the minimum found.
    """
    size = max(STAGE_ROWS, STAGE_ROWS_EACH * start.size)
    if loss.watch_margin or loss.is_sparse or STAGE_GAIN * size > len(loss.targets):
        return newton(loss, start, limits)
    quietly = replace(limits, tolerance=STAGE_TOLERANCE, polish=False, progress=None, history=None)
    point, rng = start, np.random.default_rng(seed)
    while STAGE_GAIN * size <= len(loss.targets) and not limits.is_late():
        point = newton(loss.curved_sample(point, size, rng), point, quietly).theta
        size *= STAGE_GROWTH
    with np.errstate(over="ignore", invalid="ignore"):
        better = loss.value_and_gradient(point)[0] < loss.value_and_gradient(start)[0]
    return newton(loss, point if better else start, limits)


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
        factor, failure = linalg.lapack.dpotrf(hessian.T, lower=1)
        if failure:
            damping *= 30.0
            continue
        direction: Array = (linalg.lapack.dpotrs(factor, gradient, lower=1)[0] / -root).reshape(shape)
        return direction - np.add.reduce(direction) / len(direction) if len(direction) > 1 else direction
    return -(gradient / root).reshape(shape)
