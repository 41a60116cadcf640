"""Arrays in one compressed file: short where they can be, and the same bytes again."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from softclass.server.arrays import packed, unpacked


@pytest.mark.parametrize(
    ("values", "most"),
    [
        ([-38 / 32, 0.0, 38 / 32, 1 / 32], 1),
        ([2.0**21 + 0.5, -(2.0**20)], 3),
        ([0.1, 2.0**-30], 4),
        ([-0.0, 1.0], 4),
        ([np.inf, 1.0], 4),
        ([], 4),
    ],
)
def test_multiples_of_a_power_of_two_are_kept_short_and_exact(values: list[float], most: int) -> None:
    array = np.array(values, dtype=np.float32)
    file = packed(array)
    line, _, planes = zlib.decompress(file).partition(b"\n")

    assert unpacked(file).tobytes() == array.tobytes()
    assert len(planes) == most * len(array), line
