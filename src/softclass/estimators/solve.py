"""From features, class indices and weights to the optimum: scales the columns and picks the solver."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softclass.estimators.column_rank import ColumnRank, column_rank, on_columns
from softclass.estimators.compact_rows import CompactBlocks
from softclass.estimators.dual_ascent import dual_ascent
from softclass.estimators.findings import Findings, examine
from softclass.estimators.lbfgs import lbfgs
from softclass.estimators.line_search import Limits, Solution
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.newton import newton, staged_newton
from softclass.estimators.parallel import ONE, Workers, workers
from softclass.estimators.preconditioners import (
    Apply,
    block_inverse,
    diagonal_basis,
    full_inverse,
    gram_basis,
    heavy_block_inverse,
    heavy_classes,
    kronecker_inverse,
    stays_compact,
)
from softclass.estimators.proximal import least_subgradient, proximal
from softclass.estimators.receding_ridge import recede
from softclass.estimators.row_space import LARGEST_SPREAD, RowSpace, row_space
from softclass.estimators.scaling import Array, column_moments, scale_features
from softclass.estimators.sparse_gap import SWEEP_NUMBERS
from softclass.estimators.spill import AbstractRows, Windows

NEWTON_ALWAYS = 150  # parameters up to which the exact Hessian is cheap for any number of rows
NEWTON_MOST = 1500  # parameters up to which it may be built at all
NEWTON_WORK = 1e9  # rows x parameters^2 up to which an exact Hessian costs less than some ten refreshed blocks
SINGLE_TOLERANCE = 1e-7  # below it, sparse rows are worked on in float64
SMALL_WORK = 20_000  # rows x columns x classes up to which threads are not even looked for
SMALL_SYSTEM = 60  # columns x classes; BLAS factorises larger systems with threads, which wait by spinning
POLISH_WORK = 1_000_000  # rows x parameters up to which rounding is reached in milliseconds
DENSE_NUMBERS = 8_000_000  # sparse data of up to this many cells are made dense
GRAM_COLUMNS = 2000  # columns up to which a Gram matrix is factorised; beyond, that costs more than it saves
BLOCK_NUMBERS = 64_000_000  # numbers in the Hessian's diagonal blocks, all classes together
MANY_CLASSES = 200  # from which blocks are for the heaviest classes only, and of few rows each
MANY_NUMBERS = 128_000_000  # numbers in such blocks
MANY_SAMPLE = 2**25  # probabilities of the sample that they are made on
MANY_REFRESH = frozenset({3, 8, 16, 30, 60, 120, 240})
STAGE_ROWS = 10  # rows a parameter of the sample that is solved first, where there are enough rows
STAGE_GAIN = 4  # the sample must be so many times smaller than the data
STAGE_TOLERANCE = 1e-2
SAMPLE_ROWS = 4000  # at least so many rows make an approximate Hessian
BLOCK_ROWS = 3  # rows a column of the samples that blocks are made on, where they have many columns
BLOCK_SAMPLE = 2_000_000  # numbers in such a sample
LEAST_TOLERANCE = 1e-8  # of the objective: a hundred times the estimate at which rounding may end a fit
REFRESH = frozenset({6, 30, 140, 300, 600})  # iterations; blocks of 785 columns cost a dozen passes each
SAMPLED_MOST = 4000  # parameters up to which the Hessian of a sample is factorised where blocks of it get nowhere
SAMPLED_ROWS = 2  # of that sample, a parameter; five times as many took as many iterations
SAMPLED_EVERY = 3  # iterations


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
    findings : Findings or None
        What else is known; None if there was nothing to solve.
    certified : bool
        Whether a bound or a trusted estimate met the tolerance.
    """

    weight: Array
    bias: Array
    objective: float
    gradient_weight: Array
    gradient_bias: Array
    iterations: int
    reason: str
    findings: Findings | None = None
    certified: bool = True

    @property
    def gradient_norm(self) -> float:
        """Largest partial derivative of the objective."""
        both = self.gradient_weight, self.gradient_bias  # their sizes as arrays would be as large again
        return float(max(max(np.max(one, initial=0.0), -np.min(one, initial=0.0)) for one in both))

    @property
    def converged(self) -> bool:
        """Whether the optimality test was met."""
        return self.certified and self.reason != "separated"


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
    l1_penalty: float = 0.0,
    threads: int | None = None,
) -> Optimum:
    """Minimise the mean loss plus ``root_penalty**2 / 2`` times the squared weights and `l1_penalty` times their sizes.

    All `weights` are positive. `threads` bounds the threads (None: those that the linear algebra may use); no bit
    depends on it.
    """
    unknowns = features.shape[1] * n_classes
    few = features.shape[0] * unknowns <= SMALL_WORK and unknowns <= SMALL_SYSTEM
    with nullcontext(ONE) if few else workers(threads) as team:
        return _solve(
            features, targets, weights, n_classes, root_penalty, intercept, limits, start, seed, team, l1_penalty
        )


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
    l1_penalty: float = 0.0,
) -> Optimum:
    """Solve in scaled columns, or in the span of the rows."""
    n, d = features.shape
    if sparse.issparse(features) and n * d <= DENSE_NUMBERS:
        features = features.toarray()
    weights = weights / weights.max()
    weights /= weights.sum()
    moments = column_moments(features, weights, centre=intercept, threads=team.threads)
    rows = 1 if n_classes == 2 else n_classes
    varies = moments.deviation[moments.deviation > 0]
    if (
        d > n
        and l1_penalty == 0.0  # the span of the rows knows lengths, not sizes of coefficients
        and (rows * (d + 1) > NEWTON_MOST or root_penalty == 0.0)  # without penalty: the shortest of many optima
        and not sparse.issparse(features)
        and not moments.exponent.any()
        and varies.size
        and varies.max() <= LARGEST_SPREAD * varies.min()
    ):
        wide = features.whole() if isinstance(features, AbstractRows) else features
        none = moments.deviation <= 0
        return _solve_wide(
            wide, targets, weights, moments.mean, n_classes, root_penalty, intercept, limits, start, seed, team, none
        )
    single = limits.tolerance >= SINGLE_TOLERANCE
    # Most columns of sparse rows answer to the penalty: conjugate gradients need the two set off against each other.
    curvature = (n_classes - 1) / n_classes**2 if sparse.issparse(features) else 1.0
    scaled = scale_features(
        features,
        moments,
        root_penalty=root_penalty,
        n_classes=n_classes,
        threads=team.threads,
        single=single,
        curvature=curvature,
    )
    penalty = (root_penalty / scaled.scale) ** 2
    is_free = root_penalty == 0.0 and l1_penalty == 0.0
    loss = LinearLoss(scaled, targets, weights, n_classes, penalty, intercept, is_free, team)
    limits = replace(limits, polish=limits.polish and n * rows * loss.n_columns <= POLISH_WORK)
    point = loss.start() if start is None else _moved(loss, *start)
    constant = scaled.variance <= 0
    rank = column_rank(loss) if is_free else None
    if rank is not None and not rank.is_full and len(rank.kept):
        return _solve_independent(loss, rank, point, limits, seed, constant, is_cold=start is None)
    if l1_penalty > 0.0:
        strength = l1_penalty / scaled.scale
        found = proximal(loss, point, limits, strength, np.random.default_rng(seed))
        findings, found = examine(loss, found, limits.tolerance, constant, None, strength)
        found = replace(found, gradient=least_subgradient(found.gradient, found.theta, strength))
    else:
        found = minimise(loss, point, limits, seed, is_cold=start is None)
        loss = loss if found.loss is None else found.loss
        findings, found = examine(loss, found, limits.tolerance, constant, rank)
    weight = _user_weight(loss, found.theta)
    if constant.any():
        weight[:, constant] = 0.0
    return _optimum(loss, found, findings, weight, found.gradient, limits.tolerance)


def _user_weight(loss: LinearLoss, theta: Array) -> Array:
    """Return weights by the caller's columns; those of sparse rows, which can be many, in the place of `theta`."""
    weight, scale = loss.split(theta)[0], loss.features.scale
    if not loss.is_sparse:
        return weight / scale
    step = max(1, SWEEP_NUMBERS // len(weight))
    for first in range(0, len(scale), step):
        weight.T[first : first + step] /= scale[first : first + step, None]
    return weight


def _optimum(
    loss: LinearLoss, found: Solution, findings: Findings, weight: Array, gradient: Array, tolerance: float
) -> Optimum:
    """Return a solution in the caller's units; `gradient` is by all scaled columns, `weight` in the caller's units."""
    bias = np.zeros(len(weight))
    if loss.intercept:
        bias = found.theta[:, -1] - weight @ loss.features.mean
        bias = bias - (bias.mean() if loss.n_rows > 1 else 0.0)
    certificate = findings.certificate
    certified = certificate.kind != "none" and certificate.gap <= max(tolerance, LEAST_TOLERANCE) * found.value
    believed = certified or found.reason not in ("decrement", "duality") or loss.watch_margin
    reason = found.reason if believed else "stalled"  # the solver was content, a closer look is not
    derivatives = loss.user_gradient(gradient, in_place=loss.is_sparse)
    return Optimum(weight, bias, found.value, *derivatives, found.iterations, reason, findings, certified)


def _solve_independent(
    loss: LinearLoss,
    rank: ColumnRank,
    start: Array,
    limits: Limits,
    seed: int,
    constant: npt.NDArray[np.bool_],
    *,
    is_cold: bool,
) -> Optimum:
    """Solve without penalty on independent columns, and share the weights with the others so that they are shortest."""
    reduced = on_columns(loss, rank.kept)
    by_weight, by_bias = loss.split(start)
    point = rank.gathered(by_weight)
    if loss.intercept:
        point = np.concatenate([point, by_bias[:, None]], axis=1)
    found = minimise(reduced, point, limits, seed, is_cold=is_cold)
    findings, found = examine(reduced, found, limits.tolerance, constant, rank)
    weight = rank.shortest(reduced.split(found.theta)[0], loss.features.scale)
    by_kept, by_bias = reduced.split(found.gradient)
    gradient = rank.spread(by_kept)
    if loss.intercept:
        gradient = np.concatenate([gradient, by_bias[:, None]], axis=1)
    return _optimum(loss, found, findings, weight, gradient, limits.tolerance)


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
        return staged_newton(loss, start, limits, seed) if is_cold else newton(loss, start, limits)
    rng = np.random.default_rng(seed)
    is_dense = not loss.is_sparse
    if not is_dense and p > NEWTON_MOST:
        return dual_ascent(loss, start, limits, seed, is_cold=is_cold)
    if is_cold and is_dense and STAGE_ROWS * p * STAGE_GAIN <= n and not loss.watch_margin:
        stage = loss.curved_sample(start, STAGE_ROWS * p, rng, one_block=False)
        quietly = replace(limits, tolerance=STAGE_TOLERANCE, progress=None, history=None)
        start = _quasi_newton(stage, start, quietly, rng).theta
    found = _quasi_newton(loss, start, limits, rng)
    if found.reason == "stalled" and p <= NEWTON_MOST:
        rest = replace(limits, max_iter=max(1, limits.max_iter - found.iterations))
        again = newton(loss, found.theta, rest)
        return replace(again, iterations=found.iterations + again.iterations, solver=f"{found.solver}, newton")
    if found.reason == "stalled" and p <= SAMPLED_MOST and loss.compact is not None and np.all(loss.penalty > 0):
        rest = replace(limits, max_iter=max(1, limits.max_iter - found.iterations))
        again = recede(loss.condensed(), start, rest, is_cold=is_cold)
        return replace(again, iterations=found.iterations + again.iterations, solver=f"{found.solver}, {again.solver}")
    if found.reason == "stalled" and is_dense and p <= SAMPLED_MOST:
        rest = replace(limits, max_iter=max(1, limits.max_iter - found.iterations))
        again = _sampled_newton(loss, found.theta, rest, rng)
        return replace(again, iterations=found.iterations + again.iterations, solver=f"{found.solver}, lbfgs-full")
    return found


def _sampled_newton(loss: LinearLoss, start: Array, limits: Limits, rng: np.random.Generator) -> Solution:
    """Run L-BFGS from the whole Hessian of samples drawn anew every few steps: the curvature moves fast."""
    size = max(SAMPLE_ROWS, SAMPLED_ROWS * start.size)

    def refreshed(theta: Array) -> Apply:
        return full_inverse(loss.curved_sample(theta, size, rng), theta, loss.features.variance, 0.0)

    return lbfgs(loss, start, limits, refreshed, refresh_at=frozenset(range(2, limits.max_iter, SAMPLED_EVERY)))


def _quasi_newton(loss: LinearLoss, start: Array, limits: Limits, rng: np.random.Generator) -> Solution:
    """Run L-BFGS from the best approximate Hessian that fits."""
    n, p, d = len(loss.targets), start.size, loss.features.n_features
    if _is_for_heavy(loss):
        return _heavy_blocks(loss, start, limits, rng)
    if p <= NEWTON_MOST and _is_far(loss):  # fewer passes, each dearer
        make, size, name, one_block = full_inverse, max(SAMPLE_ROWS, 20 * p), "lbfgs-full", True
    elif d <= GRAM_COLUMNS and loss.n_rows * d * d <= BLOCK_NUMBERS:
        rows = max(BLOCK_ROWS * (d + 1), min(SAMPLE_ROWS, BLOCK_SAMPLE // d), 4 * n // d)
        make, size, name, one_block = block_inverse, rows, "lbfgs-block", not stays_compact(loss)
    else:
        name = "lbfgs-kronecker" if _has_gram(loss) else "lbfgs-diagonal"
        inverse = _kronecker(loss, rng)
        return replace(lbfgs(loss, start, limits, lambda theta: inverse), solver=name)

    def refreshed(theta: Array) -> Apply:
        sample = loss.curved_sample(theta, size, rng, one_block=one_block)
        shrink = min(0.5, 0.3 * d / len(sample.targets)) if len(sample.targets) < n else 0.0
        return make(sample, theta, loss.features.variance, shrink)

    found = lbfgs(loss, start, limits, refreshed, refresh_at=REFRESH, may_give_up=p <= SAMPLED_MOST)
    return replace(found, solver=name)


def _is_for_heavy(loss: LinearLoss) -> bool:
    """Whether there are many classes, and room for the blocks of the heaviest."""
    if loss.n_classes < MANY_CLASSES or not _has_gram(loss):
        return False
    return loss.n_columns**2 * len(heavy_classes(loss)) <= MANY_NUMBERS


def _heavy_blocks(loss: LinearLoss, start: Array, limits: Limits, rng: np.random.Generator) -> Solution:
    """Run L-BFGS from blocks of the heaviest classes, the closed form of the start for the others."""
    d = loss.features.n_features
    heavy, closed = heavy_classes(loss), _kronecker(loss, rng)
    size = max(SAMPLE_ROWS, 4 * (d + 1), MANY_SAMPLE // loss.n_classes)

    def refreshed(theta: Array) -> Apply:
        if theta is start and not theta[:, :d].any():  # exact there
            return closed
        sample = loss.curved_sample(theta, size, rng)
        shrink = min(0.5, 0.3 * d / len(sample.targets)) if len(sample.targets) < len(loss.targets) else 0.0
        return heavy_block_inverse(sample, theta, loss.features.variance, shrink, heavy, closed)

    found = lbfgs(loss, start, limits, refreshed, refresh_at=MANY_REFRESH)
    return replace(found, solver="lbfgs-block, kronecker")


def _is_far(loss: LinearLoss) -> bool:
    """Whether the rows are decoded in every pass, so that it costs much more than what is done between two.

    Not so for rows in a spill file, which are read as they are: there a fit has the bits of a fit in memory, unless
    memory holds them as compact rows.
    """
    return not isinstance(loss.features.blocks, tuple | Windows | CompactBlocks)


def _has_gram(loss: LinearLoss) -> bool:
    """Whether a Gram matrix of the columns is worth its factorisation."""
    return loss.features.n_features <= GRAM_COLUMNS and not loss.is_sparse


def _kronecker(loss: LinearLoss, rng: np.random.Generator) -> Apply:
    d = loss.features.n_features
    if not _has_gram(loss):
        curvature, penalty = diagonal_basis(loss)
        inverse = kronecker_inverse(loss, None, curvature, penalty)
    else:
        sample = loss.sample(max(6000, 20 * d), rng)
        few = len(sample.targets) < len(loss.targets)
        shrink = min(0.5, 0.3 * d / len(sample.targets)) if few else 0.0
        basis, penalty = gram_basis(sample, loss.features.variance, shrink)
        inverse = kronecker_inverse(loss, basis, np.ones(d), penalty)
    return inverse


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
    constant: npt.NDArray[np.bool_],
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
    findings = _in_columns(found.findings, space, features, mean, constant)
    return replace(found, weight=weight, bias=bias, gradient_weight=by_weight, findings=findings)


def _in_columns(
    findings: Findings | None, space: RowSpace, features: npt.NDArray[Any], mean: Array, constant: npt.NDArray[np.bool_]
) -> Findings | None:
    """Return findings about the coordinates in the span of the rows as such about the columns."""
    if findings is None:
        return None
    rank = None
    if findings.rank is not None:  # as many independent columns as coordinates; which ones, nobody asks
        kept = np.arange(space.coordinates.shape[1])
        nothing = np.zeros((0, len(kept)))
        rank = ColumnRank(kept, kept[:0], nothing, nothing, np.zeros(0), features.shape[1])
    separating, direction = findings.separating, findings.direction
    if separating is not None and direction is not None:
        weight = space.weight(separating[0], features)
        separating = (weight, separating[1] - weight @ mean)
        direction = replace(direction, columns=~constant)
    return replace(
        findings, constant=constant, rank=rank, direction=direction, separating=separating, never=(), information=None
    )
