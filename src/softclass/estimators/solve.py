"""From features, class indices and weights to the optimum: scales the columns and picks the solver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softclass.estimators.lbfgs import lbfgs
from softclass.estimators.line_search import Limits, Solution
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.newton import newton
from softclass.estimators.parallel import Workers, workers
from softclass.estimators.preconditioners import (
    Apply,
    block_inverse,
    diagonal_basis,
    full_inverse,
    gram_basis,
    kronecker_inverse,
)
from softclass.estimators.row_space import LARGEST_SPREAD, row_space
from softclass.estimators.scaling import Array, column_moments, scale_features

NEWTON_ALWAYS = 150  # parameters up to which the exact Hessian is cheap for any number of rows
NEWTON_MOST = 1500  # parameters up to which it may be built at all
NEWTON_WORK = 5e9  # rows x parameters^2 up to which each Newton step takes a fraction of a second
POLISH_WORK = 1_000_000  # rows x parameters up to which rounding is reached in milliseconds
DENSE_NUMBERS = 8_000_000  # sparse data of up to this many cells are made dense
GRAM_COLUMNS = 2000  # columns up to which a Gram matrix is factorised; beyond, that costs more than it saves
BLOCK_NUMBERS = 64_000_000  # numbers in the Hessian's diagonal blocks, all classes together
STAGE_ROWS = 10  # rows a parameter of the sample that is solved first, where there are enough rows
STAGE_GAIN = 4  # the sample must be so many times smaller than the data
STAGE_TOLERANCE = 1e-2
REFRESH = frozenset({2, 5, 9, 14, 20, 30, 45, 65, 95, 140, 200, 300, 450, 650})


@dataclass(frozen=True, eq=False)
class Optimum:
    """The solver's answer in the units of the caller.

    Attributes
    ----------
    weight : float64 array of shape (rows, D)
        One row for two classes, else one a class.
    bias : float64 array of shape (rows,)
        Zeros without intercept.
    objective : float
        In nats per weighted row, penalty included.
    gradient_weight, gradient_bias : float64 arrays
        Derivatives of the objective by weight and bias.
    iterations : int
        Steps taken.
    reason : str
        See `Solution`.
    """

    weight: Array
    bias: Array
    objective: float
    gradient_weight: Array
    gradient_bias: Array
    iterations: int
    reason: str

    @property
    def gradient_norm(self) -> float:
        """Largest partial derivative of the objective."""
        by_bias = np.max(np.abs(self.gradient_bias), initial=0.0)
        return float(max(np.max(np.abs(self.gradient_weight), initial=0.0), by_bias))

    @property
    def converged(self) -> bool:
        """Whether the optimality test was met."""
        return self.reason in ("decrement", "duality")


def root_of_penalty(weights: Array, C: float) -> float:
    """Return the root of the ridge penalty per unit of weight, ``1 / sqrt(C * sum(weights))``, safe in range."""
    largest = float(weights.max())
    return 1.0 / float(np.sqrt(C) * np.sqrt(largest) * np.sqrt((weights / largest).sum()))


def solve(
    features: Any,
    targets: npt.NDArray[np.int64],
    weights: Array,
    *,
    n_classes: int,
    root_penalty: float,
    intercept: bool,
    limits: Limits,
    start: tuple[Array, Array] | None = None,
    seed: int = 0,
) -> Optimum:
    """Minimise the mean loss plus ``root_penalty**2 / 2`` times the squared weights; all `weights` are positive."""
    with workers() as team:
        return _solve(features, targets, weights, n_classes, root_penalty, intercept, limits, start, seed, team)


def _solve(
    features: Any,
    targets: npt.NDArray[np.int64],
    weights: Array,
    n_classes: int,
    root_penalty: float,
    intercept: bool,
    limits: Limits,
    start: tuple[Array, Array] | None,
    seed: int,
    team: Workers,
) -> Optimum:
    """Solve in scaled columns, or in the span of the rows."""
    n, d = features.shape
    if sparse.issparse(features) and n * d <= DENSE_NUMBERS:
        features = features.toarray()
    weights = weights / weights.max()
    weights = weights / weights.sum()
    moments = column_moments(features, weights, centre=intercept)
    rows = 1 if n_classes == 2 else n_classes
    varies = moments.deviation[moments.deviation > 0]
    if (
        d > n
        and (rows * (d + 1) > NEWTON_MOST or root_penalty == 0.0)  # without penalty: the shortest of many optima
        and not sparse.issparse(features)
        and not moments.exponent.any()
        and varies.size
        and varies.max() <= LARGEST_SPREAD * varies.min()
    ):
        return _solve_wide(
            features, targets, weights, moments.mean, n_classes, root_penalty, intercept, limits, start, seed, team
        )
    scaled = scale_features(features, moments, root_penalty=root_penalty, n_classes=n_classes)
    penalty = (root_penalty / scaled.scale) ** 2
    loss = LinearLoss(scaled, targets, weights, n_classes, penalty, intercept, root_penalty == 0.0, team)
    limits = replace(limits, polish=limits.polish and n * rows * loss.n_columns <= POLISH_WORK)
    point = loss.start() if start is None else _moved(loss, *start)
    found = minimise(loss, point, limits, seed, is_cold=start is None)
    weight, bias = loss.split(found.theta)
    weight = np.where(scaled.variance > 0, weight / scaled.scale, 0.0)
    if intercept:
        bias = bias - weight @ scaled.mean
        bias = bias - (bias.mean() if rows > 1 else 0.0)
    return Optimum(weight, bias, found.value, *loss.user_gradient(found.gradient), found.iterations, found.reason)


def _moved(loss: LinearLoss, weight: Array, bias: Array) -> Array:
    """Return weights in the caller's units as parameters in scaled columns."""
    theta = loss.start()
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.where(loss.features.variance > 0, weight * loss.features.scale, 0.0)
        moved = bias + weight @ loss.features.mean
    if np.all(np.isfinite(scaled)) and np.all(np.isfinite(moved)):
        theta[:, : scaled.shape[1]] = scaled
        if loss.intercept:
            theta[:, -1] = moved
        if loss.n_rows > 1:
            theta -= theta.mean(axis=0)
    return theta


def minimise(loss: LinearLoss, start: Array, limits: Limits, seed: int, *, is_cold: bool) -> Solution:
    """Run the solver that suits the size of the problem."""
    n, p = len(loss.targets), start.size
    if p <= NEWTON_ALWAYS or (p <= NEWTON_MOST and n * p * p <= NEWTON_WORK):
        return newton(loss, start, limits)
    rng = np.random.default_rng(seed)
    is_dense = not sparse.issparse(loss.features.blocks[0])
    if is_cold and is_dense and STAGE_ROWS * p * STAGE_GAIN <= n and not loss.watch_margin:
        stage = loss.curved_sample(start, STAGE_ROWS * p, rng, one_block=False)
        start = _quasi_newton(stage, start, replace(limits, tolerance=STAGE_TOLERANCE, progress=None), rng).theta
    found = _quasi_newton(loss, start, limits, rng)
    if found.reason == "stalled" and p <= NEWTON_MOST:
        rest = replace(limits, max_iter=max(1, limits.max_iter - found.iterations))
        again = newton(loss, found.theta, rest)
        return replace(again, iterations=found.iterations + again.iterations)
    return found


def _quasi_newton(loss: LinearLoss, start: Array, limits: Limits, rng: np.random.Generator) -> Solution:
    """Run L-BFGS from the best approximate Hessian that fits."""
    n, p, d = len(loss.targets), start.size, loss.features.n_features
    if p <= NEWTON_MOST:
        make, size = full_inverse, max(4000, 20 * p)
    elif d <= GRAM_COLUMNS and loss.n_rows * d * d <= BLOCK_NUMBERS:
        make, size = block_inverse, max(4000, 4 * (d + 1), 4 * n // d)
    else:
        return lbfgs(loss, start, limits, _kronecker(loss, rng))

    def refreshed(theta: Array) -> Apply:
        sample = loss.curved_sample(theta, size, rng)
        shrink = min(0.5, 0.3 * d / len(sample.targets)) if len(sample.targets) < n else 0.0
        return make(sample, theta, loss.features.variance, shrink)

    return lbfgs(loss, start, limits, refreshed, refresh_at=REFRESH, may_give_up=p <= NEWTON_MOST)


def _kronecker(loss: LinearLoss, rng: np.random.Generator) -> Any:
    d = loss.features.n_features
    if d > GRAM_COLUMNS or sparse.issparse(loss.features.blocks[0]):
        curvature, penalty = diagonal_basis(loss)
        inverse = kronecker_inverse(loss, None, curvature, penalty)
    else:
        sample = loss.sample(max(6000, 20 * d), rng)
        few = len(sample.targets) < len(loss.targets)
        shrink = min(0.5, 0.3 * d / len(sample.targets)) if few else 0.0
        basis, penalty = gram_basis(sample, loss.features.variance, shrink)
        inverse = kronecker_inverse(loss, basis, np.ones(d), penalty)
    return lambda theta: inverse


def _solve_wide(
    features: npt.NDArray[Any],
    targets: npt.NDArray[np.int64],
    weights: Array,
    mean: Array,
    n_classes: int,
    root_penalty: float,
    intercept: bool,
    limits: Limits,
    start: tuple[Array, Array] | None,
    seed: int,
    team: Workers,
) -> Optimum:
    """Solve in the span of the rows; the weights there have the same length, so the penalty is the same."""
    space = row_space(features, mean)
    reduced_start = None
    if start is not None:
        weight, bias = start
        basis_products = (weight @ features.T - (weight @ mean)[:, None]) @ space.mixing
        reduced_start = (basis_products, bias + weight @ mean)
    found = _solve(
        space.coordinates, targets, weights, n_classes, root_penalty, intercept, limits, reduced_start, seed, team
    )
    weight = space.weight(found.weight, features)
    bias = found.bias - weight @ mean if intercept else found.bias
    if n_classes > 2 and intercept:
        bias = bias - bias.mean()
    by_weight = space.weight(found.gradient_weight, features)
    if intercept:
        by_weight += found.gradient_bias[:, None] * mean
    return replace(found, weight=weight, bias=bias, gradient_weight=by_weight)
