"""What is saved from the page: pictures hold the numbers of their table, and a page as one file shows the same ones."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from served import TOKEN, exploring
from softclass.errors import Notes
from softclass.server.evaluations import shown_data
from softclass.server.explore import Explored
from softclass.server.page import exported_page
from web.explored import COLUMN, explored_images, explored_table, markup_table

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Explored]:
    folder = tmp_path_factory.mktemp("models")
    return {"table": explored_table(folder), "images": explored_images(folder)[0]}


@pytest.fixture(scope="module")
def addresses(models: dict[str, Explored], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Each model served, and as one file."""
    folder = tmp_path_factory.mktemp("files")
    with exploring(models["table"]) as table, exploring(models["images"]) as images:
        found = {"table": table, "images": images}
        for name, model in models.items():
            path = folder / f"{name}.html"
            path.write_text(exported_page(model.bundle(examples=True), "zh"), encoding="utf-8")
            found[f"{name} file"] = path.as_uri()
        yield found


def saved(page: Any, figure: Any, kind: str) -> bytes:
    with page.expect_download() as waiting:
        figure.get_by_role("button", name=re.compile(kind)).first.click()
    return Path(waiting.value.path()).read_bytes()


def table_of(figure: Any) -> list[list[str]]:
    """The cells of the table below a figure, as they are shown."""
    figure.locator("summary").click()
    figure.locator("tbody tr").first.wait_for()
    rows = figure.locator("table tr")
    return [line.split("\t") for line in rows.all_inner_texts()]


def settled(page: Any) -> str:
    """The text of the panel when nothing in it is still being worked out: shares are there, and no dots alone."""
    unfinished = re.compile(r"^…$", re.MULTILINE)
    for _ in range(200):
        text = page.locator("main").inner_text()
        if "%" in text and not unfinished.search(text):
            break
        page.wait_for_timeout(100)
    return text


def numbers_in(text: str) -> list[float]:
    return [float(word.replace("−", "-")) for word in re.findall(r"[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text)]


NIGHTLY = [pytest.param(panel, marks=pytest.mark.slow) for panel in ("loss", "slow", "plane", "reliability", "sets")]


@pytest.mark.parametrize("panel", ["softmax", "digit", "mistakes", *NIGHTLY])
def test_every_figure_is_saved_as_csv_svg_and_png(page_at: Callable[..., Any], panel: str) -> None:
    page = page_at(f"p={panel}")
    figures = page.locator("figure[data-figure]:visible").all()
    assert figures
    faults = []

    for figure in figures:
        name = figure.get_attribute("data-figure")
        rows = list(csv.reader(io.StringIO(saved(page, figure, "CSV").decode())))
        picture = np.asarray(Image.open(io.BytesIO(saved(page, figure, "PNG"))).convert("RGB"))
        shown = table_of(figure)
        faults += [f"{name}: the table has {len(shown)} lines, the CSV {len(rows)}"] * (len(shown) != len(rows))
        faults += [f"{name}: the header is {shown[0]}, in the CSV {rows[0]}"] * (shown[0] != rows[0])
        faults += [f"{name}: the PNG is blank"] * (len(np.unique(picture.reshape(-1, 3), axis=0)) < 3)
        root = ElementTree.fromstring(saved(page, figure, "SVG"))
        faults += [f"{name}: the SVG is {root.tag}"] * (root.tag != f"{SVG}svg")
        faults += [f"{name}: a class is left"] * any("class" in node.attrib for node in root.iter())
        faults += [f"{name}: the SVG has no title"] * (not root.findtext(f"{SVG}title"))

    assert faults == []


@pytest.mark.parametrize(("figure", "frames"), [("digit-map", 2), ("digit-evidence", 2)])
def test_a_field_is_saved_as_svg_with_its_pixels_and_marks(
    page_at: Callable[..., Any], figure: str, frames: int
) -> None:
    page = page_at("p=digit&digit=4")
    shown = page.locator(f"figure[data-figure={figure}]")
    on_screen = shown.locator("canvas").evaluate("node => node.toDataURL('image/png')")
    root = ElementTree.fromstring(saved(page, shown, "SVG"))
    (field,) = root.iter(f"{SVG}image")
    marks = [node for node in root.iter(f"{SVG}rect") if "stroke-width" in node.attrib and node.get("fill") == "none"]
    png = np.asarray(Image.open(io.BytesIO(saved(page, shown, "PNG"))).convert("RGB")).astype(int)
    inside = np.asarray(Image.open(io.BytesIO(base64.b64decode(on_screen.partition(",")[2]))).convert("RGB")).astype(
        int
    )

    assert field.get("href") == on_screen
    assert (field.get("width"), field.get("image-rendering")) == (root.get("width"), "pixelated")
    assert root.findtext(f"{SVG}title") == shown.locator("canvas").get_attribute("aria-label")
    assert len(marks) == frames
    # The PNG is the same picture at twice the size: most pixels are those of the canvas, the others are marks.
    assert png.shape == (2 * inside.shape[0], 2 * inside.shape[1], 3)
    assert (np.abs(png[::2, ::2] - inside).max(axis=2) <= 2).mean() > 0.97


def test_a_picture_holds_the_numbers_of_its_table(page_at: Callable[..., Any]) -> None:
    page = page_at("p=mistakes")
    figure = page.locator("figure[data-figure]:visible").first
    rows = list(csv.reader(io.StringIO(saved(page, figure, "CSV").decode())))
    root = ElementTree.fromstring(saved(page, figure, "SVG"))
    written = {"".join(node.itertext()).strip() for node in root.iter(f"{SVG}text")}

    counts = {cell for row in rows[1:] for cell in row[1:] if re.fullmatch(r"[1-9]\d*", cell)}
    assert len(counts) > 3
    assert counts <= written


@pytest.mark.parametrize(
    ("name", "panel"), [("table", "mistakes"), ("table", "digit"), ("images", "reliability"), ("images", "digit")]
)
def test_one_file_shows_what_the_server_shows(
    page_at: Callable[..., Any], addresses: dict[str, str], name: str, panel: str
) -> None:
    state = f"p={panel}&lang=en&calib=seed"
    served = settled(page_at(f"{state}&token={TOKEN}", address=addresses[name]))
    file = settled(page_at(state, address=addresses[f"{name} file"]))

    assert len(numbers_in(served)) > 3
    assert served == file


def test_one_file_says_which_rows_it_answers(page_at: Callable[..., Any], addresses: dict[str, str]) -> None:
    page = page_at("p=digit&lang=en", address=addresses["table file"])
    settled(page)

    page.locator(".row-cells input").last.fill("0.123")

    page.get_by_text("answers only the first 90 rows it was exported with").wait_for()


COLUMNS = """async names => {
  const source = (await import("softclass/source")).createSource();
  const found = await source.columns(...names);
  return { ...found, points: Array.from(found.points), targets: Array.from(found.targets), shape: found.points.shape };
}"""


def test_one_file_gives_the_columns_that_the_server_gives(
    page_at: Callable[..., Any], addresses: dict[str, str]
) -> None:
    served = page_at(f"token={TOKEN}", address=addresses["table"]).evaluate(COLUMNS, ["depth", COLUMN])
    file = page_at(address=addresses["table file"]).evaluate(COLUMNS, ["depth", COLUMN])

    assert served["shape"] == [90, 2]
    assert served == file


def test_one_file_leaves_out_only_rows_with_gaps_in_the_pair(
    page_at: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    model, path = markup_table(tmp_path_factory.mktemp("gaps"))
    rows = shown_data(model, str(path), Notes())
    numbers = {name: values.copy() for name, values in rows.numbers.items()}
    numbers["depth"][:5], numbers[COLUMN][3:9] = np.nan, np.nan
    targets = rows.targets.copy()
    targets[[20, 21]] = -1
    third = {**numbers, "third": np.full(90, np.nan)}  # says nothing in any row, and takes no row from the others
    explored = Explored(model, "gaps", [replace(rows, numbers=third, targets=targets)], threads=1)
    file = path.with_suffix(".html")
    file.write_text(exported_page(explored.bundle(examples=True)), encoding="utf-8")

    with exploring(explored) as address:
        served = page_at(f"token={TOKEN}", address=address).evaluate(COLUMNS, ["depth", COLUMN])
    found = page_at(address=file.as_uri()).evaluate(COLUMNS, ["depth", COLUMN])

    assert served == found
    assert (found["shape"], found["total"], found["missing"]) == ([79, 2], 79, 11)


def test_a_file_has_the_language_it_was_made_in(page_at: Callable[..., Any], addresses: dict[str, str]) -> None:
    page = page_at(address=addresses["table file"])
    chosen = page_at("lang=en", address=addresses["table file"])

    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert chosen.locator("html").get_attribute("lang") == "en"


def test_a_file_holds_no_token_and_no_path(addresses: dict[str, str], tmp_path_factory: Any) -> None:
    text = Path(addresses["table file"].removeprefix("file://")).read_text(encoding="utf-8")

    assert TOKEN not in text
    assert str(tmp_path_factory.getbasetemp()) not in text


def test_the_bundle_of_a_file_is_read_back(models: dict[str, Explored], addresses: dict[str, str]) -> None:
    text = Path(addresses["images file"].removeprefix("file://")).read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="bundle">(.*?)</script>', text, re.DOTALL)

    assert found is not None
    assert json.loads(found[1]) == models["images"].bundle(examples=True)
