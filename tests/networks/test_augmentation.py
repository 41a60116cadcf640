"""Draws by place: published answers, permutations against a plain loop, images moved as said."""

from __future__ import annotations

import numpy as np
import pytest

from softclass.networks.augmentation import augmented, draws, permutation, philox
from softclass.networks.training import epoch_order

ONES = 0xFFFFFFFF


# Published with the generator (Random123, kat_vectors).
@pytest.mark.parametrize(
    ("seed", "counter", "expected"),
    [
        (0, (0, 0, 0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (2**64 - 1, (ONES, ONES, ONES, ONES), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            0xA4093822 | 0x299F31D0 << 32,
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers(seed, counter, expected):
    assert philox(seed, *counter).tolist() == expected


def _plain_permutation(seed: int, epoch: int, n: int) -> list[int]:
    """The same shuffle, one draw after the other."""
    words = iter(philox(seed, np.arange(n), 0, epoch, 1).ravel().tolist())
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        product = next(words) * (i + 1)
        while product % 2**32 < 2**32 % (i + 1):
            product = next(words) * (i + 1)
        j = product >> 32
        order[i], order[j] = order[j], order[i]
    return order


# Of 150,000 rows about 2.6 draws are skipped.
@pytest.mark.parametrize(
    ("seed", "epoch", "n"), [(0, 0, 2), (1, 7, 5), (2**63, 3, 1000), (5, 0, 150_000), (6, 1, 150_000)]
)
def test_permutation_is_the_shuffle_draw_by_draw(seed, epoch, n):
    assert permutation(seed, epoch, n).tolist() == _plain_permutation(seed, epoch, n)


@pytest.mark.parametrize(
    ("seed", "epoch", "n"),
    [(0, 0, 0), (0, 0, 1), (1, 7, 5), (2**64 - 1, 2**32 - 1, 65_537), (5, 0, 150_000), (6, 1, 150_000)],
)
def test_the_order_in_compiled_code_is_the_same(seed, epoch, n):
    assert epoch_order(seed, epoch, n).tolist() == permutation(seed, epoch, n).tolist()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 65_537])
def test_permutation_holds_each_row_once(n):
    assert np.array_equal(np.sort(permutation(11, 4, n)), np.arange(n))


def test_every_order_of_three_rows_is_equally_likely():
    orders = [tuple(permutation(9, epoch, 3).tolist()) for epoch in range(1200)]

    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert np.abs(counts - 200).max() < 4 * np.sqrt(1200 * 5 / 36)  # 4 standard errors each


def test_what_happens_to_a_row_does_not_depend_on_the_others():
    all_rows = draws(3, 2, np.arange(100), flip=True, shift=2)
    few = draws(3, 2, np.array([97, 5]), flip=True, shift=2)

    for many, two in zip(all_rows, few, strict=True):
        assert many[[97, 5]].tolist() == two.tolist()


def test_half_of_the_images_are_mirrored_and_every_shift_occurs():
    flipped, down, right = draws(0, 0, np.arange(4000), flip=True, shift=2)

    assert abs(flipped.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    assert np.unique(down).tolist() == np.unique(right).tolist() == [-2, -1, 0, 1, 2]


def test_without_flip_and_shift_nothing_happens():
    flipped, down, right = draws(0, 0, np.arange(50), flip=False, shift=0)

    assert not flipped.any()
    assert not down.any()
    assert not right.any()


def test_images_are_mirrored_first_and_edges_are_repeated():
    image = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8).reshape(1, 2, 3, 1)

    moved = augmented(image, np.array([True]), np.array([1]), np.array([-1]))

    assert moved[0, :, :, 0].tolist() == [[2, 1, 1], [2, 1, 1]]
