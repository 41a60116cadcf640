"""Reliability diagrams: how often rows of each confidence were right, by isotonic regression, with a band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.trust.checks import Floats, Integers, checked_confidence, checked_weight
from softclass.trust.isotonic import pool, starts_of_runs

HISTOGRAM_BINS = 20
# Above so many distinct confidences neighbours are drawn together for the bands, never for the curve itself: at 1000
# groups a group spans about 0.1 % of the rows, which moves the quantiles of the band by less than their own noise.
MAX_GROUPS = 1000
MAX_BAND_POINTS = 101


@dataclass(frozen=True)
class ReliabilityDiagram:
    """How often rows of each confidence were right.

    The curve is the isotonic regression of being right on the confidence (CORP): a constant `frequency` in each block
    from `low` to `high`. The band holds 90 % of the curves that a perfectly calibrated model would show.

    Attributes
    ----------
    n : int
        Rows.
    low, high : tuple of float
        Smallest and largest confidence of each block.
    frequency : tuple of float
        Share of right rows in each block, in [0, 1], increasing.
    rows : tuple of int
        Rows of each block.
    band_at, band_low, band_high : tuple of float
        Confidence, 5 % and 95 % quantile of the curve under perfect calibration.
    histogram : tuple of int
        Rows in 20 equal bins of confidence over [0, 1].
    """

    n: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    frequency: tuple[float, ...]
    rows: tuple[int, ...]
    band_at: tuple[float, ...]
    band_low: tuple[float, ...]
    band_high: tuple[float, ...]
    histogram: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the diagram as JSON-safe lists."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> ReliabilityDiagram:
        """Return the diagram that `to_dict` described."""
        lists = {name: tuple(facts[name]) for name in cls.__dataclass_fields__ if name != "n"}
        return cls(n=int(facts["n"]), **lists)


def reliability_diagram(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    n_resamples: int = 1000,
    max_groups: int = MAX_GROUPS,
    seed: int = 0,
) -> ReliabilityDiagram:
    """Return the isotonic reliability diagram of confidences.

    Parameters
    ----------
    confidence : float array of shape (n,)
        Probabilities in [0, 1].
    correct : bool array of shape (n,)
        Whether what was promised with that probability came true.
    sample_weight : float array of shape (n,), optional
        Weights of the rows.
    n_resamples : int, default 1000
        Draws behind the band.
    max_groups : int, default 1000
        Above so many distinct confidences neighbours are drawn together for the band.
    seed : int, default 0
        Seed of the draws.

    Returns
    -------
    ReliabilityDiagram
        Curve, 5 - 95 % band under perfect calibration, and histogram.

    Examples
    --------
    >>> diagram = reliability_diagram([0.2, 0.4, 0.6, 0.8], [False, True, False, True], n_resamples=10)
    >>> diagram.low, diagram.high, diagram.frequency
    ((0.2, 0.4, 0.8), (0.2, 0.6, 0.8), (0.0, 0.5, 1.0))
    """
    confidence, right = checked_confidence("reliability_diagram", confidence, correct)
    weight = checked_weight("reliability_diagram", sample_weight, confidence.size)
    rows = weight > 0
    order = np.argsort(confidence[rows], kind="stable")
    confidence, right, weight = confidence[rows][order], right[rows][order], weight[rows][order]
    ties = starts_of_runs(confidence)
    blocks = ties[pool(np.add.reduceat(weight * right, ties), np.add.reduceat(weight, ties))]
    ends = np.append(blocks[1:], confidence.size)
    frequency = np.add.reduceat(weight * right, blocks) / np.add.reduceat(weight, blocks)
    groups = group_confidences(confidence, weight, ties, max_groups)
    group_weight = np.add.reduceat(weight, groups)
    curves = []
    # One long sequence of draws, pooled segment by segment; 2 million numbers at a time bound the memory.
    for drawn in draw_calibrated(
        confidence, weight, groups, n_resamples, seed, at_once=max(1, 2_000_000 // groups.size)
    ):
        flat, repeated = drawn.ravel(), np.tile(group_weight, drawn.shape[0])
        starts = pool(flat, repeated, np.repeat(np.arange(drawn.shape[0]), groups.size))
        values = np.add.reduceat(flat, starts) / np.add.reduceat(repeated, starts)
        curves.append(np.repeat(values, np.diff(np.append(starts, flat.size))).reshape(drawn.shape))
    shown = np.unique(np.linspace(0, groups.size - 1, MAX_BAND_POINTS).round().astype(np.int64))
    band = np.quantile(np.concatenate(curves)[:, shown], [0.05, 0.95], axis=0)
    position = np.add.reduceat(weight * confidence, groups) / group_weight
    # The ends are where the curve begins and ends, not the means of the outermost groups.
    position[0], position[-1] = confidence[0], confidence[-1]
    return ReliabilityDiagram(
        n=int(confidence.size),
        low=tuple(confidence[blocks].tolist()),
        high=tuple(confidence[ends - 1].tolist()),
        frequency=tuple(np.clip(frequency, 0.0, 1.0).tolist()),
        rows=tuple((ends - blocks).tolist()),
        band_at=tuple(position[shown].tolist()),
        band_low=tuple(np.clip(band[0], 0.0, 1.0).tolist()),
        band_high=tuple(np.clip(band[1], 0.0, 1.0).tolist()),
        histogram=tuple(np.bincount(bins_of(confidence, HISTOGRAM_BINS), minlength=HISTOGRAM_BINS).tolist()),
    )


def bins_of(confidence: Floats, n_bins: int) -> Integers:
    """Return the equal-width bin (low, high] on [0, 1] of each confidence; 0 lies in the first."""
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    return np.searchsorted(edges[1:-1], confidence, side="left")


def starts_of_equal_mass(ties: Integers, n: int, n_bins: int) -> Integers:
    """Starts of at most `n_bins` bins of about equal row count among n sorted confidences; ties stay together."""
    # Each wanted cut moves back to the start of its run of equal confidences.
    wanted = (np.arange(1, n_bins) * n) // n_bins
    return np.unique(np.concatenate(([0], ties[np.searchsorted(ties, wanted, side="right") - 1])))


def group_confidences(
    confidence: Floats, weight: Floats, ties: Integers, most: int, cuts: Integers | None = None
) -> Integers:
    """Starts of at most about `most` groups of neighbouring confidences; ties stay whole, `cuts` are kept."""
    if ties.size <= most:
        return ties
    # Half of the groups go where the rows are, half where the uncertainty is: else classes that are rare, whose
    # probabilities are nearly all near 0, would have a handful of groups in the part of the diagram that matters.
    uncertainty = weight * confidence * (1 - confidence)
    mass = np.cumsum(weight / weight.sum() + uncertainty / max(uncertainty.sum(), np.finfo(np.float64).tiny))
    wanted = np.minimum((mass[ties] / mass[-1] * most).astype(np.int64), most - 1)
    starts = ties[starts_of_runs(wanted)]
    return starts if cuts is None else np.union1d(starts, cuts)


def draw_calibrated(
    confidence: Floats, weight: Floats, groups: Integers, n_resamples: int, seed: int, *, at_once: int
) -> list[Floats]:
    """Weighted sums of right rows a group, when each row is right with the probability that was promised."""
    rng = np.random.default_rng(seed)
    sizes = [min(at_once, n_resamples - done) for done in range(0, n_resamples, at_once)]
    if np.all(weight == weight[0]):
        count = np.diff(np.append(groups, confidence.size))
        chance = np.clip(np.add.reduceat(confidence, groups) / count, 0.0, 1.0)
        return [rng.binomial(count, chance, size=(size, groups.size)) * weight[0] for size in sizes]
    return [
        np.stack([np.add.reduceat(weight * (rng.random(confidence.size) < confidence), groups) for _ in range(size)])
        for size in sizes
    ]
