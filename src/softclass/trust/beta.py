"""The Beta distribution: how the coverage of prediction sets varies with the rows they were fitted on."""

from __future__ import annotations

import math

# Stirling's series from here on: its last term below is 1/(1188 x^9), 1e-15 at 20.
LARGE = 20.0
MAX_TERMS = 10_000
MAX_STEPS = 200


def beta_cumulative(x: float, a: float, b: float) -> float:
    r"""
    Probability that a draw from Beta(a, b) is at most x: the regularised incomplete beta function.

    .. math:: I_x(a, b) = \frac{\Gamma(a + b)}{\Gamma(a) \Gamma(b)} \int_0^x t^{a - 1} (1 - t)^{b - 1} dt

    Parameters
    ----------
    x : float
        In [0, 1].
    a, b : float
        Above 0.

    Returns
    -------
    float
        In [0, 1]; relative error below 1e-11 for ``a + b`` up to 1e5, below 1e-9 up to 1e6.

    Notes
    -----
    The continued fraction of DLMF [1]_, 8.17.22, by the modified Lentz method, on the side of the mean where it
    converges fast. The factor before it is formed as one exponent.

    References
    ----------
    .. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov/8.17

    Examples
    --------
    >>> round(beta_cumulative(0.5, 2, 3), 4)  # three heads or more of four would be Beta(3, 2)
    0.6875
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    front = math.exp(_log_gamma_ratio(a, b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _continued_fraction(x, a, b) / a
    return 1.0 - front * _continued_fraction(1.0 - x, b, a) / b


def beta_quantile(share: float, a: float, b: float) -> float:
    """
    Return the number that a draw from Beta(a, b) stays below with this probability.

    Parameters
    ----------
    share : float
        In (0, 1).
    a, b : float
        At least 1.

    Returns
    -------
    float
        In (0, 1), to 1e-12; found by Newton's method inside a shrinking bracket.

    Examples
    --------
    >>> round(beta_quantile(0.05, 18, 2), 3), round(beta_quantile(0.95, 18, 2), 3)
    (0.774, 0.981)
    """
    low, high, x = 0.0, 1.0, a / (a + b)
    scale = _log_gamma_ratio(a, b)
    for _ in range(MAX_STEPS):
        error = beta_cumulative(x, a, b) - share
        low, high = (low, x) if error > 0 else (x, high)
        density = math.exp(scale + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x))
        step = x - error / density if density > 0 else low
        if not low < step < high:
            step = (low + high) / 2
        if abs(step - x) <= 1e-16 + 1e-15 * x:
            return step
        x = step
    return x


def _log_gamma_ratio(a: float, b: float) -> float:
    """Log of Gamma(a + b) / (Gamma(a) Gamma(b)); large parts cancel before they are added up."""
    small, large = min(a, b), max(a, b)
    if large < LARGE:
        return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    total = small + large
    # Stirling for total and large alone: (total - 1/2) ln total - (large - 1/2) ln large - small, without cancellation.
    ratio = (large - 0.5) * math.log1p(small / large) + small * math.log(total) - small
    ratio += _stirling_rest(total) - _stirling_rest(large)
    if small < LARGE:
        return ratio - math.lgamma(small)
    own = (small - 0.5) * math.log(small) - small + 0.5 * math.log(2 * math.pi) + _stirling_rest(small)
    return ratio - own


def _stirling_rest(x: float) -> float:
    """Log Gamma(x) less its Stirling formula (DLMF 5.11.1), for x of at least 20."""
    s = 1.0 / (x * x)
    return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / x


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Value of DLMF 8.17.22 without its front factor, to the last bits."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, MAX_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1.0 + term * d, 1.0 + term / c
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            value *= d * c
        if abs(d * c - 1.0) < 1e-16:
            break
    return value
