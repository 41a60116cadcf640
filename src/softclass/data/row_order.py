"""The random order of rows: a formula of seed and row number, the same for ever, whatever library draws numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]


def splitmix64(values: npt.ArrayLike) -> Keys:
    """
    Mix 64-bit integers (Steele, Lea and Flood 2014, the finaliser of SplitMix64), modulo 2**64.

    Parameters
    ----------
    values : array of integers
        Any shape with at least one axis.

    Returns
    -------
    uint64 array
        The shape of `values`.

    Examples
    --------
    >>> [hex(int(key)) for key in splitmix64([0, 1])]
    ['0xe220a8397b1dcdaf', '0x910a2dec89025cc1']
    """
    mixed = np.atleast_1d(np.asarray(values, dtype=np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Keys = mixed ^ (mixed >> np.uint64(31))
    return result


def row_order(n_rows: int, seed: int) -> Keys:
    """
    Return the key of each row; parts are taken in the order of the keys.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    seed : int
        Any integer; taken modulo 2**64.

    Returns
    -------
    uint64 array of shape (n_rows,)
        ``splitmix64(splitmix64(seed) + row)``.

    Examples
    --------
    >>> np.argsort(row_order(5, seed=0)).tolist()
    [1, 4, 2, 0, 3]
    """
    start = splitmix64(np.array([seed % 2**64], dtype=np.uint64))
    return splitmix64(start + np.arange(n_rows, dtype=np.uint64))
