"""Preparation of digits and strokes of the pen: JavaScript, in node and in Chromium, against NumPy, pixel by pixel."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from softclass.data.image_set import ImageSpec
from softclass.data.resize import resize
from web import pen
from web.engines import Ask, engine_fixtures

SCRIPTS = Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
from demo_digits import enlarged, fit_digit  # noqa: E402

sys.path.remove(str(SCRIPTS))
TASKS = Path(__file__).parent / "digit_tasks.js"
engine, node = engine_fixtures(TASKS)


def sent(picture: np.ndarray, side: int = 28) -> dict[str, Any]:
    """Return a picture as a task takes it."""
    height, width = picture.shape
    return {"grey": base64.b64encode(picture.tobytes()).decode(), "height": height, "width": width, "side": side}


def made_pictures() -> list[np.ndarray]:
    """Pictures of all kinds: digits, noise, blots at edges, thin lines, photographs of paper, nothing."""
    draw = np.random.default_rng(5)
    digits = [enlarged(image) for image in load_digits().images[:40]]
    paper = [
        np.clip(190 - 0.6 * image.astype(np.int64) + draw.integers(0, 6, image.shape), 0, 255) for image in digits[:10]
    ]
    noise = [draw.integers(0, 256, size) for size in ((2, 2), (3, 50), (57, 23), (200, 111))]
    corner, line, faint = (np.zeros((30, 60)) for _ in range(3))
    corner[:4, 50:], line[3:29, 7], faint[5:9, 5:9] = 255, 40, 12
    drawn = [pen.painted(row["strokes"]) for row in pen.DRAWINGS["first"][::4]]
    found = [*digits, *paper, *noise, corner, line, faint, np.full((9, 9), 200), *drawn]
    return [np.asarray(picture).astype(np.uint8) for picture in found]


@pytest.mark.parametrize("side", [28, 8, 33])
def test_pictures_are_fitted_like_in_training(engine: Ask, side: int) -> None:
    pictures = made_pictures()
    both = pictures + [255 - picture for picture in pictures]

    found = engine("fit", pictures=[sent(picture, side) for picture in both])

    assert np.array_equal(found, [fit_digit(picture, side).ravel() for picture in both])


def test_ink_on_paper_is_the_same_as_light_on_dark() -> None:
    digits = [enlarged(image) for image in load_digits().images[:40]]

    assert [fit_digit(255 - digit).tolist() for digit in digits] == [fit_digit(digit).tolist() for digit in digits]


def test_a_fitted_digit_has_its_size_and_its_mass_in_the_middle() -> None:
    fitted = np.stack([fit_digit(enlarged(image)) for image in load_digits().images[:300]]).astype(np.float64)
    tall = [np.ptp(np.flatnonzero(image.any(axis=1))) + 1 for image in fitted]
    wide = [np.ptp(np.flatnonzero(image.any(axis=0))) + 1 for image in fitted]
    mass = fitted.sum(axis=(1, 2))
    middle = [(fitted.sum(axis=axis) * np.arange(28)).sum(axis=1) / mass for axis in (1, 2)]

    # A row whose greys all round to nothing makes the ink a pixel smaller.
    assert set(np.maximum(tall, wide).tolist()) <= {19, 20}
    assert np.abs(np.array(middle) - 13.5).max() <= 0.5 + 1e-9
    assert set(np.unique(fitted).tolist()) == set(range(0, 256, 17))


@pytest.mark.parametrize("picture", [np.zeros((5, 5)), np.full((5, 5), 255), np.full((4, 7), 90)])
def test_a_picture_without_ink_stays_empty(picture: np.ndarray) -> None:
    assert not fit_digit(picture.astype(np.uint8)).any()


def test_grey_is_that_of_training(engine: Ask) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (40, 25, 3)).astype(np.uint8)
    rgba = np.concatenate([rgb, np.full((40, 25, 1), 255, np.uint8)], axis=2)

    assert np.array_equal(
        engine("grey", rgba=rgba.ravel().tolist()), np.asarray(Image.fromarray(rgb).convert("L")).ravel()
    )


def test_what_is_see_through_is_white_paper(engine: Ask) -> None:
    assert engine("grey", rgba=[0, 0, 0, 0, 0, 0, 0, 255, 10, 10, 10, 128]) == [255, 0, 132]


@pytest.mark.parametrize("way", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(48, 36), (97, 61), (61, 97), (20, 14), (9, 300), (1, 1), (411, 400)])
@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 48, 36], [3, 1, 5]])
def test_a_picture_comes_to_the_network_as_in_training(
    engine: Ask, way: str, size: tuple[int, int], shape: list[int]
) -> None:
    """Each pixel is that of `softclass.data.resize`, whatever is cut off, left black or pulled.

    Which side Pillow takes first depends on its version; each pass rounds, so stretched pixels may be 1 of 255 off.
    """
    height, width = size
    rgb = np.random.default_rng([height, width]).integers(0, 256, (height, width, 3)).astype(np.uint8)
    rgba = np.concatenate([rgb, np.full((height, width, 1), 255, np.uint8)], axis=2)
    picture = {"rgba": base64.b64encode(rgba.tobytes()).decode(), "height": height, "width": width}

    found = engine("resized", **picture, shape=shape, way=way)

    image = Image.fromarray(rgb) if shape[0] == 3 else Image.fromarray(rgb).convert("L")
    wanted = resize(image, ImageSpec(shape[1], shape[2], shape[0], resize=way))
    apart = np.abs(np.array(found) - np.asarray(wanted).ravel().astype(np.int64))
    assert apart.max() <= (1 if way == "stretch" else 0)


@pytest.mark.parametrize("brush", [20, 7.5])
def test_the_pen_leaves_the_same_pixels(engine: Ask, brush: float) -> None:
    strokes = [[[10, 12], [200.25, 90], [140, 270.5]], [[279, 279]], [[0, 140], [30, 140]]]

    assert np.array_equal(engine("painted", strokes=strokes, brush=brush), pen.painted(strokes, brush).ravel())


@pytest.mark.parametrize("name", ["first", "second"])
def test_drawings_come_back_out_of_the_address(engine: Ask, name: str) -> None:
    drawings = [row["strokes"] for row in pen.DRAWINGS[name]]

    found = [engine("text", strokes=strokes) for strokes in drawings]

    assert [row["strokes"] for row in found] == drawings
    assert max(len(row["text"]) for row in found) < 80


def test_long_drawings_lose_points_until_they_fit(node: Ask) -> None:
    draw = np.random.default_rng(0)
    strokes = draw.integers(0, 281, (40, 400, 2)).tolist()

    found = node("text", strokes=strokes)

    assert 1_000 < len(found["text"]) <= 8192
    assert found["strokes"] is not None


@pytest.mark.parametrize("strokes", [[], [[[5, 5]]], [[[0, 0], [280, 280]], [[280, 0]]]])
def test_small_drawings_come_back_too(node: Ask, strokes: list[Any]) -> None:
    assert node("text", strokes=strokes)["strokes"] == (strokes or None)


def test_texts_that_hold_no_drawing_hold_none(node: Ask) -> None:
    draw = np.random.default_rng(1)
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    made = ["".join(draw.choice(letters, size)) for size in (1, 2, 3, 10, 100, 1000) for _ in range(20)]
    whole = node("text", strokes=pen.DRAWINGS["first"][0]["strokes"])["text"]
    bomb = base64.urlsafe_b64encode(_deflated(bytes(2_000_000))).decode().rstrip("=")

    found = node("strokes", texts=["", whole[:-9], *made, bomb])

    assert [strokes for strokes in found if strokes is not None] == []


def _deflated(content: bytes) -> bytes:
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()
