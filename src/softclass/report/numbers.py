"""Numbers as people read them, each with its exact value beside it for machines."""

from __future__ import annotations

import math

from markupsafe import Markup, escape


def percent(share: float | None) -> str:
    """Return a share in percent; what is not all or nothing never reads as 100% or 0%.

    Examples
    --------
    >>> percent(0.98551), percent(1.0), percent(0.99996), percent(0.0)
    ('98.6%', '100%', '>99.9%', '0%')
    """
    if share is None or math.isnan(share):
        return "–"
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    text = f"{share:.1%}"
    return {"100.0%": ">99.9%", "0.0%": "<0.1%"}.get(text, text)


def figure(value: float | None) -> str:
    """Return a number with three significant digits.

    Examples
    --------
    >>> figure(0.04912), figure(1.0986), figure(12345.6), figure(float("inf")), figure(-0.0061), figure(None)
    ('0.0491', '1.10', '12,346', '∞', '−0.00610', '–')
    >>> figure(4.3e-05)
    '<0.0001'
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0:
        text = "0"
    elif size < 1e-4:
        return "<0.0001" if value > 0 else ">−0.0001"
    else:
        decimals = max(0, 2 - math.floor(math.log10(size)))
        text = f"{size:,.{min(decimals, 6)}f}"
    return f"−{text}" if value < 0 else text


def factor(value: float | None) -> str:
    """Return a factor of any size with three significant digits.

    Examples
    --------
    >>> factor(1.2345), factor(0.00004567), factor(8.1e17), factor(None)
    ('1.23', '4.57e−5', '8.10e+17', '–')
    """
    if value is None or math.isnan(value) or (0 < value < math.inf and not 1e-4 <= value < 1e6):
        return "–" if value is None or math.isnan(value) else f"{value:.2e}".replace("e-0", "e−").replace("e-", "e−")
    return figure(value)


def tiny(value: float | None) -> str:
    """Return a number that may be very small, such as a gap or a p-value, with two significant digits.

    Examples
    --------
    >>> tiny(3.14e-12), tiny(0.0123), tiny(0.0), tiny(None)
    ('3.1e−12', '0.012', '0', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.2g}".replace("-", "−").replace("e−0", "e−")


def count(value: int) -> str:
    """Return a whole number with thousands separated.

    Examples
    --------
    >>> count(60000)
    '60,000'
    """
    return f"{value:,}"


def with_value(value: float | int | None, text: str) -> Markup:
    """Return the text with its exact value, so that a machine can read the page as well as a person.

    Examples
    --------
    >>> with_value(0.5, "50%")
    Markup('<data value="0.5">50%</data>')
    """
    if value is None or not math.isfinite(value):
        return escape(text)
    return Markup('<data value="{}">{}</data>').format(repr(value), text)
