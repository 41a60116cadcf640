"""Small pictures: sizes, colours, and one scale for all classes."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from softclass.report.thumbnails import NEGATIVE, POSITIVE, data_uri, thumbnail_png, weight_png, weight_scale


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


@pytest.mark.parametrize(
    ("shape", "size", "mode"),
    [
        ((8, 8, 1), (96, 96), "L"),
        ((28, 28, 1), (84, 84), "L"),
        ((64, 64, 3), (64, 64), "RGB"),
        ((400, 300, 3), (72, 96), "RGB"),
        ((1, 1000, 1), (96, 1), "L"),
    ],
)
def test_thumbnails_have_at_most_the_wanted_size(shape: tuple[int, ...], size: tuple[int, int], mode: str) -> None:
    image = opened(thumbnail_png(np.zeros(shape, dtype=np.uint8)))

    assert (image.size, image.mode) == (size, mode)


def test_small_images_are_enlarged_without_smoothing() -> None:
    pixels = np.array([[[0], [255]], [[255], [0]]], dtype=np.uint8)

    assert set(np.asarray(opened(thumbnail_png(pixels))).ravel().tolist()) == {0, 255}


def test_weights_are_blue_above_orange_below_and_clear_at_zero() -> None:
    picture = np.asarray(opened(weight_png(np.array([[2.0, -1.0, 0.0, -9.0]]), scale=2.0)))

    assert picture[0, 0].tolist() == [*POSITIVE, 255]
    assert picture[0, 1].tolist() == [*NEGATIVE, 128]
    assert picture[0, [2, 3], 3].tolist() == [0, 255]


def test_weights_of_zero_only_are_clear() -> None:
    assert np.asarray(opened(weight_png(np.zeros((2, 2)), scale=0.0)))[..., 3].max() == 0


def test_a_few_extreme_weights_do_not_set_the_scale() -> None:
    weight = np.append(np.linspace(-1, 1, 999), 100.0)

    assert weight_scale(weight) == pytest.approx(1.0, abs=0.02)


def test_data_uri_holds_the_picture() -> None:
    assert base64.b64decode(data_uri(b"PNG").split(",")[1]) == b"PNG"
