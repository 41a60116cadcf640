"""Figures that stand alone: two axes, curves and words as an SVG file with its own colours for light and dark pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from softclass.report.svg import points, shape, short

WIDTH = 720.0

# "key" is what the figure is about, "other" and "third" stand beside it; each also has its own kind of line, so that
# the figure can be read without colours.
_STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
  fill: var(--ink); stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }
svg { --paper: #ffffff; --ink: #1b1e23; --muted: #5b626e; --line: #e2e4e8; --axis: #8a919c;
  --key: #2f5fd0; --other: #b9480f; --third: #0b7a5c; }
@media (prefers-color-scheme: dark) { svg { --paper: #16191e; --ink: #e9ebef; --muted: #a5adb9; --line: #2b3038;
  --axis: #747c88; --key: #8fb2ff; --other: #f59a62; --third: #58cfa6; } }
.paper { fill: var(--paper); } .grid { stroke: var(--line); } .axis { stroke: var(--axis); }
.tick { fill: var(--muted); font-size: 13px; } .note { fill: var(--muted); font-size: 13px; }
.name { font-weight: 600; } .middle { text-anchor: middle; } .end { text-anchor: end; }
.mark { stroke: var(--axis); stroke-dasharray: 2 4; } .lead { stroke: var(--axis); }
polyline { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round; }
polyline.key { stroke: var(--key); stroke-width: 3; } text.key, circle.key { fill: var(--key); }
polyline.other { stroke: var(--other); stroke-dasharray: 9 5; } text.other, circle.other { fill: var(--other); }
polyline.third { stroke: var(--third); stroke-dasharray: 1.5 5; } text.third, circle.third { fill: var(--third); }
polyline.bound { stroke: var(--axis); stroke-width: 1.5; stroke-dasharray: 4 4; }
polyline.corner { stroke: var(--ink); stroke-width: 1.5; }
circle.end-mark { fill: var(--paper); stroke: var(--other); stroke-width: 2.5; }
"""


@dataclass(frozen=True)
class Axis:
    """The values from `low` to `high` on the pixels from `start` to `stop`; with `log`, by their logarithms."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, at = np.log([self.low, self.high, value]) if self.log else (self.low, self.high, value)
        return float(self.start + (self.stop - self.start) * (at - low) / (high - low))


@dataclass(frozen=True)
class Plot:
    """Two axes and what is drawn between them."""

    x: Axis
    y: Axis

    def frame(
        self,
        x_ticks: Sequence[float],
        y_ticks: Sequence[float],
        x_label: str,
        y_label: str,
        *,
        x_text: Callable[[float], str] = lambda value: signed(value),
        y_text: Callable[[float], str] = lambda value: signed(value),
    ) -> list[Markup]:
        """Grid, axes, numbers and what the numbers are; an empty `x_label` leaves the numbers to the plot below."""
        left, right, bottom, top = self.x.start, self.x.stop, self.y.start, self.y.stop
        body = [shape("line", x1=left, x2=right, y1=self.y(v), y2=self.y(v), class_="grid") for v in y_ticks]
        body += [shape("line", x1=self.x(v), x2=self.x(v), y1=top, y2=bottom, class_="grid") for v in x_ticks]
        body += [shape("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis")]
        body += [shape("line", x1=left, x2=left, y1=top, y2=bottom, class_="axis")]
        body += [shape("text", y_text(v), x=left - 8, y=self.y(v) + 5, class_="tick end") for v in y_ticks]
        body += [shape("text", y_label, x=left, y=top - 14)]
        if x_label:
            body += [shape("text", x_text(v), x=self.x(v), y=bottom + 20, class_="tick middle") for v in x_ticks]
            body += [shape("text", x_label, x=(left + right) / 2, y=bottom + 44, class_="middle")]
        return body

    def curve(self, x: Iterable[float], y: Iterable[float], kind: str) -> Markup:
        """A line through the points that lie inside the plot."""
        low, high = sorted((self.y.low, self.y.high))
        pairs = [(self.x(a), self.y(b)) for a, b in zip(x, y, strict=True) if low <= b <= high]
        return shape("polyline", points=points(pairs), class_=kind)

    def words(self, x: float, y: float, text: str, kind: str, dx: float = 0.0, dy: float = 5.0) -> Markup:
        """Text at a point of the plot, moved by pixels."""
        return shape("text", text, x=self.x(x) + dx, y=self.y(y) + dy, class_=kind)

    def dot(self, x: float, y: float, kind: str) -> Markup:
        """A point that the text speaks of."""
        return shape("circle", cx=self.x(x), cy=self.y(y), r=5.0, class_=kind)

    def upright(self, x: float) -> Markup:
        """A dotted line at one value of x."""
        return shape("line", x1=self.x(x), x2=self.x(x), y1=self.y.start, y2=self.y.stop, class_="mark")


def picture_file(height: float, title: str, description: str, body: Iterable[Markup]) -> str:
    """Return a whole SVG file."""
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-labelledby="title description">\n<title id="title">{title}</title>\n'
        '<desc id="description">{description}</desc>\n<style>{style}</style>\n{body}\n</svg>\n'
    ).format(
        w=short(WIDTH),
        h=short(height),
        title=title,
        description=description,
        style=Markup(_STYLE),  # noqa: S704 - our own, as it is: a style may hold quotation marks
        body=Markup("\n").join([shape("rect", width=WIDTH, height=height, rx=8.0, class_="paper"), *body]),
    )


def signed(value: float) -> str:
    """Return a number with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def power_of_ten(value: float) -> str:
    """Return 1, 10⁻⁴ and the like."""
    exponent = round(np.log10(value))
    return "1" if exponent == 0 else "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
