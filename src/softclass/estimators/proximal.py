"""Proximal Newton for L1 and elastic net: a quadratic model of the loss, coordinate descent on it, a line search.

The loss is smooth, the penalty is not: ``sum(l1 * |weight| + ridge * weight**2 / 2)``, the bias is free. The model's
Hessian is taken on a sample of the rows and kept while it predicts well, along a whole path too; each step taken
corrects it (BFGS). A step therefore costs one pass over the rows, and most of the rest is compiled code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from softclass.estimators.certificate import duality_gap, start_curvature
from softclass.estimators.line_search import SUFFICIENT, Limits, Solution
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import BLOCK_BYTES, Array
from softclass.kernels import cpu

WHOLE_MODEL = 1500  # parameters up to which the model is about all of them
MOST_NEW = 1000  # coordinates that may leave zero in one step, or twice as many as have left it
MODEL_NUMBERS = 16_000_000  # numbers in the Hessian of a model; beyond, one block a class
SAMPLE_ROWS = 20  # rows a parameter of the model, and at least LEAST_ROWS
BLOCK_ROWS = 5  # the same where the model is a block a class, which is rough anyway
LEAST_ROWS = 4000
CHEAP_MODEL = 2e8  # rows x parameters^2 up to which every step makes its model anew: Newton's own speed
TRIALS = 5  # lengths of a step; then a shorter step is asked of the model
FIRST_DAMPING = 1e-3  # of the curvature at the start, added where steps turn out too long
MOST_DAMPING = 1e6
ROUNDED = 1e-4  # of the diagonal, added where products in float32 could make a Hessian indefinite
NOISY = 1e-3  # of the noise of values: gains below leave gradients whose differences mean nothing either
STAGE_ROWS = 10  # rows a parameter of the sample that is solved first, where there are enough rows
STAGE_GAIN = 4  # the sample must be so many times smaller than the data
STAGE_TOLERANCE = 3e-2
SWEEPS = 100  # of coordinate descent, before the equations of the coordinates that are not zero are solved at once
ROUNDS = 20
LARGEST = 1e300  # of the strengths: a column that is almost constant gets no weight, and nothing overflows
EXACT = 1e-24  # of the objective: the model is minimised to so much where rounding is the goal
NEAR = 1e-4  # the model is minimised to so much of the goal, or of the last step's gain

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Penalty:
    """``sum(l1 * |weight| + ridge * weight**2 / 2)`` in scaled columns; no penalty on the bias.

    Attributes
    ----------
    l1, ridge : float64 arrays of shape (D,)
        Not negative, finite.
    """

    l1: Array
    ridge: Array

    def value(self, weight: Array) -> float:
        """Return the penalty."""
        return float(np.sum(self.l1 * np.abs(weight))) + 0.5 * float(np.sum(self.ridge * weight * weight))

    def centred(self, weight: Array) -> Array:
        """Return weights moved by a number a column, which changes no probability, to the least penalty.

        The best number is the median of a column and of ``mean + (K - 2 m) l1 / (K ridge)``, m = 0..K. [1]_

        References
        ----------
        .. [1] Y. Li and S. Osher, "A new median formula with applications to PDE based denoising", Commun. Math. Sci.
           7 (2009), 741-753.
        """
        k = len(weight)
        if k == 1:
            return weight
        turn = k - 2.0 * np.arange(k + 1)[:, None]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            shift = np.where(turn == 0, 0.0, turn * (self.l1 / (k * self.ridge)))
        shift = np.nan_to_num(shift, nan=0.0, posinf=np.inf, neginf=-np.inf)
        middle: Array = np.median(np.concatenate([weight, weight.mean(axis=0) + shift]), axis=0)
        return weight - middle


@dataclass(frozen=True, eq=False)
class Place:
    """Parameters, and what a pass over the rows says of them.

    Attributes
    ----------
    theta : float64 array of shape (rows, columns)
        The parameters.
    loss : float
        Without penalty.
    gradient : float64 array of shape (rows, columns)
        Of `loss`.
    value : float
        With penalty.
    """

    theta: Array
    loss: float
    gradient: Array
    value: float


@dataclass(eq=False)
class HessianModel:
    """The Hessian of the loss in some coordinates, in one block or in one for each class.

    Attributes
    ----------
    parts : list of int64 arrays
        The coordinates of each block, as places in the flattened parameters.
    hessians : list of float64 arrays
        One a block, symmetric.
    is_fresh : bool
        Whether it was made where the parameters are now.
    """

    parts: list[Indices]
    hessians: list[Array]
    is_fresh: bool = True

    def covers(self, wanted: npt.NDArray[np.bool_]) -> bool:
        """Whether all the wanted coordinates are in it."""
        covered = np.zeros(wanted.size, dtype=bool)
        for part in self.parts:
            covered[part] = True
        return not np.any(wanted.ravel() & ~covered)

    def correct(self, step: Array, change: Array) -> None:
        """Make the model give the change of the gradient over the last step (BFGS); one block only."""
        if len(self.parts) != 1:
            return
        moved, turned = step.ravel()[self.parts[0]], change.ravel()[self.parts[0]]
        product = self.hessians[0] @ moved
        bend, expected = float(moved @ turned), float(moved @ product)
        if bend <= 1e-8 * expected or expected <= 0:
            return
        fresh = self.hessians[0]
        fresh += np.outer(turned / bend, turned)
        fresh -= np.outer(product / expected, product)


class ProximalNewton:
    """The solver with what it keeps from one penalty to the next: its model of the loss.

    Parameters
    ----------
    loss : LinearLoss
        Without penalty.
    rng : numpy.random.Generator
        Draws the rows of the model.
    """

    def __init__(self, loss: LinearLoss, rng: np.random.Generator) -> None:
        self.loss = loss
        self.rng = rng
        self.model: HessianModel | None = None
        self.damping = 0.0
        self.care = 1  # times as many rows for a model, after models that misled
        self.stiffness = start_curvature(loss)

    def place(self, theta: Array, penalty: Penalty) -> Place:
        """Look at all rows once."""
        value, gradient = self.loss.value_and_gradient(theta)
        return Place(theta, value, gradient, value + penalty.value(self.loss.split(theta)[0]))

    def centred(self, theta: Array, penalty: Penalty) -> Array:
        """Return equivalent parameters of least penalty."""
        weight, bias = self.loss.split(theta)
        weight = penalty.centred(weight)
        if not self.loss.intercept:
            return weight
        bias = bias - bias.mean() if len(bias) > 1 else bias
        return np.concatenate([weight, bias[:, None]], axis=1)

    def minimise(self, start: Array, penalty: Penalty, limits: Limits, *, before: Array | None = None) -> Solution:
        """Return the minimum.

        `before` is the l1 strength that `start` is the answer to: coordinates that cannot have come up since stay out.
        """
        l1, ridge = _per_parameter(penalty.l1, start.shape), _per_parameter(penalty.ridge, start.shape)
        earlier = None if before is None else _per_parameter(before, start.shape)
        here = self.place(self.centred(start, penalty), penalty)
        noise = 3e-9 if self.loss.single else 1e-14
        gained, idle, estimate = np.inf, 0, np.nan

        def ended(iteration: int, reason: str) -> Solution:
            gradient = smooth_gradient(here, penalty)
            return Solution(here.theta, here.value, gradient, iteration, reason, estimate, "proximal")

        for iteration in range(1, limits.max_iter + 1):
            if self.model is not None and not self._may_keep(self.model, here, l1):
                self.model = None
            if self.model is None:
                self.model = self._made(here, l1, ridge, earlier)
            model = self.model
            goal = limits.goal(here.value)
            within = EXACT * here.value if limits.polish else NEAR * max(goal, NEAR * min(gained, here.value))
            step, slope, estimate = self._step(model, here, penalty, l1, ridge, within)
            is_whole = model.covers((here.theta != 0) | _violators(here, l1))
            is_sure = is_whole and self.damping <= FIRST_DAMPING  # heavy damping hides what is left
            near = is_sure and estimate <= max(limits.tolerance / 100, 1e-10) * here.value
            done = is_sure and estimate <= goal
            found = self._searched(here, step, slope, penalty, noise) if slope < 0 else None
            if found is None:
                if near or self.damping >= MOST_DAMPING:
                    return ended(iteration, "decrement" if near else "stalled")
                self.model = model if model.is_fresh else None
                self.damping = max(30.0 * self.damping, FIRST_DAMPING)
                continue
            gained = here.value - found[0].value
            idle = idle + 1 if gained <= noise * abs(here.value) else 0
            self._learn(model, here, step, found, estimate, gained, noise)
            here = self._recentred(found[0], penalty)
            now = ended(iteration, "")
            gap = self.gap(now, penalty)
            sub = least_subgradient(now.gradient, now.theta, penalty.l1)
            limits.tell(self.loss, iteration, here.value, sub, min(gap, estimate))
            if done or (idle >= 3 and near):
                return ended(iteration, "decrement")
            if idle >= 3 and model.is_fresh:
                return ended(iteration, "stalled")
            if not limits.polish and gap <= limits.tolerance * here.value:
                return ended(iteration, "duality")
            if limits.is_late():
                return ended(iteration, "deadline")
        return ended(limits.max_iter, "max_iter")

    def gap(self, found: Solution, penalty: Penalty) -> float:
        """Return a bound on how far the value lies above the minimum."""
        smooth = found.value - float(np.sum(penalty.l1 * np.abs(self.loss.split(found.theta)[0])))
        loss = _with_penalty(self.loss, penalty.ridge)
        return duality_gap(loss, found.theta, smooth, found.gradient, penalty.l1 if penalty.l1.any() else None)

    def _may_keep(self, model: HessianModel, here: Place, l1: Array) -> bool:
        """Whether the model holds all that may move, and a new one of all rows would not be cheap."""
        needed = (here.theta != 0) | _violators(here, l1)
        p = here.theta.size if here.theta.size <= WHOLE_MODEL else np.count_nonzero(needed)
        n = len(self.loss.targets)
        if not model.is_fresh and n <= max(LEAST_ROWS, SAMPLE_ROWS * p) and n * p * p <= CHEAP_MODEL:
            return False
        return model.covers(needed)

    def _made(self, here: Place, l1: Array, ridge: Array, before: Array | None) -> HessianModel:
        """Return the model of the coordinates that are not zero or may leave it."""
        wanted = np.ones(l1.shape, dtype=bool)
        if wanted.size > WHOLE_MODEL:
            limit = l1 if before is None else np.maximum(2 * l1 - before, 0.5 * l1)
            up = (here.theta == 0) & (l1 > 0) & (np.abs(here.gradient) >= limit)
            most = max(MOST_NEW, 2 * int(np.count_nonzero(here.theta)))
            if np.count_nonzero(up) > most:  # the ones that have furthest to go; the others have their turn later
                pull = np.where(up, np.abs(here.gradient) - l1, -np.inf)
                up &= pull >= np.partition(pull.ravel(), -most)[-most]
            wanted &= (here.theta != 0) | up | (l1 == 0)
        places = np.flatnonzero(wanted)
        columns = l1.shape[1]
        if len(places) ** 2 <= MODEL_NUMBERS:
            parts = [places]
        else:
            most = int((4 * MODEL_NUMBERS / len(l1)) ** 0.5)
            sub = np.abs(_subgradient(here.gradient + ridge * here.theta, here.theta, l1)).ravel()
            parts = []
            for row in range(len(l1)):
                mine = places[places // columns == row]
                if len(mine) > most:  # the ones that have furthest to go
                    mine = np.sort(mine[np.argpartition(sub[mine], -most)[-most:]])
                parts.append(mine)
        widest = max(len(part) for part in parts)
        size = self.care * max(LEAST_ROWS, (SAMPLE_ROWS if len(parts) == 1 else BLOCK_ROWS) * widest)
        if len(parts[0]) == here.theta.size and not self.loss.is_sparse:
            is_all = 2 * size >= len(self.loss.targets)
            rows = self.loss if is_all else self.loss.curved_sample(here.theta, size, self.rng)
            return HessianModel(parts, [whole_hessian(self.loss, rows, here.theta)])
        size = min(size, max(LEAST_ROWS, BLOCK_BYTES * 16 // max(len(places), 1)))
        return HessianModel(
            parts, loss_hessians(self.loss, here.theta, parts, *sampled_rows(self.loss, size, self.rng))
        )

    def _step(
        self, model: HessianModel, here: Place, penalty: Penalty, l1: Array, ridge: Array, tolerance: float
    ) -> tuple[Array, float, float]:
        """Return the step to the minimum of the model, its promise of first order, and the model's own gain."""
        flat, gradient, bounds, bends = here.theta.ravel(), here.gradient.ravel(), l1.ravel(), ridge.ravel()
        flat_step, bent = np.zeros(flat.size), 0.0
        for part, hessian in zip(model.parts, model.hessians, strict=True):
            old, diagonal = flat[part], hessian.diagonal().copy()
            np.fill_diagonal(hessian, diagonal + self.damping * self.stiffness.ravel()[part])
            with np.errstate(over="ignore", invalid="ignore"):
                moved = minimum_of_model(hessian, gradient[part], old, bounds[part], bends[part], tolerance) - old
                np.fill_diagonal(hessian, diagonal)
                bent += float(moved @ (hessian @ moved))
            flat_step[part] = moved
        step = flat_step.reshape(here.theta.shape)
        if self.loss.intercept and len(step) > 1:
            step[:, -1] -= step[:, -1].mean()
        d = len(penalty.l1)
        ahead = here.theta[:, :d] + step[:, :d]
        if not np.isfinite(bent) or not np.all(np.isfinite(step)):  # an indefinite model has no minimum
            return np.zeros_like(step), 0.0, np.inf
        slope = float(np.vdot(here.gradient, step)) + penalty.value(ahead) - penalty.value(here.theta[:, :d])
        return step, slope, -(slope + 0.5 * bent)

    def _searched(
        self, here: Place, step: Array, slope: float, penalty: Penalty, noise: float
    ) -> tuple[Place, float] | None:
        """Return a place that is lower by a share of what the step promises, and the length it took."""
        length = 1.0
        for _ in range(TRIALS):
            with np.errstate(over="ignore", invalid="ignore"):
                there = self.place(here.theta + length * step, penalty)
            if there.value <= here.value + SUFFICIENT * length * slope + noise * abs(here.value):
                return there, length
            length *= 0.5
        return None

    def _learn(
        self,
        model: HessianModel,
        here: Place,
        step: Array,
        found: tuple[Place, float],
        estimate: float,
        gained: float,
        noise: float,
    ) -> None:
        """Correct the model by the step, or drop it where it promised something else."""
        there, length = found
        if estimate > 100 * noise * abs(here.value):
            if length < 1:
                self.damping = max(4.0 * self.damping, FIRST_DAMPING)
            elif gained > 0.5 * estimate:
                self.damping = 0.1 * self.damping if self.damping > 0.1 * FIRST_DAMPING else 0.0
            if not model.is_fresh and (length < 1 or not 0.5 <= gained / estimate <= 2.0):
                self.model, self.care = None, 2 * self.care
        if self.model is not None and estimate > NOISY * noise * abs(here.value):
            model.correct(length * step, there.gradient - here.gradient)
        model.is_fresh = False

    def _recentred(self, place: Place, penalty: Penalty) -> Place:
        """Return the equivalent place of least penalty."""
        theta = self.centred(place.theta, penalty)
        return replace(place, theta=theta, value=place.loss + penalty.value(self.loss.split(theta)[0]))


def proximal(loss: LinearLoss, start: Array, limits: Limits, l1: Array, rng: np.random.Generator) -> Solution:
    """Minimise the loss with its ridge penalty plus ``sum(l1 * |weight|)``.

    Parameters
    ----------
    loss : LinearLoss
        Its `penalty` is the ridge part.
    start : float64 array of shape (rows, columns)
        Where to begin.
    limits : Limits
        When to stop.
    l1 : float64 array of shape (D,)
        Strength of the absolute values in scaled columns; the bias is free.
    rng : numpy.random.Generator
        Draws the rows of the model.

    Returns
    -------
    Solution
        Its value has all of the penalty, its gradient is that of the smooth part.
    """
    penalty = Penalty(np.minimum(l1, LARGEST), np.minimum(loss.penalty, LARGEST))
    bare = _with_penalty(loss, np.zeros_like(loss.penalty))
    size = max(LEAST_ROWS, STAGE_ROWS * start.size)
    is_cold = not np.any(loss.split(start)[0])
    if is_cold and not loss.is_sparse and size * STAGE_GAIN <= len(loss.targets):
        stage = ProximalNewton(bare.subset(*sampled_rows(loss, size, rng)), rng)
        rough = replace(limits, tolerance=STAGE_TOLERANCE, polish=False, progress=None, history=None)
        start = stage.minimise(start, penalty, rough).theta
    return ProximalNewton(bare, rng).minimise(start, penalty, limits)


def _with_penalty(loss: LinearLoss, penalty: Array) -> LinearLoss:
    """Return the same loss with another ridge penalty, and its class sums, which cost a read of the rows."""
    other = replace(loss, penalty=penalty)
    if loss.intercept:
        vars(other)["class_sums"] = loss.class_sums
    return other


def smooth_gradient(here: Place, penalty: Penalty) -> Array:
    """Return the gradient of loss and ridge."""
    gradient = here.gradient.copy()
    d = len(penalty.ridge)
    gradient[:, :d] += penalty.ridge * here.theta[:, :d]
    return gradient


def minimum_of_model(hessian: Array, slope: Array, start: Array, l1: Array, ridge: Array, tolerance: float) -> Array:
    """Return the minimum of the quadratic with absolute values, all arrays about the same coordinates.

    Coordinate descent finds which are zero; where it crawls, the equations of the others are solved at once.
    """
    weight, slope = start.copy(), slope.copy()
    l1, ridge = np.ascontiguousarray(l1), np.ascontiguousarray(ridge)
    for _ in range(ROUNDS):
        _, is_done = cpu.coordinate_descent(hessian, slope, weight, l1, ridge, SWEEPS, tolerance)
        if is_done:
            break
        _leap(hessian, slope, weight, l1, ridge)
    return weight


def _leap(hessian: Array, slope: Array, weight: Array, l1: Array, ridge: Array) -> None:
    """Go towards the minimum over the coordinates that are not zero, as far as the first of them lasts; in place."""
    free = np.flatnonzero((weight != 0) | (l1 == 0))
    if not len(free):
        return
    now = weight[free]
    matrix = hessian[np.ix_(free, free)]
    diagonal = matrix.diagonal() + ridge[free]
    np.fill_diagonal(matrix, diagonal * (1 + 1e-11) + 1e-14 * max(float(diagonal.max()), 1e-300))
    try:
        factor = linalg.cho_factor(matrix, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return
    step = -linalg.cho_solve(factor, slope[free] + ridge[free] * now + l1[free] * np.sign(now), check_finite=False)
    crosses = (l1[free] > 0) & (now * step < 0) & (np.abs(step) >= np.abs(now))
    length = float(np.min(np.abs(now[crosses] / step[crosses]), initial=1.0))
    fresh = now + length * step
    fresh[crosses & (np.abs(now) <= np.abs(length * step))] = 0.0
    slope += hessian[:, free] @ (fresh - now)
    weight[free] = fresh


def _subgradient(smooth: Array, theta: Array, l1: Array) -> Array:
    """Return the least subgradient, all of one shape."""
    with np.errstate(invalid="ignore"):
        at_zero = np.sign(smooth) * np.maximum(np.abs(smooth) - l1, 0.0)
        away = smooth + np.where(theta == 0, 0.0, l1) * np.sign(theta)
    return np.where(theta == 0, at_zero, away)


def least_subgradient(smooth: Array, theta: Array, l1: Array) -> Array:
    """Return the shortest subgradient, from the gradient of loss and ridge and the l1 strength of each column."""
    return _subgradient(smooth, theta, _per_parameter(l1, theta.shape))


def _per_parameter(strength: Array, shape: tuple[int, ...]) -> Array:
    """Return a strength for each parameter from one a column; zero for the bias."""
    whole = np.zeros(shape)
    whole[:, : len(strength)] = strength
    return whole


def _violators(here: Place, l1: Array) -> npt.NDArray[np.bool_]:
    """Return which coordinates at zero would leave it."""
    return np.asarray((here.theta == 0) & (np.abs(here.gradient) > l1 * (1 + 1e-9)))


def sampled_rows(loss: LinearLoss, size: int, rng: np.random.Generator) -> tuple[Indices, Array]:
    """Return about `size` rows and the weights that make their sums those of all rows; rare classes come whole."""
    n = len(loss.targets)
    if n <= size:
        return np.arange(n), loss.weights
    counts = np.bincount(loss.targets, minlength=loss.n_classes)
    chance = np.minimum(1.0, size * (0.7 * loss.weights + 0.3 / (loss.n_classes * counts[loss.targets])))
    rows = np.flatnonzero(rng.random(n) < chance)
    return rows, loss.weights[rows] / chance[rows]


def whole_hessian(loss: LinearLoss, part: LinearLoss, theta: Array) -> Array:
    """Return the Hessian of the loss by all parameters, without penalty, from the loss on some rows, all dense."""
    hessian = part.hessian(theta)
    k, columns = theta.shape
    if k > 1:  # less the curvature of the shift common to all classes, which is not there
        places = np.arange(columns)
        for one in range(k):
            for two in range(k):
                hessian[one * columns + places, two * columns + places] -= 1.0 / k
    if part is not loss:
        bends, squares = np.zeros(k), np.zeros(columns)
        for span, block in part.features.spans():
            chances = part.probabilities(block, theta)
            bends += part.weights[span] @ (chances * (1.0 - chances))
            squares += part.weights[span] @ np.square(part.extended(block), dtype=np.float64)
        _make_up(hessian, loss, squares, np.repeat(bends, columns), np.tile(np.arange(columns), k))
    return hessian


def _make_up(hessian: Array, loss: LinearLoss, squares: Array, bends: Array, columns: Indices) -> None:
    """Add to the diagonal what the variance of a sample's columns lacks; `squares`: of all columns of the sample."""
    full = np.append(loss.features.variance, 1.0) if loss.intercept else loss.features.variance
    lacking = np.maximum(full - squares, 0.0)[columns] * bends
    np.fill_diagonal(hessian, hessian.diagonal() * (1.0 + ROUNDED * loss.single) + lacking)


def loss_hessians(
    loss: LinearLoss, theta: Array, parts: Sequence[Indices], rows: Indices, weights: Array
) -> list[Array]:
    """Return the Hessian of the loss, without penalty, in each part of the parameters, from some rows.

    Where these are not all rows, what their columns lack of the variance of all is made up on the diagonal.
    """
    columns = theta.shape[1]
    used = np.unique(np.concatenate([part % columns for part in parts]))
    widest = max(len(part) for part in parts)
    pieces = _pieces(loss, rows, weights, max(64, BLOCK_BYTES // (8 * (widest + 1))))

    def run(lane: Sequence[tuple[Any, Array]]) -> tuple[list[Array], Array, Array]:
        found = [np.zeros((len(part), len(part))) for part in parts]
        bends, squares = np.zeros(len(theta)), np.zeros(len(used))
        for block, share in lane:
            chances = loss.probabilities(block, theta)
            body = _columns(loss, block, used)
            squares += share @ (body * body)
            bends += share @ (chances * (1.0 - chances))
            for part, hessian in zip(parts, found, strict=True):
                _add_hessian(hessian, body, chances, share, part // columns, np.searchsorted(used, part % columns))
        return found, bends, squares

    lanes = loss.workers.lanes(pieces, 8 * sum(len(part) ** 2 for part in parts))
    hessians, bends, squares = run([])
    for more, bend, square in loss.workers.map(run, lanes):
        for hessian, part_of in zip(hessians, more, strict=True):
            hessian += part_of
        bends += bend
        squares += square
    if len(rows) < len(loss.targets):
        spread = np.full(columns, np.inf)
        spread[used] = squares
        for part, hessian in zip(parts, hessians, strict=True):
            _make_up(hessian, loss, spread, bends[part // columns], part % columns)
    return hessians


def _pieces(loss: LinearLoss, rows: Indices, weights: Array, most: int) -> list[tuple[Any, Array]]:
    """Return the rows in blocks of bounded size, each with its weights."""
    found = []
    for span, block in loss.features.spans():
        low, high = np.searchsorted(rows, (span.start, span.stop))
        for first in range(low, high, most):
            last = min(first + most, high)
            found.append((block[rows[first:last] - span.start], weights[first:last]))
    return found


def _columns(loss: LinearLoss, block: Any, used: Indices) -> Array:
    """Return some scaled columns of a block, dense, ones for the bias."""
    features = loss.features
    inner = used[used < features.n_features]
    if sparse.issparse(block):
        body = block[:, inner].toarray().astype(np.float64, copy=False)
        if features.factor is not None and features.shift is not None:
            body = (body - features.shift[inner]) * features.factor[inner]
    else:
        body = features.dense(block).astype(np.float64, copy=False)
        body = body if len(inner) == features.n_features else body[:, inner]
    if len(inner) < len(used):
        body = np.concatenate([body, np.ones((len(body), 1))], axis=1)
    return np.asarray(body, dtype=np.float64)


def _add_hessian(hessian: Array, body: Array, chances: Array, share: Array, row: Indices, place: Indices) -> None:
    """Add ``sum(share * p_k (1{k=l} - p_l) x_i x_j)`` over the rows of a block; row: k, place: i in `body`."""
    root = np.sqrt(share)[:, None]
    if chances.shape[1] == 1 or np.all(row == row[0]):
        only = chances[:, row[0]][:, None]
        left = body[:, place] * (root * np.sqrt(only * (1.0 - only)))
        hessian += left.T @ left
        return
    left = body[:, place] * (root * chances)[:, row]
    hessian -= left.T @ left
    for k in np.unique(row):
        mine = np.flatnonzero(row == k)
        left = body[:, place[mine]] * (root * np.sqrt(chances[:, k, None]))
        if mine[-1] - mine[0] == len(mine) - 1:
            hessian[mine[0] : mine[-1] + 1, mine[0] : mine[-1] + 1] += left.T @ left
        else:
            hessian[np.ix_(mine, mine)] += left.T @ left
