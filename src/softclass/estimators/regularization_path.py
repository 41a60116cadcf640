"""The optimum for many strengths of the penalty, from the strongest to the weakest, each from the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_X_y

from softclass.errors import shown
from softclass.estimators.fit_input import encoded_labels
from softclass.estimators.line_search import Limits, Solution
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.parallel import Workers, workers
from softclass.estimators.proximal import LARGEST, Penalty, ProximalNewton
from softclass.estimators.row_weights import row_weights
from softclass.estimators.scaling import Array, column_moments, scale_features
from softclass.estimators.solve import DENSE_NUMBERS, POLISH_WORK, minimise, root_of_penalty

DECADES = 4  # from the penalty that leaves no coefficient to the weakest of a grid
RIDGE_GRID = (-4.0, 4.0)  # powers of ten of C without l1, as in scikit-learn
EXPLAINED = 0.999  # share of the deviance at which a grid ends, as in glmnet
GAIN = 1e-5  # of the share: a grid ends where a step explains no more than this, relatively
FEWEST = 5  # points before a grid may end


@dataclass(frozen=True, eq=False)
class Path:
    """
    The optima of a grid of penalties, strongest penalty first.

    Attributes
    ----------
    Cs : float64 array of shape (n,)
        Ascending.
    coef : float64 array of shape (n, n_classes, n_features), or (n, 1, n_features) for two classes
        Weights, in the caller's units.
    intercept : float64 array of shape (n, n_classes) or (n, 1)
        Intercepts.
    gap : float64 array of shape (n,)
        Bound on the distance of the objective from its minimum, in nats per weighted row.
    n_nonzero : int64 array of shape (n,)
        Weights that are not zero.
    deviance_ratio : float64 array of shape (n,)
        Share of the loss of the best constant answer that is explained, 0 to 1.
    classes : array of shape (n_classes,)
        Labels in sorted order.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from softclass import regularization_path
    >>> path = regularization_path(*load_iris(return_X_y=True), Cs=[0.05, 0.5, 5.0])
    >>> path.n_nonzero
    array([2, 3, 6])
    >>> path.coef.shape
    (3, 3, 4)
    """

    Cs: Array
    coef: Array
    intercept: Array
    gap: Array
    n_nonzero: npt.NDArray[np.int64]
    deviance_ratio: Array
    classes: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Point:
    """One optimum of a path, in the caller's units.

    Attributes
    ----------
    C : float
        Strength.
    weight : float64 array of shape (rows, D)
        One row for two classes, else one a class.
    bias : float64 array of shape (rows,)
        Zeros without intercept.
    loss, gap : float
        Mean loss without penalty; bound on the distance from the minimum; nats per weighted row.
    """

    C: float
    weight: Array
    bias: Array
    loss: float
    gap: float


@validate_params(  # type: ignore[untyped-decorator]
    {
        "Cs": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def regularization_path(
    X: Any,
    y: Any,
    *,
    Cs: Any = 100,
    l1_ratio: float = 1.0,
    fit_intercept: bool = True,
    class_weight: dict[Any, float] | str | None = None,
    sample_weight: Any = None,
    tol: float = 1e-4,
) -> Path:
    r"""
    Solve softmax regression for a grid of penalties, from the strongest to the weakest.

    The objective is that of `SoftmaxRegression`. Each solution starts from the one before and keeps its model of the
    curvature, so that a path costs little more than its weakest penalty.

    Parameters
    ----------
    X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
        Numbers, all finite.
    y : array of shape (n_samples,)
        Labels of at least two classes.
    Cs : int or array of shape (n,), default 100
        The strengths C of the data against the penalty, or how many: then from the largest C that leaves all weights
        zero over four decades, or 1e-4 to 1e4 for ``l1_ratio=0``, ending early where the deviance ratio exceeds 0.999
        or rises by less than a hundred-thousandth of itself.
    l1_ratio : float, default 1.0
        Share of the l1 penalty, 0 to 1.
    fit_intercept : bool, default True
        Whether to learn an intercept.
    class_weight : dict or "balanced", optional
        Weight of each class, by label.
    sample_weight : array of shape (n_samples,), optional
        Weights of the rows.
    tol : float, default 1e-4
        As in `SoftmaxRegression`, for each point.

    Returns
    -------
    Path
        As many points as `Cs`, fewer if it was a number and the path ended early.

    Raises
    ------
    ValueError
        If an option is out of range, or `y` holds fewer than two classes.

    See Also
    --------
    softclass.SoftmaxRegressionCV : Chooses a point by the loss on rows held out.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from softclass import regularization_path
    >>> path = regularization_path(*load_iris(return_X_y=True), Cs=20)
    >>> int(path.n_nonzero[0]), bool(np.all(np.diff(path.deviance_ratio) > 0))
    (0, True)
    """
    if not isinstance(Cs, Integral):
        Cs = checked_grid(Cs)
    X, y = check_X_y(X, y, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32])
    check_classification_targets(y)
    classes, targets = encoded_labels(y)
    if len(classes) < 2:
        raise ValueError(f'regularization_path: `y` must hold at least two classes; got one, "{shown(classes[0])}"')
    weights = row_weights(class_weight, classes, targets, X, sample_weight)
    limits = Limits(tol, True, 1000)
    points = list(path_points(X, targets, weights, len(classes), Cs, float(l1_ratio), fit_intercept, limits))
    weight, bias = np.stack([point.weight for point in points]), np.stack([point.bias for point in points])
    losses = np.array([point.loss for point in points])
    null = null_loss(targets, weights, len(classes), fit_intercept)
    return Path(
        np.array([point.C for point in points]),
        weight,
        bias,
        np.array([point.gap for point in points]),
        np.count_nonzero(weight, axis=(1, 2)),
        np.maximum(1.0 - losses / null, 0.0) if null > 0 else np.zeros(len(losses)),
        classes,
    )


def checked_grid(Cs: Any) -> Array:
    """Return strengths in ascending order."""
    grid = np.sort(np.asarray(Cs, dtype=np.float64))
    if grid.ndim != 1 or not grid.size or not grid[0] > 0:
        raise ValueError(f"`Cs` must be a number of strengths or a list of positive ones; got {shown(Cs)}")
    return grid


def null_loss(targets: npt.NDArray[np.int64], weights: Array, n_classes: int, intercept: bool) -> float:
    """Return the mean loss of the best answer that is the same for all rows."""
    if not intercept:
        return float(np.log(n_classes))
    shares = np.bincount(targets, weights / weights.max(), minlength=n_classes)
    shares = shares / shares.sum()
    return -float(shares @ np.log(np.where(shares > 0, shares, 1.0)))


def strengths(
    features: Any, targets: npt.NDArray[np.int64], weights: Array, Cs: Any, l1_ratio: float, intercept: bool
) -> Array:
    """Return the grid that `path_points` would walk on these rows if it ended nowhere early."""
    if not isinstance(Cs, Integral) or l1_ratio == 0:
        return _grid(Cs, l1_ratio, 0.0)
    used = weights > 0
    present, renumbered = np.unique(targets[used], return_inverse=True)
    if len(present) < 2:
        return _grid(Cs, l1_ratio, 0.0)
    with workers() as team:
        loss = _scaled_loss(features[used], renumbered.astype(np.int64), weights[used], len(present), intercept, team)
        steepest = _steepest(loss)
    return _grid(Cs, l1_ratio, steepest, float(weights.sum()))


def _steepest(loss: LinearLoss) -> float:
    """Return the largest slope of the loss by a weight in the caller's units where all weights are zero."""
    _, gradient = loss.value_and_gradient(loss.start())
    return float(np.max(np.abs(loss.user_gradient(gradient)[0]), initial=0.0))


def path_points(
    features: Any,
    targets: npt.NDArray[np.int64],
    weights: Array,
    n_classes: int,
    Cs: Any,
    l1_ratio: float,
    intercept: bool,
    limits: Limits,
) -> Iterator[Point]:
    """Yield the optima of a grid; classes without weight get probability zero."""
    used = weights > 0
    if not used.all():
        features, targets, weights = features[used], targets[used], weights[used]
    if sparse.issparse(features):
        features = features.tocsr()
    known = np.bincount(targets, minlength=n_classes) > 0
    if not intercept:
        known[:] = True
    n_known = int(known.sum())
    share = 0.5 if n_known == 2 < n_classes else 1.0  # two rows (-w/2, w/2) have half the squared length of one row w
    if n_known == 1:
        grid = _grid(Cs, l1_ratio, 0.0)
        width = 1 if n_classes == 2 else n_classes
        only = np.array([np.inf if known[1] else -np.inf]) if n_classes == 2 else np.where(known, 0.0, -np.inf)
        yield from (Point(float(C), np.zeros((width, features.shape[1])), only, 0.0, 0.0) for C in grid)
        return
    renumbered = (np.cumsum(known) - 1)[targets]
    with workers() as team:
        for point in _known_points(
            features, renumbered, weights, n_known, Cs, l1_ratio, share, intercept, limits, team
        ):
            yield point if n_known == n_classes else expanded(point, known)


def expanded(point: Point, known: npt.NDArray[np.bool_]) -> Point:
    """Return the point with a row for every class; those without weight get probability zero."""
    weight, bias = point.weight, point.bias
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    whole, biases = np.zeros((len(known), weight.shape[1])), np.full(len(known), -np.inf)
    whole[known], biases[known] = weight, bias
    return replace(point, weight=whole, bias=biases)


def _grid(Cs: Any, l1_ratio: float, steepest: float, total: float = 1.0) -> Array:
    """Return the strengths in ascending order; `steepest`: the largest slope of the loss where all weights are zero."""
    if not isinstance(Cs, Integral):
        return np.asarray(Cs, dtype=np.float64)
    if l1_ratio == 0:
        return np.logspace(*RIDGE_GRID, int(Cs))
    first = (1.0 - 1e-9) * l1_ratio / (total * steepest) if steepest > 0 else 1.0 / total  # rounding lets none up
    return np.asarray(first * np.logspace(0, DECADES, int(Cs)), dtype=np.float64)


def _known_points(
    features: Any,
    targets: npt.NDArray[np.int64],
    weights: Array,
    n_classes: int,
    Cs: Any,
    l1_ratio: float,
    share: float,
    intercept: bool,
    limits: Limits,
    team: Workers,
) -> Iterator[Point]:
    """Yield the optima of a grid where every class has weight."""
    total = float(weights.sum())
    loss = _scaled_loss(features, targets, weights, n_classes, intercept, team)
    limits = replace(limits, polish=limits.polish and len(targets) * loss.n_rows * loss.n_columns <= POLISH_WORK)
    rng = np.random.default_rng(0)
    solver = ProximalNewton(loss, rng)
    start = loss.start()
    null = null_loss(targets, weights, n_classes, intercept)
    steepest = _steepest(loss) if isinstance(Cs, Integral) and l1_ratio > 0 else 0.0
    before, earlier = None, 0.0
    scale = np.maximum(loss.features.scale, 1.0 / LARGEST)
    for count, C in enumerate(_grid(Cs, l1_ratio, steepest, total)):
        strength = root_of_penalty(weights, C) ** 2
        ridge = np.minimum((1.0 - l1_ratio) * share * strength / scale / scale, LARGEST)
        l1 = np.minimum(l1_ratio * strength / scale, LARGEST)
        if l1_ratio > 0:
            found = solver.minimise(start, Penalty(l1, ridge), limits, before=before)
        else:
            found = minimise(replace(loss, penalty=ridge), start, limits, 0, is_cold=False)
        start, before = found.theta, l1
        point = _point(loss, found, Penalty(l1, ridge), float(C), solver)
        yield point
        ratio = 1.0 - point.loss / null if null > 0 else 1.0
        if isinstance(Cs, Integral) and count + 1 >= FEWEST and (ratio > EXPLAINED or ratio - earlier < GAIN * ratio):
            return
        earlier = ratio


def _scaled_loss(
    features: Any, targets: npt.NDArray[np.int64], weights: Array, n_classes: int, intercept: bool, team: Workers
) -> LinearLoss:
    """Return the loss without penalty, in columns of variance one."""
    n, d = features.shape
    if sparse.issparse(features) and n * d <= DENSE_NUMBERS:
        features = features.toarray()
    weights = weights / weights.max()
    weights = weights / weights.sum()
    moments = column_moments(features, weights, centre=intercept)
    scaled = scale_features(features, moments, root_penalty=0.0, n_classes=n_classes)
    return LinearLoss(scaled, targets, weights, n_classes, np.zeros(d), intercept, False, team)


def _point(loss: LinearLoss, found: Solution, penalty: Penalty, C: float, solver: ProximalNewton) -> Point:
    """Return a solution in the caller's units."""
    inner, bias = loss.split(found.theta)
    features = loss.features
    weight = np.where(features.variance > 0, inner / features.scale, 0.0)
    if loss.intercept:
        bias = bias - weight @ features.mean
        bias = bias - (bias.mean() if len(bias) > 1 else 0.0)
    return Point(C, weight, bias, found.value - penalty.value(inner), solver.gap(found, penalty))
