"""A step length along a descent direction of a convex function, shared by the solvers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array

TRIALS = 25
SUFFICIENT = 1e-4

Progress = Callable[[int, float, float], None]


@dataclass(frozen=True)
class Limits:
    """When a solver stops.

    Attributes
    ----------
    tolerance : float
        Goal for the distance from the minimum, relative to the objective.
    polish : bool
        Whether to go on to rounding, which small problems can afford.
    max_iter : int
        Most iterations.
    progress : callable or None
        Called with iteration, objective and gradient norm in the caller's units.
    deadline : float or None
        Value of ``time.monotonic()`` after which the best so far is kept.
    history : list or None
        Gets a tuple an iteration: reads of all rows so far, objective, and its distance from the minimum: a bound, or
        an estimate where there is none.
    """

    tolerance: float
    polish: bool
    max_iter: int
    progress: Progress | None = None
    deadline: float | None = None
    history: list[tuple[int, float, float]] | None = None

    def tell(self, loss: LinearLoss, iteration: int, value: float, gradient: Array, gap: float) -> None:
        """Say where an iteration has come to."""
        if self.history is not None:
            self.history.append((loss.passes[0], value, gap))
        if self.progress is not None:
            self.progress(iteration, value, loss.user_gradient_norm(gradient))

    def goal(self, value: float) -> float:
        """Return the estimated decrement at which to stop: estimates get a hundredth of the tolerance."""
        relative = min(self.tolerance / 100, 1e-12) if self.polish else self.tolerance / 100
        return max(relative, 1e-16) * max(value, 1e-300)

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a solver stopped, and why.

    Attributes
    ----------
    theta, value, gradient
        The point, the objective and its gradient there, in scaled columns.
    iterations : int
        Steps taken.
    reason : str
        "decrement", "duality": done; "separated"; "max_iter", "deadline"; "stalled": no step lowers the objective.
    decrement : float
        Last estimate of the distance from the minimum; NaN if there was none.
    solver : str
        The way that was taken, such as "newton" or "lbfgs-block".
    loss : LinearLoss or None
        The same loss in other rows or arithmetic, where the solver changed to them: value and gradient are of it.
    """

    theta: Array
    value: float
    gradient: Array
    iterations: int
    reason: str
    decrement: float = np.nan
    solver: str = ""
    loss: LinearLoss | None = None


def is_separated(loss: LinearLoss) -> bool:
    """Whether the last value was taken at weights that put every row on its right side."""
    return loss.watch_margin and loss.margin[0] > (1e-5 if loss.single else 0.0)


def line_search(
    loss: LinearLoss, theta: Array, direction: Array, value: float, slope: float, *, first: float, curvature: float
) -> tuple[Array, float, Array] | None:
    """Return point, value and gradient after a step that meets the (approximate) Wolfe conditions, or None.

    Where values differ by no more than rounding the slopes decide, which stay sure much longer.
    """
    noise = (1e-8 if loss.single else 1e-13) * abs(value)
    low, low_slope, high = 0.0, slope, np.inf
    step = first
    best: tuple[Array, float, Array] | None = None
    for _ in range(TRIALS):
        point = theta + step * direction
        with np.errstate(over="ignore", invalid="ignore"):
            trial, gradient = loss.value_and_gradient(point)
        trial_slope = float(np.vdot(gradient, direction)) if np.isfinite(trial) else np.inf
        flat = trial <= value + noise and trial_slope <= -0.8 * slope
        enough = trial <= value + SUFFICIENT * step * slope
        if not (flat or enough):
            high = step
        elif trial_slope < curvature * slope:  # still steep: go on
            low, low_slope, best = step, trial_slope, (point, trial, gradient)
        elif trial_slope > -curvature * slope and np.isinf(high) and step == first and curvature < 0.5:
            high = step  # far beyond the minimum: a Newton step is worth a better length
            best = (point, trial, gradient)
        else:
            return point, trial, gradient
        step = _next_step(low, low_slope, high, step, trial_slope)
    return best


def _next_step(low: float, low_slope: float, high: float, step: float, slope: float) -> float:
    """Secant of the slopes, kept well inside the bracket, or a bold step where there is no bracket yet."""
    if np.isinf(high):
        return 4.0 * step
    width = high - low
    if step == high and np.isfinite(slope) and slope > 0:
        guess = low + width * low_slope / (low_slope - slope)
    else:
        guess = low + 0.5 * width if np.isfinite(slope) else low + 0.1 * width
    return float(np.clip(guess, low + 0.1 * width, high - 0.1 * width))
