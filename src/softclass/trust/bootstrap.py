"""Bootstrap: sums over rows that were drawn again with replacement."""

from __future__ import annotations

import numpy as np

from softclass.trust.checks import Floats


def resampled_sums(columns: Floats, n_resamples: int, seed: int) -> Floats:
    """Column sums over bootstrap resamples of the rows, (n_resamples, n_columns): counts times columns, in chunks."""
    n = columns.shape[0]
    rng = np.random.default_rng(seed)
    at_once = max(1, min(n_resamples, 4_000_000 // n))
    sums = np.empty((n_resamples, columns.shape[1]))
    for done in range(0, n_resamples, at_once):
        size = min(at_once, n_resamples - done)
        counts = np.empty((size, n))
        for row in range(size):
            counts[row] = np.bincount(rng.integers(0, n, size=n), minlength=n)
        sums[done : done + size] = counts @ columns
    return sums
