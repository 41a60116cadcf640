"""Median, mean and standard deviation that neither overflow nor underflow, for numbers from 1e-310 to 1e308."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


def median(values: Float64) -> float:
    """
    Return the median; 0 of no values.

    Parameters
    ----------
    values : float64 array of shape (n,)
        Finite.

    Returns
    -------
    float
        The middle value, or the mean of the two middle ones.

    Examples
    --------
    >>> median(np.array([1e308, 1.5e308]))
    1.25e+308
    """
    if not len(values):
        return 0.0
    half = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, half)[half])
    low, high = np.partition(values, (half - 1, half))[half - 1 : half + 1].tolist()
    # Halving first saves large numbers from overflow, and would take the last bit from the very small.
    return float(low / 2 + high / 2 if max(abs(low), abs(high)) > 1 else (low + high) / 2)


def middle_and_spread(values: Float64) -> tuple[float, float]:
    """
    Return the median and the distance between the quartiles: what extreme values do not move.

    Parameters
    ----------
    values : float64 array of shape (n,)
        Finite.

    Returns
    -------
    middle : float
        The median; 0 of no values.
    spread : float
        The upper quartile less the lower one; where they are equal half the range; 1 where that is 0 or not finite.

    Examples
    --------
    >>> middle_and_spread(np.array([0.0, 1.0, 2.0, 3.0, 1e9]))
    (2.0, 2.0)
    >>> middle_and_spread(np.array([5.0, 5.0, 5.0, 5.0, 9.0]))
    (5.0, 2.0)
    """
    if not len(values):
        return 0.0, 1.0
    # Values that occur, so that nothing is interpolated between 1e308 and -1e308.
    low, high = np.quantile(values, [0.25, 0.75], method="inverted_cdf").tolist()
    with np.errstate(over="ignore"):
        spread = high - low if high > low else 0.5 * float(values.max()) - 0.5 * float(values.min())
    return median(values), spread if 0 < spread < np.inf else 1.0


def centre_and_scale(values: Float64) -> tuple[float, float]:
    """
    Return mean and standard deviation.

    Parameters
    ----------
    values : float64 array of shape (n,)
        Finite.

    Returns
    -------
    mean : float
        Exactly the value itself if all are equal; 0 of no values.
    scale : float
        Standard deviation with divisor n; 1 where it is 0.

    Notes
    -----
    The values are multiplied by a power of two, which is exact, so that the largest lies in [0.5, 1). Two passes: the
    squares are those of differences to the mean.

    Examples
    --------
    >>> centre_and_scale(np.array([1e307, 3e307]))
    (2e+307, 1e+307)
    >>> centre_and_scale(np.array([0.1, 0.1, 0.1]))
    (0.1, 1.0)
    """
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low, 1.0
    exponent = int(np.frexp(max(abs(low), abs(high)))[1])
    scaled = np.ldexp(values, -exponent)
    mean = float(scaled.mean())
    # The second exponent saves spreads far below the size of the numbers from underflow when they are squared.
    differences = scaled - mean
    spread = int(np.frexp(np.abs(differences).max())[1])
    deviation = float(np.sqrt(np.mean(np.square(np.ldexp(differences, -spread)))))
    scale = float(np.ldexp(deviation, spread + exponent))
    return float(np.ldexp(mean, exponent)), scale if scale > 0 else 1.0
