"""Drawing by hand: escaped SVG text, a frame with a spoken label, and the width that a word needs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from markupsafe import Markup

from softclass.errors import shown


def picture(width: float, height: float, label: str, shapes: Iterable[Markup], *, kind: str = "") -> Markup:
    """Return an SVG element that scales with the page and reads its label to those who cannot see it."""
    return Markup(
        '<svg class="figure {kind}" role="img" aria-label="{label}" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
        "{body}</svg>"
    ).format(kind=kind, label=label, w=short(width), h=short(height), body=Markup("").join(shapes))


def shape(name: str, content: str | Markup = "", **attributes: float | str) -> Markup:
    """Return one SVG element; ``class_`` becomes ``class`` and ``font_size`` ``font-size``.

    Examples
    --------
    >>> shape("text", "a < b", x=1.0, class_="name")
    Markup('<text x="1" class="name">a &lt; b</text>')
    """
    pairs = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), short(value)) for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, pairs, content)


def short(value: float | str) -> str:
    """Return a coordinate with at most two decimals, since a hundredth of a pixel cannot be seen."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def points(pairs: Iterable[tuple[float, float]]) -> str:
    """Return coordinates as SVG wants them."""
    return " ".join(f"{short(x)},{short(y)}" for x, y in pairs)


def units(text: str) -> float:
    """Return the width of text in letters: Chinese ones count twice.

    Examples
    --------
    >>> units("abc"), units("类别")
    (3.0, 3.8)
    """
    return sum(1.9 if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)


def clipped(text: str, limit: float) -> str:
    """Return text of at most `limit` letters' width with invisible characters made visible.

    Examples
    --------
    >>> clipped("a rather long name", 8)
    'a rathe…'
    """
    safe = shown(text)
    if units(safe) <= limit:
        return safe
    while units(safe) > limit - 1:
        safe = safe[:-1]
    return safe + "…"
