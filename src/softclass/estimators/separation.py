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
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse
from scipy.optimize import linprog

from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.scaling import BLOCK_BYTES, Array
from softclass.functions.softmax import softmax

PROGRAMME_NUMBERS = 1_000_000  # nonzeros of the constraints of one programme
PROGRAMME_PARAMETERS = 1000  # beyond, the programme is not tried
STEP_PLACES = 4  # demands a variable that enter a programme at a time
DOUBT = 0.05  # up to which a class is held against the others
SWEEP_WORK = 4e9  # rows x columns x classes^2 up to which each class is held against the others
ROUNDS = 12  # of adding the rows that a programme's answer violates
CONES = 25  # directions that are added up, until all that is separated is
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
    """Return a direction that separates all that can be separated, or None if none was found.

    `theta` is where the solver stopped: what it keeps apart least enters the first programme. First each class that
    is told apart well is held against all others, by a programme of as many variables as columns; then all at once.
    Beyond 1000 parameters the latter is left out: what is found separates, but None does not prove that nothing does.
    """
    total, named = np.zeros_like(theta), np.zeros(loss.features.n_features, dtype=bool)
    if loss.n_rows > 1 and loss.n_columns <= PROGRAMME_PARAMETERS and loss.n_rows**2 * _cells(loss) <= SWEEP_WORK:
        for k in np.flatnonzero(_doubts(loss, theta) < DOUBT):
            pair = replace(loss, targets=(loss.targets == k).astype(np.int64), n_classes=2)
            point = (theta[k] - np.delete(theta, k, axis=0).mean(axis=0))[None]
            found = _cone(pair, point, np.zeros_like(point))
            found = _exact_ties(pair, found) if found.any() else found
            if found.any():
                total[k] = found[0]
                named |= _named_columns(pair, pattern_of(found), point)
    if theta.size > PROGRAMME_PARAMETERS:
        found = _direction_of_categories(loss, theta)
        named |= loss.split(np.abs(found))[0].any(axis=0)
        total = total + found
        return _described(loss, total, theta, named) if total.any() and _holds(loss, total, None) else None
    total = total - total.mean(axis=0) if loss.n_rows > 1 else total
    whole = _cone(loss, theta, total)
    if whole.any():
        exact = _exact_ties(loss, whole)
        if exact.any():
            return _described(loss, exact, theta, named if whole is total else None)
    return None


def _doubts(loss: LinearLoss, theta: Array) -> Array:
    """Return the mean probability of being wrong of the rows of each class: next to nothing where it is set apart."""
    doubts = np.zeros(loss.n_classes)
    for span, block in _pieces(loss):
        targets = loss.targets[span]
        right = softmax(loss.block_logits(block, theta))[np.arange(len(targets)), targets]
        doubts += np.bincount(targets, 1.0 - right, minlength=loss.n_classes)
    return doubts / np.maximum(np.bincount(loss.targets, minlength=loss.n_classes), 1)


def _cells(loss: LinearLoss) -> int:
    return len(loss.targets) * loss.n_columns


def _cone(loss: LinearLoss, theta: Array, total: Array) -> Array:
    """Return a direction along which all loses that may, from one along which some does.

    What loses along it already is demanded no more: a large multiple of it makes up for any gain.
    """
    for _ in range(CONES):
        settled = pattern_of(total) if total.any() else None
        found = _programme(loss, _objective(loss, total), None, theta, Places(), settled=settled)
        if found is None:
            break
        multiple = 1.0
        if settled is not None:
            both = zip(leads_of_blocks(loss, total), leads_of_blocks(loss, found), strict=True)
            for (_, _, along), (_, _, leads) in both:
                gains = settled.lost(along) & (leads < 0)
                multiple = max(multiple, 2.0 * float(np.max(-leads[gains] / along[gains], initial=0.0)))
        total = multiple * total + found
        total /= np.abs(total).max()
    return total


def _described(loss: LinearLoss, found: Array, theta: Array, named: npt.NDArray[np.bool_] | None = None) -> Direction:
    pattern = pattern_of(found)
    losing, touched = _pairs(loss, pattern)
    kind = "complete" if losing[~np.eye(loss.n_classes, dtype=bool)].all() else "quasi-complete"
    columns = _named_columns(loss, pattern, theta) if named is None else named
    return Direction(found, kind, 0.0, losing, touched, columns)


def _direction_of_categories(loss: LinearLoss, theta: Array) -> Array:
    """Return the direction in which categories that never meet a class leave it, or zeros."""
    pairs, (lows, _, _) = never_together(loss), _extremes(loss)
    found = np.zeros_like(theta)
    for column, k in pairs:
        if not loss.intercept and lows[column] != 0:
            continue
        row, sign = (k, -1.0) if loss.n_rows > 1 else (0, -1.0 if k == 1 else 1.0)
        found[row, column] += sign
        if loss.intercept:
            found[row, -1] -= sign * lows[column]
    return found if found.any() and _holds(loss, found, None) else np.zeros_like(found)


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
        price, known = np.ones(len(size)), Places()
        for _ in range(3):  # prices that fall with the use of a column: few columns instead of small weights
            found = _programme(loss, None, pattern, theta, known, price)
            if found is None:
                break
            size = np.abs(loss.split(found)[0]).max(axis=0)
            price = 1.0 / (size + 1e-3 * max(float(size.max()), 1e-300))
            price /= price.min()
    return np.asarray(size > 1e-6 * max(float(size.max(initial=0.0)), 1e-300))


@dataclass(eq=False)
class Places:
    """What a programme demands: rows and wrong classes, as ``row * K + class`` in ascending order."""

    chosen: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, more: npt.NDArray[np.int64]) -> bool:
        """Demand more; return whether that was not demanded before."""
        before = len(self.chosen)
        self.chosen = np.union1d(self.chosen, more)
        return len(self.chosen) > before


def _programme(
    loss: LinearLoss,
    objective: Array | None,
    pattern: Pattern | None,
    theta: Array,
    known: Places,
    price: Array | None = None,
    settled: Pattern | None = None,
) -> Array | None:
    """Solve a linear programme over directions with few demands, and add those its answer violates, until none is.

    With `objective`: the largest sum of leads, each at least zero, in a box. With `pattern`: the least sum over columns
    of `price` times the largest weight, where all that loses along `pattern` loses by one. `known` are demands that
    earlier programmes came to; nothing is demanded of what loses along `settled`.
    """
    if objective is not None and not np.abs(objective).max() > 1e-12:
        return None
    step = max(200, STEP_PLACES * theta.size)
    known.add(_narrowest(loss, theta, pattern, settled, step))
    for _ in range(ROUNDS):
        if len(known.chosen) * 2 * loss.n_columns > PROGRAMME_NUMBERS:
            return None
        matrix, demand = _constraints(loss, known.chosen, pattern)
        found = _box(objective, matrix) if objective is not None else _fewest(loss, matrix, demand, price)
        if found is None:
            return None
        more = _narrowest(loss, found, pattern, settled, max(step, len(known.chosen)), -_tolerance(loss))
        if not known.add(more):
            return found if _holds(loss, found, pattern, settled) else None
    return None


def _tolerance(loss: LinearLoss) -> float:
    return VIOLATED_SINGLE if loss.single else VIOLATED


def _slacks(
    loss: LinearLoss, direction: Array, pattern: Pattern | None, settled: Pattern | None
) -> Iterator[tuple[slice, Array]]:
    """Yield the rows of blocks, and by how much each wrong class keeps more than what is demanded of it."""
    other = pattern or settled
    if other is None:
        for span, _, leads in leads_of_blocks(loss, direction):
            yield span, leads
    else:
        both = zip(leads_of_blocks(loss, direction), leads_of_blocks(loss, other.direction), strict=True)
        for (span, _, leads), (_, _, along) in both:
            lost = other.lost(along)
            yield span, np.where(lost, np.inf, leads) if pattern is None else leads - lost


def _narrowest(
    loss: LinearLoss,
    direction: Array,
    pattern: Pattern | None,
    settled: Pattern | None,
    size: int,
    below: float = np.inf,
) -> npt.NDArray[np.int64]:
    """Return the places, at most `size`, that keep least of what is demanded, and less than `below` more than that."""
    places, slacks = np.zeros(0, dtype=np.int64), np.zeros(0)
    for span, block in _slacks(loss, direction, pattern, settled):
        flat = block.ravel()
        here = np.flatnonzero(flat < below)
        slacks = np.concatenate([slacks, flat[here]])
        places = np.concatenate([places, here + span.start * loss.n_classes])
        if len(slacks) > size:
            least = np.argsort(slacks, kind="stable")[:size]
            places, slacks = places[least], slacks[least]
    return places


def _holds(loss: LinearLoss, direction: Array, pattern: Pattern | None, settled: Pattern | None = None) -> bool:
    scale = max(1.0, float(np.abs(direction).max()))
    least = -_tolerance(loss) * scale
    return all(float(slacks.min()) >= least for _, slacks in _slacks(loss, direction, pattern, settled))


def _constraints(
    loss: LinearLoss, places: npt.NDArray[np.int64], pattern: Pattern | None
) -> tuple[sparse.csr_array, Array]:
    """Return the leads at some places as linear functions of the direction, and what each must be at least."""
    rows, row = np.unique(places // loss.n_classes, return_inverse=True)
    other = places % loss.n_classes
    subset = loss.subset(rows, loss.weights[rows])
    extended = subset.extended(subset.features.blocks[0]).astype(np.float64, copy=False)[row]
    targets, c = subset.targets[row], loss.n_columns
    if loss.n_rows == 1:
        matrix = sparse.csr_array(extended * np.where(targets == 1, 1.0, -1.0)[:, None])
    else:
        columns = np.concatenate([targets[:, None] * c + np.arange(c), other[:, None] * c + np.arange(c)], axis=1)
        values = np.concatenate([extended, -extended], axis=1)
        start = np.arange(len(row) + 1) * (2 * c)
        matrix = sparse.csr_array((values.ravel(), columns.ravel(), start), shape=(len(row), loss.n_rows * c))
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
