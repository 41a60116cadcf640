from __future__ import annotations

import numpy as np

from softclass.data.row_order import row_order, splitmix64


def test_splitmix64_repeats_the_published_sequence():
    # The first outputs of Java's SplittableRandom with seed 0: increments of the golden gamma, then the finaliser.
    gamma = 0x9E3779B97F4A7C15
    states = np.array([i * gamma % 2**64 for i in range(3)], dtype=np.uint64)

    assert [hex(int(key)) for key in splitmix64(states)] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_row_order_is_a_formula_of_seed_and_row():
    def mix(x: int) -> int:
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    expected = [mix((mix(7) + row) % 2**64) for row in range(100)]

    assert row_order(100, 7).tolist() == expected
