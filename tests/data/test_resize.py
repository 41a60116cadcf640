"""The resizing rule, against its words."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from asserts import assert_bit_equal
from softclass.data.image_set import ImageSpec
from softclass.data.resize import resize

PHOTO = Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8))
BILINEAR = Image.Resampling.BILINEAR


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
def test_image_of_the_models_size_is_unchanged(how):
    assert resize(PHOTO, ImageSpec(48, 64, 3, how)) is PHOTO


def test_crop_scales_the_shorter_side_and_cuts_the_middle():
    # 64 x 48 to height 30: width 40; (40 - 30) // 2 = 5.
    expected = PHOTO.resize((40, 30), BILINEAR).crop((5, 0, 35, 30))

    assert_bit_equal(np.asarray(expected), np.asarray(resize(PHOTO, ImageSpec(30, 30, 3))))


def test_crop_rounds_the_other_side_half_up():
    # 5 x 2 to height 1: the width is 2.5, so 3; (3 - 1) // 2 = 1.
    image = Image.fromarray(np.arange(0, 250, 25, dtype=np.uint8).reshape(2, 5))
    expected = image.resize((3, 1), BILINEAR).crop((1, 0, 2, 1))

    assert_bit_equal(np.asarray(expected), np.asarray(resize(image, ImageSpec(1, 1, 1))))


def test_crop_covers_a_model_that_is_not_square():
    # 64 x 48 to 20 x 100: the height decides; 48 -> 100, 64 -> 133.33, so 133; (133 - 20) // 2 = 56.
    expected = PHOTO.resize((133, 100), BILINEAR).crop((56, 0, 76, 100))

    assert_bit_equal(np.asarray(expected), np.asarray(resize(PHOTO, ImageSpec(100, 20, 3))))


def test_pad_fits_the_longer_side_and_centres_on_black():
    expected = Image.new("RGB", (32, 32))
    expected.paste(PHOTO.resize((32, 24), BILINEAR), (0, 4))

    assert_bit_equal(np.asarray(expected), np.asarray(resize(PHOTO, ImageSpec(32, 32, 3, "pad"))))


def test_pad_keeps_at_least_one_pixel():
    line = Image.new("L", (1000, 1), 255)

    assert np.asarray(resize(line, ImageSpec(9, 9, 1, "pad"))).sum(axis=1).tolist() == [0] * 4 + [9 * 255] + [0] * 4


def test_stretch_fits_both_sides():
    expected = PHOTO.resize((10, 40), BILINEAR)

    assert_bit_equal(np.asarray(expected), np.asarray(resize(PHOTO, ImageSpec(40, 10, 3, "stretch"))))


@pytest.mark.parametrize("size", [(3, 50000), (50000, 3)])
def test_crop_of_an_extreme_shape_takes_the_middle(size):
    # Scaled first it would have 160 x 2.7 million pixels; only the middle is white.
    values = np.zeros((size[1], size[0]), dtype=np.uint8)
    values[size[1] // 2 - 2 : size[1] // 2 + 2] |= np.uint8(255 if size[1] > 3 else 0)
    values[:, size[0] // 2 - 2 : size[0] // 2 + 2] |= np.uint8(255 if size[0] > 3 else 0)

    assert np.asarray(resize(Image.fromarray(values), ImageSpec(160, 160, 1))).min() == 255


def test_equal_channels_stay_equal():
    grey = PHOTO.convert("L")
    spec = ImageSpec(17, 23, 3)
    colour = np.asarray(resize(grey.convert("RGB"), spec))

    assert_bit_equal(np.asarray(resize(grey, spec)), np.ascontiguousarray(colour[..., 0]))
