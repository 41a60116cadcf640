"""L-BFGS that starts from an approximate inverse Hessian, for many parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import lapack

from softclass.estimators.certificate import confirmed_decrement, dual_certificate, duality_gap
from softclass.estimators.line_search import Limits, Solution, is_separated, line_search
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.preconditioners import Apply
from softclass.estimators.scaling import Array

PAIR_BYTES = 256 * 2**20  # memory of the stored pairs; 5 to 20 of them
SLOW_WINDOW = 30  # iterations in which the decrement must fall tenfold, where another solver waits
STEEP = 0.9
LEAST_PRODUCT = 1e-14  # of a step and its turn, in slopes along the direction that it went
NOISE = 1e-9  # of the objective: a decrement below says nothing where the rows are float32


class Pairs:
    r"""The last steps s and what each turned the gradient by, y: with an inverse Hessian to begin from, a better one.

    The two loops of Nocedal (1980) are two triangular systems in the products of each s with each y, so a direction
    takes four products with a matrix however many pairs there are.

    Parameters
    ----------
    most : int
        Pairs that are kept.
    size : int
        Parameters.
    """

    def __init__(self, most: int, size: int) -> None:
        self._steps, self._turns = np.empty((most, size)), np.empty((most, size))
        self._products = np.empty((most, most))  # of step i with turn j
        self._order: list[int] = []  # rows in use, oldest first; the next to use is the first one again when all are

    def __len__(self) -> int:
        return len(self._order)

    def clear(self) -> None:
        """Forget all pairs."""
        self._order.clear()

    def add(self, change: Array, turn: Array, slope: float) -> None:
        """Keep a pair, unless its product is nothing beside the slope; the oldest gives way where there is no room."""
        if not float(np.vdot(change, turn)) > LEAST_PRODUCT * abs(slope):
            return
        most = len(self._steps)
        row = self._order.pop(0) if len(self._order) == most else len(self._order)
        self._order.append(row)
        self._steps[row], self._turns[row] = change.reshape(-1), turn.reshape(-1)
        used = len(self._order)
        self._products[row, :used] = self._turns[:used] @ self._steps[row]
        self._products[:used, row] = self._steps[:used] @ self._turns[row]

    def direction(self, gradient: Array, inverse: Apply) -> Array:
        """Return the quasi-Newton direction; `inverse` is scaled to what the last pair says."""
        order, used = self._order, len(self._order)
        if not used:
            step = inverse(gradient)
        else:
            steps, turns, newest = self._steps[:used], self._turns[:used], order[-1]
            products = self._products[np.ix_(order, order)]
            flat = gradient.reshape(-1)
            shares = lapack.dtrtrs(products, (steps @ flat)[order])[0]
            by_row = np.empty(used)
            by_row[order] = shares
            ends = np.stack([flat - by_row @ turns, turns[newest]])
            step, turned = inverse(ends.reshape(2, *gradient.shape)).reshape(2, -1)
            step *= products[-1, -1] / max(float(turns[newest] @ turned), 1e-300)
            right = products.diagonal() * shares - (turns @ step)[order]
            by_row[order] = lapack.dtrtrs(products, right, trans=1)[0]
            step = (step + by_row @ steps).reshape(gradient.shape)
        if len(step) > 1:
            step = step - step.mean(axis=0)
        return -step


def lbfgs(
    loss: LinearLoss,
    start: Array,
    limits: Limits,
    make_inverse: Callable[[Array], Apply],
    *,
    refresh_at: frozenset[int] = frozenset(),
    may_give_up: bool = False,
) -> Solution:
    """Minimise by L-BFGS steps; `make_inverse` is called at the start and at the iterations `refresh_at`."""
    theta = start
    value, gradient = loss.value_and_gradient(theta)
    inverse = make_inverse(theta)
    pairs = Pairs(int(np.clip(PAIR_BYTES // (16 * theta.size), 5, 20)), theta.size)
    quiet, failures = 0, 0
    decrements: list[float] = []

    def ended(iteration: int, reason: str) -> Solution:
        return Solution(theta, value, gradient, iteration, reason, decrements[-1] if decrements else np.nan)

    def backward(rest: Array) -> Array:
        return -pairs.direction(rest, inverse)

    ahead: Array | None = None  # a step by conjugate gradients, where they found more to gain than the pairs promise
    for iteration in range(1, limits.max_iter + 1):
        if is_separated(loss):
            return ended(iteration - 1, "separated")
        direction, ahead = pairs.direction(gradient, inverse) if ahead is None else ahead, None
        slope = float(np.vdot(gradient, direction))
        found = None
        if slope < 0:
            decrements.append(-0.5 * slope)
            quiet = quiet + 1 if decrements[-1] <= limits.goal(value) else 0
            found = line_search(loss, theta, direction, value, slope, first=1.0, curvature=STEEP)
        if found is None:
            failures += 1
            if failures == 2 or quiet:
                near = bool(decrements) and decrements[-1] <= max(limits.tolerance / 100, 1e-10) * value
                return ended(iteration, "decrement" if near else "stalled")
            pairs.clear()
            inverse = make_inverse(theta)
            continue
        failures = 0
        change, turn = found[0] - theta, found[2] - gradient
        theta, value, gradient = found
        pairs.add(change, turn, slope)
        if limits.polish:
            gap = duality_gap(loss, theta, value, gradient)
        else:
            gap, theta, value, gradient = dual_certificate(loss, theta, value, gradient, limits.tolerance * value)
        limits.tell(loss, iteration, value, gradient, gap if np.isfinite(gap) else decrements[-1])
        if quiet >= 2:  # two estimates in a row, from different pairs
            estimate, ahead = confirmed_decrement(loss, theta, gradient, backward)
            decrements.append(estimate)
            if estimate <= max(limits.goal(value), (NOISE if loss.single else 0.0) * value):
                return ended(iteration, "decrement")
            quiet = 0
        if not limits.polish and gap <= limits.tolerance * value:
            return ended(iteration, "duality")
        if limits.is_late():
            return ended(iteration, "deadline")
        if may_give_up and len(decrements) > SLOW_WINDOW and decrements[-1] > 0.1 * decrements[-SLOW_WINDOW]:
            return ended(iteration, "stalled")
        if iteration in refresh_at:
            inverse = make_inverse(theta)
    return ended(limits.max_iter, "max_iter")
