"""The figures of a regularisation path, as SVG: held-out loss over C, and weights over C."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from softclass.report.numbers import figure
from softclass.report.svg import clipped, picture, points, shape

Words = Callable[..., Markup]

LABEL_HEIGHT = 15.0  # px between the names of two curves
TICKS = 5  # on the upright axis, about
WIDE_RANGE = 4.0  # largest by smallest, from which an axis is logarithmic


def loss_path_figure(
    strengths: Sequence[float],
    losses: Sequence[float | None],
    errors: Sequence[float | None],
    chosen: float,
    label: str,
    words: Words,
) -> Markup:
    """Held-out loss over C: a dot and a standard error up and down for each, a line at the C of the model."""
    drawn = [
        (strength, loss, error or 0.0)
        for strength, loss, error in zip(strengths, losses, errors, strict=True)
        if loss is not None
    ]
    left, top, wide, tall = 62.0, 26.0, 470.0, 210.0
    low = min(loss - error for _, loss, error in drawn)
    high = max(loss + error for _, loss, error in drawn)
    across = _log_axis([*strengths, chosen], left, wide)
    # Weak and strong penalties can differ by a hundred times: then equal factors take equal heights.
    factors = low > 0 and WIDE_RANGE * low < high
    ticks = round_factors(low, high) if factors else nice_ticks(low, high)
    bottom, ceiling = min(low, ticks[0]), max(high, ticks[-1])

    def up(loss: float) -> float:
        if factors:
            return top + tall * math.log(ceiling / loss) / math.log(ceiling / bottom)
        return top + tall * (ceiling - loss) / (ceiling - bottom)

    body = _frame(left, top, wide, tall, ticks, up)
    body += _strength_ticks(strengths, across, top, tall)
    body.append(_mark(across, chosen, top, tall, words))
    body.append(
        shape("polyline", points=points((across(strength), up(loss)) for strength, loss, _ in drawn), class_="curve")
    )
    for strength, loss, error in drawn:
        x, sentence = across(strength), f"C = {strength:g}: {figure(loss)} ± {figure(error)}"
        if error:
            body.append(shape("line", x1=x, x2=x, y1=up(loss - error), y2=up(loss + error), class_="error"))
        body.append(
            shape("circle", shape("title", sentence), cx=x, cy=up(loss), r=5.0 if strength == chosen else 3.5,
                  class_="dot")
        )  # fmt: skip
    body.append(shape("text", words("axis_log_loss"), x=0.0, y=12.0, class_="label"))
    body.append(shape("text", words("axis_c"), x=left + wide, y=top + tall + 40, class_="label end"))
    return picture(left + wide + 40, top + tall + 46, label, body, kind="path")  # half a label beyond the axis


def weight_path_figure(
    strengths: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    chosen: float,
    largest: float,
    label: str,
    words: Words,
) -> Markup:
    """Weights over C, one curve a column with its name at its end; all classes share the upright scale."""
    left, top, wide, tall, names = 40.0, 8.0, 200.0, 190.0, 150.0
    across = _log_axis([*strengths, chosen], left, wide)
    ticks = nice_ticks(-largest, largest)
    ceiling = max(largest, ticks[-1])

    def up(weight: float) -> float:
        return top + tall * (ceiling - weight) / (2 * ceiling)

    body = _frame(left, top, wide, tall, ticks, up)
    body += _strength_ticks(strengths, across, top, tall, every=2)
    body.append(_mark(across, chosen, top, tall, None))
    body.append(shape("line", x1=left, x2=left + wide, y1=up(0.0), y2=up(0.0), class_="axis"))
    ends = spread([up(weights[-1]) for weights in curves.values()], top + 6, top + tall, LABEL_HEIGHT)
    for number, ((name, weights), end) in enumerate(zip(curves.items(), ends, strict=True)):
        line = points((across(strength), up(weight)) for strength, weight in zip(strengths, weights, strict=True))
        body += [
            shape("polyline", points=line, class_=f"curve line{number}"),
            shape(
                "polyline",
                points=points([(left + wide, up(weights[-1])), (left + wide + 10, end)]),
                class_=f"lead line{number}",
            ),
            shape("text", shape("title", clipped(name, 80)) + clipped(name, 21), x=left + wide + 13, y=end + 4,
                  class_=f"name name{number}"),
        ]  # fmt: skip
    body.append(shape("text", words("axis_c"), x=left + wide, y=top + tall + 34, class_="label end"))
    return picture(left + wide + 13 + names, top + tall + 40, label, body, kind="path")


def nice_ticks(low: float, high: float) -> list[float]:
    """
    Return round numbers that span a range.

    Examples
    --------
    >>> nice_ticks(0.021, 0.098)
    [0.02, 0.04, 0.06, 0.08, 0.1]
    >>> nice_ticks(1.0, 1.0)
    [1.0, 1.25]
    """
    reach = high - low if high > low else max(abs(high), 1.0)
    rough = reach / (TICKS - 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if unit * factor >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(step * place, digits) for place in range(first, last + 1)]


def round_factors(low: float, high: float) -> list[float]:
    """
    Return 1, 2 and 5 times powers of ten, or the powers alone where they are many, that span a range above zero.

    Examples
    --------
    >>> round_factors(0.03, 0.9)
    [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    >>> round_factors(1e-5, 1.0)[:3]
    [1e-05, 0.0001, 0.001]
    """
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    marks = [float(f"{step}e{power}") for power in range(first, last + 1) for step in steps]
    start = max((place for place, mark in enumerate(marks) if mark <= low * (1 + 1e-9)), default=0)
    stop = next((place for place, mark in enumerate(marks) if mark >= high * (1 - 1e-9)), len(marks) - 1)
    return marks[start : stop + 1]


def spread(wanted: Sequence[float], low: float, high: float, room: float) -> list[float]:
    """
    Move heights apart until each has room, as little as may be, within bounds.

    Examples
    --------
    >>> spread([50.0, 52.0, 90.0], 0.0, 100.0, 10.0)
    [50.0, 60.0, 90.0]
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    placed = list(wanted)
    least = low
    for place in order:
        placed[place] = max(placed[place], least)
        least = placed[place] + room
    most = high
    for place in reversed(order):
        placed[place] = min(placed[place], most)
        most = placed[place] - room
    return placed


def _log_axis(strengths: Sequence[float], left: float, wide: float) -> Callable[[float], float]:
    finite = [math.log10(strength) for strength in strengths if 0 < strength < math.inf]
    low, high = min(finite), max(finite)
    reach = high - low if high > low else 1.0

    def across(strength: float) -> float:
        return left + wide * (min(max(math.log10(strength), low), high) - low) / reach if strength > 0 else left

    return across


def _frame(
    left: float, top: float, wide: float, tall: float, ticks: Sequence[float], up: Callable[[float], float]
) -> list[Markup]:
    body = [shape("rect", x=left, y=top, width=wide, height=tall, class_="paper")]
    for tick in ticks:
        body.append(shape("line", x1=left, x2=left + wide, y1=up(tick), y2=up(tick), class_="grid"))
        body.append(
            shape("text", f"{tick:g}".replace("-", "−"), x=left - 7, y=up(tick) + 4, class_="tick end")
        )  # fmt: skip
    return body


def _strength_ticks(
    strengths: Sequence[float], across: Callable[[float], float], top: float, tall: float, every: int = 1
) -> list[Markup]:
    """Powers of ten below the axis."""
    finite = [math.log10(strength) for strength in strengths if 0 < strength < math.inf]
    body = []
    for power in range(math.ceil(min(finite) - 1e-9), math.floor(max(finite) + 1e-9) + 1):
        if power % every:
            continue
        x = across(10.0**power)
        body.append(shape("line", x1=x, x2=x, y1=top, y2=top + tall, class_="grid"))
        body.append(shape("text", f"{10.0**power:g}", x=x, y=top + tall + 17, class_="tick middle"))
    return body


def _mark(across: Callable[[float], float], chosen: float, top: float, tall: float, words: Words | None) -> Markup:
    """Return a dashed line at the C of the model, with its value above where there is room for words."""
    if not math.isfinite(chosen):
        return Markup("")
    x = across(chosen)
    line = shape("line", x1=x, x2=x, y1=top, y2=top + tall, class_="chosen")
    if words is None:
        return line
    return line + shape("text", words("path_chosen", C=f"{chosen:g}"), x=x, y=top - 6, class_="tick middle")
