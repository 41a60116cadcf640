"""The strength C of the penalty, chosen by the loss on rows that were held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softclass.estimators.line_search import Limits, Progress
from softclass.estimators.linear_loss import row_losses
from softclass.estimators.row_space import LARGEST_SPREAD, row_space
from softclass.estimators.scaling import Array, column_moments
from softclass.estimators.solve import root_of_penalty, solve

GRID = tuple(10.0**power for power in range(-3, 4))
FOLDS = 5
FEW_ROWS = 1000  # below, five folds: one held-out part would be too small to trust
MOST_ROWS = 20_000  # rows fitted for the choice at most
MOST_HELD = 50_000  # rows of a fold whose loss is taken at most: its standard error is a percent or so of the loss
NEAR = 1e-3  # a loss within this share of the best is as good: then the stronger penalty wins
TOLERANCE = 1e-3
NARROW_NUMBERS = 1_000_000  # cells from which one Gram matrix for the whole path is worth its set-up
WORSE = 0.05  # a loss so much above the best ends the path of a single held-out part: weaker penalties cost most
MAX_ITER = 100


@dataclass(frozen=True)
class CChoice:
    """The chosen strength and what each strength cost.

    Attributes
    ----------
    C : float
        The strongest penalty whose held-out loss is within 0.1 % of the best.
    losses : dict of float to float
        Mean cross-entropy on the held-out rows, in nats, for every C that was tried.
    n_held_out : int
        Rows that were held out, in all folds together.
    standard_errors : dict of float to float
        Of the mean, for every C: over the folds, or over the rows of a single held-out part.
    folds : int
        Parts that were held out, one after the other.
    """

    C: float
    losses: dict[float, float]
    n_held_out: int
    standard_errors: dict[float, float] = field(default_factory=dict)
    folds: int = 1


def choose_c(
    features: Any,
    targets: npt.NDArray[np.integer[Any]],
    *,
    n_classes: int,
    sample_weight: Array | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    seed: int = 0,
    deadline: float | None = None,
    progress: Progress | None = None,
    grid: Sequence[float] = GRID,
    folds: int | None = None,
    every: bool = False,
    l1_ratio: float = 0.0,
) -> CChoice:
    """
    Choose C among 0.001, 0.01, ..., 1000 by the loss on held-out rows.

    A fifth of the rows of every class is held out; under 1,000 rows, each fifth in turn. At most 20,000 of the other
    rows are fitted, from the strongest penalty to the weakest, each fit starting from the one before. C itself is kept,
    not C per row: it is the spread that weights are expected to have, whatever the number of rows. Of losses within
    0.1 % of the best the strongest penalty wins; penalties weaker than one whose loss is 5 % above the best are not
    tried, unless there are folds; the one-standard-error rule is not used, since it gives up log loss.

    Parameters
    ----------
    features : float array or CSR matrix of shape (n_samples, n_features)
        Rows that may be used for fitting, or anything that gives them when it is indexed with an array of row numbers.
    targets : int array of shape (n_samples,)
        Class indices in ``[0, n_classes)``.
    n_classes : int
        Number of classes.
    sample_weight : float array of shape (n_samples,), optional
        Weights of the rows, for the fits and for the losses.
    class_weight : mapping of class index to weight, or "balanced", optional
        Used for the fits; the losses are of the rows as they are.
    seed : int, default 0
        Decides which rows are held out.
    deadline : float, optional
        Value of ``time.monotonic()`` after which the choice is made among what was tried.
    progress : callable, optional
        Called with iteration, objective and gradient norm.
    grid : sequence of float, optional
        The strengths, ascending and finite.
    folds : int, optional
        Hold out so many parts in turn, instead of what the number of rows suggests.
    every : bool, default False
        Try every strength, also those that can no longer be chosen; the choice stays what it was.
    l1_ratio : float, default 0
        Share of the absolute values in the penalty, as in `SoftmaxRegression`.

    Returns
    -------
    CChoice
        With C = 1 and no losses where nothing can be held out, or nothing was tried in time.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((200, 3))
    >>> targets = (features[:, 0] + rng.standard_normal(200) > 0).astype(int)
    >>> choose_c(features, targets, n_classes=2).C
    1.0
    """
    indices = np.asarray(targets, dtype=np.int64)
    weights = np.ones(len(indices)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    rng = np.random.default_rng(seed)
    n_folds = FOLDS if folds is None else folds
    fold = _deal_out(indices, rng, n_folds)
    last = 1 if folds is None and len(indices) >= FEW_ROWS else n_folds
    totals: dict[float, list[tuple[float, float, float]]] = {}
    held_rows = 0
    limits = Limits(TOLERANCE, False, MAX_ITER, progress, deadline)
    for part in range(last):
        held = np.flatnonzero((fold == part) & (weights > 0))
        kept = np.flatnonzero((fold != part) & (weights > 0))
        kept = _at_most(kept, indices, MOST_ROWS, rng)
        if not len(held) or len(np.unique(indices[kept])) < 2:
            continue
        held = _at_most(held, indices, MOST_HELD, rng)
        held_rows += len(held)
        stop_early = last == 1 and not every
        losses = _path(
            features, indices, weights, class_weight, n_classes, kept, held, limits, seed, grid, stop_early, l1_ratio
        )
        for strength, (loss, error) in losses.items():
            totals.setdefault(strength, []).append((loss, float(weights[held].sum()), error))
    whole = max((len(found) for found in totals.values()), default=0)
    kept_totals = {s: found for s, found in totals.items() if len(found) == whole}  # the last fold may lack some
    means = {
        strength: sum(loss * weight for loss, weight, _ in found) / sum(weight for _, weight, _ in found)
        for strength, found in kept_totals.items()
    }
    if not means:
        return CChoice(1.0, {}, 0)
    eligible = _until_worse(means) if last == 1 else means
    best = min(eligible.values())
    chosen = min(s for s, loss in eligible.items() if loss <= best * (1 + NEAR))
    errors = {strength: _standard_error(found) for strength, found in kept_totals.items()}
    return CChoice(chosen, means, held_rows, errors, whole)


def _until_worse(losses: dict[float, float]) -> dict[float, float]:
    """Return the losses up to the first that is far above the best before it: where a path of one part ends."""
    found: dict[float, float] = {}
    for strength, loss in losses.items():
        found[strength] = loss
        if loss > (1 + WORSE) * min(found.values()):
            break
    return found


def _standard_error(found: list[tuple[float, float, float]]) -> float:
    """Return the standard error of the mean of the folds, or that of the rows of a single one."""
    if len(found) == 1:
        return found[0][2]
    return float(np.std([loss for loss, _, _ in found], ddof=1) / np.sqrt(len(found)))


def _deal_out(targets: npt.NDArray[np.int64], rng: np.random.Generator, n_folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """Return the fold of each row, -1 for classes of one row; every class is spread evenly."""
    order = rng.permutation(len(targets))
    fold = np.empty(len(targets), dtype=np.int64)
    by_class = order[np.argsort(targets[order], kind="stable")]
    counts = np.bincount(targets)
    rank = np.arange(len(targets)) - np.repeat(np.cumsum(counts) - counts, counts)
    offset = rng.integers(n_folds, size=len(counts))  # classes of few rows do not all land in the first fold
    fold[by_class] = (rank + np.repeat(offset, counts)) % n_folds
    fold[counts[targets] < 2] = -1
    return fold


def _at_most(
    rows: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], size: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return at most about `size` of the rows, and of each class at least one."""
    if len(rows) <= size:
        return rows
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[rng.choice(len(rows), size, replace=False)] = True
    chosen[np.unique(targets[rows], return_index=True)[1]] = True
    return rows[chosen]


def _path(
    features: Any,
    targets: npt.NDArray[np.int64],
    weights: Array,
    class_weight: Mapping[int, float] | str | None,
    n_classes: int,
    kept: npt.NDArray[np.int64],
    held: npt.NDArray[np.int64],
    limits: Limits,
    seed: int,
    grid: Sequence[float],
    stop_early: bool,
    l1_ratio: float,
) -> dict[float, tuple[float, float]]:
    """Return the mean held-out loss, and its standard error over the rows, for each C that was fitted in time."""
    present, renumbered = np.unique(targets[kept], return_inverse=True)
    held = held[np.isin(targets[held], present)]
    held_targets = np.searchsorted(present, targets[held])
    body, others = features[kept], features[held]
    row_weights = weights[kept] * _class_factors(class_weight, present, renumbered, weights[kept])
    if not np.all(row_weights > 0):
        used = row_weights > 0
        body, renumbered, row_weights = body[used], renumbered[used], row_weights[used]
        if len(np.unique(renumbered)) < len(present):
            return {}
    if l1_ratio == 0.0:  # the span of the rows knows lengths, not sizes of coefficients
        body, others = _narrowed(body, others, row_weights)
    share = 0.5 if len(present) == 2 < n_classes else 1.0  # two rows (-w/2, w/2) are shorter than one row w
    losses: dict[float, tuple[float, float]] = {}
    start: tuple[Array, Array] | None = None
    for strength in grid:
        root = root_of_penalty(row_weights, strength)
        optimum = solve(
            body,
            renumbered.astype(np.int64),
            row_weights,
            n_classes=len(present),
            root_penalty=root * (share * (1.0 - l1_ratio)) ** 0.5,
            l1_penalty=l1_ratio * root * root,
            intercept=True,
            limits=limits,
            start=start,
            seed=seed,
        )
        if optimum.reason == "deadline":
            break
        start = (optimum.weight, optimum.bias)
        found = row_losses(others, held_targets, optimum.weight, optimum.bias)
        shares = weights[held] / weights[held].sum()
        mean = float(np.average(found, weights=weights[held]))
        error = float(np.sqrt(np.sum((shares * (found - mean)) ** 2)))
        losses[strength] = (mean, error)
        if stop_early and mean > (1 + WORSE) * min(loss for loss, _ in losses.values()):
            break
    return losses


def _narrowed(body: Any, others: Any, weights: Array) -> tuple[Any, Any]:
    """Return both sets of rows in the span of the first, where that saves columns: one Gram matrix for the path."""
    n, d = body.shape
    if d <= 2 * n or n * d <= NARROW_NUMBERS or sparse.issparse(body):
        return body, others
    moments = column_moments(body, weights / weights.sum(), centre=True)
    varies = moments.deviation[moments.deviation > 0]
    if moments.exponent.any() or not varies.size or varies.max() > LARGEST_SPREAD * varies.min():
        return body, others
    space = row_space(body, moments.mean)
    return space.coordinates, space.project(others, body)


def _class_factors(
    class_weight: Mapping[int, float] | str | None,
    present: npt.NDArray[np.int64],
    renumbered: npt.NDArray[np.int64],
    weights: Array,
) -> Array:
    if class_weight is None:
        return np.ones(len(renumbered))
    if isinstance(class_weight, str):
        sums = np.bincount(renumbered, weights, minlength=len(present))
        return np.asarray((sums.sum() / (len(present) * sums))[renumbered], dtype=np.float64)
    return np.array([float(class_weight.get(int(k), 1.0)) for k in present])[renumbered]
