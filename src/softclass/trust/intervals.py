"""95 % intervals of the headline numbers, from rows or groups of rows drawn again with replacement."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softclass.errors import ShapeError
from softclass.trust.bootstrap import resampled_sums
from softclass.trust.calibration_error import ECE_BINS
from softclass.trust.checks import Floats
from softclass.trust.isotonic import starts_of_runs
from softclass.trust.reliability import bins_of
from softclass.trust.rows import RowScores


def intervals_of(
    rows: RowScores,
    correct: npt.NDArray[np.bool_],
    weight: Floats,
    groups: npt.ArrayLike | None,
    n_resamples: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals over resampled rows, or groups of rows; none for an infinite log loss."""
    n = correct.size
    finite = bool(np.all(np.isfinite(rows.loss[weight > 0])))
    losses = np.where(weight > 0, rows.loss, 0.0) if finite else np.zeros(n)
    gaps = rows.confidence - correct
    columns = weight[:, None] * np.stack([np.ones(n), correct, losses, rows.brier, gaps], axis=1)
    bins = bins_of(rows.confidence, ECE_BINS)
    if groups is None:
        order = np.argsort(bins, kind="stable")
        sums = resampled_sums(columns[order], n_resamples, seed, starts_of_runs(bins[order]))
        totals, binned = sums[:, :4].sum(axis=2), sums[:, 4]
    else:
        group = np.asarray(groups)
        if group.shape != (n,):
            raise ShapeError("SC101", f"`groups` must have shape ({n},); got {group.shape}", where="evaluate")
        names, number = np.unique(group, return_inverse=True)
        n = names.size
        slots = np.bincount(number * ECE_BINS + bins, weights=columns[:, 4], minlength=n * ECE_BINS)
        plain = [np.bincount(number, weights=column, minlength=n) for column in columns.T[:4]]
        by_group = np.concatenate([np.stack(plain, axis=1), slots.reshape(n, ECE_BINS)], axis=1)
        sums = resampled_sums(by_group, n_resamples, seed)[:, :, 0]
        totals, binned = sums[:, :4], sums[:, 4:]
    said = totals[:, 0] > 0  # a resample of nothing but rows of weight 0 says nothing
    total, right, loss, brier = totals[said].T
    drawn = {"accuracy": right / total, "brier": brier / total, "ece": np.abs(binned[said]).sum(axis=1) / total}
    if finite:
        drawn["log_loss"] = loss / total
    intervals: dict[str, tuple[float, float]] = {}
    for name in ("accuracy", "log_loss", "brier", "ece"):
        if name in drawn:
            low, high = np.quantile(drawn[name], [0.025, 0.975])
            intervals[name] = (float(low), float(high))
    # All right or all wrong: resampling shows no spread, the exact binomial interval does.
    certain = 0.025 ** (1.0 / n)
    used = correct[weight > 0]
    if used.all():
        intervals["accuracy"] = (certain, 1.0)
    elif not used.any():
        intervals["accuracy"] = (0.0, 1.0 - certain)
    return intervals
