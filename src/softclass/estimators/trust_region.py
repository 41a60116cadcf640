"""Newton's method in a trust region, its steps by conjugate gradients: for sparse rows with many columns.

Steihaug, SIAM J. Numer. Anal. 20:626 (1983); rules for the radius as in Lin, Weng and Keerthi, JMLR 9:627 (2008). Each
product with the Hessian is a pass over the rows, so steps are solved no better than the gradient deserves.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import get_blas_funcs

from softclass.estimators.certificate import duality_gap
from softclass.estimators.line_search import Limits, Solution, is_separated
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array

MOST_PRODUCTS = 60  # of one step
LOOSE = 0.25  # residual of the first steps, relative to the gradient
ACCEPTED = 1e-4  # of the decrease that the model predicts
GOOD, BAD = 0.75, 0.25  # from where the region grows, below which it shrinks
FAR = 10.0  # decrease, relative to the goal, after which a bound is not worth its cost
FEW_PRODUCTS = 4
ENOUGH = 0.1  # of the decrement at which the solver stops: where few products gain less, many more are not worth it
FAILURES = 3  # steps in a row that lower nothing

Vector = Any  # flat, of P numbers


def newton_cg(loss: LinearLoss, start: Array, limits: Limits) -> Solution:
    """Minimise by steps of truncated conjugate gradients."""
    theta = np.asfortranarray(start)  # a class after the other within a column, as the rows' weights are gathered
    value, gradient = loss.value_and_gradient(theta)
    first_size = _length(_flat(gradient))
    radius, decrement, failures = np.inf, np.nan, 0

    def ended(iteration: int, reason: str) -> Solution:
        return Solution(theta, value, gradient, iteration, reason, decrement, "newton-cg")

    for iteration in range(1, limits.max_iter + 1):
        if is_separated(loss):
            return ended(iteration - 1, "separated")
        size = _length(_flat(gradient))
        if size == 0.0:
            decrement = 0.0
            return ended(iteration - 1, "decrement")
        goal = size * min(LOOSE, float(np.sqrt(size / first_size)))
        found = truncated_step(loss, theta, gradient, radius, goal, ENOUGH * limits.goal(value))
        decrement = found.decrease
        point = theta + found.step
        trial, slope = loss.value_and_gradient(point)
        noise = (1e-8 if loss.single else 1e-13) * abs(value)
        share = (value - trial) / max(found.decrease, 1e-300) if np.isfinite(trial) else -np.inf
        taken = share > ACCEPTED or (trial <= value + noise and _length(_flat(slope)) < size)
        length = _length(_flat(found.step))
        if share < BAD and not (taken and found.decrease < noise):
            radius = BAD * min(radius, length)
        elif share > GOOD and found.is_at_edge:
            radius *= 2.5
        elif iteration == 1:
            radius = 10.0 * length
        if taken:
            theta, value, gradient, failures = point, trial, slope, 0
        else:
            failures += 1
        # Bounds are of first order: a step that gained so much does not end where one would be good enough.
        is_near = decrement <= FAR * max(limits.tolerance * value, noise)
        gap = duality_gap(loss, theta, value, gradient) if is_near else np.inf
        limits.tell(loss, iteration, value, gradient, min(decrement, gap))
        done = decrement <= limits.goal(value)
        if done and not found.is_at_edge:
            return ended(iteration, "decrement")
        if not limits.polish and gap <= limits.tolerance * value:
            return ended(iteration, "duality")
        if failures == FAILURES:
            near = decrement <= max(limits.tolerance / 100 * value, noise)
            return ended(iteration, "decrement" if near else "stalled")
        if limits.is_late():
            return ended(iteration, "deadline")
    return ended(limits.max_iter, "max_iter")


class TruncatedStep(NamedTuple):
    """A step, the decrease that the quadratic model promises, and whether the radius cut it short."""

    step: Array
    decrease: float
    is_at_edge: bool


def truncated_step(
    loss: LinearLoss, theta: Array, gradient: Array, radius: float, goal: float, least: float = 0.0
) -> TruncatedStep:
    """Lower the quadratic model at `theta` by conjugate gradients.

    Stops when its gradient is shorter than `goal`, or when some products with the Hessian gained less than `least`.
    """
    rest = -_flat(gradient)
    step, direction = np.zeros_like(rest), rest.copy()
    axpy = get_blas_funcs("axpy", (rest,))
    scal = get_blas_funcs("scal", (rest,))
    square, is_at_edge = _dot(rest, rest), False
    gains: deque[float] = deque(maxlen=FEW_PRODUCTS)
    for _ in range(MOST_PRODUCTS):
        turned = _flat(loss.hessian_product(theta, _shaped(direction, theta)))
        curvature = _dot(direction, turned)
        if curvature <= 0.0:
            break
        length = square / curvature
        axpy(direction, step, a=length)
        if np.isfinite(radius) and _length(step) > radius:
            axpy(direction, step, a=-length)
            length, is_at_edge = _to_edge(step, direction, radius), True
            axpy(direction, step, a=length)
            axpy(turned, rest, a=-length)
            break
        axpy(turned, rest, a=-length)
        before, square = square, _dot(rest, rest)
        gains.append(0.5 * length * before)
        if np.sqrt(square) <= goal or (len(gains) == gains.maxlen and sum(gains) <= least):
            break
        scal(square / before, direction)
        axpy(rest, direction)
    decrease = 0.5 * (_dot(step, rest) - _dot(step, _flat(gradient)))
    return TruncatedStep(_shaped(step, theta), decrease, is_at_edge)


def _to_edge(step: Vector, direction: Vector, radius: float) -> float:
    """Return how far along the direction the edge of the region lies."""
    a, b, c = _dot(direction, direction), _dot(step, direction), _dot(step, step) - radius * radius
    root = float(np.sqrt(max(b * b - a * c, 0.0)))
    return (root - b) / a if b <= 0 else -c / (b + root)


def _flat(theta: Array) -> Vector:
    """Return parameters as one vector, a class after the other within a column: free where they lie so."""
    return np.ascontiguousarray(theta.T).reshape(-1)


def _shaped(flat: Vector, like: Array) -> Array:
    return np.asarray(flat.reshape(like.shape[1], like.shape[0]).T)


def _dot(one: Vector, two: Vector) -> float:
    return float(np.dot(one, two))


def _length(one: Vector) -> float:
    return float(np.sqrt(_dot(one, one)))
