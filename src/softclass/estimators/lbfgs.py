"""L-BFGS that starts from an approximate inverse Hessian, for many parameters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from softclass.estimators.certificate import confirmed_decrement, dual_certificate, duality_gap
from softclass.estimators.line_search import Limits, Solution, is_separated, line_search
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.preconditioners import Apply
from softclass.estimators.scaling import Array

PAIR_BYTES = 256 * 2**20  # memory of the stored pairs; 5 to 20 of them
SLOW_WINDOW = 30  # iterations in which the decrement must fall tenfold, where another solver waits
STEEP = 0.9
NOISE = 1e-9  # of the objective: a decrement below says nothing where the rows are float32


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
    pairs: deque[tuple[Array, Array, float]] = deque(maxlen=int(np.clip(PAIR_BYTES // (16 * theta.size), 5, 20)))
    quiet, failures = 0, 0
    decrements: list[float] = []

    def ended(iteration: int, reason: str) -> Solution:
        return Solution(theta, value, gradient, iteration, reason, decrements[-1] if decrements else np.nan)

    def backward(rest: Array) -> Array:
        return -two_loop(rest, pairs, inverse)

    ahead: Array | None = None  # a step by conjugate gradients, where they found more to gain than the pairs promise
    for iteration in range(1, limits.max_iter + 1):
        if is_separated(loss):
            return ended(iteration - 1, "separated")
        direction, ahead = two_loop(gradient, pairs, inverse) if ahead is None else ahead, None
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
        product = float(np.vdot(change, turn))
        if product > 1e-14 * abs(slope):
            pairs.append((change, turn, product))
        gap = duality_gap(loss, theta, value, gradient)
        if not limits.polish:
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


def two_loop(gradient: Array, pairs: deque[tuple[Array, Array, float]], inverse: Apply) -> Array:
    """Return the quasi-Newton direction; the inverse Hessian is scaled to what the last pair says."""
    rest, step = gradient.copy(), gradient
    shares = []
    for change, turn, product in reversed(pairs):
        share = float(np.vdot(change, rest)) / product
        rest -= share * turn
        shares.append(share)
    if pairs:
        _, turn, product = pairs[-1]
        step, turned = inverse(np.stack([rest, turn]))
        step *= product / max(float(np.vdot(turn, turned)), 1e-300)
    else:
        step = inverse(rest)
    for (change, turn, product), share in zip(pairs, reversed(shares), strict=True):
        step += (share - float(np.vdot(turn, step)) / product) * change
    if len(step) > 1:
        step -= step.mean(axis=0)
    return -step
