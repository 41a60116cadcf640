"""Odds ratios with confidence intervals: a fit of its own without penalty, in columns that can be told apart."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.data.preprocessing import (
    BooleanStep,
    CategoryStep,
    DatetimeStep,
    NumberStep,
    Preprocessing,
    Step,
    n_features_of_step,
)
from softclass.errors import UsageError
from softclass.estimators.inference import CONSTANT, DEPENDENT, INFINITE, SEPARATED, WEIGHTLESS
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.model.encoded import EncodedBatches, EncodedRows

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

MOST_PARAMETERS = 1500  # beyond, the estimator does not keep the information that intervals come from
COVERAGE = 0.95
TOLERANCE = 1e-8
DAY_SECONDS = 86_400.0
REASONS = {
    SEPARATED: "separated",
    INFINITE: "infinite",
    DEPENDENT: "dependent",
    CONSTANT: "constant",
    WEIGHTLESS: "weightless",
}


@dataclass(frozen=True, eq=False)
class Design:
    """
    The columns of the fit behind the odds ratios.

    Attributes
    ----------
    columns : int64 array of shape (D,)
        Features that are used.
    factors : float64 array of shape (D,)
        What each is multiplied with, so that one unit of it is one unit for people.
    names : tuple of str
        Of the columns, with their units.
    against : dict of str to str
        Column of categories, and the category that the others are compared with.
    """

    columns: Int64
    factors: Float64
    names: tuple[str, ...]
    against: dict[str, str]

    def of(self, features: npt.NDArray[np.float32]) -> Float64:
        """Return the columns of some rows."""
        return features[:, self.columns].astype(np.float64) * self.factors


def design_of(preprocessing: Preprocessing, low: npt.NDArray[Any], high: npt.NDArray[Any]) -> Design:
    """
    Leave out what repeats something else: one category of each column, and columns without variation.

    Parameters
    ----------
    preprocessing : Preprocessing
        What made the features.
    low, high : arrays of shape (n_features,)
        Smallest and largest value of each feature in the rows of the fit.

    Returns
    -------
    Design
        The rest, with names for people.
    """
    columns, factors, names, against = [], [], [], {}
    first = 0
    for step in preprocessing.steps:
        found = list(_columns_of(step))
        varying = [place for place in range(len(found)) if low[first + place] < high[first + place]]
        if isinstance(step, CategoryStep) and varying:
            # The most frequent category comes first; missing and rare cells stand before it.
            reference = next((place for place in varying if place >= 2), varying[-1])
            against[step.input] = "" if reference < 2 else step.categories[reference - 2]
            varying.remove(reference)
        for place in varying:
            columns.append(first + place)
            names.append(found[place][0])
            factors.append(found[place][1])
        first += n_features_of_step(step)
    return Design(np.array(columns, dtype=np.int64), np.array(factors), tuple(names), against)


def _columns_of(step: Step) -> Iterator[tuple[str, float]]:
    """Yield a name and a factor for each feature of a step."""
    name = step.input
    if isinstance(step, CategoryStep):
        yield f"{name} is missing", 1.0
        yield f"{name} is another", 1.0
        yield from ((f"{name} = {category}", 1.0) for category in step.categories)
    elif isinstance(step, BooleanStep):
        yield name, 0.5  # from -1 to 1
    else:
        yield f"{name} (per {_unit_of(step)})", 1.0
        if step.flag:
            yield f"{name} is missing", 1.0
        for cycle in step.cycles if isinstance(step, DatetimeStep) else ():
            yield f"{name}, sine of the {cycle}", 1.0
            yield f"{name}, cosine of the {cycle}", 1.0


def _unit_of(step: NumberStep | DatetimeStep) -> str:
    return f"{step.scale / DAY_SECONDS:.4g} days" if isinstance(step, DatetimeStep) else f"{step.scale:.4g}"


def check_odds_ratios(n_features: int, n_classes: int) -> None:
    """Raise SC202 if there are too many weights for intervals."""
    parameters = (1 if n_classes == 2 else n_classes) * (n_features + 1)
    if parameters > MOST_PARAMETERS:
        raise UsageError(
            "SC202",
            f"--odds-ratios does not apply to {parameters:,} weights (applies to at most {MOST_PARAMETERS:,})",
            where="train",
            hint="Drop columns of many categories, or merge classes",
        )


def odds_ratios(
    rows: EncodedRows, targets: Int64, weights: Float64 | None, classes: tuple[str, ...], *, max_iter: int
) -> dict[str, Any]:
    """
    Fit without penalty and return the odds ratios of every class against the first one.

    Parameters
    ----------
    rows : EncodedRows
        Of the fit part, of a table.
    targets : int64 array of shape (n_rows,)
        Class numbers; every class has rows.
    weights : float64 array of shape (n_rows,) or None
        Of the rows; they count as numbers of rows.
    classes : tuple of str
        Names of the classes.
    max_iter : int
        Most iterations.

    Returns
    -------
    dict
        ``reference``, ``coverage``, ``n``, ``against``, ``log_likelihood``, ``converged`` and ``rows``: for each class
        and column ``odds_ratio``, ``low``, ``high``, ``p_value`` and, where something is left out, ``reason``.
    """
    assert isinstance(rows.preprocessing, Preprocessing)  # noqa: S101 - images have no such option
    low, high = _bounds(rows)
    design = design_of(rows.preprocessing, low, high)
    estimator = SoftmaxRegression(C=math.inf, tol=TOLERANCE, max_iter=max_iter)
    with warnings.catch_warnings():
        # Separated classes, dependent columns: each cell that suffers says so.
        warnings.filterwarnings("ignore", message=r"\[SC8\d\d\]")
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        estimator.fit_batches(_Designed(EncodedBatches(rows, targets, weights), design))
    summary = estimator.summary(coverage=COVERAGE)
    width = len(design.names) + 1  # the intercept comes last
    found = []
    for place, one in enumerate(summary.coefficients):
        if place % width == width - 1:
            continue
        reason = REASONS.get(one.reason, one.reason)
        ratio, lowest, highest = one.odds if reason in ("", "infinite") else (None, None, None)
        found.append({
            "class": classes[int(one.label)], "column": design.names[place % width], "odds_ratio": ratio,
            "low": lowest, "high": highest, "p_value": one.p_value, "reason": reason,
        })  # fmt: skip
    return {
        "reference": classes[0],
        "coverage": COVERAGE,
        "n": float(summary.n_samples),
        "against": design.against,
        "log_likelihood": summary.log_likelihood,
        "converged": bool(estimator.converged_),
        "rows": found,
    }


@dataclass(frozen=True, eq=False)
class _Designed:
    """Batches whose features are those of a design."""

    batches: EncodedBatches
    design: Design

    def __iter__(self) -> Iterator[tuple[Float64, Int64, Float64 | None]]:
        for features, targets, weights in self.batches:
            yield self.design.of(features), targets, weights


def _bounds(rows: EncodedRows) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    low, high = np.full(rows.n_features, np.inf, np.float32), np.full(rows.n_features, -np.inf, np.float32)
    for features, _, _ in EncodedBatches(rows, np.zeros(len(rows.rows), dtype=np.int64), None):
        np.minimum(low, features.min(axis=0), out=low)
        np.maximum(high, features.max(axis=0), out=high)
    return low, high
