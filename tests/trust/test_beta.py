"""The Beta distribution against 30 digits."""

from __future__ import annotations

import mpmath
import pytest

from softclass.trust.beta import beta_cumulative, beta_quantile

# Both integers, or small: the exact sums are finite, or converge.
PAIRS = [(1, 1), (1, 539), (539, 1), (18, 2), (12, 8), (25, 3), (486, 54), (19.5, 20.5), (2.5, 400.25), (9001, 1000)]


def exact(x: float, a: float, b: float) -> float:
    """The incomplete beta function: a binomial tail for integers, a hypergeometric series otherwise."""
    with mpmath.workdps(30):
        if a != int(a) or b != int(b):
            return float(mpmath.betainc(a, b, 0, x, regularized=True))
        tosses, chance = int(a + b - 1), mpmath.mpf(x)
        term = mpmath.binomial(tosses, a) * chance**a * (1 - chance) ** (b - 1)
        total = term
        for heads in range(int(a), tosses):
            term *= (tosses - heads) * chance / ((heads + 1) * (1 - chance))
            total += term
        return float(total)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_cumulative_is_the_incomplete_beta_function(a: float, b: float) -> None:
    points = [a / (a + b) * factor for factor in (0.5, 0.95, 1.0)] + [(a + 0.5 * b) / (a + b)]
    expected = [exact(x, a, b) for x in points]

    assert expected == pytest.approx([beta_cumulative(x, a, b) for x in points], rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.95, 0.999])
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_quantile_has_the_share_below_it(a: float, b: float, share: float) -> None:
    assert share == pytest.approx(exact(beta_quantile(share, a, b), a, b), abs=1e-11)


@pytest.mark.parametrize(("x", "expected"), [(-1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (2.0, 1.0)])
def test_nothing_lies_outside_the_unit_interval(x: float, expected: float) -> None:
    assert expected == beta_cumulative(x, 3, 4)
