"""Figures: every number of theirs can be found again, hostile names stay text, and colours can be read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup

from softclass.report import figures
from softclass.report.figures import (
    coefficient_figure,
    confusion_figure,
    luck_figure,
    reliability_figure,
    share_outside,
    small_reliability_figure,
    strip_figure,
)
from softclass.report.html import words_of
from softclass.report.words import LANGUAGES
from softclass.trust.reliability import reliability_diagram

WORDS = words_of(LANGUAGES["en"])
STYLE = (Path(figures.__file__).parent / "style.css").read_text(encoding="utf-8")


def texts(figure: Markup) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(str(figure)).iter("text")]


def diagram(seed: int = 0):
    rng = np.random.default_rng(seed)
    confidence = rng.random(200)
    return reliability_diagram(confidence, rng.random(200) < confidence, n_resamples=100)


def test_confusion_matrix_shows_counts_and_shares() -> None:
    found = texts(confusion_figure(np.array([[3, 1], [0, 6]]), ["a", "b"], "label", WORDS))

    assert [text for text in found if re.match(r"[\d.%]+$", text)] == ["3", "75.0%", "1", "25.0%", "6", "100%"]


def test_confusion_matrix_of_26_classes_shows_counts() -> None:
    figure = confusion_figure(np.diag(np.arange(1, 27)), [chr(65 + k) for k in range(26)], "label", WORDS)

    assert [text for text in texts(figure) if text.isdigit()] == [str(k) for k in range(1, 27)]


def test_a_class_without_rows_divides_by_nothing() -> None:
    assert "0" not in texts(confusion_figure(np.array([[0, 0], [0, 6]]), ["a", "b"], "label", WORDS))


@pytest.mark.parametrize(
    "figure",
    [
        confusion_figure(np.eye(2, dtype=int), ["<b>", "\u202e&"], '"<label>"', WORDS),
        coefficient_figure(["<b>", "&"], np.array([1.0, -1.0]), 1.0, '"<label>"'),
        reliability_figure(diagram(), '"<label>"', WORDS),
        small_reliability_figure(diagram(), '"<label>"'),
        strip_figure('"<label>"', 0.5, 0.4, 0.6, 0.1, 1.0),
        luck_figure('"<label>"', 0.02, 0.03),
    ],
    ids=["confusion", "coefficients", "reliability", "small", "strip", "luck"],
)
def test_every_figure_is_xml_with_its_label(figure: Markup) -> None:
    root = ElementTree.fromstring(str(figure))

    assert (root.attrib["role"], root.attrib["aria-label"]) == ("img", '"<label>"')
    assert {node.tag for node in root.iter()} <= {
        "svg", "g", "rect", "line", "text", "title", "circle", "polygon", "polyline",
    }  # fmt: skip


def test_the_curve_passes_through_every_block() -> None:
    found = diagram()
    root = ElementTree.fromstring(str(reliability_figure(found, "label", WORDS)))
    line = next(node for node in root.iter("polyline"))
    corners = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    wanted = [
        (46 + 300 * x, 10 + 300 * (1 - y))
        for low, high, y in zip(found.low, found.high, found.frequency, strict=True)
        for x in (low, high)
    ]

    np.testing.assert_allclose(corners, wanted, atol=0.006)  # half of the last digit drawn


def test_a_diagram_of_one_confidence_is_a_point() -> None:
    found = reliability_diagram(np.full(20, 0.5), np.arange(20) < 10, n_resamples=20)

    assert "<circle" in reliability_figure(found, "label", WORDS)


def test_share_outside_is_all_for_hopeless_confidences() -> None:
    found = reliability_diagram(np.linspace(0.9, 1, 200), np.zeros(200, dtype=bool), n_resamples=100)

    assert share_outside(found) > 0.9


def test_coefficients_of_zero_are_drawn() -> None:
    assert "+0.00" in texts(coefficient_figure(["x"], np.zeros(1), 0.0, "label"))


def colours(dark: bool) -> dict[str, str]:
    """Variables of the style sheet, light ones overlaid by dark ones."""
    light, night = STYLE.split("@media (prefers-color-scheme: dark)")[:2]
    pairs = re.findall(r"--([\w-]+): ([^;]+);", light)
    return dict(pairs + re.findall(r"--([\w-]+): ([^;]+);", night.split("* {")[0]) if dark else pairs)


def luminance(colour: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def contrast(one: list[float], other: list[float]) -> float:
    dim, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("hue", ["accent", "warm"])
@pytest.mark.parametrize("dark", [False, True])
def test_numbers_in_the_heat_map_can_be_read(dark: bool, hue: str, step: int) -> None:
    known = colours(dark)
    opacity = float(known[f"h{step}"])
    ground = [opacity * a + (1 - opacity) * b for a, b in zip(rgb(known[hue]), rgb(known["paper"]), strict=True)]
    ink = known["on-fill" if step >= 5 else "ink"]

    assert contrast(ground, rgb(ink)) >= 4.5  # WCAG AA for small text


@pytest.mark.parametrize("ground", ["paper", "card"])
@pytest.mark.parametrize("ink", ["ink", "muted", "accent"])
@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(dark: bool, ink: str, ground: str) -> None:
    known = colours(dark)

    assert contrast(rgb(known[ink]), rgb(known[ground])) >= 4.5
