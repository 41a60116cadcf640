"""Dual coordinate ascent: one sparse row after the other is made optimal, touching its own columns only.

Where there are many classes and few numbers a row, a vector of all weights is longer than all that the rows hold: a
method of whole gradients spends its time on columns that hardly occur. Here a visit of a row costs what the row costs,
and unless the penalty is weak every read of the data brings ten times the precision.

Shalev-Shwartz and Zhang, Math. Programming 155:105 (2016); Yu, Huang and Lin, Machine Learning 85:41 (2011).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softclass.estimators.line_search import Limits, Solution
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import Array
from softclass.estimators.sparse_gap import SWEEP_NUMBERS, sparse_gap
from softclass.estimators.trust_region import newton_cg
from softclass.functions.softmax import softmax
from softclass.kernels import cpu

NO_CLASS = -1e30  # logit, and logarithm of the probability, of what cannot be
STEEPEST = 300.0  # mean of weight times squared length of a row, over the penalty, up to which visits gain enough
STIFFNESS = 0.5  # squared of the bias, in mean squared lengths of the rows, and at least in inverse weights of a row
MOST_SWEEPS = 60
PATIENCE = 5  # sweeps in which the divergence must halve
FURTHER = 0.05  # divergence to aim at, of that which did not suffice
ATTEMPTS = 4  # to certify
DUAL_BYTES = 2**29  # of the distributions of all rows
POLISH_CLASSES = 300  # up to which the bias is polished with the whole curvature of the classes
POLISH_TURNS = 2
FARTHEST = 1.0  # step of a bias beyond which a quadratic tells nothing


def dual_ascent(loss: LinearLoss, start: Array, limits: Limits, seed: int, *, is_cold: bool) -> Solution:
    """Minimise by sweeps over the rows until a duality gap certifies it, else by Newton's method.

    The sweeps are made by one thread, in an order that `seed` fixes.
    """
    if limits.polish or not suits(loss):
        return newton_cg(loss, start, limits)
    state = cold_state(loss) if is_cold else warm_state(loss, start)
    rng = np.random.default_rng(seed)
    goal, sweeps, found = limits.tolerance, 0, None
    for _ in range(ATTEMPTS):
        met: list[float] = []
        while sweeps < min(MOST_SWEEPS, limits.max_iter) and not limits.is_late():
            value, divergence = state.sweep(rng.permutation(len(loss.targets)).astype(np.int32))
            loss.passes[0] += 1
            sweeps += 1
            met.append(divergence / value)
            if not met[-1] > goal or (len(met) > PATIENCE and met[-1] > 0.5 * met[-1 - PATIENCE]):
                break
        found = certified(loss, state, limits, sweeps)
        if found.reason == "duality" or not met or not met[-1] <= goal:
            break
        goal = FURTHER * met[-1]
    if found is None or found.reason == "duality":
        return found if found is not None else newton_cg(loss, start, limits)
    helped = found.value < -float(loss.shares @ np.log(loss.shares))  # than no weights at all
    left = max(1, limits.max_iter - sweeps)
    again = newton_cg(loss, found.theta if helped or not is_cold else start, replace(limits, max_iter=left))
    return replace(again, iterations=sweeps + again.iterations, solver=f"dual-ascent, {again.solver}")


def suits(loss: LinearLoss) -> bool:
    """Whether visits of single rows gain enough, and all that they need has room."""
    if not loss.is_sparse or not np.all(loss.penalty > 0):
        return False
    if 4 * len(loss.targets) * loss.sparse_pass.step > DUAL_BYTES:
        return False
    steepness = loss.weights * loss.sparse_pass.squared_lengths
    return bool(np.mean(steepness) <= STEEPEST)


def certified(loss: LinearLoss, state: AscentState, limits: Limits, sweeps: int) -> Solution:
    """Return the point of the state with its gap; the reason is "duality" if that will do."""
    if loss.intercept:
        state.polish_bias()
    theta = state.theta()
    value, gradient = state.value_and_gradient(theta)
    gap = sparse_gap(loss, theta, value, gradient, limits.tolerance * value)
    limits.tell(loss, sweeps, value, gradient, gap)
    reason = "duality" if gap <= limits.tolerance * value else "uncertain"
    return Solution(theta, value, gradient, sweeps, reason, gap, "dual-ascent")


def _parts(n_rows: int, n_classes: int) -> list[slice]:
    step = max(1, SWEEP_NUMBERS // n_classes)
    return [slice(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]


def bias_step(chances: npt.NDArray[np.float32], weights: Array, shares: Array) -> Array | None:
    """Return Newton's step of the bias for given weights; None if it is too long to be trusted.

    `chances` are the probabilities, of shape (N, K), and are moved along.
    """
    k, total = len(shares), np.zeros(len(shares))
    parts = _parts(len(weights), k)
    for _ in range(POLISH_TURNS):
        means = weights @ chances
        slope = shares - means
        if k > POLISH_CLASSES:
            step = slope / np.maximum(means, 1e-30)
        else:
            curvature: npt.NDArray[Any] = np.diag(means)
            for part in parts:  # that stay in the second cache
                curvature -= chances[part].T @ (chances[part] * weights[part, None].astype(np.float32))
            step = np.linalg.solve(curvature + np.mean(means), slope)  # regular along the shift common to all
        step -= step.mean()
        if not np.all(np.abs(step) < FARTHEST):
            return None
        total += step
        factor = np.exp(step).astype(np.float32)
        for part in parts:
            chances[part] *= factor
            chances[part] /= chances[part].sum(axis=1, keepdims=True)
    return total


@dataclass(eq=False)
class AscentState:
    """Distributions of all rows and the weights that they stand for.

    Attributes
    ----------
    loss : LinearLoss
        What is minimised.
    values : float32 array of shape (entries,)
        Of the rows, in columns whose penalty is half the sum of the squared weights.
    root : float64 array of shape (D,)
        A weight there, over the weight in scaled columns.
    stiffness : float
        Of the bias; zero: there is none.
    curvatures : float64 array of shape (N,)
        Of the rows.
    centre, pull : float64 arrays of shape (step,)
        The bias is ``centre + stiffness * pull``.
    weight : float32 array of shape (D, step)
        Weights.
    logarithms : float32 array of shape (N, step)
        Of the distributions.
    """

    loss: LinearLoss
    values: npt.NDArray[np.float32]
    root: Array
    stiffness: float
    curvatures: Array
    centre: Array
    pull: Array
    weight: npt.NDArray[np.float32]
    logarithms: npt.NDArray[np.float32]

    def sweep(self, order: npt.NDArray[np.int32]) -> tuple[float, float]:
        """Visit rows; return the objective about where it was, and the distance of the distributions from its own."""
        rows, loss = self.loss.sparse_pass.rows, self.loss
        if self.stiffness > 0.0:  # the method of multipliers
            self.centre += self.stiffness * self.pull
        mean, divergence = cpu.dual_ascent(
            order, rows.row_starts, rows.columns, self.values, loss.targets, loss.weights, self.curvatures,
            self.stiffness, self.centre, self.weight, self.logarithms, self.pull,
        )  # fmt: skip
        flat = self.weight.reshape(-1)
        return mean + 0.5 * float(np.dot(flat, flat)), max(divergence, 0.0)

    def polish_bias(self) -> None:
        """Move the bias to the minimum for these weights: the gap is of first order in its gradient, of second else."""
        rows, k = self.loss.sparse_pass.rows, self.loss.n_classes
        bias = (self.centre + self.stiffness * self.pull)[:k].astype(np.float32)
        chances = np.empty((len(self.loss.targets), k), np.float32)
        for part in _parts(*chances.shape):
            starts = rows.row_starts[part.start : part.stop + 1]
            inside = slice(starts[0], starts[-1])
            body = (self.values[inside], rows.columns[inside], starts - starts[0])
            block = sparse.csr_matrix(body, shape=(len(starts) - 1, len(self.weight)))
            chances[part] = softmax((block @ self.weight)[:, :k] + bias)
        self.loss.passes[0] += 1
        step = bias_step(chances, self.loss.weights, self.loss.shares)
        if step is not None:
            self.centre[:k] += step

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        """Return the objective and its gradient at `theta`, the point of the state, from its weights as they lie."""
        loss, k = self.loss, self.loss.n_classes
        if not loss.single:
            return loss.value_and_gradient(theta)
        bias = np.full(len(self.centre), -np.inf, np.float32)
        free = (self.centre + self.stiffness * self.pull)[:k]
        bias[:k] = free - (free.mean() if loss.intercept else 0.0)
        loss.passes[0] += 1
        return loss.sparse_pass.value_and_gradient_of(theta, self.values, self.weight, bias)

    def theta(self) -> Array:
        """Return the weights as parameters in scaled columns."""
        loss, features = self.loss, self.loss.features
        k, d = loss.n_classes, features.n_features
        own = np.empty((loss.n_columns, loss.n_rows))
        bias = (self.centre + self.stiffness * self.pull)[:k]
        if loss.n_rows == 1:
            own[:d, 0] = (self.weight[:, 1].astype(np.float64) - self.weight[:, 0]) / self.root
            bias = bias[1:] - bias[:1] + _offset(loss) @ own[:d]
        else:
            step, offset, average = max(1, SWEEP_NUMBERS // k), _offset(loss), np.full((k, 1), 1.0 / k)
            for first in range(0, d, step):
                part = own[first : min(first + step, d)]
                np.divide(self.weight[first : first + step, :k], self.root[first : first + step, None], out=part)
                part -= part @ average
                bias = bias + offset[first : first + step] @ part
        if loss.intercept:
            own[d] = bias - (bias.mean() if loss.n_rows > 1 else 0.0)
        return own.T


def _offset(loss: LinearLoss) -> Array:
    """Return what the rows of the blocks lack in scaled columns."""
    features = loss.features
    if features.factor is None or features.shift is None:
        return np.zeros(features.n_features)
    return features.factor * features.shift


def cold_state(loss: LinearLoss) -> AscentState:
    """Return the state of no weights: the targets themselves as distributions."""
    rows, step = loss.sparse_pass.rows, loss.sparse_pass.step
    n, d, k = len(loss.targets), loss.features.n_features, loss.n_classes
    # For two classes the caller's one vector is the difference of two, with half the penalty each.
    root = np.sqrt(loss.penalty * (2.0 if loss.n_rows == 1 else 1.0))
    scale = (1.0 if loss.features.factor is None else loss.features.factor) / root
    squares = loss.sparse_pass.squared_lengths * (0.5 if loss.n_rows == 1 else 1.0)
    stiffness = 0.0
    if loss.intercept:
        stiffness = STIFFNESS * max(float(loss.weights @ squares), 1.0 / float(loss.weights @ loss.weights))
    centre = np.full(step, NO_CLASS)
    centre[:k] = 0.0
    if loss.intercept:
        logs = np.log(loss.shares)
        centre[:k] = logs - logs.mean()
    logarithms = np.full((n, step), NO_CLASS, np.float32)
    logarithms[np.arange(n), loss.targets] = 0.0
    return AscentState(
        loss=loss,
        values=(rows.values * scale[rows.columns]).astype(np.float32),
        root=root,
        stiffness=stiffness,
        curvatures=loss.weights * (squares + stiffness),
        centre=centre,
        pull=np.zeros(step),
        weight=np.zeros((d, step), np.float32),
        logarithms=logarithms,
    )


def warm_state(loss: LinearLoss, start: Array) -> AscentState:
    """Return the state whose distributions are the probabilities at a point; cold where these are not kept."""
    state, k = cold_state(loss), loss.n_classes
    theta = np.asfortranarray(start)
    _, gradient = loss.value_and_gradient(theta)
    kept = loss.sparse_pass.kept
    if kept is None:
        return state
    weight, bias = loss.split(theta)
    own = (weight - loss.split(gradient)[0] / loss.penalty).T * state.root[:, None]
    state.weight[:, :k] = own if loss.n_rows > 1 else own * np.array([-0.5, 0.5])
    state.logarithms[:, :k] = np.log(np.maximum(kept[:, :k], 1e-37))
    if loss.intercept:
        free = bias - weight @ _offset(loss)
        slope = gradient[:, -1]
        state.pull[:k] = -slope if loss.n_rows > 1 else np.append(slope, -slope)
        state.centre[:k] = free if loss.n_rows > 1 else np.append(-0.5 * free, 0.5 * free)
        state.centre[:k] -= 2.0 * state.stiffness * state.pull[:k]  # a sweep begins with a move of the centre
    return state
