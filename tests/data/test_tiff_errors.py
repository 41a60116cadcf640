"""libtiff's complaints are counted and printed nowhere (catalogue I02)."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from softclass.data.decode import Decoded, ImageFault, decode, limits
from softclass.data.image_set import ImageSpec

SPEC = ImageSpec(32, 32, 1)
NOISE = np.random.default_rng(5).integers(0, 256, (32, 32), dtype=np.uint8)


def tiff(compression: str, *, damaged: bool) -> io.BytesIO:
    file = io.BytesIO()
    image = Image.fromarray(NOISE)
    (image.convert("1") if compression.startswith("group") else image).save(file, "TIFF", compression=compression)
    content = bytearray(file.getvalue())
    if damaged:
        middle = len(content) // 2
        content[middle : middle + 20] = bytes(byte ^ 255 for byte in content[middle : middle + 20])
    return io.BytesIO(bytes(content))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "group4"])
def test_damage_is_refused_and_printed_nowhere(compression, capfd):
    with limits():
        found = decode(tiff(compression, damaged=True), SPEC)

    assert isinstance(found, ImageFault)
    assert found.reason == "damaged"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "group3", "group4", "packbits", "jpeg"])
def test_whole_files_are_read_also_after_damaged_ones(compression):
    with limits():
        decode(tiff("group4", damaged=True), SPEC)

        assert isinstance(decode(tiff(compression, damaged=False), SPEC), Decoded)


def test_outside_of_our_own_reading_libtiff_speaks_as_before(capfd):
    with limits():
        decode(tiff("group4", damaged=True), SPEC)
    with Image.open(tiff("group4", damaged=True)) as image:
        image.load()

    assert "Fax4Decode" in capfd.readouterr().err
