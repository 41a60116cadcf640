"""Panel 4 in a browser: its numbers, its run, points and tables of the user, its address."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from web.engines import Ask, engine_fixtures

engine, node = engine_fixtures(Path(__file__).parent / "plane_tasks.js")
LINEAR = {
    "hidden": [], "activation": "tanh", "head": "softmax_ce", "optimizer": "gd", "learningRate": 0.5, "l2": 0,
    "start": 2, "seed": 7,
}  # fmt: skip
OPENED = "p=plane&data=own"
CSV = "w,h,kind\n" + "".join(f"{i % 7 + i % 3 * 10},{i * i % 11 + i % 3 * 5},k{i % 3}\n" for i in range(90))


def readings(page: Any) -> list[str]:
    """The large numbers of the panel: epoch, loss, accuracy, epochs to 95 %, margin."""
    page.wait_for_function("() => document.querySelectorAll('.readings dd').length === 5")
    return page.locator(".readings dd").evaluate_all("all => all.map((one) => one.firstChild.textContent)")


def table(page: Any, key: str) -> list[list[str]]:
    """The table of a figure, cell by cell."""
    figure = page.locator(f"[data-figure={key}]")
    if figure.locator("details[open]").count() == 0:
        figure.locator("summary").click()
    figure.locator("tbody tr").first.wait_for()
    read = "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    return figure.locator("tbody tr").evaluate_all(read)


def expect_step(page: Any, step: int) -> None:
    """Wait until the address holds an epoch."""
    page.wait_for_function("wanted => Number(/step=(\\d+)/.exec(location.hash)?.[1] ?? 0) === wanted", arg=step)


def put_file(page: Any, text: str, name: str = "mine.csv", kind: str = "text/csv") -> None:
    page.locator(".panel input[type=file]").set_input_files({"name": name, "mimeType": kind, "buffer": text.encode()})


# ---- what it shows


@pytest.mark.parametrize("language", ["en", "zh"])
def test_comparison_gives_the_table_of_the_all_wrong_start(page_at: Callable[..., Any], language: str) -> None:
    page = page_at("p=plane", language=language)
    page.locator(".run-row .buttons button").click()
    page.locator("[data-figure=plane-heads]").wait_for()

    assert [row[1] for row in table(page, "plane-heads")] == ["15", "586", "11", "333"]


@pytest.mark.parametrize(
    ("fragment", "epoch", "arrived"),
    [("step=15", "15", "15"), ("step=14", "14", "not yet"), ("step=586&head=softmax_se", "586", "586")],
)
def test_link_opens_at_its_epoch(page_at: Callable[..., Any], fragment: str, epoch: str, arrived: str) -> None:
    found = readings(page_at(f"p=plane&{fragment}"))

    assert (found[0], found[3], found[4]) == (epoch, arrived, "12.04")


@pytest.mark.parametrize(
    ("fragment", "data", "settings"),
    [
        ("step=9", "blobs3", LINEAR),
        ("step=12&data=spiral&hidden=6,4&opt=adam&eta=0.02&s=1&act=relu&head=sigmoid_ce&l2=0.01", "spiral",
         {**LINEAR, "hidden": [6, 4], "optimizer": "adam", "learningRate": 0.02, "start": 1, "activation": "relu",
          "head": "sigmoid_ce", "l2": 0.01}),
    ],
)  # fmt: skip
def test_curves_are_those_of_the_module(
    page_at: Callable[..., Any], node: Ask, fragment: str, data: str, settings: dict[str, Any]
) -> None:
    page = page_at(f"p=plane&{fragment}")
    epochs = int(fragment.partition("&")[0].removeprefix("step="))
    trace = node("train", data={"name": data, "n": 300, "seed": 7}, settings=settings, epochs=epochs)["trace"]
    losses = [[float(cell) for cell in row] for row in table(page, "plane-loss")]

    assert losses == [
        [n, pytest.approx(row[0], abs=6e-7), pytest.approx(row[2], abs=6e-7)] for n, row in enumerate(trace)
    ]
    assert [float(row[1]) for row in table(page, "plane-accuracy")] == [
        pytest.approx(row[1], abs=6e-7) for row in trace
    ]


def test_table_of_the_regions_counts_all_points_and_the_whole_picture(page_at: Callable[..., Any]) -> None:
    rows = table(page_at("p=plane&data=blobs5&step=30"), "plane-field")

    assert [row[:2] for row in rows] == [[name, "60"] for name in "ABCDE"]
    assert sum(float(row[2]) for row in rows) == pytest.approx(1, abs=5e-6)


def test_lines_of_a_linear_model_are_written_down(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane")

    # At the start the weights of A, B, C are 2 times the middles of B, C, A.
    assert page.locator(".ties li").all_inner_texts()[0] == "A | B: −1 x + 0 y + 0 = 0"
    assert page.locator(".line.tie.border").count() == 3


def test_hidden_units_have_a_tile_and_a_row_each(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&hidden=5,3&data=moons&step=3")
    rows = table(page, "plane-units")

    assert [row[:2] for row in rows] == [["1", str(i)] for i in range(1, 6)] + [["2", str(i)] for i in range(1, 4)]
    assert page.locator("[data-figure=plane-units] rect.tile").count() == 8


# ---- the run


def test_step_and_start_over_are_in_the_address(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&step=3")
    page.get_by_role("button", name="Step", exact=True).click()
    expect_step(page, 4)
    after = readings(page)[0]
    page.get_by_role("button", name="Start over").click()
    expect_step(page, 0)

    assert (after, readings(page)[0]) == ("4", "0")


def test_paused_run_is_the_picture_its_link_opens(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&data=rings&hidden=6&opt=adam&eta=0.02&s=1", reduced_motion="no-preference")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_function("() => Number(/step=(\\d+)/.exec(location.hash)?.[1]) > 3")
    page.get_by_role("button", name="Pause").click()
    found = readings(page)
    expect_step(page, int(found[0].replace(",", "")))
    again = readings(page_at(page.url.partition("#")[2]))

    assert int(found[0].replace(",", "")) > 3
    assert found == again


def test_control_shows_the_same_epoch_of_another_run(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&step=15")
    page.get_by_label("Output and loss").select_option(label="Softmax, squared error")
    page.wait_for_function("() => document.querySelectorAll('.readings dd')[3].firstChild.textContent === 'not yet'")

    assert readings(page)[0] == "15"
    expect_step(page, 15)


def test_run_that_diverges_stops_and_says_so(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&eta=100&l2=1&step=500")

    assert re.fullmatch(r"After epoch \d+ the loss is no longer a finite number: the learning rate is too large\.",
                        page.locator(".status").inner_text())  # fmt: skip


def test_back_button_goes_to_the_epoch_of_before(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&step=15")
    page.evaluate("location.hash = 'v=1&p=plane&step=4'")
    page.wait_for_function("() => document.querySelector('.readings dd').firstChild.textContent === '4'")
    page.go_back()
    page.wait_for_function("() => document.querySelector('.readings dd').firstChild.textContent === '15'")

    assert readings(page)[3] == "15"


# ---- points and tables of the user


def test_point_is_added_by_a_click(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&data=own&s=0")
    picture = page.locator("[data-figure=plane-field] svg.picture")
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    page.wait_for_function("() => location.hash.includes('points=')")
    x, y, k = (float(part) for part in re.search(r"points=([^&]*)", page.url)[1].split(","))

    assert (abs(x) < 1, abs(y) < 1, k) == (True, True, 0)
    assert "1 points to train on" in page.locator(".readings").inner_text()


def test_points_are_added_and_removed_by_keyboard(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&step=2")
    page.get_by_label("Class").select_option(label="D (new)")
    page.get_by_label("x", exact=True).fill("2.5")
    page.get_by_label("y", exact=True).fill("-1")
    page.get_by_label("y", exact=True).press("Enter")
    page.wait_for_function("() => location.hash.includes('points=2.5,-1,3')")
    classes = [row[:2] for row in table(page, "plane-field")]
    page.get_by_role("button", name="Remove last").click()
    page.wait_for_function("() => !location.hash.includes('points')")

    assert classes == [["A", "100"], ["B", "100"], ["C", "100"], ["D", "1"]]
    assert [row[0] for row in table(page, "plane-field")] == ["A", "B", "C"]


@pytest.mark.parametrize("points", ["1,2", "0,0,0,1,2,12"])
def test_points_that_cannot_be_read_are_left_out_and_said(page_at: Callable[..., Any], points: str) -> None:
    page = page_at(f"p=plane&points={points}&step=2")

    assert "“points” that cannot be read" in page.locator(".status").inner_text()
    assert readings(page)[0] == "2"


def test_table_is_read_and_its_columns_can_be_changed(page_at: Callable[..., Any]) -> None:
    page = page_at(OPENED)
    put_file(page, CSV)
    page.get_by_label("Horizontal").wait_for()
    first = [row[0] for row in table(page, "plane-field")]
    page.get_by_label("Horizontal").select_option("h")
    page.get_by_label("Vertical").select_option("w")
    page.wait_for_function("() => document.querySelector('[data-figure=plane-field]').textContent.includes('h')")

    assert first == ["k0", "k1", "k2"]
    assert "mine.csv: 90 rows" in page.locator(".panel").inner_text()
    assert readings(page)[0] == "0"


def test_table_stays_through_a_change_of_language(page_at: Callable[..., Any]) -> None:
    page = page_at(OPENED)
    put_file(page, CSV)
    page.get_by_label("Horizontal").wait_for()
    page.get_by_role("button", name="中文").click()
    page.get_by_label("横轴").wait_for()

    assert page.get_by_label("类别", exact=True).first.input_value() in ("kind", "0")
    assert [row[0] for row in table(page, "plane-field")] == ["k0", "k1", "k2"]
    assert "mine" not in page.url


UNUSABLE = {
    "": "The file is empty.",
    "a,b,c\n1,2,x\n3,z,y\n": "Row 3, column b: “z” is not a number.",
    "a,b,c\n1,2,x\n3,4\n": "Row 3 has 2 cells; the first row has 3.",
    "a,b\nx,1\ny,2\n": "mine.csv has 1 columns of numbers; two are needed.",
    "a,b,c\n1,2,x\n3,4,x\n": "Column c has only one value; there must be two classes or more.",
    "a,b,c\n1,2,x\n3,4,\n": "Column c has only one value; there must be two classes or more.",
    "a,b,c\n1,,x\n,4,y\n": "No row has a value in a, in b and a class.",
    "a,b,c\n" + "".join(f"{i},{i},c{i}\n" for i in range(11)): (
        "Column c has 11 different values; at most 10 classes can be shown."
    ),
    'a,b,c\n1,2,<img src=x onerror="1">\n': 'Row 2, column 3: a cell with a " in it must be put in quotes.',
}


GAPS = """id,w,note,h,kind
NA,1,,2,a
,2,-,3,b
7,NA,x,4,a
8,3,x,,b
9,4,x,5,?
10,5,x,6,b
11,7,x,3,a
"""


@pytest.mark.parametrize(
    ("language", "said", "axes"),
    [
        ("en", "Rows left out, since a value or the class is missing in the chosen columns: {}.",
         ("Horizontal", "Vertical")),
        ("zh", "所选的列中缺少数值或类别，因此略去 {} 行。", ("横轴", "纵轴")),
    ],
)  # fmt: skip
def test_only_gaps_in_the_chosen_columns_leave_rows_out(
    page_at: Callable[..., Any], language: str, said: str, axes: tuple[str, str]
) -> None:
    page = page_at(OPENED, language=language)
    put_file(page, GAPS)
    notice = ".panel p.notice:visible"
    page.locator(notice, has_text=said.format(4)).wait_for()
    page.get_by_label(axes[0]).select_option("w")
    page.locator(notice, has_text=said.format(2)).wait_for()
    page.get_by_label(axes[1]).select_option("h")
    page.locator(notice, has_text=said.format(3)).wait_for()
    rows = page.locator(".panel").inner_text()
    counts = [row[:2] for row in table(page, "plane-field")]

    assert counts == [["a", "2"], ["b", "2"]]
    assert ("mine.csv: 4 rows" if language == "en" else "mine.csv：4 行") in rows


def test_a_table_without_gaps_has_no_notice(page_at: Callable[..., Any]) -> None:
    page = page_at(OPENED)
    put_file(page, CSV)
    page.get_by_label("Horizontal").wait_for()

    assert page.locator(".panel p.notice:visible").count() == 0


def test_tables_that_cannot_be_used_are_explained(page_at: Callable[..., Any]) -> None:
    page = page_at(OPENED)
    found = []
    for text, message in UNUSABLE.items():
        put_file(page, text)
        page.locator(".panel p.failed", has_text=message[:12]).wait_for()
        found.append(page.locator(".panel p.failed").inner_text())

    assert found == list(UNUSABLE.values())


def test_names_of_the_user_are_text(page_at: Callable[..., Any]) -> None:
    page = page_at(OPENED)
    put_file(page, "a,<b>b</b>,c\n1,2,<i>x</i>\n3,4,<script>alert(1)</script>\n")
    page.get_by_label("Horizontal").wait_for()

    assert [row[0] for row in table(page, "plane-field")] == ["<i>x</i>", "<script>alert(1)</script>"]


@pytest.mark.parametrize(("data", "classes", "n"), [("iris", 3, "105"), ("article", 3, "3")])
def test_shipped_tables_open(page_at: Callable[..., Any], data: str, classes: int, n: str) -> None:
    page = page_at(f"p=plane&data={data}&s=0&step=50")

    assert len(table(page, "plane-field")) == classes
    assert f"{n} points to train on" in page.locator(".readings").inner_text()
    assert float(readings(page)[2].removesuffix(" %")) > 90


def test_hidden_controls_are_left_out(page_at: Callable[..., Any]) -> None:
    page = page_at("p=plane&hide=hidden,points,eta")

    assert page.get_by_label("Hidden layers").count() == 1  # in the document, but not to be seen
    assert not page.get_by_label("Hidden layers").is_visible()
    assert not page.get_by_role("button", name="Add point").is_visible()
    assert page.get_by_label("Learning rate").count() == 0
