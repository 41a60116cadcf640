"""Classes that can be told apart by a plane: without a penalty their weights have no finite optimum.

A direction of the parameters separates if for no row the logit of a wrong class gains on that of the right one, and
for some row it loses. Complete separation (every wrong class loses at every row) shows itself in the solver, as a row
margin above zero. Quasi-complete separation is looked for by a linear programme [1]_ whose answer is checked on all
rows; "no direction" is proved too, since the programme asks for less than all rows do.

References
----------
.. [1] Konis, Linear programming algorithms for detecting separated data in binary logistic regression models, thesis,
   Oxford, 2007.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse
from scipy.optimize import linprog

from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import BLOCK_BYTES, Array

PROGRAMME_NUMBERS = 1_000_000  # nonzeros of the constraints of one programme
PROGRAMME_PARAMETERS = 1000  # beyond, the programme is not tried
ROUNDS = 12  # of adding the rows that a programme's answer violates
CONES = 6  # directions that are added up, until all that is separated is
STRICT = 1e-6  # a wrong class loses by at least this share of the most it loses at any row
TIES = 2000  # ties taken into a factor at once
ENOUGH = 20  # ties a parameter that tell what all of them do
SAME = 1e-12  # of the largest singular value of the ties: rounding of their rows
SAME_SINGLE = 1e-6  # in float32
VIOLATED = 1e-8  # what rounding may make of a tie, in scaled columns
VIOLATED_SINGLE = 1e-5  # in float32


@dataclass(frozen=True, eq=False)
class Direction:
    """A separating direction in scaled columns.

    Attributes
    ----------
    theta : float64 array of shape (rows, columns)
        As the parameters of `LinearLoss`.
    kind : str
        "complete": every wrong class loses at every row; else "quasi-complete".
    margin : float
        For complete separation the smallest lead of the right class, at `theta`; else zero.
    losing : bool array of shape (K, K)
        Whether at every row of the first class the second one loses.
    touched : bool array of shape (K, K)
        Whether at some row of the first class the second one loses.
    columns : bool array of shape (D,)
        Columns of a sparse direction that separates the same.
    """

    theta: Array
    kind: str
    margin: float
    losing: npt.NDArray[np.bool_]
    touched: npt.NDArray[np.bool_]
    columns: npt.NDArray[np.bool_]


def complete_direction(loss: LinearLoss, theta: Array, margin: float) -> Direction:
    """Return the direction of an iterate at which every row is on its right side."""
    k = loss.n_classes
    every = ~np.eye(k, dtype=bool)
    return Direction(theta, "complete", margin, every, every, _named_columns(loss, Pattern(theta, 0.0), theta))


def quasi_direction(loss: LinearLoss, theta: Array) -> Direction | None:
    """Return a direction that separates all that can be separated, or None if there is none or it is too large to say.

    `theta` is where the solver stopped: its narrowest rows enter the first programme. Beyond 1000 parameters only
    columns of zeros and ones are looked at.
    """
    if theta.size > PROGRAMME_PARAMETERS:
        return _direction_of_categories(loss, theta)
    total = np.zeros_like(theta)
    for _ in range(CONES):
        objective = _objective(loss, total)
        found = _programme(loss, objective, None, theta)
        if found is None:
            break
        total = total + found
    if total.any():
        total = _exact_ties(loss, total)
    if not total.any():
        return None
    return _described(loss, total, theta)


def _described(loss: LinearLoss, found: Array, theta: Array) -> Direction:
    pattern = pattern_of(found)
    losing, touched = _pairs(loss, pattern)
    kind = "complete" if losing[~np.eye(loss.n_classes, dtype=bool)].all() else "quasi-complete"
    return Direction(found, kind, 0.0, losing, touched, _named_columns(loss, pattern, theta))


def _direction_of_categories(loss: LinearLoss, theta: Array) -> Direction | None:
    """Return the direction in which categories that never meet a class leave it."""
    pairs, (lows, _, _) = never_together(loss), _extremes(loss)
    found = np.zeros_like(theta)
    for column, k in pairs:
        if not loss.intercept and lows[column] != 0:
            continue
        row, sign = (k, -1.0) if loss.n_rows > 1 else (0, -1.0 if k == 1 else 1.0)
        found[row, column] += sign
        if loss.intercept:
            found[row, -1] -= sign * lows[column]
    return _described(loss, found, theta) if found.any() and _holds(loss, found, None) else None


def _exact_ties(loss: LinearLoss, direction: Array) -> Array:
    """Return the direction with its ties made exact, or zeros if then nothing is separated any more.

    The programme's answer has ties to 1e-10. A row far from all others makes columns differ by less than that, and
    what looks like a tie may be a violation: among directions whose ties are ties to rounding nothing is left then.
    """
    k, c = direction.shape
    pattern, scale = pattern_of(direction), float(np.abs(direction).max())
    factor = np.zeros((0, k * c))
    stride = 1 + len(loss.targets) * max(k - 1, 1) // (TIES + ENOUGH * k * c)
    for span, block, leads in leads_of_blocks(loss, direction):
        row, other = (found[::stride] for found in np.nonzero(np.isfinite(leads) & ~pattern.lost(leads)))
        extended = loss.extended(block).astype(np.float64, copy=False)
        for first in range(0, len(row), TIES):
            rows, wrong = row[first : first + TIES], other[first : first + TIES]
            targets = loss.targets[span][rows]
            ties = np.zeros((len(rows), k, c))
            if k == 1:
                ties[:, 0] = extended[rows]
            else:
                ties[np.arange(len(rows)), targets] = extended[rows]
                ties[np.arange(len(rows)), wrong] -= extended[rows]
            whole = np.concatenate([factor, ties.reshape(len(rows), -1)])
            factor = linalg.qr(whole, mode="r", overwrite_a=True, check_finite=False)[0][: k * c]
    if len(factor):
        _, sizes, right = np.linalg.svd(factor)
        span_of_ties = right[: int(np.sum(sizes > (SAME_SINGLE if loss.single else SAME) * sizes[0]))]
        flat = direction.ravel()
        direction = (flat - span_of_ties.T @ (span_of_ties @ flat)).reshape(k, c)
    kept = np.abs(direction).max() > STRICT * scale and any(
        pattern_of(direction).lost(leads).any() for _, _, leads in leads_of_blocks(loss, direction)
    )
    return direction if kept and _holds(loss, direction, None) else np.zeros_like(direction)


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where wrong classes lose: rows and classes whose lead along a direction is above a threshold."""

    direction: Array
    threshold: float

    def lost(self, leads: Array) -> npt.NDArray[np.bool_]:
        """Return where a wrong class loses, by leads along the direction."""
        return np.isfinite(leads) & (leads > self.threshold)


def pattern_of(direction: Array) -> Pattern:
    """Return where wrong classes lose along a direction whose ties are exact but for rounding."""
    return Pattern(direction, STRICT * float(np.abs(direction).max()))


def leads_of_blocks(loss: LinearLoss, direction: Array) -> Iterator[tuple[slice, Any, Array]]:
    """Yield the rows of blocks, the blocks, and the lead of the right class over each other; infinite over itself."""
    for span, block in _pieces(loss):
        logits = loss.block_logits(block, direction)
        rows = np.arange(len(logits))
        targets = loss.targets[span]
        leads = logits[rows, targets][:, None] - logits
        leads[rows, targets] = np.inf
        yield span, block, leads


def never_together(loss: LinearLoss) -> list[tuple[int, int]]:
    """Return columns of zeros and ones, and classes whose rows all have zero."""
    lows, highs, binary = _extremes(loss)
    with np.errstate(over="ignore", invalid="ignore"):
        zeros, ones = (ends * loss.features.scale + loss.features.mean for ends in (lows, highs))
        binary &= (np.abs(zeros) < 1e-6) & (np.abs(ones - 1.0) < 1e-6)
    if not binary.any():
        return []
    counts = np.zeros((loss.n_classes, loss.features.n_features))
    for span, block in _pieces(loss):
        hot = np.zeros((block.shape[0], loss.n_classes))
        hot[np.arange(len(hot)), loss.targets[span]] = 1.0
        counts += hot.T @ (loss.features.dense(block) > 0.5 * (lows + highs))
    return [(int(j), int(k)) for j in np.flatnonzero(binary) for k in np.flatnonzero(counts[:, j] == 0)]


def _extremes(loss: LinearLoss) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return the least and the largest value of each column, and whether there are no others."""
    d = loss.features.n_features
    lows, highs = np.full(d, np.inf), np.full(d, -np.inf)
    for _, block in _pieces(loss):
        rows = loss.features.dense(block)
        np.minimum(lows, rows.min(axis=0), out=lows)
        np.maximum(highs, rows.max(axis=0), out=highs)
    binary = lows < highs
    for _, block in _pieces(loss):
        rows = loss.features.dense(block)
        binary &= ((rows == lows) | (rows == highs)).all(axis=0)
    return lows, highs, binary


def _pieces(loss: LinearLoss) -> Iterator[tuple[slice, Any]]:
    """Yield the blocks in pieces whose dense copy and logits are small."""
    rows = max(16, BLOCK_BYTES // (8 * (loss.n_columns + loss.n_classes)))
    for span, block in loss.features.spans():
        for first in range(0, block.shape[0], rows):
            piece = block[first : first + rows]
            yield slice(span.start + first, span.start + first + piece.shape[0]), piece


def _objective(loss: LinearLoss, known: Array) -> Array:
    """Return the gradient of the summed leads that are still ties along the `known` direction."""
    gradient, pattern = np.zeros_like(known), pattern_of(known)
    for span, block, leads in leads_of_blocks(loss, known):
        ties = np.isfinite(leads) & ~pattern.lost(leads)
        signs = -ties.astype(np.float64)
        signs[np.arange(len(signs)), loss.targets[span]] = ties.sum(axis=1)
        signs *= loss.weights[span, None]
        signs = signs[:, 1:] if loss.n_rows == 1 else signs
        gradient += signs.T @ loss.extended(block)
    return gradient


def _pairs(loss: LinearLoss, pattern: Pattern) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    k = loss.n_classes
    counts, lost = np.bincount(loss.targets, minlength=k), np.zeros((k, k))
    for span, _, leads in leads_of_blocks(loss, pattern.direction):
        np.add.at(lost, loss.targets[span], pattern.lost(leads).astype(np.float64))
    return (lost == counts[:, None]) & (counts[:, None] > 0), lost > 0


def _named_columns(loss: LinearLoss, pattern: Pattern, theta: Array) -> npt.NDArray[np.bool_]:
    """Return the columns of a direction that separates what `pattern` does and has as few columns as may be."""
    weight, _ = loss.split(pattern.direction)
    size = np.abs(weight - weight.mean(axis=0) if len(weight) > 1 else weight).max(axis=0)
    if theta.size <= PROGRAMME_PARAMETERS:
        price = np.ones(len(size))
        for _ in range(3):  # prices that fall with the use of a column: few columns instead of small weights
            found = _programme(loss, None, pattern, theta, price)
            if found is None:
                break
            size = np.abs(loss.split(found)[0]).max(axis=0)
            price = 1.0 / (size + 1e-3 * max(float(size.max()), 1e-300))
            price /= price.min()
    return np.asarray(size > 1e-6 * max(float(size.max(initial=0.0)), 1e-300))


def _programme(
    loss: LinearLoss, objective: Array | None, pattern: Pattern | None, theta: Array, price: Array | None = None
) -> Array | None:
    """Solve a linear programme over directions with few rows, and add those that its answer violates, until none is.

    With `objective`: the largest sum of leads, each at least zero, in a box. With `pattern`: the least sum over columns
    of `price` times the largest weight, where all that loses along `pattern` loses by one.
    """
    if objective is not None and not np.abs(objective).max() > 1e-12:
        return None
    per_row = max(1, loss.n_classes - 1) * 2 * loss.n_columns
    most = max(50, PROGRAMME_NUMBERS // per_row)
    chosen = np.zeros(len(loss.targets), dtype=bool)
    chosen[_narrowest(loss, theta, pattern, min(most, max(200, 4 * loss.n_columns)))] = True
    for _ in range(ROUNDS):
        rows = np.flatnonzero(chosen)
        if len(rows) > most:
            return None
        matrix, demand = _constraints(loss, rows, pattern)
        found = _box(objective, matrix) if objective is not None else _fewest(loss, matrix, demand, price)
        if found is None:
            return None
        violated = _narrowest(loss, found, pattern, most, below=-1.0)
        violated = violated[~chosen[violated]]
        if not len(violated):
            return found if _holds(loss, found, pattern) else None
        chosen[violated[: max(200, len(rows))]] = True
    return None


def _tolerance(loss: LinearLoss) -> float:
    return VIOLATED_SINGLE if loss.single else VIOLATED


def _row_slacks(loss: LinearLoss, direction: Array, pattern: Pattern | None) -> Array:
    slacks = np.empty(len(loss.targets))
    if pattern is None:
        for span, _, leads in leads_of_blocks(loss, direction):
            slacks[span] = leads.min(axis=1)
    else:
        both = zip(leads_of_blocks(loss, direction), leads_of_blocks(loss, pattern.direction), strict=True)
        for (span, _, leads), (_, _, along) in both:
            slacks[span] = (leads - pattern.lost(along)).min(axis=1)
    return slacks


def _narrowest(
    loss: LinearLoss, direction: Array, pattern: Pattern | None, size: int, below: float = np.inf
) -> npt.NDArray[np.int64]:
    """Return the rows that keep least of what is demanded, the worst first."""
    slacks = _row_slacks(loss, direction, pattern)
    order = np.argsort(slacks, kind="stable")[:size]
    limit = -_tolerance(loss) if below < 0 else np.inf
    return order[slacks[order] < limit]


def _holds(loss: LinearLoss, direction: Array, pattern: Pattern | None) -> bool:
    scale = max(1.0, float(np.abs(direction).max()))
    return bool(_row_slacks(loss, direction, pattern).min() >= -_tolerance(loss) * scale)


def _constraints(
    loss: LinearLoss, rows: npt.NDArray[np.int64], pattern: Pattern | None
) -> tuple[sparse.csr_array, Array]:
    """Return the leads of some rows as linear functions of the direction, and what each must be at least."""
    subset = loss.subset(rows, loss.weights[rows])
    block = subset.features.blocks[0]
    extended = subset.extended(block).astype(np.float64, copy=False)
    targets, (n, c), k = subset.targets, extended.shape, loss.n_classes
    wrong = np.ones((n, k), dtype=bool)
    wrong[np.arange(n), targets] = False
    row, other = np.nonzero(wrong)
    if loss.n_rows == 1:
        matrix = sparse.csr_array(extended * np.where(targets == 1, 1.0, -1.0)[:, None])
    else:
        places = np.concatenate([targets[row, None] * c + np.arange(c), other[:, None] * c + np.arange(c)], axis=1)
        values = np.concatenate([extended[row], -extended[row]], axis=1)
        start = np.arange(len(row) + 1) * (2 * c)
        matrix = sparse.csr_array((values.ravel(), places.ravel(), start), shape=(len(row), k * c))
    demand = np.zeros(len(row))
    if pattern is not None:
        leads = np.concatenate([leads for _, _, leads in leads_of_blocks(subset, pattern.direction)])
        demand = pattern.lost(leads)[row, other].astype(np.float64)
    return matrix, demand


def _box(objective: Array, matrix: sparse.csr_array) -> Array | None:
    scale = float(np.abs(objective).max())
    answer = linprog(
        -objective.ravel() / scale,
        A_ub=-matrix,
        b_ub=np.zeros(matrix.shape[0]),
        bounds=(-1.0, 1.0),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.status != 0 or -answer.fun <= 1e-7:
        return None
    return np.asarray(answer.x, dtype=np.float64).reshape(objective.shape)


def _fewest(loss: LinearLoss, matrix: sparse.csr_array, demand: Array, price: Array | None) -> Array | None:
    d, c, k = loss.features.n_features, loss.n_columns, loss.n_rows
    column = np.arange(k * c).reshape(k, c)[:, :d].ravel()
    size = np.tile(np.arange(d), k)
    pick = sparse.csr_array((np.ones(k * d), (np.arange(k * d), column)), shape=(k * d, k * c))
    bound = sparse.csr_array((np.ones(k * d), (np.arange(k * d), size)), shape=(k * d, d))
    above = sparse.block_array([[-matrix, None], [pick, -bound], [-pick, -bound]], format="csr")
    answer = linprog(
        np.concatenate([np.zeros(k * c), np.ones(d) if price is None else price]),
        A_ub=above,
        b_ub=np.concatenate([-demand, np.zeros(2 * k * d)]),
        bounds=[(None, None)] * (k * c) + [(0.0, None)] * d,
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10},
    )
    if answer.status != 0:
        return None
    return np.asarray(answer.x[: k * c], dtype=np.float64).reshape(k, c)
