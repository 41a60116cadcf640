"""The figures of the report, as SVG: interval strips, confusion matrix, reliability diagrams."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from softclass.report.numbers import count, percent
from softclass.report.svg import clipped, picture, points, shape, units
from softclass.trust.reliability import ReliabilityDiagram

Words = Callable[..., Markup]

# Largest share of the true class for each step of the heat map; step 0 is an empty square.
HEAT_STEPS = (0.0, 0.02, 0.10, 0.25, 0.50, 0.90, 1.0)
LETTER = 6.7  # px that a letter of 12 px text takes on average


def strip_figure(label: str, value: float, low: float, high: float, mark: float, maximum: float) -> Markup:
    """A value with its interval on a line from 0 to `maximum`, and a tick at what it is compared with."""
    width, height, edge = 220.0, 22.0, 6.0

    def at(x: float) -> float:
        return edge + (width - 2 * edge) * min(max(x / maximum, 0.0), 1.0) if maximum > 0 else edge

    return picture(
        width,
        height,
        label,
        [
            shape("line", x1=edge, x2=width - edge, y1=11.0, y2=11.0, class_="track"),
            shape("line", x1=at(low), x2=at(high), y1=11.0, y2=11.0, class_="interval"),
            shape("line", x1=at(mark), x2=at(mark), y1=3.0, y2=19.0, class_="mark"),
            shape("circle", cx=at(value), cy=11.0, r=5.0, class_="dot"),
        ],
        kind="strip",
    )


def luck_figure(label: str, value: float, null_95: float) -> Markup:
    """The calibration error on a line whose shaded beginning is what luck alone explains."""
    width, edge, maximum = 220.0, 6.0, 1.25 * max(value, null_95, 1e-9)

    def at(x: float) -> float:
        return edge + (width - 2 * edge) * x / maximum

    return picture(
        width,
        22.0,
        label,
        [
            shape("line", x1=edge, x2=width - edge, y1=11.0, y2=11.0, class_="track"),
            shape("rect", x=at(0.0), y=4.0, width=at(null_95) - at(0.0), height=14.0, rx=2.0, class_="luck"),
            shape("circle", cx=at(value), cy=11.0, r=5.0, class_="dot"),
        ],
        kind="strip",
    )


def share_outside(diagram: ReliabilityDiagram) -> float:
    """Share of the points of the band at which the curve lies outside it."""
    curve = np.interp(diagram.band_at, *_curve(diagram))
    low, high = np.array(diagram.band_low), np.array(diagram.band_high)
    return float(np.mean((curve < low - 1e-9) | (curve > high + 1e-9)))


def _curve(diagram: ReliabilityDiagram) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Corners of the curve: flat in each block, straight between blocks."""
    x = np.stack([diagram.low, diagram.high], axis=1).ravel()
    return x, np.repeat(np.array(diagram.frequency, dtype=np.float64), 2)


def reliability_figure(diagram: ReliabilityDiagram, label: str, words: Words) -> Markup:
    """Curve, band, diagonal, and how many rows have each confidence."""
    left, top, side, bars = 46.0, 10.0, 300.0, 44.0
    floor = top + side + 10 + bars

    def x(value: float) -> float:
        return left + side * value

    def y(value: float) -> float:
        return top + side * (1 - value)

    body = [shape("rect", x=left, y=top, width=side, height=side, class_="paper")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        body.append(shape("line", x1=x(tick), x2=x(tick), y1=top, y2=top + side, class_="grid"))
        body.append(shape("line", x1=left, x2=left + side, y1=y(tick), y2=y(tick), class_="grid"))
        body.append(shape("text", f"{tick:.0%}", x=left - 7, y=y(tick) + 4, class_="tick end"))
        body.append(shape("text", f"{tick:.0%}", x=x(tick), y=floor + 16, class_="tick middle"))
    body += _band_and_curve(diagram, x, y)
    tallest = max(diagram.histogram)
    width = side / len(diagram.histogram)
    for number, rows in enumerate(diagram.histogram):
        if rows:
            tall = max(1.5, bars * rows / tallest)
            body.append(
                shape(
                    "rect",
                    shape("title", f"{number / 20:.0%} – {(number + 1) / 20:.0%}: {count(rows)}"),
                    x=left + width * number + 1,
                    y=floor - tall,
                    width=width - 2,
                    height=tall,
                    class_="bar",
                )
            )
    body.append(shape("line", x1=left, x2=left + side, y1=floor, y2=floor, class_="axis"))
    body.append(shape("text", words("axis_confidence"), x=left + side, y=floor + 34, class_="label end"))
    body.append(shape("text", words("axis_right"), x=left + 8, y=top + 18, class_="label"))
    return picture(left + side + 22, floor + 42, label, body, kind="reliability")


def small_reliability_figure(diagram: ReliabilityDiagram, label: str) -> Markup:
    """The same without bars and numbers, for one class among others."""
    edge, side = 5.0, 130.0

    def x(value: float) -> float:
        return edge + side * value

    def y(value: float) -> float:
        return edge + side * (1 - value)

    frame = shape("rect", x=edge, y=edge, width=side, height=side, class_="paper")
    return picture(side + 2 * edge, side + 2 * edge, label, [frame, *_band_and_curve(diagram, x, y)], kind="small")


def _band_and_curve(
    diagram: ReliabilityDiagram, x: Callable[[float], float], y: Callable[[float], float]
) -> list[Markup]:
    above = [(x(a), y(b)) for a, b in zip(diagram.band_at, diagram.band_high, strict=True)]
    below = [(x(a), y(b)) for a, b in zip(diagram.band_at, diagram.band_low, strict=True)]
    corners = [(x(float(a)), y(float(b))) for a, b in zip(*_curve(diagram), strict=True)]
    shapes = [
        shape("polygon", points=points(above + below[::-1]), class_="band"),
        shape("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="diagonal"),
        shape("polyline", points=points(corners), class_="curve"),
    ]
    if len(set(corners)) == 1:  # one confidence for all rows: a line of no length cannot be seen
        shapes.append(shape("circle", cx=corners[0][0], cy=corners[0][1], r=4.0, class_="dot"))
    return shapes


def heat_step(share: float) -> int:
    """Return the step of the colour scale for a share of the true class.

    Examples
    --------
    >>> [heat_step(share) for share in (0.0, 0.01, 0.5, 0.51, 1.0)]
    [0, 1, 4, 5, 6]
    """
    return int(np.searchsorted(HEAT_STEPS, share, side="left"))


def confusion_figure(confusion: npt.NDArray[np.int64], classes: Sequence[str], label: str, words: Words) -> Markup:
    """Heat map of true against predicted classes; shares stand in the squares as long as they can be read."""
    n = len(classes)
    with_shares = n <= 10
    names = [clipped(name, 18) for name in classes]
    widest = max(units(name) for name in names)
    cell = 58.0 if with_shares else 34.0
    if n <= 6:  # room enough for names that stand upright
        cell = min(max(cell, widest * LETTER + 10), 104.0)
    slanted = widest * LETTER > cell - 6
    left = max(widest * LETTER + 12, 30.0) + 22
    # Slanted names rise by the sine of their angle and reach beyond the last column by its cosine.
    top = (widest * LETTER * 0.72 if slanted else 0) + 44
    beyond = widest * LETTER * 0.72 if slanted else 0
    totals = confusion.sum(axis=1)
    body: list[Markup] = [
        shape("text", words("axis_predicted"), x=left, y=14.0, class_="label"),
        shape(
            "text",
            words("axis_true"),
            x=0.0,
            y=0.0,
            class_="label middle",
            transform=f"translate(12 {top + cell * n / 2:.1f}) rotate(-90)",
        ),
    ]
    for k, name in enumerate(names):
        across = left + cell * (k + 0.5)
        turned = {"transform": f"translate({across - 2:.1f} {top - 8:.1f}) rotate(-45)"} if slanted else {}
        place = {"x": 0.0, "y": 0.0} if slanted else {"x": across, "y": top - 9}
        body.append(shape("text", name, class_="name" if slanted else "name middle", **place, **turned))
        body.append(shape("text", name, x=left - 8, y=top + cell * (k + 0.5) + 4, class_="name end"))
    for i in range(n):
        for j in range(n):
            share = confusion[i, j] / totals[i] if totals[i] else 0.0
            body.append(_square(confusion, i, j, float(share), left, top, cell, with_shares, classes, words))
    return picture(left + cell * n + beyond + 6, top + cell * n + 6, label, body, kind="confusion")


def _square(
    confusion: npt.NDArray[np.int64],
    i: int,
    j: int,
    share: float,
    left: float,
    top: float,
    cell: float,
    with_shares: bool,
    classes: Sequence[str],
    words: Words,
) -> Markup:
    """One square: its colour, its count, perhaps its share, and a sentence for the pointer."""
    rows = int(confusion[i, j])
    hue, step = ("right" if i == j else "wrong"), heat_step(share)
    x, y = left + cell * j, top + cell * i
    sentence = words(
        "confusion_right" if i == j else "confusion_cell",
        true=clipped(classes[i], 40),
        predicted=clipped(classes[j], 40),
        n=count(rows),
        share=percent(share),
    )
    parts = [
        shape("title", sentence),
        shape("rect", x=x + 1, y=y + 1, width=cell - 2, height=cell - 2, rx=3.0, class_=f"{hue} heat{step}"),
    ]
    if rows:
        ink = f"ink{step}"
        middle = y + cell / 2
        parts.append(
            shape("text", count(rows), x=x + cell / 2, y=middle + (0 if with_shares else 4), class_=f"count {ink}")
        )
        if with_shares:
            parts.append(shape("text", percent(share), x=x + cell / 2, y=middle + 15, class_=f"share {ink}"))
    return shape("g", Markup("").join(parts))


def coefficient_figure(names: Sequence[str], weight: npt.NDArray[np.float64], scale: float, label: str) -> Markup:
    """Diverging bars, the longest first, on the scale that all classes share."""
    text, half, row = 158.0, 74.0, 22.0
    middle = text + 52 + half
    body = []
    for place, (name, value) in enumerate(zip(names, weight.tolist(), strict=True)):
        y = row * place
        long = half * abs(value) / scale if scale > 0 else 0.0
        start = middle if value >= 0 else middle - long
        hue = "for" if value >= 0 else "against"
        at = middle + long + 6 if value >= 0 else middle - long - 6
        body += [
            shape("text", shape("title", clipped(name, 80)) + clipped(name, 24), x=text, y=y + 15, class_="name end"),
            shape("rect", x=start, y=y + 4, width=max(long, 1.0), height=row - 8, rx=2.0, class_=hue),
            shape(
                "text",
                f"{value:+.2f}".replace("-", "−"),
                x=at,
                y=y + 15,
                class_="tick" if value >= 0 else "tick end",
            ),
        ]
    height = row * len(names)
    body.append(shape("line", x1=middle, x2=middle, y1=0.0, y2=height, class_="axis"))
    return picture(middle + half + 46, height, label, body, kind="weights")
