"""The exact Hessian of compact rows under a ridge that recedes: for classes that are nearly separated.

Then few rows carry the curvature, so that a Hessian of all of them costs a few passes; but rows far from the others,
which carry none, turn up on the wrong side after every long step. A ridge on the scaled columns keeps steps short where
they would be long, and the minimum under a strong one leads to that under a weaker one. Each Hessian serves some steps
of L-BFGS, whose passes cost a thirtieth of its factorisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from softclass.estimators.lbfgs import Pairs
from softclass.estimators.line_search import Limits, Solution, line_search
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.preconditioners import Apply, scaled_inverse
from softclass.estimators.scaling import Array

FIRST_RIDGE = 0.1  # on columns of variance one
LAST_RIDGE = 1e-10
FALL = 10.0  # from one ridge to the next
NEAR = 0.1  # decrement, relative to the objective, at which the next ridge is due
STEPS = 4  # with one Hessian; 8 took fewer Hessians and longer
MOST_STEPS = 60  # under one ridge
STEEP = 0.9
FIRST_STEEP = 0.3  # of a step with a fresh Hessian, whose length should be good
CAUTION = 1e-4  # largest tolerance that is worked to: among far rows, estimates are too small by orders of magnitude
CLOSER = 0.1  # of the tolerance: proofs have some six times the true distance
LEAST_CURVATURE = 1e-9  # of the objective: what a term of the Hessian must have to count


def recede(loss: LinearLoss, start: Array, limits: Limits, *, is_cold: bool) -> Solution:
    """Minimise on compact rows, which must be `condensed`; `start` is kept where it is not cold."""
    search = _Search(loss, replace(limits, tolerance=min(CLOSER * limits.tolerance, CAUTION)), start)
    for ridge in _ridges(loss) if is_cold else ():
        search.under(ridge)
        if search.reason:
            break
    while not search.reason:
        search.under(0.0)
    value, gradient = loss.value_and_gradient(search.theta)
    return Solution(
        search.theta, value, gradient, search.steps, search.reason, search.decrement, "receding-ridge", loss
    )


def _ridges(loss: LinearLoss) -> Iterator[float]:
    ridge, least = FIRST_RIDGE, max(LAST_RIDGE, 0.1 * float(loss.penalty.min()))
    while ridge > least * (1 - 1e-9):
        yield ridge
        ridge /= FALL


@dataclass
class _Search:
    """Where the solver is; `reason` is set when it is over."""

    loss: LinearLoss
    limits: Limits
    theta: Array
    steps: int = 0
    decrement: float = np.nan
    reason: str = ""

    def under(self, ridge: float) -> None:
        """Go near the minimum under a ridge, or to the goal where it is zero."""
        loss = replace(self.loss, penalty=self.loss.penalty + ridge) if ridge else self.loss
        value, gradient = loss.value_and_gradient(self.theta)
        pairs = Pairs(STEPS, self.theta.size)
        inverse: Apply | None = None
        age, quiet = 0, 0
        for _ in range(MOST_STEPS):
            if self.steps >= self.limits.max_iter:
                self.reason = "max_iter"
                return
            if inverse is None or age == STEPS:
                inverse, age = scaled_inverse(loss, self.theta, LEAST_CURVATURE * value), 0
                pairs.clear()
            direction = pairs.direction(gradient, inverse)
            slope = float(np.vdot(gradient, direction))
            steep = STEEP if age else FIRST_STEEP
            found = None
            if slope < 0:
                found = line_search(loss, self.theta, direction, value, slope, first=1.0, curvature=steep)
            if found is None and age:
                inverse = None
                continue
            self.decrement, age, self.steps = max(-0.5 * slope, 0.0), age + 1, self.steps + 1
            if found is not None:
                change, turn = found[0] - self.theta, found[2] - gradient
                self.theta, value, gradient = found
                pairs.add(change, turn, slope)
            if not ridge:
                self.limits.tell(loss, self.steps, value, gradient, self.decrement)
            if self.limits.is_late():
                self.reason = "deadline"
            elif not ridge and self.decrement <= self.limits.goal(value):
                # Only a fresh Hessian is believed, and twice: among far rows the first estimate is too small.
                quiet += age == 1
                inverse = None
                self.reason = "decrement" if quiet == 2 or found is None else ""
            elif found is None:
                near = self.decrement <= max(self.limits.tolerance / 100, 1e-10) * value
                self.reason = "" if ridge else ("decrement" if near else "stalled")
                return
            else:
                quiet = 0
            if self.reason or (ridge and self.decrement <= NEAR * value):
                break
        if ridge:
            true_value, true_gradient = self.loss.value_and_gradient(self.theta)
            self.limits.tell(self.loss, self.steps, true_value, true_gradient, true_value)
