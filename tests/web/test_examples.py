"""Rows of a table model on panels 6 and 8: tiles with names and values, on every width, and for those who only hear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softclass
from served import TOKEN, exploring
from softclass.errors import Notes
from softclass.server.evaluations import shown_data
from softclass.server.explore import Explored
from web.test_access import AXE, axe_source

LONG = "a long remark that goes on and on, far beyond what fits into a tile of a row at any width, and then ends"
COLUMNS = ("kind", "width", "depth", "a_very_long_name_of_a_column_that_no_phone_can_show_in_one_line", "word", "mass")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model of six columns, of which one is a long text and one has gaps, with its rows."""
    random = np.random.default_rng(2)
    lines = [",".join(COLUMNS)]
    for at in range(90):
        numbers = np.round(at % 3 + random.normal(scale=0.9, size=4), 2)
        cells = [f"kind {at % 3}", *numbers[:3], f'"{LONG} {at % 2}"', "" if at % 4 == 0 else numbers[3]]
        lines.append(",".join(map(str, cells)))
    path: Path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    model = softclass.train(path, "kind", C=1.0, progress=lambda event, facts: None)
    with exploring(Explored(model, "rows", [shown_data(model, str(path), Notes())], threads=1)) as found:
        yield found


@pytest.fixture
def opened(page_at: Callable[..., Any], address: str) -> Callable[..., Any]:
    """Return a function that opens a panel on that model."""
    return lambda panel="mistakes", **options: page_at(f"p={panel}&token={TOKEN}", address=address, **options)


def tile_of(page: Any, part: str = "worst") -> Any:
    return page.locator(f"[data-part={part}] li").first


@pytest.mark.parametrize("width", [1280, 360])
def test_a_tile_shows_the_names_with_the_values(opened: Callable[..., Any], address: str, width: int) -> None:
    page = opened(width=width)
    tile = tile_of(page)
    names, values = (tile.locator(f"{name}:visible").all_inner_texts() for name in ("dt", "dd"))
    row = page.evaluate(
        "async () => (await (await import('softclass/source')).createSource().evaluation('rows.csv')).row(0)"
    )

    # The class stands in the heading, so its column comes last.
    assert names == list(COLUMNS[1:5])
    assert list(row) == list(COLUMNS)
    assert values[3] == f"{LONG[:60]}…"
    assert page.locator("[data-part=worst] li").count() == 20
    assert all(float(value) < 10 for value in values[:3])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    boxes = tile.locator("dd:visible, dt:visible").evaluate_all(
        "all => all.map((one) => [one.scrollWidth <= one.clientWidth + 1, one.getBoundingClientRect().right])"
    )
    right = tile.bounding_box()["x"] + tile.bounding_box()["width"]
    assert all(fits and end <= right for fits, end in boxes)


def test_the_rest_shows_when_a_tile_is_opened_and_stays_open(opened: Callable[..., Any]) -> None:
    page = opened()
    summary = tile_of(page).locator("summary")
    summary.focus()
    page.keyboard.press("Enter")
    tile_of(page).locator("details dd").first.wait_for()
    rest = dict(
        zip(*(tile_of(page).locator(f"details {name}").all_inner_texts() for name in ("dt", "dd")), strict=True)
    )
    page.locator("[data-key=T] input[type=number]").fill("1.01")
    page.get_by_text("at T = 1.01").first.wait_for()

    assert list(rest) == ["word", "mass", "kind"]
    assert rest["word"].startswith(LONG)
    assert rest["kind"].startswith("kind ")
    assert page.locator("[data-part=worst] details[open]").count() == 1
    assert page.locator("[data-part=worst] details[open] dt").count() == 3


@pytest.mark.parametrize(
    ("language", "place", "more"), [("en", "line ", "more columns: 3"), ("zh", "文件第 ", "其余 3 列")]
)
def test_a_tile_is_told_to_those_who_hear_it(opened: Callable[..., Any], language: str, place: str, more: str) -> None:
    page = opened(language=language)
    heading, summary = tile_of(page).locator("p"), tile_of(page).locator("summary")
    heard = heading.evaluate(
        "node => [...node.children].filter((one) => !one.ariaHidden).map((one) => one.textContent)"
    )
    shown = heading.locator("strong").inner_text()
    truth, predicted = shown.split(" → ")
    middle = f": {truth}, predicted {predicted}" if language == "en" else f"：{truth}，预测为 {predicted}"

    assert heard[0].startswith(place)
    assert heard[0].endswith(middle)
    assert "→" not in "".join(heard)
    assert summary.inner_text().startswith(more)
    assert heard[0].removesuffix(middle) in summary.text_content()


def test_a_gap_is_a_dash(opened: Callable[..., Any]) -> None:
    page = opened()
    for summary in page.locator("[data-part=worst] summary").all():
        summary.click()
    masses = page.locator("[data-part=worst] details div", has_text="mass").locator("dd").all_inner_texts()

    assert len(masses) == 20
    assert "–" in masses
    assert "" not in masses


@pytest.mark.parametrize("panel", ["mistakes", "sets"])
def test_axe_finds_nothing_in_tiles(opened: Callable[..., Any], panel: str) -> None:
    page = opened(panel, width=360, bypass_csp=True)
    page.locator(".tiles summary").first.click()
    page.add_script_tag(path=axe_source())

    assert page.evaluate(AXE) == []
