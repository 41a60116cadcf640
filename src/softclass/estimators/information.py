"""The information matrix of a fit from its rows, given again, where the fit has too many parameters to keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.errors import InputError
from softclass.estimators.findings import Findings, Information, limiting_hessian
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.parallel import workers
from softclass.estimators.scaling import Array, column_moments, scale_features
from softclass.estimators.separation import pattern_of

MOST_PARAMETERS = 6000  # four matrices of a third of a gigabyte, and minutes


@dataclass(frozen=True, eq=False)
class FittedRows:
    """The rows of a fit, given again: features, class indices, weights, and the number of the cluster of each."""

    features: Any
    targets: npt.NDArray[np.int64]
    weights: Array
    clusters: npt.NDArray[np.int64] | None


def information_of(
    rows: FittedRows | None,
    findings: Findings,
    known: npt.NDArray[np.bool_],
    weight: Array,
    bias: Array,
    *,
    intercept: bool,
) -> Information:
    """Return the curvature of the mean loss at `weight` and `bias`, which have one row a class.

    Raises
    ------
    InputError
        SC144, without rows, beyond 6,000 parameters, and where the independent columns are not known.
    """
    rank, n_rows = findings.rank, 1 if known.sum() == 2 else int(known.sum())
    varying = int((~findings.constant).sum())
    if rank is None or len(rank.kept) + len(rank.dependent) != varying:
        raise _refused("the fit has more columns than rows, or more than 2,000", "Leave columns out")
    size = n_rows * (len(rank.kept) + intercept)
    if size > MOST_PARAMETERS:
        text = f"standard errors take at most {MOST_PARAMETERS:,} parameters; the fit has {size:,}"
        raise _refused(text, "Leave columns out, or merge classes")
    if rows is None:
        text = f"the information matrix of {size:,} parameters was not kept, since that takes more than the fit"
        raise _refused(text, "Pass the rows of the fit again: summary(X, y)")
    kept, used = rank.kept, rows.weights > 0
    features, weights = rows.features[used][:, kept], rows.weights[used]
    weights = weights / weights.max()
    weights = weights / weights.sum()
    targets = (np.cumsum(known) - 1)[rows.targets[used]]
    shared = weight[known][:, rank.dependent]
    weight, bias = weight[known][:, kept] + shared @ rank.terms, bias[known] + shared @ rank.offsets
    if n_rows == 1:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    with workers() as team:
        moments = column_moments(features, weights, centre=intercept, threads=team.threads)
        scaled = scale_features(features, moments, root_penalty=0.0, n_classes=int(known.sum()), threads=team.threads)
        loss = LinearLoss(scaled, targets, weights, int(known.sum()), np.zeros(len(kept)), intercept, workers=team)

        def in_columns(weight: Array, bias: Array) -> Array:
            if not intercept:
                return np.asarray(weight * scaled.scale)
            return np.column_stack([weight * scaled.scale, bias + weight @ scaled.mean])

        theta = in_columns(weight, bias)
        if findings.separating is None:
            matrix = loss.hessian(theta)
        else:
            along, shift = findings.separating
            matrix = limiting_hessian(loss, theta, pattern_of(in_columns(along[:, kept], shift)))
    return Information(matrix, kept, scaled.scale, scaled.mean, intercept)


def _refused(text: str, hint: str) -> InputError:
    return InputError("SC144", text, where="SoftmaxRegression.summary", hint=hint)
