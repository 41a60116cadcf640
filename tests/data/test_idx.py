"""IDX files: sizes are compared before anything is allocated (catalogue I14)."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asserts import assert_bit_equal
from made_images import idx_bytes
from softclass.data.idx import read_idx
from softclass.errors import ImageError, PathError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def packed(content: bytes) -> bytes:
    """Gzip without the time of day, which would stand in the names of the tests."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("array", "code"),
    [
        (IMAGES, 8),
        (np.arange(5, dtype=np.uint8), 8),
        (np.arange(-3, 3, dtype=np.int8), 9),
        (np.arange(-3, 3).astype(">i2"), 11),
        (np.arange(-3, 3).astype(">i4"), 12),
        (np.arange(3).astype(">f4"), 13),
        (np.zeros((0, 28, 28), dtype=np.uint8), 8),
    ],
)
def test_arrays_come_back(tmp_path, pack, array, code):
    path = tmp_path / "a"
    path.write_bytes(pack(idx_bytes(array, code)))

    assert_bit_equal(array, read_idx(path))


def test_gzip_of_several_members_is_one_stream(tmp_path):
    content = idx_bytes(IMAGES)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(content[:10], mtime=0) + gzip.compress(content[10:], mtime=0))

    assert_bit_equal(IMAGES, read_idx(path))


HUGE = bytes([0, 0, 8, 4]) + struct.pack(">4I", *[2**32 - 1] * 4)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is empty"),
        (b"\0\0\x08", "the first bytes are 00 00 08, which no IDX file has"),
        (b"PK\3\4rest", "the first bytes are 50 4b 03 04, which no IDX file has"),
        (b"\0\0\x07\x01\0\0\0\1x", "the first bytes are 00 00 07 01, which no IDX file has"),
        (b"\0\0\x08\x00", "the first bytes are 00 00 08 00, which no IDX file has"),
        (b"\0\0\x08\x09", "the first bytes are 00 00 08 09, which no IDX file has"),
        (b"\0\0\x08\x03\0\0\0\x02", "it ends inside its header"),
        (idx_bytes(IMAGES)[:-1], "the header states 2 x 3 x 4 values, 24 bytes, and 23 follow it"),
        (idx_bytes(IMAGES) + b"!", "the header states 2 x 3 x 4 values, 24 bytes, and 25 follow it"),
        (
            HUGE,
            "the header states 4294967295 x 4294967295 x 4294967295 x 4294967295 values, "
            "340,282,366,604,025,813,516,997,721,482,669,850,625 bytes, and 0 follow it",
        ),
        (packed(idx_bytes(IMAGES)[:-1]), "the header states 2 x 3 x 4 values, 24 bytes, and 23 follow it"),
        (packed(idx_bytes(IMAGES) + b"!"), "the header states 2 x 3 x 4 values, 24 bytes, and more follow it"),
        (packed(idx_bytes(IMAGES))[:-9], "the gzip stream inside is damaged or cut off"),
        (packed(idx_bytes(IMAGES))[:-8] + bytes(8), "the gzip stream inside is damaged or cut off"),
        (packed(idx_bytes(IMAGES)) + b"junk", "the gzip stream inside is damaged or cut off"),
    ],
)
def test_malformed_files_are_refused(tmp_path, content, what):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_idx(path)

    assert str(caught.value) == f"[SC361] train-images-idx3-ubyte: must be a whole IDX file; {what}"


@pytest.mark.parametrize(
    ("shape", "zeros"),
    [((2**31, 28, 28), 10**6), ((2**21, 28, 28), 2**21 * 784)],
    ids=["more than deflate can hold", "more than 200 times"],
)
@pytest.mark.slow
def test_bomb_is_refused_before_it_is_unpacked(tmp_path, shape, zeros):
    path = tmp_path / "bomb.gz"
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape)
    with gzip.open(path, "wb") as file:
        file.write(header)
        for _ in range(zeros // 2**20):
            file.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(ImageError) as caught:
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert str(caught.value).endswith(f" bytes, out of {path.stat().st_size:,} compressed ones")
    assert peak < 2**20


def test_small_files_may_shrink_as_they_like(tmp_path):
    black = np.zeros((100, 28, 28), dtype=np.uint8)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx_bytes(black), mtime=0))

    assert_bit_equal(black, read_idx(path))


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "a"
    path.write_bytes(b"\0\0" + content)
    try:
        read_idx(path)
    except ImageError as error:
        code = error.code
    else:
        code = "SC361"

    assert code == "SC361"


def test_missing_file_is_named(tmp_path):
    with pytest.raises(PathError):
        read_idx(tmp_path / "gone")
