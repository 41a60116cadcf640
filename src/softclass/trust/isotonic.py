"""Isotonic regression: the increasing fit behind reliability curves and the decomposition of the Brier score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.trust.checks import Floats, Integers, checked_weight


def pool(sums: Floats, weights: Floats, segment: Integers | None = None) -> Integers:
    """Pool adjacent violators; return where each block of the increasing fit of sums / weights starts.

    Runs of not increasing means are merged until none is left, all segments at once: a few passes over whole arrays
    instead of one step a row. Segments (equal, consecutive ids) never merge with each other.

    Examples
    --------
    >>> import numpy as np
    >>> pool(np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4))
    array([0, 1, 3])
    """
    start = np.arange(sums.size)
    while True:
        mean = sums / weights
        falls = mean[1:] <= mean[:-1]
        if segment is not None:
            falls &= segment[1:] == segment[:-1]
        if not falls.any():
            return start
        kept = np.flatnonzero(np.concatenate(([True], ~falls)))
        sums, weights, start = np.add.reduceat(sums, kept), np.add.reduceat(weights, kept), start[kept]
        if segment is not None:
            segment = segment[kept]


def isotonic_fit(x: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Floats:
    """Return the weighted least-squares fit of `y` that never falls as `x` grows; equal `x` get equal values.

    Examples
    --------
    >>> isotonic_fit([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1])
    array([0. , 0.5, 0.5, 1. ])
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    weight = checked_weight("isotonic_fit", sample_weight, x.size)
    order = np.argsort(x, kind="stable")
    groups = starts_of_runs(x[order])
    sums, weights = np.add.reduceat((weight * y)[order], groups), np.add.reduceat(weight[order], groups)
    positive = np.flatnonzero(weights > 0)  # points without weight take the value of the block before them
    blocks = positive[pool(sums[positive], weights[positive])]
    blocks[0] = 0
    values = np.add.reduceat(sums, blocks) / np.add.reduceat(weights, blocks)
    fitted = np.empty(x.size)
    fitted[order] = np.repeat(values, np.diff(np.append(groups[blocks], x.size)))
    return fitted


def starts_of_runs(sorted_values: npt.NDArray[Any]) -> Integers:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.concatenate(([True], sorted_values[1:] != sorted_values[:-1])))
