"""95 % intervals of the headline numbers, from rows or groups of rows drawn again with replacement."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softclass.errors import ShapeError
from softclass.trust.bootstrap import resampled_sums
from softclass.trust.calibration_error import ECE_BINS
from softclass.trust.checks import Floats
from softclass.trust.reliability import bins_of
from softclass.trust.rows import Rows


def intervals_of(
    rows: Rows,
    correct: npt.NDArray[np.bool_],
    weight: Floats,
    groups: npt.ArrayLike | None,
    n_resamples: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals over resampled rows, or groups of rows; none for an infinite log loss."""
    n = correct.size
    finite = bool(np.all(np.isfinite(rows.loss[weight > 0])))
    columns = np.zeros((n, 4 + ECE_BINS))
    columns[:, 0] = weight
    columns[:, 1] = weight * correct
    columns[:, 2] = np.where(weight > 0, rows.loss, 0.0) * weight if finite else 0.0
    columns[:, 3] = weight * rows.brier
    columns[np.arange(n), 4 + bins_of(rows.confidence, ECE_BINS)] = weight * (rows.confidence - correct)
    if groups is not None:
        group = np.asarray(groups)
        if group.shape != (n,):
            raise ShapeError("SC101", f"`groups` must have shape ({n},); got {group.shape}", where="evaluate")
        number = np.unique(group, return_inverse=True)[1]
        columns = np.stack([np.bincount(number, weights=column) for column in columns.T], axis=1)
    sums = resampled_sums(columns, n_resamples, seed)
    sums = sums[sums[:, 0] > 0]  # a resample of nothing but rows of weight 0 says nothing
    drawn = {"accuracy": sums[:, 1] / sums[:, 0], "brier": sums[:, 3] / sums[:, 0]}
    if finite:
        drawn["log_loss"] = sums[:, 2] / sums[:, 0]
    drawn["ece"] = np.abs(sums[:, 4:]).sum(axis=1) / sums[:, 0]
    intervals: dict[str, tuple[float, float]] = {}
    for name in ("accuracy", "log_loss", "brier", "ece"):
        if name in drawn:
            low, high = np.quantile(drawn[name], [0.025, 0.975])
            intervals[name] = (float(low), float(high))
    # All right or all wrong: resampling shows no spread, the exact binomial interval does.
    certain = 0.025 ** (1.0 / columns.shape[0])
    used = correct[weight > 0]
    if used.all():
        intervals["accuracy"] = (certain, 1.0)
    elif not used.any():
        intervals["accuracy"] = (0.0, 1.0 - certain)
    return intervals
