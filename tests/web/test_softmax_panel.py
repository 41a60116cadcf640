"""Panel 1 shows the truth: its tables against 50 digits, its controls, its triangle."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpmath import exp, log, mp, mpf

STATES = [([2.0, 1.0, 0.1], 1.0), ([2.0, 1.0, 0.1], 0.05), ([-3.5, 700.0, 699.0, 12.0], 20.0), ([0.0] * 10, 3.0)]


def softmax(scores: list[Any], temperature: float) -> list[Any]:
    """Return the softmax in 50 digits."""
    with mp.workdps(50):
        powers = [exp(mpf(score) / mpf(temperature)) for score in scores]
        return [power / sum(powers) for power in powers]


def saved(page: Any, figure: str, folder: Path) -> tuple[list[str], list[list[str]]]:
    """Save the table of a figure as CSV and read it."""
    with page.expect_download() as download:
        page.locator(f"[data-figure={figure}] .tools button", has_text="CSV").click()
    path = folder / "table.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return head, rows


def fragment(scores: list[float], temperature: float, **others: object) -> str:
    """Write a state as an address."""
    values = {"lang": "en", "z": ",".join(map(repr, scores)), "T": temperature, **others}
    return "&".join(f"{key}={value}" for key, value in values.items())


@pytest.mark.parametrize(("scores", "temperature"), STATES)
def test_probabilities_are_those_of_50_digits(
    page_at: Callable[..., Any], tmp_path: Path, scores: list[float], temperature: float
) -> None:
    head, rows = saved(page_at(fragment(scores, temperature)), "softmax-bars", tmp_path)
    p = softmax(scores, temperature)
    logarithms = [float(log(share)) for share in p]

    assert head == ["class", "z + c", "score (z + c) / T", "e to (score − largest)", "p", "ln p"]
    assert [float(row[4]) for row in rows] == pytest.approx([float(share) for share in p], rel=1e-12, abs=0)
    assert [float(row[5]) for row in rows] == pytest.approx(logarithms, rel=1e-12, abs=1e-16)


def test_a_shift_of_all_scores_changes_no_probability(page_at: Callable[..., Any], tmp_path: Path) -> None:
    _, still = saved(page_at(fragment([2, 1, 0.1], 1)), "softmax-bars", tmp_path)
    _, moved = saved(page_at(fragment([2, 1, 0.1], 1, shift=5)), "softmax-bars", tmp_path)
    distances = [abs(float(a[4]) - float(b[4])) for a, b in zip(still, moved, strict=True)]

    assert max(distances) <= 1e-15


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_jacobian_is_that_of_differences(page_at: Callable[..., Any], tmp_path: Path, temperature: float) -> None:
    scores = [1.5, 0.25, -1.0, 2.0]
    _, rows = saved(page_at(fragment(scores, temperature, view="jacobian")), "softmax-jacobian", tmp_path)
    shown = np.array([[float(cell) for cell in row[1:-1]] for row in rows])
    differences = np.empty((4, 4))
    with mp.workdps(50):
        step = mpf("1e-6")
        for j in range(4):
            above, below = ([mpf(z) + sign * step * (k == j) for k, z in enumerate(scores)] for sign in (1, -1))
            pairs = zip(softmax(above, temperature), softmax(below, temperature), strict=True)
            differences[:, j] = [float((up - down) / (2 * step)) for up, down in pairs]

    np.testing.assert_allclose(shown, differences, rtol=0, atol=1e-11)  # step squared times the third derivative
    assert max(abs(float(row[-1])) for row in rows) <= 1e-16


def test_the_precision_table_says_where_textbooks_fail(page_at: Callable[..., Any]) -> None:
    page = page_at(fragment([80, 0, 0], 1, view="precision"))
    rows = [row.split("\t") for row in page.locator(".precision tbody tr").all_inner_texts()]

    assert [row[1] for row in rows] == ["709.78", "88.72", "88.72", "11.09"]
    assert [row[2].strip() for row in rows] == ["1 · 1.8 × 10⁻³⁵ · 1.8 × 10⁻³⁵"] * 3 + ["NaN · 0 · 0"]
    assert rows[3][3].strip() == "1 · 0 · 0"


def test_the_point_of_the_triangle_can_be_dragged(page_at: Callable[..., Any], tmp_path: Path) -> None:
    page = page_at(fragment([2, 1, 0.1], 2, view="simplex", shift=3), height=1400)
    box = page.locator("svg.picture").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 28 + (452 * 3**0.5 / 2) * 0.7  # p of C is 0.3
    page.mouse.move(x, y - 50)
    page.mouse.down()
    page.mouse.move(x, y, steps=4)
    page.mouse.up()
    _, rows = saved(page, "softmax-simplex", tmp_path)

    assert [float(cell) for cell in rows[0]] == pytest.approx([2, 0.35, 0.35, 0.3], abs=0.004)  # a pixel is 0.002


def test_the_triangle_asks_for_three_classes(page_at: Callable[..., Any]) -> None:
    page = page_at(fragment([3, 2, 1, 0], 1, view="simplex"))
    page.get_by_role("button", name="Keep three classes").click()
    page.locator("[data-figure=softmax-simplex]").wait_for()

    assert page.get_by_role("slider", name="Probabilities of the three classes").count() == 1


def test_classes_can_be_added_up_to_ten_and_removed_down_to_two(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en")
    add, remove = (page.get_by_role("button", name=name) for name in ("Add a class", "Remove a class"))
    for _ in range(7):
        add.click()
    most = (page.locator(".vector .slider").count(), add.is_disabled())
    for _ in range(8):
        remove.click()

    assert most == (10, True)
    assert (page.locator(".vector .slider").count(), remove.is_disabled()) == (2, True)


def test_a_number_of_any_size_may_be_typed(page_at: Callable[..., Any]) -> None:
    page = page_at("lang=en")
    page.get_by_role("spinbutton", name="B", exact=True).fill("1e308")
    largest = page.locator(".readings dd").first.inner_text()

    assert re.sub(r"\s+", " ", largest) == "100 % class B"


@pytest.mark.parametrize("more", ["", "&T=0.05", "&T=0.05&p=loss", "&view=jacobian", "&view=simplex"])
def test_the_largest_numbers_there_are_draw_a_picture(page_at: Callable[..., Any], more: str) -> None:
    """Their difference is not finite; the page must not hand NaN to a drawing (errors of the console fail the test)."""
    page = page_at(f"lang=en&z=1e308,1e308,-1e308{more}")

    assert page.locator("figure svg").count() >= 1
    assert "NaN" not in page.locator(".readings").inner_text()
