"""Pixels to features."""

from __future__ import annotations

import numpy as np
import pytest

from asserts import assert_bit_equal, assert_close
from softclass.data.pixels import PixelPreprocessing, fit_pixel_preprocessing, pixel_keys

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 4, 5, 3), dtype=np.uint8)


def test_mean_and_spread_are_those_of_the_fit_rows():
    rows = np.arange(0, 50, 3)
    found = fit_pixel_preprocessing(PIXELS, rows)
    fitted = PIXELS[rows].astype(np.float64)

    assert_close(fitted.mean(axis=(0, 1, 2)), found.mean, rtol=1e-14, atol=0)  # sums of 340 numbers
    assert_close(fitted.std(axis=(0, 1, 2)), found.std, rtol=1e-14, atol=0)


def test_order_of_the_rows_changes_nothing():
    rows = np.random.default_rng(1).permutation(50)

    assert fit_pixel_preprocessing(PIXELS, rows) == fit_pixel_preprocessing(PIXELS, np.arange(50))


def test_many_rows_are_counted_in_blocks():
    pixels = np.random.default_rng(2).integers(0, 256, (9000, 2, 2, 1), dtype=np.uint8)

    assert fit_pixel_preprocessing(pixels, np.arange(9000)).mean == (float(pixels.astype(np.float64).mean()),)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_constant_channel_has_spread_1(value):
    found = fit_pixel_preprocessing(np.full((3, 2, 2, 1), value, dtype=np.uint8), np.arange(3))

    assert (found.mean, found.std) == ((float(value),), (1.0,))


def test_features_are_in_the_order_height_width_channel():
    found = PixelPreprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).apply(PIXELS)

    assert_bit_equal(PIXELS.reshape(50, 60).astype(np.float32), found)
    assert found.flags.c_contiguous


def test_features_are_rounded_as_the_graph_rounds():
    preprocessing = fit_pixel_preprocessing(PIXELS, np.arange(50))
    mean, std = np.float32(preprocessing.mean), np.float32(preprocessing.std)
    expected = [
        [(np.float32(x) - mean[at % 3]) / std[at % 3] for at, x in enumerate(row)] for row in PIXELS.reshape(50, 60)
    ]

    assert_bit_equal(np.array(expected, dtype=np.float32), preprocessing.apply(PIXELS))


def test_pixels_are_not_changed():
    before = PIXELS.copy()
    fit_pixel_preprocessing(PIXELS, np.arange(50)).apply(PIXELS)

    assert_bit_equal(before, PIXELS)


def test_no_rows_give_no_features():
    assert PixelPreprocessing((0.0,), (1.0,)).apply(np.zeros((0, 4, 5, 1), np.uint8)).shape == (0, 20)


def test_facts_come_back():
    found = fit_pixel_preprocessing(PIXELS, np.arange(50))

    assert PixelPreprocessing.from_dict(found.to_dict()) == found


def test_keys_tell_images_apart_and_find_equal_ones():
    keys = pixel_keys(np.concatenate([PIXELS, PIXELS]))

    assert_bit_equal(keys[:50], keys[50:])
    assert len(set(keys.tolist())) == 50


def test_keys_are_the_same_on_every_machine():
    assert pixel_keys(np.zeros((1, 2, 2, 1), np.uint8)).tolist() == [KEY_OF_ZEROS]


KEY_OF_ZEROS = int.from_bytes(__import__("hashlib").blake2b(bytes(4), digest_size=8).digest(), "little")


def test_keys_of_a_view_are_those_of_its_copy():
    view = PIXELS[::-1, :, ::2]

    assert_bit_equal(pixel_keys(view.copy()), pixel_keys(view))
