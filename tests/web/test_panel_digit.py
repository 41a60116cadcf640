"""Panel 5 in a browser: pen and keyboard, the numbers it shows, models of users."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import softclass
from made_models import make, make_images
from served import exploring
from softclass.data.image_set import ImageSpec
from softclass.data.pixels import PixelPreprocessing
from softclass.errors import Notes
from softclass.model.file import open_model
from softclass.model.model import Model
from softclass.server.evaluations import Shown, shown_data
from softclass.server.explore import Explored, demo_bundle
from softclass.server.page import exported_page
from web import pen
from web.explored import explored_images, explored_table
from web.test_demo import ANSWERS, MODELS, fit_digit

# The prepared picture, read from a copy: reading the canvas itself again and again would change how it is kept.
PREPARED = """() => {
  const shown = document.querySelector("canvas.prepared");
  const copy = new OffscreenCanvas(shown.width, shown.height).getContext("2d");
  copy.drawImage(shown, 0, 0);
  return [shown.height, shown.width, [...copy.getImageData(0, 0, shown.width, shown.height).data]];
}"""


@pytest.fixture(scope="module")
def cnn() -> softclass.Model:
    return softclass.load(MODELS / "digits-cnn.onnx")


@pytest.fixture(scope="module")
def examples() -> np.ndarray:
    """The ten examples as the network takes them."""
    return np.stack([fit_digit(image) for image in ANSWERS["digits"]["images"]])


def draw(page: Any, strokes: list[Any]) -> None:
    """Draw on the pad with the mouse, as a hand would."""
    box = page.locator("canvas.pad").bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=2)
        page.mouse.up()


def prepared(page: Any) -> np.ndarray:
    """Return the picture that the network sees: height x width x 3."""
    height, width, pixels = page.evaluate(PREPARED)
    return np.ascontiguousarray(np.reshape(pixels, (height, width, 4))[:, :, :3].astype(np.uint8))


def grey(page: Any) -> np.ndarray:
    """Return the picture that a network of grey images sees."""
    return np.ascontiguousarray(prepared(page)[:, :, 0])


def saved_rows(page: Any, figure: str) -> list[list[str]]:
    """Save the table of a figure as CSV and read it."""
    with page.expect_download() as download:
        page.locator(f"[data-figure={figure}] button", has_text="CSV").click()
    return list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))


def answer(page: Any) -> Any:
    return page.locator(".digit-answer .large")


def test_a_digit_drawn_on_the_page_is_read_and_comes_back_from_its_link(
    page_at: Callable[..., Any], cnn: softclass.Model
) -> None:
    page = page_at("p=digit")
    strokes = pen.DRAWINGS["first"][4]["strokes"]

    page.get_by_role("button", name="Clear").click()
    page.locator(".digit-answer .hint", has_text="Nothing is drawn yet").wait_for()
    draw(page, strokes)
    answer(page).get_by_text("2", exact=True).wait_for()
    page.wait_for_url(re.compile("[&#]d="))
    page.wait_for_timeout(400)  # the address follows the strokes ten times a second; the last of them counts
    seen = grey(page)

    assert int(cnn.predict(seen[None])[0]) == 2
    again = page_at(page.url.partition("#")[2])
    answer(again).get_by_text("2", exact=True).wait_for()
    assert np.array_equal(grey(again), seen)


def test_strokes_are_taken_back_and_an_example_takes_their_place(page_at: Callable[..., Any]) -> None:
    page = page_at("p=digit")
    first, second = [[60, 60], [60, 200]], [[200, 60], [200, 200]]
    page.get_by_role("button", name="Clear").click()
    draw(page, [first])
    page.wait_for_url(re.compile("[&#]d="))
    one = grey(page)

    draw(page, [second])
    assert not np.array_equal(grey(page), one)
    page.get_by_role("button", name="Undo").click()
    assert np.array_equal(grey(page), one)
    page.get_by_role("button", name="Example 5").click()
    answer(page).get_by_text("5", exact=True).wait_for()
    page.wait_for_url(re.compile("digit=5$"))


def test_the_keyboard_draws_undoes_and_loads(page_at: Callable[..., Any]) -> None:
    page = page_at("p=digit")
    pad = page.locator("canvas.pad")
    pad.focus()
    for key in ["Delete", " ", *["ArrowDown"] * 12, " "]:
        page.keyboard.press(key)
    page.wait_for_url(re.compile("[&#]d="))

    # 84 pixels down from the middle, and the width of the pen.
    line = fit_digit(pen.painted([[[140, 140 + 7 * step] for step in range(13)]]))
    assert np.array_equal(grey(page), line)
    page.keyboard.press("u")
    page.locator(".digit-answer .hint", has_text="Nothing is drawn yet").wait_for()
    page.keyboard.press("8")
    answer(page).get_by_text("8", exact=True).wait_for()
    assert pad.evaluate("pad => pad === document.activeElement")


def test_probabilities_are_those_of_the_model_file(
    page_at: Callable[..., Any], cnn: softclass.Model, examples: np.ndarray
) -> None:
    page = page_at("p=digit&digit=4")
    rows = saved_rows(page, "digit-classes")[1:]
    logits, p = cnn.predict_logits(examples[[4]])[0], cnn.predict_proba(examples[[4]])[0]
    order = np.argsort(-logits, kind="stable")

    assert [row[0] for row in rows] == [str(k) for k in order]
    assert [float(row[1]) for row in rows] == pytest.approx(logits[order].tolist(), rel=1e-5, abs=1e-5)
    assert [float(row[2]) for row in rows] == pytest.approx(p[order].tolist(), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(("versus", "against"), [("none", None), ("8", 8)])
def test_the_evidence_adds_up_to_the_score(
    page_at: Callable[..., Any], cnn: softclass.Model, examples: np.ndarray, versus: str, against: int | None
) -> None:
    page = page_at(f"p=digit&digit=3&class=5&versus={versus}")
    logits = cnn.predict_logits(examples[[3]])[0].astype(np.float64)
    bias = ANSWERS["weights"]["layer/1/bias"] / ANSWERS["model"]["temperature"]
    wanted, rest = (values[5] - (0 if against is None else values[against]) for values in (logits, bias))

    rows = saved_rows(page, "digit-evidence")
    total = sum(float(cell) for row in rows[1:] for cell in row[1:])

    assert (len(rows), len(rows[0])) == (14, 14)
    assert total + rest == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def test_a_colder_softmax_is_surer_and_keeps_the_order(page_at: Callable[..., Any], cnn: softclass.Model) -> None:
    tables = [saved_rows(page_at(f"p=digit&digit=9&T={T}"), "digit-classes")[1:] for T in ("1", "4")]

    assert [row[0] for row in tables[0]] == [row[0] for row in tables[1]]
    z = np.array([float(row[1]) for row in tables[1]])
    wanted = np.exp(z / 4 - np.max(z / 4))
    assert [float(row[2]) for row in tables[1]] == pytest.approx((wanted / wanted.sum()).tolist(), rel=1e-9)


PAINTED = """() => {
  globalThis.painted = 0;
  for (const name of ["putImageData", "drawImage", "clearRect"]) {
    const own = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function paint(...given) {
      globalThis.painted += 1;
      return own.apply(this, given);
    };
  }
}"""
TILES = "() => [...document.querySelectorAll('button.layer-tile canvas')].map((one) => one.toDataURL())"


def test_a_temperature_paints_the_last_tile_only(page_at: Callable[..., Any]) -> None:
    page = page_at("p=digit&digit=4&layer=1")
    page.evaluate(PAINTED)
    before, evidence = page.evaluate(TILES), page.locator("[data-figure=digit-evidence] canvas")
    page.locator("[data-key=T] .box").fill("5")
    page.locator("main dd small", has_text="T = 5").wait_for()
    after, painted = page.evaluate(TILES), page.evaluate("painted")
    field = evidence.evaluate("one => one.toDataURL()")
    page.get_by_role("button", name="Example 5").click()
    answer(page).get_by_text("5", exact=True).wait_for()

    assert painted == 1
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * (len(before) - 1) + [False]
    # Another digit is painted everywhere; the layer that is open shows its own numbers.
    assert all(a != b for a, b in zip(after, page.evaluate(TILES), strict=True))
    assert evidence.evaluate("one => one.toDataURL()") != field


def test_the_open_softmax_follows_the_temperature(page_at: Callable[..., Any]) -> None:
    page = page_at("p=digit&digit=4&layer=20&map=4")
    before = page.locator(".digit-sum").inner_text()
    page.locator("[data-key=T] .box").fill("5")
    page.locator(".digit-sum", has_text=") / 5)").wait_for()

    assert page.locator(".digit-sum").inner_text() != before


def test_every_layer_opens_and_its_sum_adds_up(page_at: Callable[..., Any]) -> None:
    page = page_at("p=digit&digit=6")
    found = []
    for at in range(page.locator("button.layer-tile").count()):
        page.locator("button.layer-tile").nth(at).click()
        page.locator(f"li:nth-child({at + 2}) button[aria-pressed=true]").wait_for()  # the first tile is the input
        page.evaluate("() => new Promise(requestAnimationFrame)")
        found.append(page.locator(".digit-sum").inner_text())

    assert [sentence[-12:] for sentence in found[:2]] == ["nd the bias.", found[1][-12:]]
    numbers = [
        float(text.replace("−", "-").replace("- ", "-")) for text in re.findall(r"[−-]? ?\d+\.?\d*", found[0])[:3]
    ]
    assert numbers[0] == pytest.approx(numbers[1] + numbers[2], abs=2e-4)  # three roundings to 4 decimals
    assert re.match(r"Class 0: exp\(\(.* = ", found[-1])


def test_arrows_choose_another_place(page_at: Callable[..., Any]) -> None:
    page = page_at("p=digit&digit=6&at=3,4")
    field = page.get_by_role("group", name="The chosen map")
    field.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")

    page.wait_for_url(re.compile("at=4%2C5|at=4,5"))


@pytest.mark.parametrize("is_paper", [False, True])
def test_an_image_file_is_prepared_whatever_its_polarity(
    page_at: Callable[..., Any], tmp_path: Path, cnn: softclass.Model, is_paper: bool
) -> None:
    drawing = pen.painted(pen.DRAWINGS["first"][7]["strokes"])
    picture = 255 - drawing if is_paper else drawing
    path = tmp_path / "digit.png"
    Image.fromarray(picture).convert("RGB").save(path)
    page = page_at("p=digit&digit=0")  # another digit than the one of the file, so that its answer is awaited

    page.locator("input[type=file][accept='image/*']").set_input_files(path)
    answer(page).get_by_text(str(int(cnn.predict(fit_digit(drawing)[None])[0])), exact=True).wait_for()

    assert np.array_equal(grey(page), fit_digit(drawing))
    assert "d=" not in page.url


def test_a_file_that_is_no_image_is_refused_with_a_sentence(page_at: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    page = page_at("p=digit")

    page.locator("input[type=file][accept='image/*']").set_input_files(path)

    page.locator("main .notice.failed", has_text="broken.png").wait_for()
    assert answer(page).inner_text() == "3"


def test_a_drawing_that_cannot_be_read_gives_the_example(page_at: Callable[..., Any]) -> None:
    page = page_at("p=digit&d=DchBCoAw&digit=1")

    page.locator("main .notice.failed", has_text="cannot be read").wait_for()
    answer(page).get_by_text("1", exact=True).wait_for()


def test_a_teacher_can_leave_parts_out(page_at: Callable[..., Any]) -> None:
    page = page_at("p=digit&hide=d,layer,map,digit,class,T")
    answer(page).wait_for()
    parts = ["canvas.pad", ".layer-tiles", "#map-slider", ".digit-examples", "[data-key=class]", "[data-key=T]"]

    assert [part for part in parts if page.locator(part).filter(visible=True).count() > 0] == []
    assert page.locator("[data-key=versus]").is_visible()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Model]]:
    """A model of 6 x 5 coloured images, served."""
    explored, model = explored_images(tmp_path_factory.mktemp("images"))
    with exploring(explored) as address:
        yield address, model


def test_a_model_of_coloured_images_of_any_size_works(
    page_at: Callable[..., Any], images: tuple[str, Model], tmp_path: Path
) -> None:
    address, model = images
    pixels = np.random.default_rng(2).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    page = page_at(f"token={'t' * 43}&p=digit&prep=light", address=address)

    page.locator("input[type=file][accept='image/*']").set_input_files(path)
    wanted = model.predict_logits(pixels[None])[0]
    page.locator(".digit-answer .large", has_text=str(model.predict(pixels[None])[0])).wait_for()
    rows = {row[0]: float(row[1]) for row in saved_rows(page, "digit-classes")[1:]}

    assert [rows[label.name] for label in model.manifest.classes] == pytest.approx(wanted.tolist(), rel=1e-5, abs=1e-5)
    assert page.locator("[data-figure=digit-evidence]").is_visible()
    evidence = saved_rows(page, "digit-evidence")
    assert (len(evidence), len(evidence[0])) == (7, 6)


@pytest.mark.parametrize(
    ("model", "language", "title", "lead"),
    [
        ("images", "en", "Picture", "Open a picture and follow it through every layer to 3 probabilities."),
        ("table", "en", "Row", "Follow one row of the table through every layer to 3 probabilities."),
        ("table", "zh", "一行数据", "看表格中的一行如何经过每一层，最后变成 3 个概率。"),
        ("demo", "en", "Digit", "Draw a digit and follow it through every layer to ten probabilities."),
    ],
)
def test_the_words_above_are_those_of_the_model(
    page_at: Callable[..., Any], images: tuple[str, Model], table_address: str, demo_address: str,
    model: str, language: str, title: str, lead: str,
) -> None:  # fmt: skip
    address = {"images": images[0], "table": table_address, "demo": demo_address}[model]
    page = page_at(f"token={'t' * 43}&p=digit", address=address, language=language)
    answer(page).wait_for()

    assert [page.locator("main h1").inner_text(), page.locator("main .lead").inner_text()] == [title, lead]
    assert page.title() == f"{title} · softclass"
    page.evaluate("location.hash = 'p=loss'")
    page.locator("main[data-ready=loss]").wait_for(state="attached")
    assert page.title() == {"en": "Loss and gradient · softclass", "zh": "损失与梯度 · softclass"}[language]


def test_a_model_whose_weights_are_not_sent_is_asked_for_its_layers(
    page_at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softclass.model.activations.MAX_PARAMETERS", 10)
    model = Model(open_model(make_images(3).data), threads=1)
    with exploring(Explored(model, "large", [], threads=1)) as address:
        page = page_at(f"token={'t' * 43}&p=digit&prep=light", address=address)
        page.locator(".digit-answer .hint", has_text="Nothing is drawn yet").wait_for()
        draw(page, pen.DRAWINGS["first"][4]["strokes"])
        page.locator(".digit-answer .large").wait_for()
        page.wait_for_url(re.compile("[&#]d="))
        page.wait_for_load_state("networkidle")
        pixels = prepared(page)
        rows = {row[0]: float(row[1]) for row in saved_rows(page, "digit-classes")[1:]}
        refused = page.locator("main .hint", has_text="does not hold its weights")

        assert refused.is_visible()
        wanted = model.predict_logits(pixels[None])[0].tolist()
        assert [rows[label.name] for label in model.manifest.classes] == pytest.approx(wanted, rel=1e-5, abs=1e-5)


@pytest.fixture(scope="module")
def table_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with exploring(explored_table(tmp_path_factory.mktemp("table"))) as address:
        yield address


def test_a_table_model_takes_a_row(page_at: Callable[..., Any], watched: Any, table_address: str) -> None:
    page = page_at(f"token={'t' * 43}&p=digit", address=table_address)
    page.locator(".digit-answer .large").wait_for()
    before = saved_rows(page, "digit-classes")[1:]
    depth = page.get_by_label("depth", exact=True)

    with page.expect_response("**/forward"):
        depth.fill("3.5")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    after = saved_rows(page, "digit-classes")[1:]

    assert sum(float(row[2]) for row in after) == pytest.approx(1, abs=1e-6)
    assert before != after
    assert page.locator("button.layer-tile").count() == 3
    assert page.locator("main .hint", has_text="needs an image").is_visible()
    depth.fill("tall")
    page.locator("main .notice.failed", has_text='held numbers in training; got "tall"').wait_for()
    assert "tall" not in page.url
    watched.faults[:] = [fault for fault in watched.faults if "status of 422" not in fault]


# ---- examples of a model that is not of digits


@pytest.fixture(scope="module")
def clothes() -> Model:
    """A model of grey pictures of the size of the demo's digits, but of other things."""
    made = make(PixelPreprocessing((80.0,), (60.0,)), 28 * 28, image=ImageSpec(28, 28, 1))
    return Model(open_model(made.data), threads=1)


def rows_of_clothes(model: Model, folder: Path, side: int = 28) -> tuple[np.ndarray, Shown]:
    pixels = np.random.default_rng(6).integers(256, size=(30, side, side)).astype(np.uint8)
    labels = [label.name for label in model.manifest.classes]
    np.savez(folder / "clothes.npz", x=pixels, y=[labels[at // 10] for at in range(30)])
    return pixels, shown_data(model, str(folder / "clothes.npz"), Notes())


def test_examples_are_rows_of_the_evaluation_as_the_model_takes_them(
    page_at: Callable[..., Any], clothes: Model, tmp_path: Path
) -> None:
    pixels, rows = rows_of_clothes(clothes, tmp_path)
    labels = [label.name for label in clothes.manifest.classes]
    with exploring(Explored(clothes, "clothes", [rows], threads=1)) as address:
        page = page_at(f"token={'t' * 43}&p=digit&digit=1", address=address)
        answer(page).wait_for()
        names = page.locator(".digit-examples button").evaluate_all("all => all.map((one) => one.ariaLabel)")
        second = grey(page)
        logits = {row[0]: float(row[1]) for row in saved_rows(page, "digit-classes")[1:]}
        hint = page.locator(".digit-input").inner_text()

    # One of each class first: rows 0, 10 and 20; then the others in their order.
    assert names == [f"Example {at}: {labels[at if at < 3 else 0]}" for at in range(10)]
    assert np.array_equal(second, pixels[10])
    wanted = clothes.predict_logits(pixels[[10]])[0]
    assert [logits[name] for name in labels] == pytest.approx(wanted.tolist(), rel=1e-5, abs=1e-5)
    assert "rows of the model's evaluation and come as they are" in hint


@pytest.mark.parametrize(("language", "keys"), [("en", "Delete clears."), ("zh", "Delete 清除。")])
def test_a_model_without_pictures_has_no_examples(
    page_at: Callable[..., Any], clothes: Model, tmp_path: Path, language: str, keys: str
) -> None:
    rows = rows_of_clothes(clothes, tmp_path)[1].without_examples()
    with exploring(Explored(clothes, "clothes", [rows], threads=1)) as address:
        page = page_at(f"token={'t' * 43}&p=digit&digit=7", address=address, language=language)
        page.locator(".digit-answer .hint").wait_for()
        page.locator("canvas.pad").focus()
        page.keyboard.press("5")
        before = (page.locator(".digit-examples:visible").count(), int(grey(page).max()), "digit=7" in page.url)
        said = page.locator("#pad-keys").inner_text()
        draw(page, pen.DRAWINGS["first"][4]["strokes"])
        answer(page).wait_for()

    assert before == (0, 0, True)
    assert said.endswith(keys)


def test_the_demo_in_one_file_keeps_its_digits(page_at: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "demo.html"
    path.write_text(exported_page(demo_bundle()), encoding="utf-8")
    page = page_at("p=digit&digit=5&lang=en", address=path.as_uri())
    answer(page).get_by_text("5", exact=True).wait_for()

    assert page.locator(".digit-examples button").count() == 10
    assert "digits of 8 × 8 pixels" in page.locator("aside").inner_text()
