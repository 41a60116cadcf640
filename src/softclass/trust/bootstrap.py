"""Bootstrap: sums over rows that were drawn again with replacement."""

from __future__ import annotations

import numpy as np

from softclass.trust.checks import Floats, Integers


def resampled_sums(columns: Floats, n_resamples: int, seed: int, starts: Integers | None = None) -> Floats:
    """
    Return the sums of columns over bootstrap resamples of the rows, one a run of rows that begins at `starts`.

    The answer has the shape (n_resamples, n_columns, n_runs). Plain loops over arrays, no matrix product: its threads
    wait for each other by spinning, which on a busy machine made this five times slower.
    """
    n = columns.shape[0]
    starts = np.zeros(1, dtype=np.int64) if starts is None else starts
    rng = np.random.default_rng(seed)
    values = np.ascontiguousarray(columns.T)  # (n_columns, n), so that each column lies in one piece
    products = np.empty_like(values)
    sums = np.empty((n_resamples, values.shape[0], starts.size))
    for resample in range(n_resamples):
        counts = np.bincount(rng.integers(0, n, size=n), minlength=n)
        np.multiply(values, counts, out=products)
        np.add.reduceat(products, starts, axis=1, out=sums[resample])
    return sums
