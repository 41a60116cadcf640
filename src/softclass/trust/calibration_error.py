"""Calibration error of the predicted class, and what a perfectly calibrated model would show by luck alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softclass.trust.bootstrap import resampled_sums
from softclass.trust.checks import Floats, checked_confidence, checked_weight
from softclass.trust.isotonic import starts_of_runs
from softclass.trust.reliability import (
    MAX_GROUPS,
    bins_of,
    draw_calibrated,
    group_confidences,
    starts_of_equal_mass,
)

ECE_BINS = 15
ECE_DEFINITION = "top label, 15 equal-width bins"


@dataclass(frozen=True)
class CalibrationError:
    """Top-label calibration error, and what a perfectly calibrated model would show by luck.

    Attributes
    ----------
    plug_in : float
        15 equal-width bins; mean over rows of the distance between mean confidence and share right in their bin.
    debiased : float
        15 bins of equal row count, squared distances less their expected noise, root; may be negative.
    low, high : float
        95 % interval of the debiased error.
    null_mean, null_95 : float
        Mean and 95 % quantile of the plug-in error of a perfectly calibrated model with these confidences.
    p_value : float
        Share of such models whose plug-in error is at least as large.
    n : int
        Rows.
    """

    plug_in: float
    debiased: float
    low: float
    high: float
    null_mean: float
    null_95: float
    p_value: float
    n: int


def calibration_error(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> CalibrationError:
    """Return the calibration error of confidences, with the band of a perfectly calibrated model.

    Parameters
    ----------
    confidence : float array of shape (n,)
        Probability of the predicted class, in [0, 1].
    correct : bool array of shape (n,)
        Whether that class was right.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.
    n_resamples : int, default 1000
        Draws behind the null band and behind the interval.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    CalibrationError
        Plug-in and debiased error, interval, null band and p-value.

    Examples
    --------
    >>> error = calibration_error([0.9, 0.9, 0.9, 0.9], [True, True, True, False])
    >>> round(error.plug_in, 2), error.p_value > 0.05
    (0.15, True)
    """
    confidence, right = checked_confidence("calibration_error", confidence, correct)
    weight = checked_weight("calibration_error", sample_weight, confidence.size)
    order = np.argsort(confidence, kind="stable")
    confidence, right, weight = confidence[order], right[order], weight[order]
    plug_in = binned_error(confidence, right, weight)
    bins = bins_of(confidence, ECE_BINS)
    groups = group_confidences(
        confidence, weight, starts_of_runs(confidence), 4 * MAX_GROUPS, cuts=starts_of_runs(bins)
    )
    group_bin = starts_of_runs(bins[groups])
    promised = np.add.reduceat(np.add.reduceat(weight * confidence, groups), group_bin)
    at_once = max(1, 2_000_000 // groups.size)
    null = np.concatenate(
        [
            np.abs(np.add.reduceat(drawn, group_bin, axis=1) - promised).sum(axis=1)
            for drawn in draw_calibrated(confidence, weight, groups, n_resamples, seed, at_once=at_once)
        ]
    ) / float(weight.sum())
    debiased, low, high = _debiased(confidence, right, weight, n_resamples, seed)
    # A draw that equals the observation may differ from it in the last bits, since it was summed in another order.
    as_large = int(np.count_nonzero(null >= plug_in - 1e-12))
    return CalibrationError(
        plug_in=plug_in,
        debiased=debiased,
        low=low,
        high=high,
        null_mean=float(null.mean()),
        null_95=float(np.quantile(null, 0.95)),
        p_value=(1 + as_large) / (n_resamples + 1),
        n=int(confidence.size),
    )


def binned_error(confidence: Floats, right: npt.NDArray[np.bool_], weight: Floats, n_bins: int = ECE_BINS) -> float:
    """Plug-in calibration error: the sum over bins of |sum of weight x (confidence - right)|, over the weights."""
    gaps = np.bincount(bins_of(confidence, n_bins), weights=weight * (confidence - right), minlength=n_bins)
    return float(np.abs(gaps).sum() / weight.sum())


def _debiased(
    confidence: Floats, right: npt.NDArray[np.bool_], weight: Floats, n_resamples: int, seed: int
) -> tuple[float, float, float]:
    """Debiased error with the low and high end of its 95 % interval; rows are sorted by confidence."""
    ties = starts_of_runs(confidence)
    bins = starts_of_equal_mass(ties, confidence.size, ECE_BINS)
    columns = np.stack([weight, weight * right, weight * confidence], axis=1)
    squares = np.add.reduceat(weight**2, bins)
    effective = np.add.reduceat(weight, bins) ** 2 / np.where(squares > 0, squares, 1.0)

    def squared(sums: Floats, noise: float) -> Floats:
        total, hits, promised = np.moveaxis(sums, -2, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = hits / total
            gap = (promised / total - share) ** 2 - noise * share * (1 - share) / (effective - 1)
        usable = (effective >= 2) & (total > 0)
        return np.asarray(np.where(usable, total * gap, 0.0).sum(axis=-1) / total.sum(axis=-1))

    sums = np.add.reduceat(columns.T, bins, axis=1)
    value, plain = float(squared(sums, 1.0)), float(squared(sums, 0.0))
    resamples = resampled_sums(columns, n_resamples, seed, bins)
    drawn = squared(resamples[resamples[:, 0].sum(axis=-1) > 0], 1.0)
    low, high = np.sqrt(np.clip(np.quantile(drawn, [0.025, 0.975]) - (plain - value), 0.0, None))
    return float(np.sign(value) * np.sqrt(abs(value))), float(low), float(high)
